/* Each part of the library once and in order, for what watches memory. The only argument is the driver. */

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ringmq.h>

/* Ten seconds are long for the library, and not for valgrind. */
#define TIMEOUT_MS 10000

static void check(ringmq_status status, ringmq_error **error)
{
    if (status == RINGMQ_OK)
        return;
    fprintf(stderr, "status %d: %s\n", (int)status, ringmq_error_message(error ? *error : NULL));
    exit(EXIT_FAILURE);
}

static void demand(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    exit(EXIT_FAILURE);
}

static ringmq_config *configure(const char *driver, const ringmq_questions *questions, const ringmq_faults *faults)
{
    ringmq_error *error = NULL;
    ringmq_str name = {driver, strlen(driver)};
    ringmq_config *config = ringmq_config_new();
    check(ringmq_config_set(config, RINGMQ_STR("driver"), name, &error), &error);
    check(ringmq_config_add_text(config, RINGMQ_STR("ringmq.conf"), RINGMQ_STR("shards = 2\n"), &error), &error);
    check(ringmq_config_set_questions(config, questions, &error), &error);
    check(ringmq_config_set_faults(config, faults, &error), &error);
    return config;
}

static ringmq_subscription *subscribe(const ringmq_broker *broker)
{
    ringmq_error *error = NULL;
    ringmq_str filters[] = {RINGMQ_STR("a/#"), RINGMQ_STR("b/+")};
    ringmq_subscription *subscription = NULL;
    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    how.filters = filters;
    how.filter_count = 2;
    how.subscription_identifier = 7;
    how.timeout_ms = TIMEOUT_MS;
    check(ringmq_broker_subscribe(broker, &how, &subscription, &error), &error);
    return subscription;
}

static void release(void *owner)
{
    free(owner);
}

/* With properties, retained, and the payload lent. */
static void publish(const ringmq_broker *broker)
{
    ringmq_error *error = NULL;
    ringmq_properties *properties = ringmq_properties_new();
    check(ringmq_properties_add_number(properties, 0x02, 60, &error), &error);
    check(ringmq_properties_add_data(properties, 0x03, RINGMQ_BYTES("text/plain", 10), &error), &error);
    check(ringmq_properties_add_user(properties, RINGMQ_STR("name"), RINGMQ_STR("value"), &error), &error);

    char *payload = malloc(1000);
    demand(payload != NULL, "no memory");
    memset(payload, 'x', 1000);
    ringmq_publish message = RINGMQ_PUBLISH_INIT;
    message.topic = RINGMQ_STR("a/b");
    message.payload = RINGMQ_BYTES(payload, 1000);
    message.qos = 2;
    message.retain = true;
    message.timeout_ms = TIMEOUT_MS;
    message.properties = properties;
    message.release = release;
    message.owner = payload;
    ringmq_published published;
    check(ringmq_broker_publish(broker, &message, &published, &error), &error);
    demand(published.matched == 1 && published.dropped == 0, "one subscription matches");
    ringmq_properties_free(properties);
}

static void receive(const ringmq_subscription *subscription)
{
    ringmq_error *error = NULL;
    const ringmq_message *message = NULL;
    ringmq_message_view view;
    ringmq_str name, value;
    ringmq_bytes type;
    uint32_t number;
    check(ringmq_subscription_receive(subscription, TIMEOUT_MS, &message, &error), &error);
    check(ringmq_message_ref(message), NULL);
    ringmq_message_free(message);
    check(ringmq_message_read(message, &view), NULL);
    demand(view.payload.length == 1000 && view.payload.data[999] == 'x', "the payload is another one");
    check(ringmq_message_number(message, 0x02, &number), NULL);
    check(ringmq_message_data(message, 0x03, &type), NULL);
    demand(type.length == 10 && memcmp(type.data, "text/plain", 10) == 0, "the content type is another one");
    check(ringmq_message_user_property(message, 0, &name, &value), NULL);
    demand(name.length == 4 && value.length == 5, "the user property is another one");
    check(ringmq_message_subscription_identifier(message, 0, &number), NULL);
    demand(number == 7, "the subscription identifier is another one");
    ringmq_message_free(message);
}

