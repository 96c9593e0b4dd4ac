/* What a message costs inside a process: from ringmq_broker_publish or ringmq_broker_publish_batch to a subscription that
 * another thread drains.
 *
 *     in_process MESSAGES BYTES BATCH DRIVER
 *
 * BATCH 0 publishes one by one. Prints messages, seconds, and the CPU seconds of the whole process. The exit code is 1 when
 * a message was lost. */
#include <poll.h>
#include <pthread.h>
#include <ringmq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define CHECK(call)                                                                                           \
    do {                                                                                                      \
        if ((call) != RINGMQ_OK) {                                                                            \
            fprintf(stderr, "%s: %s\n", #call, ringmq_error_message(failure));                                \
            exit(1);                                                                                          \
        }                                                                                                     \
    } while (0)

#define DRAIN 1024

struct reader {
    const ringmq_subscription *subscription;
    size_t wanted;
    size_t received;
};

static void *drain(void *argument) {
    struct reader *reader = argument;
    ringmq_error *failure = NULL;
    const ringmq_message *messages[DRAIN];
    struct pollfd readable = {-1, POLLIN, 0};
    CHECK(ringmq_subscription_descriptor(reader->subscription, &readable.fd, &failure));
    while (reader->received < reader->wanted) {
        size_t count = 0;
        ringmq_status status = ringmq_subscription_drain(reader->subscription, messages, DRAIN, &count);
        if (status == RINGMQ_OK) {
            reader->received += count;
            ringmq_messages_free(messages, count);
        } else if (status != RINGMQ_TIMEOUT || poll(&readable, 1, 20000) != 1) {
            break;
        }
    }
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 5) {
        fprintf(stderr, "in_process MESSAGES BYTES BATCH DRIVER\n");
        return 2;
    }
    size_t messages = strtoul(arguments[1], NULL, 10), bytes = strtoul(arguments[2], NULL, 10);
    size_t batch = strtoul(arguments[3], NULL, 10);
    ringmq_error *failure = NULL;
    ringmq_config *config = ringmq_config_new();
    CHECK(ringmq_config_set(config, RINGMQ_STR("driver"), (ringmq_str){arguments[4], strlen(arguments[4])}, &failure));
    ringmq_broker *broker = NULL;
    CHECK(ringmq_broker_start(config, &broker, &failure));
    ringmq_subscription *subscription = NULL;
    ringmq_str filter = RINGMQ_STR("bench/#");
    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    how.filters = &filter;
    how.filter_count = 1;
    how.queue_max = 100000;
    CHECK(ringmq_broker_subscribe(broker, &how, &subscription, &failure));
    char *payload = calloc(1, bytes + 1);
    struct reader reader = {subscription, messages, 0};
    pthread_t thread;
    pthread_create(&thread, NULL, drain, &reader);

    ringmq_publish message = RINGMQ_PUBLISH_INIT;
    message.topic = RINGMQ_STR("bench/topic");
    message.payload = RINGMQ_BYTES(payload, bytes);
    message.qos = 1;
    message.timeout_ms = 20000;
    ringmq_batch_message *block = calloc(batch + 1, sizeof *block);
    for (size_t index = 0; index < batch; index++) {
        block[index] = (ringmq_batch_message){message.topic, message.payload};
    }
    double began = wall_seconds(), cpu = cpu_seconds();
    for (size_t sent = 0; sent < messages;) {
        if (batch == 0) {
            CHECK(ringmq_broker_publish(broker, &message, NULL, &failure));
            sent++;
        } else {
            size_t some = messages - sent < batch ? messages - sent : batch;
            CHECK(ringmq_broker_publish_batch(broker, block, some, &message, NULL, &failure));
            sent += some;
        }
    }
    pthread_join(thread, NULL);
    printf("%zu %.6f %.6f\n", reader.received, wall_seconds() - began, cpu_seconds() - cpu);
    ringmq_subscription_free(subscription);
    ringmq_broker_free(broker);
    ringmq_config_free(config);
    free(payload);
    free(block);
    return reader.received == messages ? 0 : 1;
}
