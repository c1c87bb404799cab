#include "train/optimizers/optimizer.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"
#include "base/pool.h"
#include "train/optimizers/chunks.h"

struct cf_optimizer {
    cf_spec *spec;
    const cf_optimizer_methods *methods;
    const cf_slab_table *table;
    cf_dtype dtype;
    int threads;
    size_t array_count;
    void *arrays[CF_MAX_STATE_ARRAYS];
    const cf_tensor **whole; /* tensors that are updated whole */
    size_t whole_count;
    cf_chunks rest;  /* what is updated in chunks */
    cf_chunks all;   /* all that is trainable */
    double *squares; /* by chunk of `all` */
    char *scratch;   /* for each thread that can have a whole tensor */
    size_t scratch_bytes;
};

static const cf_optimizer_methods *methods_of(const cf_spec *spec) {
    return cf_spec_type_of(spec)->methods;
}

cf_status cf_optimizer_check(const cf_spec *spec, cf_dtype dtype) {
    const cf_spec_type *type = cf_spec_type_of(spec);
    if (strcmp(type->role, "optimizer") != 0)
        return cf_fail(CF_TYPE, "optimizer must be of the role optimizer, got %s of the role %s",
                       type->name, type->role);
    CF_TRY(cf_spec_check_finished(spec));
    double rate = cf_spec_real(spec, "learning_rate");
    if (!isfinite(cf_rounded(rate, dtype)))
        return cf_fail(CF_INVALID, "%s: in float32 learning_rate must be finite, got %g",
                       type->name, rate);
    const cf_optimizer_methods *methods = methods_of(spec);
    return methods->check != NULL ? methods->check(spec, dtype) : CF_OK;
}

/* Lists the trainable tensors that are updated whole; writes them if there is room. */
static size_t list_whole(const cf_optimizer *o, const cf_tensor **out) {
    size_t count = 0;
    for (size_t i = 0; o->methods->is_whole != NULL && i < o->table->count; i++) {
        const cf_tensor *tensor = &o->table->tensors[i];
        if (tensor->frozen || !o->methods->is_whole(tensor))
            continue;
        if (out != NULL)
            out[count] = tensor;
        count++;
    }
    return count;
}

static cf_status allocate_scratch(cf_optimizer *o) {
    size_t threads = (size_t)o->threads < o->whole_count ? (size_t)o->threads : o->whole_count;
    for (size_t i = 0; i < o->whole_count; i++) {
        size_t bytes = o->methods->scratch(o->whole[i], o->dtype);
        if (bytes > o->scratch_bytes)
            o->scratch_bytes = bytes;
    }
    o->scratch_bytes = (o->scratch_bytes + CF_ALIGNMENT - 1) / CF_ALIGNMENT * CF_ALIGNMENT;
    return cf_alloc(&o->scratch, threads, o->scratch_bytes);
}

static cf_status allocate(cf_optimizer *o) {
    size_t element = cf_dtype_size(o->dtype);
    for (; o->methods->arrays[o->array_count] != NULL; o->array_count++)
        CF_TRY(cf_alloc(&o->arrays[o->array_count], o->table->elements, element));
    o->whole_count = list_whole(o, NULL);
    CF_TRY(cf_alloc(&o->whole, o->whole_count, sizeof *o->whole));
    list_whole(o, o->whole);
    CF_TRY(cf_chunks_new(&o->all, o->table, NULL));
    CF_TRY(cf_chunks_new(&o->rest, o->table, o->methods->is_whole));
    CF_TRY(cf_alloc(&o->squares, o->all.count, sizeof *o->squares));
    return allocate_scratch(o);
}

cf_status cf_optimizer_new(cf_optimizer **out, const cf_spec *spec, const cf_slab_table *parameters,
                           cf_dtype dtype, int threads) {
    cf_optimizer *o;
    *out = NULL;
    CF_TRY(cf_optimizer_check(spec, dtype));
    CF_TRY(cf_alloc(&o, 1, sizeof *o));
    o->spec = cf_spec_retain(spec);
    o->methods = methods_of(spec);
    o->table = parameters;
    o->dtype = dtype;
    o->threads = threads;
    cf_status status = allocate(o);
    if (status != CF_OK)
        cf_optimizer_free(o);
    else
        *out = o;
    return status;
}

