/* What the graph says before anything runs or has an offset: which nodes read which, which are
 * needed, and which pairs one step computes. */
#include "engine/planner.h"

size_t cf_read_operands(const cf_planner *p, size_t n) {
    return p->nodes[n].operands - cf_has_flag(p, n, CF_OP_LAST_UNREAD);
}

static void for_each_own_read(cf_planner *p, size_t n, cf_visit visit, void *data) {
    for (size_t i = 0; i < cf_read_operands(p, n); i++) {
        size_t count;
        const cf_segment *segments = cf_segments(p->b, p->nodes[n].operand[i], &count);
        for (size_t k = 0; k < count; k++)
            visit(p, segments[k].node, data);
    }
}

void cf_for_each_read(cf_planner *p, size_t n, cf_visit visit, void *data) {
    for_each_own_read(p, n, visit, data);
    if (p->state[n].producer != 0)
        for_each_own_read(p, p->state[n].producer, visit, data);
}

static void mark_live(cf_planner *p, size_t n, void *data) {
    (void)data;
    p->state[n].live = true;
}

static void count_reader(cf_planner *p, size_t n, void *data) {
    (void)data;
    p->state[n].readers++;
}

void cf_find_live_nodes(cf_planner *p) {
    for (size_t n = 1; n < p->node_count; n++)
        p->state[n].live = cf_has_flag(p, n, CF_OP_OUTPUT);
    for (size_t i = 0; i < p->b->slab_output_count; i++)
        p->state[p->b->slab_outputs[i].node].live = true;
    /* Operands come before their readers. */
    for (size_t n = p->node_count - 1; n > 0; n--) {
        if (cf_has_flag(p, n, CF_OP_LOOP))
            p->state[n].live |= cf_is_needed_inside(p, n);
        if (p->state[n].live)
            cf_for_each_read(p, n, mark_live, NULL);
    }
    for (size_t n = 1; n < p->node_count; n++)
        if (p->state[n].live)
            cf_for_each_read(p, n, count_reader, NULL);
}

/* The operand of elementwise node n whose kernel can do n in its epilogue, or 0. */
static size_t find_producer(const cf_planner *p, size_t n) {
    for (size_t i = 0; i < p->nodes[n].operands; i++) {
        const cf_node *operand = cf_whole_node(p->b, p->nodes[n].operand[i]);
        if (operand == NULL)
            continue;
        size_t m = (size_t)(operand - p->b->nodes);
        if (cf_has_flag(p, m, CF_OP_EPILOGUE) && p->state[m].readers == 1 &&
            p->state[m].phase == p->state[n].phase && p->nodes[m].loop == p->nodes[n].loop)
            return m;
    }
    return 0;
}

void cf_fuse_epilogues(cf_planner *p) {
    for (size_t n = 1; n < p->node_count; n++) {
        if (!p->state[n].live || p->nodes[n].kind != CF_BATCHED ||
            !cf_has_flag(p, n, CF_OP_ELEMENTWISE))
            continue;
        size_t producer = find_producer(p, n);
        if (producer == 0)
            continue;
        p->state[n].producer = (uint32_t)producer;
        p->state[producer].consumer = (uint32_t)n;
    }
}
