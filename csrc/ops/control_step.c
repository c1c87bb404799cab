/* The step size of a Runge-Kutta method of order 5, each sample by itself: the controller of
 * Hairer, Norsett and Wanner 1993, section II.4, with their damping by the error before (PI). */
#ifndef CF_FN

#include "ops/feature_rows.h"
#include "ops/runge_kutta.h"

typedef struct {
    cf_tolerance tolerance;
    size_t slopes;
    double error[CF_MAX_STAGES];
} control_params;

#define CF_BODY "ops/control_step.c"
#include "simd/instantiate.h"

static const cf_op control_step_op = {
    .name = "control_step",
    .params = sizeof(control_params),
    .kernel = CF_VERSIONS(control_step),
    .gradient = cf_zero_gradient,
};

static const cf_op trial_step_op = {
    .name = "trial_step",
    .params = sizeof(control_params),
    .kernel = CF_VERSIONS(trial_step),
    .gradient = cf_zero_gradient,
};

static const cf_op first_step_op = {
    .name = "first_step",
    .params = sizeof(control_params),
    .kernel = CF_VERSIONS(first_step),
    .gradient = cf_zero_gradient,
};

cf_value cf_control_step(cf_builder *b, cf_value y, cf_value next, cf_value clock, size_t slopes,
                         const cf_value *slope, const double *errors, cf_tolerance tolerance) {
    control_params params = {.tolerance = tolerance, .slopes = slopes};
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    for (size_t i = 0; i < slopes; i++)
        params.error[i] = errors[i];
    cf_value operands[4] = {y, next, cf_concat(b, slope, slopes), clock};
    return cf_emit(b, &control_step_op, CF_BATCHED, 5, 4, operands, CF_PARAMS(&params));
}

cf_value cf_trial_step(cf_builder *b, cf_value y, cf_value slope, cf_tolerance tolerance) {
    control_params params = {.tolerance = tolerance};
    return cf_emit(b, &trial_step_op, CF_BATCHED, 1, 2, (cf_value[]){y, slope}, CF_PARAMS(&params));
}

cf_value cf_first_step(cf_builder *b, cf_value y, cf_value slope, cf_value after, cf_value trial,
                       cf_tolerance tolerance) {
    control_params params = {.tolerance = tolerance};
    cf_value operands[4] = {y, slope, after, trial};
    return cf_emit(b, &first_step_op, CF_BATCHED, 1, 4, operands, CF_PARAMS(&params));
}

#else

#include "ops/feature_rows.h"
#include "simd/math.h"

/* Sums of squares in units of the tolerance, of the first features and of those apart. */
#undef control_norm
#define control_norm CF_FN(cf_control_norm)
typedef struct {
    vreal rtol, atol, first, apart;
    size_t firsts, aparts;
} control_norm;

CF_INLINE control_norm CF_FN(control_new_norm)(const control_params *p, size_t features) {
    double least = sizeof(real) == sizeof(float) ? 0x1p-21 : 0x1p-50;
    const cf_tolerance *t = &p->tolerance;
    return (control_norm){.rtol = v_set1((real)(t->rtol > least ? t->rtol : least)),
                          .atol = v_set1((real)(t->atol > least ? t->atol : least)),
                          .first = v_set1(0),
                          .apart = v_set1(0),
                          .firsts = features - t->apart,
                          .aparts = t->apart};
}

CF_INLINE void CF_FN(control_add)(control_norm *norm, size_t f, vreal x, vreal size) {
    vreal ratio = x / v_fma(norm->rtol, size, norm->atol);
    if (f < norm->firsts)
        norm->first = v_fma(ratio, ratio, norm->first);
    else
        norm->apart = v_fma(ratio, ratio, norm->apart);
}

/* The greater root mean square. */
CF_INLINE vreal CF_FN(control_size)(const control_norm *norm) {
    vreal first = norm->first / v_set1((real)norm->firsts);
    vreal apart = norm->aparts > 0 ? norm->apart / v_set1((real)norm->aparts) : v_set1(0);
    return v_sqrt(v_select(v_lt(first, apart), apart, first)) + v_set1(0) * (first + apart);
}

CF_INLINE vreal CF_FN(control_power)(vreal x, double exponent) {
    return v_exp(v_set1((real)exponent) * v_log(x));
}

/* Of one vector of lanes. */
CF_INLINE vreal CF_FN(control_error)(const cf_call *call, size_t lane) {
    const control_params *p = call->step->node->params;
    size_t n = call->step->operand[0].size;
    control_norm norm = CF_FN(control_new_norm)(p, n);
    vreal h = v_load(cf_feature_row(call, 3, 1) + lane);
    for (size_t f = 0; f < n; f++) {
        vreal y = v_load(cf_feature_row(call, 0, f) + lane), sum = v_set1(0);
        vreal next = v_load(cf_feature_row(call, 1, f) + lane);
        for (size_t i = 0; i < p->slopes; i++)
            sum = v_fma(v_set1((real)p->error[i]),
                        v_load(cf_feature_row(call, 2, i * n + f) + lane), sum);
        CF_FN(control_add)(&norm, f, h * sum, v_max(v_abs(y), v_abs(next)));
    }
    return CF_FN(control_size)(&norm);
}

