//! The run itself: opens the connections, keeps every window full and books what comes back.
//!
//! A turn takes what is ready, answers it, fills the windows that got room and then writes once to each
//! connection that has something to leave, so that the load costs little beside the broker it drives.

use std::mem;
use std::time::{Duration, Instant};

use ringmq_wire::{Ack, Disconnect, Packet, PacketKind, Publish, Qos, ReasonCode, Sender, decode, frame};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::connection::{Connection, Read};
use crate::handshake::{open_publisher, open_reader};
use crate::ledger::Ledger;
use crate::poller::{Poller, Ready};
use crate::process::{self, CpuTime};
use crate::stamp::{STAMP_BYTES, Stamp};
use crate::template::Template;
use crate::{Failure, Plan, Report, WINDOW_MESSAGES_MAX};

/// What one read may bring, in bytes: many small packets, or a good part of a large one.
const READ_BYTES_MAX: usize = 256 << 10;
/// With so many bytes to leave a publisher waits, so that large payloads do not fill the memory.
const PENDING_BYTES_MAX: usize = 256 << 10;
/// The longest sleep while nothing is ready; deadlines are looked at in between.
const SLEEP_MAX: Duration = Duration::from_millis(20);
/// How often publishers that stand still are looked for.
const STALL_SCAN: Duration = Duration::from_millis(100);
/// How long the end listens for what should not come any more, such as duplicates.
const AFTERMATH: Duration = Duration::from_millis(50);

/// Runs a plan against a broker that listens.
///
/// Errors: whatever ends a run early; a run that ends in time with faults is a [`Report`] that tells them.
pub fn run(plan: &Plan) -> Result<Report, Failure> {
    let mut load = Load::open(plan)?;
    load.drive(plan.warmup)?;
    let before = load.snapshot()?;
    load.longest_wait = Duration::ZERO;
    load.drive(plan.measured)?;
    let after = load.snapshot()?;
    let broker_resident_bytes =
        plan.broker_pid.map(process::resident_bytes).transpose().map_err(reading_process)?;
    let longest_wait_seconds = load.longest_wait.as_secs_f64();
    load.drain()?;
    Ok(Report {
        plan: plan.clone(),
        window_messages: load.window,
        seconds: (after.at - before.at).as_secs_f64(),
        published: after.published - before.published,
        delivered: after.delivered - before.delivered,
        totals: load.ledger.counts(),
        broker_cpu: after.broker_cpu.zip(before.broker_cpu).map(|(after, before)| after.since(before)),
        broker_resident_bytes,
        longest_wait_seconds,
        load_cpu: after.load_cpu.since(before.load_cpu),
        machine_busy_seconds: after.machine_busy_seconds - before.machine_busy_seconds,
        machine_stolen_seconds: after.machine_stolen_seconds - before.machine_stolen_seconds,
    })
}

/// Where everything stood at one moment.
struct Snapshot {
    at: Instant,
    published: u64,
    delivered: u64,
    broker_cpu: Option<CpuTime>,
    load_cpu: CpuTime,
    machine_busy_seconds: f64,
    machine_stolen_seconds: f64,
}

struct Load<'a> {
    plan: &'a Plan,
    window: usize,
    poller: Poller,
    /// Publishers first, readers behind them.
    connections: Vec<Connection>,
    templates: Vec<Template>,
    filling: Vec<u8>,
    ledger: Ledger,
    /// When each publisher's messages last moved.
    moved: Vec<Instant>,
    /// The longest that any publisher saw nothing move before something did.
    longest_wait: Duration,
    /// Publishers that may have room; each stands here once, as `awake` says.
    wake: Vec<usize>,
    awake: Vec<bool>,
    /// Connections with something to leave.
    dirty: Vec<usize>,
    publishing: bool,
    now: Instant,
    stalls_scanned: Instant,
    read_buffer: Vec<u8>,
    ready: Vec<Ready>,
}

