/* The gradient of a loop by its recorded steps: a loop that runs backwards, each sample from its
 * own last iteration on. Its states are the cotangents of those of the first loop, how many
 * iterations remain, and a sum for each outer value that the body has read. Its body is that of the
 * first loop, emitted anew at the states on the tape, with its derivative. Sums over samples, the
 * gradients of parameters, add up over the iterations. */
#include <string.h>

#include "base/memory.h"
#include "engine/intrinsics.h"
#include "engine/loop.h"
#include "engine/walk.h"

static void nothing(const cf_call *call) {
    (void)call;
}

#ifdef CF_SIMD_X86
#define NOTHING                                                                                    \
    {                                                                                              \
        {nothing, nothing}, {nothing, nothing}, {                                                  \
            nothing, nothing                                                                       \
        }                                                                                          \
    }
#else
#define NOTHING                                                                                    \
    {                                                                                              \
        { nothing, nothing }                                                                       \
    }
#endif

static const cf_op tape_op = {.name = "a loop's tape", .flags = CF_OP_TAPE, .kernel = NOTHING};

/* The backward loop of one loop. */
typedef struct {
    cf_walk *walk;
    const cf_loop *loop; /* that is differentiated */
    uint32_t number;     /* of the loop that runs backwards */
    /* Contributions inside of that loop and outside are listed apart; these are the ones that the
     * walk does not add to now. */
    cf_contribution **others;
    size_t others_capacity, others_nodes;
    uint32_t outside;  /* the loop inside of which the walk is when it is outside of this one */
    size_t first, end; /* nodes of the body; its states, from the tape, are before */
    cf_value given[CF_MAX_STATES]; /* by the body */
    cf_value next[CF_MAX_STATES];
    size_t sums; /* states behind the cotangents and what remains: sums for node sum[i] */
    size_t sum[CF_MAX_STATES];
    bool *uniform; /* by node of the walk */
} way_back;

/* Exchanges the lists of contributions. */
static void change_sides(way_back *w) {
    cf_walk *walk = w->walk;
    cf_builder *b = walk->b;
    size_t nodes = walk->nodes, capacity = walk->contributions_capacity;
    cf_contribution **list = walk->contributions;
    if (b->status == CF_OK) /* for what has been emitted meanwhile */
        b->status =
            cf_grow(&w->others, &w->others_capacity, w->others_nodes, nodes, sizeof *w->others);
    walk->nodes = b->status == CF_OK ? nodes : w->others_nodes;
    walk->contributions = w->others;
    walk->contributions_capacity = w->others_capacity;
    w->others = list;
    w->others_capacity = capacity;
    w->others_nodes = nodes;
    walk->inside = walk->inside == w->number ? w->outside : w->number;
}

static cf_value tape_of(cf_builder *b, const cf_loop *loop) {
    cf_loop *of = b->loops[loop->number];
    size_t rows;
    if (b->status != CF_OK)
        return CF_NO_VALUE;
    if (of->tape == 0) {
        cf_value out = cf_node_value(b, of->node);
        if (!cf_size_mul(of->spec.max_iterations, of->features, &rows))
            return cf_builder_fail(b, CF_INVALID, "a loop's tape is too large");
        of->tape = b->node_count;
        return cf_emit(b, &tape_op, CF_BATCHED, rows, 1, &out, CF_NO_PARAMS);
    }
    return cf_node_value(b, of->tape);
}

static void differentiated_again(cf_walk *walk, cf_builder *b, const cf_loop *loop,
                                 const cf_value *final, const cf_value *dfinal) {
    (void)walk;
    (void)loop;
    (void) final;
    (void)dfinal;
    cf_builder_fail(b, CF_INVALID,
                    "a loop's gradient by recorded steps can be differentiated once only");
}

/* Opens the loop: states are the cotangents, NaN where the first loop has failed, and last what
 * remains. */
static void open_way_back(way_back *w, cf_builder *b, const cf_value *dfinal) {
    cf_value initial[CF_MAX_STATES];
    size_t n = w->loop->spec.states;
    if (b->status == CF_OK && n == CF_MAX_STATES)
        cf_builder_fail(b, CF_INVALID, "a loop of %zu states is too large to be recorded", n);
    if (b->status != CF_OK)
        return;
    cf_value out = cf_node_value(b, w->loop->node);
    cf_value failed = cf_slice(b, out, w->loop->features, 1);
    for (size_t i = 0; i < n; i++)
        initial[i] = cf_nan_where_failed(b, failed, dfinal[i]);
    initial[n] = cf_slice(b, out, w->loop->features + 1, 1);
    cf_while_spec spec = {.states = n + 1,
                          .initial = initial,
                          .max_iterations = w->loop->spec.max_iterations,
                          .gradient = differentiated_again};
    cf_open_loop(b, &spec, &w->number);
    if (w->number == 0)
        return;
    b->loops[w->number]->backwards = true;
    b->loops[w->number]->accumulates = b->loops[w->number]->parent == 0;
}

