/* Stores the gradient with respect to an input of a fixed map: of the derivatives that it is the
 * sum of, their factors, times slopes that the dtype of the run may not hold. It is computed in
 * float64, and rounded unless the array is of float64. */
#ifndef CF_FN

#include "ops/feature_rows.h"
#include "ops/fixed_map_ops.h"
#include "ops/store_rows.h"

enum { MAX_TERMS = 2 }; /* of the value and of the log_det */

/* Operand 0 has the factors of all terms, then, if it is masked, a log-density: where that is -inf,
 * the gradient is 0. */
typedef struct {
    cf_map_params of;
    int slot;
    size_t terms;
    cf_map_order order[MAX_TERMS];
    bool masked;
} gradient_params;

#define CF_BODY "ops/fixed_map_gradient_output.c"
#include "simd/instantiate.h"

static const cf_op gradient_output_op = {
    .name = "output of a fixed map's gradient",
    .flags = CF_OP_OUTPUT,
    .params = sizeof(gradient_params),
    .kernel = CF_VERSIONS(store_gradient),
};

/* Whether two derivatives are of one map at one input. */
static bool match(const cf_node *one, const cf_node *other) {
    const cf_map_params *p = one->params, *q = other->params;
    bool same = p->slot == q->slot && p->map.steps != NULL && p->map.steps == q->map.steps &&
                one->operands == other->operands;
    for (size_t i = 1; same && i < one->operands; i++)
        same = one->operand[i].id == other->operand[i].id;
    return same;
}

/* The derivatives whose sum `value` is; false if it is any other. */
static bool find_terms(const cf_builder *b, cf_value value, const cf_node *term[MAX_TERMS],
                       gradient_params *params) {
    cf_value part[MAX_TERMS] = {value};
    params->terms = cf_is_sum(b, value, part) ? 2 : 1;
    for (size_t i = 0; i < params->terms; i++) {
        term[i] = cf_fixed_map_input_derivative(b, part[i], &params->order[i]);
        if (term[i] == NULL || (i > 0 && !match(term[0], term[i])))
            return false;
    }
    params->of = *(const cf_map_params *)term[0]->params;
    return true;
}

bool cf_fixed_map_gradient_output(cf_builder *b, int slot, cf_value value) {
    gradient_params params = {.slot = slot};
    const cf_node *term[MAX_TERMS];
    cf_value part[MAX_TERMS + 1], operand[CF_MAX_OPERANDS], log_prob;
    params.masked = cf_is_where_possible(b, value, &log_prob, &value);
    if (!find_terms(b, value, term, &params))
        return false;
    for (size_t i = 0; i < params.terms; i++)
        part[i] = term[i]->operand[0];
    if (params.masked)
        part[params.terms] = cf_slice(b, log_prob, 0, 1);
    memcpy(operand, term[0]->operand, sizeof operand);
    operand[0] = cf_concat(b, part, params.terms + params.masked);
    /* What stands there for the gradient alone is left out. */
    cf_emit(b, &gradient_output_op, CF_BATCHED, 0, term[0]->operands - 1, operand,
            CF_PARAMS(&params));
    return true;
}

#else

#include "ops/fixed_map_ops.h"
#include "ops/store_rows.h"

static void CF_FN(take_term)(const cf_call *call, const cf_mapped *m, size_t k, size_t f,
                             double *out) {
    const gradient_params *p = call->step->node->params;
    const real *factor = cf_feature_row(call, 0, k * p->of.map.features + f);
    double room[CF_MAX_LANES];
    const double *slope = CF_FN(map_derivative_of)(m, call->lanes, p->order[k], room);
    for (size_t lane = 0; lane < call->lanes; lane++)
        out[lane] = factor[lane] * slope[lane];
}

/* Terms are rounded as far as their sum will be. */
static void CF_FN(sum_terms)(const cf_call *call, const cf_mapped *m, size_t f, bool widened,
                             double *out) {
    const gradient_params *p = call->step->node->params;
    double term[CF_MAX_LANES];
    CF_FN(take_term)(call, m, 0, f, out);
    for (size_t k = 1; k < p->terms; k++) {
        CF_FN(take_term)(call, m, k, f, term);
        for (size_t lane = 0; lane < call->lanes; lane++)
            out[lane] = widened ? out[lane] + term[lane] : (real)out[lane] + (real)term[lane];
    }
}

static void CF_FN(mask_terms)(const cf_call *call, double *out) {
    const gradient_params *p = call->step->node->params;
    const real *log_prob = cf_feature_row(call, 0, p->terms * p->of.map.features);
    for (size_t lane = 0; lane < call->lanes; lane++)
        out[lane] = log_prob[lane] == (real)-INFINITY ? 0.0 : out[lane];
}

static void CF_FN(store_gradient)(const cf_call *call) {
    const gradient_params *p = call->step->node->params;
    const cf_result *result = &call->run->output[p->slot];
    size_t features = p->of.map.features, line = 0;
    double stage[CF_LINE_FEATURES * CF_MAX_LANES];
    map_reader r;
    cf_mapped m;
    CF_FN(map_begin)(&r, call, 1, false, true);
    for (size_t f = 0; f < features; f++) {
        double *row = stage + line++ * CF_MAX_LANES;
        CF_FN(map_next_slopes)(&r, f, &m);
        CF_FN(sum_terms)(call, &m, f, result->as_double, row);
        if (p->masked)
            CF_FN(mask_terms)(call, row);
        if (line < CF_LINE_FEATURES && f + 1 < features)
            continue;
        CF_FN(store_rows)(call, result, f + 1 - line, line, stage);
        line = 0;
    }
}

#endif
