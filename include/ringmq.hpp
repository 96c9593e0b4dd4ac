// libringmq in C++17: what ringmq.h says, with objects that free themselves and failures that are thrown.
//
// There is no code behind it but this header. Objects can be moved, not copied; get() gives what ringmq.h takes, for all
// that stands there and not here. Texts and bytes that are read live as long as the object they came from. What calls the
// library for an object that was moved from throws RINGMQ_NULL.

#ifndef RINGMQ_HPP
#define RINGMQ_HPP

#include <chrono>
#include <cstdint>
#include <initializer_list>
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

using milliseconds = std::chrono::milliseconds;

// How long a call waits that is to wait for ever.
inline constexpr milliseconds for_ever{-1};

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
    const ringmq_str name = ringmq_status_name(status);
    throw error(status, words ? ringmq_error_message(words) : std::string(name.data, name.length),
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
        return found(ringmq_message_number(get(), identifier, &number)) ? std::optional(number) : std::nullopt;
    }
    std::optional<bytes> data(std::uint8_t identifier) const {
        ringmq_bytes data{};
        return found(ringmq_message_data(get(), identifier, &data)) ? std::optional(detail::view(data)) : std::nullopt;
    }
    std::vector<std::pair<std::string_view, std::string_view>> user_properties() const {
        std::vector<std::pair<std::string_view, std::string_view>> all;
        ringmq_str name{}, value{};
        while (found(ringmq_message_user_property(get(), all.size(), &name, &value)))
            all.emplace_back(detail::view(name), detail::view(value));
        return all;
    }

private:
    static bool found(ringmq_status status) {
        if (status != RINGMQ_ABSENT)
            detail::check(status);
        return status == RINGMQ_OK;
    }
    ringmq_message_view view_{};
};

// A subscription inside the process.
class subscription : public detail::handle<const ringmq_subscription, ringmq_subscription_free> {
public:
    using handle::handle;
    // The next message; none when none came in time. Throws RINGMQ_STOPPED when the subscription has ended.
    std::optional<message> receive(milliseconds timeout = for_ever) const {
        const ringmq_message *received = nullptr;
        if (!detail::call_in_time(ringmq_subscription_receive, get(), timeout.count(), &received))
            return std::nullopt;
        return message(received);
    }
    // Appends what is there, at most `count`, without waiting; how many those were.
    std::size_t drain(std::vector<message> &messages, std::size_t count) const {
        std::vector<const ringmq_message *> taken(count);
        messages.reserve(messages.size() + count);
        std::size_t length = 0;
        const ringmq_status status = ringmq_subscription_drain(get(), taken.data(), count, &length);
        if (status != RINGMQ_TIMEOUT)
            detail::check(status);
        for (std::size_t index = 0; index < length; index++)
            messages.emplace_back(taken[index]);
        return length;
    }
    // Readable while there may be something to drain.
    int descriptor() const {
        std::int32_t descriptor = -1;
        detail::call(ringmq_subscription_descriptor, get(), &descriptor);
        return descriptor;
    }
    void close() const { detail::check(ringmq_subscription_close(get())); }
};

// Something that brokers ask or tell.
class question : public detail::handle<const ringmq_question, ringmq_question_free> {
public:
    explicit question(const ringmq_question *object) : handle(object) {
        detail::check(ringmq_question_read(object, &view_));
    }
    ringmq_action action() const noexcept { return view_.action; }
    std::string_view client_id() const noexcept { return detail::view(view_.client_id); }
    std::optional<std::string_view> user_name() const noexcept { return given(view_.user_name); }
    std::optional<bytes> password() const noexcept {
        return view_.password.data ? std::optional(detail::view(view_.password)) : std::nullopt;
    }
    std::optional<std::string_view> address() const noexcept { return given(view_.address); }
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

private:
    static std::optional<std::string_view> given(ringmq_str text) noexcept {
        return text.data ? std::optional(detail::view(text)) : std::nullopt;
    }
    ringmq_question_view view_{};
};

// Where the questions of brokers are taken out.
class questions : public detail::handle<const ringmq_questions, ringmq_questions_free> {
public:
    explicit questions(std::uint32_t subjects, milliseconds remember = milliseconds(0))
        : handle(make(subjects, remember)) {}
    // The next question; none when none came in time. Throws RINGMQ_STOPPED when the broker has stopped.
    std::optional<question> take(milliseconds timeout = for_ever) const {
        ringmq_question *taken = nullptr;
        if (!detail::call_in_time(ringmq_questions_take, get(), timeout.count(), &taken))
            return std::nullopt;
        return question(taken);
    }
    int descriptor() const {
        std::int32_t descriptor = -1;
        detail::call(ringmq_questions_descriptor, get(), &descriptor);
        return descriptor;
    }

private:
    static ringmq_questions *make(std::uint32_t subjects, milliseconds remember) {
        ringmq_questions *made = nullptr;
        detail::call(ringmq_questions_new, subjects, static_cast<std::uint64_t>(remember.count()), &made);
        return made;
    }
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
};

// How a message is published.
struct publish_options {
    int qos = 0;
    bool retain = false;
    milliseconds timeout{5000};
    const ringmq::properties *properties = nullptr;
};

// How a subscription is made.
struct subscribe_options {
    int qos = 2;
    int retain_handling = 0;
    bool retain_as_published = false;
    std::uint32_t identifier = 0;
    std::size_t queue_max = 1000;
    milliseconds timeout{5000};
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
        for (;;) {
            char none = 0;
            std::size_t length = 0;
            const ringmq_status status = ringmq_broker_url(get(), all.size(), &none, 0, &length);
            if (status == RINGMQ_ABSENT)
                return all;
            if (status != RINGMQ_INVALID)
                detail::check(status);
            std::string url(length + 1, '\0');
            detail::check(ringmq_broker_url(get(), all.size(), url.data(), url.size(), &length));
            url.resize(length);
            all.push_back(std::move(url));
        }
    }
    ringmq_published publish(std::string_view topic, bytes payload, const publish_options &options = {}) const {
        ringmq_publish how = RINGMQ_PUBLISH_INIT;
        how.topic = detail::lend(topic);
        how.payload = detail::lend(payload);
        how.qos = static_cast<std::uint8_t>(options.qos);
        how.retain = options.retain;
        how.timeout_ms = options.timeout.count();
        how.properties = options.properties ? options.properties->get() : nullptr;
        ringmq_published published{};
        detail::call(ringmq_broker_publish, get(), &how, &published);
        return published;
    }
    ringmq::subscription subscribe(std::initializer_list<std::string_view> filters,
                                   const subscribe_options &options = {}) const {
        std::vector<ringmq_str> lent;
        for (const std::string_view filter : filters)
            lent.push_back(detail::lend(filter));
        ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
        how.filters = lent.data();
        how.filter_count = lent.size();
        how.qos = static_cast<std::uint8_t>(options.qos);
        how.retain_handling = static_cast<std::uint8_t>(options.retain_handling);
        how.retain_as_published = options.retain_as_published;
        how.subscription_identifier = options.identifier;
        how.queue_max = options.queue_max;
        how.timeout_ms = options.timeout.count();
        ringmq_subscription *made = nullptr;
        detail::call(ringmq_broker_subscribe, get(), &how, &made);
        return ringmq::subscription(made);
    }

private:
    static ringmq_broker *start(const config &config) {
        ringmq_broker *started = nullptr;
        detail::call(ringmq_broker_start, config.get(), &started);
        return started;
    }
};

} // namespace ringmq

#endif // RINGMQ_HPP
