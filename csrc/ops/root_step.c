/* One step towards the root of a monotone function, for every feature by itself: operands the state
 * (low, high, x, step[, short step]), f(x), df/dx and y; the outputs are the next state and whether
 * the sample goes on.
 *
 * f(x) makes x an end of the bracket. Newton's step is taken where it stays strictly inside and is
 * not longer than half the step before; else the bracket is halved. Where Newton's method comes
 * from one side it never moves the other end, so a step goes further by what it is likely to be
 * wrong by, four times (step / step before)^2 of it: past the root, whose other side it then
 * bounds.
 *
 * Steps that halve can still be many, since numbers can be halved a thousand times: from the 8th
 * iteration on every other one halves the bracket, and every fourth one does so by the numbers that
 * the dtype has inside, of which there are 2^64 or 2^32. Nothing can cycle, and no scale of x is
 * presumed.
 *
 * A feature has finished where f(x) is y to rounding, where a step is short enough, or where the
 * bracket holds less than four numbers. */
#ifndef CF_FN

#include "ops/root.h"
#include "ops/feature_rows.h"

typedef struct {
    bool decreasing; /* the function is */
    double noise;
} root_step_params;

#define CF_BODY "ops/root_step.c"
#include "simd/instantiate.h"

static const cf_op root_step_op = {
    .name = "a root's step",
    .params = sizeof(root_step_params),
    .kernel = CF_VERSIONS(root_step),
};

cf_value cf_root_step(cf_builder *b, cf_value state, cf_value value, cf_value slope,
                      cf_value target, bool decreasing, double noise) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    cf_value operands[4] = {state, value, slope, target};
    root_step_params params = {decreasing, noise};
    return cf_emit(b, &root_step_op, CF_BATCHED, 4 * cf_value_size(b, target) + 1, 4, operands,
                   CF_PARAMS(&params));
}

#else

#include "ops/feature_rows.h"

#undef root_feature
#undef ROOT_EPSILON
#undef ROOT_SIGN_SHIFT
#undef ROOT_MAX_BITS
#define root_feature CF_FN(cf_root_feature)

#ifdef CF_REAL_F32
#define ROOT_EPSILON 0x1p-23f
#define ROOT_SIGN_SHIFT 31
#define ROOT_MAX_BITS INT32_MAX
#else
#define ROOT_EPSILON 0x1p-52
#define ROOT_SIGN_SHIFT 63
#define ROOT_MAX_BITS INT64_MAX
#endif

/* What is known of a feature, and where it goes. */
typedef struct {
    vreal low, high, x, step, shortest;
    vreal value, slope, target; /* of the increasing function */
    vreal noise;                /* how close to the target is there */
} root_feature;

/* The numbers of a dtype, counted from the smallest to the greatest; its own inverse. */
CF_INLINE vint CF_FN(root_count)(vint bits) {
    return bits ^ ((bits >> ROOT_SIGN_SHIFT) & ROOT_MAX_BITS);
}

/* The number in the middle of those from low to high. */
CF_INLINE vreal CF_FN(root_middle_number)(vreal low, vreal high) {
    vint a = CF_FN(root_count)(v_bits(low)), b = CF_FN(root_count)(v_bits(high));
    return v_real(CF_FN(root_count)((a & b) + ((a ^ b) >> 1)));
}

CF_INLINE vmask CF_FN(root_inside)(const root_feature *r, vreal x) {
    return v_and(v_lt(r->low, x), v_lt(x, r->high));
}

/* The middle of the bracket, of one kind or the other. */
CF_INLINE vreal CF_FN(root_middle)(const root_feature *r, size_t iteration) {
    vreal half = v_set1((real)0.5), max = v_set1((real)INFINITY);
    vreal distance = v_fma(half, r->low, half * r->high);
    vreal number = CF_FN(root_middle_number)(r->low, r->high);
    if (iteration >= 8 && iteration % 4 == 0)
        return number;
    vmask finite = v_and(v_lt(-max, r->low), v_lt(r->high, max));
    return v_select(finite, distance, number);
}

