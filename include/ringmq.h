/* libringmq: MQTT brokers and clients in a C or C++ program.
 *
 * Objects are opaque and counted: who is given one has one reference and gives it back with the function of its name that
 * ends in _free, which takes NULL as well. A call keeps its object alive as long as it goes on. Any number of threads may
 * use an object at one time, stop it or close it; calls behind that are told RINGMQ_STOPPED. To use an object of which all
 * references were given back is undefined; builds with debug assertions see it and say RINGMQ_HANDLE.
 *
 * Texts and data go with their length and are lent: what is given to a call is there during the call, what a call gives
 * lives as long as the object it came from. Texts are UTF-8.
 *
 * Every function that can fail returns a ringmq_status and writes its outputs only when that is RINGMQ_OK. Where it has a
 * parameter `error` that is not NULL, a failure is told there in words; free it with ringmq_error_free. Nothing passes the
 * border but this: no panic, no exit, no signal handler, nothing on the standard output.
 *
 * Structs whose first field is struct_size may grow: initialise them with the macro of their name, RINGMQ_..._INIT.
 *
 * The library has threads of its own, a shard of a broker one each and a client's connections one together; none of them
 * ever calls the program, except for what is named ringmq_release. After a fork the child can make new objects, and is
 * told RINGMQ_FORKED for those of its parent.
 */

#ifndef RINGMQ_H
#define RINGMQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A text that stands in the program, such as RINGMQ_STR("home/#"). */
#ifdef __cplusplus
#define RINGMQ_STR(literal) (ringmq_str{(literal), sizeof(literal) - 1})
#else
#define RINGMQ_STR(literal) ((ringmq_str){(literal), sizeof(literal) - 1})
#endif

/* Data of any kind by its first byte and its length. */
#ifdef __cplusplus
#define RINGMQ_BYTES(pointer, size) (ringmq_bytes{reinterpret_cast<const uint8_t *>(pointer), (size)})
#else
#define RINGMQ_BYTES(pointer, size) ((ringmq_bytes){(const uint8_t *)(pointer), (size)})
#endif

/* What a struct is in which nothing was set: every field its default. */
#define RINGMQ_PUBLISH_INIT {sizeof(ringmq_publish), {NULL, 0}, {NULL, 0}, 0, false, 5000, NULL, NULL, NULL}
#define RINGMQ_SUBSCRIBE_INIT {sizeof(ringmq_subscribe), NULL, 0, 2, 0, false, 0, 1000, 5000, 0}
#define RINGMQ_FAULT_INIT {sizeof(ringmq_fault), RINGMQ_FAULT_DROP, {NULL, 0}, 0, 0, 0, 0, 0x88}


// The version of the header: major * 1,000,000 + minor * 1,000 + patch. `ringmq_version_number` says the library's.
#define RINGMQ_VERSION_NUMBER 1000

// The broker itself has a problem.
#define RINGMQ_LOG_ERROR 1

// A client or peer did something wrong, or something was dropped.
#define RINGMQ_LOG_WARNING 2

// Per connection.
#define RINGMQ_LOG_INFO 3

// Per packet.
#define RINGMQ_LOG_DEBUG 4

// Asks who may connect, instead of password files and tokens.
#define RINGMQ_ASK_CONNECT 1

// Asks who may publish and subscribe to what, instead of ACL files.
#define RINGMQ_ASK_ACCESS 2

// Tells which clients have connected.
#define RINGMQ_TELL_CONNECTED 4

// Tells which are gone.
#define RINGMQ_TELL_DISCONNECTED 8

// Asks what becomes of each message that a client publishes.
#define RINGMQ_ASK_MESSAGE 16

// What came of a call. Numbers are never given another meaning, and new ones may come: take what is not known for a
// failure.
typedef enum {
    // It was done.
    RINGMQ_OK = 0,
    // Nothing came in time, or nothing is there.
    RINGMQ_TIMEOUT = 1,
    // The object has been stopped or closed, or its broker has.
    RINGMQ_STOPPED = 2,
    // There is no such thing.
    RINGMQ_ABSENT = 3,
    // A shard of the broker has panicked, and the broker has ended; its log says why.
    RINGMQ_FAILED = 4,
    // A pointer is NULL that must not be.
    RINGMQ_NULL = 10,
    // A value is outside what is allowed.
    RINGMQ_INVALID = 11,
    // The `struct_size` of a struct is none that this library knows.
    RINGMQ_STRUCT_SIZE = 12,
    // The pointer is none to an object of this kind that is still there; debug builds alone see that.
    RINGMQ_HANDLE = 13,
    // The object was made before a fork, by the parent of this process.
    RINGMQ_FORKED = 14,
    // The library has failed inside; a bug, and the object may be of no more use.
    RINGMQ_PANIC = 15,
    // The system refused something, such as a thread or a descriptor.
    RINGMQ_SYSTEM = 16,
    // A configuration is wrong.
    RINGMQ_CONFIG = 20,
    // A broker could not start: the machine does not give what it needs.
    RINGMQ_START = 21,
    // The queue of a session that matches stayed full.
    RINGMQ_QUEUE_FULL = 30,
    // More is asked for than the broker or client keeps.
    RINGMQ_QUOTA = 31,
    // Who decides said no.
    RINGMQ_NOT_AUTHORIZED = 32,
    // Topic, filter or properties are not what MQTT allows.
    RINGMQ_NOT_MQTT = 33,
    // The message is larger than may be.
    RINGMQ_TOO_LARGE = 34,
    // Too many requests wait; try later.
    RINGMQ_BUSY = 35,
    // The other side refused; `ringmq_error_reason_code` says why.
    RINGMQ_REFUSED = 36,
    // There is no connection, or it could not be made.
    RINGMQ_NOT_CONNECTED = 40,
} ringmq_status;

