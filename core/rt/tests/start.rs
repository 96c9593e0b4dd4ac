//! Starting: what is refused and how it is said, and where a broker listens.

mod harness;

use std::net::SocketAddr;

use harness::{Client, address, drivers, options};
use ringmq_rt::{Decisions, Driver, DriverChoice, Inlet, Options, Running, StartError, start};

#[test]
fn port_0_is_one_number_on_both_families_for_every_shard() {
    for driver in drivers() {
        let running = start(options(driver, 3)).unwrap();
        let [four, six] = running.addresses() else { panic!("two addresses") };
        assert!(four.is_ipv4() && six.is_ipv6());
        assert_eq!(four.port(), six.port());
        assert_ne!(four.port(), 0);
        for i in 0..12 {
            Client::connect(running.addresses()[i % 2], &format!("client-{i}")).ping();
        }
        assert_eq!(running.shards(), 3);
    }
}

#[test]
fn a_second_broker_on_the_same_port_is_refused_and_the_first_goes_on() {
    for driver in drivers() {
        let first = start(options(driver, 2)).unwrap();
        let taken = address(&first);
        let refused = start(Options { listen: vec![taken.into()], ..options(driver, 2) });
        let error = refused.err().expect("the port is taken");
        assert!(matches!(error, StartError::Listen { address, .. } if address == taken));
        let line = format!("cannot listen on {taken}: address already in use (another broker?)");
        assert_eq!(error.to_string(), line);
        Client::connect(taken, "still-served").ping();
    }
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let base = || options(DriverChoice::Epoll, 2);
    let nowhere: SocketAddr = "192.0.2.1:0".parse().unwrap();
    let cases = [
        (Options { shards: 0, ..base() }, "0 shards were asked for; a broker has 1 to 256"),
        (Options { shards: 257, ..base() }, "257 shards were asked for; a broker has 1 to 256"),
        (Options { cpus: Some(Vec::new()), ..base() }, "the list of CPUs to pin to is empty"),
        (Options { cpus: Some(vec![1_000_000]), ..base() }, "cannot pin a shard to CPU 1000000: "),
        (Options { listen: Vec::new(), ..base() }, "there is no address to listen on"),
        (Options { listen: vec![nowhere.into()], ..base() }, "cannot listen on 192.0.2.1:0: "),
    ];
    for (options, expected) in cases {
        let error = start(options).err().expect(expected).to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_broker_and_its_doors_may_go_to_any_thread() {
    fn anywhere<T: Send + Sync>() {}
    anywhere::<Running>();
    anywhere::<Inlet>();
    anywhere::<Decisions>();
}

#[test]
fn shards_can_be_pinned_and_a_later_start_is_not() {
    for driver in drivers() {
        let cpu = rustix::thread::sched_getcpu();
        let pinned = start(Options { cpus: Some(vec![cpu]), ..options(driver, 2) }).unwrap();
        Client::connect(address(&pinned), "pinned").ping();
        drop(pinned);
        let free = start(options(driver, 2)).unwrap();
        Client::connect(address(&free), "free").ping();
    }
}

#[test]
fn the_driver_is_told_with_its_reason() {
    let running = start(options(DriverChoice::Epoll, 1)).unwrap();
    assert_eq!((running.driver(), running.driver_reason()), (Driver::Epoll, "epoll: asked for"));
    let running = start(options(DriverChoice::Auto, 1)).unwrap();
    assert!(!running.driver_reason().contains('\n'));
    assert_eq!(running.driver_reason().starts_with("io_uring"), running.driver() == Driver::Uring);
}

#[test]
fn several_brokers_run_at_once_and_share_nothing() {
    let drivers = drivers();
    let brokers: Vec<_> =
        (0..6).map(|i| start(options(drivers[i % drivers.len()], 1 + i % 2)).unwrap()).collect();
    let mut clients: Vec<_> = brokers.iter().map(|broker| Client::connect(address(broker), "same")).collect();
    clients.iter_mut().for_each(|client| client.subscribe("here", 0));
    for (i, broker) in brokers.iter().enumerate() {
        let payload = i.to_string();
        Client::connect(address(broker), "publisher").publish_acknowledged("here", payload.as_bytes());
        assert_eq!(clients[i].message("here"), payload.as_bytes());
    }
}