/* Emits the body at the states on the tape. */
static void emit_body(way_back *w, cf_builder *b, cf_value tape) {
    const cf_loop *loop = w->loop;
    cf_value read[CF_MAX_STATES], goes_on = CF_NO_VALUE;
    size_t n = loop->spec.states, first = 0;
    for (size_t i = 0; i < n && b->status == CF_OK; i++) {
        size_t size = cf_value_size(b, loop->state[i]);
        cf_value remains = b->loops[w->number]->state[n];
        read[i] = cf_read_tape(b, tape, remains, loop->features, first, size);
        first += size;
    }
    w->first = b->node_count;
    if (b->status == CF_OK)
        loop->spec.body(b, loop->spec.context, read, w->given, &goes_on);
    w->end = b->node_count;
    cf_walk_extend(w->walk, w->end);
    if (b->status != CF_OK)
        return;
    for (size_t i = 0; i < n; i++)
        w->walk->depends[w->first - n + i] = true;
    cf_walk_mark(w->walk, w->first, w->end);
}

/* Turns the sum over samples of a block's cotangent into one that produces a block an iteration,
 * for the whole stack. */
static void accumulate_stack(way_back *w, const cf_node *block, const cf_contribution *c) {
    cf_builder *b = w->walk->b;
    const cf_block_params *p = block->params;
    const cf_node *sum = cf_whole_node(b, c->cotangent);
    size_t blocks = p->blocks, count = c->features.count;
    if (b->status != CF_OK)
        return;
    if (sum == NULL || !(sum->op->flags & CF_OP_REDUCTION) || c->features.stride != 1 ||
        w->loop->spec.max_iterations != blocks || b->nodes[w->loop->node].operands == 3) {
        cf_builder_fail(b, CF_INVALID,
                        "the gradient of a stack needs a loop of as many iterations, without a "
                        "condition, that reads runs of a block as they are");
        return;
    }
    cf_node copy = *sum;
    cf_value stack = cf_emit(b, copy.op, CF_UNBATCHED, count * blocks, copy.operands, copy.operand,
                             cf_params_of(&copy));
    if (b->status != CF_OK)
        return;
    b->nodes[b->node_count - 1].blocks = (uint32_t)blocks;
    for (size_t i = 0; i < blocks; i++) {
        size_t first = count == block->size ? 0 : i * block->size + c->features.first;
        size_t size = count == block->size ? count * blocks : count;
        cf_value part = cf_slice(b, block->operand[0], first, size);
        cf_walk_accumulate(w->walk, part, cf_slice(b, stack, i * count, size));
        if (size != count)
            break;
    }
}

/* Goes back through what runs inside of the loop, from the cotangents of the next states. */
static void walk_inside(way_back *w) {
    cf_walk *walk = w->walk;
    cf_builder *b = walk->b;
    size_t n = w->loop->spec.states;
    for (size_t i = 0; i < n && b->status == CF_OK; i++) {
        const cf_value *state = b->loops[w->number]->state;
        cf_walk_accumulate(walk, w->given[i], cf_where_remaining(b, state[n], state[i]));
    }
    for (size_t m = w->end - 1; m >= w->first && b->status == CF_OK; m--) {
        const cf_node node = b->nodes[m];
        if (walk->contributions[m] == NULL || node.scope != w->number)
            continue;
        if (node.op->flags & CF_OP_BLOCK) {
            for (const cf_contribution *c = walk->contributions[m]; c != NULL; c = c->next)
                accumulate_stack(w, &node, c);
            continue;
        }
        cf_value dout = cf_walk_join(walk, m);
        if (!cf_is_none(dout))
            cf_walk_propagate(walk, m, dout);
    }
}

/* Makes the cotangent of an outer value a sum of the loop. */
static void add_sum(way_back *w, size_t m) {
    cf_builder *b = w->walk->b;
    cf_value dout = cf_walk_join(w->walk, m);
    size_t n = w->loop->spec.states + 1 + w->sums;
    if (b->status != CF_OK)
        return;
    cf_value sum = cf_add_state(b, w->number, cf_constant(b, CF_BATCHED, b->nodes[m].size, 0.0));
    if (b->status != CF_OK)
        return;
    w->next[n] = cf_add(b, sum, dout);
    w->sum[w->sums++] = m;
}

/* Whether an outer node is the same for every sample, and those before it that are listed. */
static bool is_uniform(const cf_builder *b, size_t m, const bool *uniform) {
    const cf_node *node = &b->nodes[m];
    const unsigned others = CF_OP_LANES_DIFFER | CF_OP_LOOP | CF_OP_STATE | CF_OP_TAPE;
    if (node->kind == CF_UNBATCHED || node->op->flags & CF_OP_INVARIANT)
        return true;
    bool same = node->operands > 0 && node->scope == 0 && !(node->op->flags & others);
    for (size_t i = 0; i < node->operands && same; i++) {
        size_t count;
        const cf_segment *segments = cf_segments(b, node->operand[i], &count);
        for (size_t k = 0; k < count && same; k++)
            same = uniform[segments[k].node];
    }
    return same;
}

