/* Every way to hold the library wrong that can be told: each call comes back, with the status that ringmq.h names. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/wait.h>
#include <unistd.h>

#include <ringmq.h>

#define THREADS 8

static atomic_int failures;

static void expect(int line, const char *call, ringmq_status found, ringmq_status wanted)
{
    if (found == wanted)
        return;
    ringmq_str name = ringmq_status_name(found), other = ringmq_status_name(wanted);
    printf("line %d: %s said %.*s, not %.*s\n", line, call, (int)name.length, name.data, (int)other.length, other.data);
    atomic_fetch_add(&failures, 1);
}

#define EXPECT(wanted, call) expect(__LINE__, #call, call, wanted)

static const ringmq_str EMPTY = {NULL, 0};
static const ringmq_str NOWHERE = {NULL, 5};
static const ringmq_bytes NO_BYTES = {NULL, 5};

static void on_counter(void *user, ringmq_str name, uint64_t value) { (void)user, (void)name, (void)value; }
static void on_session(void *user, const ringmq_session *session) { (void)user, (void)session; }
static void on_message(void *user, const ringmq_message *message) { (void)user, ringmq_message_free(message); }
static void on_log(void *user, uint32_t level, ringmq_str line) { (void)user, (void)level, (void)line; }
static void on_release(void *owner) { atomic_fetch_add((atomic_int *)owner, 1); }

static ringmq_broker *start(void)
{
    ringmq_broker *broker = NULL;
    ringmq_config *config = ringmq_config_new();
    EXPECT(RINGMQ_OK, ringmq_broker_start(config, &broker, NULL));
    ringmq_config_free(config);
    if (broker == NULL)
        exit(EXIT_FAILURE);
    return broker;
}

static ringmq_subscription *subscribe(const ringmq_broker *broker)
{
    ringmq_str filter = RINGMQ_STR("a/#");
    ringmq_subscription *subscription = NULL;
    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    how.filters = &filter;
    how.filter_count = 1;
    EXPECT(RINGMQ_OK, ringmq_broker_subscribe(broker, &how, &subscription, NULL));
    return subscription;
}

static ringmq_publish to(ringmq_str topic)
{
    ringmq_publish message = RINGMQ_PUBLISH_INIT;
    message.topic = topic;
    return message;
}

static void null_objects(void)
{
    ringmq_publish message = to(RINGMQ_STR("a/b"));
    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    ringmq_fault fault = RINGMQ_FAULT_INIT;
    ringmq_config *config = ringmq_config_new();
    ringmq_broker *broker = NULL;
    ringmq_subscription *subscription = NULL;
    const ringmq_message *received = NULL;
    ringmq_question *question = NULL;
    ringmq_message_view view;
    ringmq_question_view asked;
    ringmq_str name, value;
    ringmq_bytes bytes;
    char text[8];
    uint16_t port;
    uint32_t number;
    uint64_t many;
    int32_t descriptor;
    size_t count;

    EXPECT(RINGMQ_NULL, ringmq_broker_start(NULL, &broker, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_start(config, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_stop(NULL, &many, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_reload(NULL, config, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_port(NULL, &port));
    EXPECT(RINGMQ_NULL, ringmq_broker_url(NULL, 0, text, sizeof text, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_publish(NULL, &message, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_publish(NULL, NULL, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_publish_batch(NULL, NULL, 1, &message, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_counters(NULL, on_counter, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_sessions(NULL, 0, on_session, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_kick(NULL, EMPTY, false, 0, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_retained(NULL, RINGMQ_STR("#"), 0, on_message, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_reset(NULL, 0, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_advance_clock(NULL, 0, false, 0, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_ref(NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_subscribe(NULL, &how, &subscription, NULL));
    EXPECT(RINGMQ_NULL, ringmq_config_set(NULL, RINGMQ_STR("shards"), RINGMQ_STR("1"), NULL));
    EXPECT(RINGMQ_NULL, ringmq_config_set(config, NOWHERE, RINGMQ_STR("1"), NULL));
    EXPECT(RINGMQ_NULL, ringmq_config_add_text(NULL, EMPTY, EMPTY, NULL));
    EXPECT(RINGMQ_NULL, ringmq_config_add_text(config, EMPTY, NOWHERE, NULL));
    EXPECT(RINGMQ_NULL, ringmq_config_add_file(NULL, EMPTY, NULL));
    EXPECT(RINGMQ_NULL, ringmq_config_set_questions(NULL, NULL, NULL));
    EXPECT(RINGMQ_OK, ringmq_config_set_questions(config, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_config_set_faults(NULL, NULL, NULL));
    EXPECT(RINGMQ_OK, ringmq_config_set_faults(config, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_faults_add(NULL, &fault, NULL));
    EXPECT(RINGMQ_NULL, ringmq_faults_clear(NULL));
    EXPECT(RINGMQ_NULL, ringmq_message_read(NULL, &view));
    EXPECT(RINGMQ_NULL, ringmq_message_number(NULL, 1, &number));
    EXPECT(RINGMQ_NULL, ringmq_message_data(NULL, 3, &bytes));
    EXPECT(RINGMQ_NULL, ringmq_message_user_property(NULL, 0, &name, &value));
    EXPECT(RINGMQ_NULL, ringmq_message_subscription_identifier(NULL, 0, &number));
    EXPECT(RINGMQ_NULL, ringmq_message_ref(NULL));
    EXPECT(RINGMQ_NULL, ringmq_properties_add_number(NULL, 1, 1, NULL));
    EXPECT(RINGMQ_NULL, ringmq_properties_add_data(NULL, 3, NO_BYTES, NULL));
    EXPECT(RINGMQ_NULL, ringmq_properties_add_user(NULL, EMPTY, EMPTY, NULL));
    EXPECT(RINGMQ_NULL, ringmq_questions_new(RINGMQ_ASK_CONNECT, 0, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_questions_take(NULL, 0, &question, NULL));
    EXPECT(RINGMQ_NULL, ringmq_questions_descriptor(NULL, &descriptor, NULL));
    EXPECT(RINGMQ_NULL, ringmq_questions_missed(NULL, &many));
    EXPECT(RINGMQ_NULL, ringmq_question_read(NULL, &asked));
    EXPECT(RINGMQ_NULL, ringmq_question_message(NULL, &received));
    EXPECT(RINGMQ_NULL, ringmq_question_answer(NULL, true));
    EXPECT(RINGMQ_NULL, ringmq_question_answer_as(NULL, EMPTY));
    EXPECT(RINGMQ_NULL, ringmq_question_refuse(NULL, 0x87));
    EXPECT(RINGMQ_NULL, ringmq_question_rewrite(NULL, &message, NULL));
    EXPECT(RINGMQ_NULL, ringmq_subscription_receive(NULL, 0, &received, NULL));
    EXPECT(RINGMQ_NULL, ringmq_subscription_drain(NULL, &received, 1, &count));
    EXPECT(RINGMQ_NULL, ringmq_subscription_descriptor(NULL, &descriptor, NULL));
    EXPECT(RINGMQ_NULL, ringmq_subscription_close(NULL));
    EXPECT(RINGMQ_NULL, ringmq_subscription_ref(NULL));
    EXPECT(RINGMQ_OK, ringmq_error_status(NULL));
    if (strcmp(ringmq_error_message(NULL), "") != 0 || ringmq_error_reason_code(NULL) != -1)
        EXPECT(RINGMQ_OK, RINGMQ_INVALID);
    ringmq_config_free(config);

    ringmq_broker_free(NULL);
    ringmq_config_free(NULL);
    ringmq_error_free(NULL);
    ringmq_faults_free(NULL);
    ringmq_message_free(NULL);
    ringmq_messages_free(NULL, 5);
    ringmq_messages_free(&received, 1);
    ringmq_properties_free(NULL);
    ringmq_question_free(NULL);
    ringmq_questions_free(NULL);
    ringmq_subscription_free(NULL);
}

static void null_clients(void)
{
    ringmq_publish message = to(RINGMQ_STR("a/b"));
    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    ringmq_client *client = NULL;
    ringmq_client_options *options = NULL;
    const ringmq_message *received = NULL;
    ringmq_event *event = NULL;
    ringmq_event_view view;
    char text[8];
    int32_t descriptor;
    size_t count;

    EXPECT(RINGMQ_NULL, ringmq_client_options_new(NOWHERE, &options, NULL));
    EXPECT(RINGMQ_NULL, ringmq_client_options_new(RINGMQ_STR("mqtt://localhost"), NULL, NULL));
    EXPECT(RINGMQ_INVALID, ringmq_client_options_new(RINGMQ_STR("gopher://localhost"), &options, NULL));
    EXPECT(RINGMQ_NULL, ringmq_client_options_set(NULL, RINGMQ_STR("username"), RINGMQ_STR("x"), NULL));
    EXPECT(RINGMQ_NULL, ringmq_client_options_set_password(NULL, NO_BYTES, NULL));
    EXPECT(RINGMQ_NULL, ringmq_client_options_set_will(NULL, &message, 0, NULL));
    EXPECT(RINGMQ_NULL, ringmq_client_start(NULL, &client, NULL));
    EXPECT(RINGMQ_NULL, ringmq_client_wait_connected(NULL, 0, NULL));
    EXPECT(RINGMQ_NULL, ringmq_client_id(NULL, text, sizeof text, NULL));
    EXPECT(RINGMQ_NULL, ringmq_client_publish(NULL, &message, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_client_publish_batch(NULL, NULL, 1, &message, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_client_flush(NULL, 0, NULL));
    EXPECT(RINGMQ_NULL, ringmq_receipt_wait(NULL, 0, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_client_subscribe(NULL, &how, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_client_unsubscribe(NULL, NULL, 0, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_client_receive(NULL, 0, &received, NULL));
    EXPECT(RINGMQ_NULL, ringmq_client_drain(NULL, &received, 1, &count));
    EXPECT(RINGMQ_NULL, ringmq_client_descriptor(NULL, &descriptor, NULL));
    EXPECT(RINGMQ_NULL, ringmq_client_next_event(NULL, &event));
    EXPECT(RINGMQ_NULL, ringmq_client_event_descriptor(NULL, &descriptor, NULL));
    EXPECT(RINGMQ_NULL, ringmq_event_read(NULL, &view));
    EXPECT(RINGMQ_NULL, ringmq_client_acknowledge(NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_client_disconnect(NULL, 0, NULL));
    EXPECT(RINGMQ_NULL, ringmq_client_ref(NULL));
    EXPECT(RINGMQ_INVALID, ringmq_log_set(99, on_log, NULL, NULL));
    if (ringmq_client_is_connected(NULL))
        EXPECT(RINGMQ_OK, RINGMQ_INVALID);
    ringmq_client_free(NULL);
    ringmq_client_options_free(NULL);
    ringmq_event_free(NULL);
    ringmq_receipt_free(NULL);
}

/* Of a client that has stopped before it had a server. */
static void stopped_client(void)
{
    ringmq_publish message = to(RINGMQ_STR("a"));
    ringmq_str filter = RINGMQ_STR("a");
    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    ringmq_client_options *options = NULL;
    ringmq_client *client = NULL;
    const ringmq_message *received = NULL;
    size_t count;

    how.filters = &filter;
    how.filter_count = 1;
    EXPECT(RINGMQ_OK, ringmq_client_options_new(RINGMQ_STR("mqtt://127.0.0.1:1"), &options, NULL));
    EXPECT(RINGMQ_NULL, ringmq_client_start(options, NULL, NULL));
    EXPECT(RINGMQ_OK, ringmq_client_start(options, &client, NULL));
    EXPECT(RINGMQ_TIMEOUT, ringmq_client_receive(client, 0, &received, NULL));
    EXPECT(RINGMQ_OK, ringmq_client_disconnect(client, 1000, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_client_disconnect(client, 1000, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_client_wait_connected(client, -1, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_client_publish(client, &message, NULL, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_client_flush(client, 1000, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_client_subscribe(client, &how, NULL, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_client_receive(client, -1, &received, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_client_drain(client, &received, 1, &count));
    ringmq_client_free(client);
    ringmq_client_options_free(options);
}

static void null_outputs(const ringmq_broker *broker, const ringmq_subscription *subscription)
{
    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    ringmq_subscription *made = NULL;
    ringmq_publish message = to(RINGMQ_STR("b"));
    ringmq_batch_message batch = {NOWHERE, NO_BYTES};
    ringmq_properties *properties = ringmq_properties_new();
    const ringmq_message *taken[1];
    size_t count;

    EXPECT(RINGMQ_NULL, ringmq_broker_port(broker, NULL));
    EXPECT(RINGMQ_INVALID, ringmq_broker_url(broker, 0, NULL, 0, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_url(broker, 0, NULL, 1000, NULL));
    EXPECT(RINGMQ_ABSENT, ringmq_broker_url(broker, 1000, NULL, 0, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_publish(broker, NULL, NULL, NULL));
    EXPECT(RINGMQ_OK, ringmq_broker_publish(broker, &message, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_publish_batch(broker, NULL, 1, &message, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_publish_batch(broker, &batch, 1, &message, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_publish_batch(broker, &batch, 1, NULL, NULL, NULL));
    EXPECT(RINGMQ_OK, ringmq_broker_publish_batch(broker, NULL, 0, &message, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_counters(broker, NULL, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_sessions(broker, 5000, NULL, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_retained(broker, RINGMQ_STR("#"), 5000, NULL, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_reload(broker, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_kick(broker, NOWHERE, false, 5000, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_subscribe(broker, NULL, &made, NULL));
    EXPECT(RINGMQ_NULL, ringmq_broker_subscribe(broker, &how, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_subscription_receive(subscription, 0, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_subscription_drain(subscription, NULL, 1, &count));
    EXPECT(RINGMQ_NULL, ringmq_subscription_drain(subscription, taken, 1, NULL));
    EXPECT(RINGMQ_NULL, ringmq_subscription_descriptor(subscription, NULL, NULL));
    EXPECT(RINGMQ_NULL, ringmq_properties_add_data(properties, 3, NO_BYTES, NULL));
    EXPECT(RINGMQ_NULL, ringmq_properties_add_user(properties, NOWHERE, EMPTY, NULL));
    ringmq_properties_free(properties);
}

static void wrong_values(const ringmq_broker *broker, const ringmq_subscription *subscription)
{
    atomic_int released = 0;
    ringmq_str filter = RINGMQ_STR("a/#/b");
    ringmq_subscription *made = NULL;
    ringmq_questions *questions = NULL;
    const ringmq_message *message = NULL;
    ringmq_properties *properties = ringmq_properties_new();
    ringmq_faults *faults = ringmq_faults_new();
    ringmq_config *config = ringmq_config_new();
    ringmq_broker *second = NULL;
    ringmq_error *error = NULL;
    size_t count;

    ringmq_publish publish = to(RINGMQ_STR("a/#"));
    publish.release = on_release;
    publish.owner = &released;
    EXPECT(RINGMQ_NOT_MQTT, ringmq_broker_publish(broker, &publish, NULL, NULL));
    publish.topic = RINGMQ_STR("\xff");
    EXPECT(RINGMQ_INVALID, ringmq_broker_publish(broker, &publish, NULL, NULL));
    publish.topic = RINGMQ_STR("b");
    publish.qos = 3;
    EXPECT(RINGMQ_INVALID, ringmq_broker_publish(broker, &publish, NULL, NULL));
    publish.qos = 1;
    EXPECT(RINGMQ_NULL, ringmq_broker_publish(NULL, &publish, NULL, NULL));
    publish.payload = NO_BYTES;
    EXPECT(RINGMQ_NULL, ringmq_broker_publish(broker, &publish, NULL, NULL));
    if (released != 5)
        EXPECT(RINGMQ_OK, RINGMQ_INVALID);

    const size_t sizes[] = {0, 1, sizeof(ringmq_publish) - 1, sizeof(ringmq_publish) + 1, SIZE_MAX};
    for (size_t index = 0; index < sizeof sizes / sizeof *sizes; index++) {
        ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
        ringmq_fault fault = RINGMQ_FAULT_INIT;
        publish = to(RINGMQ_STR("b"));
        publish.struct_size = how.struct_size = fault.struct_size = sizes[index];
        EXPECT(RINGMQ_STRUCT_SIZE, ringmq_broker_publish(broker, &publish, NULL, NULL));
        EXPECT(RINGMQ_STRUCT_SIZE, ringmq_broker_subscribe(broker, &how, &made, NULL));
        EXPECT(RINGMQ_STRUCT_SIZE, ringmq_faults_add(faults, &fault, NULL));
    }

    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    EXPECT(RINGMQ_INVALID, ringmq_broker_subscribe(broker, &how, &made, NULL));
    how.filter_count = 1;
    EXPECT(RINGMQ_NULL, ringmq_broker_subscribe(broker, &how, &made, NULL));
    how.filters = &filter;
    EXPECT(RINGMQ_NOT_MQTT, ringmq_broker_subscribe(broker, &how, &made, NULL));
    how.retain_handling = 3;
    EXPECT(RINGMQ_INVALID, ringmq_broker_subscribe(broker, &how, &made, NULL));

    ringmq_fault fault = RINGMQ_FAULT_INIT;
    fault.kind = 99;
    EXPECT(RINGMQ_INVALID, ringmq_faults_add(faults, &fault, NULL));
    EXPECT(RINGMQ_INVALID, ringmq_questions_new(0, 0, &questions, NULL));
    EXPECT(RINGMQ_INVALID, ringmq_questions_new(1u << 31, 0, &questions, NULL));
    EXPECT(RINGMQ_INVALID, ringmq_properties_add_number(properties, 0x03, 1, NULL));
    EXPECT(RINGMQ_INVALID, ringmq_properties_add_data(properties, 0x01, RINGMQ_BYTES("x", 1), NULL));
    EXPECT(RINGMQ_INVALID, ringmq_properties_add_user(properties, RINGMQ_STR("\xff"), EMPTY, NULL));
    EXPECT(RINGMQ_NOT_MQTT, ringmq_broker_retained(broker, filter, 5000, on_message, NULL, NULL));
    EXPECT(RINGMQ_ABSENT, ringmq_broker_kick(broker, RINGMQ_STR("nobody"), true, 5000, NULL));
    EXPECT(RINGMQ_TIMEOUT, ringmq_subscription_receive(subscription, 0, &message, NULL));
    EXPECT(RINGMQ_TIMEOUT, ringmq_subscription_drain(subscription, &message, 1, &count));
    EXPECT(RINGMQ_CONFIG, ringmq_config_set(config, RINGMQ_STR("shard"), RINGMQ_STR("1"), &error));
    if (strstr(ringmq_error_message(error), "shards") == NULL)
        EXPECT(RINGMQ_OK, RINGMQ_CONFIG);
    EXPECT(RINGMQ_CONFIG, ringmq_error_status(error));
    EXPECT(RINGMQ_OK, ringmq_config_set(config, RINGMQ_STR("shards"), RINGMQ_STR("many"), NULL));
    EXPECT(RINGMQ_CONFIG, ringmq_broker_start(config, &second, NULL));
    if (made != NULL || questions != NULL || message != NULL || second != NULL)
        EXPECT(RINGMQ_OK, RINGMQ_PANIC);

    ringmq_error_free(error);
    ringmq_config_free(config);
    ringmq_faults_free(faults);
    ringmq_properties_free(properties);
}

static void after_a_fork(const ringmq_broker *broker)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        ringmq_publish message = to(RINGMQ_STR("b"));
        failures = 0;
        EXPECT(RINGMQ_FORKED, ringmq_broker_publish(broker, &message, NULL, NULL));
        EXPECT(RINGMQ_FORKED, ringmq_broker_stop(broker, NULL, NULL));
        ringmq_broker_free(broker);
        ringmq_broker_free(start());
        fflush(stdout);
        _exit(failures);
    }
    int outcome = -1;
    if (child < 0 || waitpid(child, &outcome, 0) < 0 || outcome != 0)
        EXPECT(RINGMQ_OK, RINGMQ_FORKED);
}

static void after_the_stop(const ringmq_broker *broker, const ringmq_subscription *subscription)
{
    ringmq_publish message = to(RINGMQ_STR("a"));
    ringmq_str filter = RINGMQ_STR("a");
    ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
    ringmq_subscription *made = NULL;
    ringmq_config *config = ringmq_config_new();
    const ringmq_message *received = NULL;
    uint16_t port;
    size_t count;

    how.filters = &filter;
    how.filter_count = 1;
    EXPECT(RINGMQ_OK, ringmq_broker_stop(broker, NULL, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_broker_stop(broker, NULL, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_broker_port(broker, &port));
    EXPECT(RINGMQ_STOPPED, ringmq_broker_url(broker, 0, NULL, 0, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_broker_publish(broker, &message, NULL, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_broker_subscribe(broker, &how, &made, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_broker_counters(broker, on_counter, NULL, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_broker_sessions(broker, 5000, on_session, NULL, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_broker_kick(broker, RINGMQ_STR("x"), false, 5000, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_broker_retained(broker, RINGMQ_STR("#"), 5000, on_message, NULL, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_broker_reset(broker, 5000, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_broker_advance_clock(broker, 1, false, 5000, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_broker_reload(broker, config, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_subscription_receive(subscription, -1, &received, NULL));
    EXPECT(RINGMQ_STOPPED, ringmq_subscription_drain(subscription, &received, 1, &count));
    EXPECT(RINGMQ_OK, ringmq_subscription_close(subscription));
    EXPECT(RINGMQ_OK, ringmq_subscription_close(subscription));
    ringmq_config_free(config);
}

/* What follows is of a build with debug assertions: it sees an object of which all references were given back, of each
 * kind, and to give it back once more does nothing. */
static void broker_after_the_free(void)
{
    uint16_t port;
    ringmq_broker *broker = start();
    ringmq_subscription *subscription = subscribe(broker);
    ringmq_publish message = to(RINGMQ_STR("a/b"));
    const ringmq_message *received = NULL;
    ringmq_message_view view;
    EXPECT(RINGMQ_OK, ringmq_broker_publish(broker, &message, NULL, NULL));
    EXPECT(RINGMQ_OK, ringmq_subscription_receive(subscription, 5000, &received, NULL));
    ringmq_message_free(received);
    EXPECT(RINGMQ_HANDLE, ringmq_message_read(received, &view));
    ringmq_message_free(received);
    ringmq_subscription_free(subscription);
    EXPECT(RINGMQ_HANDLE, ringmq_subscription_receive(subscription, 0, &received, NULL));
    ringmq_subscription_free(subscription);
    ringmq_broker_free(broker);
    EXPECT(RINGMQ_HANDLE, ringmq_broker_port(broker, &port));
    EXPECT(RINGMQ_HANDLE, ringmq_broker_ref(broker));
    EXPECT(RINGMQ_HANDLE, ringmq_broker_stop(broker, NULL, NULL));
    ringmq_broker_free(broker);
    ringmq_config *config = ringmq_config_new();
    EXPECT(RINGMQ_HANDLE, ringmq_broker_port((const ringmq_broker *)config, &port));
    ringmq_config_free(config);
    EXPECT(RINGMQ_HANDLE, ringmq_broker_start(config, &broker, NULL));
    ringmq_config_free(config);
}

static void client_after_the_free(void)
{
    ringmq_publish message = to(RINGMQ_STR("a/b"));
    ringmq_client_options *options = NULL;
    ringmq_client *client = NULL;
    ringmq_receipt *receipt = NULL;
    EXPECT(RINGMQ_OK, ringmq_client_options_new(RINGMQ_STR("mqtt://127.0.0.1:1"), &options, NULL));
    EXPECT(RINGMQ_OK, ringmq_client_start(options, &client, NULL));
    ringmq_client_options_free(options);
    EXPECT(RINGMQ_HANDLE, ringmq_client_start(options, &client, NULL));
    ringmq_client_options_free(options);
    EXPECT(RINGMQ_OK, ringmq_client_publish(client, &message, &receipt, NULL));
    ringmq_receipt_free(receipt);
    EXPECT(RINGMQ_HANDLE, ringmq_receipt_wait(receipt, 0, NULL, NULL));
    ringmq_receipt_free(receipt);
    ringmq_client_free(client);
    EXPECT(RINGMQ_HANDLE, ringmq_client_publish(client, &message, NULL, NULL));
    EXPECT(RINGMQ_HANDLE, ringmq_client_disconnect(client, 0, NULL));
    ringmq_client_free(client);
}

static void small_things_after_the_free(void)
{
    ringmq_fault fault = RINGMQ_FAULT_INIT;
    ringmq_questions *questions = NULL;
    ringmq_error *error = NULL;
    uint64_t missed;
    ringmq_faults *faults = ringmq_faults_new();
    ringmq_faults_free(faults);
    EXPECT(RINGMQ_HANDLE, ringmq_faults_add(faults, &fault, NULL));
    ringmq_faults_free(faults);
    ringmq_properties *properties = ringmq_properties_new();
    ringmq_properties_free(properties);
    EXPECT(RINGMQ_HANDLE, ringmq_properties_add_number(properties, 1, 1, NULL));
    ringmq_properties_free(properties);
    EXPECT(RINGMQ_OK, ringmq_questions_new(RINGMQ_ASK_CONNECT, 0, &questions, NULL));
    ringmq_questions_free(questions);
    EXPECT(RINGMQ_HANDLE, ringmq_questions_missed(questions, &missed));
    ringmq_questions_free(questions);
    EXPECT(RINGMQ_INVALID, ringmq_questions_new(0, 0, &questions, &error));
    EXPECT(RINGMQ_INVALID, ringmq_error_status(error));
    ringmq_error_free(error);
    EXPECT(RINGMQ_HANDLE, ringmq_error_status(error));
    if (strcmp(ringmq_error_message(error), "this error was freed") != 0 || ringmq_error_reason_code(error) != -1)
        EXPECT(RINGMQ_OK, RINGMQ_HANDLE);
    ringmq_error_free(error);
}

static void on_one_thread(void)
{
    ringmq_broker *broker = start();
    ringmq_subscription *subscription = subscribe(broker);
    null_objects();
    null_clients();
    stopped_client();
    null_outputs(broker, subscription);
    wrong_values(broker, subscription);
    after_the_stop(broker, subscription);
    ringmq_subscription_free(subscription);
    ringmq_broker_free(broker);
}

static void *on_its_own(void *unused)
{
    (void)unused;
    on_one_thread();
    return NULL;
}

/* All use one broker, and each stops it at some time. */
static void *on_what_is_shared(void *argument)
{
    const ringmq_broker *broker = (const ringmq_broker *)argument;
    ringmq_status status = RINGMQ_OK;
    for (int round = 0; status != RINGMQ_STOPPED; round++) {
        ringmq_str filter = RINGMQ_STR("a/#");
        ringmq_publish message = to(RINGMQ_STR("a/b"));
        ringmq_subscription *subscription = NULL;
        const ringmq_message *received = NULL;
        ringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;
        how.filters = &filter;
        how.filter_count = 1;
        status = ringmq_broker_subscribe(broker, &how, &subscription, NULL);
        if (status == RINGMQ_STOPPED)
            break;
        expect(__LINE__, "subscribe", status, RINGMQ_OK);
        status = ringmq_broker_publish(broker, &message, NULL, NULL);
        if (status != RINGMQ_STOPPED)
            expect(__LINE__, "publish", status, RINGMQ_OK);
        if (round == 50)
            ringmq_broker_stop(broker, NULL, NULL);
        status = ringmq_subscription_receive(subscription, -1, &received, NULL);
        if (status != RINGMQ_STOPPED)
            expect(__LINE__, "receive", status, RINGMQ_OK);
        ringmq_message_free(received);
        ringmq_subscription_free(subscription);
    }
    ringmq_broker_free(broker);
    return NULL;
}

static void at_once(void *(*work)(void *), const ringmq_broker *shared)
{
    pthread_t threads[THREADS];
    for (int index = 0; index < THREADS; index++) {
        if (shared != NULL)
            EXPECT(RINGMQ_OK, ringmq_broker_ref(shared));
        if (pthread_create(&threads[index], NULL, work, (void *)shared) != 0)
            exit(EXIT_FAILURE);
    }
    for (int index = 0; index < THREADS; index++)
        pthread_join(threads[index], NULL);
}

int main(void)
{
    ringmq_broker *broker = start();
    on_one_thread();
    broker_after_the_free();
    client_after_the_free();
    small_things_after_the_free();
    after_a_fork(broker);
    at_once(on_its_own, NULL);
    at_once(on_what_is_shared, broker);
    ringmq_broker_free(broker);
    printf("%d calls said another thing\n", failures);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
