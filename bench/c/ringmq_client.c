/* libringmq's client: publishes MESSAGES of 16 bytes at QOS to a topic that it subscribes to, in batches.
 *
 *     ringmq_client PORT MESSAGES QOS        prints messages received, seconds, CPU seconds */
#include <poll.h>
#include <pthread.h>
#include <ringmq.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"

#define CHECK(call)                                                                                           \
    do {                                                                                                      \
        if ((call) != RINGMQ_OK) {                                                                            \
            fprintf(stderr, "%s: %s\n", #call, ringmq_error_message(failure));                                \
            exit(1);                                                                                          \
        }                                                                                                     \
    } while (0)

#define BATCH 256

static size_t wanted;
static size_t received;

static void *receive(void *client) {
    const ringmq_message *messages[1024];
    ringmq_error *failure = NULL;
    struct pollfd readable = {-1, POLLIN, 0};
    CHECK(ringmq_client_descriptor(client, &readable.fd, &failure));
    while (received < wanted) {
        size_t count = 0;
        ringmq_status status = ringmq_client_drain(client, messages, 1024, &count);
        if (status == RINGMQ_OK) {
            received += count;
            ringmq_messages_free(messages, count);
        } else if (status != RINGMQ_TIMEOUT || poll(&readable, 1, 20000) != 1) {
            break;
        }
    }
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 4) {
        return 2;
    }
    wanted = strtoul(arguments[2], NULL, 10);
    char url[64];
    size_t length = (size_t)snprintf(url, sizeof url, "mqtt://127.0.0.1:%s", arguments[1]);
    ringmq_error *failure = NULL;
    ringmq_client_options *options = NULL;
    ringmq_client *client = NULL;
    CHECK(ringmq_client_options_new((ringmq_str){url, length}, &options, &failure));
    CHECK(ringmq_client_options_set(options, RINGMQ_STR("inflight_maximum"), RINGMQ_STR("1000"), &failure));
    CHECK(ringmq_client_start(options, &client, &failure));
    CHECK(ringmq_client_wait_connected(client, 10000, &failure));
    ringmq_str filter = RINGMQ_STR("bench");
    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    how.filters = &filter;
    how.filter_count = 1;
    CHECK(ringmq_client_subscribe(client, &how, NULL, &failure));
    pthread_t thread;
    pthread_create(&thread, NULL, receive, client);

    ringmq_publish publish = RINGMQ_PUBLISH_INIT;
    publish.qos = (uint8_t)atoi(arguments[3]);
    publish.timeout_ms = 20000;
    ringmq_batch_message block[BATCH];
    for (size_t index = 0; index < BATCH; index++) {
        block[index] = (ringmq_batch_message){filter, RINGMQ_BYTES("0123456789abcdef", 16)};
    }
    double began = wall_seconds(), cpu = cpu_seconds();
    for (size_t sent = 0; sent < wanted; sent += BATCH) {
        size_t some = wanted - sent < BATCH ? wanted - sent : BATCH;
        CHECK(ringmq_client_publish_batch(client, block, some, &publish, NULL, &failure));
    }
    pthread_join(thread, NULL);
    printf("%zu %.6f %.6f\n", received, wall_seconds() - began, cpu_seconds() - cpu);
    ringmq_client_disconnect(client, 5000, NULL);
    ringmq_client_free(client);
    ringmq_client_options_free(options);
    return received == wanted ? 0 : 1;
}
