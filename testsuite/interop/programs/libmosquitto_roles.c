/* libmosquitto in the three roles of interop/clients.py. */
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *role, *host;
static int port, version, left, wanted_qos, published, rest_count;
static char **rest;
static const char *filter;

static void fail(const char *what, int code) {
    printf("refused: %s %d\n", what, code);
    fflush(stdout);
    exit(1);
}

static void ready(void) {
    puts("ready");
    fflush(stdout);
}

static void publish_all(struct mosquitto *client) {
    published = rest_count - 3;
    for (int index = 3; index < rest_count; index++) {
        int code = mosquitto_publish(client, NULL, rest[0], (int)strlen(rest[index]), rest[index], atoi(rest[1]),
                                     rest[2][0] == '1');
        if (code) fail("publish", code);
    }
}

static void on_connect(struct mosquitto *client, void *context, int code) {
    (void)context;
    if (code) fail("connect", code);
    if (!strcmp(role, "sub"))
        mosquitto_subscribe(client, NULL, filter, wanted_qos);
    else if (!strcmp(role, "will"))
        ready();
    else
        publish_all(client);
}

static void on_subscribe(struct mosquitto *client, void *context, int id, int count, const int *granted) {
    (void)client, (void)context, (void)id;
    if (count != 1 || granted[0] != wanted_qos) fail("subscribe", granted[0]);
    ready();
}

static void on_message(struct mosquitto *client, void *context, const struct mosquitto_message *message) {
    (void)context;
    printf("MSG %s %d %d %.*s\n", message->topic, message->qos, message->retain, message->payloadlen,
           (char *)message->payload);
    fflush(stdout);
    if (--left == 0) mosquitto_disconnect(client);
}

static void on_publish(struct mosquitto *client, void *context, int id) {
    (void)context, (void)id;
    if (--published == 0) mosquitto_disconnect(client);
}

static struct mosquitto *make_client(const char *client_id, int clean) {
    struct mosquitto *client = mosquitto_new(client_id, clean, NULL);
    mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION,
                         version == 5 ? MQTT_PROTOCOL_V5 : version == 3 ? MQTT_PROTOCOL_V31 : MQTT_PROTOCOL_V311);
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_subscribe_callback_set(client, on_subscribe);
    mosquitto_message_callback_set(client, on_message);
    mosquitto_publish_callback_set(client, on_publish);
    return client;
}

static void open_client(struct mosquitto *client, int clean) {
    mosquitto_property *properties = NULL;
    if (version == 5 && !clean)
        mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 300);
    int code = mosquitto_connect_bind_v5(client, host, port, 60, NULL, properties);
    if (code) fail("connect", code);
    mosquitto_property_free_all(&properties);
}

int main(int count, char **arguments) {
    if (count < 7) return 2;
    role = arguments[1];
    host = arguments[2];
    port = atoi(arguments[3]);
    version = atoi(arguments[4]);
    rest = arguments + 6;
    rest_count = count - 6;
    mosquitto_lib_init();
    int clean = strcmp(role, "sub") || rest[0][0] == '1';
    struct mosquitto *client = make_client(arguments[5], clean);
    if (!strcmp(role, "sub")) {
        left = atoi(rest[1]);
        filter = rest[2];
        wanted_qos = atoi(rest[3]);
    } else if (!strcmp(role, "will")) {
        int code = mosquitto_will_set(client, rest[0], (int)strlen(rest[3]), rest[3], atoi(rest[1]), rest[2][0] == '1');
        if (code) fail("will", code);
    }
    open_client(client, clean);
    int code = mosquitto_loop_forever(client, -1, 1);
    if (code) fail("loop", code);
    mosquitto_destroy(client);
    return 0;
}
