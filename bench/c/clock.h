/* Seconds, and what this process has worked of them. */
#ifndef CLOCK_H
#define CLOCK_H
#include <time.h>

static double seconds_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double wall_seconds(void) {
    return seconds_of(CLOCK_MONOTONIC);
}

static double cpu_seconds(void) {
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}
#endif
