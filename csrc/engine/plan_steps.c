/* The step of one node: where its operands lie, feature by feature, and the spans of features that
 * an elementwise kernel handles in one call. */
#include "base/memory.h"
#include "engine/planner.h"

/* Element or feature row of each feature of a view, with its space (unless NULL): the offsets as
 * they are now. */
static void number_features(const cf_planner *p, cf_value value, uint32_t *number, uint8_t *space) {
    size_t count, f = 0;
    const cf_segment *segments = cf_segments(p->b, value, &count);
    for (size_t k = 0; k < count; k++) {
        const cf_node_state *state = &p->state[segments[k].node];
        for (uint32_t i = 0; i < segments[k].count; i++, f++) {
            number[f] = (uint32_t)((int64_t)state->offset + segments[k].first +
                                   (int64_t)i * segments[k].stride);
            if (space != NULL)
                space[f] = (uint8_t)state->space;
        }
    }
}

static cf_status fill_batched_operand(cf_planner *p, cf_value value, cf_operand *operand) {
    uint32_t *rows;
    operand->size = (uint32_t)cf_value_size(p->b, value);
    operand->space = CF_SPACE_TILE;
    CF_TRY(cf_arena_alloc(&p->program->arena, &rows, operand->size, sizeof *rows));
    number_features(p, value, rows, NULL);
    operand->feature_rows = rows;
    return CF_OK;
}

static cf_status fill_unbatched_operand(cf_planner *p, cf_value value, cf_operand *operand) {
    size_t count;
    const cf_segment *segments = cf_segments(p->b, value, &count);
    operand->size = (uint32_t)cf_value_size(p->b, value);
    if (operand->size == 0)
        return CF_OK;
    for (size_t i = 1; i < count; i++)
        if (segments[i].node != segments->node)
            return cf_fail(CF_INVALID, "an unbatched operand lies in several values");
    operand->space = p->state[segments->node].space;
    operand->first = p->state[segments->node].offset + segments->first;
    const cf_node *node = &p->nodes[segments->node];
    if (node->op->flags & CF_OP_BLOCK) {
        const cf_block_params *block = node->params;
        operand->stride = block->backwards ? -(int32_t)node->size : (int32_t)node->size;
    }
    return CF_OK;
}

/* Whether a batched operand is a run of neighbouring feature rows; an unbatched one always is. */
static bool is_run(const cf_operand *operand) {
    for (uint32_t i = 1; operand->feature_rows != NULL && i < operand->size; i++)
        if (operand->feature_rows[i] != operand->feature_rows[i - 1] + 1)
            return false;
    return true;
}

static cf_status fill_operands(cf_planner *p, size_t n, cf_step *step) {
    step->contiguous = true;
    for (size_t i = 0; i < cf_read_operands(p, n); i++) {
        cf_value value = p->nodes[n].operand[i];
        if (cf_value_kind(p->b, value) == CF_BATCHED)
            CF_TRY(fill_batched_operand(p, value, &step->operand[i]));
        else
            CF_TRY(fill_unbatched_operand(p, value, &step->operand[i]));
        step->contiguous &= is_run(&step->operand[i]);
    }
    return CF_OK;
}

/* The numbers of all operands' features, for finding spans. */
typedef struct {
    uint32_t *number[CF_MAX_OPERANDS];
    uint8_t *space[CF_MAX_OPERANDS];
    size_t operands;
} operand_numbers;

static cf_status number_operands(const cf_planner *p, const cf_node *node, operand_numbers *o) {
    for (size_t i = 0; i < node->operands; i++) {
        CF_TRY(cf_alloc(&o->number[i], node->size, sizeof **o->number));
        CF_TRY(cf_alloc(&o->space[i], node->size, sizeof **o->space));
        number_features(p, node->operand[i], o->number[i], o->space[i]);
    }
    return CF_OK;
}

static bool starts_span(const operand_numbers *o, uint32_t f) {
    if (f == 0)
        return true;
    for (size_t i = 0; i < o->operands; i++)
        if (o->number[i][f] != o->number[i][f - 1] + 1 || o->space[i][f] != o->space[i][f - 1])
            return true;
    return false;
}

static cf_span new_span(const operand_numbers *o, uint32_t f, uint32_t out) {
    cf_span span = {.out = out + f};
    for (size_t i = 0; i < o->operands; i++) {
        span.in[i] = o->number[i][f];
        span.space[i] = o->space[i][f];
    }
    return span;
}

static cf_status find_spans(cf_planner *p, const operand_numbers *o, cf_step *step) {
    cf_span *span;
    for (uint32_t f = 0; f < step->out_size; f++)
        step->spans += starts_span(o, f);
    CF_TRY(cf_arena_alloc(&p->program->arena, &span, step->spans, sizeof *span));
    step->span = span;
    for (uint32_t f = 0; f < step->out_size; f++) {
        if (starts_span(o, f))
            *span++ = new_span(o, f, step->out);
        span[-1].count++;
    }
    return CF_OK;
}

static cf_status fill_spans(cf_planner *p, cf_step *step) {
    operand_numbers o = {.operands = step->node->operands};
    cf_status status = number_operands(p, step->node, &o);
    if (status == CF_OK)
        status = find_spans(p, &o, step);
    for (size_t i = 0; i < o.operands; i++) {
        cf_free(o.number[i]);
        cf_free(o.space[i]);
    }
    return status;
}

/* Makes `step`, n's, that of its producer, with n as the epilogue: the producer's kernel writes
 * where n does, and n's kernel reads it there. */
static cf_status fuse_producer(cf_planner *p, size_t n, cf_step *step) {
    uint32_t producer = p->state[n].producer;
    cf_step *epilogue;
    CF_TRY(cf_arena_alloc(&p->program->arena, &epilogue, 1, sizeof *epilogue));
    *epilogue = *step;
    p->state[producer].space = p->state[n].space;
    p->state[producer].offset = p->state[n].offset;
    CF_TRY(fill_operands(p, n, epilogue));
    step->node = &p->nodes[producer];
    step->epilogue = epilogue;
    return fill_operands(p, producer, step);
}

/* The kernel of a reduction that produces blocks sees one of them. */
static cf_status fill_block_step(cf_planner *p, size_t n, cf_step *step) {
    cf_node *node;
    CF_TRY(cf_arena_alloc(&p->program->arena, &node, 1, sizeof *node));
    *node = p->nodes[n];
    node->size /= node->blocks;
    step->node = node;
    step->blocks = node->blocks;
    step->out_size = node->size;
    return CF_OK;
}

cf_status cf_fill_step(cf_planner *p, size_t n, cf_step *step) {
    const cf_node_state *state = &p->state[n];
    *step = (cf_step){.node = &p->nodes[n],
                      .out_space = state->space,
                      .out = state->offset,
                      .out_size = p->nodes[n].size,
                      .accumulator = state->accumulator};
    if (p->nodes[n].blocks > 0)
        CF_TRY(fill_block_step(p, n, step));
    if (state->producer != 0)
        return fuse_producer(p, n, step);
    if (cf_has_flag(p, n, CF_OP_ELEMENTWISE))
        return fill_spans(p, step);
    return fill_operands(p, n, step);
}
