#include "engine/builder.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/philox.h"
#include "engine/intrinsics.h"

cf_status cf_builder_new(cf_builder **out, cf_mode mode) {
    cf_builder *b;
    CF_TRY(cf_alloc(out, 1, sizeof *b));
    b = *out;
    b->first_stream = CF_STREAM_LAYERS;
    /* View 0 and node 0 stand for "none", so that ids start at 1. */
    cf_status status = cf_grow(&b->views, &b->view_capacity, 0, 64, sizeof *b->views);
    if (status == CF_OK)
        status = cf_grow(&b->nodes, &b->node_capacity, 0, 64, sizeof *b->nodes);
    if (status != CF_OK) {
        cf_builder_free(b);
        *out = NULL;
        return status;
    }
    b->view_count = b->node_count = 1;
    b->mode = mode;
    return CF_OK;
}

void cf_builder_free(cf_builder *b) {
    if (b == NULL)
        return;
    cf_free(b->views);
    cf_free(b->segments);
    cf_free(b->nodes);
    cf_free(b->parameters);
    cf_free(b->slab_outputs);
    cf_free(b->loops);
    cf_arena_free(&b->arena);
    cf_free(b);
}

cf_status cf_builder_status(const cf_builder *b) {
    return b->status;
}

cf_mode cf_builder_mode(const cf_builder *b) {
    return b->mode;
}

void cf_builder_set_deterministic(cf_builder *b) {
    b->deterministic = true;
}

bool cf_builder_is_deterministic(const cf_builder *b) {
    return b->deterministic;
}

void cf_builder_set_without_log_det(cf_builder *b) {
    b->without_log_det = true;
}

bool cf_builder_wants_log_det(const cf_builder *b) {
    return !b->without_log_det;
}

void cf_builder_provide(cf_builder *b, const char *name, cf_value value) {
    if (b->provided_count == CF_MAX_PROVIDED) {
        cf_builder_fail(b, CF_INVALID, "%s: at most %d values have names", name, CF_MAX_PROVIDED);
        return;
    }
    b->provided[b->provided_count].name = name;
    b->provided[b->provided_count++].value = value;
}

cf_value cf_builder_provided(const cf_builder *b, const char *name) {
    for (size_t i = 0; i < b->provided_count; i++)
        if (strcmp(b->provided[i].name, name) == 0)
            return b->provided[i].value;
    return CF_NO_VALUE;
}

void cf_builder_ask_penalty(cf_builder *b) {
    b->wants_penalty = true;
}

bool cf_builder_wants_penalty(const cf_builder *b) {
    return b->wants_penalty;
}

void cf_builder_set_penalty(cf_builder *b, cf_value sum) {
    b->penalty = sum;
}

cf_value cf_builder_penalty(const cf_builder *b) {
    return b->penalty;
}

void cf_start_streams(cf_builder *b, uint32_t first) {
    b->first_stream = first;
}

uint32_t cf_next_stream(cf_builder *b) {
    return b->first_stream + b->streams++;
}

cf_value cf_builder_fail(cf_builder *b, cf_status code, const char *format, ...) {
    if (b->status != CF_OK)
        return CF_NO_VALUE;
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    b->status = cf_fail(code, "%s", text);
    return CF_NO_VALUE;
}

const void *cf_builder_keep(cf_builder *b, const void *data, size_t size) {
    void *copy;
    if (b->status != CF_OK || (b->status = cf_arena_alloc(&b->arena, &copy, size, 1)) != CF_OK)
        return NULL;
    if (size > 0)
        memcpy(copy, data, size);
    return copy;
}

/* Opens a view to which add_segment appends; false after a failure. */
static bool open_view(cf_builder *b, cf_kind kind) {
    if (b->status != CF_OK)
        return false;
    b->status =
        cf_grow(&b->views, &b->view_capacity, b->view_count, b->view_count + 1, sizeof *b->views);
    if (b->status != CF_OK)
        return false;
    b->views[b->view_count] = (cf_view){.kind = kind, .first_segment = b->segment_count};
    return true;
}

