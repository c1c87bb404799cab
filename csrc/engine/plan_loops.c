/* What loops change in the plan: a body runs as a whole, in one phase, and reads what is outside of
 * it again in every iteration. */
#include "engine/planner.h"

static bool belongs_to(const cf_planner *p, size_t m, uint32_t loop) {
    return cf_loop_is_within(p->b, p->nodes[m].loop, loop) ||
           (cf_has_flag(p, m, CF_OP_STATE) && p->nodes[m].scope == loop);
}

bool cf_is_needed_inside(const cf_planner *p, size_t n) {
    uint32_t loop = cf_loop_of(&p->nodes[n]);
    for (size_t m = p->b->loops[loop]->first; m < n; m++)
        if (p->state[m].live && p->nodes[m].loop == loop && cf_has_flag(p, m, CF_OP_REDUCTION))
            return true;
    return false;
}

void cf_raise_loop(cf_planner *p, size_t n) {
    uint32_t loop = cf_loop_of(&p->nodes[n]);
    for (size_t m = p->b->loops[loop]->first; m < n; m++)
        if (p->state[m].live && belongs_to(p, m, loop))
            p->state[m].phase = p->state[n].phase;
}

void cf_for_each_job_read(cf_planner *p, cf_tile_job job, cf_visit visit, void *data) {
    if (job.action == CF_STEP_SAVE)
        visit(p, job.node, data);
    else if (job.action == CF_STEP_RUN || job.action == CF_STEP_LOOP_END)
        cf_for_each_read(p, job.node, visit, data);
}

typedef struct {
    uint32_t position, loop; /* of the job */
} use;

static void use_at(cf_planner *p, size_t m, void *data) {
    const use *u = data;
    uint32_t position = u->position, *last = &p->state[m].last_use;
    for (uint32_t loop = u->loop; !cf_loop_is_within(p->b, p->nodes[m].loop, loop);
         loop = p->b->loops[loop]->parent)
        position = p->loop_end[loop];
    if (position > *last)
        *last = position;
}

void cf_find_last_uses(cf_planner *p) {
    for (size_t n = 1; n < p->node_count; n++)
        p->state[n].last_use = 0;
    for (uint32_t i = 0; i < p->job_count; i++)
        if (p->jobs[i].action == CF_STEP_LOOP_END)
            p->loop_end[cf_loop_of(&p->nodes[p->jobs[i].node])] = i;
    for (uint32_t i = 0; i < p->job_count; i++) {
        use u = {i, p->nodes[p->jobs[i].node].loop};
        cf_for_each_job_read(p, p->jobs[i], use_at, &u);
    }
}

uint32_t cf_first_job(const cf_planner *p, uint32_t position) {
    uint32_t first = position;
    if (p->jobs[position].action == CF_STEP_LOOP_END)
        while (p->jobs[first].action != CF_STEP_LOOP ||
               p->jobs[first].node != p->jobs[position].node)
            first--;
    return first;
}
