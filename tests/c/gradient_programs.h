/* The programs that test_gradients.c compares: the value of an op, its first gradients, and the
 * gradients of their weighted sum. */
#ifndef GRADIENT_PROGRAMS_H
#define GRADIENT_PROGRAMS_H

#include "programs.h"

#include "engine/intrinsics.h"
#include "engine/run.h"
#include "ops/input.h"
#include "ops/ops.h"

#include <string.h>

enum { MAX_ROWS = 24, MAX_SIZE = 3000, OPERANDS = 4, VARIABLES = OPERANDS + 1 };

/* An operand, or the cotangent of the op, which is the last variable: numbers of every row, or
 * unbatched ones. */
typedef struct {
    size_t size; /* 0: there is no such operand */
    double low, high;
    cf_kind kind;
    bool fixed; /* is not differentiated by: integers, uniform noise */
} variable;

typedef cf_value (*emit_fn)(cf_builder *b, const cf_value *operand, const void *data);

typedef struct {
    const char *name;
    emit_fn emit;
    const void *data;
    variable operand[OPERANDS];
    void (*fill)(const void *data, size_t row,
                 double *const *operand); /* on top of noise, or NULL */
    bool zero;                            /* its gradient is */
} op_case;

/* A case whose gradient is by definition not that of its value, or of its value in float64 alone.
 */
typedef struct {
    const char *name;
    emit_fn gradient_of; /* what it is the gradient of, in the operands that have one; or NULL */
    bool only_float64;
} exception;

typedef struct {
    const op_case *test;
    const exception *exception; /* or NULL */
    size_t rows;
    variable variable[VARIABLES];
    double *number[VARIABLES]; /* [rows][size], or [size] in the slab */
    size_t offset[VARIABLES];  /* of unbatched ones in the slab */
    bool has_gradient[OPERANDS];
    double *weight[OPERANDS]; /* of the first gradients, [rows][size] or [size] in the slab */
    size_t weight_offset[OPERANDS];
    size_t row_weights; /* of all row gradients */
    double *row_weight; /* [rows][row_weights] */
    double slab[4 * MAX_SIZE], gradients[4 * MAX_SIZE];
    size_t slab_size;
    cf_program *value, *first, *second;
} setting;

/* The names of all ops in differentiated programs. */
static char seen[200][64];
static size_t seen_count;

static void note_ops(const cf_builder *b) {
    for (size_t n = 1; n < cf_builder_nodes(b); n++) {
        const cf_op *op = cf_builder_node(b, n)->op;
        size_t i = 0;
        while (i < seen_count && strcmp(seen[i], op->name) != 0)
            i++;
        if (i == seen_count)
            strcpy(seen[seen_count++], op->name);
    }
}

static cf_builder *emit_operands(const setting *s, cf_value *value) {
    cf_builder *b;
    CHECK_OK(cf_builder_new(&b, CF_TRAINING));
    for (size_t i = 0; i < OPERANDS; i++) {
        const variable *v = &s->variable[i];
        if (v->size > 0 && v->kind == CF_BATCHED)
            value[i] = cf_input(b, (int)i, v->size, CF_PAD_REPEAT);
        else if (v->size > 0)
            value[i] = cf_parameter(b, s->offset[i], v->size);
    }
    return b;
}

/* Variables, the op and its first gradients. */
static cf_builder *emit_first(setting *s, cf_value *value, cf_value *gradient) {
    cf_value wrt[OPERANDS], found[OPERANDS];
    size_t count = 0;
    cf_builder *b = emit_operands(s, value);
    for (size_t i = 0; i < OPERANDS; i++)
        if (s->variable[i].size > 0 && !s->variable[i].fixed)
            wrt[count++] = value[i];
    cf_value out = s->test->emit(b, value, s->test->data);
    CHECK_OK(cf_builder_status(b));
    variable *d = &s->variable[OPERANDS];
    *d = (variable){cf_value_size(b, out), -1, 1, cf_value_kind(b, out), false};
    value[OPERANDS] = d->kind == CF_BATCHED ? cf_input(b, OPERANDS, d->size, CF_PAD_ZERO)
                                            : cf_parameter(b, s->offset[OPERANDS], d->size);
    cf_gradient(b, 1, &out, &value[OPERANDS], count, wrt, found);
    CHECK_OK(cf_builder_status(b));
    count = 0;
    for (size_t i = 0; i < OPERANDS; i++) {
        bool asked = s->variable[i].size > 0 && !s->variable[i].fixed;
        gradient[i] = asked ? found[count++] : CF_NO_VALUE;
    }
    return b;
}

/* What the first gradients are of. */
static void build_value(setting *s) {
    cf_value value[VARIABLES];
    emit_fn emit = s->exception != NULL ? s->exception->gradient_of : s->test->emit;
    if (emit == NULL)
        return;
    cf_builder *b = emit_operands(s, value);
    cf_value out = emit(b, value, s->test->data);
    cf_output(b, 0, cf_broadcast(b, out));
    s->value = finish(b, 0);
}

static void build_first(setting *s) {
    cf_value value[VARIABLES], gradient[OPERANDS];
    cf_builder *b = emit_first(s, value, gradient);
    bool any = false;
    for (size_t i = 0; i < OPERANDS; i++) {
        s->has_gradient[i] = !cf_is_none(gradient[i]);
        any |= s->has_gradient[i];
        if (s->has_gradient[i])
            cf_output(b, (int)i, cf_broadcast(b, gradient[i]));
    }
    CHECK(any == !s->test->zero);
    if (!any)
        note_ops(b);
    s->first = finish(b, 0);
}

/* Weights of the first gradients, as cotangents. */
static void emit_weights(setting *s, cf_builder *b, cf_value *weight) {
    size_t first = 0;
    cf_value rows = CF_NO_VALUE;
    if (s->row_weights > 0)
        rows = cf_input(b, VARIABLES, s->row_weights, CF_PAD_ZERO);
    for (size_t i = 0; i < OPERANDS; i++) {
        size_t size = s->variable[i].size;
        weight[i] = CF_NO_VALUE;
        if (!s->has_gradient[i])
            continue;
        if (s->variable[i].kind == CF_UNBATCHED) {
            weight[i] = cf_parameter(b, s->weight_offset[i], size);
        } else {
            weight[i] = cf_slice(b, rows, first, size);
            first += size;
        }
    }
}

static void build_second(setting *s) {
    cf_value value[VARIABLES], gradient[OPERANDS], weight[OPERANDS], second[VARIABLES];
    cf_value wrt[VARIABLES];
    size_t count = 0;
    cf_builder *b = emit_first(s, value, gradient);
    emit_weights(s, b, weight);
    for (size_t i = 0; i < VARIABLES; i++)
        if (s->variable[i].size > 0 && !s->variable[i].fixed)
            wrt[count++] = value[i];
    cf_gradient(b, OPERANDS, gradient, weight, count, wrt, second);
    CHECK_OK(cf_builder_status(b));
    count = 0;
    for (size_t i = 0; i < VARIABLES; i++) {
        const variable *v = &s->variable[i];
        if (v->size == 0 || v->fixed)
            continue;
        cf_value found = second[count++];
        if (cf_is_none(found))
            found = cf_constant(b, v->kind, v->size, 0.0);
        if (v->kind == CF_BATCHED)
            cf_output(b, (int)i, found);
        else
            cf_output_gradient(b, s->offset[i], found);
    }
    note_ops(b);
    s->second = finish(b, s->slab_size);
}

#endif