// What an event says.
typedef enum {
    // The server accepted the connection.
    RINGMQ_EVENT_CONNECTED = 1,
    // A connection ended, or an attempt to make one failed.
    RINGMQ_EVENT_DISCONNECTED = 2,
    // The server had lost the session, and this subscription (`text`) was not granted again.
    RINGMQ_EVENT_RESUBSCRIBE_REFUSED = 3,
    // The client has stopped; the last event.
    RINGMQ_EVENT_STOPPED = 4,
    // Something that this version of the header has no number for.
    RINGMQ_EVENT_OTHER = 5,
} ringmq_event_kind;

// What a question is about.
typedef enum {
    // A client wants to connect.
    RINGMQ_ACTION_CONNECT = 1,
    // It wants to publish to `topic`.
    RINGMQ_ACTION_PUBLISH = 2,
    // It wants to subscribe to `topic`, a filter.
    RINGMQ_ACTION_SUBSCRIBE = 3,
    // It publishes a message: `ringmq_question_message`.
    RINGMQ_ACTION_MESSAGE = 4,
    // It has connected; no answer is wanted.
    RINGMQ_ACTION_CONNECTED = 5,
    // It is gone; no answer is wanted.
    RINGMQ_ACTION_DISCONNECTED = 6,
} ringmq_action;

// What happens to a packet.
typedef enum {
    // It does not arrive.
    RINGMQ_FAULT_DROP = 1,
    // It arrives twice.
    RINGMQ_FAULT_DUPLICATE = 2,
    // It arrives `delay_ms` later, and so does everything behind it.
    RINGMQ_FAULT_DELAY = 3,
    // Instead of it the connection is reset.
    RINGMQ_FAULT_RESET = 4,
    // A CONNECT is refused with `reason_code`.
    RINGMQ_FAULT_REFUSE = 5,
} ringmq_fault_kind;

// A broker of this process. Any number may run; any number of threads may use one.
typedef struct ringmq_broker ringmq_broker;

// A client. Any number of threads may use it; each message goes to one of those that receive. All clients of a process
// share one thread of the library.
typedef struct ringmq_client ringmq_client;

// How a client connects. It may be used for several, by any number of threads.
typedef struct ringmq_client_options ringmq_client_options;

// What a broker is to be like. It may be used for several, by any number of threads.
typedef struct ringmq_config ringmq_config;

// What went wrong. Whoever gets one owns it.
typedef struct ringmq_error ringmq_error;

// What happened to a client's connection.
typedef struct ringmq_event ringmq_event;

// What goes wrong between brokers and their clients. It may change while they run.
typedef struct ringmq_faults ringmq_faults;

// A message. It does not change: any number of threads may read it, and what it gives lives as long as it does.
typedef struct ringmq_message ringmq_message;

// Properties that go with a message. Any number of threads may use it.
typedef struct ringmq_properties ringmq_properties;

// A question, or something that is told. One that is not answered within the key `decision_timeout` is denied.
typedef struct ringmq_question ringmq_question;

// Where the questions of brokers are taken out. At most 10,000 of them and 64 MiB of messages wait: beyond it clients are
// told that the server is busy, and publishes are refused.
typedef struct ringmq_questions ringmq_questions;

// A message that was taken for sending.
typedef struct ringmq_receipt ringmq_receipt;

// A subscription of this process. Any number of threads may read it; each message goes to one of them.
typedef struct ringmq_subscription ringmq_subscription;

// UTF-8 text that somebody else owns; `data` may be NULL when `length` is 0.
typedef struct {
    // The first byte.
    const char *data;
    // Bytes, without a zero at the end.
    size_t length;
} ringmq_str;

// Bytes that somebody else owns; `data` may be NULL when `length` is 0.
typedef struct {
    // The first byte.
    const uint8_t *data;
    // How many.
    size_t length;
} ringmq_bytes;

// Called once, on any thread, when the bytes of a payload are not needed any more. It must not block, and must not call
// the library.
typedef void (*ringmq_release)(void *owner);

// A message to be published. Initialise it with RINGMQ_PUBLISH_INIT.
typedef struct {
    // sizeof(ringmq_publish).
    size_t struct_size;
    // The topic name; copied.
    ringmq_str topic;
    // What it says; copied, unless `release` is given.
    ringmq_bytes payload;
    // 0, 1 or 2.
    uint8_t qos;
    // Whether it becomes the topic's retained message; with an empty payload it ends that.
    bool retain;
    // Milliseconds for which sessions with a full queue may hold it; less than 0 for ever.
    int64_t timeout_ms;
    // What goes with it, or NULL; copied.
    const ringmq_properties *properties;
    // With this a payload of more than 2,048 bytes is not copied. It stays where it is until this is called: once nobody
    // needs it any more, for a small one at once, and also when publishing fails.
    ringmq_release release;
    // What `release` is called with.
    void *owner;
} ringmq_publish;

// What came of a publish.
typedef struct {
    // Sessions whose subscriptions matched.
    uint32_t matched;
    // Of those, sessions that did not get it because their queue was full.
    uint32_t dropped;
} ringmq_published;

// A message of a batch.
typedef struct {
    // The topic name; copied.
    ringmq_str topic;
    // What it says; copied.
    ringmq_bytes payload;
} ringmq_batch_message;

