/* What a loop does to its feature rows beside the steps of its body. */
#ifndef CF_ENGINE_LOOP_KERNELS_H
#define CF_ENGINE_LOOP_KERNELS_H

#include "engine/run.h"

/* `end` is the loop's last step: operands the states, the next ones and, unless all samples go on
 * to the bound, the condition; the output's feature rows are free for the loop's own use while it
 * runs. */
typedef struct {
    void (*begin)(const cf_call *call, const cf_step *end);
    /* After an iteration: the states of samples that were going on become the next ones. Returns
     * whether one of them goes on. */
    bool (*advance)(const cf_call *call, const cf_step *end);
    /* Keeps the states in the tile's feature rows from `row` on. */
    void (*record)(const cf_call *call, const cf_step *end, size_t row);
    /* Fills the output. */
    void (*finish)(const cf_call *call, const cf_step *end);
} cf_loop_kernels;

extern const cf_loop_kernels cf_loop_kernels_of[CF_SIMD_LEVELS][CF_DTYPES];

#endif
