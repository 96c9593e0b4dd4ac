/* What the sanitizers are there to find, done on purpose: that they find it shows that they look. */

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ringmq.h>

static void check(ringmq_status status)
{
    if (status != RINGMQ_OK)
        exit(EXIT_SUCCESS);
}

static ringmq_broker *start(void)
{
    ringmq_broker *broker = NULL;
    ringmq_config *config = ringmq_config_new();
    check(ringmq_broker_start(config, &broker, NULL));
    ringmq_config_free(config);
    return broker;
}

/* An object that the program does not give back. */
static void lose(void)
{
    ringmq_config_new();
}

/* Two filters are said to be where one is: our own crate reads the second. */
static void tell_more_filters_than_there_are(const ringmq_broker *broker)
{
    ringmq_subscription *subscription = NULL;
    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    ringmq_str *filter = malloc(sizeof *filter);
    *filter = RINGMQ_STR("a");
    how.filters = filter;
    how.filter_count = 2;
    check(ringmq_broker_subscribe(broker, &how, &subscription, NULL));
    free(filter);
}

static void *write_topic(void *topic)
{
    memcpy(topic, "c/d", 3);
    return NULL;
}

/* A topic changes while a call reads it. */
static void write_while_it_is_read(const ringmq_broker *broker)
{
    static char topic[] = "a/b";
    pthread_t thread;
    ringmq_publish message = RINGMQ_PUBLISH_INIT;
    message.topic.data = topic;
    message.topic.length = 3;
    if (pthread_create(&thread, NULL, write_topic, topic) != 0)
        exit(EXIT_SUCCESS);
    check(ringmq_broker_publish(broker, &message, NULL, NULL));
    pthread_join(thread, NULL);
}

int main(int count, char **arguments)
{
    ringmq_broker *broker = start();
    const char *what = count > 1 ? arguments[1] : "";
    if (strcmp(what, "leak") == 0)
        lose();
    else if (strcmp(what, "overflow") == 0)
        tell_more_filters_than_there_are(broker);
    else if (strcmp(what, "race") == 0)
        write_while_it_is_read(broker);
    ringmq_broker_free(broker);
    printf("nothing was found\n");
    return EXIT_SUCCESS;
}
