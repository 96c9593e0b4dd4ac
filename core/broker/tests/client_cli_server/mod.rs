//! A server that plays a script to one client command after the other and notes what each sent. It speaks
//! MQTT by the codec alone and keeps no state between connections; it is no broker.

#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use ringmq_wire::{
    Ack, Connack, Packet, PacketId, Properties, PropertiesBuffer, Property, PropertyValue, Publish, Qos,
    ReasonCode, Sender, Suback, TopicName, Unsuback, Version, decode, frame,
};

/// What the server does.
#[derive(Clone, Default)]
pub struct Script {
    /// The answer to CONNECT; success by default.
    pub connack: Option<ReasonCode>,
    /// The answer to each PUBLISH of QoS 1 and 2; success by default.
    pub published: Option<ReasonCode>,
    /// The answer to each filter; the QoS asked for by default.
    pub subscribed: Option<u8>,
    /// What is sent after SUBACK.
    pub messages: Vec<Message>,
    /// How many of the first connections are closed after what they asked for was sent.
    pub connections_cut: usize,
    /// Whether each PUBLISH is answered by one of its payload to its response topic.
    pub answer_requests: bool,
}

/// A message that the server sends.
#[derive(Clone)]
pub struct Message {
    pub topic: &'static str,
    pub payload: &'static [u8],
    pub qos: Qos,
    pub retain: bool,
    pub properties: PropertiesBuffer,
}

/// A message of QoS 0 without properties.
pub fn message(topic: &'static str, payload: &'static [u8]) -> Message {
    Message { topic, payload, qos: Qos::AtMostOnce, retain: false, properties: PropertiesBuffer::new() }
}

/// A running server; its threads end with the test process.
pub struct Server {
    address: SocketAddr,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
        let address = listener.local_addr().expect("it is bound");
        let notes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&notes);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (script, notes) = (script.clone(), Arc::clone(&shared));
                let cut = number < script.connections_cut;
                let stream = stream.expect("accepted");
                thread::spawn(move || {
                    Connection { stream, script, notes, cut, version: Version::V311 }.serve()
                });
            }
        });
        Self { address, notes }
    }

    /// What the clients sent, a line for each packet but PINGREQ; empties the notes.
    pub fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().expect("no thread panicked with it"))
    }

    /// A client command for this server.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringmq"));
        let (port, host) = (self.address.port().to_string(), self.address.ip().to_string());
        command.args([arguments[0], "-h", &host, "-p", &port]).args(&arguments[1..]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a client command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::from(self.command(arguments).output().expect("the program runs"))
    }

    /// Runs a client command with this standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Ended {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("the program runs");
        child.stdin.take().expect("piped").write_all(input).expect("the program reads");
        Ended::from(child.wait_with_output().expect("it was started here"))
    }
}

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A command that ended well and printed this.
pub fn printed(stdout: &str) -> Ended {
    Ended { code: Some(0), stdout: stdout.to_owned(), stderr: String::new() }
}

/// A command that ended badly with nothing on standard output.
pub fn failed(code: i32, stderr: &str) -> Ended {
    Ended { code: Some(code), stdout: String::new(), stderr: stderr.to_owned() }
}

struct Connection {
    stream: TcpStream,
    script: Script,
    notes: Arc<Mutex<Vec<String>>>,
    cut: bool,
    version: Version,
}