void cf_optimizer_free(cf_optimizer *o) {
    if (o == NULL)
        return;
    for (size_t i = 0; i < CF_MAX_STATE_ARRAYS; i++)
        cf_free(o->arrays[i]);
    cf_free(o->whole);
    cf_chunks_free(&o->rest);
    cf_chunks_free(&o->all);
    cf_free(o->squares);
    cf_free(o->scratch);
    cf_spec_free(o->spec);
    cf_free(o);
}

double cf_optimizer_rate(const cf_optimizer *o) {
    return cf_spec_real(o->spec, "learning_rate");
}

size_t cf_optimizer_arrays(const cf_optimizer *o, cf_state_array out[CF_MAX_STATE_ARRAYS]) {
    for (size_t i = 0; i < o->array_count; i++)
        out[i] = (cf_state_array){o->methods->arrays[i], o->arrays[i]};
    return o->array_count;
}

/* ---- the gradient's norm ---- */

typedef struct {
    cf_optimizer *optimizer;
    const char *gradients;
    atomic_size_t next;
} norm_job;

static void add_squares(void *context, int participant) {
    norm_job *job = context;
    cf_optimizer *o = job->optimizer;
    (void)participant;
    for (size_t i; (i = atomic_fetch_add(&job->next, 1)) < o->all.count;) {
        const cf_chunk *chunk = &o->all.chunks[i];
        const char *first = job->gradients + chunk->first * cf_dtype_size(o->dtype);
        o->squares[i] = cf_sum_of_squares(first, chunk->count, o->dtype);
    }
}

static int threads_for(const cf_optimizer *o, size_t units) {
    return (size_t)o->threads < units ? o->threads : units > 0 ? (int)units : 1;
}

double cf_gradient_norm(cf_optimizer *o, const void *gradients) {
    norm_job job = {.optimizer = o, .gradients = gradients};
    double sum = 0.0;
    atomic_init(&job.next, 0);
    cf_pool_run(threads_for(o, o->all.count), add_squares, &job);
    for (size_t i = 0; i < o->all.count; i++)
        sum += o->squares[i];
    return sqrt(sum);
}

/* ---- the step ---- */

typedef struct {
    cf_optimizer *optimizer;
    const cf_gradient_step *step;
    double numbers[CF_STEP_DOUBLES];
    atomic_size_t next;
    atomic_size_t scratches; /* in use: a thread takes one with its first whole tensor */
} step_job;

/* The numbers from element `first` on. */
static cf_update update_at(const step_job *job, size_t first, size_t count) {
    const cf_optimizer *o = job->optimizer;
    size_t at = first * cf_dtype_size(o->dtype);
    cf_update update = {.numbers = job->numbers,
                        .count = count,
                        .gradient = (const char *)job->step->gradients + at,
                        .parameter = (char *)job->step->parameters + at};
    for (size_t i = 0; i < o->array_count; i++)
        update.state[i] = (char *)o->arrays[i] + at;
    return update;
}

/* Whole tensors come first: they take longest. */
static void work(void *context, int participant) {
    step_job *job = context;
    const cf_optimizer *o = job->optimizer;
    char *scratch = NULL;
    (void)participant;
    for (size_t i; (i = atomic_fetch_add(&job->next, 1)) < o->whole_count + o->rest.count;) {
        cf_update update;
        if (i < o->whole_count) {
            if (scratch == NULL)
                scratch = o->scratch + atomic_fetch_add(&job->scratches, 1) * o->scratch_bytes;
            update = update_at(job, o->whole[i]->offset, o->whole[i]->size);
            update.tensor = o->whole[i];
            update.scratch = scratch;
        } else {
            const cf_chunk *chunk = &o->rest.chunks[i - o->whole_count];
            update = update_at(job, chunk->first, chunk->count);
        }
        o->methods->update(&update, o->dtype);
    }
}

void cf_optimizer_step(cf_optimizer *o, const cf_gradient_step *step) {
    step_job job = {.optimizer = o, .step = step};
    o->methods->prepare(o->spec, step, job.numbers);
    atomic_init(&job.next, 0);
    atomic_init(&job.scratches, 0);
    cf_pool_run(threads_for(o, o->whole_count + o->rest.count), work, &job);
}
