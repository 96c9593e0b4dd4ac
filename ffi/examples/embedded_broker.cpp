// A broker inside a C++ program, which publishes to itself.

#include <cstdlib>
#include <iostream>
#include <utility>

#include <ringmq.hpp>

int main() {
    try {
        const ringmq::broker broker(ringmq::config().set("connections_max", "100"));
        std::cout << "listening on " << broker.urls().at(0) << '\n';

        const auto subscription = broker.subscribe({"home/#"});
        const auto properties = std::move(ringmq::properties().user("room", "kitchen"));
        ringmq::publish_options options;
        options.qos = 1;
        options.properties = &properties;
        std::cout << "published to " << broker.publish("home/kitchen", "21.5", options).matched << '\n';

        const auto message = subscription.receive(std::chrono::seconds(5));
        if (!message)
            throw std::runtime_error("nothing came in time");
        std::cout << message->topic() << ": " << message->payload().text() << '\n';
        for (const auto &[name, value] : message->user_properties())
            std::cout << name << " = " << value << '\n';

        std::cout << "stopped, " << broker.stop() << " clients cut off\n";
        return EXIT_SUCCESS;
    } catch (const ringmq::error &error) {
        std::cerr << error.what() << " (status " << error.status() << ")\n";
    } catch (const std::exception &error) {
        std::cerr << error.what() << '\n';
    }
    return EXIT_FAILURE;
}