/* Whether `next` continues `last` in one arithmetic progression of the same node. */
static bool continues(const cf_segment *last, const cf_segment *next) {
    int64_t end = (int64_t)last->first + (int64_t)last->stride * last->count;
    if (last->node != next->node)
        return false;
    if (next->count == 1 && last->count == 1)
        return true;
    if (last->count == 1)
        return (int64_t)last->first + next->stride == next->first;
    return end == next->first && (next->count == 1 || next->stride == last->stride);
}

static void add_segment(cf_builder *b, cf_segment segment) {
    cf_view *view = &b->views[b->view_count];
    if (b->status != CF_OK || segment.count == 0)
        return;
    view->size += segment.count;
    if (b->segment_count > view->first_segment) {
        cf_segment *last = &b->segments[b->segment_count - 1];
        if (continues(last, &segment)) {
            if (last->count == 1)
                last->stride = (int32_t)((int64_t)segment.first - last->first);
            last->count += segment.count;
            return;
        }
    }
    b->status = cf_grow(&b->segments, &b->segment_capacity, b->segment_count, b->segment_count + 1,
                        sizeof *b->segments);
    if (b->status == CF_OK)
        b->segments[b->segment_count++] = segment;
}

static cf_value close_view(cf_builder *b) {
    if (b->status != CF_OK)
        return CF_NO_VALUE;
    b->views[b->view_count].segment_count =
        b->segment_count - b->views[b->view_count].first_segment;
    return (cf_value){(int32_t)b->view_count++};
}

static void remember_parameter(cf_builder *b, cf_value value) {
    if (b->status == CF_OK)
        b->status = cf_grow(&b->parameters, &b->parameter_capacity, b->parameter_count,
                            b->parameter_count + 1, sizeof *b->parameters);
    if (b->status == CF_OK)
        b->parameters[b->parameter_count++] = value;
}

cf_value cf_emit(cf_builder *b, const cf_op *op, cf_kind kind, size_t size, size_t operands,
                 const cf_value *operand, cf_params params) {
    if (b->status != CF_OK)
        return CF_NO_VALUE;
    if (size > INT32_MAX)
        return cf_builder_fail(b, CF_INVALID,
                               "%s: %zu numbers in one value, at most %d can be held", op->name,
                               size, INT32_MAX);
    cf_node node = {.op = op, .kind = kind, .size = (uint32_t)size, .operands = (uint32_t)operands};
    for (size_t i = 0; i < operands; i++) {
        if (cf_is_none(operand[i]))
            return cf_builder_fail(b, CF_INVALID, "%s: operand %zu is missing", op->name, i);
        node.operand[i] = operand[i];
        node.operand_size[i] = (uint32_t)cf_value_size(b, operand[i]);
    }
    if (params.size != op->params)
        return cf_builder_fail(b, CF_INVALID, "%s: %zu bytes of parameters, expected %zu", op->name,
                               params.size, op->params);
    if (params.size > 0 && (node.params = cf_builder_keep(b, params.data, params.size)) == NULL)
        return CF_NO_VALUE;
    if (b->loop_count > 0 && !cf_find_scope(b, &node))
        return CF_NO_VALUE;
    b->status =
        cf_grow(&b->nodes, &b->node_capacity, b->node_count, b->node_count + 1, sizeof *b->nodes);
    if (!open_view(b, kind))
        return CF_NO_VALUE;
    b->nodes[b->node_count] = node;
    add_segment(b, (cf_segment){(uint32_t)b->node_count, 0, 1, (uint32_t)size});
    b->node_count++;
    cf_value value = close_view(b);
    if (op->flags & CF_OP_PARAMETER)
        remember_parameter(b, value);
    return value;
}

