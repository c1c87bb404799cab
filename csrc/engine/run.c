/* Running a plan: phases in order; in each, units of work (groups of tiles) handed to threads in
 * ascending order. */
#include "engine/run.h"

#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"
#include "base/pool.h"
#include "engine/workspace.h"
#include "engine/loop_kernels.h"
#include "engine/reduce.h"
#include "engine/tile.h"

/* One run: what all its threads share. */
typedef struct {
    const cf_program *program;
    const cf_run_args *args;
    const cf_phase *phase;
    cf_simd_level level;
    cf_tiling tiling;
    size_t element;      /* bytes */
    size_t units;        /* of the present phase */
    atomic_size_t next;  /* unit not yet taken */
    size_t thread_bytes; /* of one thread: slices and scratch */
    size_t slice_bytes;  /* of the memory of one slice */
    size_t accumulators; /* elements of one group's accumulators, over all phases */
    char *unbatched, *groups, *buffer, *thread_memory;
} cf_running;

static void run_elementwise(const cf_call *call) {
    const cf_step *step = call->step;
    cf_elementwise kernel = step->node->op->elementwise[call->level][call->dtype];
    size_t element = cf_dtype_size(call->dtype);
    size_t unit = step->out_space == CF_SPACE_TILE ? call->lanes : 1;
    for (size_t s = 0; s < step->spans; s++) {
        const cf_span *span = &step->span[s];
        const void *in[CF_MAX_OPERANDS];
        for (size_t i = 0; i < step->node->operands; i++)
            in[i] = call->base[span->space[i]] + span->in[i] * unit * element;
        kernel(step->node->params, span->count * unit, in,
               call->base[step->out_space] + span->out * unit * element);
    }
}

void cf_run_epilogue(const void *context, size_t first, size_t count, size_t lane, size_t width) {
    const cf_call *call = context;
    const cf_step *step = call->step->epilogue;
    cf_elementwise kernel = step->node->op->elementwise[call->level][call->dtype];
    size_t element = cf_dtype_size(call->dtype);
    char *tile = call->base[CF_SPACE_TILE] + lane * element;
    /* Whole neighbouring feature rows are one chunk. */
    size_t together = step->contiguous && width == call->lanes ? count : 1;
    for (size_t end = first + count; first < end; first += together) {
        const void *in[CF_MAX_OPERANDS];
        for (size_t i = 0; i < step->node->operands; i++)
            in[i] = tile + step->operand[i].feature_rows[first] * call->lanes * element;
        kernel(step->node->params, together * width, in,
               tile + (step->out + first) * call->lanes * element);
    }
}

/* Copies a node's feature rows to or from the buffer of what is live across phases. */
static void save_or_restore(const cf_running *run, const cf_call *call) {
    const cf_step *step = call->step;
    size_t row_bytes = call->lanes * run->element;
    size_t slice = call->sample / call->lanes;
    char *kept =
        run->buffer + (slice * run->program->buffer_feature_rows + step->buffer) * row_bytes;
    char *here = call->base[CF_SPACE_TILE] + step->out * row_bytes;
    if (step->action == CF_STEP_SAVE)
        memcpy(kept, here, step->out_size * row_bytes);
    else
        memcpy(here, kept, step->out_size * row_bytes);
}

static inline void run_step(const cf_running *run, cf_call *call, const cf_step *step) {
    call->step = step;
    if (step->action != CF_STEP_RUN) {
        save_or_restore(run, call);
        return;
    }
    const cf_op *op = step->node->op;
    if (op->flags & CF_OP_ELEMENTWISE) {
        run_elementwise(call);
        return;
    }
    if (!(op->flags & CF_OP_REDUCTION) || call->out == NULL)
        call->out = call->base[step->out_space] +
                    step->out * (step->out_space == CF_SPACE_TILE ? call->lanes : 1) * run->element;
    op->kernel[call->level][call->dtype](call);
}

/* Group 0 adds up in the reductions' own memory, the others in theirs of the group memory. */
static void *accumulator(const cf_running *run, const cf_step *step, size_t group) {
    if (group == 0)
        return NULL;
    return run->groups + ((group - 1) * run->accumulators + step->accumulator) * run->element;
}

static void run_loop(const cf_running *run, cf_call *call, const cf_step *loop);

/* A reduction in the body of a loop: over the iterations too, or a block for each of them. */
static void run_inner_reduction(const cf_running *run, cf_call *call, const cf_step *step) {
    char *out = accumulator(run, step, call->group);
    if (out == NULL)
        out = call->base[step->out_space] + step->out * run->element;
    if (step->blocks > 0)
        out += (step->blocks - 1 - call->iteration) * step->out_size * run->element;
    call->out = out;
    call->accumulate = call->begun || (step->blocks == 0 && call->iteration > 0);
    run_step(run, call, step);
}

static void run_steps(const cf_running *run, cf_call *call, cf_steps steps) {
    for (size_t i = 0; i < steps.count; i += 1 + steps.steps[i].inner) {
        call->out = NULL;
        const cf_step *step = &steps.steps[i];
        if (step->action == CF_STEP_LOOP)
            run_loop(run, call, step);
        else if (step->node->op->flags & CF_OP_REDUCTION)
            run_inner_reduction(run, call, step);
        else
            run_step(run, call, step);
    }
}

