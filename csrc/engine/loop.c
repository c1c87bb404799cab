/* Building loops: where nodes run, states, and the node that is the loop. */
#include "engine/loop.h"

#include <string.h>

#include "base/memory.h"
#include "engine/builder.h"
#include "engine/intrinsics.h"

/* Whether node `reader` may read `read`. */
static void check_read(cf_builder *b, const cf_node *read, const cf_node *reader) {
    const cf_loop *loop = b->loops[read->loop];
    bool reduction = (read->op->flags & CF_OP_REDUCTION) != 0;
    if (read->scope != 0 && !b->loops[read->scope]->open)
        cf_builder_fail(b, CF_INVALID, "%s: a value of a loop's body is read outside of it",
                        reader->op->name);
    else if (reduction && read->loop != 0 && (loop->open || !loop->accumulates))
        cf_builder_fail(b, CF_INVALID, "%s in the body of a loop", read->op->name);
    else if (read->op->flags & CF_OP_BLOCK && read->loop != b->open_loop)
        cf_builder_fail(b, CF_INVALID, "a block of a stack is read in a loop within its own");
}

bool cf_find_scope(cf_builder *b, cf_node *node) {
    bool block = (node->op->flags & CF_OP_BLOCK) != 0;
    bool reduction = (node->op->flags & CF_OP_REDUCTION) != 0;
    for (size_t i = 0; i < node->operands; i++) {
        size_t count;
        const cf_segment *segments = cf_segments(b, node->operand[i], &count);
        for (size_t k = 0; k < count; k++) {
            const cf_node *read = &b->nodes[segments[k].node];
            check_read(b, read, node);
            /* Of open loops, the inner ones have the greater numbers. */
            if (read->scope > node->scope)
                node->scope = read->scope;
        }
    }
    if (block)
        node->scope = b->open_loop;
    node->loop = node->scope;
    if (reduction)
        node->scope = 0; /* only what follows the loop may read it */
    else if (node->loop != 0 && node->op->flags & CF_OP_OUTPUT)
        cf_builder_fail(b, CF_INVALID, "%s in the body of a loop", node->op->name);
    else if (node->loop != 0 && node->kind == CF_UNBATCHED && !block)
        cf_builder_fail(b, CF_INVALID,
                        "%s of a block of a stack, in a loop: do it to the whole stack before",
                        node->op->name);
    return b->status == CF_OK;
}

/* ---- states ---- */

static void copy_f32(const void *params, size_t n, const void *const *in, void *out) {
    (void)params;
    if (in[0] != out)
        memcpy(out, in[0], n * sizeof(float));
}

