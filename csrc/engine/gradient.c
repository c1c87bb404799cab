/* Reverse mode as a transformation of the program: walks the nodes backwards, joins what was
 * contributed to each node's cotangent, and lets the op's rule emit the cotangents of its operands.
 */
#include <string.h>

#include "base/memory.h"
#include "engine/intrinsics.h"
#include "engine/walk.h"

/* One feature of a value. */
typedef struct {
    cf_value value;
    uint32_t index;
} source;

static bool value_depends(const cf_walk *s, cf_value value) {
    size_t count;
    const cf_segment *segments = cf_segments(s->b, value, &count);
    for (size_t i = 0; i < count; i++)
        if (s->depends[segments[i].node])
            return true;
    return false;
}

static void mark_wrt(cf_walk *s, cf_value wrt) {
    size_t count;
    const cf_segment *segments = cf_segments(s->b, wrt, &count);
    for (size_t k = 0; k < count; k++)
        s->depends[segments[k].node] = true;
}

void cf_walk_mark(cf_walk *s, size_t first, size_t end) {
    for (size_t n = first; n < end; n++) {
        if (s->b->nodes[n].op->gradient == cf_zero_gradient)
            continue; /* nothing before it gets a cotangent through it */
        for (size_t i = 0; i < s->b->nodes[n].operands && !s->depends[n]; i++)
            s->depends[n] = value_depends(s, s->b->nodes[n].operand[i]);
    }
}

static void contribute_segment(cf_walk *s, cf_segment segment, cf_value cotangent) {
    if (!s->depends[segment.node])
        return;
    cf_contribution *c;
    if (s->b->status != CF_OK || (s->b->status = cf_alloc(&c, 1, sizeof *c)) != CF_OK)
        return;
    *c = (cf_contribution){s->contributions[segment.node], segment, cotangent};
    s->contributions[segment.node] = c;
}

/* How many segments from `i` on repeat one of neighbouring features each, all equally often. */
static size_t count_repeated(const cf_builder *b, cf_view view, size_t i) {
    const cf_segment *first = &b->segments[view.first_segment + i];
    size_t count = 0;
    for (const cf_segment *k = first; i + count < view.segment_count; k++, count++)
        if (k->stride != 0 || k->count < 2 || k->count != first->count || k->node != first->node ||
            k->first != first->first + count)
            break;
    return count;
}

static void contribute(cf_walk *s, cf_value value, cf_value cotangent) {
    cf_builder *b = s->b;
    if (b->status != CF_OK || cf_is_none(cotangent))
        return;
    if (cf_value_size(b, value) != cf_value_size(b, cotangent)) {
        cf_builder_fail(b, CF_INVALID, "a cotangent has %zu features, its value has %zu",
                        cf_value_size(b, cotangent), cf_value_size(b, value));
        return;
    }
    const cf_view view = b->views[value.id];
    size_t first = 0;
    for (size_t i = 0, next; i < view.segment_count; i = next) {
        cf_segment segment = b->segments[view.first_segment + i];
        size_t repeated = count_repeated(b, view, i);
        next = repeated > 0 ? i + repeated : i + 1;
        size_t size = (next - i) * segment.count;
        cf_value part = cf_slice(b, cotangent, first, size);
        if (repeated > 0) {
            part = s->depends[segment.node] ? cf_sum_groups(b, part, repeated) : CF_NO_VALUE;
            segment.stride = 1;
            segment.count = (uint32_t)repeated;
        }
        contribute_segment(s, segment, part);
        first += size;
    }
}

/* Whether the next source is the feature `step` further in the same value. */
static bool follows(const source *s, uint32_t step) {
    return s[1].value.id == s->value.id && s[1].index == s->index + step;
}

/* The features of `sources` as one value. */
static cf_value gather(cf_builder *b, const source *sources, size_t count) {
    cf_value *parts, joined = CF_NO_VALUE;
    if (b->status != CF_OK || (b->status = cf_alloc(&parts, count, sizeof *parts)) != CF_OK)
        return CF_NO_VALUE;
    size_t used = 0;
    for (size_t i = 0, next; i < count; i = next) {
        bool repeated = i + 1 < count && follows(&sources[i], 0);
        for (next = i + 1; next < count && follows(&sources[next - 1], repeated ? 0 : 1);)
            next++;
        cf_value part = cf_slice(b, sources[i].value, sources[i].index, repeated ? 1 : next - i);
        parts[used++] = repeated ? cf_repeat(b, part, next - i) : part;
    }
    joined = cf_concat(b, parts, used);
    cf_free(parts);
    return joined;
}

