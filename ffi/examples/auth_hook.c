/* Who may connect and what they may do, decided by a thread of the program: anna may connect with her password, and may
 * publish and subscribe below her own name. The broker runs until the standard input ends. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ringmq.h>

/* Says what went wrong and ends the program. */
static void check(ringmq_status status, ringmq_error **error)
{
    if (status == RINGMQ_OK)
        return;
    ringmq_str name = ringmq_status_name(status);
    fprintf(stderr, "%.*s: %s\n", (int)name.length, name.data, ringmq_error_message(error ? *error : NULL));
    exit(EXIT_FAILURE);
}

static bool is(const void *data, size_t length, const char *text)
{
    return data != NULL && length == strlen(text) && memcmp(data, text, length) == 0;
}

static bool allowed(const ringmq_question_view *view)
{
    if (!is(view->user_name.data, view->user_name.length, "anna"))
        return false;
    if (view->action == RINGMQ_ACTION_CONNECT)
        return is(view->password.data, view->password.length, "secret");
    return view->topic.length >= 5 && memcmp(view->topic.data, "anna/", 5) == 0;
}

static const char *name_of(ringmq_action action)
{
    switch (action) {
    case RINGMQ_ACTION_CONNECT: return "connect";
    case RINGMQ_ACTION_PUBLISH: return "publish";
    case RINGMQ_ACTION_SUBSCRIBE: return "subscribe";
    default: return "another thing";
    }
}

/* Answers until the broker stops. Any number of threads may do this; no answer holds a core of the broker up. */
static void *answer(void *argument)
{
    const ringmq_questions *questions = (const ringmq_questions *)argument;
    for (;;) {
        ringmq_error *error = NULL;
        ringmq_question *question = NULL;
        ringmq_question_view view;
        ringmq_status status = ringmq_questions_take(questions, -1, &question, &error);
        if (status == RINGMQ_STOPPED) {
            ringmq_error_free(error);
            return NULL;
        }
        check(status, &error);
        check(ringmq_question_read(question, &view), NULL);
        bool yes = allowed(&view);
        printf("%s %.*s: %s\n", name_of(view.action), (int)view.topic.length, view.topic.data, yes ? "yes" : "no");
        check(ringmq_question_answer(question, yes), NULL);
        ringmq_question_free(question);
    }
}

int main(void)
{
    ringmq_error *error = NULL;
    ringmq_questions *questions = NULL;
    check(ringmq_questions_new(RINGMQ_ASK_CONNECT | RINGMQ_ASK_ACCESS, 0, &questions, &error), &error);

    ringmq_broker *broker = NULL;
    ringmq_config *config = ringmq_config_new();
    check(ringmq_config_set_questions(config, questions, &error), &error);
    check(ringmq_broker_start(config, &broker, &error), &error);
    ringmq_config_free(config);

    pthread_t thread;
    if (pthread_create(&thread, NULL, answer, questions) != 0) {
        fprintf(stderr, "no thread\n");
        return EXIT_FAILURE;
    }

    uint16_t port = 0;
    check(ringmq_broker_port(broker, &port), NULL);
    printf("port %d\n", port);
    fflush(stdout);
    while (getchar() != EOF)
        ;

    check(ringmq_broker_stop(broker, NULL, &error), &error);
    pthread_join(thread, NULL);
    ringmq_questions_free(questions);
    ringmq_broker_free(broker);
    printf("stopped\n");
    return EXIT_SUCCESS;
}