cf_value cf_emitted_parameter(const cf_builder *b, size_t offset, size_t size) {
    for (size_t i = 0; i < b->parameter_count; i++) {
        const cf_node *node = cf_whole_node(b, b->parameters[i]);
        const cf_parameter_params *p = node->params;
        if (p->offset == offset && node->size == size)
            return b->parameters[i];
    }
    return CF_NO_VALUE;
}

cf_value cf_node_value(cf_builder *b, size_t index) {
    if (!open_view(b, b->nodes[index].kind))
        return CF_NO_VALUE;
    add_segment(b, (cf_segment){(uint32_t)index, 0, 1, b->nodes[index].size});
    return close_view(b);
}

size_t cf_value_size(const cf_builder *b, cf_value value) {
    return b->views[value.id].size;
}

cf_kind cf_value_kind(const cf_builder *b, cf_value value) {
    return b->views[value.id].kind;
}

const cf_segment *cf_segments(const cf_builder *b, cf_value value, size_t *count) {
    const cf_view *view = &b->views[value.id];
    *count = view->segment_count;
    return b->segments + view->first_segment;
}

const cf_node *cf_builder_node(const cf_builder *b, size_t index) {
    return &b->nodes[index];
}

size_t cf_builder_nodes(const cf_builder *b) {
    return b->node_count;
}

const cf_node *cf_whole_node(const cf_builder *b, cf_value value) {
    size_t count;
    const cf_segment *segment = cf_segments(b, value, &count);
    if (count != 1 || segment->first != 0 || (segment->stride != 1 && segment->count != 1) ||
        segment->count != b->nodes[segment->node].size)
        return NULL;
    return &b->nodes[segment->node];
}

/* Appends features [first, first + count) of `value` to the open view. */
static void add_range(cf_builder *b, cf_value value, size_t first, size_t count) {
    const cf_view view = b->views[value.id];
    for (size_t i = 0; i < view.segment_count && count > 0 && b->status == CF_OK; i++) {
        cf_segment segment = b->segments[view.first_segment + i];
        if (first >= segment.count) {
            first -= segment.count;
            continue;
        }
        size_t taken = segment.count - first < count ? segment.count - first : count;
        segment.first = (uint32_t)((int64_t)segment.first + (int64_t)first * segment.stride);
        segment.count = (uint32_t)taken;
        add_segment(b, segment);
        count -= taken;
        first = 0;
    }
}

cf_value cf_slice(cf_builder *b, cf_value value, size_t first, size_t count) {
    if (b->status != CF_OK)
        return CF_NO_VALUE;
    size_t size = cf_value_size(b, value);
    if (first > size || count > size - first)
        return cf_builder_fail(b, CF_INVALID, "features %zu to %zu of a value that has %zu", first,
                               first + count, size);
    if (!open_view(b, cf_value_kind(b, value)))
        return CF_NO_VALUE;
    add_range(b, value, first, count);
    return close_view(b);
}

cf_value cf_select(cf_builder *b, cf_value value, const int64_t *indices, size_t count) {
    if (b->status != CF_OK || !open_view(b, cf_value_kind(b, value)))
        return CF_NO_VALUE;
    size_t size = cf_value_size(b, value);
    for (size_t i = 0; i < count; i++) {
        if (indices[i] < 0 || (uint64_t)indices[i] >= size)
            return cf_builder_fail(b, CF_INVALID, "feature %lld of a value that has %zu",
                                   (long long)indices[i], size);
        add_range(b, value, (size_t)indices[i], 1);
    }
    return close_view(b);
}