/* A loop in one slice: until none of its samples goes on. */
static void run_loop(const cf_running *run, cf_call *call, const cf_step *loop) {
    const cf_loop_kernels *kernels = &cf_loop_kernels_of[run->level][run->args->dtype];
    const cf_step *end = loop + loop->inner;
    cf_steps body = {loop + 1, loop->inner - 1};
    size_t outer = call->iteration;
    bool goes_on = true;
    kernels->begin(call, end);
    for (call->iteration = 0; goes_on && call->iteration < loop->iterations; call->iteration++) {
        if (loop->records)
            kernels->record(call, end, loop->tape + call->iteration * end->operand[0].size);
        run_steps(run, call, body);
        goes_on = kernels->advance(call, end);
    }
    kernels->finish(call, end);
    call->iteration = outer;
}

/* Sets the call to the samples from `sample` on, `max` of them if there are so many. */
static void set_samples(const cf_running *run, cf_call *call, size_t sample, size_t max) {
    size_t left = run->args->samples - sample;
    call->sample = sample;
    call->samples = left < max ? left : max;
    call->one_sample = call->samples == 1 && run->program->lanes_alike;
}

/* Sets the call to a thread's memory of a slice. */
static void set_slice(const cf_running *run, cf_call *call, int participant, size_t slice) {
    call->base[CF_SPACE_TILE] =
        run->thread_memory + (size_t)participant * run->thread_bytes + slice * run->slice_bytes;
}

/* `begun`: whether the group had a tile before. */
static void run_tile(const cf_running *run, cf_call *call, int participant, size_t tile,
                     size_t group, bool begun) {
    size_t lanes = run->tiling.lanes, tile_samples = lanes * run->tiling.slices;
    size_t first = tile * tile_samples, samples = run->args->samples;
    size_t end = samples - first < tile_samples ? samples : first + tile_samples;
    const cf_step *steps = run->phase->tile.steps;
    call->group = group;
    for (size_t i = 0; i < run->phase->tile.count; i += 1 + steps[i].inner) {
        const cf_step *step = &steps[i];
        bool reduction = (step->node->op->flags & CF_OP_REDUCTION) != 0;
        size_t together = reduction ? tile_samples : lanes;
        for (size_t sample = first; sample < end; sample += together) {
            set_slice(run, call, participant, (sample - first) / lanes);
            set_samples(run, call, sample, together);
            call->out = reduction ? accumulator(run, step, group) : NULL;
            if (step->action == CF_STEP_LOOP) {
                call->begun = begun || sample > first;
                run_loop(run, call, step);
                continue;
            }
            call->accumulate = begun;
            run_step(run, call, step);
        }
    }
}

static cf_call new_call(const cf_running *run) {
    const cf_run_args *args = run->args;
    cf_call call = {.run = args,
                    .lanes = run->tiling.lanes,
                    .slice_bytes = run->slice_bytes,
                    .level = run->level,
                    .dtype = args->dtype};
    call.base[CF_SPACE_PARAMETERS] = (char *)args->parameters;
    call.base[CF_SPACE_UNBATCHED] = run->unbatched;
    call.base[CF_SPACE_GRADIENT] = args->gradients;
    call.base[CF_SPACE_STATISTIC] = args->statistics;
    return call;
}

/* One thread's part of a phase. */
static void work(void *context, int participant) {
    cf_running *run = context;
    cf_call call = new_call(run);
    set_slice(run, &call, participant, run->tiling.slices);
    call.scratch = call.base[CF_SPACE_TILE]; /* behind the last slice */
    bool ready = false;
    for (;;) {
        size_t unit = atomic_fetch_add(&run->next, 1);
        if (unit >= run->units)
            return;
        for (size_t slice = 0; !ready && slice < run->tiling.slices; slice++) {
            set_slice(run, &call, participant, slice);
            run_steps(run, &call, run->phase->invariant);
        }
        ready = true;
        size_t first = unit * run->tiling.tiles / run->units;
        size_t end = (unit + 1) * run->tiling.tiles / run->units;
        for (size_t tile = first; tile < end; tile++)
            run_tile(run, &call, participant, tile, unit, tile > first);
    }
}

/* Adds the other groups' sums to those of group 0; if there was no sample, clears them. */
static void finish_reduction(const cf_running *run, const cf_step *step) {
    cf_call call = new_call(run);
    char *out = call.base[step->out_space] + step->out * run->element;
    size_t size = step->blocks > 0 ? (size_t)step->blocks * step->out_size : step->out_size;
    if (run->args->samples == 0)
        memset(out, 0, size * run->element);
    else
        cf_reduce[run->level][run->args->dtype](size, run->units - 1, run->accumulators,
                                                accumulator(run, step, 1), out);
}

