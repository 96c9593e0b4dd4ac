//! A broker in this process.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyDict, PyTuple};
use ringmq::{
    AdminError, Bytes, Handle, Options, PendingPublish, PublishError, PublishOptions, SessionReport,
    SubscribeOptions,
};

use crate::errors;
use crate::faults::Faults;
use crate::fork::{Owned, forks};
use crate::hooks::Hooks;
use crate::logging::Speaking;
use crate::message::Message;
use crate::options;
use crate::payload::Payload;
use crate::pending::{Made, Pending};
use crate::properties::{Quality, publish_properties, retain_handling};
use crate::subscription::Subscription;
use crate::wait;

/// What came of a publish in the process.
#[pyclass(frozen, get_all, eq, module = "ringmq._ringmq")]
#[derive(PartialEq, Eq)]
pub struct Published {
    /// Sessions whose subscriptions matched, each counted once; those of other programs' clients and of this program
    /// alike.
    matched: u32,
    /// Of those, sessions that did not get a message of QoS 0, because their queue was full.
    dropped: u32,
}

#[pymethods]
impl Published {
    fn __repr__(&self) -> String {
        format!("Published(matched={}, dropped={})", self.matched, self.dropped)
    }
}

impl From<ringmq::Published> for Published {
    fn from(published: ringmq::Published) -> Self {
        Self { matched: published.matched, dropped: published.dropped }
    }
}

/// A broker that runs.
struct Running {
    /// Taken by the stop.
    broker: RwLock<Option<ringmq::Broker>>,
    /// This program's own session to publish with.
    handle: Handle,
    /// As they were when it started or reloaded.
    urls: RwLock<Vec<String>>,
    _speaking: Speaking,
}

impl Running {
    /// Ends it, though others hold it still; they are told that it has stopped.
    fn stop(&self) {
        let broker = self.broker.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(broker) = broker {
            // What was left over is in the log.
            let _ = broker.stop();
        }
    }
}

/// A broker in this process: made with its options, then started, then stopped, and perhaps started again.
#[pyclass(frozen, subclass, module = "ringmq._ringmq")]
pub struct Broker {
    options: Mutex<Options>,
    /// The program's own rules, which no reload changes.
    hooks: Mutex<Option<Py<Hooks>>>,
    faults: Mutex<Option<Arc<ringmq::faults::Faults>>>,
    running: RwLock<Option<Arc<Owned<Running>>>>,
    /// Somebody is in `start`.
    starting: AtomicBool,
}

impl Drop for Broker {
    /// One that nobody holds any more stops, without the interpreter.
    fn drop(&mut self) {
        if let Ok(Some(running)) = self.running.get_mut().map(Option::take) {
            // Where the interpreter is ending, this drops it as well.
            let _ = Python::try_attach(|py| {
                py.detach(move || {
                    running.ours().map(Running::stop);
                    drop(running);
                });
            });
        }
    }
}