/* Adds one contribution to the features that have one already, and uses it as it is for the others.
 * `old` and `new` have room for all features of the node. */
static void add_contribution(cf_builder *b, const cf_contribution *c, source *sum, source *old,
                             source *new) {
    size_t both = 0;
    for (uint32_t i = 0; i < c->features.count; i++) {
        size_t f = (size_t)((int64_t)c->features.first + (int64_t)i * c->features.stride);
        if (cf_is_none(sum[f].value)) {
            sum[f] = (source){c->cotangent, i};
            continue;
        }
        old[both] = sum[f];
        new[both] = (source){c->cotangent, i};
        both++;
    }
    if (both == 0)
        return;
    cf_value added = cf_add(b, gather(b, old, both), gather(b, new, both));
    both = 0;
    for (uint32_t i = 0; i < c->features.count; i++) {
        size_t f = (size_t)((int64_t)c->features.first + (int64_t)i * c->features.stride);
        if (sum[f].value.id != c->cotangent.id || sum[f].index != i)
            sum[f] = (source){added, (uint32_t)both++};
    }
}

cf_value cf_walk_join(cf_walk *s, size_t n) {
    cf_builder *b = s->b;
    const cf_contribution *only = s->contributions[n];
    if (only == NULL || b->status != CF_OK)
        return CF_NO_VALUE;
    size_t size = b->nodes[n].size;
    bool whole = only->features.first == 0 && only->features.count == size;
    if (only->next == NULL && whole && (only->features.stride == 1 || size == 1))
        return only->cotangent;
    source *sum;
    if ((b->status = cf_alloc(&sum, 3 * size, sizeof *sum)) != CF_OK)
        return CF_NO_VALUE;
    for (const cf_contribution *c = s->contributions[n]; c != NULL && b->status == CF_OK;
         c = c->next)
        add_contribution(b, c, sum, sum + size, sum + 2 * size);
    cf_value zero = CF_NO_VALUE;
    for (size_t f = 0; f < size && b->status == CF_OK; f++) {
        if (!cf_is_none(sum[f].value))
            continue;
        if (cf_is_none(zero))
            zero = cf_constant(b, b->nodes[n].kind, 1, 0.0);
        sum[f] = (source){zero, 0};
    }
    cf_value joined = gather(b, sum, size);
    cf_free(sum);
    return joined;
}

static void propagate_loop(cf_walk *s, size_t n, cf_value dout) {
    cf_builder *b = s->b;
    const cf_loop *loop = b->loops[cf_loop_of(&b->nodes[n])];
    cf_value final[CF_MAX_STATES], dfinal[CF_MAX_STATES], out = cf_node_value(b, n);
    if (loop->spec.gradient == NULL) {
        cf_builder_fail(b, CF_INVALID, "a loop that has no gradient is differentiated");
        return;
    }
    size_t first = 0;
    for (size_t i = 0; i < loop->spec.states; i++) {
        size_t size = cf_value_size(b, loop->spec.initial[i]);
        final[i] = cf_slice(b, out, first, size);
        dfinal[i] = cf_slice(b, dout, first, size);
        first += size;
    }
    loop->spec.gradient(s, b, loop, final, dfinal);
}

void cf_walk_propagate(cf_walk *s, size_t n, cf_value dout) {
    cf_builder *b = s->b;
    const cf_node node = b->nodes[n];
    bool needed[CF_MAX_OPERANDS], any = false;
    for (size_t i = 0; i < node.operands; i++)
        any |= needed[i] = value_depends(s, node.operand[i]);
    if (!any)
        return;
    if (node.op->flags & CF_OP_LOOP) {
        s->depends[n] = false; /* the rule says what the final states depend on */
        propagate_loop(s, n, dout);
        return;
    }
    if (node.op->gradient == NULL) {
        cf_builder_fail(b, CF_INVALID, "%s has no gradient: it can be differentiated once only",
                        node.op->name);
        return;
    }
    cf_value dx[CF_MAX_OPERANDS] = {{0}};
    node.op->gradient(b, &node, cf_node_value(b, n), dout, needed, dx);
    for (size_t i = 0; i < node.operands; i++)
        if (needed[i])
            contribute(s, node.operand[i], dx[i]);
}

