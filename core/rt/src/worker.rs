//! One shard's turn: what comes in goes to the shard, what the shard wants is done, and then it is said when
//! the next turn is due. Every step is bounded, none waits. The same code serves every driver.

use std::any::Any;
use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ringmq_net::{Broken, Introduction, Layer, Layers};
use ringmq_proto::time::{Mono, Now};
use ringmq_shard::{
    Common, ConnId, Effect, Input, Introduced, LocalInput, LocalOutcome, LogLevel, Parts, PeerAddress, Shard,
    ShardId,
};
use ringmq_wire::ReasonCode;
use rustix::io::Errno;
use rustix::net::SocketFlags;

use crate::adopt::Adopted;
use crate::change::Changed;
use crate::connections::{Connection, Connections};
use crate::halt_poll::HaltPoll;
use crate::limits::{
    ACCEPTS_PER_TURN_MAX, DELAYED_LOOK_MS, DRAINS_PER_TURN_MAX, FLUSHES_PER_TURN_MAX, HALT_POLL,
    HALT_POLL_EVENTS_MAX, HEAR_OUT_READS_MAX, LARGE_READ_BYTES_MAX, READ_BUFFER_BYTES,
    READ_BYTES_PER_TURN_MAX, SLEEP_MAX, WRITE_BYTES_PER_TURN_MAX, WRITE_SLICES_MAX,
};
use crate::listener::{Behind, Listener};
use crate::mailbox::{Arrival, Decisions, Mail, Order};
use crate::mesh::{LanesIn, LanesOut, Port, PortState, shard};
use crate::shared::Shared;
use crate::sockets::{Event, Next, Read, Sockets, Token, receive, send, take_unread};
use crate::{MakeDecider, MakeHooks};

/// What a shard's thread is given to begin with.
pub(crate) struct Seat {
    pub(crate) id: ShardId,
    pub(crate) common: Common,
    pub(crate) seed: u64,
    pub(crate) cpu: Option<usize>,
    pub(crate) decider: Arc<MakeDecider>,
    pub(crate) hooks: Option<Arc<MakeHooks>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) lanes_out: LanesOut,
    pub(crate) lanes_in: LanesIn,
    /// Its listening sockets by their number; some listeners have theirs at one shard alone.
    pub(crate) listeners: Vec<Option<OwnedFd>>,
    /// What stands behind each of them.
    pub(crate) behind: Arc<[Behind]>,
    /// What becomes readable when the shard's bell is rung.
    pub(crate) ear: OwnedFd,
}

/// One shard with its sockets and lanes; lives on the shard's thread alone.
pub(crate) struct Worker<S: Sockets> {
    id: ShardId,
    shard: Shard,
    shared: Arc<Shared>,
    sockets: S,
    connections: Connections<S::Socket>,
    listeners: Vec<Option<Listener>>,
    lanes: LanesIn,
    port: Rc<PortState>,
    mail: Mail,
    events: Vec<Event>,
    effects: Vec<Effect>,
    /// Connections with more output than one turn writes.
    write_on: Vec<ConnId>,
    /// Connections whose address has sent too much, and when they are looked at again.
    delayed: Vec<ConnId>,
    delayed_until: Mono,
    /// Connections that keep something late on purpose, with when it is due.
    late: BTreeSet<(Mono, ConnId)>,
    buffer: Box<[u8]>,
    halt_poll: HaltPoll,
    /// Events of sockets that the present turn served.
    served: usize,
    /// More is known to be ready than this turn took.
    more: bool,
    settling: bool,
    leaving: bool,
}

