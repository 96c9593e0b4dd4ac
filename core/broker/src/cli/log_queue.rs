//! Between those who write the log and whoever reads it: a queue with a bound, and a thread that alone waits for
//! the reader. Shards write lines from their cores, and a reader that stopped (a pipe that nobody empties, a
//! terminal on hold) must cost lines, never service. What is lost is counted and said as soon as there is room.
//! It never waits in a writer, and never forgets that it forgot.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that may wait for the reader: some 40,000 lines, more than a slow look at a busy log misses, and little
/// beside what a broker holds.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// How long the thread lets lines gather before it writes them all at once. Without that each line wakes it and is a
/// write of its own: of the processor time that a short connection cost, with its two lines, that was a third.
const GATHERING: Duration = Duration::from_millis(10);

/// The log's entrance; clones write to the same log.
#[derive(Clone)]
pub struct LogQueue {
    shared: Arc<Shared>,
}

struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    bytes_max: usize,
    /// Lines that one second may have.
    lines_per_second_max: AtomicU32,
}

#[derive(Default)]
struct Waiting {
    /// The second that is counted, and its lines so far.
    second: Option<Instant>,
    lines: u32,
    /// Lines that were too many in this second.
    left_out: u64,
    bytes: Vec<u8>,
    /// Lines that found no room since the last time there was some.
    lost: u64,
    /// The thread has taken bytes and not yet written them all.
    writing: bool,
    /// The thread sleeps until there is a line.
    asleep: bool,
}

