//! The driver on glommio's executors. Each shard is one task; readiness of each connection's socket comes
//! through io_uring by way of glommio's stream, whose read fills the shard's one buffer. Listeners and
//! sockets that wait for room to write are rare and stand in one epoll set, whose readiness comes the same
//! way. Nothing is sent, accepted or cancelled through glommio.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_io::AsyncRead;
use glommio::net::TcpStream;
use glommio::timer::Timer;
use ringmq_shard::ConnId;
use rustix::io::{DupFlags, dup3};

use crate::epoll::Poller;
use crate::limits::{CONNECTIONS_PER_TURN_MAX, DEAF_MAX};
use crate::sockets::{Event, Next, Read, Sockets, Token};
use crate::worker::Worker;

/// What became ready on one executor, and who waits for it. Used on the executor's thread alone: glommio
/// loses wake-ups that come from other threads, so those ring a bell that is read like any other socket.
#[derive(Default)]
struct ReadyList(Mutex<Ready>);

#[derive(Default)]
struct Ready {
    tokens: Vec<u64>,
    waiter: Option<Waker>,
}

impl ReadyList {
    fn push(&self, token: u64) {
        let mut ready = self.lock();
        let first = ready.tokens.is_empty();
        ready.tokens.push(token);
        if let (true, Some(waiter)) = (first, &ready.waiter) {
            waiter.wake_by_ref();
        }
    }

    /// Whether something is ready; if not, `cx` is woken when something is.
    fn poll(&self, cx: &Context<'_>) -> bool {
        let mut ready = self.lock();
        if !ready.waiter.as_ref().is_some_and(|waiter| waiter.will_wake(cx.waker())) {
            ready.waiter = Some(cx.waker().clone());
        }
        !ready.tokens.is_empty()
    }

    /// Forgets who waits, so that nothing of the executor is kept.
    fn forget_waiter(&self) {
        self.lock().waiter = None;
    }

    fn lock(&self) -> MutexGuard<'_, Ready> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts one token into the list.
struct TokenWaker {
    token: u64,
    list: Arc<ReadyList>,
}

impl Wake for TokenWaker {
    fn wake(self: Arc<Self>) {
        self.list.push(self.token);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.list.push(self.token);
    }
}

/// A connection's socket.
pub(crate) struct UringSocket {
    stream: TcpStream,
    waker: Waker,
    token: u64,
    /// Whether it stands in the epoll set, waiting for room to write.
    waits_to_write: bool,
}

impl AsFd for UringSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the stream owns the descriptor and keeps it open for as long as it is borrowed here.
        unsafe { BorrowedFd::borrow_raw(self.stream.as_raw_fd()) }
    }
}

/// The sockets of a shard on an executor.
pub(crate) struct UringSockets {
    list: Arc<ReadyList>,
    /// Listeners, and sockets waiting to write.
    poller: Poller,
    /// Becomes ready when the epoll set does.
    poller_ready: Option<TcpStream>,
    poller_waker: Waker,
    doorbell: UringSocket,
    /// A descriptor to give up when there is none left and one is needed for a moment.
    reserve: Option<OwnedFd>,
}

/// Shorter than the reactor's way to its next look at timers.
const PASS: Duration = Duration::from_micros(1);
/// glommio can go to sleep over a runnable task in rare races (see the preempt timer); never for longer.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// The epoll set's own token among the ready ones: no listener has this number.
const POLLER: Token = Token::Listener(u16::MAX);

impl UringSockets {
    /// To be called on the executor. `ear` wakes the shard when it becomes readable.
    pub(crate) fn new(ear: OwnedFd) -> io::Result<Self> {
        let list = Arc::<ReadyList>::default();
        let poller_waker = waker(&list, POLLER);
        let doorbell = socket(&list, ear, Token::Doorbell);
        let poller = Poller::new()?;
        let reserve = Some(poller.as_fd().try_clone_to_owned()?);
        let mut sockets = Self { list, poller, poller_ready: None, poller_waker, doorbell, reserve };
        sockets.arm_poller()?;
        Ok(sockets)
    }

    /// Asks to be told once when the epoll set has something.
    fn arm_poller(&mut self) -> io::Result<()> {
        // Ends the former stream first, and with it its descriptor. Another thread may be quicker to take it.
        self.poller_ready = None;
        let mut stream = stream(duplicate(self.poller.as_fd(), &mut self.reserve)?);
        if poll_read(&mut stream, &self.poller_waker, &mut []).is_ready() {
            self.list.push(POLLER.to_u64());
        }
        self.poller_ready = Some(stream);
        Ok(())
    }

    /// Whether nobody will tell when the epoll set has something.
    fn is_deaf(&self) -> bool {
        self.poller_ready.is_none()
    }

    /// Takes a reserve again if the last one was given up.
    fn restock(&mut self) {
        if self.reserve.is_none() {
            self.reserve = self.poller.as_fd().try_clone_to_owned().ok();
        }
    }