impl<S: Sockets> Worker<S> {
    /// Sets the shard up and begins to listen; `sockets` makes the driver's part around the bell's ear.
    pub(crate) fn new(seat: Seat, sockets: impl FnOnce(OwnedFd) -> io::Result<S>) -> io::Result<Self> {
        let mut sockets = sockets(seat.ear)?;
        let shared = seat.shared;
        for (index, fd) in seat.listeners.iter().enumerate() {
            if let Some(fd) = fd {
                sockets.listen(fd.as_fd(), index as u16, true)?;
            }
        }
        let listeners = seat.listeners.into_iter().zip(&*seat.behind);
        let listeners = listeners.map(|(fd, behind)| Some(Listener::new(fd?, behind.clone()))).collect();
        let state = Rc::<PortState>::default();
        let port = Port {
            id: seat.id,
            lanes: seat.lanes_out,
            stuck: Arc::clone(&shared.stuck),
            state: Rc::clone(&state),
        };
        let decisions = Decisions { shared: Arc::clone(&shared), shard: seat.id };
        let parts = Parts {
            id: seat.id,
            common: seat.common,
            mesh: Box::new(port),
            decider: (seat.decider)(seat.id, decisions.clone()),
            seed: seat.seed,
        };
        let mut shard = Shard::new(parts, shared.clock.now());
        if let Some(hooks) = seat.hooks {
            shard.set_hooks(hooks(seat.id, decisions));
        }
        Ok(Self {
            id: seat.id,
            shard,
            shared,
            sockets,
            connections: Connections::new(),
            listeners,
            lanes: seat.lanes_in,
            port: state,
            mail: Mail::default(),
            events: Vec::new(),
            effects: Vec::new(),
            write_on: Vec::new(),
            delayed: Vec::new(),
            delayed_until: Mono(0),
            late: BTreeSet::new(),
            buffer: vec![0; LARGE_READ_BYTES_MAX].into(),
            halt_poll: HaltPoll::default(),
            served: 0,
            more: false,
            settling: false,
            leaving: false,
        })
    }

    pub(crate) fn sockets(&mut self) -> &mut S {
        &mut self.sockets
    }

    /// A whole turn. A panic in it ends the whole broker, loudly.
    pub(crate) fn turn(&mut self) -> Next {
        match catch_unwind(AssertUnwindSafe(|| self.turn_unguarded())) {
            Ok(next) => next,
            Err(panic) => {
                let said = panic_message(panic);
                self.shared.fail(format!("shard {} panicked, the broker stops: {said}", self.id.index()));
                Next::Leave
            }
        }
    }