impl Broker {
    fn running(&self, py: Python<'_>) -> PyResult<Arc<Owned<Running>>> {
        let running = self.running.read().map_err(|_| errors::poisoned())?;
        running.clone().ok_or_else(|| errors::stopped(py))
    }
    fn started(&self, py: Python<'_>) -> PyResult<Running> {
        let speaking = Speaking::begin(py)?;
        let mut options = self.options.lock().map_err(|_| errors::poisoned())?.clone();
        if let Some(hooks) = &*self.hooks.lock().map_err(|_| errors::poisoned())? {
            options = options.questions(&hooks.get().0);
        }
        if let Some(faults) = &*self.faults.lock().map_err(|_| errors::poisoned())? {
            options = options.faults(Arc::clone(faults));
        }
        let broker = py.detach(|| options.start()).map_err(|error| errors::start(py, &error))?;
        let handle = py.detach(|| broker.handle()).map_err(|error| errors::open(py, &error))?;
        let urls = RwLock::new(broker.urls());
        Ok(Running { broker: RwLock::new(Some(broker)), handle, urls, _speaking: speaking })
    }
    /// Asks the broker while it runs.
    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        question: impl FnOnce(&ringmq::Broker) -> T + Send,
    ) -> PyResult<T> {
        let running = self.running(py)?;
        let running = running.get(py)?;
        let answer = py.detach(|| {
            let broker = running.broker.read().unwrap_or_else(PoisonError::into_inner);
            broker.as_ref().map(question)
        });
        answer.ok_or_else(|| errors::stopped(py))
    }
    /// As [`Broker::ask`], for what takes a while: a thread asks, so that signals are seen here meanwhile. Who is
    /// interrupted leaves it behind; it ends by the question's own deadline.
    fn ask_long<T: Send + 'static>(
        &self,
        py: Python<'_>,
        timeout: Duration,
        question: impl FnOnce(&ringmq::Broker) -> Result<T, AdminError> + Send + 'static,
    ) -> PyResult<T> {
        let running = self.running(py)?;
        running.get(py)?;
        let (answer, answers) = mpsc::sync_channel(1);
        let asking = thread::Builder::new().name("ringmq-question".to_owned()).spawn(move || {
            let Some(running) = running.ours() else { return };
            let broker = running.broker.read().unwrap_or_else(PoisonError::into_inner);
            // Nobody may be waiting any more.
            let _ = answer.send(broker.as_ref().map(question));
        });
        asking
            .map_err(|error| PyRuntimeError::new_err(format!("no thread to ask the broker with: {error}")))?;
        let answer = wait::until(py, timeout + GRACE, move |until| {
            match answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(answer) => Some(answer),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(None),
            }
        })?;
        let answer = answer.unwrap_or(Some(Err(AdminError::Timeout)));
        answer.ok_or_else(|| errors::stopped(py))?.map_err(|error| errors::admin(py, &error))
    }
}

