/* libmosquitto's client, as ringmq_client.c.
 *
 *     mosquitto_client PORT MESSAGES QOS */
#include <mosquitto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"

/* Messages under way. */
#define WINDOW 1000

static size_t wanted;
static size_t received;
static size_t sent;
static int subscribed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void note(size_t *counter) {
    pthread_mutex_lock(&lock);
    ++*counter;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static void on_message(struct mosquitto *client, void *user, const struct mosquitto_message *message) {
    (void)client, (void)user, (void)message;
    note(&received);
}

static void on_subscribe(struct mosquitto *client, void *user, int id, int count, const int *granted) {
    (void)client, (void)user, (void)id, (void)count, (void)granted;
    pthread_mutex_lock(&lock);
    subscribed = 1;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

int main(int count, char **arguments) {
    if (count != 4) {
        return 2;
    }
    wanted = strtoul(arguments[2], NULL, 10);
    int qos = atoi(arguments[3]);
    mosquitto_lib_init();
    struct mosquitto *client = mosquitto_new("bench-mosquitto", true, NULL);
    mosquitto_message_callback_set(client, on_message);
    mosquitto_subscribe_callback_set(client, on_subscribe);
    mosquitto_max_inflight_messages_set(client, WINDOW);
    if (mosquitto_connect(client, "127.0.0.1", atoi(arguments[1]), 60) || mosquitto_loop_start(client)) {
        return 1;
    }
    mosquitto_subscribe(client, NULL, "bench", qos);
    pthread_mutex_lock(&lock);
    while (!subscribed) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
    double began = wall_seconds(), cpu = cpu_seconds();
    while (sent < wanted) {
        if (mosquitto_publish(client, NULL, "bench", 16, "0123456789abcdef", qos, false)) {
            return 1;
        }
        sent++;
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
    mosquitto_disconnect(client);
    mosquitto_loop_stop(client, false);
    mosquitto_destroy(client);
    return 0;
}