    /// Closes everything; also a panic in that is caught and said.
    pub(crate) fn leave(self) {
        let (shared, id) = (Arc::clone(&self.shared), self.id.index());
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(self))) {
            let said = panic_message(panic);
            shared.fail(format!("shard {id} panicked while it left, the broker stops: {said}"));
        }
    }

    /// To be called after each [`Next::Sleep`], before the next turn.
    pub(crate) fn woke_up(&self) {
        self.shared.mailbox(self.id).doorbell.flag.awake();
    }

    fn turn_unguarded(&mut self) -> Next {
        let now = self.shared.clock.now();
        self.more = false;
        self.shard.begin_turn();
        self.take_mail(now);
        self.drain_lanes(now);
        self.drain_for_queries(now);
        self.look_at_delayed(now);
        self.look_at_late(now);
        self.serve_sockets(now);
        if self.shard.deadline().is_some_and(|deadline| deadline <= now.mono) {
            self.shard.handle(now, Input::Tick);
        }
        self.wake_listeners(now);
        self.flush(now);
        self.ring_peers();
        self.settle();
        if self.leaving { Next::Leave } else { self.next() }
    }

    // What comes in ---------------------------------------------------------------------------------------

    fn take_mail(&mut self, now: Now) {
        let mut mail = std::mem::take(&mut self.mail);
        self.shared.mailbox(self.id).take(&mut mail);
        for (ticket, verdict) in mail.decided.drain(..) {
            self.shard.handle(now, Input::Decided { ticket, verdict });
        }
        for request in mail.requests.drain(..) {
            self.shard.handle(now, Input::Local(request));
            self.flush_if_pressed(now);
        }
        for arrival in mail.arrivals.drain(..) {
            let conn = self.shard.adopt(now, *arrival.parcel);
            self.attach(now, arrival.fd, conn, arrival.layers);
        }
        for Adopted { fd, address, listener, behind } in mail.adopted.drain(..) {
            self.take_in(now, fd, address, listener, &behind);
        }
        for order in mail.orders.drain(..) {
            self.obey(now, order);
        }
        self.mail = mail;
    }

    fn obey(&mut self, now: Now, order: Order) {
        match order {
            Order::Change(changed) => {
                self.change(&changed);
                self.shared.note(|progress| progress.changed += 1);
            }
            Order::StopListening => {
                self.close_listeners();
                self.shared.note(|progress| progress.deaf += 1);
            }
            Order::StopWork => self.shard.handle(now, Input::StopWork),
            Order::Settle => self.settling = true,
            Order::StopConnections => self.shard.handle(now, Input::StopConnections),
            Order::Leave => self.leaving = true,
        }
    }

    fn drain_lanes(&mut self, now: Now) {
        for from in 0..self.lanes.len() {
            let Some(mut lane) = self.lanes[from].take() else { continue };
            let sender = shard(from);
            if !lane.is_empty() {
                for _ in 0..ringmq_shard::limits::MESH_LANE_SLOTS {
                    let Some(mut batch) = lane.pop() else { break };
                    self.shard.handle(now, Input::Mesh { from: sender, batch: &mut batch });
                    batch.clear();
                    lane.give_home(batch);
                    self.flush_if_pressed(now);
                }
                if self.shared.stuck.release(sender, self.id) {
                    self.shared.ring(sender);
                }
            }
            self.lanes[from] = Some(lane);
        }
    }

    /// A full queue in the middle of a turn: what can be written is written before more comes in.
    fn flush_if_pressed(&mut self, now: Now) {
        if self.shard.wants_flush() {
            self.flush(now);
        }
    }

    /// A query is answered only when all that was sent before it has been taken in, over every lane.
    fn drain_for_queries(&mut self, now: Now) {
        for _ in 0..DRAINS_PER_TURN_MAX {
            if !self.shard.wants_drain() {
                return;
            }
            self.drain_lanes(now);
            self.shard.handle(now, Input::MeshDrained);
        }
    }

    fn serve_sockets(&mut self, now: Now) {
        let mut events = std::mem::take(&mut self.events);
        if events.is_empty() {
            self.sockets.gather(&mut events);
        }
        let (mut served, mut bytes) = (0, 0);
        while served < events.len() && bytes < READ_BYTES_PER_TURN_MAX {
            let event = events[served];
            served += 1;
            match event.token {
                Token::Connection(conn) => bytes += self.serve_connection(now, conn, event),
                Token::Listener(index) => self.serve_listener(now, usize::from(index), event),
                Token::Doorbell => (),
            }
            self.flush_if_pressed(now);
        }
        events.drain(..served);
        self.events = events;
        self.served = served;
    }

    /// Returns how many bytes were read.
    fn serve_connection(&mut self, now: Now, conn: ConnId, event: Event) -> usize {
        let Some(connection) = self.connections.find(conn) else { return 0 };
        connection.hung_up |= event.hung_up;
        if event.unwatched && self.sockets.watch_again(&connection.socket, conn).is_err() {
            self.end(now, conn);
            return 0;
        }
        if connection.blocked && (event.writable || event.broken) {
            connection.blocked = false;
            self.want(now, conn);
            self.write_on.push(conn);
        }
        if event.readable && self.connections.find(conn).is_some_and(|c| c.wants_bytes()) {
            return self.read(now, conn);
        }
        if event.broken {
            self.read_late(now, conn);
            self.end(now, conn);
        }
        0
    }

    fn read(&mut self, now: Now, conn: ConnId) -> usize {
        let mut room_max = LARGE_READ_BYTES_MAX;
        if self.shard.bounds_bytes() {
            room_max = room_max.min(self.shard.may_be_read(now, conn, true));
            if room_max == 0 {
                self.delay(now, conn);
                return 0;
            }
        }
        let Some(connection) = self.connections.find(conn) else { return 0 };
        if !connection.wants_bytes() {
            return 0;
        }
        let room = READ_BUFFER_BYTES.max(self.shard.missing_bytes(conn)).min(room_max);
        let read = receive(connection.socket.as_fd(), &mut self.buffer[..room]);
        if let Read::Bytes(bytes) = read
            && (bytes == room || connection.hung_up)
        {
            // There may be more, or the end behind it, and no event is on its way.
            self.sockets.again(Token::Connection(conn));
        }
        self.take_read(now, conn, read)
    }

    /// Leaves what has come on a connection where it is for a while.
    fn delay(&mut self, now: Now, conn: ConnId) {
        let Some(connection) = self.connections.find(conn) else { return };
        connection.delayed = true;
        if self.delayed.is_empty() {
            self.delayed_until = Mono(now.mono.0 + DELAYED_LOOK_MS);
        }
        self.delayed.push(conn);
        self.want(now, conn);
    }

    /// Whose time has come is read again.
    fn look_at_delayed(&mut self, now: Now) {
        if self.delayed.is_empty() || now.mono < self.delayed_until {
            return;
        }
        self.delayed_until = Mono(now.mono.0 + DELAYED_LOOK_MS);
        let mut delayed = std::mem::take(&mut self.delayed);
        delayed.retain(|&conn| {
            if self.connections.find(conn).is_none() {
                return false;
            }
            if self.shard.may_be_read(now, conn, false) == 0 {
                return true;
            }
            if let Some(connection) = self.connections.find(conn) {
                connection.delayed = false;
            }
            self.want(now, conn);
            false
        });
        self.delayed = delayed;
    }

    /// What a connection had sent before it broke, and nobody has read because it had to wait, counts.
    fn read_late(&mut self, now: Now, conn: ConnId) {
        let Some(connection) = self.connections.find(conn) else { return };
        let waits = connection.paused && self.shard.hears_last_words(conn);
        connection.paused &= !waits;
        if connection.delayed || waits {
            self.read_out(now, conn);
        }
    }

    /// Reads what stands in a socket, up to a bound; whether there may be more.
    fn read_out(&mut self, now: Now, conn: ConnId) -> bool {
        for _ in 0..HEAR_OUT_READS_MAX {
            // Also what would have to wait: its client is to be judged by it.
            let Some(connection) = self.connections.find(conn).filter(|c| c.takes_bytes()) else {
                return false;
            };
            let read = receive(connection.socket.as_fd(), &mut self.buffer[..READ_BUFFER_BYTES]);
            self.take_read(now, conn, read);
            if !matches!(read, Read::Bytes(_)) {
                return false;
            }
        }
        true
    }

    /// Hands the shard what has arrived on a connection, whether or not the driver has said so yet.
    fn hear_out(&mut self, now: Now, conn: ConnId) {
        if self.read_out(now, conn) {
            self.sockets.again(Token::Connection(conn));
        }
        self.shard.handle(now, Input::HeardOut { conn });
    }

    /// Returns how many bytes it were.
    fn take_read(&mut self, now: Now, conn: ConnId, read: Read) -> usize {
        match read {
            Read::Nothing => 0,
            Read::Ended => {
                self.end(now, conn);
                0
            }
            Read::Bytes(bytes) => {
                if self.shard.bounds_bytes() {
                    self.shard.bytes_came(now, conn, bytes);
                }
                let Some(connection) = self.connections.find(conn) else { return 0 };
                let shard = &mut self.shard;
                let opened = connection.layers.open(&mut self.buffer[..bytes], &mut |plain| {
                    shard.handle(now, Input::Bytes { conn, bytes: plain });
                });
                if matches!(connection.layers, Layers::Stack(_)) {
                    self.after_open(now, conn, opened);
                }
                bytes
            }
        }
    }

    /// What the layers of a connection have come to by what was read: who is there, what they have to say
    /// themselves, or that they give up.
    fn after_open(&mut self, now: Now, conn: ConnId, mut opened: Result<(), Broken>) {
        let Some(connection) = self.connections.find(conn) else { return };
        let shard = &mut self.shard;
        if let Some(introduction) = connection.layers.introduction() {
            let Introduction { address, user_name, .. } = introduction;
            shard.handle(now, Input::Introduced { conn, introduced: Introduced { address, user_name } });
            let held_back = connection.layers.open(&mut [], &mut |plain| {
                shard.handle(now, Input::Bytes { conn, bytes: plain });
            });
            opened = opened.and(held_back);
        }
        if connection.layers.has_own_output() {
            self.write_on.push(conn);
        }
        self.tend_faulty(now, conn);
        self.after_opened(now, conn, opened);
    }

    /// As [`Worker::tend`], where anything goes wrong on purpose.
    #[inline]
    fn tend_faulty(&mut self, now: Now, conn: ConnId) {
        if self.connections.find(conn).is_some_and(|connection| connection.layers.has_faults()) {
            self.tend(now, conn);
        }
    }

    /// What things that go wrong on purpose want: that time passes, and that plaintext counts as sent which is not.
    fn tend(&mut self, now: Now, conn: ConnId) {
        let Some(connection) = self.connections.find(conn) else { return };
        let (shard, ended) = (&mut self.shard, connection.ended);
        let swallowed = connection.layers.sent(0);
        // A turn may be long.
        let present = self.shared.clock.now().mono;
        let due = connection.layers.pass_time(present.0, &mut |plain| {
            if !ended {
                shard.handle(now, Input::Bytes { conn, bytes: plain });
            }
        });
        self.late.extend(due.map(|due| (Mono(due), conn)));
        let opened = connection.layers.open(&mut [], &mut |_| {});
        if swallowed > 0 {
            shard.handle(now, Input::Wrote { conn, bytes: swallowed });
        }
        if swallowed > 0 || (!ended && connection.layers.has_own_output()) {
            self.write_on.push(conn);
        }
        self.after_opened(now, conn, opened);
    }

    /// What was late goes on.
    fn look_at_late(&mut self, now: Now) {
        while self.late.first().is_some_and(|(due, _)| *due <= now.mono) {
            if let Some((_, conn)) = self.late.pop_first() {
                self.tend(now, conn);
            }
        }
    }

    fn after_opened(&mut self, now: Now, conn: ConnId, opened: Result<(), Broken>) {
        let Some(connection) = self.connections.find(conn) else { return };
        if let Err(broken) = opened
            && !std::mem::replace(&mut connection.ended, true)
        {
            self.want(now, conn);
            let input = match broken.is_goodbye() {
                true => Input::Ended { conn },
                false => Input::Broken { conn, reason: broken.0 },
            };
            self.shard.handle(now, input);
        }
    }

    /// No more bytes will come: tells the shard, once.
    fn end(&mut self, now: Now, conn: ConnId) {
        let Some(connection) = self.connections.find(conn) else { return };
        if !connection.ended {
            connection.ended = true;
            self.want(now, conn);
            self.shard.handle(now, Input::Ended { conn });
        }
    }

    /// Tells the driver which events the connection waits for.
    fn want(&mut self, now: Now, conn: ConnId) {
        let Some(connection) = self.connections.find(conn) else { return };
        let (read, write) = (connection.wants_bytes(), connection.blocked);
        if self.sockets.want(&mut connection.socket, conn, read, write).is_err() && !connection.ended {
            connection.ended = true;
            self.shard.handle(now, Input::Ended { conn });
        }
    }

    fn serve_listener(&mut self, now: Now, index: usize, event: Event) {
        if event.unwatched || event.broken {
            let Some(Some(listener)) = self.listeners.get(index) else { return };
            if let Err(error) = self.sockets.listen(listener.fd.as_fd(), index as u16, true) {
                return self.rest_listener(now, index, error);
            }
        }
        self.accept(now, index);
    }

    fn accept(&mut self, now: Now, index: usize) {
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            let Some(Some(listener)) = self.listeners.get_mut(index) else { return };
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            match rustix::net::acceptfrom_with(&listener.fd, flags) {
                Ok((fd, address)) => {
                    if let Some(line) = listener.succeeded() {
                        (self.shared.log)(LogLevel::Info, line);
                    }
                    let socket: Option<SocketAddr> = address.and_then(|address| address.try_into().ok());
                    let behind = listener.behind.clone();
                    self.take_in(now, fd, socket, index as u16, &behind);
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR | Errno::CONNABORTED) => (),
                Err(error) => return self.rest_listener(now, index, error.into()),
            }
        }
        self.sockets.again(Token::Listener(index as u16));
    }

    /// Begins a connection of a listener.
    fn take_in(&mut self, now: Now, fd: OwnedFd, peer: Option<SocketAddr>, listener: u16, behind: &Behind) {
        if !self.shard.admits(now, peer.map(|address| address.ip())) {
            return;
        }
        let layers = behind.door.open(peer);
        let conn = self.shard.accept(now, PeerAddress::new(peer, listener));
        if !layers.is_established() {
            self.shard.await_introduction(now, conn, behind.handshake_timeout);
        }
        self.attach(now, fd, conn, layers);
    }

    fn attach(&mut self, now: Now, fd: OwnedFd, conn: ConnId, layers: Layers) {
        match self.sockets.attach(fd, conn) {
            Ok(socket) => {
                if layers.has_own_output() {
                    self.write_on.push(conn);
                }
                self.connections.insert(Connection::new(conn, socket, layers));
                self.tend_faulty(now, conn);
            }
            Err(error) => {
                self.log(LogLevel::Error, &format!("a connection was closed at once: {error}"));
                self.shard.handle(now, Input::Ended { conn });
            }
        }
    }

    // Listeners -------------------------------------------------------------------------------------------

    fn rest_listener(&mut self, now: Now, index: usize, error: io::Error) {
        let Some(Some(listener)) = self.listeners.get_mut(index) else { return };
        drop(self.sockets.listen(listener.fd.as_fd(), index as u16, false));
        if let Some(line) = listener.failed(now.mono, &error) {
            self.log(LogLevel::Warning, &line);
        }
    }

    fn wake_listeners(&mut self, now: Now) {
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            let Some(listener) = listener else { continue };
            if listener.rests_until.is_some_and(|until| until <= now.mono) {
                match self.sockets.listen(listener.fd.as_fd(), index as u16, true) {
                    Ok(()) => listener.rests_until = None,
                    Err(_) => listener.rest(now.mono),
                }
            }
        }
    }

    fn close_listeners(&mut self) {
        (0..self.listeners.len()).for_each(|index| self.close_listener(index));
    }

    fn close_listener(&mut self, index: usize) {
        if let Some(listener) = self.listeners.get_mut(index).and_then(Option::take) {
            drop(self.sockets.listen(listener.fd.as_fd(), index as u16, false));
        }
    }

    /// Goes on with what was changed. The listeners keep their numbers.
    fn change(&mut self, changed: &Changed) {
        if let Some(settings) = &changed.settings {
            self.shard.set_settings(Arc::clone(settings));
        }
        for (index, behind) in &changed.behind {
            if let Some(Some(listener)) = self.listeners.get_mut(*index) {
                listener.behind = behind.clone();
            }
        }
        for (fd, behind) in changed.take_sockets(self.id).into_iter().zip(&changed.opened) {
            self.open_listener(fd, behind.clone());
        }
        changed.close.iter().for_each(|&index| self.close_listener(index));
    }

    fn open_listener(&mut self, fd: Option<OwnedFd>, behind: Behind) {
        let index = self.listeners.len();
        self.listeners.push(fd.map(|fd| Listener::new(fd, behind)));
        let Some(Some(listener)) = self.listeners.get(index) else { return };
        if let Err(error) = self.sockets.listen(listener.fd.as_fd(), index as u16, true) {
            // It rests, and is watched again after a while.
            self.rest_listener(self.shared.clock.now(), index, error);
        }
    }

    // What goes out ---------------------------------------------------------------------------------------

    /// Flushes the shard and does what it asks for. Writing may make room for more, so it is repeated.
    fn flush(&mut self, now: Now) {
        self.port.forget_waiting();
        for conn in std::mem::take(&mut self.write_on) {
            self.write(now, conn);
        }
        for _ in 0..FLUSHES_PER_TURN_MAX {
            self.shard.flush(now);
            let mut effects = std::mem::take(&mut self.effects);
            effects.extend(self.shard.effects());
            if effects.is_empty() {
                self.effects = effects;
                return;
            }
            let mut rest = effects.drain(..);
            while !rest.as_slice().is_empty() {
                let written = self.write_many(now, rest.as_slice());
                rest.by_ref().take(written).for_each(drop);
                if written == 0
                    && let Some(effect) = rest.next()
                {
                    self.carry_out(now, effect);
                }
            }
            drop(rest);
            self.effects = effects;
        }
        self.more = true;
    }

    fn carry_out(&mut self, now: Now, effect: Effect) {
        match effect {
            Effect::Write(conn) => self.write(now, conn),
            Effect::Close(conn) => self.close(conn),
            Effect::Pause(conn) => self.pause(now, conn, true),
            Effect::Resume(conn) => self.pause(now, conn, false),
            Effect::HearOut(conn) => self.hear_out(now, conn),
            Effect::Move { conn, to, parcel } => self.hand_over(conn, to, parcel),
            Effect::LocalDone { ticket, outcome } => (self.shared.local_done)(ticket, outcome),
            Effect::Log(level, line) => self.log(level, &line),
            Effect::WorkStopped => self.shared.note(|progress| progress.work_stopped += 1),
            Effect::Stopped => self.shared.note(|progress| progress.stopped += 1),
        }
    }

    /// Writes until there is nothing more, the kernel takes no more, or the turn's share is used up. A socket
    /// whose end was reported and that then fails takes everything, or the shard would wait for it in vain.
    fn write(&mut self, now: Now, conn: ConnId) {
        let mut written = 0;
        while written < WRITE_BYTES_PER_TURN_MAX {
            let Some(connection) = self.connections.find(conn) else { return };
            if connection.blocked {
                return;
            }
            let mut slices = [IoSlice::new(&[]); WRITE_SLICES_MAX];
            let filled = self.shard.output(conn, &mut slices);
            if filled == 0 && !connection.layers.has_own_output() {
                return self.tend_faulty(now, conn);
            }
            let sealed = connection.layers.seal(&slices[..filled]);
            let offered = sealed.len();
            if offered == 0 {
                return self.tend_faulty(now, conn);
            }
            let sent = send(connection.socket.as_fd(), &sealed);
            written += self.take_sent(now, conn, offered, sent);
        }
        self.write_on.push(conn);
    }

    /// Takes note of what the kernel took of what it was offered; returns how many bytes it took.
    fn take_sent(&mut self, now: Now, conn: ConnId, offered: usize, sent: Result<usize, Errno>) -> usize {
        let Some(connection) = self.connections.find(conn) else { return 0 };
        let taken = match sent {
            Ok(taken) => taken,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(_) if connection.ended => offered,
            Err(_) => {
                self.read_late(now, conn);
                self.end(now, conn);
                return 0;
            }
        };
        let plain = connection.layers.sent(taken);
        connection.blocked = taken < offered;
        if taken < offered {
            self.want(now, conn);
        }
        if plain > 0 {
            self.shard.handle(now, Input::Wrote { conn, bytes: plain });
        }
        taken
    }

    /// Writes to the connections at the front of `effects`, many with one call where the driver has that. Returns
    /// how many of the effects that was.
    fn write_many(&mut self, now: Now, effects: &[Effect]) -> usize {
        let writes = effects.iter().take_while(|effect| matches!(effect, Effect::Write(_))).count();
        if writes < 2 {
            return 0;
        }
        let Some(sends) = self.sockets.send_ring() else { return 0 };
        let mut count = 0;
        for effect in &effects[..writes] {
            let Effect::Write(conn) = *effect else { break };
            if sends.is_full() {
                break;
            }
            count += 1;
            let Some(connection) = self.connections.find(conn) else { continue };
            if connection.blocked || connection.sending {
                continue;
            }
            let mut slices = [IoSlice::new(&[]); WRITE_SLICES_MAX];
            let filled = self.shard.output(conn, &mut slices);
            let sealed = connection.layers.seal(&slices[..filled]);
            if !sealed.is_empty() {
                // SAFETY: the bytes are the shard's or the layer's and the descriptor the connection's. Until the
                // batch is sent, below, nothing of the shard is changed and no layer is asked twice.
                unsafe { sends.add(conn, connection.socket.as_fd(), &sealed) };
                connection.sending = true;
            } else if connection.layers.has_faults() {
                self.write_on.push(conn);
            }
        }
        sends.send();
        let results = sends.take_results();
        for sending in &results {
            if let Some(connection) = self.connections.find(sending.conn) {
                connection.sending = false;
            }
            self.take_sent(now, sending.conn, sending.offered, sending.taken);
            // What it left, and what there was room for now.
            self.write(now, sending.conn);
        }
        if let Some(sends) = self.sockets.send_ring() {
            sends.give_back(results);
        }
        count
    }

    fn close(&mut self, conn: ConnId) {
        if let Some(mut connection) = self.connections.remove(conn) {
            self.late.retain(|(_, late)| *late != conn);
            if connection.layers.resets() {
                // What is left is thrown away, and the other end is told.
                let _ =
                    rustix::net::sockopt::set_socket_linger(connection.socket.as_fd(), Some(Duration::ZERO));
            } else {
                say_goodbye(&mut connection);
            }
            take_unread(connection.socket.as_fd(), &mut self.buffer);
            self.sockets.close(connection.socket, conn);
        }
    }

    fn pause(&mut self, now: Now, conn: ConnId, paused: bool) {
        let Some(connection) = self.connections.find(conn) else { return };
        if connection.paused != paused {
            connection.paused = paused;
            self.want(now, conn);
        }
    }

    fn hand_over(&mut self, conn: ConnId, to: ShardId, parcel: Box<ringmq_shard::Parcel>) {
        let Some(connection) = self.connections.remove(conn) else { return };
        self.late.retain(|(_, late)| *late != conn);
        let fd = self.sockets.detach(connection.socket, conn);
        // Rung for at the end of the turn: others may go there too.
        self.shared.mailbox(to).arrive(Arrival { fd, layers: connection.layers, parcel });
        self.port.note_posted(to);
    }

    fn log(&self, level: LogLevel, line: &str) {
        (self.shared.log)(level, line);
    }

    // The end of the turn ---------------------------------------------------------------------------------

    fn ring_peers(&self) {
        for peer in &self.port.take_posted() {
            self.shared.ring(shard(peer));
        }
    }

    /// Reports once that everything sent to this shard so far has been taken in and acted upon.
    fn settle(&mut self) {
        if self.settling && !self.more && !self.lanes_filled() && !self.shard.wants_drain() {
            self.settling = false;
            self.shared.note(|progress| progress.settled += 1);
        }
    }

    fn lanes_filled(&self) -> bool {
        self.lanes.iter().flatten().any(|lane| !lane.is_empty())
    }

    /// Announces the sleep and looks once more: whoever sends something from here on rings.
    fn next(&mut self) -> Next {
        let busy = self.more
            || self.settling
            || !self.events.is_empty()
            || !self.write_on.is_empty()
            || self.sockets.is_filled()
            || self.shard.wants_drain();
        if busy || self.poll_before_sleep() {
            return Next::Again;
        }
        let mailbox = self.shared.mailbox(self.id);
        mailbox.doorbell.flag.announce();
        if mailbox.is_filled() || self.lanes_filled() || self.port.has_room_again(&self.shared.stuck, self.id)
        {
            mailbox.doorbell.flag.awake();
            return Next::Again;
        }
        let rests = self.listeners.iter().flatten().filter_map(|listener| listener.rests_until);
        let delayed = (!self.delayed.is_empty()).then_some(self.delayed_until);
        let late = self.late.first().map(|(due, _)| *due);
        let deadline = rests.chain(self.shard.deadline()).chain(delayed).chain(late).min();
        let longest = Duration::from_millis(SLEEP_MAX);
        let wait = deadline.map_or(longest, |deadline| self.shared.clock.until(deadline).min(longest));
        Next::Sleep(wait)
    }
}

