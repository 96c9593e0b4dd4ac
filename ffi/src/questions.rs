//! Rules of the program's own: questions that brokers ask, taken out by whichever thread likes, and answered whenever.

use std::time::{Duration, Instant};

use ringmq::questions::{Action, Question, Questions, Subjects};
use ringmq::{ReasonCode, Rewritten};

use crate::broker::optional;
use crate::entry::{check_place, enter, put, read, wait};
use crate::error::{Failure, ringmq_error, ringmq_status};
use crate::handle::{self, Object, Origin};
use crate::message::{Source, ringmq_message};
use crate::publish::ringmq_publish;
use crate::ready::Ready;
use crate::text::{ringmq_bytes, ringmq_str};

/// Asks who may connect, instead of password files and tokens.
pub const RINGMQ_ASK_CONNECT: u32 = 1;
/// Asks who may publish and subscribe to what, instead of ACL files.
pub const RINGMQ_ASK_ACCESS: u32 = 2;
/// Tells which clients have connected.
pub const RINGMQ_TELL_CONNECTED: u32 = 4;
/// Tells which are gone.
pub const RINGMQ_TELL_DISCONNECTED: u32 = 8;
/// Asks what becomes of each message that a client publishes.
pub const RINGMQ_ASK_MESSAGE: u32 = 16;

/// Where the questions of brokers are taken out. At most 10,000 of them and 64 MiB of messages wait: beyond it clients are
/// told that the server is busy, and publishes are refused.
pub struct ringmq_questions {
    inner: Questions,
    ready: Ready,
    origin: Origin,
}

impl Object for ringmq_questions {
    const NAME: &'static str = "ringmq_questions";
    fn origin(&self) -> Origin {
        self.origin
    }
}

impl ringmq_questions {
    pub(crate) fn inner(&self) -> Questions {
        self.inner.clone()
    }
}

/// A question, or something that is told. One that is not answered within the key `decision_timeout` is denied.
pub struct ringmq_question {
    inner: Question,
    origin: Origin,
}

impl Object for ringmq_question {
    const NAME: &'static str = "ringmq_question";
    fn origin(&self) -> Origin {
        self.origin
    }
}

/// What a question is about.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ringmq_action {
    /// A client wants to connect.
    RINGMQ_ACTION_CONNECT = 1,
    /// It wants to publish to `topic`.
    RINGMQ_ACTION_PUBLISH = 2,
    /// It wants to subscribe to `topic`, a filter.
    RINGMQ_ACTION_SUBSCRIBE = 3,
    /// It publishes a message: `ringmq_question_message`.
    RINGMQ_ACTION_MESSAGE = 4,
    /// It has connected; no answer is wanted.
    RINGMQ_ACTION_CONNECTED = 5,
    /// It is gone; no answer is wanted.
    RINGMQ_ACTION_DISCONNECTED = 6,
}

/// What stands in a question. All of it lives as long as the question.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ringmq_question_view {
    /// A ringmq_action.
    pub action: ringmq_action,
    /// The client's ClientID.
    pub client_id: ringmq_str,
    /// Its user name; `data` is NULL without one.
    pub user_name: ringmq_str,
    /// The password it gives when it connects; `data` is NULL without one.
    pub password: ringmq_bytes,
    /// ADDRESS:PORT from which it connects; `data` is NULL where there is none.
    pub address: ringmq_str,
    /// Topic name or filter; empty where it is about a connection.
    pub topic: ringmq_str,
    /// The reason code with which it is gone; -1 when its connection was lost without one.
    pub reason_code: i32,
    /// Whether the message is the will of a client that connects.
    pub is_will: bool,
}