static bool has_outer_cotangent(const way_back *w, size_t m) {
    const cf_node *node = &w->walk->b->nodes[m];
    return w->walk->contributions[m] != NULL && node->scope != w->number &&
           node->kind == CF_BATCHED;
}

/* Whether the loop has states for a sum of each outer value. */
static bool has_room(const way_back *w) {
    size_t states = w->loop->spec.states + 1;
    for (size_t m = 1; m < w->walk->nodes; m++)
        states += has_outer_cotangent(w, m);
    return states <= CF_MAX_STATES;
}

/* Finds, if there is no room for all sums, the outer values that are the same for every sample,
 * such as a bias or a row of a weight. They can do without: each iteration goes on to the
 * parameters behind them, whose sums over samples add up. */
static void find_uniform(way_back *w) {
    cf_builder *b = w->walk->b;
    size_t nodes = w->walk->nodes;
    if (b->status == CF_OK)
        b->status = cf_alloc(&w->uniform, nodes, sizeof *w->uniform);
    if (b->status != CF_OK || !b->loops[w->number]->accumulates || has_room(w))
        return;
    for (size_t m = 1; m < nodes; m++)
        w->uniform[m] = b->nodes[m].scope != w->number && is_uniform(b, m, w->uniform);
}

static void walk_uniform(way_back *w) {
    cf_builder *b = w->walk->b;
    for (size_t m = w->walk->nodes - 1; m > 0 && b->status == CF_OK; m--) {
        if (!has_outer_cotangent(w, m) || !w->uniform[m])
            continue;
        cf_value dout = cf_walk_join(w->walk, m);
        if (!cf_is_none(dout))
            cf_walk_propagate(w->walk, m, dout);
    }
}

/* Collects the next states from all that the body has contributed. */
static void list_next(way_back *w) {
    cf_builder *b = w->walk->b;
    size_t n = w->loop->spec.states, reads = b->status == CF_OK ? w->first - n : 0;
    for (size_t i = 0; i < n && b->status == CF_OK; i++) {
        w->next[i] = cf_walk_join(w->walk, reads + i);
        if (cf_is_none(w->next[i]))
            w->next[i] = cf_constant(b, CF_BATCHED, b->nodes[reads + i].size, 0.0);
    }
    if (b->status != CF_OK)
        return;
    cf_value remains = b->loops[w->number]->state[n];
    w->next[n] = cf_add(b, remains, cf_constant(b, CF_BATCHED, 1, -1.0));
    for (size_t m = 1; m < w->walk->nodes && b->status == CF_OK; m++)
        if (has_outer_cotangent(w, m) && !w->uniform[m])
            add_sum(w, m);
}

/* Moves the contributions to unbatched values, sums over samples, to the walk outside; frees the
 * others. */
static void leave_inside(way_back *w) {
    cf_walk *walk = w->walk;
    const cf_builder *b = walk->b;
    for (size_t m = 0; m < w->others_nodes; m++)
        for (cf_contribution *c = w->others[m], *next; c != NULL; c = next) {
            next = c->next;
            if (b->status == CF_OK && b->nodes[m].kind == CF_UNBATCHED &&
                b->nodes[m].scope != w->number) {
                c->next = walk->contributions[m];
                walk->contributions[m] = c;
            } else {
                cf_free(c);
            }
        }
    cf_free(w->others);
    cf_free(w->uniform);
}

/* Accumulates what the loop has found. */
static void accumulate_results(way_back *w, cf_value out) {
    cf_builder *b = w->walk->b;
    size_t n = w->loop->spec.states, first = 0;
    for (size_t i = 0; i < n + 1 + w->sums && b->status == CF_OK; i++) {
        size_t size = cf_value_size(b, b->loops[w->number]->state[i]);
        cf_value cotangent = cf_slice(b, out, first, size);
        if (i < n)
            cf_walk_accumulate(w->walk, w->loop->spec.initial[i], cotangent);
        else if (i > n)
            cf_walk_accumulate(w->walk, cf_node_value(b, w->sum[i - n - 1]), cotangent);
        first += size;
    }
    /* What the body computes of outer values alone has been hoisted out of it. */
    if (b->status == CF_OK)
        cf_walk_back(w->walk, w->first, w->walk->nodes);
}

void cf_recorded_steps(cf_walk *walk, cf_builder *b, const cf_loop *loop, const cf_value *final,
                       const cf_value *dfinal) {
    way_back w = {.walk = walk, .loop = loop, .outside = walk->inside};
    (void) final;
    cf_value tape = tape_of(b, loop);
    open_way_back(&w, b, dfinal);
    if (b->status == CF_OK)
        emit_body(&w, b, tape);
    if (b->status == CF_OK) {
        change_sides(&w);
        walk_inside(&w);
        find_uniform(&w);
        walk_uniform(&w);
        list_next(&w);
        change_sides(&w);
        leave_inside(&w);
    }
    cf_value remains = b->status == CF_OK ? w.next[loop->spec.states] : CF_NO_VALUE;
    bool counted = b->nodes[loop->node].operands < 3;
    cf_value out = cf_close_loop(b, w.number, w.next, counted ? CF_NO_VALUE : remains);
    accumulate_results(&w, out);
}