static void publish_and_drain_batch(const ringmq_broker *broker, const ringmq_subscription *subscription)
{
    enum { COUNT = 100 };
    ringmq_error *error = NULL;
    ringmq_batch_message messages[COUNT];
    const ringmq_message *taken[30];
    int32_t descriptor = -1;
    ringmq_publish how = RINGMQ_PUBLISH_INIT;
    how.timeout_ms = TIMEOUT_MS;
    for (int index = 0; index < COUNT; index++) {
        messages[index].topic = RINGMQ_STR("b/c");
        messages[index].payload = RINGMQ_BYTES("payload", 7);
    }
    check(ringmq_subscription_descriptor(subscription, &descriptor, &error), &error);
    check(ringmq_broker_publish_batch(broker, messages, COUNT, &how, NULL, &error), &error);
    for (size_t received = 0, count = 0; received < COUNT; received += count) {
        struct pollfd ready = {descriptor, POLLIN, 0};
        demand(poll(&ready, 1, TIMEOUT_MS) == 1, "nothing to drain");
        ringmq_status status = ringmq_subscription_drain(subscription, taken, 30, &count);
        if (status == RINGMQ_TIMEOUT)
            count = 0;
        else
            check(status, NULL);
        ringmq_messages_free(taken, count);
    }
}

static void acknowledge(const ringmq_broker *broker)
{
    ringmq_error *error = NULL;
    ringmq_str filter = RINGMQ_STR("hand/#");
    ringmq_subscription *subscription = NULL;
    const ringmq_message *first = NULL, *second = NULL;
    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    how.filters = &filter;
    how.filter_count = 1;
    how.unacknowledged_max = 1;
    how.timeout_ms = TIMEOUT_MS;
    check(ringmq_broker_subscribe(broker, &how, &subscription, &error), &error);
    ringmq_publish message = RINGMQ_PUBLISH_INIT;
    message.topic = RINGMQ_STR("hand/x");
    message.qos = 1;
    message.timeout_ms = TIMEOUT_MS;
    check(ringmq_broker_publish(broker, &message, NULL, &error), &error);
    check(ringmq_broker_publish(broker, &message, NULL, &error), &error);
    check(ringmq_subscription_receive(subscription, TIMEOUT_MS, &first, &error), &error);
    demand(ringmq_subscription_receive(subscription, 20, &second, NULL) == RINGMQ_TIMEOUT, "it is not acknowledged");
    check(ringmq_subscription_acknowledge(subscription, first), NULL);
    demand(ringmq_subscription_acknowledge(subscription, first) == RINGMQ_ABSENT, "it is acknowledged already");
    check(ringmq_subscription_receive(subscription, TIMEOUT_MS, &second, &error), &error);
    ringmq_message_free(first);
    ringmq_message_free(second);
    ringmq_subscription_free(subscription);
}

/* A client at one end of a socket pair whose other end the broker has. */
static void adopt(const ringmq_broker *broker, const ringmq_questions *questions)
{
    static const unsigned char hello[] = {0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 0};
    static const unsigned char goodbye[] = {0xe0, 0};
    unsigned char answer[4];
    ringmq_error *error = NULL;
    ringmq_question *question = NULL;
    int ends[2];
    demand(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "no socket pair");
    demand(ringmq_broker_adopt(broker, ends[1], 99, NULL) == RINGMQ_INVALID, "there is no listener 99");
    check(ringmq_broker_adopt(broker, ends[1], 0, &error), &error);
    demand(send(ends[0], hello, sizeof hello, 0) == (ssize_t)sizeof hello, "not sent");
    check(ringmq_questions_take(questions, TIMEOUT_MS, &question, &error), &error);
    check(ringmq_question_answer(question, true), NULL);
    ringmq_question_free(question);
    demand(recv(ends[0], answer, sizeof answer, MSG_WAITALL) == (ssize_t)sizeof answer && answer[0] == 0x20,
           "no CONNACK");
    check(ringmq_questions_take(questions, TIMEOUT_MS, &question, &error), &error);
    ringmq_question_free(question);
    /* Its session is over when the broker has closed the other end. */
    demand(send(ends[0], goodbye, sizeof goodbye, 0) == (ssize_t)sizeof goodbye, "not sent");
    demand(recv(ends[0], answer, sizeof answer, 0) == 0, "no end");
    close(ends[0]);
}

