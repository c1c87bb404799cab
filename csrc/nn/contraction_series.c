/* log|det(I + J)| with J = dg/dx, estimated by the series tr J - tr J^2 / 2 + tr J^3 / 3 - ... and
 * tr A = mean of v^T A v for vectors v of random signs (Hutchinson). */
#include <math.h>

#include "base/memory.h"
#include "base/splitmix.h"
#include "engine/loop.h"
#include "nn/contraction.h"
#include "ops/ops.h"

/* ---- in training ---- */

/* Terms that are always there; behind them each follows with the probability `go_on`, by which it
 * is divided. Term k is at most rate^k, so that the variance is finite where go_on > rate^2. With
 * r = c^layers of weights whose norm is c, as it is while they are trained, (1 + r^2) / 2 is that:
 * it is more than ((1 + r) / 2)^2, and (1 + r) / 2 at least ((1 + c) / 2)^layers, the greatest
 * rate. */
enum { SURE_TERMS = 4 };

static double chance_of_more(const cf_contraction_net *net) {
    double r = pow(net->coefficient, (double)net->layers);
    return 0.5 * (1.0 + r * r);
}

typedef struct {
    cf_contraction_params params;
    cf_value slope[CF_MAX_CONTRACTION_LAYERS], probe, terms;
    double go_on;
} series;

/* Of w = (J^T)^k v, the sum of the gradient's terms, the sum of the value's, k, and the weight
 * (-1)^k / P(there are k terms). */
static void add_term(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                     cf_value *goes_on) {
    const series *s = context;
    cf_value k = next[3] = cf_scale_shift(b, state[3], 1.0, 1.0);
    cf_value through = next[0] = cf_contraction_pull(&s->params, b, s->slope, state[0]);
    cf_value chance =
        cf_scale_shift(b, cf_greater_equal(b, k, SURE_TERMS + 0.5), 1.0 / s->go_on - 1.0, 1.0);
    cf_value weight = next[4] = cf_multiply(b, state[4], cf_scale_shift(b, chance, -1.0, 0.0));
    next[1] = cf_add(b, state[1], cf_multiply(b, through, weight));
    cf_value term = cf_sum_features(b, cf_multiply(b, through, s->probe));
    next[2] = cf_subtract(b, state[2], cf_divide(b, cf_multiply(b, term, weight), k));
    *goes_on = cf_subtract(b, s->terms, k);
}

/* How many terms a sample has. Its neighbours have as many, since a tile goes on until the last of
 * its samples has finished; Chen et al. draw one number for a batch. */
static cf_value draw_terms(cf_builder *b, double go_on, uint32_t max) {
    cf_value uniform = cf_random_uniform_groups(b, cf_next_stream(b));
    cf_value log_uniform = cf_log(b, cf_scale_shift(b, uniform, -1.0, 1.0));
    cf_value more = cf_floor(b, cf_scale_shift(b, log_uniform, 1.0 / log(go_on), 0.0));
    return cf_clamp(b, cf_scale_shift(b, more, 1.0, SURE_TERMS), 1.0, max);
}

cf_value cf_contraction_log_det_estimate(const cf_contraction_params *params, cf_builder *b,
                                         cf_value x, cf_value *g) {
    double go_on = chance_of_more(params->net);
    uint32_t max = (uint32_t)(SURE_TERMS + 42.0 / -log(go_on)); /* a chance of 2^-60 for more */
    size_t features = cf_contraction_features(params->net);
    cf_value signs = cf_random_uniform_samples(b, features, cf_next_stream(b));
    series s = {.params = *params, .go_on = go_on, .terms = draw_terms(b, go_on, max)};
    s.probe = cf_scale_shift(b, cf_greater_equal(b, signs, 0.5), 2.0, -1.0);
    cf_value pushed = s.probe, final[5];
    *g = cf_contraction_products(params, b, x, &pushed, 1, s.slope);
    cf_value zero = cf_constant(b, CF_BATCHED, 1, 0.0), one = cf_constant(b, CF_BATCHED, 1, 1.0);
    cf_while_spec loop = {.states = 5,
                          .initial = (cf_value[]){s.probe, s.probe, zero, zero, one},
                          .body = add_term,
                          .context = &s,
                          .context_size = sizeof s,
                          .max_iterations = max};
    cf_while(b, &loop, final, NULL);
    return cf_stated_gradient(b, final[2], pushed, final[1]);
}

/* ---- elsewhere ---- */

typedef struct {
    cf_contraction_params params;
    cf_value slope[CF_MAX_CONTRACTION_LAYERS], probe;
    double rate, features;
} cut_series;