void cf_walk_accumulate(cf_walk *walk, cf_value value, cf_value cotangent) {
    contribute(walk, value, cotangent);
}

void cf_walk_extend(cf_walk *walk, size_t end) {
    cf_builder *b = walk->b;
    if (b->status == CF_OK)
        b->status = cf_grow(&walk->depends, &walk->depends_capacity, walk->nodes, end,
                            sizeof *walk->depends);
    if (b->status == CF_OK)
        b->status = cf_grow(&walk->contributions, &walk->contributions_capacity, walk->nodes, end,
                            sizeof *walk->contributions);
    for (; b->status == CF_OK && walk->nodes < end; walk->nodes++) {
        walk->depends[walk->nodes] = false;
        walk->contributions[walk->nodes] = NULL;
    }
}

void cf_walk_back(cf_walk *walk, size_t first, size_t end) {
    for (size_t n = end - 1; n >= first && walk->b->status == CF_OK; n--) {
        if (walk->inside != 0 && walk->b->nodes[n].scope != walk->inside)
            continue;
        cf_value dout = cf_walk_join(walk, n);
        if (!cf_is_none(dout))
            cf_walk_propagate(walk, n, dout);
    }
}

void cf_walk_through(cf_walk *walk, size_t first, size_t end, size_t outputs,
                     const cf_value *output, const cf_value *cotangent) {
    cf_walk_extend(walk, end);
    if (walk->b->status != CF_OK)
        return;
    cf_walk_mark(walk, first, end);
    for (size_t i = 0; i < outputs; i++)
        contribute(walk, output[i], cotangent[i]);
    cf_walk_back(walk, first, end);
}

static void walk_backwards(cf_walk *s, size_t wrts, const cf_value *wrt, cf_value *gradient) {
    for (size_t n = s->nodes - 1; n > 0 && s->b->status == CF_OK; n--) {
        cf_value dout = cf_walk_join(s, n);
        if (cf_is_none(dout))
            continue;
        for (size_t i = 0; i < wrts; i++)
            if (cf_whole_node(s->b, wrt[i]) == &s->b->nodes[n])
                gradient[i] = dout;
        cf_walk_propagate(s, n, dout);
    }
}

static void free_contributions(cf_walk *s) {
    for (size_t n = 0; n < s->nodes; n++)
        for (cf_contribution *c = s->contributions[n], *next; c != NULL; c = next) {
            next = c->next;
            cf_free(c);
        }
}

void cf_zero_gradient(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                      const bool *needed, cf_value *dx) {
    (void)b;
    (void)node;
    (void)out;
    (void)dout;
    (void)needed;
    (void)dx; /* stays CF_NO_VALUE: zero */
}

void cf_gradient(cf_builder *b, size_t outputs, const cf_value *output, const cf_value *cotangent,
                 size_t wrts, const cf_value *wrt, cf_value *gradient) {
    memset(gradient, 0, wrts * sizeof *gradient);
    for (size_t i = 0; i < wrts && b->status == CF_OK; i++)
        if (cf_is_none(wrt[i]) || cf_whole_node(b, wrt[i]) == NULL)
            cf_builder_fail(b, CF_INVALID, "gradients are taken with respect to whole nodes");
    if (b->status != CF_OK)
        return;
    cf_walk s = {.b = b};
    cf_walk_extend(&s, b->node_count);
    if (b->status == CF_OK) {
        for (size_t i = 0; i < wrts; i++)
            mark_wrt(&s, wrt[i]);
        cf_walk_mark(&s, 1, s.nodes);
        for (size_t i = 0; i < outputs; i++)
            if (!cf_is_none(output[i]))
                contribute(&s, output[i], cotangent[i]);
        walk_backwards(&s, wrts, wrt, gradient);
        free_contributions(&s);
    }
    cf_free(s.depends);
    cf_free(s.contributions);
}
