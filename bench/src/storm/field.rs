//! Many clients on one thread: their sockets, who is connected, who is stalled, and everything a storm can do to
//! one of them. It decides nothing about when, and judges nothing.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ringmq_net::Layers;
use ringmq_wire::{Packet, ReasonCode, Sender, decode, frame};

use super::session::{Heard, Outgoing, Session, malformed};
use crate::connection::{Connection, Read};
use crate::poller::{Poller, Ready};
use crate::socket;

/// What one read may bring, in bytes.
const READ_BYTES_MAX: usize = 256 << 10;
/// How long the kernel may take to connect on this machine; a full backlog shows here.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How often late acknowledgements leave.
const SETTLE_INTERVAL: Duration = Duration::from_millis(20);
/// With so many bytes to leave a client publishes nothing more.
const PENDING_BYTES_MAX: usize = 1 << 20;

/// A client by its number.
pub(crate) type ClientId = usize;

struct Client {
    session: Session,
    /// The number of its connection, when it has one.
    link: Option<usize>,
    stalled: bool,
    /// It has closed its write side and waits for the broker to close.
    leaving: bool,
}

struct Link {
    connection: Connection,
    client: ClientId,
}

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// The socket is closed; the kernel says FIN, or RST when something is unread.
    Close,
    /// DISCONNECT, then close.
    Goodbye,
    /// The write side is closed, the read side stays until the broker closes.
    HalfClose,
}

/// All clients of a storm.
pub(crate) struct Field {
    broker: SocketAddr,
    poller: Poller,
    clients: Vec<Client>,
    /// By number; a number is never used again, so that a late event finds nothing.
    links: HashMap<usize, Link>,
    next_link: usize,
    /// Connections that lost their client to a takeover and must be closed by the broker.
    taken_over: HashMap<usize, (Connection, Instant)>,
    dirty: Vec<usize>,
    ready: Vec<Ready>,
    buffer: Vec<u8>,
    settled: Instant,
    /// Takeovers whose old connection the broker has closed.
    pub(crate) takeovers_seen: u64,
}

impl Field {
    pub(crate) fn new(broker: SocketAddr) -> io::Result<Field> {
        Ok(Field {
            broker,
            poller: Poller::new()?,
            clients: Vec::new(),
            links: HashMap::new(),
            next_link: 0,
            taken_over: HashMap::new(),
            dirty: Vec::new(),
            ready: Vec::new(),
            buffer: vec![0; READ_BYTES_MAX],
            settled: Instant::now(),
            takeovers_seen: 0,
        })
    }

    /// Adds a client that is not connected.
    pub(crate) fn add(&mut self, session: Session) -> ClientId {
        self.clients.push(Client { session, link: None, stalled: false, leaving: false });
        self.clients.len() - 1
    }

    pub(crate) fn session(&self, client: ClientId) -> &Session {
        &self.clients[client].session
    }

    /// Whether it has a socket, connected to the broker or about to be.
    pub(crate) fn has_link(&self, client: ClientId) -> bool {
        self.clients[client].link.is_some()
    }

    pub(crate) fn is_stalled(&self, client: ClientId) -> bool {
        self.clients[client].stalled
    }

    /// Whether it has closed its write side and the broker has not closed yet.
    pub(crate) fn is_leaving(&self, client: ClientId) -> bool {
        self.clients[client].leaving
    }

    /// Whether it may publish now.
    pub(crate) fn can_publish(&self, client: ClientId) -> bool {
        let Client { session, link, stalled, leaving } = &self.clients[client];
        let pending = link.and_then(|link| self.links.get(&link)).map(|link| link.connection.pending_bytes());
        session.is_up()
            && !stalled
            && !leaving
            && session.has_room()
            && pending.is_some_and(|p| p < PENDING_BYTES_MAX)
    }

