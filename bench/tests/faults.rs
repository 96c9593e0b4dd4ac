//! The load against a broker of thirty lines that can be told to misbehave: what it does wrong must be found,
//! called by its name, and nothing else must be.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ringmq_bench::{Failure, Plan, Report, Scenario, run};
use ringmq_wire::{
    Ack, Connack, Packet, PacketId, Properties, Publish, Qos, ReasonCode, Sender, Suback, Version, decode,
    frame, topic_matches,
};

const VERSION: Version = Version::V311;
/// The message, by its number at the broker, that gets the fault.
const FAULTY: u64 = 20;
/// How long a broker that pauses does.
const PAUSE: Duration = Duration::from_millis(150);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Lose,
    Duplicate,
    /// Deliver it after the next one.
    Swap,
    /// Deliver it to everybody, subscribed or not.
    Misroute,
    /// Never acknowledge it.
    KeepAck,
    /// Acknowledge it twice.
    AckTwice,
    /// Close the reader's connection instead.
    Close,
    /// Do nothing for [`PAUSE`] first.
    Pause,
}

struct Broker {
    fault: Fault,
    /// Filter, quality and connection of every reader.
    readers: Vec<(String, Qos, TcpStream)>,
    messages: u64,
    held_back: HashMap<usize, Vec<u8>>,
}

fn start(fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let broker =
        Arc::new(Mutex::new(Broker { fault, readers: vec![], messages: 0, held_back: HashMap::new() }));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, broker) = (stream.unwrap(), Arc::clone(&broker));
            thread::spawn(move || serve(stream, &broker));
        }
    });
    address
}

fn serve(mut stream: TcpStream, broker: &Mutex<Broker>) {
    stream.set_nodelay(true).unwrap();
    let (mut received, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(bytes @ 1..) = stream.read(&mut chunk) {
        received.extend_from_slice(&chunk[..bytes]);
        while let Some(frame) = frame::split(&received, u32::MAX).unwrap() {
            let packet = decode(VERSION, Sender::Client, &frame).unwrap();
            broker.lock().unwrap().handle(&mut stream, &packet);
            let bytes = frame.bytes;
            received.drain(..bytes);
        }
    }
}

fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(VERSION, &mut bytes);
    bytes
}

impl Broker {
    fn handle(&mut self, stream: &mut TcpStream, packet: &Packet<'_>) {
        let answer = match packet {
            Packet::Connect(_) => Packet::Connack(Connack {
                session_present: false,
                reason: ReasonCode::SUCCESS,
                properties: Properties::EMPTY,
            }),
            Packet::Subscribe(subscribe) => {
                let filter = subscribe.filters.iter().next().unwrap();
                let reader = stream.try_clone().unwrap();
                let qos = filter.options.qos;
                self.readers.push((filter.filter.whole().to_owned(), qos, reader));
                let codes = &[[0], [1], [2]][usize::from(qos.value())];
                let (packet_id, properties) = (subscribe.packet_id, Properties::EMPTY);
                let suback = Packet::Suback(Suback { packet_id, properties, codes });
                return stream.write_all(&encoded(&suback)).unwrap();
            }
            Packet::Publish(publish) => return self.publish(stream, publish),
            Packet::Pubrec(ack) => Packet::Pubrel(Ack::success(ack.packet_id)),
            Packet::Pubrel(ack) => Packet::Pubcomp(Ack::success(ack.packet_id)),
            _ => return,
        };
        let _ = stream.write_all(&encoded(&answer));
    }

    fn publish(&mut self, stream: &mut TcpStream, publish: &Publish<'_>) {
        self.messages += 1;
        let fault = if self.messages == FAULTY { self.fault } else { Fault::None };
        if fault == Fault::Pause {
            thread::sleep(PAUSE);
        }
        if let Some(id) = publish.packet_id {
            let ack = match publish.qos {
                Qos::ExactlyOnce => Packet::Pubrec(Ack::success(id)),
                _ => Packet::Puback(Ack::success(id)),
            };
            let times = if fault == Fault::KeepAck { 0 } else { 1 + usize::from(fault == Fault::AckTwice) };
            let _ = stream.write_all(&encoded(&ack).repeat(times));
        }
        for (index, (filter, qos, reader)) in self.readers.iter_mut().enumerate() {
            let matches = topic_matches(filter, publish.topic.as_str());
            if !matches && fault != Fault::Misroute {
                continue;
            }
            let packet_id =
                (*qos != Qos::AtMostOnce).then(|| PacketId::new((self.messages % 65_535) as u16 + 1));
            let packet_id = packet_id.flatten();
            let mut bytes = encoded(&Packet::Publish(Publish { qos: *qos, packet_id, ..*publish }));
            match fault {
                Fault::Lose => continue,
                Fault::Duplicate => bytes = bytes.repeat(2),
                Fault::Swap => {
                    self.held_back.insert(index, bytes);
                    continue;
                }
                Fault::Close => {
                    let _ = reader.shutdown(std::net::Shutdown::Both);
                }
                _ => bytes.extend(self.held_back.remove(&index).unwrap_or_default()),
            }
            let _ = reader.write_all(&bytes);
        }
    }
}

