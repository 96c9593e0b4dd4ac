/* A broker inside a program, for the clients of others: says its port, then every message that it is told by itself. A line
 * "TOPIC=PAYLOAD" on the standard input is published, as the topic's retained message. It stops at the input's end. */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ringmq.h>

static void check(ringmq_status status, ringmq_error *error)
{
    if (status == RINGMQ_OK)
        return;
    fprintf(stderr, "status %d: %s\n", (int)status, ringmq_error_message(error));
    exit(EXIT_FAILURE);
}

static ringmq_broker *start(void)
{
    ringmq_error *error = NULL;
    ringmq_broker *broker = NULL;
    ringmq_config *config = ringmq_config_new();
    check(ringmq_broker_start(config, &broker, &error), error);
    ringmq_config_free(config);
    return broker;
}

static ringmq_subscription *subscribe(const ringmq_broker *broker)
{
    ringmq_error *error = NULL;
    ringmq_subscription *subscription = NULL;
    ringmq_str all = RINGMQ_STR("#");
    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    how.filters = &all;
    how.filter_count = 1;
    check(ringmq_broker_subscribe(broker, &how, &subscription, &error), error);
    return subscription;
}

static void tell(const ringmq_subscription *subscription)
{
    const ringmq_message *message = NULL;
    size_t count = 0;
    while (ringmq_subscription_drain(subscription, &message, 1, &count) == RINGMQ_OK) {
        ringmq_message_view view;
        check(ringmq_message_read(message, &view), NULL);
        printf("%.*s=%.*s\n", (int)view.topic.length, view.topic.data, (int)view.payload.length,
               (const char *)view.payload.data);
        ringmq_message_free(message);
    }
    fflush(stdout);
}

static void publish(const ringmq_broker *broker, const char *line)
{
    ringmq_error *error = NULL;
    size_t topic = strcspn(line, "=");
    const char *payload = line + topic + (line[topic] == '=');
    ringmq_publish message = RINGMQ_PUBLISH_INIT;
    message.topic.data = line;
    message.topic.length = topic;
    message.payload = RINGMQ_BYTES(payload, strcspn(payload, "\n"));
    message.retain = true;
    check(ringmq_broker_publish(broker, &message, NULL, &error), error);
}

int main(void)
{
    ringmq_error *error = NULL;
    uint16_t port = 0;
    uint64_t left = 0;
    char line[1000];
    ringmq_broker *broker = start();
    ringmq_subscription *subscription = subscribe(broker);
    struct pollfd ready[] = {{STDIN_FILENO, POLLIN, 0}, {-1, POLLIN, 0}};
    check(ringmq_subscription_descriptor(subscription, &ready[1].fd, &error), error);
    check(ringmq_broker_port(broker, &port), NULL);
    printf("%d\n", port);
    fflush(stdout);
    /* Lines must not wait in a buffer of which poll knows nothing. */
    setvbuf(stdin, NULL, _IONBF, 0);
    while (poll(ready, 2, -1) > 0) {
        if (ready[1].revents)
            tell(subscription);
        if (ready[0].revents && fgets(line, sizeof line, stdin) == NULL)
            break;
        if (ready[0].revents)
            publish(broker, line);
    }
    ringmq_subscription_free(subscription);
    check(ringmq_broker_stop(broker, &left, &error), error);
    ringmq_broker_free(broker);
    return left == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
