//! Clients that connect, are accepted, say goodbye and come back at once: what a connection costs, with and without
//! a session that is still there when its client comes back.

use std::time::{Duration, Instant};

use ringmq_net::Layers;
use ringmq_wire::{Disconnect, Packet, PacketKind, ReasonCode, Sender, decode, frame};

use crate::connection::{Connection, Read};
use crate::handshake::{Handshake, KEEP_ALIVE, Session, client_id, connect_packet};
use crate::latency::Latency;
use crate::load::polling;
use crate::meter::Mark;
use crate::poller::{Poller, Ready};
use crate::{Failure, Plan, Report, Tell, raise_descriptor_limit, socket};

/// The longest sleep while nothing is ready.
const SLEEP_MAX: Duration = Duration::from_millis(20);
/// What a CONNACK takes at most is far less.
const READ_BYTES_MAX: usize = 4096;
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A client on its way in.
struct Client {
    connection: Connection,
    since: Instant,
    /// Whether its CONNECT is on its way.
    asked: bool,
    received: Vec<u8>,
}

struct Storm<'a> {
    plan: &'a Plan,
    session: Session,
    poller: Poller,
    clients: Vec<Client>,
    latency: Latency,
    connected: u64,
    /// Clients whose session was not there although it should be, or the other way round.
    sessions_wrong: u64,
}

/// Runs a storm of connections.
pub(crate) fn run(plan: &Plan, tell: &mut Tell<'_>) -> Result<Report, Failure> {
    raise_descriptor_limit();
    let session = if plan.persistent { Session::Lasting } else { Session::Clean };
    if plan.persistent {
        tell("making the sessions");
        (0..plan.count).try_for_each(|number| visit(plan, number, Session::Lasting))?;
    }
    let mut storm = Storm {
        plan,
        session,
        poller: Poller::new().map_err(polling)?,
        clients: Vec::with_capacity(plan.count),
        latency: Latency::new(),
        connected: 0,
        sessions_wrong: 0,
    };
    for number in 0..plan.count {
        let client = storm.begin(number)?;
        storm.clients.push(client);
    }
    storm.drive(plan.warmup, tell)?;
    (storm.latency, storm.connected) = (Latency::new(), 0);
    let before = Mark::now(plan)?;
    storm.drive(plan.measured, tell)?;
    let after = Mark::now(plan)?;
    let mut report = Report::new(plan);
    report.figure("persistent", f64::from(u8::from(plan.persistent)));
    report.figures(after.figures_since(&before));
    report.figure("connects", storm.connected as f64);
    report.figure("connects_per_second", storm.connected as f64 / after.seconds_since(&before));
    if let Some(seconds) = after.broker_seconds_since(&before) {
        report.figure("broker_us_per_connect", seconds * 1e6 / storm.connected.max(1) as f64);
    }
    report.fault("sessions_wrong", storm.sessions_wrong);
    report.latency(storm.latency);
    drop(storm.clients);
    if plan.persistent {
        (0..plan.count).try_for_each(|number| visit(plan, number, Session::Clean))?;
    }
    Ok(report)
}

/// Comes and goes; a lasting session gets a subscription, a clean one ends what was left.
fn visit(plan: &Plan, number: usize, session: Session) -> Result<(), Failure> {
    let mut handshake = Handshake::open(plan, "c", number)?;
    handshake.connect(session, KEEP_ALIVE)?;
    if session == Session::Lasting {
        handshake.subscribe([plan.topic(number)])?;
    }
    handshake.send_packet(&Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION)))
}

impl Storm<'_> {
    /// Begins a connection of the client of this number.
    fn begin(&self, number: usize) -> Result<Client, Failure> {
        let since = Instant::now();
        let connecting = |error| Failure::Io("connecting", error);
        let stream = socket::begin(self.plan.broker, number).map_err(connecting)?;
        let name = client_id(self.plan, "c", number);
        let mut connection =
            Connection::new(stream, Layers::Plain, name.clone(), Vec::new()).map_err(connecting)?;
        connection.out().extend_from_slice(&connect_packet(self.plan, &name, self.session, KEEP_ALIVE));
        self.poller.add(&connection.stream, number).map_err(polling)?;
        self.poller.watch(&connection.stream, number, true).map_err(polling)?;
        Ok(Client { connection, since, asked: false, received: Vec::new() })
    }

    fn drive(&mut self, duration: Duration, tell: &mut Tell<'_>) -> Result<(), Failure> {
        let (mut ready, mut buffer) = (Vec::new(), vec![0; READ_BYTES_MAX]);
        let end = Instant::now() + duration;
        let mut told = Instant::now();
        while Instant::now() < end {
            self.poller.wait(&mut ready, SLEEP_MAX).map_err(polling)?;
            for event in &ready {
                self.serve(event, &mut buffer)?;
            }
            if told.elapsed() > TELL_EVERY {
                told = Instant::now();
                tell(&format!("{} connections made", self.connected));
            }
        }
        Ok(())
    }

    fn serve(&mut self, event: &Ready, buffer: &mut [u8]) -> Result<(), Failure> {
        let client = &mut self.clients[event.index];
        if event.writable && !client.asked {
            client.asked = client.connection.flush().map_err(|error| Failure::Io("connecting", error))?;
            self.poller.watch(&client.connection.stream, event.index, !client.asked).map_err(polling)?;
        }
        if !event.readable {
            return Ok(());
        }
        match client.connection.read(buffer).map_err(|error| Failure::Io("reading", error))? {
            Read::Nothing => return Ok(()),
            Read::End => return Err(Failure::Closed(client.connection.name.clone())),
            Read::Bytes(bytes) => client.received.extend_from_slice(&buffer[..bytes]),
        }
        let Some(frame) = frame::split(&client.received, u32::MAX)? else { return Ok(()) };
        let present = match decode(self.plan.version, Sender::Server, &frame)? {
            Packet::Connack(connack) if connack.reason == ReasonCode::SUCCESS => connack.session_present,
            Packet::Connack(connack) => return Err(Failure::Refused(PacketKind::Connack, connack.reason)),
            other => return Err(Failure::Unexpected(other.kind())),
        };
        self.latency.record(client.since.elapsed());
        self.connected += 1;
        self.sessions_wrong += u64::from(present != self.plan.persistent);
        Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION))
            .encode(self.plan.version, client.connection.out());
        // Nobody waits for it; what cannot leave at once is the same as a lost connection.
        let _ = client.connection.flush();
        self.poller.remove(&client.connection.stream).map_err(polling)?;
        self.clients[event.index] = self.begin(event.index)?;
        Ok(())
    }
}
