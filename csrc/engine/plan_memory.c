/* Where values lie: unbatched values and gradients for the whole run; feature rows in the memory of
 * one tile, from the job that gives them to the last that reads them. */
#include "engine/planner.h"

#include <stdlib.h>

static void place_slab_outputs(cf_planner *p) {
    for (size_t i = 0; i < p->b->slab_output_count; i++) {
        const cf_slab_output *output = &p->b->slab_outputs[i];
        p->state[output->node].space = output->statistic ? CF_SPACE_STATISTIC : CF_SPACE_GRADIENT;
        p->state[output->node].offset = (uint32_t)output->offset;
    }
}

/* Places the first iteration's block; the others follow without gaps. */
static void place_block(cf_planner *p, size_t n) {
    size_t count;
    const cf_node *node = &p->nodes[n];
    const cf_block_params *block = node->params;
    const cf_segment *segment = cf_segments(p->b, node->operand[0], &count);
    p->state[n].space = p->state[segment->node].space;
    p->state[n].offset = p->state[segment->node].offset + segment->first;
    if (block->backwards)
        p->state[n].offset += (uint32_t)(block->blocks - 1) * node->size;
}

static cf_status place_unbatched_node(cf_planner *p, size_t n) {
    cf_node_state *state = &p->state[n];
    uint32_t elements = cf_padded_elements(p->nodes[n].size);
    if (cf_has_flag(p, n, CF_OP_PARAMETER)) {
        const cf_parameter_params *parameter = p->nodes[n].params;
        state->space = CF_SPACE_PARAMETERS;
        state->offset = (uint32_t)parameter->offset;
        return CF_OK;
    }
    if (cf_has_flag(p, n, CF_OP_BLOCK)) {
        place_block(p, n);
        return CF_OK;
    }
    if (state->space == CF_SPACE_GRADIENT || state->space == CF_SPACE_STATISTIC)
        return CF_OK;
    if (elements > INT32_MAX - p->program->unbatched_elements)
        return cf_fail(CF_NO_MEMORY, "unbatched values exceed %d numbers", INT32_MAX);
    state->space = CF_SPACE_UNBATCHED;
    state->offset = p->program->unbatched_elements;
    p->program->unbatched_elements += elements;
    return CF_OK;
}

cf_status cf_place_unbatched_nodes(cf_planner *p) {
    place_slab_outputs(p);
    for (size_t n = 1; n < p->node_count; n++)
        if (p->state[n].live && p->nodes[n].kind == CF_UNBATCHED)
            CF_TRY(place_unbatched_node(p, n));
    return CF_OK;
}

static int compare_ranges(const void *a, const void *b) {
    const struct cf_range *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

cf_status cf_find_gradient_gaps(cf_planner *p, size_t gradient_size) {
    cf_program *program = p->program;
    size_t outputs = p->b->slab_output_count, count = 0;
    struct cf_range *written;
    CF_TRY(cf_arena_alloc(&program->arena, &written, outputs + 1, sizeof *written));
    CF_TRY(cf_arena_alloc(&program->arena, &program->gradient_gaps, outputs + 1, sizeof *written));
    for (size_t i = 0; i < outputs; i++) {
        const cf_slab_output *output = &p->b->slab_outputs[i];
        uint32_t first = (uint32_t)output->offset;
        if (!output->statistic)
            written[count++] = (struct cf_range){first, first + p->nodes[output->node].size};
    }
    qsort(written, count, sizeof *written, compare_ranges);
    written[count].first = (uint32_t)gradient_size;
    uint32_t end = 0;
    for (size_t i = 0; i <= count; i++) {
        if (written[i].first > end)
            program->gradient_gaps[program->gradient_gap_count++] =
                (struct cf_range){end, written[i].first};
        end = written[i].end;
    }
    return CF_OK;
}

void cf_clear_tile(cf_planner *p) {
    cf_layout_free(&p->layout);
    for (size_t n = 1; n < p->node_count; n++)
        p->state[n].in_tile = false;
}

cf_status cf_place_invariant_node(cf_planner *p, size_t n) {
    return cf_layout_acquire(&p->layout, p->nodes[n].size, &p->state[n].offset);
}

typedef struct {
    size_t node, reads;
} read_count;

static void count_reads_of(cf_planner *p, size_t m, void *data) {
    (void)p;
    read_count *r = data;
    r->reads += m == r->node;
}

/* The operand whose feature rows elementwise node n, at `position`, may overwrite with its own, or
 * 0: it is read as a whole, by this operand alone, and not later. */
static size_t find_reusable(cf_planner *p, size_t n, uint32_t position) {
    if (!cf_has_flag(p, n, CF_OP_ELEMENTWISE) || p->state[n].producer != 0)
        return 0;
    for (size_t i = 0; i < p->nodes[n].operands; i++) {
        const cf_node *operand = cf_whole_node(p->b, p->nodes[n].operand[i]);
        if (operand == NULL || operand->kind != CF_BATCHED)
            continue;
        read_count r = {.node = (size_t)(operand - p->b->nodes)};
        cf_for_each_read(p, n, count_reads_of, &r);
        if (p->state[r.node].in_tile && p->state[r.node].last_use == position && r.reads == 1)
            return r.node;
    }
    return 0;
}

cf_status cf_place_output(cf_planner *p, size_t n, uint32_t position) {
    cf_node_state *state = &p->state[n];
    if (state->in_tile) /* a tape, which its loop has placed */
        return CF_OK;
    state->space = CF_SPACE_TILE;
    size_t reused = find_reusable(p, n, position);
    if (reused != 0) {
        state->offset = p->state[reused].offset;
        p->state[reused].in_tile = false;
    } else {
        CF_TRY(cf_layout_acquire(&p->layout, p->nodes[n].size, &state->offset));
    }
    state->in_tile = true;
    return CF_OK;
}

typedef struct {
    uint32_t position;
    cf_status status;
} release;

static void release_after(cf_planner *p, size_t m, void *data) {
    release *r = data;
    cf_node_state *state = &p->state[m];
    if (!state->in_tile || state->last_use != r->position || r->status != CF_OK)
        return;
    state->in_tile = false;
    r->status = cf_layout_release(&p->layout, state->offset, p->nodes[m].size);
}

cf_status cf_release_values(cf_planner *p, uint32_t position) {
    release r = {.position = position, .status = CF_OK};
    for (uint32_t i = cf_first_job(p, position); i <= position; i++)
        cf_for_each_job_read(p, p->jobs[i], release_after, &r);
    return r.status;
}