impl Connection {
    fn serve(mut self) {
        let mut buffer = Vec::new();
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return,
                Ok(count) => buffer.extend_from_slice(&chunk[..count]),
            }
            let mut done = 0;
            while let Some(found) = frame::split(&buffer[done..], u32::MAX).expect("the client frames well") {
                done += found.bytes;
                let packet = decode(self.version, Sender::Client, &found).expect("the client encodes well");
                let mut out = Vec::new();
                let stays = self.packet(&packet, &mut out);
                // A client that has gone away reads no answer.
                let _ = self.stream.write_all(&out);
                if !stays {
                    return;
                }
            }
            buffer.drain(..done);
        }
    }

    fn note(&self, line: String) {
        self.notes.lock().expect("no thread panicked with it").push(line);
    }

    /// Notes and answers a packet; false when the connection is over.
    fn packet(&mut self, packet: &Packet<'_>, out: &mut Vec<u8>) -> bool {
        match packet {
            Packet::Connect(connect) => {
                self.version = connect.version;
                self.note(note_connect(connect));
                let reason = self.script.connack.unwrap_or(ReasonCode::SUCCESS);
                let connack = Connack { session_present: false, reason, properties: Properties::EMPTY };
                self.encode(&Packet::Connack(connack), out);
                return !reason.is_error();
            }
            Packet::Publish(publish) => return self.publish(publish, out),
            Packet::Pubrel(ack) => self.encode(&Packet::Pubcomp(Ack::success(ack.packet_id)), out),
            Packet::Subscribe(subscribe) => {
                let mut codes = Vec::new();
                for filter in subscribe.filters.iter() {
                    codes.push(self.script.subscribed.unwrap_or(filter.options.qos.value()));
                    self.note(format!("SUBSCRIBE {} {:#04x}", filter.filter.whole(), filter.options.to_u8()));
                }
                let properties = Properties::EMPTY;
                let suback = Suback { packet_id: subscribe.packet_id, properties, codes: &codes };
                self.encode(&Packet::Suback(suback), out);
                self.send_messages(out);
                return !self.cut;
            }
            Packet::Unsubscribe(unsubscribe) => {
                let mut codes = Vec::new();
                for filter in unsubscribe.filters.iter() {
                    codes.push(0);
                    self.note(format!("UNSUBSCRIBE {}", filter.whole()));
                }
                let codes = if self.version == Version::V5 { &codes[..] } else { &[] };
                let unsuback =
                    Unsuback { packet_id: unsubscribe.packet_id, properties: Properties::EMPTY, codes };
                self.encode(&Packet::Unsuback(unsuback), out);
            }
            Packet::Puback(ack) => self.note(format!("PUBACK {}", ack.packet_id.value())),
            Packet::Pubrec(ack) => {
                self.note(format!("PUBREC {}", ack.packet_id.value()));
                self.encode(&Packet::Pubrel(Ack::success(ack.packet_id)), out);
            }
            Packet::Pingreq => self.encode(&Packet::Pingresp, out),
            Packet::Disconnect(disconnect) => {
                self.note(format!(
                    "DISCONNECT {:#04x}{}",
                    disconnect.reason.value(),
                    note_properties(disconnect.properties)
                ));
                return false;
            }
            _ => {}
        }
        true
    }

    fn publish(&mut self, publish: &Publish<'_>, out: &mut Vec<u8>) -> bool {
        self.note(format!(
            "PUBLISH {} q{} r{} {:?}{}",
            publish.topic.as_str(),
            publish.qos.value(),
            u8::from(publish.retain),
            String::from_utf8_lossy(publish.payload),
            note_properties(publish.properties)
        ));
        if self.cut {
            return false;
        }
        if let Some(packet_id) = publish.packet_id {
            let reason = self.script.published.unwrap_or(ReasonCode::SUCCESS);
            let ack = Ack { packet_id, reason, properties: Properties::EMPTY };
            let exactly_once = publish.qos == Qos::ExactlyOnce;
            self.encode(&if exactly_once { Packet::Pubrec(ack) } else { Packet::Puback(ack) }, out);
        }
        if self.script.answer_requests {
            let topic = publish.properties.str(Property::ResponseTopic).unwrap_or("answers");
            let answer = Publish {
                dup: false,
                qos: Qos::AtMostOnce,
                retain: false,
                topic: TopicName::new(topic).expect("judged by the codec"),
                packet_id: None,
                properties: Properties::EMPTY,
                payload: publish.payload,
            };
            self.encode(&Packet::Publish(answer), out);
        }
        true
    }

    fn send_messages(&self, out: &mut Vec<u8>) {
        for (message, number) in self.script.messages.iter().zip(1..) {
            let packet_id = PacketId::new(number).filter(|_| message.qos != Qos::AtMostOnce);
            let publish = Publish {
                dup: false,
                qos: message.qos,
                retain: message.retain,
                topic: TopicName::new(message.topic).expect("a valid name"),
                packet_id,
                properties: message.properties.as_properties(),
                payload: message.payload,
            };
            self.encode(&Packet::Publish(publish), out);
        }
    }

    fn encode(&self, packet: &Packet<'_>, out: &mut Vec<u8>) {
        packet.encode(self.version, out);
    }
}

fn note_connect(connect: &ringmq_wire::Connect<'_>) -> String {
    let mut note = format!(
        "CONNECT {} id={} clean={} keep={}",
        connect.version.name(),
        connect.client_id,
        u8::from(connect.clean_start),
        connect.keep_alive
    );
    if let Some(name) = connect.user_name {
        note += &format!(" user={name}");
    }
    if let Some(password) = connect.password {
        note += &format!(" password={}", String::from_utf8_lossy(password));
    }
    if let Some(will) = &connect.will {
        let payload = String::from_utf8_lossy(will.payload);
        let (qos, retain) = (will.qos.value(), u8::from(will.retain));
        note += &format!(" will={} q{qos} r{retain} {payload:?}", will.topic.as_str());
        note += &note_properties(will.properties);
    }
    note + &note_properties(connect.properties)
}

fn note_properties(properties: Properties<'_>) -> String {
    let mut note = String::new();
    for (property, value) in properties.iter() {
        let value = match value {
            PropertyValue::U8(number) => number.to_string(),
            PropertyValue::U16(number) => number.to_string(),
            PropertyValue::U32(number) | PropertyValue::Variable(number) => number.to_string(),
            PropertyValue::Str(text) => text.to_owned(),
            PropertyValue::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            PropertyValue::Pair(name, value) => format!("{name}:{value}"),
        };
        note += &format!(" [{}={value}]", property.name());
    }
    note
}