impl<'a> Load<'a> {
    /// Opens all connections, readers first, so that no message finds its reader missing.
    fn open(plan: &'a Plan) -> Result<Load<'a>, Failure> {
        raise_descriptor_limit();
        let mut window = plan.window_messages.min(WINDOW_MESSAGES_MAX);
        let templates = (0..plan.publishers()).map(|publisher| Template::new(plan, publisher));
        let templates = templates.collect::<Result<Vec<_>, _>>()?;
        let readers = (0..plan.readers()).map(|reader| open_reader(plan, reader));
        let mut readers = readers.collect::<Result<Vec<_>, _>>()?;
        let mut connections = Vec::with_capacity(plan.publishers() + plan.readers());
        for (publisher, template) in templates.iter().enumerate() {
            let packet_bytes = template.packet_bytes(plan.payload_bytes);
            let (connection, receive_maximum) = open_publisher(plan, publisher, packet_bytes)?;
            if plan.qos != Qos::AtMostOnce {
                window = window.min(receive_maximum);
            }
            connections.push(connection);
        }
        connections.append(&mut readers);
        let poller = Poller::new().map_err(polling)?;
        for (index, connection) in connections.iter().enumerate() {
            poller.add(&connection.stream, index).map_err(polling)?;
        }
        let now = Instant::now();
        Ok(Load {
            plan,
            window,
            poller,
            connections,
            templates,
            filling: vec![0; plan.payload_bytes - STAMP_BYTES],
            ledger: Ledger::new(plan, window),
            moved: vec![now; plan.publishers()],
            longest_wait: Duration::ZERO,
            wake: (0..plan.publishers()).collect(),
            awake: vec![true; plan.publishers()],
            dirty: Vec::new(),
            publishing: true,
            now,
            stalls_scanned: now,
            read_buffer: vec![0; READ_BYTES_MAX],
            ready: Vec::new(),
        })
    }

    /// Keeps the windows full for so long.
    fn drive(&mut self, duration: Duration) -> Result<(), Failure> {
        let end = Instant::now() + duration;
        loop {
            self.turn()?;
            if self.now >= end {
                return Ok(());
            }
            self.give_up_stalled();
        }
    }

    /// Publishes no more and waits for what is under way, then a little for what should not come.
    fn drain(&mut self) -> Result<(), Failure> {
        self.publishing = false;
        while self.ledger.under_way() > 0 {
            self.turn()?;
            self.give_up_stalled();
        }
        let end = Instant::now() + AFTERMATH;
        while self.now < end {
            self.turn()?;
        }
        if self.plan.relay {
            return Ok(());
        }
        for index in 0..self.connections.len() {
            Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION))
                .encode(self.plan.version, self.connections[index].out());
            // The run is over: a broker that closes first has done nothing wrong.
            let _ = self.connections[index].flush();
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Snapshot, Failure> {
        let (machine_busy_seconds, machine_stolen_seconds) =
            process::machine_seconds().map_err(reading_process)?;
        let counts = self.ledger.counts();
        Ok(Snapshot {
            at: Instant::now(),
            published: counts.published,
            delivered: counts.delivered,
            broker_cpu: self.plan.broker_pid.map(process::cpu_time).transpose().map_err(reading_process)?,
            load_cpu: process::cpu_time(std::process::id()).map_err(reading_process)?,
            machine_busy_seconds,
            machine_stolen_seconds,
        })
    }

    fn turn(&mut self) -> Result<(), Failure> {
        let mut ready = mem::take(&mut self.ready);
        let sleep = if self.wake.is_empty() { SLEEP_MAX } else { Duration::ZERO };
        self.poller.wait(&mut ready, sleep).map_err(polling)?;
        self.now = Instant::now();
        for event in &ready {
            if event.readable {
                self.receive(event.index)?;
            }
            if event.writable {
                self.mark_dirty(event.index);
            }
        }
        self.ready = ready;
        self.fill();
        self.flush()
    }

    /// Reads once from a connection and handles every whole packet.
    fn receive(&mut self, index: usize) -> Result<(), Failure> {
        let mut buffer = mem::take(&mut self.read_buffer);
        let read = self.connections[index].read(&mut buffer);
        let handled = match read.map_err(|error| Failure::Io("reading", error))? {
            Read::Nothing => Ok(()),
            Read::End => Err(Failure::Closed(self.connections[index].name.clone())),
            Read::Bytes(bytes) => self.arrived(index, &buffer[..bytes]),
        };
        self.read_buffer = buffer;
        handled
    }

    fn arrived(&mut self, index: usize, bytes: &[u8]) -> Result<(), Failure> {
        let mut tail = self.connections[index].take_tail();
        if tail.is_empty() {
            let handled = self.packets(index, bytes)?;
            tail.extend_from_slice(&bytes[handled..]);
        } else {
            tail.extend_from_slice(bytes);
            let handled = self.packets(index, &tail)?;
            tail.drain(..handled);
        }
        self.connections[index].keep(tail);
        Ok(())
    }

    /// Handles the whole packets at the front of `bytes`; gives how many bytes they took.
    fn packets(&mut self, index: usize, bytes: &[u8]) -> Result<usize, Failure> {
        let mut handled = 0;
        while let Some(frame) = frame::split(&bytes[handled..], u32::MAX)? {
            let packet = decode(self.plan.version, Sender::Server, &frame)?;
            match index.checked_sub(self.templates.len()) {
                None => self.publisher_packet(index, &packet)?,
                Some(reader) => self.reader_packet(index, reader, &packet)?,
            }
            handled += frame.bytes;
        }
        Ok(handled)
    }

    /// What a publisher gets: acknowledgements.
    fn publisher_packet(&mut self, publisher: usize, packet: &Packet<'_>) -> Result<(), Failure> {
        let (Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubcomp(ack)) = packet else {
            return Err(unasked(packet));
        };
        if ack.reason.is_error() {
            return Err(Failure::Refused(packet.kind(), ack.reason));
        }
        if packet.kind() == PacketKind::Pubrec {
            self.answer(publisher, &Packet::Pubrel(Ack::success(ack.packet_id)));
            return Ok(());
        }
        let freed = self.ledger.acknowledge(publisher, ack.packet_id);
        self.progress(publisher, freed);
        Ok(())
    }

    /// What a reader gets: messages, and the release of those at QoS 2.
    #[inline]
    fn reader_packet(&mut self, index: usize, reader: usize, packet: &Packet<'_>) -> Result<(), Failure> {
        match packet {
            Packet::Publish(publish) => {
                self.message(index, reader, publish);
                Ok(())
            }
            Packet::Pubrel(ack) => {
                self.answer(index, &Packet::Pubcomp(Ack::success(ack.packet_id)));
                Ok(())
            }
            other => Err(unasked(other)),
        }
    }

    #[inline]
    fn message(&mut self, index: usize, reader: usize, publish: &Publish<'_>) {
        match (publish.qos, publish.packet_id) {
            (Qos::AtLeastOnce, Some(id)) => self.answer(index, &Packet::Puback(Ack::success(id))),
            (Qos::ExactlyOnce, Some(id)) => self.answer(index, &Packet::Pubrec(Ack::success(id))),
            _ => {}
        }
        let stamp = Stamp::of(publish.payload).filter(|stamp| stamp.run_id == self.plan.run_id);
        let stamp = stamp.filter(|_| publish.payload.len() == self.plan.payload_bytes);
        let found =
            stamp.and_then(|stamp| Some((stamp, self.plan.stream(stamp.publisher as usize, reader)?)));
        let Some((stamp, stream)) = found else {
            self.ledger.counts_mut().foreign += 1;
            return;
        };
        let publisher = stamp.publisher as usize;
        let freed = self.ledger.receive(stream, publisher, stamp.sequence);
        self.progress(publisher, freed);
    }

    #[inline]
    fn progress(&mut self, publisher: usize, freed: bool) {
        let moved = mem::replace(&mut self.moved[publisher], self.now);
        self.longest_wait = self.longest_wait.max(self.now - moved);
        if freed {
            self.wake(publisher);
        }
    }

    #[inline]
    fn wake(&mut self, publisher: usize) {
        if !mem::replace(&mut self.awake[publisher], true) {
            self.wake.push(publisher);
        }
    }

    fn answer(&mut self, index: usize, packet: &Packet<'_>) {
        packet.encode(self.plan.version, self.connections[index].out());
        self.mark_dirty(index);
    }

    fn mark_dirty(&mut self, index: usize) {
        if !mem::replace(&mut self.connections[index].dirty, true) {
            self.dirty.push(index);
        }
    }

    /// Publishes into every window that has room.
    fn fill(&mut self) {
        let mut wake = mem::take(&mut self.wake);
        for publisher in wake.drain(..) {
            self.awake[publisher] = false;
            if self.publishing {
                self.fill_one(publisher);
            }
        }
        self.wake = wake;
    }

    fn fill_one(&mut self, publisher: usize) {
        let connection = &mut self.connections[publisher];
        let pending_before = connection.pending_bytes();
        loop {
            if connection.pending_bytes() > PENDING_BYTES_MAX {
                connection.starved = true;
                break;
            }
            let Some(sequence) = self.ledger.publish(publisher) else { break };
            let id = self.ledger.packet_id(sequence);
            self.templates[publisher].put(sequence, id, &self.filling, connection.out());
        }
        if connection.pending_bytes() > pending_before {
            self.moved[publisher] = self.now;
            self.mark_dirty(publisher);
        }
    }

    /// Writes once to every connection with something to leave.
    fn flush(&mut self) -> Result<(), Failure> {
        let mut dirty = mem::take(&mut self.dirty);
        for index in dirty.drain(..) {
            let connection = &mut self.connections[index];
            connection.dirty = false;
            let done = connection.flush().map_err(|error| Failure::Io("writing", error))?;
            if done == connection.watched_for_room {
                connection.watched_for_room = !done;
                self.poller.watch(&connection.stream, index, !done).map_err(polling)?;
            }
            if done && mem::take(&mut connection.starved) {
                self.wake(index);
            }
        }
        self.dirty = dirty;
        Ok(())
    }

    /// Frees the windows of publishers whose messages have not moved for too long.
    fn give_up_stalled(&mut self) {
        if self.now - self.stalls_scanned < STALL_SCAN {
            return;
        }
        self.stalls_scanned = self.now;
        for publisher in 0..self.templates.len() {
            let waits = self.ledger.is_full(publisher) || !self.publishing;
            if waits && self.now - self.moved[publisher] > self.plan.stall {
                self.ledger.give_up(publisher);
                self.moved[publisher] = self.now;
                self.wake(publisher);
            }
        }
    }
}

/// A packet that no client of ours asked for; a DISCONNECT says why the broker leaves.
fn unasked(packet: &Packet<'_>) -> Failure {
    match packet {
        Packet::Disconnect(disconnect) => Failure::Refused(PacketKind::Disconnect, disconnect.reason),
        other => Failure::Unexpected(other.kind()),
    }
}

fn polling(error: std::io::Error) -> Failure {
    Failure::Io("waiting for sockets", error)
}

fn reading_process(error: std::io::Error) -> Failure {
    Failure::Io("reading a process's figures", error)
}

/// Takes as many descriptors as this user may have; too few show when a connection fails.
pub fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