// Is told a counter and its value.
typedef void (*ringmq_on_counter)(void *user, ringmq_str name, uint64_t value);

// A client's session. All of it lives as long as the call that tells it.
typedef struct {
    // sizeof(ringmq_session) of the library, which may know more than the header.
    size_t struct_size;
    // Its ClientID.
    ringmq_str client_id;
    // The user name it connected with last; `data` is NULL without one.
    ringmq_str user_name;
    // ADDRESS:PORT of its connection; `data` is NULL without one, and behind a Unix socket.
    ringmq_str address;
    // Whether its client is connected.
    bool connected;
    // 3 for MQTT 3.1, 4 for 3.1.1, 5 for 5.0, 0 without a connection.
    uint8_t protocol;
    // Seconds, 0 for none.
    uint16_t keep_alive;
    // Seconds that it outlives the connection, 4,294,967,295 for ever.
    uint32_t expiry_interval;
    // Filters it has.
    uint64_t subscriptions;
    // Messages that wait to be sent.
    uint64_t queued;
    // Bytes of them.
    uint64_t queued_bytes;
    // Messages of QoS 1 and 2 sent and not yet complete.
    uint64_t inflight;
} ringmq_session;

// Is told a session.
typedef void (*ringmq_on_session)(void *user, const ringmq_session *session);

// Is given a message, with one reference that it has to give back.
typedef void (*ringmq_on_message)(void *user, const ringmq_message *message);

// How to subscribe. Initialise it with RINGMQ_SUBSCRIBE_INIT.
typedef struct {
    // sizeof(ringmq_subscribe).
    size_t struct_size;
    // Topic filters, `$share/.../` included.
    const ringmq_str *filters;
    // How many, at least 1.
    size_t filter_count;
    // The greatest QoS that messages come with.
    uint8_t qos;
    // When retained messages come: 0 now, 1 unless there was such a subscription, 2 never (MQTT 5.0, 3.8.3.1).
    uint8_t retain_handling;
    // Whether messages keep the retain flag with which they were published.
    bool retain_as_published;
    // An identifier that messages carry, 1 to 268,435,455; 0 for none.
    uint32_t subscription_identifier;
    // Messages that may wait before publishers are held back.
    size_t queue_max;
    // Milliseconds to wait for the broker; less than 0 for ever.
    int64_t timeout_ms;
    // How many messages of QoS 1 and 2 may be unacknowledged; what comes then waits in the session, and beyond `queue_max`
    // holds publishers back. Each is acknowledged by `ringmq_subscription_acknowledge`. 0: taking a message does that.
    uint16_t unacknowledged_max;
} ringmq_subscribe;

// What stands in an event. All of it lives as long as the event.
typedef struct {
    // What it says.
    ringmq_event_kind kind;
    // Why, in words, or the filter; empty where there is nothing to say.
    ringmq_str text;
    // The server's reason code; -1 where there is none.
    int32_t reason_code;
    // Whether the server has kept the session; of RINGMQ_EVENT_CONNECTED.
    bool session_present;
    // Milliseconds until the next attempt; -1 when there will be none.
    int64_t retry_ms;
} ringmq_event_view;

// Which packets have which fault. Initialise it with RINGMQ_FAULT_INIT.
typedef struct {
    // sizeof(ringmq_fault).
    size_t struct_size;
    // A ringmq_fault_kind.
    uint32_t kind;
    // Those of the client with this ClientID; of all when `data` is NULL.
    ringmq_str client_id;
    // Those of this type, 1 to 15 (MQTT 5.0, 2.1.2); 0 for all.
    uint8_t packet;
    // Those to the broker (1) or to the client (2); 0 for both.
    uint8_t direction;
    // The first so many of them; 0 for all.
    uint64_t times;
    // For RINGMQ_FAULT_DELAY.
    uint64_t delay_ms;
    // For RINGMQ_FAULT_REFUSE.
    uint8_t reason_code;
} ringmq_fault;

// Is told a line, without a line end. It runs on a thread of the library's that does nothing else, and may take its time;
// of more than 10,000 lines that wait it is told how many were lost.
typedef void (*ringmq_on_log)(void *user, uint32_t level, ringmq_str line);

// What stands in every message. All of it lives as long as the message.
typedef struct {
    // The topic name.
    ringmq_str topic;
    // What it says.
    ringmq_bytes payload;
    // 0, 1 or 2.
    uint8_t qos;
    // Whether it was retained, or is to be.
    bool retain;
} ringmq_message_view;

// What stands in a question. All of it lives as long as the question.
typedef struct {
    // A ringmq_action.
    ringmq_action action;
    // The client's ClientID.
    ringmq_str client_id;
    // Its user name; `data` is NULL without one.
    ringmq_str user_name;
    // The password it gives when it connects; `data` is NULL without one.
    ringmq_bytes password;
    // ADDRESS:PORT from which it connects; `data` is NULL where there is none.
    ringmq_str address;
    // Topic name or filter; empty where it is about a connection.
    ringmq_str topic;
    // The reason code with which it is gone; -1 when its connection was lost without one.
    int32_t reason_code;
    // Whether the message is the will of a client that connects.
    bool is_will;
} ringmq_question_view;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library, as `RINGMQ_VERSION_NUMBER` says that of the header. A library is good for a header whose
// first two numbers are the same and whose last is not greater than its own.
uint32_t ringmq_version_number(void);

// The version of the library as text, such as "0.1.0". It is the library's and lives as long as it does.
const char *ringmq_version(void);

