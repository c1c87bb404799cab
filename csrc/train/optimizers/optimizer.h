/* Optimisers: one step from gradients to parameters, of all trainable tensors of a slab.
 *
 * An optimiser is a spec of the role "optimizer" with the option `learning_rate`; its type is in a
 * file of its own, with the methods below, and in train/type_list.h. What it remembers
 * from step to step is a few arrays of the parameter slab's layout and dtype, listed by name, which
 * is all that checkpoints need to know.
 *
 * Work is cut by the slab alone: into chunks of numbers, whatever tensors they are of, and into
 * whole tensors where an optimiser needs these. Each is one thread's, so results are bitwise the
 * same for any number of threads.
 */
#ifndef CF_TRAIN_OPTIMIZERS_OPTIMIZER_H
#define CF_TRAIN_OPTIMIZERS_OPTIMIZER_H

#include "base/spec.h"
#include "model/binding.h"
#include "simd/simd.h"

/* ---- for training loops ---- */

typedef struct cf_optimizer cf_optimizer;

/* CF_TYPE unless it is an optimiser, CF_INVALID if its numbers vanish in that dtype. */
cf_status cf_optimizer_check(const cf_spec *spec, cf_dtype dtype);

/* An optimiser at its start, all arrays 0; holds the spec. The table, whose frozen tensors are left
 * out, must outlive it. `threads`: the most that a step uses. */
cf_status cf_optimizer_new(cf_optimizer **out, const cf_spec *spec, const cf_slab_table *parameters,
                           cf_dtype dtype, int threads);
void cf_optimizer_free(cf_optimizer *optimizer); /* NULL is accepted */

/* The learning rate before any schedule. */
double cf_optimizer_rate(const cf_optimizer *optimizer);

typedef struct {
    uint64_t number; /* from 1; of the steps that were made, not of those skipped */
    double schedule; /* factor of all learning rates */
    double clip;     /* factor of the gradients, see cf_clip_factor */
    const void *gradients;
    void *parameters;
} cf_gradient_step;

/* Does not allocate, and cannot fail. */
void cf_optimizer_step(cf_optimizer *optimizer, const cf_gradient_step *step);

/* The Euclidean norm of the trainable gradients, added up in an order fixed by the slab alone. */
double cf_gradient_norm(cf_optimizer *optimizer, const void *gradients);

/* The factor that shortens gradients of that norm to `limit`; a limit of 0 is none. */
static inline double cf_clip_factor(double norm, double limit) {
    return limit > 0.0 && norm > limit ? limit / norm : 1.0;
}

/* An array that a checkpoint must keep: as many numbers as the slab has elements. */
typedef struct {
    const char *name;
    void *data;
} cf_state_array;

enum { CF_MAX_STATE_ARRAYS = 2 };

/* The number of arrays, and all of them. */
size_t cf_optimizer_arrays(const cf_optimizer *optimizer, cf_state_array out[CF_MAX_STATE_ARRAYS]);

/* ---- for optimisers ---- */

enum { CF_STEP_DOUBLES = 20 };

/* What a step does to some numbers of the slab; all arrays point at the first of them. */
typedef struct {
    const void *numbers;     /* what `prepare` wrote */
    const cf_tensor *tensor; /* that is updated whole; NULL: `count` numbers of any tensors */
    size_t count;
    const void *gradient;
    void *state[CF_MAX_STATE_ARRAYS];
    void *parameter;
    void *scratch; /* of a whole tensor, aligned to CF_ALIGNMENT */
} cf_update;

typedef struct {
    const char *const *arrays; /* the names of its state, ending in NULL */
    /* Checks what depends on the dtype; or NULL. */
    cf_status (*check)(const cf_spec *spec, cf_dtype dtype);
    /* Writes a struct of its own, of at most CF_STEP_DOUBLES, for the updates of one step. */
    void (*prepare)(const cf_spec *spec, const cf_gradient_step *step, void *numbers);
    void (*update)(const cf_update *update, cf_dtype dtype);
    /* Whether it is updated whole, and the bytes of scratch that this needs; NULL: none is. */
    bool (*is_whole)(const cf_tensor *tensor);
    size_t (*scratch)(const cf_tensor *tensor, cf_dtype dtype);
} cf_optimizer_methods;

/* A number as the kernels see it. */
static inline double cf_rounded(double value, cf_dtype dtype) {
    return dtype == CF_FLOAT32 ? (double)(float)value : value;
}

extern const cf_spec_type cf_adam_type;

#endif