#[pymethods]
impl Broker {
    #[new]
    #[pyo3(signature = (**options))]
    fn new(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let options = options::from_keywords(py, options)?;
        Ok(Self {
            options: Mutex::new(options),
            hooks: Mutex::default(),
            faults: Mutex::default(),
            running: RwLock::new(None),
            starting: AtomicBool::new(false),
        })
    }
    /// Starts it; when this returns it accepts connections.
    ///
    /// Raises:
    ///     ConfigError: A file it reads is wrong.
    ///     StartError: The machine does not give what it needs; says what to do.
    ///     Error: It runs already.
    ///     ForkError: A broker was started before the process forked.
    fn start(&self, py: Python<'_>) -> PyResult<()> {
        static STARTED_AT: AtomicU64 = AtomicU64::new(u64::MAX);
        // Executors that wait for the next broker are in the process that made them.
        let first = STARTED_AT.compare_exchange(u64::MAX, forks(), Ordering::Relaxed, Ordering::Relaxed);
        if first.is_err_and(|first| first != forks()) {
            return Err(errors::forked(py));
        }
        // No lock is held while the interpreter is given away: whoever has that meanwhile may want the lock.
        let is_running = self.running.read().map_err(|_| errors::poisoned())?.is_some();
        if is_running || self.starting.swap(true, Ordering::Acquire) {
            return Err(errors::plain(py, "Error", "the broker runs already"));
        }
        let _starting = Starting(&self.starting);
        let running = self.started(py)?;
        *self.running.write().map_err(|_| errors::poisoned())? = Some(Arc::new(Owned::new(running)));
        Ok(())
    }
    /// Asks and tells these `hooks` from the next start on; who decides is asked instead of the files that the options
    /// name.
    fn set_hooks(&self, hooks: Py<Hooks>) -> PyResult<()> {
        *self.hooks.lock().map_err(|_| errors::poisoned())? = Some(hooks);
        Ok(())
    }
    /// Has these `faults` from the next start on.
    fn set_faults(&self, faults: &Faults) -> PyResult<()> {
        *self.faults.lock().map_err(|_| errors::poisoned())? = Some(Arc::clone(&faults.0));
        Ok(())
    }
    /// Stops it: publishes the wills of connected clients, says goodbye and closes everything, within the option
    /// `stop_deadline`. Without effect when it does not run.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        let running = self.running.write().map_err(|_| errors::poisoned())?.take();
        if let Some(running) = &running {
            let running = running.get(py)?;
            py.detach(|| running.stop());
        }
        // A call of another thread may hold what is left of it still.
        py.detach(|| drop(running));
        Ok(())
    }
    /// Goes on with these options, all or nothing. What is not given has its default again.
    ///
    /// Returns:
    ///     The names of keys whose new values take effect at the next start only.
    ///
    /// Raises:
    ///     ConfigError: An option or a file is wrong; then nothing has changed.
    ///     StoppedError: It does not run.
    #[pyo3(signature = (**options))]
    fn reload(&self, py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Vec<&'static str>> {
        let options = options::from_keywords(py, options)?;
        let running = self.running(py)?;
        let running = running.get(py)?;
        let report = py.detach(|| {
            let mut broker = running.broker.write().unwrap_or_else(PoisonError::into_inner);
            let broker = broker.as_mut()?;
            let report = broker.reload(options.clone());
            *running.urls.write().unwrap_or_else(PoisonError::into_inner) = broker.urls();
            Some(report)
        });
        let report = report.ok_or_else(|| errors::stopped(py))?.map_err(|error| errors::start(py, &error))?;
        *self.options.lock().map_err(|_| errors::poisoned())? = options;
        Ok(report.at_next_start)
    }
    /// Whether it was started and not yet stopped; true of one that has failed (`failed` says why) until it is stopped.
    #[getter]
    fn is_running(&self) -> PyResult<bool> {
        Ok(self.running.read().map_err(|_| errors::poisoned())?.is_some())
    }
    /// All listeners as clients write them, such as `mqtt://127.0.0.1:41373`, with the ports that were bound, in the
    /// order of the options.
    ///
    /// Raises:
    ///     StoppedError: It does not run.
    #[getter]
    fn urls(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let running = self.running(py)?;
        let urls = running.get(py)?.urls.read().map_err(|_| errors::poisoned())?;
        Ok(urls.clone())
    }
    /// The port of the first TCP listener, 1 to 65,535; 0 where there is none.
    ///
    /// Raises:
    ///     StoppedError: It does not run.
    #[getter]
    fn port(&self, py: Python<'_>) -> PyResult<u16> {
        self.ask(py, ringmq::Broker::port)
    }
    /// The TCP addresses where it listens: pairs of IP address and port, in the order of the options.
    ///
    /// Raises:
    ///     StoppedError: It does not run.
    #[getter]
    fn addresses(&self, py: Python<'_>) -> PyResult<Vec<(String, u16)>> {
        self.ask(py, |broker| {
            broker.addresses().iter().map(|address| (address.ip().to_string(), address.port())).collect()
        })
    }
    /// How it talks to the kernel: `"epoll"` (the package's default) or `"uring"`.
    ///
    /// Raises:
    ///     StoppedError: It does not run.
    #[getter]
    fn driver(&self, py: Python<'_>) -> PyResult<String> {
        self.ask(py, |broker| format!("{:?}", broker.driver()).to_lowercase())
    }
    /// How many shards it has: threads of which each serves clients of its own.
    ///
    /// Raises:
    ///     StoppedError: It does not run.
    #[getter]
    fn shards(&self, py: Python<'_>) -> PyResult<usize> {
        self.ask(py, ringmq::Broker::shards)
    }
    /// Which shard has panicked and why; `None` while the broker works. One that has failed has closed its ports and
    /// disconnected its clients, and is to be stopped.
    ///
    /// Raises:
    ///     StoppedError: It does not run.
    #[getter]
    fn failed(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.ask(py, ringmq::Broker::failed)
    }
    /// The counters of all shards together, by name, since the start.
    ///
    /// Raises:
    ///     StoppedError: It does not run.
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let sums = self.ask(py, ringmq::Broker::counter_sums)?;
        let dict = PyDict::new(py);
        for (name, sum) in sums {
            dict.set_item(name, sum)?;
        }
        Ok(dict)
    }
    /// Publishes a message from this program, without a connection, and returns when every session that matches has
    /// taken it.
    ///
    /// At QoS 1 and 2 it waits for room in full queues. At QoS 0 a session whose queue is full does not get the
    /// message, and is counted. Messages of one broker object keep their order. This program's own messages are not
    /// shown to `on_publish`.
    ///
    /// Args:
    ///     topic: A topic name (MQTT 5.0, 4.7): no wildcards, 1 to 65,535 bytes of UTF-8, and no more levels than the
    ///         option `topic_levels_max` says.
    ///     payload: Text is sent as UTF-8. The whole message may have as many bytes as the option `packet_bytes_max`
    ///         says.
    ///     qos: 0 (default), 1 or 2 (MQTT 5.0, 4.3). A subscriber gets at most the QoS that was granted to it.
    ///     retain: Whether it becomes the topic's retained message (MQTT 5.0, 3.3.1.3); an empty payload removes that.
    ///     timeout: Seconds to wait for room and for the answer, from 0 on; the answer may take half a second more.
    ///     **properties: Properties of the message (MQTT 5.0, 3.3.2.3); see `PublishProperties`.
    ///
    /// Returns:
    ///     How many sessions matched, and how many of them did not get it.
    ///
    /// Raises:
    ///     QueueFullError: At QoS 1 or 2 a session's queue stayed full; the others have the message.
    ///     PublishError: Topic or properties break a rule of MQTT, the message is too large (0x95), or the broker
    ///         refused it, such as another retained message than it may keep (0x97).
    ///     Timeout: No answer in time; the message may still be delivered.
    ///     StoppedError: The broker does not run, or has failed.
    ///     ValueError: `qos`, `timeout` or a property is out of range.
    ///     OverflowError: A number is below 0 or greater than its field.
    ///     TypeError: A payload of another type, or a property of another name.
    #[pyo3(signature = (topic, payload = Payload::default(), *, qos = Quality::default(), retain = false, timeout = 5.0, **properties), text_signature = "($self, topic, payload=b'', *, qos=0, retain=False, timeout=5.0, **properties)")]
    fn publish(
        &self,
        py: Python<'_>,
        topic: &str,
        payload: Payload,
        qos: Quality,
        retain: bool,
        timeout: f64,
        properties: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Published> {
        let timeout = wait::seconds(timeout)?;
        let options = publish_options(qos, retain, timeout, properties)?;
        let running = self.running(py)?;
        let handle = &running.get(py)?.handle;
        let mut pending = None;
        let answer = wait::until(py, timeout + GRACE, move |until| {
            if pending.is_none() {
                match handle.start_publish_by(topic, payload.0.clone(), options.clone(), until) {
                    Ok(started) => pending = Some(started),
                    Err(PublishError::Busy) => return None,
                    Err(error) => return Some(Err(error)),
                }
            }
            pending.as_ref()?.wait_until(until)
        })?;
        answer
            .unwrap_or(Err(PublishError::Timeout))
            .map(Into::into)
            .map_err(|error| errors::publish(py, &error))
    }
    /// As `publish`, without waiting: hands the message in and gives its answer, which `ringmq.aio` waits for.
    ///
    /// Args:
    ///     topic, payload, qos, retain, **properties: As for `publish`.
    ///     timeout: Seconds for which full queues may hold the answer back.
    ///
    /// Raises:
    ///     Timeout: The broker takes no more at present.
    ///     PublishError, StoppedError, ValueError, OverflowError, TypeError: As for `publish`.
    #[pyo3(signature = (topic, payload = Payload::default(), *, qos = Quality::default(), retain = false, timeout = 5.0, **properties), text_signature = "($self, topic, payload=b'', *, qos=0, retain=False, timeout=5.0, **properties)")]
    fn publish_later(
        &self,
        py: Python<'_>,
        topic: &str,
        payload: Payload,
        qos: Quality,
        retain: bool,
        timeout: f64,
        properties: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Pending> {
        let options = publish_options(qos, retain, wait::seconds(timeout)?, properties)?;
        let running = self.running(py)?;
        let handle = &running.get(py)?.handle;
        let pending =
            handle.start_publish(topic, payload.0, options).map_err(|error| errors::publish(py, &error))?;
        Ok(Pending::new(async move {
            let answer = pending.await;
            Box::new(move |py: Python<'_>| match answer {
                Ok(published) => Ok(Py::new(py, Published::from(published))?.into_any()),
                Err(error) => Err(errors::publish(py, &error)),
            }) as Made
        }))
    }
    /// The sessions of all clients, as tuples: ClientID, connected, user name, address, version, keep alive, session
    /// expiry interval, subscriptions, messages queued, bytes of them, messages in flight. Times are in seconds.
    ///
    /// Raises:
    ///     Timeout: The broker did not answer within `timeout` seconds.
    ///     StoppedError: It does not run.
    fn session_reports<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let timeout = wait::seconds(timeout)?;
        let found = self.ask_long(py, timeout, move |broker| broker.sessions(timeout))?;
        found.into_iter().map(|report| session_tuple(py, report)).collect()
    }
    /// Disconnects the client with this `client_id`, which is told 0x98 Administrative action (MQTT 5.0, 3.14.2.1). Its
    /// will is published. With `end_session` its session ends, else it stays as long as it outlives a connection.
    ///
    /// Returns:
    ///     Whether there was such a session.
    ///
    /// Raises:
    ///     Timeout: The broker did not answer within `timeout` seconds.
    ///     StoppedError: It does not run.
    fn kick(&self, py: Python<'_>, client_id: String, end_session: bool, timeout: f64) -> PyResult<bool> {
        let timeout = wait::seconds(timeout)?;
        self.ask_long(py, timeout, move |broker| broker.kick(&client_id, end_session, timeout))
    }
    /// The retained messages whose topics match a filter, in the order of their topics.
    ///
    /// Raises:
    ///     SubscribeError: It is no topic filter.
    ///     Timeout: The broker did not answer within `timeout` seconds.
    ///     StoppedError: It does not run.
    fn retained_messages(&self, py: Python<'_>, filter: String, timeout: f64) -> PyResult<Vec<Message>> {
        let timeout = wait::seconds(timeout)?;
        let found = self.ask_long(py, timeout, move |broker| broker.retained(&filter, timeout))?;
        Ok(found.into_iter().map(Message::retained).collect())
    }
    /// Makes the broker as good as new: disconnects all clients, ends their sessions, and forgets all retained messages
    /// but the broker's own. Subscriptions of this program stay, and so do the counters.
    ///
    /// Raises:
    ///     Timeout: The broker did not answer within `timeout` seconds; default 5.
    ///     StoppedError: It does not run.
    #[pyo3(signature = (timeout = 5.0))]
    fn reset(&self, py: Python<'_>, timeout: f64) -> PyResult<()> {
        let timeout = wait::seconds(timeout)?;
        self.ask_long(py, timeout, move |broker| broker.reset(timeout))
    }
    /// Sets the broker's clock ahead by `seconds`, at most ten years, and returns when what is due by then has
    /// happened. With `keep_alive`, clients count as silent meanwhile.
    ///
    /// Raises:
    ///     ValueError: A time below 0 or of more than ten years.
    ///     Timeout: The broker did not answer within `timeout` seconds; the clock is ahead all the same.
    ///     StoppedError: It does not run.
    fn advance_clock(&self, py: Python<'_>, seconds: f64, keep_alive: bool, timeout: f64) -> PyResult<()> {
        let (by, timeout) = (wait::seconds(seconds)?, wait::seconds(timeout)?);
        if by.as_secs_f64() < seconds {
            return Err(PyValueError::new_err("a clock is set ahead by at most ten years"));
        }
        self.ask_long(py, timeout, move |broker| broker.advance_clock(by, keep_alive, timeout))
    }
    /// Publishes many messages, one after the other, and waits for their answers together.
    ///
    /// Args:
    ///     messages: Pairs of topic and payload, from any iterable; no property goes with them.
    ///     qos, retain: As for `publish`, the same for all of them.
    ///     timeout: Seconds for each batch of up to 256 messages, as for `publish`.
    ///
    /// Returns:
    ///     The sums of what `publish` gives.
    ///
    /// Raises:
    ///     QueueFullError, PublishError, Timeout, StoppedError: The first failure, as for `publish`; the other messages
    ///         are published all the same.
    ///     ValueError, TypeError: `qos` or `timeout` is out of range, or something is no such pair; batches before that
    ///         have been handed in.
    #[pyo3(signature = (messages, *, qos = Quality::default(), retain = false, timeout = 5.0), text_signature = "($self, messages, *, qos=0, retain=False, timeout=5.0)")]
    fn publish_many(
        &self,
        py: Python<'_>,
        messages: &Bound<'_, PyAny>,
        qos: Quality,
        retain: bool,
        timeout: f64,
    ) -> PyResult<Published> {
        let timeout = wait::seconds(timeout)?;
        let options = publish_options(qos, retain, timeout, None)?;
        let running = self.running(py)?;
        let handle = &running.get(py)?.handle;
        let mut batch =
            Batch { sum: Published { matched: 0, dropped: 0 }, failure: None, waiting: VecDeque::new() };
        let mut chunk = Vec::with_capacity(CHUNK);
        let mut last: Arc<str> = Arc::default();
        let mut pairs = messages.try_iter()?;
        loop {
            for pair in pairs.by_ref().take(CHUNK) {
                let (topic, payload) = pair?.extract::<(PyBackedStr, Payload)>()?;
                if *last != *topic {
                    last = (*topic).into();
                }
                chunk.push((Arc::clone(&last), payload.0));
            }
            if chunk.is_empty() {
                break;
            }
            py.check_signals()?;
            let messages = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK));
            py.detach(|| batch.publish(handle, &options, timeout, messages));
        }
        while !batch.waiting.is_empty() {
            py.check_signals()?;
            py.detach(|| batch.take(timeout));
        }
        match batch.failure {
            Some(error) => Err(errors::publish(py, &error)),
            None => Ok(batch.sum),
        }
    }
    /// Subscribes this program, without a connection: opens a session, whose messages the subscription gives. Every
    /// publish from then on arrives. It ends by `close`, by the end of a `with`, and with the broker.
    ///
    /// Args:
    ///     *filters: Topic filters (MQTT 5.0, 4.7), `$share/NAME/FILTER` included (4.8.2); at least one, and all are
    ///         granted or none.
    ///     qos: The maximum QoS, 0 to 2 (MQTT 5.0, 3.8.3.1). Default 2: as published.
    ///     maxlen: Messages that may wait in the session, at least 1, default 1,000; besides, as many again, at most
    ///         512, may have been handed over to the reader. Beyond it publishers of QoS 1 and 2 are held back, at most
    ///         until their timeout, and messages of QoS 0 are dropped and counted.
    ///     retain_handling: When retained messages come (MQTT 5.0, 3.8.3.1): 0 now (default), 1 unless there was such a
    ///         subscription, 2 never.
    ///     retain_as_published: Whether messages keep the RETAIN flag with which they were published (MQTT 5.0,
    ///         3.8.3.1); default false.
    ///     subscription_identifier: Comes with each message of these filters (MQTT 5.0, 3.8.2.1.2), 1 to 268,435,455.
    ///     unacknowledged_max: How many messages of QoS 1 and 2 may be taken and not yet acknowledged by
    ///         `Subscription.acknowledge`, 1 to 65,535, and at most what the option `inflight_messages_max` says; what
    ///         comes then waits in the session. Default 0: taking a message acknowledges it.
    ///     timeout: Seconds to wait for the broker, from 0 on; default 5.
    ///
    /// Raises:
    ///     SubscribeError: No filter was given, one breaks a rule of MQTT or was refused, or the identifier is out of
    ///         range.
    ///     Timeout: No answer in time.
    ///     StoppedError: The broker does not run, or has failed.
    ///     ValueError: `qos`, `retain_handling` or `timeout` is out of range.
    ///     OverflowError: A number is below 0 or greater than its field.
    #[pyo3(signature = (*filters, qos = Quality(ringmq::Qos::ExactlyOnce), maxlen = 1000, retain_handling = 0, retain_as_published = false, subscription_identifier = None, unacknowledged_max = 0, timeout = 5.0), text_signature = "($self, *filters, qos=2, maxlen=1000, retain_handling=0, retain_as_published=False, subscription_identifier=None, unacknowledged_max=0, timeout=5.0)")]
    fn subscribe(
        &self,
        py: Python<'_>,
        filters: Vec<String>,
        qos: Quality,
        maxlen: usize,
        retain_handling: u8,
        retain_as_published: bool,
        subscription_identifier: Option<u32>,
        unacknowledged_max: u16,
        timeout: f64,
    ) -> PyResult<Subscription> {
        let mut options = SubscribeOptions::qos(qos.0)
            .maxlen(maxlen)
            .retain_handling(self::retain_handling(retain_handling)?)
            .retain_as_published(retain_as_published)
            .timeout(wait::seconds(timeout)?);
        if let Some(identifier) = subscription_identifier {
            options = options.subscription_id(identifier);
        }
        if let Some(max) = std::num::NonZeroU16::new(unacknowledged_max) {
            options = options.unacknowledged_max(max);
        }
        let opened = self.ask(py, |broker| broker.subscribe(filters.clone(), options))?;
        let inner = opened.map_err(|error| errors::subscribe(py, &error))?;
        Ok(Subscription::new(inner, filters))
    }
}