impl<S: Sockets> Worker<S> {
    /// Looks a little longer whether a socket has something, where that was worth it lately. Only after a turn that
    /// served few: where there are many, what comes meanwhile is dearer one by one than together after a sleep. The
    /// sleep is not yet announced: what peers send meanwhile is found then, without a ring.
    fn poll_before_sleep(&mut self) -> bool {
        let served_few = (1..=HALT_POLL_EVENTS_MAX).contains(&self.served);
        if !served_few || self.sockets.is_told().is_none() || !self.halt_poll.is_worth_it() {
            return false;
        }
        let since = self.shared.clock.elapsed();
        let found = loop {
            if self.sockets.is_told() == Some(true) {
                break true;
            }
            if self.shared.clock.elapsed() - since >= HALT_POLL {
                break false;
            }
            std::hint::spin_loop();
        };
        self.halt_poll.learn(found);
        found
    }
}

impl<S: Sockets> Drop for Worker<S> {
    /// Closes everything and answers the requests that nobody will serve any more.
    fn drop(&mut self) {
        self.close_listeners();
        let left = self.connections.len() as u64;
        for connection in self.connections.take_all() {
            self.sockets.close(connection.socket, connection.id);
        }
        let mail = self.shared.mailbox(self.id).close();
        for ticket in mail.requests.iter().filter_map(ticket) {
            (self.shared.local_done)(ticket, LocalOutcome::Refused(ReasonCode::SERVER_SHUTTING_DOWN));
        }
        self.shared.counters.shard(self.id.index()).stop_left.add(left);
    }
}

