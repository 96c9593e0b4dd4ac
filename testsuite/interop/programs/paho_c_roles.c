/* Eclipse Paho C (MQTTClient) in the three roles of interop/clients.py. */
#include <MQTTClient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *host, *port, *client_id;
static int version;

static void fail(const char *what, int code) {
    printf("refused: %s %d\n", what, code);
    fflush(stdout);
    exit(1);
}

static MQTTClient open_client(int clean, MQTTClient_willOptions *will) {
    char uri[256];
    snprintf(uri, sizeof uri, "tcp://%s:%s", host, port);
    MQTTClient client;
    MQTTClient_createOptions create = MQTTClient_createOptions_initializer;
    create.MQTTVersion = version == 5 ? MQTTVERSION_5 : MQTTVERSION_DEFAULT;
    int code = MQTTClient_createWithOptions(&client, uri, client_id, MQTTCLIENT_PERSISTENCE_NONE, NULL, &create);
    if (code) fail("create", code);
    if (version == 5) {
        MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer5;
        MQTTProperties properties = MQTTProperties_initializer;
        MQTTProperty expiry = {.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL};
        expiry.value.integer4 = clean ? 0 : 300;
        MQTTProperties_add(&properties, &expiry);
        options.cleanstart = clean;
        options.will = will;
        MQTTResponse response = MQTTClient_connect5(client, &options, &properties, NULL);
        if (response.reasonCode) fail("connect", response.reasonCode);
        MQTTResponse_free(response);
        MQTTProperties_free(&properties);
    } else {
        MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer;
        options.MQTTVersion = version == 3 ? MQTTVERSION_3_1 : MQTTVERSION_3_1_1;
        options.cleansession = clean;
        options.will = will;
        code = MQTTClient_connect(client, &options);
        if (code) fail("connect", code);
    }
    return client;
}

static void close_client(MQTTClient client) {
    if (version == 5)
        MQTTClient_disconnect5(client, 1000, MQTTREASONCODE_SUCCESS, NULL);
    else
        MQTTClient_disconnect(client, 1000);
    MQTTClient_destroy(&client);
}

static void subscribe_role(char **rest) {
    int left = atoi(rest[1]), qos = atoi(rest[3]);
    MQTTClient client = open_client(rest[0][0] == '1', NULL);
    if (version == 5) {
        MQTTResponse response = MQTTClient_subscribe5(client, rest[2], qos, NULL, NULL);
        if ((int)response.reasonCode > 2) fail("subscribe", response.reasonCode);
        MQTTResponse_free(response);
    } else {
        int code = MQTTClient_subscribe(client, rest[2], qos);
        if (code) fail("subscribe", code);
    }
    puts("ready");
    fflush(stdout);
    while (left > 0) {
        char *topic = NULL;
        int length = 0;
        MQTTClient_message *message = NULL;
        int code = MQTTClient_receive(client, &topic, &length, &message, 20000);
        if (code && code != MQTTCLIENT_TOPICNAME_TRUNCATED) fail("receive", code);
        if (!message) fail("no message", 0);
        printf("MSG %s %d %d %.*s\n", topic, message->qos, message->retained, message->payloadlen,
               (char *)message->payload);
        fflush(stdout);
        MQTTClient_freeMessage(&message);
        MQTTClient_free(topic);
        left--;
    }
    MQTTClient_yield();
    close_client(client);
}

static void publish_role(int count, char **rest) {
    MQTTClient client = open_client(1, NULL);
    for (int index = 3; index < count; index++) {
        MQTTClient_message message = MQTTClient_message_initializer;
        message.payload = rest[index];
        message.payloadlen = (int)strlen(rest[index]);
        message.qos = atoi(rest[1]);
        message.retained = rest[2][0] == '1';
        MQTTClient_deliveryToken token = 0;
        int code;
        if (version == 5) {
            MQTTResponse response = MQTTClient_publishMessage5(client, rest[0], &message, &token);
            code = response.reasonCode;
            MQTTResponse_free(response);
        } else {
            code = MQTTClient_publishMessage(client, rest[0], &message, &token);
        }
        if (code) fail("publish", code);
        if (message.qos && (code = MQTTClient_waitForCompletion(client, token, 5000))) fail("completion", code);
    }
    close_client(client);
}

static void will_role(char **rest) {
    MQTTClient_willOptions will = MQTTClient_willOptions_initializer;
    will.topicName = rest[0];
    will.qos = atoi(rest[1]);
    will.retained = rest[2][0] == '1';
    will.message = rest[3];
    open_client(1, &will);
    puts("ready");
    fflush(stdout);
    sleep(60);
}

int main(int count, char **arguments) {
    if (count < 7) return 2;
    host = arguments[2];
    port = arguments[3];
    version = atoi(arguments[4]);
    client_id = arguments[5];
    char **rest = arguments + 6;
    if (!strcmp(arguments[1], "sub"))
        subscribe_role(rest);
    else if (!strcmp(arguments[1], "pub"))
        publish_role(count - 6, rest);
    else
        will_role(rest);
    return 0;
}
