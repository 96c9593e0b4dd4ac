// Every member of ringmq.hpp at least once, and what comes of it. The arguments are the driver, and a folder with
// certificates in which it may write.

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include <ringmq.hpp>

namespace {

using namespace std::chrono_literals;

// Long for the library, and not for what watches memory.
constexpr ringmq::milliseconds patience = 10s;

void demand(bool holds, const char *what) {
    if (!holds)
        throw std::runtime_error(what);
}

// A call fails with this status; the reason code.
template <typename Call> int fails(ringmq_status status, Call call) {
    try {
        call();
    } catch (const ringmq::error &error) {
        demand(error.status() == status && *error.what() != '\0', error.what());
        return error.reason_code();
    }
    throw std::runtime_error("it did not fail with " + std::string(ringmq::status_name(status)));
}

void wait_readable(int descriptor) {
    pollfd ready{descriptor, POLLIN, 0};
    demand(poll(&ready, 1, static_cast<int>(patience.count())) == 1, "nothing became readable");
}

template <typename Condition> void wait_until(Condition condition, const char *what) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
        demand(std::chrono::steady_clock::now() < end, what);
        std::this_thread::sleep_for(1ms);
    }
}

ringmq::publish_options at(int qos, bool retain = false, const ringmq::properties *properties = nullptr) {
    ringmq::publish_options options;
    options.qos = qos;
    options.retain = retain;
    options.timeout = patience;
    options.properties = properties;
    return options;
}

ringmq::config configure(const std::string &driver) {
    ringmq::config config;
    config.set("driver", driver).text("ringmq.conf", "shards = 2\n").ask(nullptr).fail(nullptr);
    return config;
}

void say_versions() {
    demand(ringmq::version_number() == RINGMQ_VERSION_NUMBER, "the header is another version's");
    demand(!ringmq::version().empty(), "there is a version");
    demand(ringmq::status_name(RINGMQ_TIMEOUT) == "RINGMQ_TIMEOUT", "a status has its name");
}

void bytes_of_all_kinds() {
    const std::uint8_t raw[] = {'a', 'b'};
    const std::vector<std::uint8_t> vector(raw, raw + 2);
    const std::string string = "ab";
    for (const ringmq::bytes data : {ringmq::bytes(raw, 2), ringmq::bytes(vector), ringmq::bytes(string), ringmq::bytes("ab"),
                                     ringmq::bytes(std::string_view("ab"))})
        demand(data.text() == "ab", "the bytes are others");
    demand(ringmq::bytes().size == 0, "no bytes");
}

void failures() {
    demand(fails(RINGMQ_CONFIG, [] { ringmq::config().set("nonsense", "1"); }) == -1, "there is no reason code");
    ringmq::config config;
    const ringmq::config moved = std::move(config);
    demand(moved.get() != nullptr, "an object moves");
    fails(RINGMQ_NULL, [&config] { config.set("shards", "1"); });
    fails(RINGMQ_INVALID, [] { ringmq::client_options("nonsense://host"); });
    demand(ringmq::error(RINGMQ_REFUSED, "words", 0x87).reason_code() == 0x87, "an error is made of its parts");
}

ringmq::subscription subscribe(const ringmq::broker &broker, const ringmq::filters &filters) {
    ringmq::subscribe_options options;
    options.identifier = 7;
    // A message that is published at once behind this may else come as a retained one too.
    options.retain_handling = 2;
    options.timeout = patience;
    return broker.subscribe(filters, options);
}

void read(const ringmq::message &message) {
    demand(message.topic() == "a/b" && message.payload().text() == "payload", "the message is another one");
    demand(message.qos() == 2 && !message.retain(), "its options are others");
    demand(message.number(0x02) == 60u && !message.number(0x01), "its numbers are others");
    demand(message.data(0x03)->text() == "text/plain" && !message.data(0x09), "its data are others");
    const auto user = message.user_properties();
    demand(user.size() == 1 && user[0].first == "name" && user[0].second == "value", "its user properties are others");
    demand(message.subscription_identifiers() == std::vector<std::uint32_t>{7}, "its identifiers are others");
}

