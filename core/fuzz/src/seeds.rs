//! Inputs to begin with, made by code: right packets of every type and version, records of every kind, batches
//! as shards send them, and noise for the targets that read their input as a script. Without them a fuzzer has
//! to find the shape of a CONNECT or of a checksummed record by chance, which takes it hours.

use std::path::Path;

use ringmq_store::OwnedCommand;
use ringmq_store::record::encode;
use ringmq_wire::{Property, Qos, ReasonCode, SubscriptionOptions, Version};

use crate::harness::packets::{self, AckKind, Hello, Post, with_qos};
use crate::harness::random::Random;
use crate::harness::world::{Setup, World};
use crate::layers;

#[path = "../../store/tests/record/golden.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, unused_imports)]
mod golden;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// The record of a command, as the store's tests make it.
#[allow(dead_code)]
pub fn record(command: &OwnedCommand) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&command.as_command(), &mut bytes);
    bytes
}

/// Writes the seeds of one target into a folder; none for a name that is no target.
///
/// # Errors
/// The folder or a file cannot be written.
pub fn write(target: &str, folder: &Path) -> std::io::Result<usize> {
    std::fs::create_dir_all(folder)?;
    let seeds = of(target);
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number:03}")), seed)?;
    }
    Ok(seeds.len())
}

fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "frame" => VERSIONS.iter().map(|version| prefixed(&[3], &client(*version).concat())).collect(),
        "decode_client" => VERSIONS.into_iter().flat_map(client).map(without_length).collect(),
        "decode_server" => VERSIONS.into_iter().flat_map(server).map(without_length).collect(),
        "record" => golden::records().into_iter().map(|(_, record)| record).collect(),
        "stream" => streams(),
        "websocket" => websockets(),
        "proxy" => proxies(),
        "tls" => crate::tls::scripts(),
        "mesh" => batches(),
        "model" => noise(12, 3_000),
        "acl" => acl_files(),
        "password" => password_files(),
        "token" => token_parts(),
        "connection" | "peer" => noise(30, 800),
        _ => crate::configuration::seeds(target),
    }
}

fn prefixed(head: &[u8], bytes: &[u8]) -> Vec<u8> {
    [head, bytes].concat()
}

/// A decode target is handed the first byte and the body.
fn without_length(packet: Vec<u8>) -> Vec<u8> {
    let length_bytes = packet[1..].iter().position(|byte| *byte < 0x80).expect("a whole packet") + 1;
    prefixed(&packet[..1], &packet[1 + length_bytes..])
}

/// One right packet of each type that a client sends, CONNECT first.
fn client(version: Version) -> Vec<Vec<u8>> {
    let mut hello = Hello::new(version, "one").will("a/b", b"gone", Qos::AtLeastOnce, true).keep_alive(60);
    let mut post = Post::new("a/b", "payload", 2, 3).retained();
    if version == Version::V5 {
        hello = hello.expiry(60).receive_maximum(5).will_delay(1);
        hello.properties.push_u32(Property::MaximumPacketSize, 1_000);
        hello.properties.push_u16(Property::TopicAliasMaximum, 3);
        hello.properties.push_user("name", "value");
        post.properties.push_u16(Property::TopicAlias, 1);
        post.properties.push_u32(Property::MessageExpiryInterval, 30);
        post.properties.push_str(Property::ResponseTopic, "response");
        post.properties.push_bytes(Property::CorrelationData, b"42");
    }
    let filters = [("a/+", with_qos(1)), ("$share/g/#", SubscriptionOptions::default())];
    let identifier = (version == Version::V5).then_some(7);
    let mut all = vec![
        hello.encode(),
        packets::subscribe(version, 1, &filters, identifier),
        Post::new("a/b", "x", 1, 2).encode(version),
        post.encode(version),
        Post::new("a/c", "y", 0, 0).encode(version),
    ];
    all.extend(acks(version));
    all.extend([packets::unsubscribe(version, 4, &["a/+"]), packets::pingreq(version)]);
    all.push(packets::disconnect(version, ReasonCode::NORMAL_DISCONNECTION));
    all
}

fn acks(version: Version) -> Vec<Vec<u8>> {
    let kinds = [AckKind::Puback, AckKind::Pubrec, AckKind::Pubrel, AckKind::Pubcomp];
    kinds.into_iter().map(|kind| packets::ack(version, kind, 3, ReasonCode::SUCCESS)).collect()
}

/// What a broker answers to all of that, packet by packet.
fn server(version: Version) -> Vec<Vec<u8>> {
    let mut world = World::new(&Setup::new(1, 1));
    let net = world.dial(0, version);
    let mut all = Vec::new();
    for packet in client(version) {
        world.send(net, &packet);
        world.run();
        let mut received = std::mem::take(&mut world.nets[net.0].received);
        while let Ok(Some(bytes)) = ringmq_wire::frame::announced(&received) {
            let rest = received.split_off(bytes);
            all.push(std::mem::replace(&mut received, rest));
        }
    }
    all.extend(acks(version));
    if version == Version::V5 {
        all.push(vec![0xe0, 2, 0x8b, 0]);
        all.push(vec![0xf0, 7, 0x18, 5, 0x15, 0, 2, b'm', b'e']);
    }
    all
}

