//! An address that sends more than it may: it is slower, and nothing of it is lost.

use std::time::{Duration, Instant};

use ringmq::DriverChoice;
use ringmq_wire::{Packet, PacketId, Properties, Publish, Qos, TopicName, Version};

use crate::client::{Client, Seen, options};

#[test]
fn what_comes_too_fast_waits_and_is_not_lost() {
    for driver in [DriverChoice::Epoll, DriverChoice::Auto] {
        let broker = options().driver(driver).bytes_per_address_per_second_max(20_000).start().unwrap();
        let mut clients = [0, 1].map(|n| {
            let mut client = Client::dial(&broker, Version::V5);
            assert_eq!(client.log_in(&format!("c{n}"), None, None, None), 0);
            client
        });
        let started = Instant::now();
        // One after the other, so that no single read takes all of it.
        for number in 1..=30 {
            for client in &mut clients {
                client.send(&Packet::Publish(Publish {
                    dup: false,
                    qos: Qos::AtLeastOnce,
                    retain: false,
                    topic: TopicName::new("t").unwrap(),
                    packet_id: PacketId::new(number),
                    properties: Properties::EMPTY,
                    payload: &[7; 1000],
                }));
                assert_eq!(client.next(), Seen::Puback(0x10), "{driver:?}");
            }
        }
        // 60,000 bytes: a second's worth at once, and a read before it is seen that it was too much. Two shards count
        // for themselves.
        let took = started.elapsed();
        assert!(took > Duration::from_millis(400), "{driver:?}: {took:?}");
        assert!(broker.counters().sum(|c| &c.reads_delayed) > 0, "{driver:?}");
        clients[0].send(&Packet::Pingreq);
        assert_eq!(clients[0].next(), Seen::Pong);
    }
}
