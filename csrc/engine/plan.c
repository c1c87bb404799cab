/* From the graph to steps: what is needed, in which phase each node runs, which pairs are fused,
 * and where values lie. */
#include "engine/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/builder.h"
#include "engine/layout.h"

enum { NOWHERE = UINT32_MAX };

/* What the planner knows of a node. */
typedef struct {
    bool live;         /* an output needs it */
    bool invariant;    /* the same in every tile */
    bool in_arena;     /* a row node: its rows are taken now */
    uint32_t phase;    /* in which it runs */
    uint32_t readers;  /* operands that read it */
    uint32_t host;     /* the elementwise node whose step runs this one, 0: none */
    uint32_t guest;    /* the other way round */
    uint32_t last_use; /* position in the present phase */
    cf_space space;
    uint32_t place;       /* first row or element */
    uint32_t accumulator; /* reductions */
    uint32_t buffer;      /* row of the buffer that crosses phases, or NOWHERE */
} plan_node;

/* One entry of a phase's tile list, before it becomes a step. */
typedef struct {
    cf_action action;
    uint32_t node;
} job;

typedef struct {
    const cf_builder *b;
    cf_program *program;
    cf_node *nodes; /* the program's copy */
    size_t count;
    plan_node *of;
    job *jobs;
    size_t job_count, job_capacity;
    cf_layout layout;
} planner;

static bool has(const planner *p, size_t n, unsigned flag) {
    return (p->nodes[n].op->flags & flag) != 0;
}

/* The operands that the kernel of n reads. */
static size_t read_operands(const planner *p, size_t n) {
    return p->nodes[n].operands - has(p, n, CF_OP_LAST_UNREAD);
}

/* Calls visit(p, m, data) for each node m that the kernel of n reads, once a segment. */
static void for_each_read(planner *p, size_t n, void (*visit)(planner *, size_t, void *),
                          void *data) {
    for (size_t i = 0; i < read_operands(p, n); i++) {
        size_t count;
        const cf_segment *segments = cf_segments(p->b, p->nodes[n].operand[i], &count);
        for (size_t k = 0; k < count; k++)
            visit(p, segments[k].node, data);
    }
}

static void mark_live(planner *p, size_t n, void *data) {
    (void)data;
    p->of[n].live = true;
}

static void count_reader(planner *p, size_t n, void *data) {
    (void)data;
    p->of[n].readers++;
}

static void find_live_nodes(planner *p) {
    for (size_t n = 1; n < p->count; n++)
        p->of[n].live = has(p, n, CF_OP_OUTPUT);
    for (size_t i = 0; i < p->b->target_count; i++)
        p->of[p->b->targets[i].node].live = true;
    for (size_t n = p->count - 1; n > 0; n--)
        if (p->of[n].live)
            for_each_read(p, n, mark_live, NULL);
    for (size_t n = 1; n < p->count; n++)
        if (p->of[n].live)
            for_each_read(p, n, count_reader, NULL);
}

static void raise_phase(planner *p, size_t m, void *data) {
    uint32_t available = p->of[m].phase + has(p, m, CF_OP_REDUCTION);
    uint32_t *phase = data;
    if (available > *phase)
        *phase = available;
}

static void not_invariant(planner *p, size_t m, void *data) {
    if (p->nodes[m].kind == CF_ROW && !p->of[m].invariant)
        *(bool *)data = false;
}

static void assign_phases(planner *p) {
    size_t last = 0;
    p->program->lanes_alike = true;
    for (size_t n = 1; n < p->count; n++) {
        if (!p->of[n].live)
            continue;
        for_each_read(p, n, raise_phase, &p->of[n].phase);
        bool invariant = has(p, n, CF_OP_INVARIANT) ||
                         (has(p, n, CF_OP_ELEMENTWISE) && p->nodes[n].operands > 0);
        for_each_read(p, n, not_invariant, &invariant);
        p->of[n].invariant = invariant && p->nodes[n].kind == CF_ROW;
        if (has(p, n, CF_OP_LANES_DIFFER))
            p->program->lanes_alike = false;
        if (p->of[n].phase > last)
            last = p->of[n].phase;
    }
    p->program->phase_count = last + 1;
}

