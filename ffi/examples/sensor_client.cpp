// A client that publishes readings and waits until the server has them. The only argument is the server's URL; without one
// it starts a broker for itself.

#include <cstdlib>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>

#include <ringmq.hpp>

namespace {

constexpr int readings = 5;
constexpr std::chrono::seconds patience{5};

// A client whose end the server tells to others, by its will.
ringmq::client connect(const std::string &url) {
    ringmq::client_options options(url);
    options.set("client_id", "sensor-1").will("sensor/1/state", "lost");
    ringmq::client client(options);
    client.wait_connected(patience);
    return client;
}

// Does not wait: the receipt of publish() would, and here flush() does for all.
void send_readings(const ringmq::client &client) {
    ringmq::publish_options at_least_once;
    at_least_once.qos = 1;
    for (int reading = 0; reading < readings; reading++)
        client.send("sensor/1", std::to_string(reading) + ".5", at_least_once);
    client.flush(patience);
    std::cout << "published " << readings << '\n';
}

void run(const std::string &url) {
    const ringmq::client client = connect(url);
    if (client.subscribe("sensor/+").at(0) >= 0x80)
        throw std::runtime_error("the server refused the filter");
    send_readings(client);
    for (int reading = 0; reading < readings; reading++) {
        const auto message = client.receive(patience);
        if (!message)
            throw std::runtime_error("nothing came in time");
        std::cout << message->topic() << ": " << message->payload().text() << '\n';
    }
    client.disconnect(patience);
}

} // namespace

int main(int count, char **arguments) {
    try {
        std::optional<ringmq::broker> broker;
        if (count < 2)
            broker.emplace();
        run(count < 2 ? broker->urls().at(0) : arguments[1]);
        return EXIT_SUCCESS;
    } catch (const ringmq::error &error) {
        std::cerr << error.what() << " (" << ringmq::status_name(error.status()) << ")\n";
    } catch (const std::exception &error) {
        std::cerr << error.what() << '\n';
    }
    return EXIT_FAILURE;
}
