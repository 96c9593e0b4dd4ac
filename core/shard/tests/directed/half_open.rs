//! Who does not say who it is: such connections are bounded by address and all together, the oldest goes first, and
//! clients that mean it come in meanwhile. And what else a client may ask too much of before or in its CONNECT.

use std::net::{IpAddr, SocketAddr};

use ringmq_shard::{Input, Introduced, PeerAddress};
use ringmq_wire::{ReasonCode, Version};

use super::VERSIONS;
use crate::harness::net::Place;
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, NetId, Seen, packets};

fn address(text: &str) -> SocketAddr {
    SocketAddr::new(text.parse::<IpAddr>().unwrap(), 5000)
}

fn dial(world: &mut World, from: &str) -> NetId {
    world.dial_from(0, Version::V5, PeerAddress::new(Some(address(from)), 0))
}

fn setup(all: usize, of_address: usize) -> Setup {
    let mut setup = Setup::new(1, 11);
    setup.settings.half_open_max = all;
    setup.settings.half_open_per_address_max = of_address;
    setup
}

fn comes_in(world: &mut World, net: NetId, id: &str) -> bool {
    let seen = world.ask(net, &Hello::new(Version::V5, id).encode());
    matches!(&seen[..], [Seen::Connack(connack)] if connack.reason == 0)
}

fn closed(world: &World, nets: &[NetId]) -> Vec<bool> {
    nets.iter().map(|net| world.nets[net.0].closed()).collect()
}

#[test]
fn of_one_address_the_oldest_goes_and_others_of_it_come_in() {
    let mut world = World::new(&setup(1000, 3));
    let idle: Vec<NetId> = (0..8).map(|_| dial(&mut world, "192.0.2.1")).collect();
    world.run();
    assert_eq!(closed(&world, &idle), [true, true, true, true, true, false, false, false]);
    assert_eq!(world.counter(|c| &c.half_open_closed), 5);
    assert_eq!(world.counter(|c| &c.connections), 3);
    let line = world.logs.iter().find(|(_, line)| line.contains("192.0.2.1:5000")).expect("it is said whose");
    assert!(line.1.contains("had not said who it is"), "{}", line.1);
    for n in 0..20 {
        let honest = dial(&mut world, "192.0.2.1");
        assert!(comes_in(&mut world, honest, &format!("honest-{n}")), "{n}");
    }
    let elsewhere = dial(&mut world, "192.0.2.2");
    world.run();
    assert!(!world.nets[elsewhere.0].closed());
}

#[test]
fn of_all_addresses_the_oldest_goes_and_whoever_is_through_counts_no_more() {
    let mut world = World::new(&setup(10, 1000));
    let idle: Vec<NetId> = (0..10).map(|n| dial(&mut world, &format!("198.51.100.{n}"))).collect();
    for n in 0..50 {
        let honest = dial(&mut world, &format!("203.0.113.{n}"));
        assert!(comes_in(&mut world, honest, &format!("honest-{n}")));
    }
    world.run();
    assert_eq!(
        closed(&world, &idle).iter().filter(|closed| **closed).count(),
        1,
        "only one was too many at a time"
    );
    for net in &idle {
        world.hang_up(*net, 0);
    }
    world.run();
    let more: Vec<NetId> = (0..10).map(|n| dial(&mut world, &format!("198.51.100.{n}"))).collect();
    world.run();
    assert!(closed(&world, &more).iter().all(|closed| !closed), "who is gone counts no more");
}

#[test]
fn behind_a_proxy_the_true_address_counts() {
    let mut world = World::new(&setup(1000, 2));
    let nets: Vec<NetId> = (0..6)
        .map(|n| {
            let net = dial(&mut world, "192.0.2.9");
            let Place::Shard(shard, conn) = world.nets[net.0].place else { panic!("it is there") };
            let introduced = Introduced { address: Some(address(&format!("10.0.0.{n}"))), user_name: None };
            world.give(shard, Input::Introduced { conn, introduced });
            net
        })
        .collect();
    world.run();
    assert!(closed(&world, &nets).iter().all(|closed| !closed));
    for (n, net) in nets.into_iter().enumerate() {
        assert!(comes_in(&mut world, net, &format!("behind-{n}")));
    }
}

#[test]
fn a_keep_alive_that_is_too_long_is_cut_where_it_can_be_said_and_refused_where_not() {
    let mut setup = setup(1000, 1000);
    setup.settings.offer.keep_alive_seconds_max = 60;
    setup.settings.offer.keep_alive_none = false;
    for version in VERSIONS {
        for (asked, granted) in [(60, None), (61, Some(60)), (u16::MAX, Some(60)), (0, Some(60))] {
            let mut world = World::new(&setup);
            let net = world.dial(0, version);
            let seen = world.ask(net, &Hello::new(version, "alive").keep_alive(asked).encode());
            let [Seen::Connack(connack)] = &seen[..] else { panic!("{version:?}, {asked}: {seen:?}") };
            match (version, granted) {
                (Version::V5, granted) => {
                    assert_eq!((connack.reason, connack.keep_alive_seconds), (0, granted))
                }
                (_, None) => assert_eq!(connack.reason, 0),
                (_, Some(_)) => assert_eq!(connack.reason, 0x85, "identifier rejected, as mosquitto says it"),
            }
        }
    }
}

#[test]
fn a_packet_of_too_many_filters_is_refused_whole() {
    let mut setup = setup(1000, 1000);
    setup.settings.filters_per_packet_max = 3;
    setup.settings.topic_bytes_max = 10;
    let mut world = World::new(&setup);
    let net = world.join(0, &Hello::new(Version::V5, "asker"));
    let filters = [("a", 0), ("b", 0), ("12345678901", 0)];
    let options = filters.map(|(filter, qos)| (filter, packets::with_qos(qos)));
    let seen = world.ask(net, &packets::subscribe(Version::V5, 1, &options, None));
    let too_long = ReasonCode::TOPIC_FILTER_INVALID.value();
    assert_eq!(seen, [Seen::Suback(1, vec![0, 0, too_long])]);
    let seen = world.ask(net, &packets::unsubscribe(Version::V5, 2, &["a", "b", "c", "d"]));
    assert_eq!(seen, [Seen::Disconnect(ReasonCode::QUOTA_EXCEEDED.value())]);
}