static ringmq_client *connect_client(const ringmq_broker *broker, const ringmq_questions *questions)
{
    ringmq_error *error = NULL;
    ringmq_client *client = NULL;
    ringmq_client_options *options = NULL;
    ringmq_question *question = NULL;
    ringmq_question_view view;
    char url[100];
    size_t length = 0;
    check(ringmq_broker_url(broker, 0, url, sizeof url, &length), NULL);
    ringmq_str place = {url, length};
    check(ringmq_client_options_new(place, &options, &error), &error);
    check(ringmq_client_options_set(options, RINGMQ_STR("username"), RINGMQ_STR("anna"), &error), &error);
    check(ringmq_client_options_set(options, RINGMQ_STR("connect_timeout"), RINGMQ_STR("60"), &error), &error);
    check(ringmq_client_options_set_password(options, RINGMQ_BYTES("secret", 6), &error), &error);
    check(ringmq_client_start(options, &client, &error), &error);
    ringmq_client_options_free(options);
    check(ringmq_questions_take(questions, TIMEOUT_MS, &question, &error), &error);
    check(ringmq_question_read(question, &view), NULL);
    demand(view.action == RINGMQ_ACTION_CONNECT && view.password.length == 6, "the question is another one");
    check(ringmq_question_answer_as(question, RINGMQ_STR("bert")), NULL);
    ringmq_question_free(question);
    check(ringmq_client_wait_connected(client, TIMEOUT_MS, &error), &error);
    check(ringmq_questions_take(questions, TIMEOUT_MS, &question, &error), &error);
    ringmq_question_free(question);
    return client;
}

static void use_client(const ringmq_client *client)
{
    ringmq_error *error = NULL;
    ringmq_receipt *receipt = NULL;
    const ringmq_message *message = NULL;
    ringmq_event *event = NULL;
    ringmq_str filter = RINGMQ_STR("c/#");
    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    how.filters = &filter;
    how.filter_count = 1;
    check(ringmq_client_subscribe(client, &how, NULL, &error), &error);
    ringmq_publish publish = RINGMQ_PUBLISH_INIT;
    publish.topic = RINGMQ_STR("c/d");
    publish.payload = RINGMQ_BYTES("payload", 7);
    publish.qos = 2;
    check(ringmq_client_publish(client, &publish, &receipt, &error), &error);
    check(ringmq_receipt_wait(receipt, TIMEOUT_MS, NULL, &error), &error);
    ringmq_receipt_free(receipt);
    check(ringmq_client_receive(client, TIMEOUT_MS, &message, &error), &error);
    ringmq_message_free(message);
    while (ringmq_client_next_event(client, &event) == RINGMQ_OK)
        ringmq_event_free(event);
    check(ringmq_client_unsubscribe(client, &filter, 1, NULL, &error), &error);
    check(ringmq_client_disconnect(client, TIMEOUT_MS, &error), &error);
}

static void on_log(void *user, uint32_t level, ringmq_str line)
{
    (void)level, (void)line;
    atomic_fetch_add((atomic_int *)user, 1);
}

static void on_counter(void *user, ringmq_str name, uint64_t value)
{
    (void)name, (void)value;
    ++*(int *)user;
}

static void on_session(void *user, const ringmq_session *session)
{
    (void)session;
    ++*(int *)user;
}

