/* From the graph to a program: the stages of planning, in order. */
#include "engine/plan.h"

#include <string.h>

#include "base/memory.h"
#include "engine/planner.h"

/* The program's own nodes, with parameters of their own: the builder may be freed before it. */
static cf_status copy_nodes(cf_planner *p) {
    cf_arena *arena = &p->program->arena;
    CF_TRY(cf_arena_alloc(arena, &p->nodes, p->node_count, sizeof *p->nodes));
    memcpy(p->nodes, p->b->nodes, p->node_count * sizeof *p->nodes);
    for (size_t n = 1; n < p->node_count; n++) {
        const cf_params params = cf_params_of(&p->b->nodes[n]);
        void *copy;
        if (params.size == 0)
            continue;
        CF_TRY(cf_arena_alloc(arena, &copy, params.size, 1));
        p->nodes[n].params = memcpy(copy, params.data, params.size);
    }
    return CF_OK;
}

static cf_status open_planner(cf_planner *p) {
    CF_TRY(copy_nodes(p));
    CF_TRY(cf_alloc(&p->state, p->node_count, sizeof *p->state));
    CF_TRY(cf_alloc(&p->loop_end, p->b->loop_count, sizeof *p->loop_end));
    for (size_t n = 0; n < p->node_count; n++)
        p->state[n].buffer = CF_NO_BUFFER;
    return CF_OK;
}

static void close_planner(cf_planner *p) {
    cf_free(p->state);
    cf_free(p->jobs);
    cf_free(p->loop_end);
    cf_layout_free(&p->layout);
}

static cf_status plan(cf_planner *p, size_t gradient_size) {
    cf_program *program = p->program;
    cf_phase *phases;
    cf_find_live_nodes(p);
    cf_assign_phases(p);
    cf_fuse_epilogues(p);
    CF_TRY(cf_place_unbatched_nodes(p));
    CF_TRY(cf_find_gradient_gaps(p, gradient_size));
    cf_place_live_across(p);
    CF_TRY(cf_arena_alloc(&program->arena, &phases, program->phase_count, sizeof *phases));
    program->phases = phases;
    for (uint32_t i = 0; i < program->phase_count; i++)
        CF_TRY(cf_schedule_phase(p, i, &phases[i]));
    return CF_OK;
}

cf_status cf_program_new(cf_program **out, const cf_builder *b, size_t gradient_size) {
    *out = NULL;
    CF_TRY(b->status);
    if (gradient_size > INT32_MAX)
        return cf_fail(CF_INVALID, "%zu parameters, at most %d can be held", gradient_size,
                       INT32_MAX);
    cf_program *program;
    CF_TRY(cf_alloc(&program, 1, sizeof *program));
    cf_planner p = {.b = b, .program = program, .node_count = b->node_count};
    cf_status status = open_planner(&p);
    if (status == CF_OK)
        status = plan(&p, gradient_size);
    close_planner(&p);
    if (status != CF_OK)
        cf_program_free(program);
    else
        *out = program;
    return status;
}

void cf_program_free(cf_program *program) {
    if (program == NULL)
        return;
    cf_arena_free(&program->arena);
    cf_free(program);
}