static void CF_FN(control_step)(const cf_call *call) {
    size_t lanes = call->lanes;
    real *out = call->out;
    vreal zero = v_set1(0), one = v_set1(1), nan = v_set1((real)NAN);
    vreal tiny = v_set1((real)(sizeof(real) == sizeof(float) ? 0x1p-23 : 0x1p-52));
    for (size_t lane = 0; lane < lanes; lane += VL) {
        vreal t = v_load(cf_feature_row(call, 3, 0) + lane);
        vreal h = v_load(cf_feature_row(call, 3, 1) + lane);
        vreal before = v_load(cf_feature_row(call, 3, 2) + lane);
        vreal error = CF_FN(control_error)(call, lane);
        vmask accepted = v_le(error, one), known = v_lt(error, v_set1((real)INFINITY));
        /* Errors so small say nothing of how much longer a step may be. */
        vreal bounded = v_max(error, v_set1((real)1e-4));
        vreal factor = v_set1((real)0.9) * CF_FN(control_power)(bounded, -0.17) *
                       CF_FN(control_power)(before, 0.04);
        factor = v_min(v_max(factor, v_set1((real)0.2)), v_set1(10));
        factor = v_select(accepted, factor, v_min(factor, one));
        factor = v_select(known, factor, v_set1((real)0.1));
        vreal rest = one - t, arrived = v_select(v_le(rest, h), one, t + h);
        vreal next_t = v_select(accepted, arrived, t), next_h = h * factor;
        rest = one - next_t;
        /* No last step is much shorter than the one before it. */
        vreal half = v_set1((real)0.5) * rest;
        next_h = v_select(v_and(v_lt(next_h, rest), v_lt(half, next_h)), half, next_h);
        next_h = v_select(v_le(rest, next_h), rest, next_h);
        vmask stuck = v_and(v_lt(next_t, one), v_le(next_h, tiny));
        v_store(out + lane, next_t);
        v_store(out + lanes + lane, next_h);
        v_store(out + 2 * lanes + lane, v_select(accepted, bounded, before));
        v_store(out + 3 * lanes + lane, v_select(accepted, one, zero));
        v_store(out + 4 * lanes + lane,
                v_select(stuck, nan, v_select(v_lt(next_t, one), one, zero)));
    }
}

static void CF_FN(trial_step)(const cf_call *call) {
    const control_params *p = call->step->node->params;
    size_t n = call->step->operand[0].size;
    for (size_t lane = 0; lane < call->lanes; lane += VL) {
        control_norm y = CF_FN(control_new_norm)(p, n), slope = y;
        for (size_t f = 0; f < n; f++) {
            vreal x = v_load(cf_feature_row(call, 0, f) + lane);
            CF_FN(control_add)(&y, f, x, v_abs(x));
            CF_FN(control_add)(&slope, f, v_load(cf_feature_row(call, 1, f) + lane), v_abs(x));
        }
        vreal size = CF_FN(control_size)(&y), speed = CF_FN(control_size)(&slope);
        vreal small = v_set1((real)1e-5), h = v_set1((real)0.01) * size / speed;
        vmask told = v_and(v_le(small, size), v_le(small, speed));
        h = v_select(told, h, v_set1((real)1e-4));
        v_store((real *)call->out + lane, v_min(h, v_set1((real)0.1)));
    }
}

static void CF_FN(first_step)(const cf_call *call) {
    const control_params *p = call->step->node->params;
    size_t n = call->step->operand[0].size;
    for (size_t lane = 0; lane < call->lanes; lane += VL) {
        control_norm first = CF_FN(control_new_norm)(p, n), change = first;
        vreal trial = v_load(cf_feature_row(call, 3, 0) + lane);
        for (size_t f = 0; f < n; f++) {
            vreal size = v_abs(v_load(cf_feature_row(call, 0, f) + lane));
            vreal slope = v_load(cf_feature_row(call, 1, f) + lane);
            vreal after = v_load(cf_feature_row(call, 2, f) + lane);
            CF_FN(control_add)(&first, f, slope, size);
            CF_FN(control_add)(&change, f, (after - slope) / trial, size);
        }
        vreal speed = CF_FN(control_size)(&first), bend = CF_FN(control_size)(&change);
        vreal most = v_select(v_lt(speed, bend), bend, speed);
        vreal h = CF_FN(control_power)(v_set1((real)0.01) / most, 0.2);
        vmask known = v_lt(most, v_set1((real)INFINITY));
        h = v_select(v_le(most, v_set1((real)1e-10)), v_set1(1), h);
        h = v_min(h, v_set1(100) * trial);
        v_store((real *)call->out + lane, v_select(known, v_min(h, v_set1(1)), trial));
    }
}

#endif