void messages(const ringmq::broker &broker) {
    const ringmq::subscription subscription = subscribe(broker, {"a/#", "b/+"});
    demand(!subscription.receive(0ms), "nothing is there");
    ringmq::properties properties;
    properties.number(0x02, 60).data(0x03, "text/plain").user("name", "value");
    const ringmq_published published = broker.publish("a/b", "payload", at(2, true, &properties));
    demand(published.matched == 1 && published.dropped == 0, "one subscription matches");
    std::optional<ringmq::message> message = subscription.receive(patience);
    demand(message.has_value(), "nothing came");
    const ringmq::message shared = message->share();
    message.reset();
    read(shared);
    const std::vector<ringmq::message> retained = broker.retained("#", patience);
    demand(retained.size() == 1 && retained[0].retain(), "there is one retained message");
    fails(RINGMQ_NOT_MQTT, [&broker] { static_cast<void>(broker.retained("a#", patience)); });
}

void payloads_that_are_lent(const ringmq::broker &broker) {
    const auto owner = std::make_shared<std::string>(1000, 'x');
    const std::string text(1000, 'x');
    const ringmq::subscription subscription = subscribe(broker, "b/lent");
    for (const ringmq::shared_payload &payload :
         {ringmq::shared_payload(std::string(text)), ringmq::shared_payload(std::vector<std::uint8_t>(1000, 'x')),
          ringmq::shared_payload(owner), ringmq::shared_payload(owner, ringmq::bytes(*owner))}) {
        broker.publish("b/lent", payload, at(1));
        demand(subscription.receive(patience)->payload().text() == text, "the payload is another one");
        demand(payload.data().size == 1000, "it is still there");
    }
    fails(RINGMQ_NOT_MQTT, [&] { broker.publish("b/#", ringmq::shared_payload(owner)); });
    wait_until([&owner] { return owner.use_count() == 1; }, "a payload was not given back");
    const auto kept = std::make_shared<std::string>(100000, 'y');
    broker.publish("b/lent", ringmq::shared_payload(kept));
    demand(kept.use_count() > 1, "it is lent, not copied");
    demand(subscription.receive(patience)->payload().data == ringmq::bytes(*kept).data, "it is where it was");
    wait_until([&kept] { return kept.use_count() == 1; }, "a payload was not given back");
}

void batches(const ringmq::broker &broker) {
    const ringmq::subscription subscription = subscribe(broker, std::vector<std::string>{"c/#"});
    ringmq::batch batch;
    for (int index = 0; index < 100; index++)
        batch.add("c/d", "payload");
    demand(broker.publish(batch, at(0)).matched == 100, "each of them matches");
    std::vector<ringmq::message> all;
    while (all.size() < batch.size()) {
        wait_readable(subscription.descriptor());
        subscription.drain(all, 30);
    }
    batch.clear();
    demand(batch.size() == 0 && broker.publish(batch).matched == 0, "nothing is left");
    const ringmq::subscription other = subscription.share();
    other.close();
    fails(RINGMQ_STOPPED, [&subscription] { static_cast<void>(subscription.receive()); });
}

void by_hand(const ringmq::broker &broker) {
    ringmq::subscribe_options options;
    options.unacknowledged_max = 1;
    const ringmq::subscription subscription = broker.subscribe("hand", options);
    broker.publish("hand", "1", at(1));
    broker.publish("hand", "2", at(1));
    const std::optional<ringmq::message> first = subscription.receive(patience);
    demand(first && !subscription.receive(20ms), "the second waits");
    demand(subscription.acknowledge(*first) && !subscription.acknowledge(*first), "a message is acknowledged once");
    std::optional<ringmq::message> second = subscription.receive(patience);
    demand(second && second->payload().text() == "2", "the second comes");
    ringmq::message moved = std::move(*second);
    demand(second->topic().empty() && second->payload().size == 0, "nothing stays behind");
    *second = std::move(moved);
    demand(moved.topic().empty() && second->topic() == "hand", "it came back");
    subscription.close();
    demand(!subscription.acknowledge(*second), "the subscription has ended");
    ringmq::shared_payload payload(std::string("x"));
    const ringmq::shared_payload other = std::move(payload);
    demand(payload.data().size == 0 && other.data().size == 1, "a payload moves");
}

