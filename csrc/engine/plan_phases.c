/* Phases, and the values that are live across them. A reduction is complete only after all tiles,
 * so what reads it runs a phase later. */
#include "engine/planner.h"

static void raise_phase(cf_planner *p, size_t m, void *data) {
    uint32_t available = p->state[m].phase + cf_has_flag(p, m, CF_OP_REDUCTION);
    uint32_t *phase = data;
    if (available > *phase)
        *phase = available;
}

static void reject_varying_values(cf_planner *p, size_t m, void *data) {
    bool *invariant = data;
    if (p->nodes[m].kind == CF_BATCHED && !p->state[m].invariant)
        *invariant = false;
}

/* A value is the same in every tile if its op says so, or if it is elementwise and so is all that
 * it reads. */
static bool is_invariant(cf_planner *p, size_t n) {
    if (p->nodes[n].loop != 0 || cf_has_flag(p, n, CF_OP_STATE))
        return false;
    bool invariant = cf_has_flag(p, n, CF_OP_INVARIANT) ||
                     (cf_has_flag(p, n, CF_OP_ELEMENTWISE) && p->nodes[n].operands > 0);
    cf_for_each_read(p, n, reject_varying_values, &invariant);
    return invariant && p->nodes[n].kind == CF_BATCHED;
}

void cf_assign_phases(cf_planner *p) {
    uint32_t last = 0;
    p->program->lanes_alike = true;
    for (size_t n = 1; n < p->node_count; n++) {
        cf_node_state *state = &p->state[n];
        if (!state->live)
            continue;
        cf_for_each_read(p, n, raise_phase, &state->phase);
        state->invariant = is_invariant(p, n);
        if (cf_has_flag(p, n, CF_OP_LOOP))
            cf_raise_loop(p, n);
        if (cf_has_flag(p, n, CF_OP_LANES_DIFFER))
            p->program->lanes_alike = false;
        if (cf_has_flag(p, n, CF_OP_PIXELS))
            p->program->pixels = true;
        if (state->phase > last)
            last = state->phase;
    }
    p->program->phase_count = (size_t)last + 1;
}

bool cf_runs_in_tiles(const cf_planner *p, size_t n, uint32_t phase) {
    const cf_node_state *state = &p->state[n];
    return state->live && state->phase == phase && !state->invariant && state->consumer == 0 &&
           (p->nodes[n].kind == CF_BATCHED || cf_has_flag(p, n, CF_OP_REDUCTION));
}

static void mark_earlier_values(cf_planner *p, size_t m, void *data) {
    const uint32_t *phase = data;
    cf_node_state *state = &p->state[m];
    if (p->nodes[m].kind == CF_BATCHED && !state->invariant && state->phase < *phase)
        state->live_in = true;
}

void cf_find_live_in(cf_planner *p, uint32_t phase) {
    for (size_t n = 1; n < p->node_count; n++)
        p->state[n].live_in = false;
    for (size_t n = 1; n < p->node_count; n++)
        if (cf_runs_in_tiles(p, n, phase))
            cf_for_each_read(p, n, mark_earlier_values, &phase);
}

static bool is_loaded_again(const cf_planner *p, size_t n) {
    return cf_has_flag(p, n, CF_OP_INPUT) && cf_read_operands(p, n) == 0;
}

static void place_in_buffer(cf_planner *p, size_t n) {
    p->state[n].buffer = p->program->buffer_feature_rows;
    p->program->buffer_feature_rows += p->nodes[n].size;
}

void cf_place_live_across(cf_planner *p) {
    for (uint32_t phase = 1; phase < p->program->phase_count; phase++) {
        cf_find_live_in(p, phase);
        for (size_t n = 1; n < p->node_count; n++)
            if (p->state[n].live_in && !is_loaded_again(p, n) && p->state[n].buffer == CF_NO_BUFFER)
                place_in_buffer(p, n);
    }
}