static void copy_f64(const void *params, size_t n, const void *const *in, void *out) {
    (void)params;
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
cf_value cf_add_state(cf_builder *b, uint32_t number, cf_value initial) {
    if (b->status != CF_OK)
        return CF_NO_VALUE;
    cf_loop *loop = b->loops[number];
    size_t i = loop->spec.states;
    if (i == CF_MAX_STATES || cf_is_none(initial) || cf_value_kind(b, initial) != CF_BATCHED)
        return cf_builder_fail(b, CF_INVALID, "a loop's initial state %zu is %s", i,
                               i == CF_MAX_STATES    ? "one too many"
                               : cf_is_none(initial) ? "missing"
                                                     : "no batched value");
    cf_value state =
        cf_emit(b, &state_op, CF_BATCHED, cf_value_size(b, initial), 1, &initial, CF_NO_PARAMS);
    if (b->status != CF_OK)
        return CF_NO_VALUE;
    b->nodes[b->node_count - 1].loop = loop->parent;
    b->nodes[b->node_count - 1].scope = number;
    loop->initial[i] = initial;
    loop->state[i] = state;
    loop->spec.states++;
    return state;
}

/* ---- the loop ---- */

static const cf_op loop_op = {
    .name = "a loop",
    .flags = CF_OP_LOOP,
    .params = sizeof(cf_loop_params),
};

static cf_status new_loop(cf_builder *b, const cf_while_spec *spec, cf_loop **out) {
    cf_loop *loop;
    if (spec->states < 1 || spec->max_iterations < 1)
        return cf_fail(CF_INVALID, "a loop of %zu states and at most %u iterations", spec->states,
                       (unsigned)spec->max_iterations);
    CF_TRY(
        cf_grow(&b->loops, &b->loop_capacity, b->loop_count, b->loop_count + 2, sizeof *b->loops));
    CF_TRY(cf_arena_alloc(&b->arena, &loop, 1, sizeof *loop));
    if (b->loop_count == 0) { /* number 0 stands for what is in no loop */
        CF_TRY(cf_arena_alloc(&b->arena, &b->loops[0], 1, sizeof *loop));
        b->loop_count = 1;
    }
    loop->spec = *spec;
    loop->spec.initial = loop->initial;
    loop->spec.states = 0;
    loop->spec.context = cf_builder_keep(b, spec->context, spec->context_size);
    *out = loop;
    return b->status;
}

void cf_open_loop(cf_builder *b, const cf_while_spec *spec, uint32_t *number) {
    cf_loop *loop = NULL;
    *number = 0;
    if (b->status != CF_OK || (b->status = new_loop(b, spec, &loop)) != CF_OK)
        return;
    *number = loop->number = (uint32_t)b->loop_count;
    loop->parent = b->open_loop;
    loop->first = b->node_count;
    loop->open = true;
    b->loops[b->loop_count++] = loop;
    b->open_loop = *number;
    for (size_t i = 0; i < spec->states; i++)
        cf_add_state(b, *number, spec->initial[i]);
}

/* `value`, or a copy of it in the body: states are updated one after the other, so none may take
 * over another's former value. */
static cf_value apart_from_states(cf_builder *b, cf_value value) {
    size_t count;
    const cf_segment *segments = cf_segments(b, value, &count);
    for (size_t i = 0; i < count; i++)
        if (b->nodes[segments[i].node].op == &state_op)
            return cf_copy(b, value);
    return value;
}

/* The next states as one value; CF_NO_VALUE after a failure. */
static cf_value join_next(cf_builder *b, const cf_loop *loop, const cf_value *next) {
    cf_value apart[CF_MAX_STATES];
    for (size_t i = 0; i < loop->spec.states && b->status == CF_OK; i++) {
        if (cf_is_none(next[i]) || cf_value_kind(b, next[i]) != CF_BATCHED ||
            cf_value_size(b, next[i]) != cf_value_size(b, loop->state[i]))
            cf_builder_fail(b, CF_INVALID, "the body of a loop gives no next state %zu like it", i);
        else
            apart[i] = apart_from_states(b, next[i]);
    }
    return cf_concat(b, apart, loop->spec.states);
}

/* The operands of the loop's node are the states, the next ones and the condition. */
static cf_value emit_loop(cf_builder *b, cf_loop *loop, cf_value next, cf_value goes_on) {
    if (b->status != CF_OK)
        return CF_NO_VALUE;
    if (!cf_is_none(goes_on) &&
        (cf_value_size(b, goes_on) != 1 || cf_value_kind(b, goes_on) != CF_BATCHED))
        return cf_builder_fail(b, CF_INVALID, "the condition of a loop is not one feature");
    cf_value operands[3] = {cf_concat(b, loop->state, loop->spec.states), next, goes_on};
    cf_loop_params params = {loop->number};
    loop->features = cf_value_size(b, next);
    loop->node = b->node_count;
    cf_value out = cf_emit(b, &loop_op, CF_BATCHED, loop->features + 2, cf_is_none(goes_on) ? 2 : 3,
                           operands, CF_PARAMS(&params));
    if (b->status == CF_OK)
        b->nodes[loop->node].loop = b->nodes[loop->node].scope = loop->parent;
    return out;
}

cf_value cf_close_loop(cf_builder *b, uint32_t number, const cf_value *next, cf_value goes_on) {
    if (number == 0)
        return CF_NO_VALUE;
    cf_loop *loop = b->loops[number];
    cf_value out = emit_loop(b, loop, join_next(b, loop, next), goes_on);
    loop->open = false;
    b->open_loop = loop->parent;
    return out;
}

void cf_while(cf_builder *b, const cf_while_spec *spec, cf_value *final, cf_while_report *report) {
    cf_value next[CF_MAX_STATES] = {{0}}, goes_on = CF_NO_VALUE;
    uint32_t number;
    size_t first = 0;
    cf_open_loop(b, spec, &number);
    if (b->status == CF_OK)
        spec->body(b, b->loops[number]->spec.context, b->loops[number]->state, next, &goes_on);
    cf_value out = cf_close_loop(b, number, next, goes_on);
    for (size_t i = 0; i < spec->states; i++) {
        size_t size = b->status == CF_OK ? cf_value_size(b, spec->initial[i]) : 0;
        final[i] = cf_slice(b, out, first, size);
        first += size;
    }
    if (report != NULL)
        *report = (cf_while_report){.failed = cf_slice(b, out, first, 1),
                                    .iterations = cf_slice(b, out, first + 1, 1)};
}

/* ---- blocks ---- */

static void block_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                       const bool *needed, cf_value *dx) {
    (void)node;
    (void)out;
    (void)dout;
    (void)needed;
    (void)dx; /* recorded.c differentiates stacks */
    cf_builder_fail(b, CF_INVALID, "a block of a stack is differentiated outside of its loop");
}

static const cf_op block_op = {
    .name = "block",
    .flags = CF_OP_BLOCK,
    .params = sizeof(cf_block_params),
    .gradient = block_rule,
};

cf_value cf_stack_block(cf_builder *b, cf_value stack, size_t blocks) {
    size_t count;
    if (b->status != CF_OK)
        return CF_NO_VALUE;
    size_t size = cf_value_size(b, stack);
    if (b->open_loop == 0 || blocks < b->loops[b->open_loop]->spec.max_iterations ||
        cf_value_kind(b, stack) != CF_UNBATCHED || size % blocks != 0)
        return cf_builder_fail(
            b, CF_INVALID, "%zu numbers are no stack of %zu blocks for the iterations of a loop",
            size, blocks);
    const cf_segment *segment = cf_segments(b, stack, &count);
    if (count != 1 || (segment->stride != 1 && segment->count != 1))
        stack = cf_copy(b, stack);
    cf_block_params params = {blocks, b->loops[b->open_loop]->backwards};
    return cf_emit(b, &block_op, CF_UNBATCHED, size / blocks, 1, &stack, CF_PARAMS(&params));
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