void adopted(const ringmq::broker &broker) {
    fails(RINGMQ_INVALID, [&broker] { broker.adopt(-1); });
    int ends[2];
    demand(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "no socket pair");
    fails(RINGMQ_INVALID, [&] { broker.adopt(ends[1], 99); });
    broker.adopt(ends[1]);
    const unsigned char nonsense[] = {0xff, 0xff};
    unsigned char answer = 0;
    demand(send(ends[0], nonsense, sizeof nonsense, 0) == 2 && recv(ends[0], &answer, 1, 0) == 0, "it is closed");
    close(ends[0]);
}

void filters(const ringmq::broker &broker) {
    const std::string text = "e";
    for (const ringmq::filters &filters : {ringmq::filters("e"), ringmq::filters(std::string_view("e")), ringmq::filters(text),
                                           ringmq::filters({"e", "e"}), ringmq::filters(std::vector<std::string_view>{"e"})})
        demand(subscribe(broker, filters).get() != nullptr, "the filter is subscribed to");
}

ringmq::client connect(const std::string &url, const std::string &client_id) {
    ringmq::client_options options(url);
    options.set("client_id", client_id).set("connect_timeout", "60").set("acknowledge", "manual");
    ringmq::client client(options);
    client.wait_connected(patience);
    return client;
}

// One of a kind, behind what may come before it.
ringmq::event next_event(const ringmq::client &client, ringmq_event_kind kind) {
    for (;;) {
        std::optional<ringmq::event> event = client.next_event();
        if (!event)
            wait_readable(client.event_descriptor());
        else if (event->kind() == kind)
            return std::move(*event);
    }
}

void receive_and_acknowledge(const ringmq::client &client) {
    demand(client.publish("f/g", "1", at(1)).wait(patience) == 0, "the server has it");
    const std::optional<ringmq::message> message = client.receive(patience);
    demand(message && message->payload().text() == "1", "the message is another one");
    demand(client.acknowledge(*message) && !client.acknowledge(*message), "a message is acknowledged once");
    demand(client.publish("nobody", ringmq::shared_payload("2"), at(1)).wait(patience) == 0x10, "nobody wants it");
    client.send("f/g", ringmq::shared_payload("3"));
    client.send("f/g", "4", at(2));
    std::size_t taken = 0;
    client.send(ringmq::batch().add("f/g", "5").add("f/g", "6"), at(1), &taken);
    demand(taken == 2, "both were taken");
    fails(RINGMQ_NOT_MQTT, [&] { client.send(ringmq::batch().add("f/g", "7").add("#", "8"), at(0), &taken); });
    demand(taken == 1, "the one before was taken");
    client.flush(patience);
    std::vector<ringmq::message> all;
    while (all.size() < 5) {
        wait_readable(client.descriptor());
        client.drain(all, 2);
    }
}

void clients(const ringmq::broker &broker) {
    const ringmq::client client = connect(broker.urls().at(0), "client");
    demand(client.id() == "client" && client.is_connected(), "it is connected");
    wait_readable(client.event_descriptor());
    ringmq::subscribe_options options;
    options.retain_handling = 2;
    options.retain_as_published = true;
    demand(client.subscribe({"f/#", "f/h"}, options) == std::vector<std::uint8_t>{2, 2}, "both are granted");
    receive_and_acknowledge(client);
    demand(client.unsubscribe("f/h") == std::vector<std::uint8_t>{0}, "it was subscribed to");
    demand(!next_event(client, RINGMQ_EVENT_CONNECTED).session_present(), "the session is new");
    const ringmq::client other = client.share();
    other.disconnect(patience);
    fails(RINGMQ_STOPPED, [&client] { client.flush(); });
    next_event(client, RINGMQ_EVENT_STOPPED);
    fails(RINGMQ_STOPPED, [&client] { static_cast<void>(client.next_event()); });
}

