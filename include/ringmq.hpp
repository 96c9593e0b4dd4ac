// libringmq in C++17: what ringmq.h says, with objects that free themselves and failures that are thrown.
//
// There is no code behind it but this header. Objects can be moved, not copied; share(), where there is one, gives another
// for the same thing, which lives until the last of them is gone. get() gives what ringmq.h takes. Texts and bytes that are
// read live as long as the object they came from. What calls the library for an object that was moved from throws
// RINGMQ_NULL.

#ifndef RINGMQ_HPP
#define RINGMQ_HPP

#include <atomic>
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ringmq.h"

namespace ringmq {

// A failure: what() in words.
class error : public std::runtime_error {
public:
    error(ringmq_status status, const std::string &message, int reason_code = -1)
        : std::runtime_error(message), status_(status), reason_code_(reason_code) {}
    ringmq_status status() const noexcept { return status_; }
    // The reason code of MQTT 5.0 with which the other side refused; -1 where there is none.
    int reason_code() const noexcept { return reason_code_; }

private:
    ringmq_status status_;
    int reason_code_;
};

// The name of a status, such as "RINGMQ_TIMEOUT".
inline std::string_view status_name(ringmq_status status) {
    const ringmq_str name = ringmq_status_name(status);
    return {name.data, name.length};
}

// The version of the library, and as a number.
inline std::string_view version() { return ringmq_version(); }
inline std::uint32_t version_number() { return ringmq_version_number(); }

using milliseconds = std::chrono::milliseconds;

// How long a call waits that is to wait for ever, and one that nothing was said to.
inline constexpr milliseconds for_ever{-1};
inline constexpr milliseconds five_seconds{5000};

// Bytes that somebody else owns.
struct bytes {
    const std::uint8_t *data = nullptr;
    std::size_t size = 0;