fn load(
    fault: Fault,
    scenario: Scenario,
    count: usize,
    qos: Qos,
    payload_bytes: usize,
) -> Result<Report, Failure> {
    let plan = Plan {
        window_messages: 4,
        qos,
        payload_bytes,
        version: VERSION,
        measured: Duration::from_millis(150),
        stall: Duration::from_secs(1),
        broker_pid: Some(std::process::id()),
        run_id: 7,
        ..Plan::new(start(fault), scenario, count)
    };
    run(&plan, &mut |_| {})
}

const SCENARIOS: [Scenario; 3] = [Scenario::Pairs, Scenario::FanIn, Scenario::FanOut];
const QUALITIES: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];

#[test]
fn an_honest_broker_has_no_fault_in_any_scenario_quality_and_size() {
    for scenario in SCENARIOS {
        for qos in QUALITIES {
            for payload_bytes in [16, 300_000] {
                let report = load(Fault::None, scenario, 3, qos, payload_bytes).unwrap();
                assert!(report.is_clean(), "{}", report.to_json());
                assert!(report.get("delivered") > Some(0.0), "{}", report.to_json());
            }
        }
    }
}

#[test]
fn each_fault_is_found_once_and_by_its_name() {
    let qos1 = Qos::AtLeastOnce;
    let rows = [
        (Fault::Lose, Scenario::Pairs, Qos::AtMostOnce, ("lost", 1)),
        (Fault::Lose, Scenario::FanOut, qos1, ("lost", 3)),
        (Fault::Duplicate, Scenario::FanIn, Qos::AtMostOnce, ("duplicated", 1)),
        (Fault::Duplicate, Scenario::FanOut, qos1, ("duplicated", 3)),
        (Fault::Swap, Scenario::FanOut, Qos::AtMostOnce, ("reordered", 3)),
        (Fault::Misroute, Scenario::Pairs, Qos::AtMostOnce, ("foreign", 2)),
        (Fault::KeepAck, Scenario::Pairs, qos1, ("acks_lost", 1)),
        (Fault::AckTwice, Scenario::FanIn, qos1, ("acks_unexpected", 1)),
    ];
    for (fault, scenario, qos, expected) in rows {
        let report = load(fault, scenario, 3, qos, 16).unwrap();
        let found: Vec<_> = report.faults().iter().copied().filter(|(_, count)| *count > 0).collect();
        assert_eq!(found, [expected], "{fault:?}: {}", report.to_json());
    }
}

#[test]
fn bursts_find_a_loss_and_go_on() {
    let plan = Plan {
        bursts: true,
        window_messages: 4,
        version: VERSION,
        measured: Duration::from_millis(1500),
        stall: Duration::from_millis(300),
        ..Plan::new(start(Fault::Lose), Scenario::Pairs, 1)
    };
    let report = run(&plan, &mut |_| {}).unwrap();
    let found: Vec<_> = report.faults().iter().copied().filter(|(_, count)| *count > 0).collect();
    assert_eq!(found, [("lost", 1)], "{}", report.to_json());
    // The only publisher waited for what was lost and went on.
    assert!(report.get("published_in_all") > Some(100.0), "{}", report.to_json());
    assert_eq!(report.get("published_in_all").unwrap() % 4.0, 0.0, "bursts are whole: {}", report.to_json());
}

#[test]
fn a_broker_that_closes_a_connection_ends_the_run() {
    let ended = load(Fault::Close, Scenario::Pairs, 2, Qos::AtMostOnce, 16);
    assert!(matches!(ended, Err(Failure::Closed(_) | Failure::Io(..))), "{ended:?}");
}

#[test]
fn an_open_loop_counts_latency_from_when_a_publish_was_due() {
    let plan = Plan {
        // One message under way at a time: only one of them meets the pause, all others are made late.
        window_messages: 1,
        rate: Some(1000.0),
        latency: true,
        measured: Duration::from_millis(400),
        ..Plan::new(start(Fault::Pause), Scenario::Pairs, 1)
    };
    let report = run(&plan, &mut |_| {}).unwrap();
    assert!(report.is_clean(), "{}", report.to_json());
    let latency = report.latency.as_ref().unwrap();
    assert!((399..=401).contains(&latency.count()), "{}", report.to_json());
    // 150 of 400 were due in the pause, every other one of them in its first half.
    assert!(latency.quantile_us(0.9) > PAUSE.as_micros() as f64 / 2.0, "{}", report.to_json());
    assert!(latency.max_us() > PAUSE.as_micros() as f64 * 0.9, "{}", report.to_json());
}