void administer(const ringmq::broker &broker, const ringmq::config &config) {
    const ringmq::client client = connect(broker.urls().at(0), "one");
    const std::vector<ringmq::session> sessions = broker.sessions(patience);
    demand(sessions.size() == 1 && sessions[0].client_id == "one" && sessions[0].connected, "there is one session");
    demand(sessions[0].protocol == 5 && sessions[0].address && !sessions[0].user_name, "it is another one");
    demand(!broker.counters().empty(), "nothing is counted");
    demand(broker.kick("one", true, patience) && !broker.kick("nobody", false, patience), "one was there");
    const ringmq::event event = next_event(client, RINGMQ_EVENT_DISCONNECTED);
    demand(event.reason_code() == 0x98 && event.retry() && !event.text().empty(), "it is told why");
    broker.advance_clock(61s, false, patience);
    demand(broker.retained("#", patience).empty(), "the retained message has expired");
    broker.publish("kept", "1", at(0, true));
    broker.reload(config);
    broker.reset(patience);
    demand(broker.retained("#", patience).empty(), "a broker that was reset retains nothing");
}

// A client over TLS and WebSocket, with all that it says of itself, and what becomes of its will.
void secure_client(const ringmq::broker &broker, const std::string &folder) {
    const ringmq::subscription wills = broker.subscribe("will");
    ringmq::client_options options(broker.urls().at(1));
    options.set("ca_file", folder + "/ca.pem").set("username", "anna").password("secret");
    options.set("reconnect", "false").will("will", ringmq::shared_payload("gone"), at(1)).will("will", "gone", at(1), 0s);
    const ringmq::client client(options);
    client.wait_connected(patience);
    const std::vector<ringmq::session> sessions = broker.sessions();
    demand(sessions.size() == 1 && sessions[0].user_name == "anna" && !client.id().empty(), "it says who it is");
    broker.kick(client.id(), false);
    const std::optional<ringmq::message> will = wills.receive(patience);
    demand(will && will->payload().text() == "gone", "the will is published");
    demand(!next_event(client, RINGMQ_EVENT_DISCONNECTED).retry(), "it connects once");
}

void everything_of_a_broker(const std::string &driver, const std::string &folder) {
    std::ofstream(folder + "/ringmq.toml") << "sys_interval = 0\n";
    ringmq::config config = configure(driver);
    config.file(folder + "/ringmq.toml")
        .set("bind", "tcp://127.0.0.1:0,wss://127.0.0.1:0?certificate=" + folder + "/server.pem&certificate_key=" + folder +
                         "/server.key");
    ringmq::broker first(config);
    const ringmq::broker broker = first.share();
    first = ringmq::broker();
    demand(broker.urls().size() == 2 && broker.port() != 0, "it listens at two places");
    messages(broker);
    payloads_that_are_lent(broker);
    batches(broker);
    filters(broker);
    by_hand(broker);
    adopted(broker);
    clients(broker);
    administer(broker, config);
    secure_client(broker, folder);
    demand(broker.stop() == 0, "nobody was cut off");
    fails(RINGMQ_STOPPED, [&broker] { broker.publish("a", "b"); });
}

ringmq::question next(const ringmq::questions &questions, ringmq_action action) {
    wait_readable(questions.descriptor());
    std::optional<ringmq::question> question = questions.take(patience);
    demand(question && question->action() == action, "the question is another one");
    return std::move(*question);
}

void answer_connect(const ringmq::questions &questions) {
    const ringmq::question question = next(questions, RINGMQ_ACTION_CONNECT);
    demand(question.client_id() == "asked" && question.user_name() == "anna", "it is another client");
    demand(question.password()->text() == "secret" && question.address() && question.topic().empty(), "it says something else");
    question.answer_as("bert");
    demand(next(questions, RINGMQ_ACTION_CONNECTED).user_name() == "bert", "it has the name it was given");
}

