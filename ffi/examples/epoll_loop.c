/* Messages in the event loop of a program: the subscription's descriptor among others, and batches taken out. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/epoll.h>
#include <unistd.h>

#include <ringmq.h>

#define MESSAGES 1000
#define TAKEN_MAX 64

/* Says what went wrong and ends the program. */
static void check(ringmq_status status, ringmq_error **error)
{
    if (status == RINGMQ_OK)
        return;
    ringmq_str name = ringmq_status_name(status);
    fprintf(stderr, "%.*s: %s\n", (int)name.length, name.data, ringmq_error_message(error ? *error : NULL));
    exit(EXIT_FAILURE);
}

static void check_system(int outcome, const char *what)
{
    if (outcome >= 0)
        return;
    perror(what);
    exit(EXIT_FAILURE);
}

/* Takes what is there; how many those were. One call may leave some: then the descriptor is readable again. */
static size_t drain(const ringmq_subscription *subscription)
{
    const ringmq_message *taken[TAKEN_MAX];
    size_t count = 0;
    ringmq_status status = ringmq_subscription_drain(subscription, taken, TAKEN_MAX, &count);
    if (status == RINGMQ_TIMEOUT)
        return 0;
    check(status, NULL);
    for (size_t index = 0; index < count; index++) {
        ringmq_message_view view;
        check(ringmq_message_read(taken[index], &view), NULL);
        if (view.payload.length != 4)
            fprintf(stderr, "a strange message on %.*s\n", (int)view.topic.length, view.topic.data);
    }
    ringmq_messages_free(taken, count);
    return count;
}

static void publish_batch(const ringmq_broker *broker)
{
    static ringmq_batch_message messages[MESSAGES];
    ringmq_publish how = RINGMQ_PUBLISH_INIT;
    ringmq_error *error = NULL;
    for (size_t index = 0; index < MESSAGES; index++) {
        messages[index].topic = RINGMQ_STR("meter/1");
        messages[index].payload = RINGMQ_BYTES("21.5", 4);
    }
    check(ringmq_broker_publish_batch(broker, messages, MESSAGES, &how, NULL, &error), &error);
}

int main(void)
{
    ringmq_error *error = NULL;
    ringmq_broker *broker = NULL;
    ringmq_config *config = ringmq_config_new();
    check(ringmq_broker_start(config, &broker, &error), &error);
    ringmq_config_free(config);

    ringmq_str filter = RINGMQ_STR("meter/+");
    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    ringmq_subscription *subscription = NULL;
    how.filters = &filter;
    how.filter_count = 1;
    how.queue_max = MESSAGES;
    check(ringmq_broker_subscribe(broker, &how, &subscription, &error), &error);

    struct epoll_event event = {EPOLLIN, {NULL}};
    int32_t descriptor = -1;
    int loop = epoll_create1(EPOLL_CLOEXEC);
    check_system(loop, "epoll_create1");
    check(ringmq_subscription_descriptor(subscription, &descriptor, &error), &error);
    check_system(epoll_ctl(loop, EPOLL_CTL_ADD, descriptor, &event), "epoll_ctl");

    publish_batch(broker);
    size_t received = 0;
    while (received < MESSAGES) {
        int ready = epoll_wait(loop, &event, 1, 5000);
        if (ready < 0 && errno == EINTR)
            continue;
        check_system(ready, "epoll_wait");
        if (ready == 0) {
            fprintf(stderr, "nothing came for 5 seconds\n");
            return EXIT_FAILURE;
        }
        received += drain(subscription);
    }
    printf("received %zu\n", received);

    close(loop);
    ringmq_subscription_free(subscription);
    ringmq_broker_free(broker);
    return EXIT_SUCCESS;
}