impl LogQueue {
    /// Starts the thread that writes to `sink`. It lives as long as the process.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        Self::with_bound(sink, WAITING_BYTES_MAX)
    }

    fn with_bound(sink: impl Write + Send + 'static, bytes_max: usize) -> io::Result<Self> {
        let lines_per_second_max = AtomicU32::new(u32::MAX);
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            bytes_max,
            lines_per_second_max,
        });
        let queue = Self { shared: Arc::clone(&shared) };
        std::thread::Builder::new().name(String::from("log")).spawn(move || shared.serve(sink))?;
        Ok(queue)
    }

    /// Takes so many lines in a second; the others are counted, and that is said.
    pub fn limit_lines_per_second(&self, lines_max: u32) {
        self.shared.lines_per_second_max.store(lines_max, Ordering::Relaxed);
    }

    /// Takes one line, its newline included, or counts it as lost.
    pub fn push(&self, line: &[u8]) {
        let mut waiting = self.shared.lock();
        waiting.admit_loss(self.shared.bytes_max);
        if !waiting.is_within_rate(self.shared.lines_per_second_max.load(Ordering::Relaxed)) {
            return;
        }
        if waiting.lost > 0 || waiting.bytes.len() + line.len() > self.shared.bytes_max {
            waiting.lost += 1;
        } else {
            waiting.bytes.extend_from_slice(line);
        }
        let asleep = std::mem::take(&mut waiting.asleep);
        drop(waiting);
        if asleep {
            self.shared.changed.notify_all();
        }
    }

    /// Waits until all lines are written, but no longer than this.
    pub fn drain(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut waiting = self.shared.lock();
        while waiting.writing || !waiting.bytes.is_empty() || waiting.lost > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let woken = self.shared.changed.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Waiting {
    /// Whether one more line may come in this second; says at the first of the next one how many were too many.
    fn is_within_rate(&mut self, lines_max: u32) -> bool {
        if lines_max == u32::MAX {
            return true;
        }
        let now = Instant::now();
        if self.second.is_none_or(|second| now.duration_since(second) >= Duration::from_secs(1)) {
            (self.second, self.lines) = (Some(now), 0);
            let left_out = std::mem::take(&mut self.left_out);
            if left_out > 0 {
                let line = format!(
                    "ringmq: {left_out} lines of the log were left out: more than {lines_max} in a second \
                     (log_lines_per_second_max)\n"
                );
                self.bytes.extend_from_slice(line.as_bytes());
            }
        }
        self.lines += 1;
        self.left_out += u64::from(self.lines > lines_max);
        self.lines <= lines_max
    }

    /// Says how many lines are missing at this place, once there is room to say it.
    fn admit_loss(&mut self, bytes_max: usize) {
        if self.lost == 0 {
            return;
        }
        let line =
            format!("ringmq: {} lines of the log are missing here: nobody read it in time\n", self.lost);
        if self.bytes.len() + line.len() <= bytes_max {
            self.bytes.extend_from_slice(line.as_bytes());
            self.lost = 0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: takes all that waits and writes it without the lock.
    fn serve(&self, mut sink: impl Write) {
        let mut taken = Vec::new();
        loop {
            self.await_lines();
            std::thread::sleep(GATHERING);
            self.take(&mut taken);
            // A log that was closed must not hurt the broker: lines that cannot be written are lost.
            let _ = sink.write_all(&taken).and_then(|()| sink.flush());
            taken.clear();
            self.lock().writing = false;
            self.changed.notify_all();
        }
    }

    fn await_lines(&self) {
        let mut waiting = self.lock();
        while waiting.bytes.is_empty() && waiting.lost == 0 {
            waiting.asleep = true;
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.asleep = false;
    }

    fn take(&self, taken: &mut Vec<u8>) {
        let mut waiting = self.lock();
        std::mem::swap(&mut waiting.bytes, taken);
        // There is room now: whatever was lost behind these lines is said before anything else.
        waiting.admit_loss(self.bytes_max);
        waiting.writing = true;
    }
}

/// One event of the log comes as one write.
impl Write for LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A reader that takes what is written only when it is told to.
    struct Gate {
        open: Receiver<()>,
        taken: Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.open.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            self.taken.send(bytes.to_vec()).expect("the test lives");
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated(bytes_max: usize) -> (LogQueue, Sender<()>, Receiver<Vec<u8>>) {
        let ((open, opened), (taken, takes)) = (channel(), channel());
        let queue = LogQueue::with_bound(Gate { open: opened, taken }, bytes_max).expect("a thread");
        (queue, open, takes)
    }

    /// Lets the reader read until as many bytes as this have come.
    fn read(open: &Sender<()>, takes: &Receiver<Vec<u8>>, until: &str) -> String {
        let mut text = String::new();
        while !text.contains(until) {
            open.send(()).expect("the queue lives");
            text.push_str(&String::from_utf8(takes.recv_timeout(PATIENCE).expect("a write")).expect("text"));
        }
        text
    }

    #[test]
    fn a_reader_that_stopped_costs_lines_and_no_time() {
        let (queue, open, takes) = gated(100);
        for number in 0..10_000 {
            queue.push(format!("line {number}\n").as_bytes());
            assert!(queue.shared.lock().bytes.capacity() <= 400, "the queue has a bound");
        }
        // The thread may have looked at any moment of these lines, so what is lost may be told in several places.
        let told = |line: &str| match line.strip_prefix("ringmq: ") {
            Some(rest) => rest.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0),
            None => 1_usize,
        };
        let mut text = String::new();
        while text.lines().map(told).sum::<usize>() < 10_000 {
            open.send(()).expect("the queue lives");
            text.push_str(&String::from_utf8(takes.recv_timeout(PATIENCE).expect("a write")).expect("text"));
        }
        assert_eq!(text.lines().map(told).sum::<usize>(), 10_000, "{text}");
        assert!(text.contains("are missing here"), "{text}");
        assert!(text.starts_with("line 0\nline 1\n"), "the oldest lines are kept, in their order: {text}");
        queue.push(b"and on\n");
        read(&open, &takes, "and on\n");
    }

    #[test]
    fn draining_waits_for_the_reader_and_no_longer_than_it_may() {
        let (queue, open, takes) = gated(100);
        queue.push(b"one\n");
        queue.drain(Duration::from_millis(1));
        assert!(takes.try_recv().is_err(), "nothing was read");
        open.send(()).expect("the queue lives");
        queue.drain(PATIENCE);
        assert_eq!(takes.try_recv(), Ok(b"one\n".to_vec()));
    }

    #[test]
    fn a_log_that_was_closed_hurts_nobody() {
        let (queue, open, _takes) = gated(100);
        drop(open);
        (0..100).for_each(|_| queue.push(b"line\n"));
        queue.drain(PATIENCE);
        assert!(queue.shared.lock().bytes.is_empty());
    }
}