fn session_tuple(py: Python<'_>, report: SessionReport) -> PyResult<Bound<'_, PyTuple>> {
    let subscriptions = PyDict::new(py);
    for (filter, qos) in report.subscriptions {
        subscriptions.set_item(filter, qos as u8)?;
    }
    let version = report.version.map(|version| version.name());
    (
        report.client_id,
        report.connected,
        report.user_name,
        report.address.map(|address| address.to_string()),
        version,
        report.keep_alive_seconds,
        report.expiry_seconds,
        subscriptions,
        report.queued,
        report.queued_bytes,
        report.inflight,
    )
        .into_pyobject(py)
}

fn publish_options(
    qos: Quality,
    retain: bool,
    timeout: Duration,
    properties: Option<&Bound<'_, PyDict>>,
) -> PyResult<PublishOptions> {
    let properties = publish_properties(properties)?;
    let options = PublishOptions::qos(qos.0).retain(retain).timeout(timeout);
    Ok(options.properties(properties.as_properties()))
}

/// Somebody is in `start`, whatever comes of it.
struct Starting<'a>(&'a AtomicBool);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Messages that are converted at one go, with the interpreter, before they are published without it.
const CHUNK: usize = ringmq::BATCH_MAX;
/// Chunks that may wait for their answers: fewer messages than a full queue holds back by default, so that a slow reader
/// makes one publisher wait and not fail.
const WINDOW: usize = 3;

