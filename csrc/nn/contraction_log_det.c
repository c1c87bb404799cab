/* log|det(I + J)| with J = dg/dx: by elimination, or estimated by the series
 * tr J - tr J^2 / 2 + tr J^3 / 3 - ... */
#include <math.h>

#include "base/memory.h"
#include "engine/loop.h"
#include "nn/contraction.h"
#include "ops/ops.h"

/* ---- exact ---- */

/* The identity of n rows: a view. */
static cf_value identity(cf_builder *b, size_t n) {
    int64_t *indices;
    cf_value numbers[2] = {cf_constant(b, CF_UNBATCHED, 1, 0.0),
                           cf_constant(b, CF_UNBATCHED, 1, 1.0)};
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_alloc(&indices, n * n, sizeof *indices) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for an identity matrix");
    for (size_t i = 0; i < n * n; i++)
        indices[i] = i % (n + 1) == 0;
    cf_value view = cf_select(b, cf_concat(b, numbers, 2), indices, n * n);
    cf_free(indices);
    return view;
}

cf_value cf_contraction_log_det(const cf_contraction_params *params, cf_builder *b, cf_value x,
                                cf_value *g) {
    cf_value jacobian = CF_NO_VALUE;
    *g = cf_contraction_emit(params, b, x, &jacobian, NULL);
    return cf_log_abs_det(b, cf_add(b, jacobian, identity(b, params->net->linear[0].inputs)));
}

/* ---- estimated ---- */

/* Terms that are always there; behind them each follows with the probability `go_on`, by which it
 * is divided. Term k is at most rate^k, so that the variance is finite where go_on > rate^2. */
enum { SURE_TERMS = 4 };

typedef struct {
    cf_value x, g, probe, terms;
    double go_on;
} series;

/* Of w = (J^T)^k v, the sum of the gradient's terms, the sum of the value's, k, and the weight
 * (-1)^k / P(there are k terms). */
static void add_term(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                     cf_value *goes_on) {
    const series *s = context;
    cf_value k = next[3] = cf_scale_shift(b, state[3], 1.0, 1.0), through;
    cf_gradient(b, 1, &s->g, &state[0], 1, &s->x, &through);
    next[0] = through;
    cf_value chance =
        cf_scale_shift(b, cf_greater_equal(b, k, SURE_TERMS + 0.5), 1.0 / s->go_on - 1.0, 1.0);
    cf_value weight = next[4] = cf_multiply(b, state[4], cf_scale_shift(b, chance, -1.0, 0.0));
    next[1] = cf_add(b, state[1], cf_multiply(b, through, weight));
    cf_value term = cf_sum_features(b, cf_multiply(b, through, s->probe));
    next[2] = cf_subtract(b, state[2], cf_divide(b, cf_multiply(b, term, weight), k));
    *goes_on = cf_subtract(b, s->terms, k);
}

/* How many terms a sample has. */
static cf_value draw_terms(cf_builder *b, double go_on, uint32_t max) {
    cf_value uniform = cf_random_uniform_samples(b, 1, cf_next_stream(b));
    cf_value log_uniform = cf_log(b, cf_scale_shift(b, uniform, -1.0, 1.0));
    cf_value more = cf_floor(b, cf_scale_shift(b, log_uniform, 1.0 / log(go_on), 0.0));
    return cf_clamp(b, cf_scale_shift(b, more, 1.0, SURE_TERMS), 1.0, max);
}

cf_value cf_contraction_log_det_estimate(const cf_contraction_params *params, cf_builder *b,
                                         cf_value x, cf_value *g) {
    double rate = cf_contraction_rate(params->net), go_on = 0.5 * (1.0 + rate * rate);
    uint32_t max = (uint32_t)(SURE_TERMS + 42.0 / -log(go_on)); /* a chance of 2^-60 for more */
    size_t features = params->net->linear[0].inputs;
    if (cf_builder_status(b) == CF_OK && cf_whole_node(b, x) == NULL)
        x = cf_copy(b, x);
    cf_value signs = cf_random_uniform_samples(b, features, cf_next_stream(b));
    series s = {.x = x, .go_on = go_on, .terms = draw_terms(b, go_on, max)};
    s.probe = cf_scale_shift(b, cf_greater_equal(b, signs, 0.5), 2.0, -1.0);
    cf_value pushed = s.probe, final[5];
    s.g = *g = cf_contraction_emit(params, b, x, &pushed, NULL);
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