// Starts a broker: when this returns it accepts connections. It runs on threads of its own, one for each shard. Free it
// with `ringmq_broker_free`, which stops it.
//
// Errors: RINGMQ_CONFIG with everything that is wrong, RINGMQ_START with what to do; then nothing is left running.
ringmq_status ringmq_broker_start(const ringmq_config *config,
                                  ringmq_broker **broker,
                                  ringmq_error **error);

// Stops a broker: publishes the wills of connected clients, says goodbye, and closes everything, within the key
// `stop_deadline`. `left`, where not NULL, gets how many clients were cut off. It may be called at any time, by any
// thread, and again; whoever waits for something of the broker is told RINGMQ_STOPPED.
ringmq_status ringmq_broker_stop(const ringmq_broker *broker,
                                 uint64_t *left,
                                 ringmq_error **error);

// Goes on with another configuration, all or nothing: files are read anew, connections stay. Questions and faults stay
// those with which it was started.
//
// Errors: RINGMQ_CONFIG, RINGMQ_START; then nothing has changed.
ringmq_status ringmq_broker_reload(const ringmq_broker *broker,
                                   const ringmq_config *config,
                                   ringmq_error **error);

// The port of the first TCP listener.
ringmq_status ringmq_broker_port(const ringmq_broker *broker, uint16_t *port);

// The `index`-th listener as clients write it, such as `mqtt://127.0.0.1:41373`, from 0; RINGMQ_ABSENT behind the last.
// Writes at most `capacity` bytes, of which the last is a zero, and sets `length`, where it is not NULL, to what the whole
// text has without it; RINGMQ_INVALID when it did not fit.
ringmq_status ringmq_broker_url(const ringmq_broker *broker,
                                size_t index,
                                char *buffer,
                                size_t capacity,
                                size_t *length);

// Publishes and waits until every session that matches has the message, or its own policy was applied. `published`, where
// not NULL, gets how many matched.
//
// Errors: RINGMQ_QUEUE_FULL names a session whose queue stayed full, the others have the message; RINGMQ_NOT_MQTT,
// RINGMQ_TOO_LARGE, RINGMQ_QUOTA, RINGMQ_BUSY, RINGMQ_TIMEOUT, RINGMQ_STOPPED.
ringmq_status ringmq_broker_publish(const ringmq_broker *broker,
                                    const ringmq_publish *message,
                                    ringmq_published *published,
                                    ringmq_error **error);

// Publishes `count` messages one after the other with the QoS, retain flag, timeout and properties of `how`, and waits for
// all of them. It costs a fraction of publishing each. `published`, where not NULL, gets the sums.
//
// Errors: as for `ringmq_broker_publish`, the first that there was; the others are published all the same.
ringmq_status ringmq_broker_publish_batch(const ringmq_broker *broker,
                                          const ringmq_batch_message *messages,
                                          size_t count,
                                          const ringmq_publish *how,
                                          ringmq_published *published,
                                          ringmq_error **error);

// Everything the broker counts, the sums over its shards: calls `on_counter` for each, on this thread, before it returns.
ringmq_status ringmq_broker_counters(const ringmq_broker *broker,
                                     ringmq_on_counter on_counter,
                                     void *user,
                                     ringmq_error **error);

// The sessions of all clients, connected or not, in the order of their ClientIDs: calls `on_session` for each, on this
// thread, before it returns.
//
// Errors: RINGMQ_TIMEOUT, RINGMQ_STOPPED.
ringmq_status ringmq_broker_sessions(const ringmq_broker *broker,
                                     int64_t timeout_ms,
                                     ringmq_on_session on_session,
                                     void *user,
                                     ringmq_error **error);

// Disconnects a client, which is told 0x98 Administrative action, and ends its session if that is wanted. Its will is
// published.
//
// Errors: RINGMQ_ABSENT when there is no such session; RINGMQ_TIMEOUT, RINGMQ_STOPPED.
ringmq_status ringmq_broker_kick(const ringmq_broker *broker,
                                 ringmq_str client_id,
                                 bool end_session,
                                 int64_t timeout_ms,
                                 ringmq_error **error);

// The retained messages that match a topic filter, in the order of their topics: calls `on_message` for each, on this
// thread, before it returns.
//
// Errors: RINGMQ_NOT_MQTT for what is no filter; RINGMQ_TIMEOUT, RINGMQ_STOPPED.
ringmq_status ringmq_broker_retained(const ringmq_broker *broker,
                                     ringmq_str filter,
                                     int64_t timeout_ms,
                                     ringmq_on_message on_message,
                                     void *user,
                                     ringmq_error **error);

// As if the broker had just been started: clients are disconnected, sessions end, retained messages are forgotten. What
// this program has subscribed to stays.
ringmq_status ringmq_broker_reset(const ringmq_broker *broker,
                                  int64_t timeout_ms,
                                  ringmq_error **error);

// Lets time pass at once for sessions, messages, wills and logins of this broker, and returns when what is due has
// happened. Clients stay connected, unless `keep_alive` says that all have been silent meanwhile.
//
// Errors: RINGMQ_TIMEOUT, RINGMQ_STOPPED.
ringmq_status ringmq_broker_advance_clock(const ringmq_broker *broker,
                                          uint64_t by_ms,
                                          bool keep_alive,
                                          int64_t timeout_ms,
                                          ringmq_error **error);