/* Of what follows term k, w_{k+j} = (J^T)^j w_k, each |v^T w_{k+j}| <= rate^j b with b, by the norm
 * in which J is a contraction: sqrt(n) |w| of Euclid's, since |v| = sqrt(n); the sum of magnitudes
 * of w where it is the maximum, in which J^T contracts, and v is of signs; n times the greatest of
 * w, for which |w| is taken, where it is the sum. This is b rate / (1 - rate) over the tolerance,
 * squared, less 1. */
static cf_value remainder_of(cf_builder *b, const cut_series *s, cf_value w) {
    cf_contraction_norm norm = s->params.net->norm;
    double factor = s->rate / (1.0 - s->rate) / CF_SERIES_TOLERANCE;
    if (norm == CF_NORM_INFINITY) {
        cf_value sum = cf_scale_shift(b, cf_sum_features(b, cf_abs(b, w)), factor, 0.0);
        return cf_scale_shift(b, sum, 1.0, -1.0);
    }
    factor *= norm == CF_NORM_ONE ? s->features : sqrt(s->features);
    w = cf_scale_shift(b, w, factor, 0.0);
    return cf_scale_shift(b, cf_sum_features(b, cf_multiply(b, w, w)), 1.0, -1.0);
}

/* Of w = (J^T)^k v, the sum of the gradient's terms, the sum of the value's, k, and (-1)^k. */
static void add_sure_term(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                          cf_value *goes_on) {
    const cut_series *s = context;
    cf_value k = next[3] = cf_scale_shift(b, state[3], 1.0, 1.0);
    cf_value through = next[0] = cf_contraction_pull(&s->params, b, s->slope, state[0]);
    cf_value sign = next[4] = cf_scale_shift(b, state[4], -1.0, 0.0);
    next[1] = cf_add(b, state[1], cf_multiply(b, through, sign));
    cf_value term = cf_sum_features(b, cf_multiply(b, through, s->probe));
    next[2] = cf_subtract(b, state[2], cf_divide(b, cf_multiply(b, term, sign), k));
    *goes_on = remainder_of(b, s, through);
}

/* Signs number `index`, always the same. */
static cf_value fixed_signs(cf_builder *b, size_t features, size_t index) {
    uint64_t state = (uint64_t)index * UINT64_C(0xD1342543DE82EF95) + 1;
    cf_value numbers[2] = {cf_constant(b, CF_UNBATCHED, 1, -1.0),
                           cf_constant(b, CF_UNBATCHED, 1, 1.0)};
    int64_t *indices;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_alloc(&indices, features, sizeof *indices) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for a probe");
    for (size_t i = 0; i < features; i++)
        indices[i] = (int64_t)(cf_splitmix64(&state) >> 63);
    cf_value signs = cf_broadcast(
        b, cf_contiguous(b, cf_select(b, cf_concat(b, numbers, 2), indices, features)));
    cf_free(indices);
    return signs;
}

/* So many terms are enough for any J, and some more. */
static uint32_t max_terms(const cut_series *s) {
    double worst = 1.5 * log(s->features) + log(s->rate / (1.0 - s->rate) / CF_SERIES_TOLERANCE);
    return (uint32_t)(fmax(worst, 0.0) / -log(s->rate)) + 20;
}

cf_value cf_contraction_log_det_probes(const cf_contraction_params *params, cf_builder *b,
                                       cf_value x, size_t probes, cf_value *g) {
    const cf_contraction_net *net = params->net;
    size_t features = cf_contraction_features(net);
    cf_value sum = CF_NO_VALUE, probe[CF_MAX_PROBES], pushed[CF_MAX_PROBES], final[5];
    cut_series s = {
        .params = *params, .rate = cf_contraction_rate(net), .features = (double)features};
    for (size_t i = 0; i < probes; i++)
        pushed[i] = probe[i] = fixed_signs(b, features, i);
    *g = cf_contraction_products(params, b, x, pushed, probes, s.slope);
    cf_value zero = cf_constant(b, CF_BATCHED, 1, 0.0), one = cf_constant(b, CF_BATCHED, 1, 1.0);
    for (size_t i = 0; i < probes; i++) {
        s.probe = probe[i];
        cf_while_spec loop = {.states = 5,
                              .initial = (cf_value[]){s.probe, s.probe, zero, zero, one},
                              .body = add_sure_term,
                              .context = &s,
                              .context_size = sizeof s,
                              .max_iterations = max_terms(&s)};
        cf_while(b, &loop, final, NULL);
        sum = cf_add_optional(b, sum, cf_stated_gradient(b, final[2], pushed[i], final[1]));
    }
    return cf_scale_shift(b, sum, 1.0 / (double)probes, 0.0);
}
