/* Building loops: where nodes run, states, and the node that is the loop. */
#include "engine/loop.h"

#include <string.h>

#include "base/memory.h"
#include "engine/builder.h"
#include "engine/intrinsics.h"

bool cf_find_scope(cf_builder *b, cf_node *node) {
    for (size_t i = 0; i < node->operands; i++) {
        size_t count;
        const cf_segment *segments = cf_segments(b, node->operand[i], &count);
        for (size_t k = 0; k < count; k++) {
            const cf_node *read = &b->nodes[segments[k].node];
            if (read->scope != 0 && !b->loops[read->scope]->open)
                cf_builder_fail(b, CF_INVALID, "%s: a value of a loop's body is read outside of it",
                                node->op->name);
            else if (read->loop != 0 && read->op->flags & CF_OP_REDUCTION)
                cf_builder_fail(b, CF_INVALID, "%s in the body of a loop", read->op->name);
            /* Of open loops, the inner ones have the greater numbers. */
            if (read->scope > node->scope)
                node->scope = read->scope;
        }
    }
    node->loop = node->scope;
    if (node->op->flags & CF_OP_REDUCTION)
        node->scope = 0; /* and an error to read */
    else if (node->loop != 0 && node->op->flags & CF_OP_OUTPUT)
        cf_builder_fail(b, CF_INVALID, "%s in the body of a loop", node->op->name);
    return b->status == CF_OK;
}

/* --- states
 * -------------------------------------------------------------------------------------------- */

static void copy_f32(const cf_attributes *attributes, size_t n, const void *const *in, void *out) {
    (void)attributes;
    if (in[0] != out)
        memcpy(out, in[0], n * sizeof(float));
}

static void copy_f64(const cf_attributes *attributes, size_t n, const void *const *in, void *out) {
    (void)attributes;
    if (in[0] != out)
        memcpy(out, in[0], n * sizeof(double));
}

#ifdef CF_SIMD_X86
#define COPIES                                                                                     \
    {                                                                                              \
        {copy_f32, copy_f64}, {copy_f32, copy_f64}, {                                              \
            copy_f32, copy_f64                                                                     \
        }                                                                                          \
    }
#else
#define COPIES                                                                                     \
    {                                                                                              \
        { copy_f32, copy_f64 }                                                                     \
    }
#endif

static const cf_op state_op = {
    .name = "a loop's state",
    .flags = CF_OP_ELEMENTWISE | CF_OP_STATE,
    .elementwise = COPIES,
};

/* The state runs outside of the loop, where it takes the initial value, and is read inside. */
static cf_value new_state(cf_builder *b, uint32_t loop, cf_value initial) {
    size_t size = cf_value_size(b, initial);
    if (cf_value_kind(b, initial) != CF_ROW)
        return cf_builder_fail(b, CF_INVALID, "a loop's states are row values");
    cf_value state = cf_emit(b, &state_op, CF_ROW, size, 1, &initial, NULL);
    if (b->status == CF_OK) {
        b->nodes[b->node_count - 1].loop = b->loops[loop]->parent;
        b->nodes[b->node_count - 1].scope = loop;
    }
    return state;
}

/* --- the loop
 * ------------------------------------------------------------------------------------------ */

static const cf_op loop_op = {.name = "a loop", .flags = CF_OP_LOOP};

/* Copies of the spec's context and lists, which live with the builder. */
static cf_status keep_spec(cf_builder *b, cf_loop *loop) {
    cf_while_spec *spec = &loop->spec;
    cf_value *initial, *state;
    void *context;
    CF_TRY(cf_pile_take(&b->pile, &initial, spec->states, sizeof *initial));
    CF_TRY(cf_pile_take(&b->pile, &state, spec->states, sizeof *state));
    CF_TRY(cf_pile_take(&b->pile, &context, spec->context_size, 1));
    memcpy(initial, spec->initial, spec->states * sizeof *initial);
    if (spec->context_size > 0)
        memcpy(context, spec->context, spec->context_size);
    spec->initial = initial;
    spec->context = context;
    for (size_t i = 0; i < spec->states; i++)
        state[i] = spec->initial[i];
    loop->state = state;
    return CF_OK;
}

