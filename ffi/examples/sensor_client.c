/* A client that publishes readings and waits until the server has them. The only argument is the server's URL; without one
 * it starts a broker for itself. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ringmq.h>

#define READINGS 5

/* Says what went wrong and ends the program. */
static void check(ringmq_status status, ringmq_error **error)
{
    if (status == RINGMQ_OK)
        return;
    ringmq_str name = ringmq_status_name(status);
    fprintf(stderr, "%.*s: %s\n", (int)name.length, name.data, ringmq_error_message(error ? *error : NULL));
    exit(EXIT_FAILURE);
}

static ringmq_broker *start_broker(char *url, size_t capacity)
{
    ringmq_error *error = NULL;
    ringmq_broker *broker = NULL;
    ringmq_config *config = ringmq_config_new();
    check(ringmq_broker_start(config, &broker, &error), &error);
    ringmq_config_free(config);
    check(ringmq_broker_url(broker, 0, url, capacity, NULL), NULL);
    return broker;
}

/* A client whose end the server tells to others, by its will. */
static ringmq_client *start_client(const char *url)
{
    ringmq_error *error = NULL;
    ringmq_client *client = NULL;
    ringmq_client_options *options = NULL;
    ringmq_str place = {url, strlen(url)};
    check(ringmq_client_options_new(place, &options, &error), &error);
    check(ringmq_client_options_set(options, RINGMQ_STR("client_id"), RINGMQ_STR("sensor-1"), &error), &error);
    ringmq_publish will = RINGMQ_PUBLISH_INIT;
    will.topic = RINGMQ_STR("sensor/1/state");
    will.payload = RINGMQ_BYTES("lost", 4);
    check(ringmq_client_options_set_will(options, &will, 0, &error), &error);
    check(ringmq_client_start(options, &client, &error), &error);
    ringmq_client_options_free(options);
    check(ringmq_client_wait_connected(client, 5000, &error), &error);
    return client;
}

/* Does not wait: a receipt would, and here the flush does for all. */
static void publish(const ringmq_client *client, int reading)
{
    ringmq_error *error = NULL;
    char text[20];
    int length = snprintf(text, sizeof text, "%d.5", reading);
    ringmq_publish message = RINGMQ_PUBLISH_INIT;
    message.topic = RINGMQ_STR("sensor/1");
    message.payload = RINGMQ_BYTES(text, (size_t)length);
    message.qos = 1;
    check(ringmq_client_publish(client, &message, NULL, &error), &error);
}

int main(int count, char **arguments)
{
    ringmq_error *error = NULL;
    ringmq_broker *broker = NULL;
    char own[256];
    if (count < 2)
        broker = start_broker(own, sizeof own);
    ringmq_client *client = start_client(count < 2 ? own : arguments[1]);

    ringmq_str filter = RINGMQ_STR("sensor/+");
    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    uint8_t granted = 0;
    how.filters = &filter;
    how.filter_count = 1;
    how.qos = 1;
    check(ringmq_client_subscribe(client, &how, &granted, &error), &error);
    if (granted >= 0x80) {
        fprintf(stderr, "the server refused the filter: 0x%02x\n", granted);
        return EXIT_FAILURE;
    }

    for (int reading = 0; reading < READINGS; reading++)
        publish(client, reading);
    check(ringmq_client_flush(client, 5000, &error), &error);
    printf("published %d\n", READINGS);

    for (int reading = 0; reading < READINGS; reading++) {
        const ringmq_message *message = NULL;
        ringmq_message_view view;
        check(ringmq_client_receive(client, 5000, &message, &error), &error);
        check(ringmq_message_read(message, &view), NULL);
        printf("%.*s: %.*s\n", (int)view.topic.length, view.topic.data, (int)view.payload.length,
               (const char *)view.payload.data);
        ringmq_message_free(message);
    }

    check(ringmq_client_disconnect(client, 5000, &error), &error);
    ringmq_client_free(client);
    ringmq_broker_free(broker);
    return EXIT_SUCCESS;
}