/// All packets of a client behind the CONNECT of the stream, and once with their own.
fn streams() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (number, version) in VERSIONS.into_iter().enumerate() {
        let packets = client(version);
        all.push(prefixed(&[number as u8, 0, 4], &packets.concat()));
        for (index, packet) in packets[1..].iter().enumerate() {
            all.push(prefixed(&[index as u8, number as u8 + 1, 2], packet));
        }
        all.push(prefixed(&[64, number as u8 + 1, 9], &packets[1..].concat()));
    }
    all
}

/// Frames behind a request that is theirs and behind one of the target's.
fn websockets() -> Vec<Vec<u8>> {
    let frames = layers::frames();
    let behind = frames.iter().map(|frames| prefixed(&[0, 9], frames));
    let own = frames.iter().map(|frames| prefixed(&[3, 30], &prefixed(layers::REQUEST, frames)));
    behind.chain(own).collect()
}

/// Headers with and without something behind them.
fn proxies() -> Vec<Vec<u8>> {
    let headers = layers::proxy_headers().into_iter().enumerate();
    headers.map(|(number, header)| prefixed(&[0, number as u8], &prefixed(&header, b"\x10\x0c"))).collect()
}

/// What two shards send each other while clients use everything.
fn batches() -> Vec<Vec<u8>> {
    let mut kept = Vec::new();
    for moving in [true, false] {
        let mut world = World::new(&Setup::new(2, 5).moving(moving));
        world.lanes.borrow_mut().kept = Some(Vec::new());
        for (number, version) in VERSIONS.into_iter().enumerate() {
            let net = world.dial(number % 2, version);
            for packet in client(version) {
                world.send(net, &packet);
                world.run();
            }
            world.hang_up(net, 0);
            world.pass(2_000, 500);
        }
        kept.extend(world.lanes.borrow_mut().kept.take().unwrap_or_default());
    }
    kept.sort();
    kept.dedup();
    kept
}

/// Bytes without any sense.
fn noise(count: usize, bytes: usize) -> Vec<Vec<u8>> {
    let mut random = Random::new(11);
    (0..count).map(|_| (0..bytes).map(|_| random.next() as u8).collect()).collect()
}

/// Files, each with a ClientID, a user name and topics behind it.
fn acl_files() -> Vec<Vec<u8>> {
    let all = "topic read a/#\nuser u\ntopic readwrite +/b\ntopic deny a/x y\npattern write %c/%u/x-%u%c/#\npattern deny $s/%c\n";
    let asked = "\0c\0u\0a/b\0a/x y\0c/u/x-uc/d\0$s/c";
    let lines = all.lines().map(|line| format!("{line}\n{asked}"));
    lines
        .chain([format!("{all}{asked}"), format!("# a\n\n{all}\0a/b\0+\0a/a/b\0$s/a/b")])
        .map(String::into_bytes)
        .collect()
}

/// One user of each form, all of them, and each stored password alone.
fn password_files() -> Vec<Vec<u8>> {
    let salt = "MDEyMzQ1Njc4OWFi";
    let hash = "A".repeat(86);
    let stored = [
        format!("$6${salt}${hash}=="),
        format!("$7$101${salt}${hash}=="),
        format!("$argon2id$v=19$m=47104,t=1,p=1${salt}${hash}"),
    ];
    let lines: Vec<String> =
        stored.iter().enumerate().map(|(n, stored)| format!("u{n}:{stored}\n")).collect();
    let whole = format!("# users\n{}", lines.concat());
    stored.into_iter().chain(lines).chain([whole]).map(String::into_bytes).collect()
}

/// Claims, sets of keys and a whole token.
fn token_parts() -> Vec<Vec<u8>> {
    let parts = [
        r#"{"sub":"a","exp":100,"nbf":1.5,"aud":["x"],"acl":{"pub":["a/%c"],"sub":["b/#"],"deny":["c"]}}"#,
        r#"{"keys":[{"kty":"oct","kid":"k","use":"sig","key_ops":["verify"],"k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T"}]}"#,
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODB9.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n",
    ];
    parts.iter().map(|part| part.as_bytes().to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Taker = (&'static str, fn(&[u8]));

    /// Every target that takes bytes has seeds, and takes them.
    #[test]
    fn every_target_takes_its_seeds() {
        let takers: [Taker; 10] = [
            ("frame", crate::frame),
            ("decode_client", crate::decode_client),
            ("decode_server", crate::decode_server),
            ("record", crate::stored),
            ("stream", crate::stream),
            ("mesh", crate::mesh),
            ("websocket", crate::websocket),
            ("proxy", crate::proxy),
            ("tls", crate::tls),
            ("model", crate::model),
        ];
        for (target, take) in takers {
            let seeds = of(target);
            assert!(seeds.len() >= 3, "{target}");
            seeds.iter().for_each(|seed| take(seed));
        }
        assert_eq!(of("nothing"), Vec::<Vec<u8>>::new());
    }

    /// Each seed of a decode target is a packet that can be read in one of the versions.
    #[test]
    fn seeds_are_right_packets() {
        for version in VERSIONS {
            assert_eq!(client(version).len(), 12);
            assert!(server(version).len() > 8);
        }
    }
}