    constexpr bytes() noexcept = default;
    constexpr bytes(const std::uint8_t *first, std::size_t length) noexcept : data(first), size(length) {}
    bytes(std::string_view text) noexcept
        : data(reinterpret_cast<const std::uint8_t *>(text.data())), size(text.size()) {}
    bytes(const char *text) noexcept : bytes(std::string_view(text)) {}
    bytes(const std::string &text) noexcept : bytes(std::string_view(text)) {}
    bytes(const std::vector<std::uint8_t> &all) noexcept : data(all.data()), size(all.size()) {}
    std::string_view text() const noexcept { return {reinterpret_cast<const char *>(data), size}; }
};

namespace detail {

inline ringmq_str lend(std::string_view text) noexcept { return {text.data(), text.size()}; }
inline ringmq_bytes lend(bytes data) noexcept { return {data.data, data.size}; }
inline std::string_view view(ringmq_str text) noexcept { return {text.data, text.length}; }
inline bytes view(ringmq_bytes data) noexcept { return {data.data, data.length}; }

// Takes the words of a failure along.
[[noreturn]] inline void raise(ringmq_status status, ringmq_error *words) {
    std::unique_ptr<ringmq_error, decltype(&ringmq_error_free)> owner(words, ringmq_error_free);
    throw error(status, words ? ringmq_error_message(words) : std::string(status_name(status)),
                ringmq_error_reason_code(words));
}

inline void check(ringmq_status status) {
    if (status != RINGMQ_OK)
        raise(status, nullptr);
}

// Calls a function whose last parameter is an error.
template <typename Function, typename... Arguments> void call(Function function, Arguments... arguments) {
    ringmq_error *words = nullptr;
    const ringmq_status status = function(arguments..., &words);
    if (status != RINGMQ_OK)
        raise(status, words);
}

// The same; false when nothing came in time.
template <typename Function, typename... Arguments> bool call_in_time(Function function, Arguments... arguments) {
    ringmq_error *words = nullptr;
    const ringmq_status status = function(arguments..., &words);
    if (status != RINGMQ_OK && status != RINGMQ_TIMEOUT)
        raise(status, words);
    ringmq_error_free(words);
    return status == RINGMQ_OK;
}

// Whether there was something; false for RINGMQ_ABSENT.
inline bool found(ringmq_status status) {
    if (status != RINGMQ_ABSENT)
        check(status);
    return status == RINGMQ_OK;
}

// A text that the library writes into a buffer: `write` is given one, its size, and a place for the length.
template <typename Write> std::optional<std::string> written(Write write) {
    char none = 0;
    std::size_t length = 0;
    // The text may have become longer before there is room for it.
    for (std::string text;; text.resize(length + 1)) {
        const ringmq_status status = text.empty() ? write(&none, 0, &length) : write(text.data(), text.size(), &length);
        if (status == RINGMQ_INVALID && length >= text.size())
            continue;
        if (!found(status))
            return std::nullopt;
        text.resize(length);
        return text;
    }
}

// What a function tells by calling back. What is thrown meanwhile must not pass the library, and is thrown behind it.
template <typename Keep> class listener {
public:
    explicit listener(Keep keep) : keep_(std::move(keep)) {}
    template <typename... Told> static void tell(void *self, Told... told) noexcept {
        auto *listening = static_cast<listener *>(self);
        try {
            listening->keep_(told...);
        } catch (...) {
            listening->thrown_ = std::current_exception();
        }
    }
    void finish() const {
        if (thrown_)
            std::rethrow_exception(thrown_);
    }

private:
    Keep keep_;
    std::exception_ptr thrown_;
};

template <typename T, auto Free> struct freeing {
    void operator()(T *object) const noexcept { Free(object); }
};

// An object of the library.
template <typename T, auto Free> class handle {
public:
    explicit handle(T *object) noexcept : object_(object) {}
    T *get() const noexcept { return object_.get(); }

private:
    std::unique_ptr<T, freeing<T, Free>> object_;
};

// A descriptor that a function gives.
template <typename Function, typename T> int descriptor(Function function, T *object) {
    std::int32_t descriptor = -1;
    call(function, object, &descriptor);
    return descriptor;
}

// A text that may be missing.
inline std::optional<std::string_view> given(ringmq_str text) noexcept {
    return text.data ? std::optional(view(text)) : std::nullopt;
}

} // namespace detail

// Properties that go with a message.
class properties : public detail::handle<ringmq_properties, ringmq_properties_free> {
public:
    properties() : handle(ringmq_properties_new()) {}
    properties &number(std::uint8_t identifier, std::uint32_t number) {
        detail::call(ringmq_properties_add_number, get(), identifier, number);
        return *this;
    }
    properties &data(std::uint8_t identifier, bytes value) {
        detail::call(ringmq_properties_add_data, get(), identifier, detail::lend(value));
        return *this;
    }
    properties &user(std::string_view name, std::string_view value) {
        detail::call(ringmq_properties_add_user, get(), detail::lend(name), detail::lend(value));
        return *this;
    }
};

namespace detail {

// What goes along when its object is moved, and does not stay behind.
template <typename T> struct leaving : T {
    leaving() noexcept : T{} {}
    leaving(T value) noexcept : T(value) {}
    leaving(const leaving &) noexcept = default;
    leaving(leaving &&from) noexcept : T(std::exchange(static_cast<T &>(from), T{})) {}
    leaving &operator=(const leaving &) noexcept = default;
    leaving &operator=(leaving &&from) noexcept {
        static_cast<T &>(*this) = std::exchange(static_cast<T &>(from), T{});
        return *this;
    }
};

} // namespace detail

// A payload that is not copied (inside the process one of up to 2,048 bytes is): it goes along as it is, and what owns it
// is destroyed when nobody needs it any more, by any thread. That must not block and must not call the library. It may be
// published again and again.
class shared_payload {
public:
    explicit shared_payload(std::string &&text) : shared_payload(std::make_shared<const std::string>(std::move(text))) {}
    explicit shared_payload(std::vector<std::uint8_t> &&data)
        : shared_payload(std::make_shared<const std::vector<std::uint8_t>>(std::move(data))) {}
    template <typename Container>
    explicit shared_payload(std::shared_ptr<Container> container) : data_(*container), owner_(std::move(container)) {}
    // Bytes that are there as long as their owner is.
    shared_payload(std::shared_ptr<const void> owner, bytes data) noexcept : data_(data), owner_(std::move(owner)) {}
    bytes data() const noexcept { return data_; }
    // Lends it to a message; the library gives it back by calling what stands there.
    void lend(ringmq_publish &message) const {
        message.payload = detail::lend(data_);
        message.owner = new std::shared_ptr<const void>(owner_);
        message.release = [](void *owner) { delete static_cast<std::shared_ptr<const void> *>(owner); };
    }

private:
    detail::leaving<bytes> data_;
    std::shared_ptr<const void> owner_;
};

// A message that arrived.
class message : public detail::handle<const ringmq_message, ringmq_message_free> {
public:
    explicit message(const ringmq_message *object) : handle(object) {
        detail::check(ringmq_message_read(object, &view_));
    }
    std::string_view topic() const noexcept { return detail::view(view_.topic); }
    bytes payload() const noexcept { return detail::view(view_.payload); }
    int qos() const noexcept { return view_.qos; }
    bool retain() const noexcept { return view_.retain; }
    std::optional<std::uint32_t> number(std::uint8_t identifier) const {
        std::uint32_t number = 0;
        return detail::found(ringmq_message_number(get(), identifier, &number)) ? std::optional(number) : std::nullopt;
    }
    std::optional<bytes> data(std::uint8_t identifier) const {
        ringmq_bytes data{};
        const bool there = detail::found(ringmq_message_data(get(), identifier, &data));
        return there ? std::optional(detail::view(data)) : std::nullopt;
    }
    std::vector<std::pair<std::string_view, std::string_view>> user_properties() const {
        std::vector<std::pair<std::string_view, std::string_view>> all;
        ringmq_str name{}, value{};
        while (detail::found(ringmq_message_user_property(get(), all.size(), &name, &value)))
            all.emplace_back(detail::view(name), detail::view(value));
        return all;
    }
    // Of the subscriptions that it matched.
    std::vector<std::uint32_t> subscription_identifiers() const {
        std::vector<std::uint32_t> all;
        std::uint32_t identifier = 0;
        while (detail::found(ringmq_message_subscription_identifier(get(), all.size(), &identifier)))
            all.push_back(identifier);
        return all;
    }
    message share() const {
        detail::check(ringmq_message_ref(get()));
        return message(get());
    }

private:
    detail::leaving<ringmq_message_view> view_;
};

// How a message is published.
struct publish_options {
    int qos = 0;
    bool retain = false;
    milliseconds timeout = five_seconds;
    const ringmq::properties *properties = nullptr;
};

// How a subscription is made. For a client `queue_max` and `timeout` do not count.
struct subscribe_options {
    int qos = 2;
    int retain_handling = 0;
    bool retain_as_published = false;
    std::uint32_t identifier = 0;
    std::size_t queue_max = 1000;
    milliseconds timeout = five_seconds;
    // Messages of QoS 1 and 2 that may be unacknowledged; 0 when taking them acknowledges them. In the process only. A
    // shared subscription gives those of QoS 1 to another of its group when it ends.
    std::uint16_t unacknowledged_max = 0;
};

// Topic filters, which are lent.
class filters {
public:
    filters(const char *filter) : filters({std::string_view(filter)}) {}
    filters(std::string_view filter) : filters({filter}) {}
    filters(const std::string &filter) : filters({std::string_view(filter)}) {}
    filters(std::initializer_list<std::string_view> all) { add(all); }
    filters(const std::vector<std::string_view> &all) { add(all); }
    filters(const std::vector<std::string> &all) { add(all); }
    const ringmq_str *data() const noexcept { return all_.data(); }
    std::size_t size() const noexcept { return all_.size(); }

private:
    template <typename All> void add(const All &all) {
        for (const auto &filter : all)
            all_.push_back(detail::lend(std::string_view(filter)));
    }
    std::vector<ringmq_str> all_;
};

// Messages that are published at one go. Topics and payloads are lent until then.
class batch {
public:
    batch &add(std::string_view topic, bytes payload) {
        all_.push_back({detail::lend(topic), detail::lend(payload)});
        return *this;
    }
    void clear() noexcept { all_.clear(); }
    const ringmq_batch_message *data() const noexcept { return all_.data(); }
    std::size_t size() const noexcept { return all_.size(); }

private:
    std::vector<ringmq_batch_message> all_;
};

namespace detail {

inline ringmq_publish how(const publish_options &options) noexcept {
    ringmq_publish how = RINGMQ_PUBLISH_INIT;
    how.qos = static_cast<std::uint8_t>(options.qos);
    how.retain = options.retain;
    how.timeout_ms = options.timeout.count();
    how.properties = options.properties ? options.properties->get() : nullptr;
    return how;
}

inline ringmq_publish to_publish(std::string_view topic, bytes payload, const publish_options &options) noexcept {
    ringmq_publish message = how(options);
    message.topic = lend(topic);
    message.payload = lend(payload);
    return message;
}

inline ringmq_publish to_publish(std::string_view topic, const shared_payload &payload, const publish_options &options) {
    ringmq_publish message = how(options);
    message.topic = lend(topic);
    payload.lend(message);
    return message;
}

inline ringmq_subscribe how(const filters &filters, const subscribe_options &options) noexcept {
    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    how.filters = filters.data();
    how.filter_count = filters.size();
    how.qos = static_cast<std::uint8_t>(options.qos);
    how.retain_handling = static_cast<std::uint8_t>(options.retain_handling);
    how.retain_as_published = options.retain_as_published;
    how.unacknowledged_max = options.unacknowledged_max;
    how.subscription_identifier = options.identifier;
    how.queue_max = options.queue_max;
    how.timeout_ms = options.timeout.count();
    return how;
}

template <typename Function, typename T>
std::optional<message> receive(Function function, T *object, milliseconds timeout) {
    const ringmq_message *received = nullptr;
    if (!call_in_time(function, object, static_cast<std::int64_t>(timeout.count()), &received))
        return std::nullopt;
    return message(received);
}

template <typename Function, typename T>
std::size_t drain(Function function, T *object, std::vector<message> &messages, std::size_t count) {
    std::vector<const ringmq_message *> taken(std::min<std::size_t>(count, 1024));
    if (messages.capacity() < messages.size() + taken.size())
        messages.reserve(std::max(messages.size() + taken.size(), 2 * messages.capacity()));
    std::size_t length = 0;
    const ringmq_status status = function(object, taken.data(), taken.size(), &length);
    if (status != RINGMQ_TIMEOUT)
        check(status);
    for (std::size_t index = 0; index < length; index++)
        messages.emplace_back(taken[index]);
    return length;
}

} // namespace detail

// A subscription inside the process.
class subscription : public detail::handle<const ringmq_subscription, ringmq_subscription_free> {
public:
    using handle::handle;
    // The next message; none when none came in time. Throws RINGMQ_STOPPED when the subscription has ended.
    std::optional<message> receive(milliseconds timeout = for_ever) const {
        return detail::receive(ringmq_subscription_receive, get(), timeout);
    }
    // Appends what is there, at most `count` and 1,024, without waiting; how many those were.
    std::size_t drain(std::vector<message> &messages, std::size_t count) const {
        return detail::drain(ringmq_subscription_drain, get(), messages, count);
    }
    // Where unacknowledged_max was given; false when there is nothing to acknowledge, as when it has ended.
    bool acknowledge(const message &message) const {
        return detail::found(ringmq_subscription_acknowledge(get(), message.get()));
    }
    // Readable while there may be something to drain.
    int descriptor() const { return detail::descriptor(ringmq_subscription_descriptor, get()); }
    void close() const { detail::check(ringmq_subscription_close(get())); }
    subscription share() const {
        detail::check(ringmq_subscription_ref(get()));
        return subscription(get());
    }
};

// Something that brokers ask or tell.
class question : public detail::handle<const ringmq_question, ringmq_question_free> {
public:
    explicit question(const ringmq_question *object) : handle(object) {
        detail::check(ringmq_question_read(object, &view_));
    }
    ringmq_action action() const noexcept { return view_.action; }
    std::string_view client_id() const noexcept { return detail::view(view_.client_id); }
    std::optional<std::string_view> user_name() const noexcept { return detail::given(view_.user_name); }
    std::optional<bytes> password() const noexcept {
        return view_.password.data ? std::optional(detail::view(view_.password)) : std::nullopt;
    }
    std::optional<std::string_view> address() const noexcept { return detail::given(view_.address); }
    std::string_view topic() const noexcept { return detail::view(view_.topic); }
    int reason_code() const noexcept { return view_.reason_code; }
    bool is_will() const noexcept { return view_.is_will; }
    // Of a RINGMQ_ACTION_MESSAGE.
    ringmq::message message() const {
        const ringmq_message *offered = nullptr;
        detail::check(ringmq_question_message(get(), &offered));
        return ringmq::message(offered);
    }
    void answer(bool allowed) const { detail::check(ringmq_question_answer(get(), allowed)); }
    void answer_as(std::string_view user_name) const {
        detail::check(ringmq_question_answer_as(get(), detail::lend(user_name)));
    }
    void refuse(std::uint8_t reason_code) const { detail::check(ringmq_question_refuse(get(), reason_code)); }
    // Lets a message pass as this one; of the options, QoS and timeout do not count.
    template <typename Payload>
    void rewrite(std::string_view topic, Payload &&payload, const publish_options &options = {}) const {
        const ringmq_publish message = detail::to_publish(topic, std::forward<Payload>(payload), options);
        detail::call(ringmq_question_rewrite, get(), &message);
    }

private:
    detail::leaving<ringmq_question_view> view_;
};

// Where the questions of brokers are taken out.
class questions : public detail::handle<const ringmq_questions, ringmq_questions_free> {
public:
    explicit questions(std::uint32_t subjects, milliseconds remember = milliseconds(0))
        : handle(make(subjects, remember)) {}
    // The next question; none when none came in time. Throws RINGMQ_STOPPED when the broker has stopped.
    std::optional<question> take(milliseconds timeout = for_ever) const {
        ringmq_question *taken = nullptr;
        if (!detail::call_in_time(ringmq_questions_take, get(), static_cast<std::int64_t>(timeout.count()), &taken))
            return std::nullopt;
        return question(taken);
    }
    // Readable while there may be questions.
    int descriptor() const { return detail::descriptor(ringmq_questions_descriptor, get()); }
    // How many clients came or went, since this was asked last, that nobody was told of.
    std::uint64_t missed() const {
        std::uint64_t missed = 0;
        detail::check(ringmq_questions_missed(get(), &missed));
        return missed;
    }

private:
    static ringmq_questions *make(std::uint32_t subjects, milliseconds remember) {
        ringmq_questions *made = nullptr;
        detail::call(ringmq_questions_new, subjects, static_cast<std::uint64_t>(remember.count()), &made);
        return made;
    }
};

// Which packets have which fault; what is left as it is stands for all.
struct fault {
    ringmq_fault_kind kind = RINGMQ_FAULT_DROP;
    std::optional<std::string> client_id = std::nullopt;
    int packet = 0;
    int direction = 0;
    std::uint64_t times = 0;
    milliseconds delay{0};
    std::uint8_t reason_code = 0x88;
};

// What goes wrong between brokers and their clients, for tests.
class faults : public detail::handle<ringmq_faults, ringmq_faults_free> {
public:
    faults() : handle(ringmq_faults_new()) {}
    void add(const fault &fault) const {
        ringmq_fault added = RINGMQ_FAULT_INIT;
        added.kind = fault.kind;
        if (fault.client_id)
            added.client_id = detail::lend(std::string_view(*fault.client_id));
        added.packet = static_cast<std::uint8_t>(fault.packet);
        added.direction = static_cast<std::uint8_t>(fault.direction);
        added.times = fault.times;
        added.delay_ms = static_cast<std::uint64_t>(fault.delay.count());
        added.reason_code = fault.reason_code;
        detail::call(ringmq_faults_add, get(), &added);
    }
    void clear() const { detail::check(ringmq_faults_clear(get())); }
};

// What a broker is to be like.
class config : public detail::handle<ringmq_config, ringmq_config_free> {
public:
    config() : handle(ringmq_config_new()) {}
    config &set(std::string_view name, std::string_view value) {
        detail::call(ringmq_config_set, get(), detail::lend(name), detail::lend(value));
        return *this;
    }
    config &text(std::string_view name, std::string_view text) {
        detail::call(ringmq_config_add_text, get(), detail::lend(name), detail::lend(text));
        return *this;
    }
    config &file(std::string_view path) {
        detail::call(ringmq_config_add_file, get(), detail::lend(path));
        return *this;
    }
    config &ask(const questions &questions) {
        detail::call(ringmq_config_set_questions, get(), questions.get());
        return *this;
    }
    config &ask(std::nullptr_t nobody) {
        detail::call(ringmq_config_set_questions, get(), nobody);
        return *this;
    }
    config &fail(const faults &faults) {
        detail::call(ringmq_config_set_faults, get(), faults.get());
        return *this;
    }
    config &fail(std::nullptr_t never) {
        detail::call(ringmq_config_set_faults, get(), never);
        return *this;
    }
};

// A client's session, as it was when it was told.
struct session {
    std::string client_id;
    std::optional<std::string> user_name;
    std::optional<std::string> address;
    bool connected = false;
    int protocol = 0;
    std::uint16_t keep_alive = 0;
    std::uint32_t expiry_interval = 0;
    std::uint64_t subscriptions = 0;
    std::uint64_t queued = 0;
    std::uint64_t queued_bytes = 0;
    std::uint64_t inflight = 0;

