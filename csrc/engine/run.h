/* Running a program: tiles of samples over threads. */
#ifndef CF_ENGINE_RUN_H
#define CF_ENGINE_RUN_H

#include "engine/array.h"
#include "engine/plan.h"
#include "engine/tile.h"

enum { CF_MAX_SLOTS = 12 };

/* Rows that a program writes: contiguous features of the run's dtype. */
typedef struct {
    void *data;
    size_t row_stride; /* in elements */
    bool as_double;    /* float64 instead: what is computed in float64 is not rounded */
} cf_result;

typedef struct {
    size_t samples;
    cf_dtype dtype;
    int threads;
    uint64_t seed, first_sample; /* of random ops: the Philox key, the counter of sample 0 */
    const void *parameters;
    void *gradients, *statistics; /* slabs; NULL in programs that write none */
    const double *buffers;
    cf_array input[CF_MAX_SLOTS];
    cf_result output[CF_MAX_SLOTS];
} cf_run_args;

/* What a kernel is given. It sees one slice of a tile; a reduction sees all of them, the first as
 * others do and the next ones each `slice_bytes` further. */
struct cf_call {
    const cf_step *step;
    const cf_run_args *run;
    char *base[CF_SPACES];
    size_t lanes;           /* samples in a slice */
    size_t sample, samples; /* the first in the batch, and how many there are */
    size_t slice_bytes;
    bool one_sample;  /* all lanes hold the same sample */
    bool accumulate;  /* reductions: out += rather than out = */
    size_t iteration; /* of the innermost loop */
    size_t group;     /* of tiles whose reductions are added up together */
    bool begun;       /* reductions in loops: whether there was a slice before */
    void *out;        /* where the step's output begins */
    void *scratch;
    cf_simd_level level;
    cf_dtype dtype;
};

/* Runs the program over all samples. Allocates, if at all, before the first op runs. There may be
 * none. */
cf_status cf_run(const cf_program *program, const cf_run_args *args);

/* Does a fused elementwise step for feature rows [first, first + count), lanes [lane, lane +
 * width); a cf_epilogue (simd/matmul.h) whose context is the call. */
void cf_run_epilogue(const void *call, size_t first, size_t count, size_t lane, size_t width);

/* Where operand i begins. For a batched operand that is the slice, to which the feature rows
 * refer. */
static inline void *cf_operand_base(const cf_call *call, size_t i) {
    const cf_operand *operand = &call->step->operand[i];
    if (operand->feature_rows != NULL)
        return call->base[operand->space];
    ptrdiff_t first = operand->first + (ptrdiff_t)call->iteration * operand->stride;
    return call->base[operand->space] + first * (ptrdiff_t)cf_dtype_size(call->dtype);
}

#endif