// Hands a connected stream socket (TCP, Unix, one end of a socketpair) to a broker, which goes on with it as with one that
// its listener of this number, from 0, has accepted: TLS or WebSocket where the listener has them, its settings and bounds.
// On success the broker owns the descriptor and closes it in the end; otherwise it stays the caller's. It becomes
// non-blocking, for others that share it too, and perhaps also when it is not taken.
//
// Errors: RINGMQ_INVALID when it is no such socket or there is no such listener, RINGMQ_BUSY, RINGMQ_STOPPED.
ringmq_status ringmq_broker_adopt(const ringmq_broker *broker,
                                  int32_t socket,
                                  size_t listener,
                                  ringmq_error **error);

// Takes one more reference to a broker.
ringmq_status ringmq_broker_ref(const ringmq_broker *broker);

// Gives a reference to a broker back; NULL is allowed. With the last it stops, as `ringmq_broker_stop` does.
void ringmq_broker_free(const ringmq_broker *broker);

// Makes a client that connects, and connects again whenever it has to, unless the option `reconnect` is false. It does
// not wait for the connection. Free it with `ringmq_client_free`.
//
// Errors: RINGMQ_INVALID, RINGMQ_SYSTEM.
ringmq_status ringmq_client_start(const ringmq_client_options *options,
                                  ringmq_client **client,
                                  ringmq_error **error);

// Waits until there is a connection.
//
// Errors: the last failure when `timeout_ms` milliseconds (less than 0: for ever) were not enough: RINGMQ_NOT_CONNECTED,
// RINGMQ_REFUSED with a reason code, RINGMQ_TIMEOUT; RINGMQ_STOPPED.
ringmq_status ringmq_client_wait_connected(const ringmq_client *client,
                                           int64_t timeout_ms,
                                           ringmq_error **error);

// Whether there is a connection now. False for NULL.
bool ringmq_client_is_connected(const ringmq_client *client);

// The ClientID: the one that was set, or the one that the server assigned. As `ringmq_broker_url` writes a text.
ringmq_status ringmq_client_id(const ringmq_client *client,
                               char *buffer,
                               size_t capacity,
                               size_t *length);

// Takes a message for sending, and waits for room for it at most its `timeout_ms`. It is sent whether or not anybody waits
// for the answer: `receipt` may be NULL; else free it with `ringmq_receipt_free`.
//
// Errors: RINGMQ_NOT_MQTT, RINGMQ_TOO_LARGE, RINGMQ_TIMEOUT, RINGMQ_QUEUE_FULL, RINGMQ_NOT_CONNECTED, RINGMQ_STOPPED.
ringmq_status ringmq_client_publish(const ringmq_client *client,
                                    const ringmq_publish *message,
                                    ringmq_receipt **receipt,
                                    ringmq_error **error);

// Takes `count` messages for sending, one after the other, with the QoS, retain flag, timeout and properties of `how`.
// `taken`, where not NULL, gets how many, also when it fails. `ringmq_client_flush` waits for their answers.
//
// Errors: as for `ringmq_client_publish`, of the message behind those that were taken.
ringmq_status ringmq_client_publish_batch(const ringmq_client *client,
                                          const ringmq_batch_message *messages,
                                          size_t count,
                                          const ringmq_publish *how,
                                          size_t *taken,
                                          ringmq_error **error);

// Waits until everything has been sent and answered.
//
// Errors: RINGMQ_TIMEOUT, RINGMQ_STOPPED.
ringmq_status ringmq_client_flush(const ringmq_client *client, int64_t timeout_ms, ringmq_error **error);

// Waits for the server's answer to a message; at QoS 0 until it has gone out. `reason_code`, where not NULL, gets the reason
// code of success: 0x00, or 0x10, no matching subscribers.
//
// Errors: RINGMQ_REFUSED with the reason code, RINGMQ_TIMEOUT, RINGMQ_NOT_CONNECTED when the session was lost,
// RINGMQ_STOPPED.
ringmq_status ringmq_receipt_wait(const ringmq_receipt *receipt,
                                  int64_t timeout_ms,
                                  uint8_t *reason_code,
                                  ringmq_error **error);

// Frees a receipt; NULL is allowed.
void ringmq_receipt_free(const ringmq_receipt *receipt);

// Subscribes and waits for the answer, at most for the option `request_timeout`. `reason_codes`, where not NULL, gets one
// code for each filter: the QoS that was granted, or from 0x80 on why it was refused. Of `how`, `queue_max` and
// `timeout_ms` do not count.
//
// Errors: RINGMQ_NOT_MQTT, RINGMQ_NOT_CONNECTED, RINGMQ_TIMEOUT, RINGMQ_STOPPED, RINGMQ_INVALID.
ringmq_status ringmq_client_subscribe(const ringmq_client *client,
                                      const ringmq_subscribe *how,
                                      uint8_t *reason_codes,
                                      ringmq_error **error);

// Unsubscribes and waits for the answer, as `ringmq_client_subscribe` does.
ringmq_status ringmq_client_unsubscribe(const ringmq_client *client,
                                        const ringmq_str *filters,
                                        size_t count,
                                        uint8_t *reason_codes,
                                        ringmq_error **error);

// Waits for the next message. Free it with `ringmq_message_free`. One of QoS 1 or 2 is acknowledged by that, unless the
// option `acknowledge` says otherwise.
//
// Errors: RINGMQ_TIMEOUT when none came in time (less than 0: for ever), RINGMQ_STOPPED when the client is stopped and all
// were taken.
ringmq_status ringmq_client_receive(const ringmq_client *client,
                                    int64_t timeout_ms,
                                    const ringmq_message **message,
                                    ringmq_error **error);