/* Where to go from x, at which f says which end of the bracket it becomes. */
CF_INLINE vreal CF_FN(root_next)(root_feature *r, size_t iteration, vmask *ends) {
    vreal zero = v_set1(0), max = v_set1((real)INFINITY), half = v_set1((real)0.5);
    vreal error = r->value - r->target, before = v_abs(r->step);
    vmask known = v_eq(r->value, r->value); /* else it has gone too far */
    vmask above = v_or(v_lt(zero, error), v_and(v_not(known), v_lt(zero, r->step)));
    vmask below = v_or(v_lt(error, zero), v_and(v_not(known), v_lt(r->step, zero)));
    vreal finest = v_set1(ROOT_EPSILON) * v_abs(r->target) * half;
    vmask exact = v_le(v_abs(error), v_max(finest, r->noise));
    r->low = v_select(below, r->x, r->low);
    r->high = v_select(above, r->x, r->high);

    vreal step = -error / r->slope, length = v_abs(step), newton = r->x + step;
    vmask valid = v_and(v_and(v_lt(zero, r->slope), v_lt(r->slope, max)), v_lt(length, max));
    vmask last = v_and(valid, v_le(length, r->shortest));
    vreal ratio = length / before, grain = v_set1(2 * ROOT_EPSILON) * v_abs(r->x);
    vreal beyond = v_min(half * length, v_set1(4) * length * ratio * ratio) + grain;
    vreal far = v_select(v_lt(zero, step), newton + beyond, newton - beyond);
    far = v_select(v_lt(r->shortest, zero), far, newton);
    vmask good = v_and(valid, v_le(length, half * before));
    if (iteration >= 8 && iteration % 2 == 0)
        good = v_lt(zero, zero);
    vreal middle = CF_FN(root_middle)(r, iteration);
    vreal next = v_select(v_and(good, CF_FN(root_inside)(r, newton)), newton, middle);
    next = v_select(v_and(good, CF_FN(root_inside)(r, far)), far, next);

    vmask tight = v_le(r->high - r->low, grain);
    vreal clamped = v_min(r->high, v_max(r->low, v_select(valid, newton, middle)));
    next = v_select(v_or(last, tight), clamped, next);
    vmask closed = v_or(last, v_or(tight, v_not(CF_FN(root_inside)(r, next))));
    next =
        v_select(v_and(v_not(CF_FN(root_inside)(r, next)), v_not(v_or(last, tight))), r->x, next);
    *ends = v_or(exact, closed);
    next = v_select(exact, r->x, next);
    /* The direction that led too far leads too far from the other end, too. */
    vreal from = v_select(known, r->x, v_select(above, r->low, r->high));
    r->step = v_select(*ends, zero, next - from);
    return next;
}

/* Moves a feature; returns the condition: 1, 0 or NaN. */
CF_INLINE vreal CF_FN(root_move)(root_feature *r, size_t iteration) {
    vreal zero = v_set1(0), one = v_set1(1), max = v_set1((real)INFINITY);
    vreal nan = v_set1((real)NAN);
    root_feature was = *r;
    vmask ends, finished = v_eq(r->step, zero);
    vreal next = CF_FN(root_next)(r, iteration, &ends);
    /* What there is no root of. */
    vreal end = v_select(v_lt(zero, was.target), was.high, was.low);
    end = v_select(v_eq(was.target, was.target), end, nan);
    vmask bracketed = v_le(was.low, was.high);
    vmask sought = v_and(v_lt(v_abs(was.target), max), bracketed);
    next = v_select(sought, next, v_select(bracketed, end, nan));
    r->step = v_select(sought, r->step, zero);
    vreal goes_on = v_select(v_eq(r->step, zero), zero, one);
    if (iteration == 0)
        goes_on = v_select(v_and(sought, v_not(v_eq(was.value, was.value))), nan, goes_on);
    r->x = v_select(finished, was.x, next);
    r->step = v_select(finished, zero, r->step);
    r->low = v_select(finished, was.low, r->low);
    r->high = v_select(finished, was.high, r->high);
    return v_select(finished, zero, goes_on);
}

/* Copies the state of vectors that have finished; false if a lane has not. */
static inline bool CF_FN(root_rests)(const cf_call *call, size_t f, size_t lane) {
    size_t n = call->step->operand[3].size;
    vmask finished = v_eq(v_load(cf_feature_row(call, 0, 3 * n + f) + lane), v_set1(0));
    if (v_any(v_not(finished)))
        return false;
    for (size_t i = 0; i < 4; i++) {
        size_t row = i * n + f;
        v_store((real *)call->out + row * call->lanes + lane,
                v_load(cf_feature_row(call, 0, row) + lane));
    }
    return true;
}

static void CF_FN(root_step)(const cf_call *call) {
    const cf_step *step = call->step;
    const root_step_params *p = step->node->params;
    size_t lanes = call->lanes, n = step->operand[3].size;
    bool has_shortest = step->operand[0].size > 4 * n;
    vreal sign = v_set1(p->decreasing ? -1 : 1);
    real *out = call->out, *condition = out + 4 * n * lanes;
    for (size_t lane = 0; lane < lanes; lane += VL) {
        vreal any = v_set1(0);
        for (size_t f = 0; f < n; f++) {
            if (CF_FN(root_rests)(call, f, lane))
                continue;
            root_feature r = {.low = v_load(cf_feature_row(call, 0, f) + lane),
                              .high = v_load(cf_feature_row(call, 0, n + f) + lane),
                              .x = v_load(cf_feature_row(call, 0, 2 * n + f) + lane),
                              .step = v_load(cf_feature_row(call, 0, 3 * n + f) + lane),
                              .shortest = v_set1(-1),
                              .noise = v_set1((real)p->noise * ROOT_EPSILON),
                              .value = sign * v_load(cf_feature_row(call, 1, f) + lane),
                              .slope = sign * v_load(cf_feature_row(call, 2, f) + lane),
                              .target = sign * v_load(cf_feature_row(call, 3, f) + lane)};
            if (has_shortest)
                r.shortest = v_load(cf_feature_row(call, 0, 4 * n + f) + lane);
            any = any + CF_FN(root_move)(&r, call->iteration);
            v_store(out + f * lanes + lane, r.low);
            v_store(out + (n + f) * lanes + lane, r.high);
            v_store(out + (2 * n + f) * lanes + lane, r.x);
            v_store(out + (3 * n + f) * lanes + lane, r.step);
        }
        v_store(condition + lane, any);
    }
}

#endif
