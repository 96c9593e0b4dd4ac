/* A broker inside a program, which publishes to itself. Other clients can reach it at the address that is printed. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <ringmq.h>

/* Says what went wrong and ends the program. */
static void check(ringmq_status status, ringmq_error **error)
{
    if (status == RINGMQ_OK)
        return;
    ringmq_str name = ringmq_status_name(status);
    fprintf(stderr, "%.*s: %s\n", (int)name.length, name.data, ringmq_error_message(error ? *error : NULL));
    exit(EXIT_FAILURE);
}

static ringmq_broker *start(void)
{
    ringmq_error *error = NULL;
    ringmq_broker *broker = NULL;
    ringmq_config *config = ringmq_config_new();
    check(ringmq_config_set(config, RINGMQ_STR("connections_max"), RINGMQ_STR("100"), &error), &error);
    check(ringmq_broker_start(config, &broker, &error), &error);
    ringmq_config_free(config);
    return broker;
}

static void publish(const ringmq_broker *broker, ringmq_str topic, const char *text, size_t length)
{
    ringmq_error *error = NULL;
    ringmq_published published = {0, 0};
    ringmq_publish message = RINGMQ_PUBLISH_INIT;
    message.topic = topic;
    message.payload = RINGMQ_BYTES(text, length);
    message.qos = 1;
    check(ringmq_broker_publish(broker, &message, &published, &error), &error);
    printf("published to %" PRIu32 "\n", published.matched);
}

static void receive(const ringmq_subscription *subscription)
{
    ringmq_error *error = NULL;
    const ringmq_message *message = NULL;
    ringmq_message_view view;
    check(ringmq_subscription_receive(subscription, 5000, &message, &error), &error);
    check(ringmq_message_read(message, &view), NULL);
    printf("%.*s: %.*s\n", (int)view.topic.length, view.topic.data, (int)view.payload.length,
           (const char *)view.payload.data);
    ringmq_message_free(message);
}

int main(void)
{
    ringmq_error *error = NULL;
    ringmq_broker *broker = start();
    char url[256];
    check(ringmq_broker_url(broker, 0, url, sizeof url, NULL), NULL);
    printf("listening on %s\n", url);

    ringmq_str filter = RINGMQ_STR("home/#");
    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    ringmq_subscription *subscription = NULL;
    how.filters = &filter;
    how.filter_count = 1;
    check(ringmq_broker_subscribe(broker, &how, &subscription, &error), &error);

    publish(broker, RINGMQ_STR("home/kitchen"), "21.5", 4);
    receive(subscription);

    uint64_t left = 0;
    ringmq_subscription_free(subscription);
    check(ringmq_broker_stop(broker, &left, &error), &error);
    ringmq_broker_free(broker);
    printf("stopped, %" PRIu64 " clients cut off\n", left);
    return EXIT_SUCCESS;
}