/// Makes a place for questions about these subjects, RINGMQ_ASK_CONNECT and so on, added together. An answer about access
/// holds for `remember_ms` milliseconds for the same client, user name and topic. Free it with `ringmq_questions_free`.
///
/// # Safety
/// `questions` can be written to, `error` is NULL or can be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_questions_new(
    subjects: u32,
    remember_ms: u64,
    questions: *mut *mut ringmq_questions,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    const ALL: u32 = RINGMQ_ASK_CONNECT
        | RINGMQ_ASK_ACCESS
        | RINGMQ_TELL_CONNECTED
        | RINGMQ_TELL_DISCONNECTED
        | RINGMQ_ASK_MESSAGE;
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            if subjects == 0 || subjects & !ALL != 0 {
                return Err(Failure::invalid(format!("0x{subjects:x} are no subjects")));
            }
            check_place(questions, "questions")?;
            let has = |subject: u32| subjects & subject != 0;
            let wanted = Subjects {
                authenticates: has(RINGMQ_ASK_CONNECT),
                authorizes: has(RINGMQ_ASK_ACCESS),
                connects: has(RINGMQ_TELL_CONNECTED),
                disconnects: has(RINGMQ_TELL_DISCONNECTED),
                publishes: has(RINGMQ_ASK_MESSAGE),
            };
            let inner = Questions::new(wanted, Duration::from_millis(remember_ms));
            let made = ringmq_questions { inner, ready: Ready::default(), origin: Origin::here() };
            put(questions, handle::give(made), "questions")
        })
    }
}

/// Waits for the next question. Free it with `ringmq_question_free`.
///
/// Errors: RINGMQ_TIMEOUT when none came in time, RINGMQ_STOPPED when the broker has stopped and all were taken.
///
/// # Safety
/// `questions` is NULL or questions; `question` can be written to, `error` is NULL or can be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_questions_take(
    questions: *const ringmq_questions,
    timeout_ms: i64,
    question: *mut *mut ringmq_question,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let questions = handle::hold(questions)?;
            check_place(question, "question")?;
            questions.ready.quiet();
            let until = Instant::now() + wait(timeout_ms);
            let taken = questions.inner.take(until);
            if !questions.inner.is_empty() || questions.inner.is_closed() {
                questions.ready.ring();
            }
            let inner = taken.ok_or_else(|| match questions.inner.is_closed() {
                true => Failure::stopped(),
                false => Failure::timeout(),
            })?;
            put(question, handle::give(ringmq_question { inner, origin: Origin::here() }), "question")
        })
    }
}

/// A descriptor (an eventfd) that is readable while there may be questions. For any event loop; do not read from it or
/// close it: taking does what is needed. It lives as long as the questions.
///
/// # Safety
/// `questions` is NULL or questions; `descriptor` can be written to, `error` is NULL or can be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_questions_descriptor(
    questions: *const ringmq_questions,
    descriptor: *mut i32,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let questions = handle::hold(questions)?;
            let number = questions.ready.descriptor()?;
            questions.inner.set_waker(questions.ready.waker());
            // One may have come in between.
            questions.ready.ring();
            put(descriptor, number, "descriptor")
        })
    }
}

/// How many clients came or went since this was asked last that nobody was told of, because too much waited.
///
/// # Safety
/// `questions` is NULL or questions; `missed` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_questions_missed(
    questions: *const ringmq_questions,
    missed: *mut u64,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe { enter(std::ptr::null_mut(), || put(missed, handle::hold(questions)?.inner.missed(), "missed")) }
}

/// Frees questions; NULL is allowed. A broker that asks by them is denied everything from then on.
///
/// # Safety
/// `questions` is NULL or questions, and nobody uses this reference any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_questions_free(questions: *const ringmq_questions) {
    // SAFETY: the caller's.
    unsafe { handle::end(questions) };
}

impl Drop for ringmq_questions {
    fn drop(&mut self) {
        self.inner.give_up();
    }
}

