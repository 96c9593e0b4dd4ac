/* Starts and stops brokers, subscribes and publishes, and connects clients, again and again: descriptors, threads and
 * memory are as before. The arguments are how often, and the driver. */

#define _POSIX_C_SOURCE 200809L

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ringmq.h>

#define TIMEOUT_MS 10000
/* Rounds before the first look: tables have their size then, and what is kept for the next one to use is there. */
#define WARM_UP 50

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

static long resident_kib(void)
{
    long pages = 0;
    FILE *opened = fopen("/proc/self/statm", "r");
    if (opened == NULL || fscanf(opened, "%*d %ld", &pages) != 1)
        exit(EXIT_FAILURE);
    fclose(opened);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

typedef struct {
    int descriptors, threads;
    size_t bytes;
} figures;

static figures look(void)
{
    struct mallinfo2 memory = mallinfo2();
    return (figures){entries("/proc/self/fd"), entries("/proc/self/task"), memory.uordblks + memory.hblkhd};
}

/* A broker closes its end of a connection some time after the client has gone: the figures count when they have been the
 * same for a while, or after five seconds as they are. */
static figures settled(void)
{
    const struct timespec pause = {0, 10 * 1000 * 1000};
    figures last = look();
    for (int looks = 0, same = 0; looks < 500 && same < 10; looks++) {
        nanosleep(&pause, NULL);
        figures now = look();
        bool steady = now.descriptors == last.descriptors && now.threads == last.threads && now.bytes == last.bytes;
        same = steady ? same + 1 : 0;
        last = now;
    }
    return last;
}

static void say(const char *what, const char *when)
{
    figures found = settled();
    printf("%s, %s: %d descriptors, %d threads, %zu bytes, %ld KiB resident\n", what, when, found.descriptors,
           found.threads, found.bytes, resident_kib());
}

static ringmq_broker *start(const char *driver)
{
    ringmq_error *error = NULL;
    ringmq_broker *broker = NULL;
    ringmq_str name = {driver, strlen(driver)};
    ringmq_config *config = ringmq_config_new();
    check(ringmq_config_set(config, RINGMQ_STR("driver"), name, &error), &error);
    /* What a broker says about itself is kept, from ten seconds after its start on. */
    check(ringmq_config_set(config, RINGMQ_STR("sys_interval"), RINGMQ_STR("0"), &error), &error);
    check(ringmq_broker_start(config, &broker, &error), &error);
    ringmq_config_free(config);
    return broker;
}

static void start_and_stop(const ringmq_broker *broker, const char *driver)
{
    (void)broker;
    ringmq_broker_free(start(driver));
}

static const ringmq_str FILTER = {"a/#", 3};

static ringmq_subscribe subscribe_to_all(void)
{
    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    how.filters = &FILTER;
    how.filter_count = 1;
    how.timeout_ms = TIMEOUT_MS;
    return how;
}

static ringmq_publish message_of(uint8_t qos)
{
    ringmq_publish message = RINGMQ_PUBLISH_INIT;
    message.topic = RINGMQ_STR("a/b");
    message.payload = RINGMQ_BYTES("payload", 7);
    message.qos = qos;
    message.timeout_ms = TIMEOUT_MS;
    return message;
}

static void publish_and_receive(const ringmq_broker *broker, const char *driver)
{
    (void)driver;
    ringmq_error *error = NULL;
    ringmq_subscription *subscription = NULL;
    const ringmq_message *received = NULL;
    int32_t descriptor = -1;
    ringmq_subscribe how = subscribe_to_all();
    ringmq_publish message = message_of(0);
    check(ringmq_broker_subscribe(broker, &how, &subscription, &error), &error);
    check(ringmq_subscription_descriptor(subscription, &descriptor, &error), &error);
    check(ringmq_broker_publish(broker, &message, NULL, &error), &error);
    check(ringmq_subscription_receive(subscription, TIMEOUT_MS, &received, &error), &error);
    ringmq_message_free(received);
    ringmq_subscription_free(subscription);
}

static ringmq_client *connect_client(const ringmq_broker *broker)
{
    ringmq_error *error = NULL;
    ringmq_client_options *options = NULL;
    ringmq_client *client = NULL;
    char url[100];
    size_t length = 0;
    check(ringmq_broker_url(broker, 0, url, sizeof url, &length), NULL);
    ringmq_str place = {url, length};
    check(ringmq_client_options_new(place, &options, &error), &error);
    check(ringmq_client_start(options, &client, &error), &error);
    ringmq_client_options_free(options);
    check(ringmq_client_wait_connected(client, TIMEOUT_MS, &error), &error);
    return client;
}

static void connect_and_disconnect(const ringmq_broker *broker, const char *driver)
{
    (void)driver;
    ringmq_error *error = NULL;
    const ringmq_message *received = NULL;
    ringmq_receipt *receipt = NULL;
    ringmq_event *event = NULL;
    int32_t descriptor = -1;
    ringmq_subscribe how = subscribe_to_all();
    ringmq_publish message = message_of(1);
    ringmq_client *client = connect_client(broker);
    check(ringmq_client_descriptor(client, &descriptor, &error), &error);
    check(ringmq_client_subscribe(client, &how, NULL, &error), &error);
    check(ringmq_client_publish(client, &message, &receipt, &error), &error);
    check(ringmq_receipt_wait(receipt, TIMEOUT_MS, NULL, &error), &error);
    ringmq_receipt_free(receipt);
    check(ringmq_client_receive(client, TIMEOUT_MS, &received, &error), &error);
    ringmq_message_free(received);
    while (ringmq_client_next_event(client, &event) == RINGMQ_OK)
        ringmq_event_free(event);
    check(ringmq_client_disconnect(client, TIMEOUT_MS, &error), &error);
    ringmq_client_free(client);
}

static void repeat(const char *what, void (*work)(const ringmq_broker *, const char *), const ringmq_broker *broker,
                   const char *driver, int rounds)
{
    for (int round = 0; round < WARM_UP; round++)
        work(broker, driver);
    say(what, "before");
    for (int round = 0; round < rounds; round++)
        work(broker, driver);
    say(what, "after");
}

int main(int count, char **arguments)
{
    int rounds = count > 1 ? atoi(arguments[1]) : 10;
    const char *driver = count > 2 ? arguments[2] : "auto";
    /* A buffer would be memory that comes with the first line. */
    setbuf(stdout, NULL);
    ringmq_broker *broker = start(driver);
    repeat("brokers", start_and_stop, NULL, driver, rounds);
    repeat("subscriptions", publish_and_receive, broker, driver, rounds);
    repeat("clients", connect_and_disconnect, broker, driver, rounds);
    ringmq_broker_free(broker);
    return EXIT_SUCCESS;
}