void answer_messages(const ringmq::questions &questions, const ringmq::client &client) {
    const ringmq::receipt refused = client.publish("g/1", "refused", at(1));
    next(questions, RINGMQ_ACTION_PUBLISH).answer(true);
    next(questions, RINGMQ_ACTION_MESSAGE).refuse(0x99);
    demand(fails(RINGMQ_REFUSED, [&refused] { refused.wait(patience); }) == 0x99, "it was refused");
    for (int round = 0; round < 2; round++) {
        const ringmq::receipt rewritten = client.publish("g/1", "original", at(1));
        const ringmq::question question = next(questions, RINGMQ_ACTION_MESSAGE);
        demand(question.message().payload().text() == "original" && !question.is_will(), "it is another message");
        if (round == 0)
            question.rewrite("g/2", "rewritten");
        else
            question.rewrite("g/2", ringmq::shared_payload("rewritten"), at(0, false));
        demand(rewritten.wait(patience) == 0, "it was taken");
    }
}

void ask(const std::string &driver) {
    const ringmq::questions questions(
        RINGMQ_ASK_CONNECT | RINGMQ_ASK_ACCESS | RINGMQ_ASK_MESSAGE | RINGMQ_TELL_CONNECTED | RINGMQ_TELL_DISCONNECTED, 60s);
    demand(!questions.take(0ms), "nobody has asked");
    ringmq::config config = configure(driver);
    const ringmq::broker broker(config.ask(questions));
    const ringmq::subscription subscription = broker.subscribe("g/2");
    ringmq::client_options options(broker.urls().at(0));
    options.set("client_id", "asked").set("username", "anna").password("secret");
    const ringmq::client client(options);
    answer_connect(questions);
    client.wait_connected(patience);
    answer_messages(questions, client);
    for (int round = 0; round < 2; round++)
        demand(subscription.receive(patience)->payload().text() == "rewritten", "it was not rewritten");
    std::thread denying([&questions] { next(questions, RINGMQ_ACTION_SUBSCRIBE).answer(false); });
    const std::vector<std::uint8_t> granted = client.subscribe("g/#");
    denying.join();
    demand(granted == std::vector<std::uint8_t>{0x87}, "it is not allowed to");
    client.disconnect(patience);
    demand(next(questions, RINGMQ_ACTION_DISCONNECTED).reason_code() == 0, "it has said goodbye");
    demand(questions.missed() == 0, "all were told");
    broker.stop();
    fails(RINGMQ_STOPPED, [&questions] { static_cast<void>(questions.take()); });
}

void fail(const std::string &driver) {
    const ringmq::faults faults;
    ringmq::fault fault;
    fault.kind = RINGMQ_FAULT_REFUSE;
    fault.client_id = "unlucky";
    fault.reason_code = 0x89;
    faults.add(fault);
    ringmq::config config = configure(driver);
    const ringmq::broker broker(config.fail(faults));
    ringmq::client_options options(broker.urls().at(0));
    options.set("client_id", "unlucky").set("reconnect", "false");
    const ringmq::client refused(options);
    demand(fails(RINGMQ_REFUSED, [&refused] { refused.wait_connected(patience); }) == 0x89, "the broker is busy");
    faults.clear();
    ringmq::client(options).wait_connected(patience);
}

void log(const std::string &driver) {
    std::atomic<int> lines{0};
    {
        const ringmq::log log(RINGMQ_LOG_INFO, [&lines](std::uint32_t level, std::string_view line) {
            if (level <= RINGMQ_LOG_INFO && !line.empty())
                lines++;
            throw std::runtime_error("this is dropped");
        });
        fails(RINGMQ_INVALID, [] { const ringmq::log second(RINGMQ_LOG_INFO, nullptr); });
        const ringmq::broker broker(configure(driver));
        ringmq::client(broker.urls().at(0)).wait_connected(patience);
    }
    demand(lines > 1, "nothing was logged");
    fails(RINGMQ_INVALID, [] { const ringmq::log none(99, [](std::uint32_t, std::string_view) {}); });
}

} // namespace

int main(int count, char **arguments) {
    try {
        demand(count == 3, "which driver, and which folder?");
        say_versions();
        bytes_of_all_kinds();
        failures();
        everything_of_a_broker(arguments[1], arguments[2]);
        ask(arguments[1]);
        fail(arguments[1]);
        log(arguments[1]);
        std::cout << "done\n";
        return EXIT_SUCCESS;
    } catch (const std::exception &error) {
        std::cerr << error.what() << '\n';
    }
    return EXIT_FAILURE;
}
