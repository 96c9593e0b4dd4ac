/* Starts and stops brokers, and subscribes and publishes, again and again: descriptors and threads are as before. */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include <ringmq.h>

static void check(ringmq_status status, ringmq_error **error)
{
    if (status == RINGMQ_OK)
        return;
    fprintf(stderr, "status %d: %s\n", (int)status, ringmq_error_message(error ? *error : NULL));
    exit(EXIT_FAILURE);
}

static int entries(const char *folder)
{
    int count = 0;
    DIR *opened = opendir(folder);
    if (opened == NULL)
        exit(EXIT_FAILURE);
    while (readdir(opened) != NULL)
        count++;
    closedir(opened);
    return count;
}

static void say(const char *when)
{
    printf("%s: %d descriptors, %d threads\n", when, entries("/proc/self/fd"), entries("/proc/self/task"));
}

static ringmq_broker *start(void)
{
    ringmq_error *error = NULL;
    ringmq_broker *broker = NULL;
    ringmq_config *config = ringmq_config_new();
    check(ringmq_broker_start(config, &broker, &error), &error);
    ringmq_config_free(config);
    return broker;
}

static void publish_and_receive(const ringmq_broker *broker)
{
    ringmq_error *error = NULL;
    ringmq_str filter = RINGMQ_STR("a/#");
    ringmq_subscription *subscription = NULL;
    const ringmq_message *message = NULL;
    int32_t descriptor = -1;
    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    how.filters = &filter;
    how.filter_count = 1;
    check(ringmq_broker_subscribe(broker, &how, &subscription, &error), &error);
    check(ringmq_subscription_descriptor(subscription, &descriptor, &error), &error);
    ringmq_publish publish = RINGMQ_PUBLISH_INIT;
    publish.topic = RINGMQ_STR("a/b");
    check(ringmq_broker_publish(broker, &publish, NULL, &error), &error);
    check(ringmq_subscription_receive(subscription, 5000, &message, &error), &error);
    ringmq_message_free(message);
    ringmq_subscription_free(subscription);
}

int main(int count, char **arguments)
{
    int rounds = count > 1 ? atoi(arguments[1]) : 10;
    ringmq_broker *broker = start();
    publish_and_receive(broker);
    /* What one that has stopped leaves for the next one to use, for ten seconds, counts as there before. */
    ringmq_broker_free(start());
    say("before");
    for (int round = 0; round < rounds; round++)
        ringmq_broker_free(start());
    say("after the brokers");
    for (int round = 0; round < rounds; round++)
        publish_and_receive(broker);
    say("after the subscriptions");
    ringmq_broker_free(broker);
    return EXIT_SUCCESS;
}