    /// Connects; a connection it has is given up to the broker, which must close it.
    pub(crate) fn connect(&mut self, client: ClientId) -> io::Result<()> {
        if let Some(old) = self.clients[client].link.take()
            && let Some(link) = self.links.remove(&old)
        {
            if self.clients[client].stalled {
                self.poller.add(&link.connection.stream, old)?;
            }
            self.taken_over.insert(old, (link.connection, Instant::now()));
        }
        let stream = TcpStream::connect_timeout(&self.broker, CONNECT_MAX)?;
        stream.set_nodelay(true)?;
        self.join(client, stream)
    }

    /// Begins to connect a client that is not connected, from this address, and does not wait until the kernel has:
    /// beside others that are measured.
    pub(crate) fn begin(&mut self, client: ClientId, source: Option<Ipv4Addr>) -> io::Result<()> {
        let stream = socket::begin_from(self.broker, source)?;
        self.join(client, stream)
    }

    fn join(&mut self, client: ClientId, stream: TcpStream) -> io::Result<()> {
        let number = self.next_link;
        self.next_link += 1;
        let Client { session, link, stalled, leaving } = &mut self.clients[client];
        let name = session.identity.client_id.clone();
        let mut connection = Connection::new(stream, Layers::Plain, name, Vec::new())?;
        session.connect(connection.out());
        (*link, *stalled, *leaving) = (Some(number), false, false);
        self.poller.add(&connection.stream, number)?;
        self.links.insert(number, Link { connection, client });
        self.mark(number);
        Ok(())
    }

    /// Ends its connection.
    pub(crate) fn leave(&mut self, client: ClientId, how: Leave) -> io::Result<()> {
        let Some(number) = self.clients[client].link else { return Ok(()) };
        let Some(link) = self.links.get_mut(&number) else { return Ok(()) };
        match how {
            Leave::Close => {}
            Leave::Goodbye => {
                let version = self.clients[client].session.identity.version;
                let reason = ReasonCode::SUCCESS;
                let packet = ringmq_wire::Disconnect { reason, properties: ringmq_wire::Properties::EMPTY };
                Packet::Disconnect(packet).encode(version, link.connection.out());
                // What finds no room is lost, as with a client that ends.
                let _ = link.connection.flush();
            }
            Leave::HalfClose => {
                // Refused only by a connection that the broker has closed already.
                let _ = link.connection.stream.shutdown(Shutdown::Write);
                self.clients[client].leaving = true;
                return Ok(());
            }
        }
        self.drop_link(number);
        Ok(())
    }

    /// Stops reading, or goes on.
    pub(crate) fn stall(&mut self, client: ClientId, stalled: bool) -> io::Result<()> {
        if std::mem::replace(&mut self.clients[client].stalled, stalled) == stalled {
            return Ok(());
        }
        let Some(number) = self.clients[client].link else { return Ok(()) };
        if stalled {
            return self.poller.remove(&self.links[&number].connection.stream);
        }
        self.poller.add(&self.links[&number].connection.stream, number)?;
        let link = self.links.get_mut(&number).expect("a client's link stands in the table");
        link.connection.watched_for_room = false;
        self.mark(number);
        Ok(())
    }

    /// Publishes; the caller has looked at [`Field::can_publish`].
    pub(crate) fn publish(&mut self, client: ClientId, message: Outgoing) {
        let Client { session, link, .. } = &mut self.clients[client];
        let Some(number) = *link else { return };
        let Some(link) = self.links.get_mut(&number) else { return };
        session.publish(message, link.connection.out());
        self.mark(number);
    }

    /// Takes what is ready within `wait`, tells `hear` of it and writes what is to leave.
    pub(crate) fn turn(&mut self, wait: Duration, hear: &mut dyn FnMut(ClientId, Heard)) -> io::Result<()> {
        self.flush()?;
        let mut ready = std::mem::take(&mut self.ready);
        self.poller.wait(&mut ready, wait)?;
        for event in &ready {
            if event.readable {
                self.read(event.index, hear);
            }
            if event.writable {
                self.mark(event.index);
            }
        }
        self.ready = ready;
        self.settle();
        self.flush()
    }