    /// Sleeps until something is ready, or that long.
    async fn sleep(&self, at_most: Duration) {
        let deaf = self.is_deaf().then_some(Duration::from_millis(DEAF_MAX));
        let at_most = deaf.map_or(at_most, |deaf| deaf.min(at_most));
        let mut timer = Timer::new(at_most);
        let list = &self.list;
        poll_fn(|cx| {
            let due = list.poll(cx) || Pin::new(&mut timer).poll(cx).is_ready();
            if due { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Lets the reactor look once for completions. A task that merely yields would run on before it does.
    async fn pass(&self) {
        Timer::new(PASS).await;
    }

    fn hear_doorbell(&mut self) {
        let mut rings = [0; 64];
        let ready = poll_read(&mut self.doorbell.stream, &self.doorbell.waker, &mut rings).is_ready();
        if ready && poll_read(&mut self.doorbell.stream, &self.doorbell.waker, &mut rings).is_ready() {
            self.list.push(self.doorbell.token);
        }
    }

    fn gather_from_poller(&mut self, events: &mut Vec<Event>) {
        self.poller.wait(events, Duration::ZERO);
        // Out of descriptors: each turn looks by itself until there is one, and sleeps are short.
        drop(self.arm_poller());
        self.restock();
    }
}

impl Drop for UringSockets {
    fn drop(&mut self) {
        self.list.forget_waiter();
    }
}

fn waker(list: &Arc<ReadyList>, token: Token) -> Waker {
    Waker::from(Arc::new(TokenWaker { token: token.to_u64(), list: Arc::clone(list) }))
}

/// A socket whose readiness puts the token into the list. The first read registers that, so one is due now.
fn socket(list: &Arc<ReadyList>, fd: OwnedFd, token: Token) -> UringSocket {
    list.push(token.to_u64());
    let waker = waker(list, token);
    UringSocket { stream: stream(fd), waker, token: token.to_u64(), waits_to_write: false }
}

/// One more descriptor of the same thing, for the reserve if there is none left.
fn duplicate(fd: BorrowedFd<'_>, reserve: &mut Option<OwnedFd>) -> io::Result<OwnedFd> {
    fd.try_clone_to_owned().or_else(|error| {
        // Onto the reserve's own number, in one step, so that no other thread takes it in between.
        let mut taken = reserve.take().ok_or(error)?;
        dup3(fd, &mut taken, DupFlags::CLOEXEC)?;
        Ok(taken)
    })
}

/// Wraps any descriptor: glommio begins at once to wait until it is readable.
fn stream(fd: OwnedFd) -> TcpStream {
    // SAFETY: the descriptor is open and nobody else owns it. That it may be no socket is no matter of
    // memory: glommio only polls it, and a recv on it fails.
    unsafe { TcpStream::from_raw_fd(fd.into_raw_fd()) }
}

/// Reads once if the descriptor is ready, else makes `waker` be woken when it is.
fn poll_read(stream: &mut TcpStream, waker: &Waker, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
    Pin::new(stream).poll_read(&mut Context::from_waker(waker), buffer)
}

impl Sockets for UringSockets {
    type Socket = UringSocket;

    fn attach(&mut self, fd: OwnedFd, id: ConnId) -> io::Result<UringSocket> {
        Ok(socket(&self.list, fd, Token::Connection(id)))
    }

    fn detach(&mut self, socket: UringSocket) -> io::Result<OwnedFd> {
        let fd = duplicate(socket.as_fd(), &mut self.reserve);
        self.release(socket);
        self.restock();
        fd
    }

    fn release(&mut self, socket: UringSocket) {
        if socket.waits_to_write {
            self.poller.remove(socket.as_fd());
        }
    }

    fn read(&mut self, socket: &mut UringSocket, buffer: &mut [u8]) -> Read {
        let result = poll_read(&mut socket.stream, &socket.waker, buffer);
        let bytes = match result {
            Poll::Pending => return Read::Nothing,
            Poll::Ready(Ok(0) | Err(_)) => return Read::Ended,
            Poll::Ready(Ok(bytes)) => bytes,
        };
        if bytes == buffer.len() {
            // There may be more, and no event is on its way.
            self.list.push(socket.token);
        } else if poll_read(&mut socket.stream, &socket.waker, &mut []).is_ready() {
            // glommio began to wait when the buffer was not filled, so this only registers the waker.
            self.list.push(socket.token);
        }
        Read::Bytes(bytes)
    }

    fn want(&mut self, socket: &mut UringSocket, id: ConnId, read: bool, write: bool) -> io::Result<()> {
        if read {
            // What arrived meanwhile may have been reported and ignored.
            self.list.push(socket.token);
        }
        if std::mem::replace(&mut socket.waits_to_write, write) == write {
            return Ok(());
        }
        if write {
            return self.poller.add(socket.as_fd(), Token::Connection(id), false, true);
        }
        self.poller.remove(socket.as_fd());
        Ok(())
    }

    fn listen(&mut self, fd: BorrowedFd<'_>, index: u16, on: bool) -> io::Result<()> {
        if on {
            return self.poller.add(fd, Token::Listener(index), true, false);
        }
        self.poller.remove(fd);
        Ok(())
    }

    fn gather(&mut self, events: &mut Vec<Event>) -> bool {
        let mut ready = self.list.lock();
        let taken = ready.tokens.len().min(CONNECTIONS_PER_TURN_MAX);
        let more = taken < ready.tokens.len();
        let (mut poller, mut doorbell) = (self.is_deaf(), false);
        for word in ready.tokens.drain(..taken) {
            let token = Token::from_u64(word);
            match token {
                Token::Connection(_) => {
                    events.push(Event { token, readable: true, writable: false, broken: false });
                }
                Token::Doorbell => doorbell = true,
                Token::Listener(_) => poller = true,
            }
        }
        drop(ready);
        if doorbell {
            self.hear_doorbell();
        }
        if poller {
            self.gather_from_poller(events);
        }
        more
    }
}

/// Runs a shard on this executor until it leaves.
pub(crate) async fn run(worker: &mut Worker<UringSockets>) {
    loop {
        match worker.turn() {
            Next::Again => worker.sockets().pass().await,
            Next::Sleep(at_most) => {
                worker.sockets().sleep(at_most.min(SLEEP_MAX)).await;
                worker.woke_up();
            }
            Next::Leave => return,
        }
    }
}