/// Reads a question.
///
/// # Safety
/// `question` is NULL or a question; `view` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_question_read(
    question: *const ringmq_question,
    view: *mut ringmq_question_view,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            let question = handle::hold(question)?;
            let inner = &question.inner;
            let none = ringmq_bytes { data: std::ptr::null(), length: 0 };
            let read = ringmq_question_view {
                action: match inner.action() {
                    Action::Connect => ringmq_action::RINGMQ_ACTION_CONNECT,
                    Action::Publish => ringmq_action::RINGMQ_ACTION_PUBLISH,
                    Action::Subscribe => ringmq_action::RINGMQ_ACTION_SUBSCRIBE,
                    Action::Message => ringmq_action::RINGMQ_ACTION_MESSAGE,
                    Action::Connected => ringmq_action::RINGMQ_ACTION_CONNECTED,
                    Action::Disconnected => ringmq_action::RINGMQ_ACTION_DISCONNECTED,
                },
                client_id: ringmq_str::new(inner.client_id()),
                user_name: optional(inner.user_name()),
                password: inner.password().map_or(none, ringmq_bytes::new),
                address: optional(inner.address()),
                topic: ringmq_str::new(inner.topic()),
                reason_code: inner.reason().map_or(-1, |reason| reason.value().into()),
                is_will: inner.content().is_some_and(|content| content.is_will),
            };
            put(view, read, "view")
        })
    }
}

/// The message that a client publishes; free it with `ringmq_message_free`. RINGMQ_ABSENT when the question is about
/// something else.
///
/// # Safety
/// `question` is NULL or a question; `message` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_question_message(
    question: *const ringmq_question,
    message: *mut *const ringmq_message,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            let question = handle::hold(question)?;
            check_place(message, "message")?;
            let absent = || Failure::new(ringmq_status::RINGMQ_ABSENT, "the question is about no message");
            let content = question.inner.content().ok_or_else(absent)?.clone();
            let source = Source::Offered(question.inner.topic().to_owned(), content);
            put(message, ringmq_message::give(source).cast_const(), "message")
        })
    }
}

/// Answers yes or no. A second answer has no effect. It never waits.
///
/// # Safety
/// `question` is NULL or a question.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_question_answer(
    question: *const ringmq_question,
    allowed: bool,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            handle::hold(question)?.inner.answer(allowed);
            Ok(())
        })
    }
}

/// Lets a client connect by this user name, whatever it gave.
///
/// # Safety
/// `question` is NULL or a question; `user_name` is there during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_question_answer_as(
    question: *const ringmq_question,
    user_name: ringmq_str,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            handle::hold(question)?.inner.answer_as(user_name.get("user_name")?);
            Ok(())
        })
    }
}

/// Refuses a message with a reason code of a PUBACK or PUBREC (MQTT 5.0, 3.4.2.1): 0x80, 0x83, 0x87, 0x90, 0x97, 0x99.
///
/// # Safety
/// `question` is NULL or a question.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_question_refuse(
    question: *const ringmq_question,
    reason_code: u8,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            let question = handle::hold(question)?;
            let known = ReasonCode::from_u8(reason_code).filter(|reason| reason.is_error());
            let reason =
                known.ok_or_else(|| Failure::invalid(format!("0x{reason_code:02x} does not refuse")))?;
            question.inner.refuse(reason);
            Ok(())
        })
    }
}

/// Lets a message pass as another one: topic, payload, retain flag and properties are those of `message`; its QoS and
/// timeout do not count.
///
/// Errors: RINGMQ_INVALID, RINGMQ_STRUCT_SIZE; then the question is still open.
///
/// # Safety
/// `question` is NULL or a question; `message` as for `ringmq_broker_publish`; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_question_rewrite(
    question: *const ringmq_question,
    message: *const ringmq_publish,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let ready = read(message, "message")?.ready()?;
            let question = handle::hold(question)?;
            if question.inner.content().is_none() {
                return Err(Failure::invalid("the question is about no message"));
            }
            question.inner.rewrite(Rewritten {
                topic: ready.topic.into(),
                retain: ready.retain,
                properties: ready.properties,
                payload: ready.payload,
            });
            Ok(())
        })
    }
}

/// Frees a question; NULL is allowed.
///
/// # Safety
/// `question` is NULL or a question, and nobody uses this reference any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_question_free(question: *const ringmq_question) {
    // SAFETY: the caller's.
    unsafe { handle::end(question) };
}