// Takes what has arrived, at most `capacity` messages, without waiting, and sets `count`. Free them with
// `ringmq_messages_free`. The descriptor of `ringmq_client_descriptor` is readable again when more is there.
//
// Errors: RINGMQ_TIMEOUT when there is none, RINGMQ_STOPPED when there will be none any more.
ringmq_status ringmq_client_drain(const ringmq_client *client,
                                  const ringmq_message **messages,
                                  size_t capacity,
                                  size_t *count);

// A descriptor (an eventfd) that is readable while there may be messages to drain, or when the client has stopped. For any
// event loop; do not read from it or close it: draining does what is needed. It lives as long as the client.
ringmq_status ringmq_client_descriptor(const ringmq_client *client,
                                       int32_t *descriptor,
                                       ringmq_error **error);

// Takes the next event of the connection, without waiting; free it with `ringmq_event_free`. What is not taken stays up to a
// bound, then the oldest go.
//
// Errors: RINGMQ_TIMEOUT when there is none, RINGMQ_STOPPED behind RINGMQ_EVENT_STOPPED.
ringmq_status ringmq_client_next_event(const ringmq_client *client,
                                       ringmq_event **event);

// A descriptor (an eventfd) that is readable while there may be events to take. For any event loop; do not read from it or
// close it. It lives as long as the client.
ringmq_status ringmq_client_event_descriptor(const ringmq_client *client,
                                             int32_t *descriptor,
                                             ringmq_error **error);

// Reads an event.
ringmq_status ringmq_event_read(const ringmq_event *event, ringmq_event_view *view);

// Frees an event; NULL is allowed.
void ringmq_event_free(const ringmq_event *event);

// Acknowledges a message, where the option `acknowledge` is manual: RINGMQ_ABSENT when there is nothing to acknowledge, such
// as after its connection.
ringmq_status ringmq_client_acknowledge(const ringmq_client *client,
                                        const ringmq_message *message);

// Waits until everything has been sent and answered, at most `timeout_ms` milliseconds (less than 0: for ever), says
// goodbye, and stops. What is not finished by then is dropped. When it returns the goodbye has gone out, for which it waits
// two seconds more at most. It may be called at any time, by any thread; whoever waits for something of the client is told
// RINGMQ_STOPPED.
//
// Errors: RINGMQ_STOPPED when it had stopped before, RINGMQ_TIMEOUT when something was dropped.
ringmq_status ringmq_client_disconnect(const ringmq_client *client,
                                       int64_t timeout_ms,
                                       ringmq_error **error);

// Takes one more reference to a client.
ringmq_status ringmq_client_ref(const ringmq_client *client);

// Gives a reference to a client back; NULL is allowed. With the last it says goodbye at once and stops: what was not sent
// is dropped.
void ringmq_client_free(const ringmq_client *client);

// Options of a client of this server: `mqtt://HOST[:PORT]`, `mqtts://...`, `ws://HOST[:PORT][/PATH]`, `wss://...` or
// `unix:PATH`. Everything else has a default. Free them with `ringmq_client_options_free`.
//
// Errors: RINGMQ_INVALID for what is no such URL.
ringmq_status ringmq_client_options_new(ringmq_str url,
                                        ringmq_client_options **options,
                                        ringmq_error **error);

// Sets an option; times are seconds, switches true or false:
// client_id, username, scram, protocol (5.0, 3.1.1, 3.1), clean_start, session_expiry_interval, keep_alive,
// receive_maximum, maximum_packet_size, topic_alias_maximum, websocket_path, bind, connect_timeout, response_timeout,
// request_timeout, reconnect, republish, resubscribe, inflight_maximum, queue_messages_max, queue_bytes_max,
// queue_qos0_offline, receive_queue_messages_max, acknowledge (take, receipt, manual), tls, ca_file, cert_file, key_file,
// tls_server_name, tls_any_name, tls_version_min (1.2, 1.3).
//
// Errors: RINGMQ_INVALID for an option that there is not, or a value it does not take; RINGMQ_SYSTEM for a file that cannot
// be read. Then it stays as it was.
ringmq_status ringmq_client_options_set(ringmq_client_options *options,
                                        ringmq_str name,
                                        ringmq_str value,
                                        ringmq_error **error);

// Sets the password, which may be any bytes; copied.
ringmq_status ringmq_client_options_set_password(ringmq_client_options *options,
                                                 ringmq_bytes password,
                                                 ringmq_error **error);

// Sets the will: what the server publishes when the connection ends without a goodbye, `delay_s` seconds later.
ringmq_status ringmq_client_options_set_will(ringmq_client_options *options,
                                             const ringmq_publish *will,
                                             uint32_t delay_s,
                                             ringmq_error **error);

// Frees options; NULL is allowed. Clients that were made with them are not concerned.
void ringmq_client_options_free(ringmq_client_options *options);

// Makes a configuration: a broker of one shard on a free port of this machine's loopback addresses. Free it with
// `ringmq_config_free`.
ringmq_config *ringmq_config_new(void);

// Sets a key of the configuration file (`ringmq config doc` lists them) to a value as it would stand there. A value that
// is wrong is told when the broker starts.
//
// Errors: RINGMQ_CONFIG for a key that there is not; says which is nearest.
ringmq_status ringmq_config_set(ringmq_config *config,
                                ringmq_str name,
                                ringmq_str value,
                                ringmq_error **error);

// Adds the text of a configuration file, RingMQ's own or a mosquitto.conf, as if it stood in a file called `name`. Keys
// that were set by `ringmq_config_set` go before it. What is wrong with it is told when the broker starts.
ringmq_status ringmq_config_add_text(ringmq_config *config,
                                     ringmq_str name,
                                     ringmq_str text,
                                     ringmq_error **error);