static cf_status open_loop(cf_builder *b, const cf_while_spec *spec, uint32_t *number) {
    cf_loop *loop;
    if (spec->states < 1 || spec->states > CF_MAX_STATES || spec->max_iterations < 1)
        return cf_fail(CF_INVALID, "a loop of %zu states and at most %u iterations", spec->states,
                       (unsigned)spec->max_iterations);
    for (size_t i = 0; i < spec->states; i++)
        if (cf_is_none(spec->initial[i]))
            return cf_fail(CF_INVALID, "a loop's initial state %zu is missing", i);
    CF_TRY(
        cf_grow(&b->loops, &b->loop_capacity, b->loop_count, b->loop_count + 2, sizeof *b->loops));
    CF_TRY(cf_pile_take(&b->pile, &loop, 1, sizeof *loop));
    loop->spec = *spec;
    CF_TRY(keep_spec(b, loop));
    if (b->loop_count == 0)
        b->loop_count = 1;
    *number = (uint32_t)b->loop_count;
    loop->parent = b->open_loop;
    loop->first = b->node_count;
    loop->open = true;
    b->loops[b->loop_count++] = loop;
    b->open_loop = *number;
    return CF_OK;
}

/* `value`, or a copy of it in the body: the states change one after the other, so that none may
 * become what another was. */
static cf_value apart_from_states(cf_builder *b, cf_value value) {
    size_t count;
    const cf_segment *segments = cf_segments(b, value, &count);
    for (size_t i = 0; i < count; i++)
        if (b->nodes[segments[i].node].op == &state_op)
            return cf_copy(b, value);
    return value;
}

/* Lets the body emit an iteration and joins what it gives: false after a failure. */
static bool emit_body(cf_builder *b, const cf_loop *loop, cf_value *joined, cf_value *goes_on) {
    const cf_while_spec *spec = &loop->spec;
    cf_value next[CF_MAX_STATES] = {{0}};
    spec->body(b, spec->context, loop->state, next, goes_on);
    for (size_t i = 0; i < spec->states && b->status == CF_OK; i++) {
        if (cf_is_none(next[i]) || cf_value_kind(b, next[i]) != CF_ROW ||
            cf_value_size(b, next[i]) != cf_value_size(b, loop->state[i]))
            cf_builder_fail(b, CF_INVALID, "the body of a loop gives no next state %zu like it", i);
        else
            next[i] = apart_from_states(b, next[i]);
    }
    if (b->status == CF_OK && !cf_is_none(*goes_on) &&
        (cf_value_size(b, *goes_on) != 1 || cf_value_kind(b, *goes_on) != CF_ROW))
        cf_builder_fail(b, CF_INVALID, "the condition of a loop is not one feature");
    *joined = cf_concat(b, next, spec->states);
    return b->status == CF_OK;
}

/* The node of the loop: operands the states, the next ones and the condition; its features are the
 * final states, whether the sample failed, and how many iterations it made. */
static cf_value close_loop(cf_builder *b, uint32_t number, cf_value next, cf_value goes_on) {
    cf_loop *loop = b->loops[number];
    cf_value operands[3] = {cf_concat(b, loop->state, loop->spec.states), next, goes_on};
    cf_attributes attributes = {.integer = {number}};
    loop->features = cf_value_size(b, next);
    loop->node = b->node_count;
    cf_value out = cf_emit(b, &loop_op, CF_ROW, loop->features + 2, cf_is_none(goes_on) ? 2 : 3,
                           operands, &attributes);
    if (b->status == CF_OK)
        b->nodes[loop->node].loop = b->nodes[loop->node].scope = loop->parent;
    return out;
}

void cf_while(cf_builder *b, const cf_while_spec *spec, cf_value *final, cf_while_report *report) {
    cf_value next = CF_NO_VALUE, goes_on = CF_NO_VALUE, out = CF_NO_VALUE;
    uint32_t number = 0;
    size_t first = 0;
    if (b->status == CF_OK)
        b->status = open_loop(b, spec, &number);
    if (number != 0) {
        cf_loop *loop = b->loops[number];
        for (size_t i = 0; i < spec->states; i++)
            ((cf_value *)loop->state)[i] = new_state(b, number, spec->initial[i]);
        if (b->status == CF_OK && emit_body(b, loop, &next, &goes_on))
            out = close_loop(b, number, next, goes_on);
        loop->open = false;
        b->open_loop = loop->parent;
    }
    for (size_t i = 0; i < spec->states; i++) {
        size_t size = b->status == CF_OK ? cf_value_size(b, spec->initial[i]) : 0;
        final[i] = cf_slice(b, out, first, size);
        first += size;
    }
    if (report != NULL)
        *report = (cf_while_report){.failed = cf_slice(b, out, first, 1),
                                    .iterations = cf_slice(b, out, first + 1, 1)};
}

const void *cf_loop_context(const cf_loop *loop) {
    return loop->spec.context;
}

void cf_no_cotangents(cf_walk *walk, cf_builder *b, const cf_loop *loop, const cf_value *final,
                      const cf_value *dfinal) {
    (void)walk;
    (void)b;
    (void)loop;
    (void) final;
    (void)dfinal;
}