    /// Old connections of takeovers that the broker has not closed for so long.
    pub(crate) fn takeovers_open(&self, for_at_least: Duration) -> usize {
        self.taken_over.values().filter(|(_, since)| since.elapsed() >= for_at_least).count()
    }

    fn read(&mut self, number: usize, hear: &mut dyn FnMut(ClientId, Heard)) {
        if let Some((connection, _)) = self.taken_over.get_mut(&number) {
            // What was under way to the old connection is not looked at: it comes again, or is QoS 0.
            if !matches!(connection.read(&mut self.buffer), Ok(Read::Nothing | Read::Bytes(_))) {
                self.taken_over.remove(&number);
                self.takeovers_seen += 1;
            }
            return;
        }
        let Some(link) = self.links.get_mut(&number) else { return };
        let client = link.client;
        match link.connection.read(&mut self.buffer) {
            Ok(Read::Nothing) => {}
            Ok(Read::End) | Err(_) => {
                if !self.clients[client].leaving {
                    hear(client, Heard::Fault(String::from("the broker has closed the connection unasked")));
                }
                self.drop_link(number);
            }
            Ok(Read::Bytes(bytes)) => {
                let mut tail = link.connection.take_tail();
                tail.extend_from_slice(&self.buffer[..bytes]);
                let session = &mut self.clients[client].session;
                let out = link.connection.out();
                let used = take_packets(session, &tail, out, &mut |heard| hear(client, heard));
                tail.drain(..used);
                link.connection.keep(tail);
                self.mark(number);
            }
        }
    }

    fn drop_link(&mut self, number: usize) {
        let Some(link) = self.links.remove(&number) else { return };
        let client = &mut self.clients[link.client];
        client.session.disconnected();
        (client.link, client.stalled, client.leaving) = (None, false, false);
    }

    fn settle(&mut self) {
        if self.settled.elapsed() < SETTLE_INTERVAL {
            return;
        }
        self.settled = Instant::now();
        for client in &mut self.clients {
            let Some(number) = client.link.filter(|_| client.session.owes() && !client.stalled) else {
                continue;
            };
            let Some(link) = self.links.get_mut(&number) else { continue };
            client.session.settle(link.connection.out());
            if !std::mem::replace(&mut link.connection.dirty, true) {
                self.dirty.push(number);
            }
        }
    }

    fn mark(&mut self, number: usize) {
        if let Some(link) = self.links.get_mut(&number)
            && !std::mem::replace(&mut link.connection.dirty, true)
        {
            self.dirty.push(number);
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        for number in std::mem::take(&mut self.dirty) {
            let Some(Link { connection, client }) = self.links.get_mut(&number) else { continue };
            connection.dirty = false;
            let Ok(done) = connection.flush() else {
                // The broker has closed; reading tells what it said before.
                continue;
            };
            if !self.clients[*client].stalled && done == connection.watched_for_room {
                connection.watched_for_room = !done;
                self.poller.watch(&connection.stream, number, !done)?;
            }
        }
        Ok(())
    }
}

/// Hands the whole packets of `bytes` to the session; returns how many bytes they are.
fn take_packets(
    session: &mut Session,
    bytes: &[u8],
    out: &mut Vec<u8>,
    hear: &mut dyn FnMut(Heard),
) -> usize {
    let version = session.identity.version;
    let mut used = 0;
    loop {
        let found = frame::split(&bytes[used..], u32::MAX).and_then(|frame| {
            let Some(frame) = frame else { return Ok(None) };
            session.receive(&decode(version, Sender::Server, &frame)?, out, hear);
            Ok(Some(frame.bytes))
        });
        match found {
            Ok(Some(bytes)) => used += bytes,
            Ok(None) => return used,
            Err(violation) => {
                hear(malformed(violation));
                return bytes.len();
            }
        }
    }
}