// Adds a configuration file, as `ringmq_config_add_text` does its text. It is read now.
ringmq_status ringmq_config_add_file(ringmq_config *config, ringmq_str path, ringmq_error **error);

// Has brokers ask and tell the program by these questions. NULL takes them away.
ringmq_status ringmq_config_set_questions(ringmq_config *config,
                                          const ringmq_questions *questions,
                                          ringmq_error **error);

// Has things go wrong on purpose between brokers and their clients, for tests. NULL takes that away.
ringmq_status ringmq_config_set_faults(ringmq_config *config,
                                       const ringmq_faults *faults,
                                       ringmq_error **error);

// Frees a configuration; NULL is allowed. Brokers that were started with it are not concerned.
void ringmq_config_free(ringmq_config *config);

// What went wrong as a number; RINGMQ_OK for NULL.
ringmq_status ringmq_error_status(const ringmq_error *error);

// What went wrong in words, as a text that ends with a zero. It lives as long as the error; for NULL it is empty.
const char *ringmq_error_message(const ringmq_error *error);

// The reason code of MQTT 5.0 (2.4) with which the other side refused; -1 where there is none.
int32_t ringmq_error_reason_code(const ringmq_error *error);

// Frees an error; NULL is allowed.
void ringmq_error_free(ringmq_error *error);

// The name of a status, such as "RINGMQ_TIMEOUT"; it is the library's.
ringmq_str ringmq_status_name(int32_t status);

// Makes faults, none so far. Free them with `ringmq_faults_free`.
ringmq_faults *ringmq_faults_new(void);

// From now on packets have this fault, unless one that was added before is for them.
//
// Errors: RINGMQ_INVALID.
ringmq_status ringmq_faults_add(const ringmq_faults *faults, const ringmq_fault *fault, ringmq_error **error);

// No packet has a fault any more. What is late stays late.
ringmq_status ringmq_faults_clear(const ringmq_faults *faults);

// Frees faults; NULL is allowed. Brokers that have them go on with them.
void ringmq_faults_free(const ringmq_faults *faults);

// Has lines up to this level, RINGMQ_LOG_ERROR and so on, told to `on_log`, instead of whoever was told before. With NULL
// nobody is told any more. When it returns the former function has had its last call, unless this was called by it.
//
// Errors: RINGMQ_INVALID for a level that there is not, RINGMQ_SYSTEM when there is no thread.
ringmq_status ringmq_log_set(uint32_t level,
                             ringmq_on_log on_log,
                             void *user,
                             ringmq_error **error);

// Reads a message.
ringmq_status ringmq_message_read(const ringmq_message *message, ringmq_message_view *view);

// A property whose value is a number, by its identifier (MQTT 5.0, 2.2.2.2). RINGMQ_ABSENT when the message has none.
// 0x02, the message expiry interval, is what was left of it when the message arrived.
ringmq_status ringmq_message_number(const ringmq_message *message,
                                    uint8_t identifier,
                                    uint32_t *number);

// A property whose value is text or data, by its identifier. RINGMQ_ABSENT when the message has none.
ringmq_status ringmq_message_data(const ringmq_message *message, uint8_t identifier, ringmq_bytes *data);

// The `index`-th user property, from 0. RINGMQ_ABSENT behind the last.
ringmq_status ringmq_message_user_property(const ringmq_message *message,
                                           size_t index,
                                           ringmq_str *name,
                                           ringmq_str *value);

// The `index`-th identifier of the subscriptions that the message matched, from 0. RINGMQ_ABSENT behind the last.
ringmq_status ringmq_message_subscription_identifier(const ringmq_message *message,
                                                     size_t index,
                                                     uint32_t *identifier);

// Takes one more reference to a message.
ringmq_status ringmq_message_ref(const ringmq_message *message);

// Gives a reference to a message back; NULL is allowed.
void ringmq_message_free(const ringmq_message *message);

// Frees several messages at one go, as `ringmq_message_free` does each.
void ringmq_messages_free(const ringmq_message *const *messages, size_t count);

// Makes properties, none so far. Free them with `ringmq_properties_free`.
ringmq_properties *ringmq_properties_new(void);

// Adds a property whose value is a number, by its identifier (2.2.2.2): such as 0x01, payload format indicator, or 0x02,
// message expiry interval in seconds.
//
// Errors: RINGMQ_INVALID for an identifier that is none, has another type, or does not take this number.
ringmq_status ringmq_properties_add_number(ringmq_properties *properties,
                                           uint8_t identifier,
                                           uint32_t number,
                                           ringmq_error **error);

// Adds a property whose value is text or data: 0x03 content type, 0x08 response topic, 0x09 correlation data. The bytes
// are copied.
//
// Errors: RINGMQ_INVALID for an identifier that is none or has another type, and for text that is not UTF-8 or more than
// 65,535 bytes.
ringmq_status ringmq_properties_add_data(ringmq_properties *properties,
                                         uint8_t identifier,
                                         ringmq_bytes value,
                                         ringmq_error **error);

// Adds a user property (3.3.2.3.7); a name may come again. The texts are copied.
//
// Errors: RINGMQ_INVALID for what is not UTF-8 or more than 65,535 bytes.
ringmq_status ringmq_properties_add_user(ringmq_properties *properties,
                                         ringmq_str name,
                                         ringmq_str value,
                                         ringmq_error **error);

// Frees properties; NULL is allowed. What was published with them keeps its own.
void ringmq_properties_free(ringmq_properties *properties);

