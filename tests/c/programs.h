/* How tests in C begin and end a program that they build. */
#ifndef PROGRAMS_H
#define PROGRAMS_H

#include "check.h"

#include "engine/builder.h"
#include "engine/run.h"

static inline cf_builder *new_builder(void) {
    cf_builder *b;
    CHECK_OK(cf_builder_new(&b, CF_EVALUATION));
    return b;
}

/* The builder is freed. */
static inline cf_program *finish(cf_builder *b, size_t gradient_size) {
    cf_program *program;
    CHECK_OK(cf_builder_status(b));
    CHECK_OK(cf_program_new(&program, b, gradient_size));
    cf_builder_free(b);
    return program;
}

#endif
