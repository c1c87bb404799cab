/* While the loop runs, the two last feature rows of its output say for each sample whether it goes
 * on (1), has finished (0) or has failed (-1), and how many iterations it has made. */
#ifndef CF_FN

#include "engine/loop_kernels.h"

#define CF_BODY "engine/loop_kernels.c"
#include "simd/instantiate.h"

#define KERNELS(version)                                                                           \
    { loop_begin_##version, loop_advance_##version, loop_record_##version, loop_finish_##version }

const cf_loop_kernels cf_loop_kernels_of[CF_SIMD_LEVELS][CF_DTYPES] = {
    {KERNELS(base_f32), KERNELS(base_f64)},
#ifdef CF_SIMD_X86
    {KERNELS(avx2_f32), KERNELS(avx2_f64)},
    {KERNELS(avx512_f32), KERNELS(avx512_f64)},
#endif
};

#else

/* Feature row f of operand i; those of the states are written, too. */
static inline real *CF_FN(loop_feature_row)(const cf_call *call, const cf_step *end, size_t i,
                                            size_t f) {
    return (real *)call->base[CF_SPACE_TILE] + end->operand[i].feature_rows[f] * call->lanes;
}

/* Row f of the output. */
static inline real *CF_FN(loop_out)(const cf_call *call, const cf_step *end, size_t f) {
    return (real *)call->base[CF_SPACE_TILE] + (end->out + f) * call->lanes;
}

static void CF_FN(loop_begin)(const cf_call *call, const cf_step *end) {
    size_t features = end->operand[0].size;
    real *standing = CF_FN(loop_out)(call, end, features);
    real *iterations = CF_FN(loop_out)(call, end, features + 1);
    for (size_t lane = 0; lane < call->lanes; lane++) {
        standing[lane] = 1;
        iterations[lane] = 0;
    }
}

/* Records where the samples stand after an iteration; returns whether one of the batch goes on. */
static bool CF_FN(loop_stand)(const cf_call *call, const cf_step *end, const real *condition) {
    size_t features = end->operand[0].size;
    real *standing = CF_FN(loop_out)(call, end, features);
    real *iterations = CF_FN(loop_out)(call, end, features + 1);
    vreal zero = v_set1(0), one = v_set1(1);
    for (size_t lane = 0; lane < call->lanes; lane += VL) {
        vreal stand = v_load(standing + lane), goes_on = v_load(condition + lane);
        vreal next = v_select(v_eq(goes_on, goes_on), zero, -one);
        next = v_select(v_lt(zero, goes_on), one, next);
        v_store(iterations + lane, v_load(iterations + lane) + v_max(zero, stand));
        v_store(standing + lane, v_select(v_lt(zero, stand), next, stand));
    }
    bool any = false;
    for (size_t lane = 0; lane < call->samples && lane < call->lanes; lane++)
        any |= standing[lane] > 0;
    return any;
}

static bool CF_FN(loop_advance)(const cf_call *call, const cf_step *end) {
    size_t features = end->operand[0].size, lanes = call->lanes;
    bool counted = end->node->operands < 3;
    const real *standing = CF_FN(loop_out)(call, end, features);
    real condition[CF_MAX_LANES];
    if (!counted) /* it may be a state, which changes now */
        memcpy(condition, CF_FN(loop_feature_row)(call, end, 2, 0), lanes * sizeof(real));
    for (size_t f = 0; f < features; f++) {
        const real *next = CF_FN(loop_feature_row)(call, end, 1, f);
        real *state = CF_FN(loop_feature_row)(call, end, 0, f);
        for (size_t lane = 0; lane < lanes; lane += VL) {
            vmask moves = v_lt(v_set1(0), v_load(standing + lane));
            v_store(state + lane, v_select(moves, v_load(next + lane), v_load(state + lane)));
        }
    }
    return counted || CF_FN(loop_stand)(call, end, condition);
}

static void CF_FN(loop_record)(const cf_call *call, const cf_step *end, size_t row) {
    real *out = (real *)call->base[CF_SPACE_TILE] + row * call->lanes;
    for (size_t f = 0; f < end->operand[0].size; f++, out += call->lanes)
        memcpy(out, CF_FN(loop_feature_row)(call, end, 0, f), call->lanes * sizeof(real));
}

static void CF_FN(loop_finish)(const cf_call *call, const cf_step *end) {
    size_t features = end->operand[0].size, lanes = call->lanes;
    bool counted = end->node->operands < 3;
    real *standing = CF_FN(loop_out)(call, end, features);
    vreal zero = v_set1(0), one = v_set1(1), nan = v_set1((real)NAN);
    for (size_t lane = 0; counted && lane < lanes; lane++) {
        standing[lane] = 0;
        standing[lanes + lane] = (real)call->iteration;
    }
    /* Nobody waits for lanes beyond the last sample, which random numbers may keep going; and NaN
     * would spoil sums over samples, though their cotangent is 0. */
    for (size_t lane = call->samples; lane < lanes; lane++)
        standing[lane] = 0;
    for (size_t f = 0; f < features; f++) {
        const real *state = CF_FN(loop_feature_row)(call, end, 0, f);
        real *out = CF_FN(loop_out)(call, end, f);
        for (size_t lane = 0; lane < lanes; lane += VL) {
            vmask finished = v_eq(v_load(standing + lane), zero);
            v_store(out + lane, v_select(finished, v_load(state + lane), nan));
        }
    }
    for (size_t lane = 0; lane < lanes; lane += VL) {
        vmask finished = v_eq(v_load(standing + lane), zero);
        v_store(standing + lane, v_select(finished, zero, one));
    }
}

#endif