// Makes a place for questions about these subjects, RINGMQ_ASK_CONNECT and so on, added together. An answer about access
// holds for `remember_ms` milliseconds for the same client, user name and topic. Free it with `ringmq_questions_free`.
ringmq_status ringmq_questions_new(uint32_t subjects,
                                   uint64_t remember_ms,
                                   ringmq_questions **questions,
                                   ringmq_error **error);

// Waits for the next question. Free it with `ringmq_question_free`.
//
// Errors: RINGMQ_TIMEOUT when none came in time, RINGMQ_STOPPED when the broker has stopped and all were taken.
ringmq_status ringmq_questions_take(const ringmq_questions *questions,
                                    int64_t timeout_ms,
                                    ringmq_question **question,
                                    ringmq_error **error);

// A descriptor (an eventfd) that is readable while there may be questions. For any event loop; do not read from it or
// close it: taking does what is needed. It lives as long as the questions.
ringmq_status ringmq_questions_descriptor(const ringmq_questions *questions,
                                          int32_t *descriptor,
                                          ringmq_error **error);

// How many clients came or went since this was asked last that nobody was told of, because too much waited.
ringmq_status ringmq_questions_missed(const ringmq_questions *questions, uint64_t *missed);

// Frees questions; NULL is allowed. A broker that asks by them is denied everything from then on.
void ringmq_questions_free(const ringmq_questions *questions);

// Reads a question.
ringmq_status ringmq_question_read(const ringmq_question *question, ringmq_question_view *view);

// The message that a client publishes; free it with `ringmq_message_free`. RINGMQ_ABSENT when the question is about
// something else.
ringmq_status ringmq_question_message(const ringmq_question *question,
                                      const ringmq_message **message);

// Answers yes or no. A second answer has no effect. It never waits.
ringmq_status ringmq_question_answer(const ringmq_question *question, bool allowed);

// Lets a client connect by this user name, whatever it gave.
ringmq_status ringmq_question_answer_as(const ringmq_question *question, ringmq_str user_name);

// Refuses a message with a reason code of a PUBACK or PUBREC (MQTT 5.0, 3.4.2.1): 0x80, 0x83, 0x87, 0x90, 0x97, 0x99.
ringmq_status ringmq_question_refuse(const ringmq_question *question,
                                     uint8_t reason_code);

// Lets a message pass as another one: topic, payload, retain flag and properties are those of `message`; its QoS and
// timeout do not count.
//
// Errors: RINGMQ_INVALID, RINGMQ_STRUCT_SIZE; then the question is still open.
ringmq_status ringmq_question_rewrite(const ringmq_question *question,
                                      const ringmq_publish *message,
                                      ringmq_error **error);

// Frees a question; NULL is allowed.
void ringmq_question_free(const ringmq_question *question);

// Subscribes: every message that is published from then on reaches the subscription. Free it with
// `ringmq_subscription_free`, which ends it; it may outlive its broker.
//
// Errors: RINGMQ_NOT_MQTT, RINGMQ_REFUSED, RINGMQ_TIMEOUT, RINGMQ_STOPPED, RINGMQ_INVALID; then no filter is subscribed.
ringmq_status ringmq_broker_subscribe(const ringmq_broker *broker,
                                      const ringmq_subscribe *how,
                                      ringmq_subscription **subscription,
                                      ringmq_error **error);

// Waits for the next message. Free it with `ringmq_message_free`.
//
// Errors: RINGMQ_TIMEOUT when none came within `timeout_ms` milliseconds (less than 0: for ever), RINGMQ_STOPPED when the
// subscription has ended and everything was read.
ringmq_status ringmq_subscription_receive(const ringmq_subscription *subscription,
                                          int64_t timeout_ms,
                                          const ringmq_message **message,
                                          ringmq_error **error);

// Takes what is there, at most `capacity` messages, without waiting, and sets `count`. Free them with
// `ringmq_messages_free`. The descriptor of `ringmq_subscription_descriptor` is readable again when more is there.
//
// Errors: RINGMQ_TIMEOUT when there is none, RINGMQ_STOPPED when there will be none any more.
ringmq_status ringmq_subscription_drain(const ringmq_subscription *subscription,
                                        const ringmq_message **messages,
                                        size_t capacity,
                                        size_t *count);

// Acknowledges a message of a subscription with `unacknowledged_max`; in any order, from any thread. RINGMQ_ABSENT when
// there is nothing to acknowledge: its QoS is 0, it was acknowledged before, the subscription acknowledges by taking or has
// ended. A shared subscription that ends gives messages of QoS 1 that are not acknowledged to another of its group.
ringmq_status ringmq_subscription_acknowledge(const ringmq_subscription *subscription,
                                              const ringmq_message *message);

// A descriptor (an eventfd) that is readable while there may be messages to drain, or when the subscription has ended.
// For any event loop; do not read from it or close it: draining does what is needed. It lives as long as the
// subscription.
//
// Errors: RINGMQ_SYSTEM when there are no descriptors left.
ringmq_status ringmq_subscription_descriptor(const ringmq_subscription *subscription,
                                             int32_t *descriptor,
                                             ringmq_error **error);

// Ends a subscription; whoever waits for it is told RINGMQ_STOPPED, and messages that were not read are dropped. It may be
// called at any time, by any thread, and again.
ringmq_status ringmq_subscription_close(const ringmq_subscription *subscription);

// Takes one more reference to a subscription.
ringmq_status ringmq_subscription_ref(const ringmq_subscription *subscription);

// Gives a reference to a subscription back; NULL is allowed. With the last it ends.
void ringmq_subscription_free(const ringmq_subscription *subscription);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* RINGMQ_H */