/* The node that elementwise node n can be fused onto, or 0. */
static size_t find_guest(const planner *p, size_t n) {
    for (size_t i = 0; i < p->nodes[n].operands; i++) {
        const cf_node *operand = cf_whole_node(p->b, p->nodes[n].operand[i]);
        if (operand == NULL)
            continue;
        size_t m = (size_t)(operand - p->b->nodes);
        if (has(p, m, CF_OP_EPILOGUE) && p->of[m].readers == 1 && p->of[m].phase == p->of[n].phase)
            return m;
    }
    return 0;
}

static void fuse(planner *p) {
    for (size_t n = 1; n < p->count; n++) {
        if (!p->of[n].live || p->nodes[n].kind != CF_ROW || !has(p, n, CF_OP_ELEMENTWISE))
            continue;
        size_t guest = find_guest(p, n);
        if (guest == 0)
            continue;
        p->of[n].guest = (uint32_t)guest;
        p->of[guest].host = (uint32_t)n;
    }
}

static cf_status place_shared_node(planner *p, size_t n) {
    plan_node *node = &p->of[n];
    uint32_t padded = (p->nodes[n].size + 15) / 16 * 16;
    if (has(p, n, CF_OP_PARAMETER)) {
        node->space = CF_SPACE_PARAMETERS;
        node->place = (uint32_t)p->nodes[n].attributes.integer[0];
        return CF_OK;
    }
    if (node->space != CF_SPACE_GRADIENT) {
        if (padded > INT32_MAX - p->program->shared_elements)
            return cf_fail(CF_NO_MEMORY, "shared values exceed %d numbers", INT32_MAX);
        node->space = CF_SPACE_SHARED;
        node->place = p->program->shared_elements;
        p->program->shared_elements += padded;
    }
    return CF_OK;
}

static cf_status place_shared_nodes(planner *p) {
    for (size_t i = 0; i < p->b->target_count; i++) {
        const cf_target *target = &p->b->targets[i];
        p->of[target->node].space = CF_SPACE_GRADIENT;
        p->of[target->node].place = (uint32_t)target->offset;
    }
    for (size_t n = 1; n < p->count; n++)
        if (p->of[n].live && p->nodes[n].kind == CF_SHARED)
            CF_TRY(place_shared_node(p, n));
    return CF_OK;
}