/// Messages that are published together.
struct Batch {
    sum: Published,
    failure: Option<PublishError>,
    waiting: VecDeque<PendingPublish>,
}

impl Batch {
    fn publish(
        &mut self,
        handle: &Handle,
        options: &PublishOptions,
        timeout: Duration,
        messages: Vec<(Arc<str>, Bytes)>,
    ) {
        if self.waiting.len() >= WINDOW {
            self.take(timeout);
        }
        let deadline = Instant::now() + timeout;
        match handle.start_publish_many(messages.clone(), options.clone(), deadline) {
            Ok(pending) => return self.waiting.push_back(pending),
            // One of them is wrong: each by itself, so that the others are published.
            Err(PublishError::Invalid(_) | PublishError::TooLarge) => {}
            Err(error) => return self.fail(error),
        }
        for (topic, payload) in messages {
            if self.waiting.len() >= WINDOW {
                self.take(timeout);
            }
            match handle.start_publish_by(&topic, payload, options.clone(), Instant::now() + timeout) {
                Ok(pending) => self.waiting.push_back(pending),
                Err(error) => self.fail(error),
            }
        }
    }
    fn take(&mut self, timeout: Duration) {
        let Some(pending) = self.waiting.pop_front() else { return };
        match pending.wait(Instant::now() + timeout + GRACE) {
            Ok(published) => {
                self.sum.matched = self.sum.matched.saturating_add(published.matched);
                self.sum.dropped = self.sum.dropped.saturating_add(published.dropped);
            }
            Err(error) => self.fail(error),
        }
    }
    fn fail(&mut self, error: PublishError) {
        self.failure.get_or_insert(error);
    }
}

/// Room for the shard's answer after its own deadline.
const GRACE: Duration = Duration::from_millis(500);
