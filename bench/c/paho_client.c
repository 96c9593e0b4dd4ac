/* Eclipse Paho's asynchronous C client, as ringmq_client.c.
 *
 *     paho_client PORT MESSAGES QOS */
#include <MQTTAsync.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"

/* Messages under way. */
#define WINDOW 1000

static size_t wanted;
static size_t received;
static int ready;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static int on_message(void *context, char *topic, int length, MQTTAsync_message *message) {
    (void)context, (void)length;
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
    pthread_mutex_lock(&lock);
    received++;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    return 1;
}

static void on_done(void *context, MQTTAsync_successData *data) {
    (void)context, (void)data;
    pthread_mutex_lock(&lock);
    ready++;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static void await_ready(int steps) {
    pthread_mutex_lock(&lock);
    while (ready < steps) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
}

int main(int count, char **arguments) {
    if (count != 4) {
        return 2;
    }
    wanted = strtoul(arguments[2], NULL, 10);
    int qos = atoi(arguments[3]);
    char url[64];
    snprintf(url, sizeof url, "tcp://127.0.0.1:%s", arguments[1]);
    MQTTAsync client;
    MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
    create.maxBufferedMessages = WINDOW * 2;
    MQTTAsync_createWithOptions(&client, url, "bench-paho", MQTTCLIENT_PERSISTENCE_NONE, NULL, &create);
    MQTTAsync_setCallbacks(client, NULL, NULL, on_message, NULL);
    MQTTAsync_connectOptions connect = MQTTAsync_connectOptions_initializer;
    connect.maxInflight = WINDOW;
    connect.onSuccess = on_done;
    if (MQTTAsync_connect(client, &connect)) {
        return 1;
    }
    await_ready(1);
    MQTTAsync_responseOptions subscribed = MQTTAsync_responseOptions_initializer;
    subscribed.onSuccess = on_done;
    MQTTAsync_subscribe(client, "bench", qos, &subscribed);
    await_ready(2);
    double began = wall_seconds(), cpu = cpu_seconds();
    for (size_t sent = 1; sent <= wanted; sent++) {
        if (MQTTAsync_send(client, "bench", 16, "0123456789abcdef", qos, 0, NULL)) {
            return 1;
        }
        pthread_mutex_lock(&lock);
        while (sent - received > WINDOW) {
            pthread_cond_wait(&changed, &lock);
        }
        pthread_mutex_unlock(&lock);
    }
    pthread_mutex_lock(&lock);
    while (received < wanted) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
    printf("%zu %.6f %.6f\n", received, wall_seconds() - began, cpu_seconds() - cpu);
    MQTTAsync_disconnect(client, NULL);
    MQTTAsync_destroy(&client);
    return 0;
}
