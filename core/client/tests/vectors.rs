//! The client over real sockets is sent every packet of the testsuite's vectors that a server may not send: it
//! says what stands there, closes, and tells the application [MQTT-4.13.1-1] [MQTT-4.8.0-1 of 3.1.1].

mod scripted;
#[path = "../../wire/tests/wire/vector_file.rs"]
mod vector_file;

use std::io::Write;

use ringmq_client::{Client, ConnectError, Options, Stopped, Version};
use ringmq_wire::{PacketKind, Sender};
use scripted::{PATIENCE, Server};
use vector_file::{Vector, Verdict, all};

/// Clauses: [MQTT-4.13.1-1] [MQTT-4.8.0-1 of 3.1.1].
#[test]
fn a_servers_bad_packet_is_answered_and_told() {
    let vectors = all();
    let bad = |vector: &&Vector| {
        vector.sender == Sender::Server && matches!(vector.verdict, Verdict::Breaks { .. })
    };
    let count = vectors.iter().filter(bad).map(play).count();
    assert!(count > 100, "only {count} vectors");
}

/// One connection that ends with the packet.
fn play(vector: &Vector) {
    let server = Server::new();
    let options = Options::new("127.0.0.1", server.port()).version(vector.version).client_id("c");
    let (bytes, version) = (vector.bytes.clone(), vector.version);
    let script = server.run(move |server| script(&server, &bytes, version));
    let client = Client::start(options.reconnect(None)).unwrap();
    assert!(client.recv().is_none(), "{}", vector.name);
    let stopped = client.stopped();
    let told = matches!(&stopped, Some(Stopped::Failed(ConnectError::Protocol(_))));
    assert!(told, "{}: {stopped:?}", vector.name);
    let mut said = script.join().unwrap();
    said.push("closed".to_owned());
    assert_eq!(Some(said.join(", ")), vector.answer, "{}", vector.name);
}

/// The server's part: CONNACK, unless the packet is one, then the packet, then what the client says.
fn script(server: &Server, bytes: &[u8], version: Version) -> Vec<String> {
    let mut connection = match bytes[0] >> 4 == PacketKind::Connack.number() {
        true => {
            let mut connection = server.accept();
            connection.expect(PacketKind::Connect);
            connection
        }
        false => server.connected(false),
    };
    connection.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.stream.write_all(bytes).unwrap();
    let mut said = Vec::new();
    while let Some(seen) = connection.next() {
        said.push(match seen.kind {
            PacketKind::Disconnect if version == Version::V5 => format!("DISCONNECT 0x{:02X}", seen.reason),
            kind => kind.name().to_owned(),
        });
    }
    said
}
