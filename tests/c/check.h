/* Checks for the C tests: a failure tells where and ends the program. */
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#define CHECK_OK(call)                                                                             \
    do {                                                                                           \
        if ((call) != CF_OK) {                                                                     \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, cf_message());           \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#define CHECK_CLOSE(a, b, tolerance)                                                               \
    do {                                                                                           \
        double check_a_ = (a), check_b_ = (b);                                                     \
        if (!(fabs(check_a_ - check_b_) <= (tolerance) * (1 + fabs(check_b_)))) {                  \
            fprintf(stderr, "%s:%d: %s = %.17g, %s = %.17g\n", __FILE__, __LINE__, #a, check_a_,   \
                    #b, check_b_);                                                                 \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* The same numbers on every machine, uniform on [-1, 1). */
static inline double check_random(unsigned *state) {
    *state = *state * 1664525u + 1013904223u;
    return (double)(*state >> 8) / (1 << 23) - 1.0;
}

#endif
