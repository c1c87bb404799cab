/* The affine map with its log-determinant: operands x, s, t; the output has one feature more than
 * x, the log_det. */
#ifndef CF_FN

#include "ops/feature_rows.h"

typedef struct {
    bool inverse;
} affine_params;

#define CF_BODY "ops/affine.c"
#include "simd/instantiate.h"

static void affine_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                        const bool *needed, cf_value *dx) {
    size_t features = node->operand_size[0];
    const affine_params *p = node->params;
    cf_value s = node->operand[1];
    cf_value y = cf_slice(b, out, 0, features), dy = cf_slice(b, dout, 0, features);
    cf_value dlog_det = cf_slice(b, dout, features, 1);
    dx[0] = cf_apply_scale(b, dy, cf_exp(b, p->inverse ? cf_scale_shift(b, s, -1.0, 0.0) : s));
    if (p->inverse) { /* y = (x - t) exp(-s), log_det = -sum s */
        if (needed[1])
            dx[1] = cf_scale_shift(b, cf_add(b, cf_multiply(b, dy, y), dlog_det), -1.0, 0.0);
        if (needed[2])
            dx[2] = cf_scale_shift(b, dx[0], -1.0, 0.0);
    } else { /* y = x exp(s) + t, log_det = sum s */
        if (needed[1])
            dx[1] = cf_add(b, cf_multiply(b, dx[0], node->operand[0]), dlog_det);
        dx[2] = dy;
    }
}

static const cf_op affine_op = {
    .name = "affine",
    .params = sizeof(affine_params),
    .kernel = CF_VERSIONS(affine),
    .gradient = affine_rule,
};

cf_value cf_affine(cf_builder *b, cf_value x, cf_value s, cf_value t, bool inverse,
                   cf_value *log_det) {
    *log_det = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t features = cf_value_size(b, x);
    cf_value operands[3] = {x, cf_broadcast(b, s), cf_broadcast(b, t)};
    if (cf_value_size(b, s) != features || cf_value_size(b, t) != features)
        return cf_builder_fail(b, CF_INVALID, "affine: %zu features with %zu scales and %zu shifts",
                               features, cf_value_size(b, s), cf_value_size(b, t));
    affine_params params = {inverse};
    cf_value out =
        cf_emit(b, &affine_op, CF_BATCHED, features + 1, 3, operands, CF_PARAMS(&params));
    *log_det = cf_slice(b, out, features, 1);
    return cf_slice(b, out, 0, features);
}

#else

#include "ops/feature_rows.h"
#include "simd/math.h"

static void CF_FN(affine)(const cf_call *call) {
    size_t features = call->step->operand[0].size, lanes = call->lanes;
    const affine_params *p = call->step->node->params;
    bool inverse = p->inverse;
    real *out = call->out, *log_det = out + features * lanes;
    for (size_t lane = 0; lane < lanes; lane += VL) {
        vreal sum = v_set1(0);
        for (size_t f = 0; f < features; f++) {
            vreal x = v_load(cf_feature_row(call, 0, f) + lane);
            vreal s = v_load(cf_feature_row(call, 1, f) + lane);
            vreal t = v_load(cf_feature_row(call, 2, f) + lane);
            vreal u = inverse ? x - t : x, scale = v_exp(inverse ? -s : s);
            scale = v_select(v_eq(u, v_set1(0)), v_set1(1), scale); /* it may be infinite */
            vreal y = inverse ? u * scale : v_fma(u, scale, t);
            v_store(out + f * lanes + lane, y);
            sum = sum + s;
        }
        v_store(log_det + lane, inverse ? -sum : sum);
    }
}

#endif