/* One thread's part of that: it takes the steps one by one. */
static void reduce_work(void *context, int participant) {
    cf_running *run = context;
    (void)participant;
    for (;;) {
        size_t i = atomic_fetch_add(&run->next, 1);
        if (i >= run->phase->tile.count)
            return;
        const cf_step *step = &run->phase->tile.steps[i];
        if (step->action == CF_STEP_RUN && step->node->op->flags & CF_OP_REDUCTION)
            finish_reduction(run, step);
    }
}

static void finish_reductions(cf_running *run) {
    enum { WORTH_WAKING = 32768 }; /* elements: below, waking a thread costs more than it saves */
    size_t work_size = run->accumulators * run->units;
    atomic_store(&run->next, 0);
    cf_pool_run(work_size > WORTH_WAKING ? run->args->threads : 1, reduce_work, run);
}

static void run_phase(cf_running *run, const cf_phase *phase) {
    cf_call call = new_call(run);
    call.lanes = 1;
    run->phase = phase;
    run_steps(run, &call, phase->unbatched);
    if (phase->tile.count == 0)
        return;
    run->units = phase->accumulators > 0 ? run->tiling.groups : run->tiling.tiles;
    atomic_store(&run->next, 0);
    int threads = run->args->threads;
    if ((size_t)threads > run->units)
        threads = (int)run->units;
    if (run->units > 0)
        cf_pool_run(threads, work, run);
    if (phase->accumulators > 0 && run->units != 1)
        finish_reductions(run);
}

static size_t step_scratch(const cf_running *run, cf_steps steps, size_t lanes) {
    size_t max = 0;
    for (size_t i = 0; i < steps.count; i++) {
        const cf_node *node = steps.steps[i].node;
        size_t bytes = node->op->scratch ? node->op->scratch(node, lanes, run->args->dtype) : 0;
        if (bytes > max)
            max = bytes;
    }
    return max;
}

/* Bytes, rounded up to whole cache lines; false if that overflows. */
static bool padded(size_t count, size_t size, size_t *out) {
    if (!cf_size_mul(count, size, out) || !cf_size_add(*out, CF_ALIGNMENT - 1, out))
        return false;
    *out -= *out % CF_ALIGNMENT;
    return true;
}

/* Sets the sizes and acquires one workspace for everything the run needs. */
static cf_status bind(cf_running *run, cf_workspace *workspace) {
    const cf_program *program = run->program;
    size_t threads = (size_t)run->args->threads, scratch = 0;
    for (size_t i = 0; i < program->phase_count; i++) {
        size_t bytes = step_scratch(run, program->phases[i].tile, run->tiling.lanes);
        scratch = bytes > scratch ? bytes : scratch;
        if (program->phases[i].accumulators > run->accumulators)
            run->accumulators = program->phases[i].accumulators;
    }
    if (threads > run->tiling.tiles)
        threads = run->tiling.tiles;
    size_t groups = run->tiling.groups > 1 ? run->tiling.groups - 1 : 0;
    size_t slices, unbatched, group_bytes, buffer, thread_memory, total;
    bool fits =
        padded(program->feature_rows, run->tiling.lanes * run->element, &run->slice_bytes) &&
        cf_size_mul(run->slice_bytes, run->tiling.slices, &slices) &&
        cf_size_add(slices, scratch, &run->thread_bytes) &&
        padded(run->thread_bytes, 1, &run->thread_bytes) &&
        padded(run->thread_bytes, threads, &thread_memory) &&
        padded(program->unbatched_elements, run->element, &unbatched) &&
        padded(groups * run->accumulators, run->element, &group_bytes) &&
        cf_size_mul(program->buffer_feature_rows, run->tiling.lanes, &buffer) &&
        padded(buffer, run->tiling.tiles * run->tiling.slices * run->element, &buffer) &&
        cf_size_add(thread_memory, unbatched, &total) && cf_size_add(total, group_bytes, &total) &&
        cf_size_add(total, buffer, &total);
    if (!fits)
        return cf_fail(CF_NO_MEMORY, "the program's working memory exceeds the address space");
    CF_TRY(cf_workspace_acquire(total, workspace));
    run->thread_memory = workspace->memory;
    run->unbatched = run->thread_memory + thread_memory;
    run->groups = run->unbatched + unbatched;
    run->buffer = run->groups + group_bytes;
    return CF_OK;
}

cf_status cf_run(const cf_program *program, const cf_run_args *args) {
    cf_running run = {.program = program,
                      .args = args,
                      .level = cf_simd(),
                      .tiling = cf_tile(program, args->samples, args->dtype),
                      .element = cf_dtype_size(args->dtype)};
    cf_workspace workspace;
    CF_TRY(bind(&run, &workspace));
    for (size_t i = 0; i < program->gradient_gap_count; i++) {
        const struct cf_range *gap = &program->gradient_gaps[i];
        memset((char *)args->gradients + gap->first * run.element, 0,
               (gap->end - gap->first) * run.element);
    }
    for (size_t i = 0; i < program->phase_count; i++)
        run_phase(&run, &program->phases[i]);
    cf_workspace_release(&workspace);
    return CF_OK;
}