cf_value cf_concat(cf_builder *b, const cf_value *values, size_t count) {
    if (b->status != CF_OK)
        return CF_NO_VALUE;
    while (count > 0 && cf_is_none(*values)) {
        values++;
        count--;
    }
    if (count == 0)
        return CF_NO_VALUE;
    cf_kind kind = cf_value_kind(b, *values);
    if (!open_view(b, kind))
        return CF_NO_VALUE;
    for (size_t i = 0; i < count; i++) {
        if (cf_is_none(values[i]))
            continue;
        if (cf_value_kind(b, values[i]) != kind)
            return cf_builder_fail(b, CF_INVALID, "batched and unbatched values cannot be joined");
        add_range(b, values[i], 0, cf_value_size(b, values[i]));
    }
    return close_view(b);
}

cf_value cf_repeat(cf_builder *b, cf_value value, size_t count) {
    if (b->status != CF_OK)
        return CF_NO_VALUE;
    if (cf_value_size(b, value) != 1)
        return cf_builder_fail(b, CF_INVALID, "only one feature can be repeated, not %zu",
                               cf_value_size(b, value));
    if (count == 1)
        return value;
    if (!open_view(b, cf_value_kind(b, value)))
        return CF_NO_VALUE;
    cf_segment segment = b->segments[b->views[value.id].first_segment];
    segment.stride = 0;
    segment.count = (uint32_t)count;
    add_segment(b, segment);
    return close_view(b);
}

cf_value cf_repeat_each(cf_builder *b, cf_value value, size_t count) {
    if (count == 1)
        return value;
    if (b->status != CF_OK || !open_view(b, cf_value_kind(b, value)))
        return CF_NO_VALUE;
    const cf_view view = b->views[value.id];
    for (size_t i = 0; i < view.segment_count && b->status == CF_OK; i++) {
        const cf_segment from = b->segments[view.first_segment + i];
        for (uint32_t k = 0; k < from.count; k++)
            add_segment(
                b, (cf_segment){.node = from.node,
                                .first = (uint32_t)((int64_t)from.first + (int64_t)k * from.stride),
                                .count = (uint32_t)count});
    }
    return close_view(b);
}

cf_value cf_merge(cf_builder *b, cf_value kept, const int64_t *indices, size_t count,
                  cf_value other, const int64_t *rest, size_t rest_count) {
    if (b->status != CF_OK)
        return CF_NO_VALUE;
    cf_value joined = cf_concat(b, (cf_value[]){kept, other}, 2);
    size_t size = count + rest_count;
    int64_t *source;
    b->status = cf_alloc(&source, size, sizeof *source);
    for (size_t i = 0; i < count && b->status == CF_OK; i++)
        source[indices[i]] = (int64_t)i;
    for (size_t i = 0; i < rest_count && b->status == CF_OK; i++)
        source[rest[i]] = (int64_t)(count + i);
    cf_value merged = cf_select(b, joined, source, size);
    cf_free(source);
    return merged;
}

/* Whether `value` is a node that may live in a slab. */
static bool can_be_output(const cf_builder *b, cf_value value) {
    const cf_node *node = cf_whole_node(b, value);
    if (node == NULL || node->op->flags & CF_OP_PARAMETER)
        return false;
    for (size_t i = 0; i < b->slab_output_count; i++)
        if (&b->nodes[b->slab_outputs[i].node] == node)
            return false;
    return true;
}

static void output_to_slab(cf_builder *b, size_t offset, cf_value value, bool statistic) {
    if (b->status == CF_OK && !can_be_output(b, value))
        value = cf_copy(b, value);
    if (b->status != CF_OK)
        return;
    b->status = cf_grow(&b->slab_outputs, &b->slab_output_capacity, b->slab_output_count,
                        b->slab_output_count + 1, sizeof *b->slab_outputs);
    if (b->status == CF_OK)
        b->slab_outputs[b->slab_output_count++] =
            (cf_slab_output){(size_t)(cf_whole_node(b, value) - b->nodes), offset, statistic};
}

void cf_output_gradient(cf_builder *b, size_t offset, cf_value value) {
    output_to_slab(b, offset, value, false);
}

void cf_output_statistic(cf_builder *b, size_t offset, cf_value value) {
    output_to_slab(b, offset, value, true);
}
