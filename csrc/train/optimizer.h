/* Optimisers: one pass over the trainable part of the slab a step, in parallel, elementwise and so
 * independent of threads. */
#ifndef CF_TRAIN_OPTIMIZER_H
#define CF_TRAIN_OPTIMIZER_H

#include "model/binding.h"
#include "simd/simd.h"

typedef enum { CF_ADAM, CF_ADAMW, CF_SGD } cf_optimizer_kind;

typedef struct {
    cf_optimizer_kind kind;
    double learning_rate;
    double beta1, beta2, epsilon; /* Adam, AdamW */
    double momentum;              /* SGD */
    double weight_decay;          /* added to the gradient (Adam, SGD), or decoupled (AdamW) */
} cf_optimizer;

/* CF_INVALID, naming the setting, unless all are in their ranges. */
cf_status cf_optimizer_check(const cf_optimizer *optimizer, cf_dtype dtype);

/* A stretch of the slab that is updated as one unit of work. */
typedef struct {
    size_t first, count;
} cf_stretch;

/* The memory of an optimiser: two moments a parameter (SGD uses the first). */
typedef struct {
    cf_dtype dtype;
    size_t elements; /* of the slab */
    void *first_moment, *second_moment;
    cf_stretch *stretches; /* all that is trainable */
    size_t stretch_count;
    double *squares; /* scratch, by stretch */
} cf_optimizer_state;

cf_status cf_optimizer_state_new(cf_optimizer_state *out, const cf_slab_table *parameters,
                                 cf_dtype dtype);
void cf_optimizer_state_free(cf_optimizer_state *state);

/* Whether none is infinite or NaN. */
bool cf_all_finite(const void *values, size_t n, cf_dtype dtype);

/* The Euclidean norm of the trainable gradients; added up in an order fixed by the slab alone. */
double cf_gradient_norm(cf_optimizer_state *state, const void *gradients, int threads);

/* What shortens gradients of that norm to `clip`; 0 stands for no limit. */
static inline double cf_clip_factor(double norm, double clip) {
    return clip > 0.0 && norm > clip ? clip / norm : 1.0;
}

/* One step: number `step`, from 1; the gradients are multiplied by `factor` (clipping) first. */
void cf_optimizer_step(const cf_optimizer *optimizer, cf_optimizer_state *state, uint64_t step,
                       double learning_rate, double factor, const void *gradients, void *parameters,
                       int threads);

#endif