fn ticket(input: &LocalInput) -> Option<ringmq_shard::LocalTicket> {
    match input {
        LocalInput::Publish { ticket, .. }
        | LocalInput::PublishMany { ticket, .. }
        | LocalInput::Subscribe { ticket, .. }
        | LocalInput::Unsubscribe { ticket, .. }
        | LocalInput::Administer { ticket, .. } => Some(*ticket),
        LocalInput::Open { .. } | LocalInput::Room { .. } | LocalInput::Close { .. } => None,
    }
}

/// Sends what the layers of a connection still have to say, as far as the kernel takes it at once: an alert, an answer
/// that refuses, a proper end.
fn say_goodbye<S: AsFd>(connection: &mut Connection<S>) {
    if matches!(connection.layers, Layers::Plain) || connection.blocked {
        return;
    }
    connection.layers.goodbye();
    while connection.layers.has_own_output() {
        let sealed = connection.layers.seal(&[]);
        match send(connection.socket.as_fd(), &sealed) {
            Ok(sent) if sent > 0 => connection.layers.sent(sent),
            _ => return,
        };
    }
}

/// What a panic said. The value it came with may panic once more when it is dropped.
pub(crate) fn panic_message(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("no message").to_owned();
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // Who panics twice gets no third time.
        std::mem::forget(again);
    }
    text
}