static int compare_ranges(const void *a, const void *b) {
    const struct cf_range *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

/* The complement of the targets in the gradient slab. */
static cf_status find_gradient_gaps(planner *p, size_t gradient_size) {
    cf_program *program = p->program;
    size_t count = p->b->target_count;
    struct cf_range *written;
    CF_TRY(cf_pile_take(&program->pile, &written, count + 1, sizeof *written));
    CF_TRY(cf_pile_take(&program->pile, &program->gradient_gaps, count + 1, sizeof *written));
    for (size_t i = 0; i < count; i++) {
        uint32_t first = (uint32_t)p->b->targets[i].offset;
        written[i] = (struct cf_range){first, first + p->nodes[p->b->targets[i].node].size};
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

/* Element or row number of each feature of a view, with its space: the places as they are now. */
static void number_features(const planner *p, cf_value value, uint32_t *number, uint8_t *space) {
    size_t count, f = 0;
    const cf_segment *segments = cf_segments(p->b, value, &count);
    for (size_t k = 0; k < count; k++) {
        const plan_node *node = &p->of[segments[k].node];
        for (uint32_t i = 0; i < segments[k].count; i++, f++) {
            number[f] = (uint32_t)((int64_t)node->place + segments[k].first +
                                   (int64_t)i * segments[k].stride);
            if (space != NULL)
                space[f] = (uint8_t)node->space;
        }
    }
}

static cf_status fill_row_operand(planner *p, cf_value value, cf_operand *operand) {
    uint32_t *rows;
    operand->size = (uint32_t)cf_value_size(p->b, value);
    operand->space = CF_SPACE_TILE;
    CF_TRY(cf_pile_take(&p->program->pile, &rows, operand->size, sizeof *rows));
    number_features(p, value, rows, NULL);
    operand->rows = rows;
    return CF_OK;
}

static cf_status fill_shared_operand(planner *p, cf_value value, cf_operand *operand) {
    size_t count;
    const cf_segment *segments = cf_segments(p->b, value, &count);
    operand->size = (uint32_t)cf_value_size(p->b, value);
    if (operand->size == 0)
        return CF_OK;
    if (count != 1 || (segments->stride != 1 && segments->count > 1))
        return cf_fail(CF_INVALID, "a shared operand is not contiguous");
    operand->space = p->of[segments->node].space;
    operand->first = p->of[segments->node].place + segments->first;
    return CF_OK;
}

/* Whether a row operand is a run of neighbouring rows; a shared one always is. */
static bool is_run(const cf_operand *operand) {
    for (uint32_t i = 1; operand->rows != NULL && i < operand->size; i++)
        if (operand->rows[i] != operand->rows[i - 1] + 1)
            return false;
    return true;
}

static cf_status fill_operands(planner *p, size_t n, cf_step *step) {
    step->contiguous = true;
    for (size_t i = 0; i < read_operands(p, n); i++) {
        cf_value value = p->nodes[n].operand[i];
        if (cf_value_kind(p->b, value) == CF_ROW)
            CF_TRY(fill_row_operand(p, value, &step->operand[i]));
        else
            CF_TRY(fill_shared_operand(p, value, &step->operand[i]));
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

static bool contiguous_at(const operand_numbers *o, uint32_t f) {
    for (size_t i = 0; i < o->operands; i++)
        if (o->number[i][f] != o->number[i][f - 1] + 1 || o->space[i][f] != o->space[i][f - 1])
            return false;
    return true;
}

static cf_status find_spans(planner *p, const operand_numbers *o, uint32_t size, cf_step *step) {
    size_t spans = size > 0;
    cf_span *span;
    for (uint32_t f = 1; f < size; f++)
        spans += !contiguous_at(o, f);
    CF_TRY(cf_pile_take(&p->program->pile, &span, spans, sizeof *span));
    step->span = span;
    step->spans = spans;
    for (uint32_t f = 0; f < size; f++) {
        if (f > 0 && contiguous_at(o, f)) {
            span[-1].count++;
            continue;
        }
        *span = (cf_span){.count = 1, .out = step->out + f};
        for (size_t i = 0; i < o->operands; i++) {
            span->in[i] = o->number[i][f];
            span->space[i] = o->space[i][f];
        }
        span++;
    }
    return CF_OK;
}

static cf_status fill_spans(planner *p, size_t n, cf_step *step) {
    const cf_node *node = &p->nodes[n];
    operand_numbers o = {.operands = node->operands};
    cf_status status = CF_OK;
    for (size_t i = 0; i < node->operands && status == CF_OK; i++) {
        status = cf_alloc(&o.number[i], node->size, sizeof **o.number);
        if (status == CF_OK)
            status = cf_alloc(&o.space[i], node->size, sizeof **o.space);
        if (status == CF_OK)
            number_features(p, node->operand[i], o.number[i], o.space[i]);
    }
    if (status == CF_OK)
        status = find_spans(p, &o, node->size, step);
    for (size_t i = 0; i < node->operands; i++) {
        cf_free(o.number[i]);
        cf_free(o.space[i]);
    }
    return status;
}

/* The step of node n, whose output and operands have their places. */
static cf_status fill_step(planner *p, size_t n, cf_step *step) {
    const plan_node *node = &p->of[n];
    *step = (cf_step){.node = &p->nodes[n],
                      .out_space = node->space,
                      .out = node->place,
                      .out_size = p->nodes[n].size,
                      .accumulator = node->accumulator};
    if (node->guest != 0) {
        cf_step *epilogue;
        CF_TRY(cf_pile_take(&p->program->pile, &epilogue, 1, sizeof *epilogue));
        *epilogue = *step;
        p->of[node->guest].space = node->space;
        p->of[node->guest].place = node->place;
        CF_TRY(fill_operands(p, n, epilogue));
        step->node = &p->nodes[node->guest];
        step->epilogue = epilogue;
        return fill_operands(p, node->guest, step);
    }
    if (has(p, n, CF_OP_ELEMENTWISE))
        return fill_spans(p, n, step);
    return fill_operands(p, n, step);
}

static cf_status fill_shared_steps(planner *p, uint32_t phase, cf_steps *out) {
    cf_step *steps;
    size_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1)
            CF_TRY(cf_pile_take(&p->program->pile, &steps, count, sizeof *steps));
        count = 0;
        for (size_t n = 1; n < p->count; n++) {
            if (!p->of[n].live || p->of[n].phase != phase || p->nodes[n].kind != CF_SHARED ||
                has(p, n, CF_OP_PARAMETER | CF_OP_REDUCTION))
                continue;
            if (pass == 1)
                CF_TRY(fill_step(p, n, &steps[count]));
            count++;
        }
    }
    *out = (cf_steps){steps, count};
    return CF_OK;
}

/* Invariant rows are laid out first and stay: they are the same in every tile. */
static cf_status fill_invariant_steps(planner *p, uint32_t phase, cf_steps *out) {
    cf_step *steps;
    size_t count = 0;
    for (size_t n = 1; n < p->count; n++)
        count += p->of[n].live && p->of[n].invariant && p->of[n].phase <= phase;
    CF_TRY(cf_pile_take(&p->program->pile, &steps, count, sizeof *steps));
    *out = (cf_steps){steps, count};
    for (size_t n = 1; n < p->count; n++) {
        if (!p->of[n].live || !p->of[n].invariant || p->of[n].phase > phase)
            continue;
        CF_TRY(cf_layout_take(&p->layout, p->nodes[n].size, &p->of[n].place));
        CF_TRY(fill_step(p, n, steps++));
    }
    return CF_OK;
}

static cf_status add_job(planner *p, cf_action action, size_t node) {
    CF_TRY(cf_grow(&p->jobs, &p->job_capacity, p->job_count, p->job_count + 1, sizeof *p->jobs));
    p->jobs[p->job_count++] = (job){action, (uint32_t)node};
    return CF_OK;
}

/* Whether node n is done tile by tile in the given phase, at a place of its own in the list. */
static bool runs_in_tiles(const planner *p, size_t n, uint32_t phase) {
    const plan_node *node = &p->of[n];
    return node->live && node->phase == phase && !node->invariant && node->host == 0 &&
           (p->nodes[n].kind == CF_ROW || has(p, n, CF_OP_REDUCTION));
}

typedef struct {
    uint32_t phase;
    uint8_t *needed; /* by node */
} crossing;

static void need_earlier_rows(planner *p, size_t m, void *data) {
    crossing *c = data;
    const plan_node *node = &p->of[m];
    if (p->nodes[m].kind == CF_ROW && !node->invariant && node->phase < c->phase)
        c->needed[m] = 1;
}

/* Marks the rows of earlier phases that tiles of `phase` read. */
static void find_crossings(planner *p, crossing *c) {
    memset(c->needed, 0, p->count);
    for (size_t n = 1; n < p->count; n++) {
        if (!runs_in_tiles(p, n, c->phase))
            continue;
        for_each_read(p, n, need_earlier_rows, c);
        if (p->of[n].guest != 0)
            for_each_read(p, p->of[n].guest, need_earlier_rows, c);
    }
}

/* Inputs are loaded again rather than kept. */
static bool is_loaded_again(const planner *p, size_t n) {
    return has(p, n, CF_OP_INPUT) && read_operands(p, n) == 0;
}

/* Gives every row that crosses from one phase to a later one, inputs excepted, rows of the buffer.
 */
static cf_status place_crossing_rows(planner *p, uint8_t *needed) {
    for (uint32_t phase = 1; phase < p->program->phase_count; phase++) {
        crossing c = {phase, needed};
        find_crossings(p, &c);
        for (size_t n = 1; n < p->count; n++) {
            if (!needed[n] || is_loaded_again(p, n) || p->of[n].buffer != NOWHERE)
                continue;
            p->of[n].buffer = p->program->buffer_rows;
            p->program->buffer_rows += p->nodes[n].size;
        }
    }
    return CF_OK;
}

static cf_status list_jobs(planner *p, uint32_t phase, uint8_t *needed) {
    crossing c = {phase, needed};
    find_crossings(p, &c);
    p->job_count = 0;
    for (size_t n = 1; n < p->count; n++)
        if (needed[n])
            CF_TRY(add_job(p, is_loaded_again(p, n) ? CF_STEP_RUN : CF_STEP_RESTORE, n));
    for (size_t n = 1; n < p->count; n++) {
        if (!runs_in_tiles(p, n, phase))
            continue;
        CF_TRY(add_job(p, CF_STEP_RUN, n));
        if (p->of[n].buffer != NOWHERE)
            CF_TRY(add_job(p, CF_STEP_SAVE, n));
    }
    return CF_OK;
}

static void use_at(planner *p, size_t m, void *data) {
    p->of[m].last_use = *(uint32_t *)data;
}

/* Calls visit for each node that a job reads. */
static void for_each_job_read(planner *p, job j, void (*visit)(planner *, size_t, void *),
                              void *data) {
    if (j.action == CF_STEP_SAVE)
        visit(p, j.node, data);
    if (j.action != CF_STEP_RUN)
        return;
    for_each_read(p, j.node, visit, data);
    if (p->of[j.node].guest != 0)
        for_each_read(p, p->of[j.node].guest, visit, data);
}

typedef struct {
    uint32_t position;
    cf_status status;
} release;

static void release_after(planner *p, size_t m, void *data) {
    release *r = data;
    plan_node *node = &p->of[m];
    if (!node->in_arena || node->last_use != r->position || r->status != CF_OK)
        return;
    node->in_arena = false;
    r->status = cf_layout_give(&p->layout, node->place, p->nodes[m].size);
}

typedef struct {
    size_t node;
    size_t reads;
} read_count;

static void count_reads_of(planner *p, size_t m, void *data) {
    (void)p;
    read_count *r = data;
    r->reads += m == r->node;
}

/* The operand whose rows elementwise node n, at `position`, may overwrite with its own; 0 if none.
 */
static size_t find_reusable(planner *p, size_t n, uint32_t position) {
    if (!has(p, n, CF_OP_ELEMENTWISE) || p->of[n].guest != 0)
        return 0;
    for (size_t i = 0; i < p->nodes[n].operands; i++) {
        const cf_node *operand = cf_whole_node(p->b, p->nodes[n].operand[i]);
        if (operand == NULL || operand->kind != CF_ROW)
            continue;
        read_count r = {.node = (size_t)(operand - p->b->nodes)};
        for_each_read(p, n, count_reads_of, &r);
        if (p->of[r.node].in_arena && p->of[r.node].last_use == position && r.reads == 1)
            return r.node;
    }
    return 0;
}

static cf_status place_output(planner *p, size_t n, uint32_t position) {
    plan_node *node = &p->of[n];
    if (p->nodes[n].kind != CF_ROW)
        return CF_OK;
    node->space = CF_SPACE_TILE;
    size_t reused = find_reusable(p, n, position);
    if (reused != 0) {
        node->place = p->of[reused].place;
        p->of[reused].in_arena = false;
    } else {
        CF_TRY(cf_layout_take(&p->layout, p->nodes[n].size, &node->place));
    }
    node->in_arena = true;
    return CF_OK;
}

static cf_status fill_tile_steps(planner *p, cf_phase *phase) {
    cf_step *steps;
    CF_TRY(cf_pile_take(&p->program->pile, &steps, p->job_count, sizeof *steps));
    phase->tile = (cf_steps){steps, p->job_count};
    for (uint32_t i = 0; i < p->job_count; i++)
        for_each_job_read(p, p->jobs[i], use_at, &i);
    for (uint32_t i = 0; i < p->job_count; i++) {
        job j = p->jobs[i];
        plan_node *node = &p->of[j.node];
        if (j.action != CF_STEP_SAVE)
            CF_TRY(place_output(p, j.node, i));
        if (has(p, j.node, CF_OP_REDUCTION)) {
            node->accumulator = phase->accumulators;
            phase->accumulators += (p->nodes[j.node].size + 15) / 16 * 16;
        }
        CF_TRY(fill_step(p, j.node, &steps[i]));
        steps[i].action = j.action;
        steps[i].buffer = node->buffer;
        release r = {.position = i};
        for_each_job_read(p, j, release_after, &r);
        CF_TRY(r.status);
    }
    return CF_OK;
}

static cf_status plan_phase(planner *p, uint32_t number, uint8_t *needed, cf_phase *phase) {
    cf_layout_free(&p->layout);
    for (size_t n = 1; n < p->count; n++)
        p->of[n].in_arena = false;
    CF_TRY(fill_shared_steps(p, number, &phase->shared));
    CF_TRY(list_jobs(p, number, needed));
    if (p->job_count == 0)
        return CF_OK;
    CF_TRY(fill_invariant_steps(p, number, &phase->invariant));
    CF_TRY(fill_tile_steps(p, phase));
    if (p->layout.end > p->program->arena_rows)
        p->program->arena_rows = p->layout.end;
    return CF_OK;
}

static cf_status plan(planner *p, size_t gradient_size, uint8_t *needed) {
    cf_phase *phases;
    find_live_nodes(p);
    assign_phases(p);
    fuse(p);
    CF_TRY(place_shared_nodes(p));
    CF_TRY(find_gradient_gaps(p, gradient_size));
    CF_TRY(place_crossing_rows(p, needed));
    CF_TRY(cf_pile_take(&p->program->pile, &phases, p->program->phase_count, sizeof *phases));
    p->program->phases = phases;
    for (uint32_t i = 0; i < p->program->phase_count; i++)
        CF_TRY(plan_phase(p, i, needed, &phases[i]));
    return CF_OK;
}

static cf_status new_planner(planner *p, const cf_builder *b, cf_program *program) {
    *p = (planner){.b = b, .program = program, .count = b->node_count};
    CF_TRY(cf_pile_take(&program->pile, &p->nodes, p->count, sizeof *p->nodes));
    memcpy(p->nodes, b->nodes, p->count * sizeof *p->nodes);
    CF_TRY(cf_alloc(&p->of, p->count, sizeof *p->of));
    for (size_t n = 0; n < p->count; n++)
        p->of[n].buffer = NOWHERE;
    return CF_OK;
}

cf_status cf_program_new(cf_program **out, const cf_builder *b, size_t gradient_size) {
    planner p = {0};
    uint8_t *needed = NULL;
    *out = NULL;
    CF_TRY(b->status);
    if (gradient_size > INT32_MAX)
        return cf_fail(CF_INVALID, "%zu parameters, at most %d can be held", gradient_size,
                       INT32_MAX);
    cf_program *program;
    CF_TRY(cf_alloc(&program, 1, sizeof *program));
    cf_status status = new_planner(&p, b, program);
    if (status == CF_OK)
        status = cf_alloc(&needed, p.count, 1);
    if (status == CF_OK)
        status = plan(&p, gradient_size, needed);
    cf_free(needed);
    cf_free(p.of);
    cf_free(p.jobs);
    cf_layout_free(&p.layout);
    if (status != CF_OK)
        cf_program_free(program);
    else
        *out = program;
    return status;
}

void cf_program_free(cf_program *program) {
    if (program == NULL)
        return;
    cf_pile_free(&program->pile);
    cf_free(program);
}