    explicit session(const ringmq_session &told)
        : client_id(detail::view(told.client_id)), user_name(detail::given(told.user_name)),
          address(detail::given(told.address)), connected(told.connected), protocol(told.protocol),
          keep_alive(told.keep_alive), expiry_interval(told.expiry_interval), subscriptions(told.subscriptions),
          queued(told.queued), queued_bytes(told.queued_bytes), inflight(told.inflight) {}
};

// A broker of this process; it stops when it is destroyed.
class broker : public detail::handle<const ringmq_broker, ringmq_broker_free> {
public:
    broker() : broker(config()) {}
    explicit broker(const config &config) : handle(start(config)) {}
    // How many clients were cut off.
    std::uint64_t stop() const {
        std::uint64_t left = 0;
        detail::call(ringmq_broker_stop, get(), &left);
        return left;
    }
    void reload(const config &config) const {
        detail::call(ringmq_broker_reload, get(), config.get());
    }
    std::uint16_t port() const {
        std::uint16_t port = 0;
        detail::check(ringmq_broker_port(get(), &port));
        return port;
    }
    // Its listeners as clients write them.
    std::vector<std::string> urls() const {
        std::vector<std::string> all;
        const auto write = [this, &all](char *buffer, std::size_t capacity, std::size_t *length) {
            return ringmq_broker_url(get(), all.size(), buffer, capacity, length);
        };
        while (std::optional<std::string> url = detail::written(write))
            all.push_back(std::move(*url));
        return all;
    }
    // Waits until every session that matches has it.
    ringmq_published publish(std::string_view topic, bytes payload, const publish_options &options = {}) const {
        return publish_one(detail::to_publish(topic, payload, options));
    }
    // The same, without a copy of the payload.
    ringmq_published publish(std::string_view topic, const shared_payload &payload,
                             const publish_options &options = {}) const {
        return publish_one(detail::to_publish(topic, payload, options));
    }
    // Costs a fraction of publishing each. Throws the first failure; the others are published all the same.
    ringmq_published publish(const batch &messages, const publish_options &options = {}) const {
        const ringmq_publish how = detail::how(options);
        ringmq_published published{};
        detail::call(ringmq_broker_publish_batch, get(), messages.data(), messages.size(), &how, &published);
        return published;
    }
    ringmq::subscription subscribe(const filters &filters, const subscribe_options &options = {}) const {
        const ringmq_subscribe how = detail::how(filters, options);
        ringmq_subscription *made = nullptr;
        detail::call(ringmq_broker_subscribe, get(), &how, &made);
        return ringmq::subscription(made);
    }
    // Everything the broker counts, by its name.
    std::map<std::string, std::uint64_t, std::less<>> counters() const {
        std::map<std::string, std::uint64_t, std::less<>> all;
        detail::listener keep([&all](ringmq_str name, std::uint64_t value) { all.emplace(detail::view(name), value); });
        detail::call(ringmq_broker_counters, get(), &decltype(keep)::template tell<ringmq_str, std::uint64_t>, &keep);
        keep.finish();
        return all;
    }
    // Of all clients, connected or not, in the order of their ClientIDs.
    std::vector<session> sessions(milliseconds timeout = five_seconds) const {
        std::vector<session> all;
        detail::listener keep([&all](const ringmq_session *told) { all.emplace_back(*told); });
        detail::call(ringmq_broker_sessions, get(), wait(timeout), &decltype(keep)::template tell<const ringmq_session *>,
                     &keep);
        keep.finish();
        return all;
    }
    // Disconnects a client; whether there was one.
    bool kick(std::string_view client_id, bool end_session = false, milliseconds timeout = five_seconds) const {
        ringmq_error *words = nullptr;
        const ringmq_status status =
            ringmq_broker_kick(get(), detail::lend(client_id), end_session, wait(timeout), &words);
        if (status != RINGMQ_OK && status != RINGMQ_ABSENT)
            detail::raise(status, words);
        ringmq_error_free(words);
        return status == RINGMQ_OK;
    }
    // The retained messages that match a filter, in the order of their topics.
    std::vector<message> retained(std::string_view filter, milliseconds timeout = five_seconds) const {
        std::vector<message> all;
        detail::listener keep([&all](const ringmq_message *told) {
            message owned(told);
            all.push_back(std::move(owned));
        });
        detail::call(ringmq_broker_retained, get(), detail::lend(filter), wait(timeout),
                     &decltype(keep)::template tell<const ringmq_message *>, &keep);
        keep.finish();
        return all;
    }
    // As if the broker had just been started. What this program has subscribed to stays.
    void reset(milliseconds timeout = five_seconds) const { detail::call(ringmq_broker_reset, get(), wait(timeout)); }
    // Lets time pass at once, and returns when what is due has happened. Clients stay connected, unless `keep_alive` says
    // that all have been silent meanwhile.
    void advance_clock(milliseconds by, bool keep_alive = false, milliseconds timeout = five_seconds) const {
        detail::call(ringmq_broker_advance_clock, get(), static_cast<std::uint64_t>(by.count()), keep_alive, wait(timeout));
    }
    // Takes over a connected stream socket, as if its listener of this number had accepted it. When this throws, it is still
    // the caller's, but perhaps non-blocking.
    void adopt(int socket, std::size_t listener = 0) const {
        detail::call(ringmq_broker_adopt, get(), static_cast<std::int32_t>(socket), listener);
    }
    broker share() const {
        detail::check(ringmq_broker_ref(get()));
        return broker(get());
    }

private:
    explicit broker(const ringmq_broker *object) noexcept : handle(object) {}
    static std::int64_t wait(milliseconds timeout) noexcept { return timeout.count(); }
    ringmq_published publish_one(const ringmq_publish &message) const {
        ringmq_published published{};
        detail::call(ringmq_broker_publish, get(), &message, &published);
        return published;
    }
    static ringmq_broker *start(const config &config) {
        ringmq_broker *started = nullptr;
        detail::call(ringmq_broker_start, config.get(), &started);
        return started;
    }
};

// How a client connects to a server: `mqtt://HOST[:PORT]`, `mqtts://...`, `ws://HOST[:PORT][/PATH]`, `wss://...` or
// `unix:PATH`. ringmq_client_options_set lists all that can be set, such as client_id, reconnect and ca_file.
class client_options : public detail::handle<ringmq_client_options, ringmq_client_options_free> {
public:
    explicit client_options(std::string_view url) : handle(make(url)) {}
    client_options &set(std::string_view name, std::string_view value) {
        detail::call(ringmq_client_options_set, get(), detail::lend(name), detail::lend(value));
        return *this;
    }
    // Any bytes; the option username goes with it.
    client_options &password(bytes password) {
        detail::call(ringmq_client_options_set_password, get(), detail::lend(password));
        return *this;
    }
    // What the server publishes when the connection ends without a goodbye, so much later.
    template <typename Payload>
    client_options &will(std::string_view topic, Payload &&payload, const publish_options &options = {},
                         std::chrono::seconds delay = std::chrono::seconds(0)) {
        const ringmq_publish will = detail::to_publish(topic, std::forward<Payload>(payload), options);
        detail::call(ringmq_client_options_set_will, get(), &will, static_cast<std::uint32_t>(delay.count()));
        return *this;
    }

private:
    static ringmq_client_options *make(std::string_view url) {
        ringmq_client_options *made = nullptr;
        detail::call(ringmq_client_options_new, detail::lend(url), &made);
        return made;
    }
};

// A message that a client has taken for sending.
class receipt : public detail::handle<ringmq_receipt, ringmq_receipt_free> {
public:
    using handle::handle;
    // Waits for the server's answer: the reason code of success, 0x00 or 0x10, no matching subscribers. Throws
    // RINGMQ_REFUSED with the reason code, and RINGMQ_TIMEOUT.
    std::uint8_t wait(milliseconds timeout = for_ever) const {
        std::uint8_t reason_code = 0;
        detail::call(ringmq_receipt_wait, get(), static_cast<std::int64_t>(timeout.count()), &reason_code);
        return reason_code;
    }
};

// What happened to a client's connection.
class event : public detail::handle<const ringmq_event, ringmq_event_free> {
public:
    explicit event(const ringmq_event *object) : handle(object) { detail::check(ringmq_event_read(object, &view_)); }
    ringmq_event_kind kind() const noexcept { return view_.kind; }
    // Why, in words, or the filter.
    std::string_view text() const noexcept { return detail::view(view_.text); }
    // The server's; -1 where there is none.
    int reason_code() const noexcept { return view_.reason_code; }
    bool session_present() const noexcept { return view_.session_present; }
    // Until the next attempt; none when there will be no other.
    std::optional<milliseconds> retry() const noexcept {
        return view_.retry_ms < 0 ? std::nullopt : std::optional(milliseconds(view_.retry_ms));
    }

private:
    detail::leaving<ringmq_event_view> view_;
};

// A client. It connects by itself, and again whenever it has to; when it is destroyed it says goodbye at once, and what was
// not sent is dropped: disconnect() waits for that.
class client : public detail::handle<const ringmq_client, ringmq_client_free> {
public:
    explicit client(const client_options &options) : handle(start(options)) {}
    explicit client(std::string_view url) : client(client_options(url)) {}
    // Throws the last failure when that was not long enough.
    void wait_connected(milliseconds timeout = for_ever) const {
        detail::call(ringmq_client_wait_connected, get(), wait(timeout));
    }
    bool is_connected() const noexcept { return ringmq_client_is_connected(get()); }
    // The ClientID, which the server may have assigned.
    std::string id() const {
        const auto write = [this](char *buffer, std::size_t capacity, std::size_t *length) {
            return ringmq_client_id(get(), buffer, capacity, length);
        };
        return detail::written(write).value_or(std::string());
    }
    // Takes a message for sending, and waits for room for it at most the timeout of the options.
    template <typename Payload>
    receipt publish(std::string_view topic, Payload &&payload, const publish_options &options = {}) const {
        const ringmq_publish message = detail::to_publish(topic, std::forward<Payload>(payload), options);
        ringmq_receipt *made = nullptr;
        detail::call(ringmq_client_publish, get(), &message, &made);
        return receipt(made);
    }
    // The same, where nobody waits for the answer to this message.
    template <typename Payload>
    void send(std::string_view topic, Payload &&payload, const publish_options &options = {}) const {
        const ringmq_publish message = detail::to_publish(topic, std::forward<Payload>(payload), options);
        detail::call(ringmq_client_publish, get(), &message, static_cast<ringmq_receipt **>(nullptr));
    }
    // The same for many. `taken` gets how many, also when it throws for the one behind them.
    void send(const batch &messages, const publish_options &options = {}, std::size_t *taken = nullptr) const {
        const ringmq_publish how = detail::how(options);
        detail::call(ringmq_client_publish_batch, get(), messages.data(), messages.size(), &how, taken);
    }
    // Waits until everything has been sent and answered.
    void flush(milliseconds timeout = for_ever) const { detail::call(ringmq_client_flush, get(), wait(timeout)); }
    // A code for each filter: the QoS that was granted, or from 0x80 on why it was refused.
    std::vector<std::uint8_t> subscribe(const filters &filters, const subscribe_options &options = {}) const {
        const ringmq_subscribe how = detail::how(filters, options);
        std::vector<std::uint8_t> reason_codes(filters.size());
        detail::call(ringmq_client_subscribe, get(), &how, reason_codes.data());
        return reason_codes;
    }
    std::vector<std::uint8_t> unsubscribe(const filters &filters) const {
        std::vector<std::uint8_t> reason_codes(filters.size());
        detail::call(ringmq_client_unsubscribe, get(), filters.data(), filters.size(), reason_codes.data());
        return reason_codes;
    }
    // The next message; none when none came in time. Throws RINGMQ_STOPPED when the client has stopped and all were taken.
    std::optional<message> receive(milliseconds timeout = for_ever) const {
        return detail::receive(ringmq_client_receive, get(), timeout);
    }
    // Appends what has arrived, at most `count`, without waiting; how many those were.
    std::size_t drain(std::vector<message> &messages, std::size_t count) const {
        return detail::drain(ringmq_client_drain, get(), messages, count);
    }
    // Readable while there may be something to drain.
    int descriptor() const { return detail::descriptor(ringmq_client_descriptor, get()); }
    // The next event, without waiting; none when there is none. Throws RINGMQ_STOPPED behind the last.
    std::optional<event> next_event() const {
        ringmq_event *taken = nullptr;
        const ringmq_status status = ringmq_client_next_event(get(), &taken);
        if (status == RINGMQ_TIMEOUT)
            return std::nullopt;
        detail::check(status);
        return event(taken);
    }
    // Readable while there may be events.
    int event_descriptor() const { return detail::descriptor(ringmq_client_event_descriptor, get()); }
    // Where the option acknowledge is manual; false when there is nothing to acknowledge.
    bool acknowledge(const message &message) const {
        return detail::found(ringmq_client_acknowledge(get(), message.get()));
    }
    // Sends what is left, says goodbye, and stops. Throws RINGMQ_TIMEOUT when something was dropped.
    void disconnect(milliseconds timeout = for_ever) const {
        detail::call(ringmq_client_disconnect, get(), wait(timeout));
    }
    client share() const {
        detail::check(ringmq_client_ref(get()));
        return client(get());
    }

private:
    explicit client(const ringmq_client *object) noexcept : handle(object) {}
    static std::int64_t wait(milliseconds timeout) noexcept { return timeout.count(); }
    static ringmq_client *start(const client_options &options) {
        ringmq_client *started = nullptr;
        detail::call(ringmq_client_start, options.get(), &started);
        return started;
    }
};

// Has lines of the log up to this level told to a function, on a thread of the library's, as long as this is there. There
// is one in a process at a time. The function must not destroy it; what it throws is dropped.
class log {
public:
    using function = std::function<void(std::uint32_t level, std::string_view line)>;

    log(std::uint32_t level, function on_line) : on_line_(std::move(on_line)) {
        if (is_there().exchange(true))
            throw error(RINGMQ_INVALID, "there is another log");
        try {
            detail::call(ringmq_log_set, level, &log::tell, static_cast<void *>(&on_line_));
        } catch (...) {
            is_there() = false;
            throw;
        }
    }
    log(const log &) = delete;
    log &operator=(const log &) = delete;
    // Behind it the function has had its last call.
    ~log() {
        ringmq_log_set(RINGMQ_LOG_ERROR, nullptr, nullptr, nullptr);
        is_there() = false;
    }

private:
    static std::atomic<bool> &is_there() noexcept {
        static std::atomic<bool> is{false};
        return is;
    }
    static void tell(void *on_line, std::uint32_t level, ringmq_str line) noexcept {
        try {
            (*static_cast<function *>(on_line))(level, detail::view(line));
        } catch (...) {
            // Nobody is there to hear of it.
        }
    }
    function on_line_;
};

} // namespace ringmq

#endif // RINGMQ_HPP