static void on_message(void *user, const ringmq_message *message)
{
    ringmq_message_free(message);
    ++*(int *)user;
}

static void administer(const ringmq_broker *broker, const ringmq_config *config)
{
    ringmq_error *error = NULL;
    int counters = 0, sessions = 0, retained = 0;
    char url[100];
    check(ringmq_broker_url(broker, 0, url, sizeof url, NULL), NULL);
    check(ringmq_broker_counters(broker, on_counter, &counters, &error), &error);
    check(ringmq_broker_sessions(broker, TIMEOUT_MS, on_session, &sessions, &error), &error);
    check(ringmq_broker_retained(broker, RINGMQ_STR("#"), TIMEOUT_MS, on_message, &retained, &error), &error);
    demand(counters > 0 && sessions == 0 && retained == 1, "the broker counts something else");
    check(ringmq_broker_advance_clock(broker, 61000, false, TIMEOUT_MS, &error), &error);
    retained = 0;
    check(ringmq_broker_retained(broker, RINGMQ_STR("#"), TIMEOUT_MS, on_message, &retained, &error), &error);
    demand(retained == 0, "the retained message has expired");
    check(ringmq_broker_reload(broker, config, &error), &error);
    check(ringmq_broker_reset(broker, TIMEOUT_MS, &error), &error);
    demand(ringmq_broker_kick(broker, RINGMQ_STR("nobody"), true, TIMEOUT_MS, NULL) == RINGMQ_ABSENT, "nobody was there");
}

static void one_round(const char *driver)
{
    ringmq_error *error = NULL;
    ringmq_questions *questions = NULL;
    ringmq_question *question = NULL;
    ringmq_broker *broker = NULL;
    ringmq_faults *faults = ringmq_faults_new();
    ringmq_fault fault = RINGMQ_FAULT_INIT;
    int32_t descriptor = -1;
    fault.client_id = RINGMQ_STR("nobody");
    check(ringmq_faults_add(faults, &fault, &error), &error);
    check(ringmq_questions_new(RINGMQ_ASK_CONNECT | RINGMQ_TELL_CONNECTED, 0, &questions, &error), &error);
    check(ringmq_questions_descriptor(questions, &descriptor, &error), &error);
    ringmq_config *config = configure(driver, questions, faults);
    check(ringmq_broker_start(config, &broker, &error), &error);
    ringmq_subscription *subscription = subscribe(broker);

    publish(broker);
    receive(subscription);
    publish_and_drain_batch(broker, subscription);
    acknowledge(broker);
    adopt(broker, questions);
    administer(broker, config);
    ringmq_client *client = connect_client(broker, questions);
    use_client(client);
    ringmq_client_free(client);
    while (ringmq_questions_take(questions, 0, &question, NULL) == RINGMQ_OK)
        ringmq_question_free(question);
    demand(ringmq_questions_take(questions, 0, &question, &error) == RINGMQ_TIMEOUT, "nobody connected");
    ringmq_error_free(error);

    check(ringmq_broker_stop(broker, NULL, NULL), NULL);
    demand(ringmq_questions_take(questions, -1, &question, NULL) == RINGMQ_STOPPED, "questions end with their broker");
    ringmq_broker_free(broker);
    ringmq_subscription_free(subscription);
    ringmq_config_free(config);
    ringmq_questions_free(questions);
    ringmq_faults_free(faults);
}

int main(int count, char **arguments)
{
    demand(count == 2, "which driver?");
    ringmq_error *error = NULL;
    atomic_int lines = 0;
    check(ringmq_log_set(RINGMQ_LOG_INFO, on_log, &lines, &error), &error);
    for (int round = 0; round < 3; round++)
        one_round(arguments[1]);
    check(ringmq_log_set(RINGMQ_LOG_INFO, NULL, NULL, &error), &error);
    demand(lines > 0, "nothing was logged");
    printf("done\n");
    return EXIT_SUCCESS;
}
