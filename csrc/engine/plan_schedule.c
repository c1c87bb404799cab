/* The steps of one phase, in the order in which they run: unbatched steps, invariant steps, and the
 * tile list with what it restores from earlier phases and saves for later ones. */
#include "base/memory.h"
#include "engine/planner.h"

/* Parameters are in their slab already; reductions run in the tiles. */
static bool runs_before_tiles(const cf_planner *p, size_t n, uint32_t phase) {
    return p->state[n].live && p->state[n].phase == phase && p->nodes[n].kind == CF_UNBATCHED &&
           !cf_has_flag(p, n, CF_OP_PARAMETER | CF_OP_REDUCTION | CF_OP_BLOCK);
}

static cf_status fill_unbatched_steps(cf_planner *p, uint32_t phase, cf_steps *out) {
    cf_step *steps;
    size_t count = 0;
    for (size_t n = 1; n < p->node_count; n++)
        count += runs_before_tiles(p, n, phase);
    CF_TRY(cf_arena_alloc(&p->program->arena, &steps, count, sizeof *steps));
    *out = (cf_steps){steps, count};
    for (size_t n = 1; n < p->node_count; n++)
        if (runs_before_tiles(p, n, phase))
            CF_TRY(cf_fill_step(p, n, steps++));
    return CF_OK;
}

/* Invariant nodes of earlier phases run again, because a thread begins each phase with an empty
 * tile. */
static bool runs_once_a_thread(const cf_planner *p, size_t n, uint32_t phase) {
    return p->state[n].live && p->state[n].invariant && p->state[n].phase <= phase;
}

/* Invariant values are laid out first and stay: they are the same in every tile. */
static cf_status fill_invariant_steps(cf_planner *p, uint32_t phase, cf_steps *out) {
    cf_step *steps;
    size_t count = 0;
    for (size_t n = 1; n < p->node_count; n++)
        count += runs_once_a_thread(p, n, phase);
    CF_TRY(cf_arena_alloc(&p->program->arena, &steps, count, sizeof *steps));
    *out = (cf_steps){steps, count};
    for (size_t n = 1; n < p->node_count; n++) {
        if (!runs_once_a_thread(p, n, phase))
            continue;
        CF_TRY(cf_place_invariant_node(p, n));
        CF_TRY(cf_fill_step(p, n, steps++));
    }
    return CF_OK;
}

static cf_status add_job(cf_planner *p, cf_action action, size_t node) {
    CF_TRY(cf_grow(&p->jobs, &p->job_capacity, p->job_count, p->job_count + 1, sizeof *p->jobs));
    p->jobs[p->job_count++] = (cf_tile_job){action, (uint32_t)node};
    return CF_OK;
}

/* Lists the job of node n; the jobs of a loop enclose those of its body. */
static cf_status add_node_jobs(cf_planner *p, size_t n, uint32_t phase) {
    if (!cf_has_flag(p, n, CF_OP_LOOP))
        return add_job(p, CF_STEP_RUN, n);
    uint32_t loop = cf_loop_of(&p->nodes[n]);
    CF_TRY(add_job(p, CF_STEP_LOOP, n));
    for (size_t m = p->b->loops[loop]->first; m < n; m++)
        if (p->nodes[m].loop == loop && cf_runs_in_tiles(p, m, phase))
            CF_TRY(add_node_jobs(p, m, phase));
    return add_job(p, CF_STEP_LOOP_END, n);
}

static cf_status list_jobs(cf_planner *p, uint32_t phase) {
    p->job_count = 0;
    cf_find_live_in(p, phase);
    for (size_t n = 1; n < p->node_count; n++) {
        /* What is live without the buffer is an input, which is loaded again. */
        bool kept = p->state[n].buffer != CF_NO_BUFFER;
        if (p->state[n].live_in)
            CF_TRY(add_job(p, kept ? CF_STEP_RESTORE : CF_STEP_RUN, n));
    }
    for (size_t n = 1; n < p->node_count; n++) {
        if (!cf_runs_in_tiles(p, n, phase) || p->nodes[n].loop != 0)
            continue;
        CF_TRY(add_node_jobs(p, n, phase));
        if (p->state[n].buffer != CF_NO_BUFFER)
            CF_TRY(add_job(p, CF_STEP_SAVE, n));
    }
    return CF_OK;
}

static void place_accumulator(cf_planner *p, size_t n, cf_phase *phase) {
    p->state[n].accumulator = phase->accumulators;
    phase->accumulators += cf_padded_elements(p->nodes[n].size);
}

/* A loop's first step, which says what follows; its last one has the operands. */
static cf_status fill_loop_step(cf_planner *p, uint32_t position, cf_step *step) {
    uint32_t node = p->jobs[position].node, loop = cf_loop_of(&p->nodes[node]);
    size_t tape = p->b->loops[loop]->tape;
    bool records = tape != 0 && p->state[tape].live;
    if (records)
        CF_TRY(cf_place_output(p, tape, position));
    *step = (cf_step){.action = CF_STEP_LOOP,
                      .node = &p->nodes[node],
                      .inner = p->loop_end[loop] - position,
                      .iterations = p->b->loops[loop]->spec.max_iterations,
                      .records = records,
                      .tape = records ? p->state[tape].offset : 0};
    return CF_OK;
}

static cf_status fill_tile_step(cf_planner *p, uint32_t position, cf_phase *phase, cf_step *step) {
    cf_tile_job job = p->jobs[position];
    bool has_output = job.action != CF_STEP_SAVE && job.action != CF_STEP_LOOP_END;
    if (has_output && p->nodes[job.node].kind == CF_BATCHED)
        CF_TRY(cf_place_output(p, job.node, position));
    if (job.action == CF_STEP_LOOP)
        return fill_loop_step(p, position, step);
    if (cf_has_flag(p, job.node, CF_OP_REDUCTION))
        place_accumulator(p, job.node, phase);
    CF_TRY(cf_fill_step(p, job.node, step));
    step->action = job.action;
    step->buffer = p->state[job.node].buffer;
    return cf_release_values(p, position);
}

static cf_status fill_tile_steps(cf_planner *p, cf_phase *phase) {
    cf_step *steps;
    CF_TRY(cf_arena_alloc(&p->program->arena, &steps, p->job_count, sizeof *steps));
    phase->tile = (cf_steps){steps, p->job_count};
    cf_find_last_uses(p);
    for (uint32_t i = 0; i < p->job_count; i++)
        CF_TRY(fill_tile_step(p, i, phase, &steps[i]));
    return CF_OK;
}

cf_status cf_schedule_phase(cf_planner *p, uint32_t number, cf_phase *phase) {
    cf_clear_tile(p);
    CF_TRY(fill_unbatched_steps(p, number, &phase->unbatched));
    CF_TRY(list_jobs(p, number));
    if (p->job_count == 0)
        return CF_OK;
    CF_TRY(fill_invariant_steps(p, number, &phase->invariant));
    CF_TRY(fill_tile_steps(p, phase));
    if (p->layout.end > p->program->feature_rows)
        p->program->feature_rows = p->layout.end;
    return CF_OK;
}
