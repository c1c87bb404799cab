/* The mixture of logistics as a formula of ops that have rules; with the logarithms of all sums, as
 * in logistic_mixture.c, of w_k sigmoid(z_k), w_k sigmoid(-z_k) and their product's over the scale.
 */
#include "ops/formula.h"
#include "ops/logistic_mixture.h"

/* log(sum over components of exp(terms)) of each feature. */
static cf_value sum(cf_builder *b, cf_value terms, size_t components, size_t features) {
    return cf_log_sum_exp_groups(b, cf_transpose(b, terms, components), features);
}

/* The means for unconstrained ones of 0, of every component and feature. */
static cf_value starts(cf_builder *b, double spread, size_t components, size_t features) {
    cf_value all = CF_NO_VALUE;
    for (size_t k = 0; k < components; k++) {
        double start = components > 1 ? (2.0 * (double)k / (double)(components - 1) - 1.0) : 0.0;
        cf_value each = cf_constant(b, CF_BATCHED, features, spread * start);
        all = cf_concat(b, (cf_value[]){all, each}, 2);
    }
    return all;
}

static cf_value map(cf_builder *b, const cf_node *node, cf_value x, cf_value params,
                    cf_value *log_slope) {
    const cf_mixture_params *p = node->params;
    size_t components = (size_t)p->components, features = cf_value_size(b, x);
    size_t all = components * features;
    cf_value logit = cf_slice(b, params, 0, all);
    cf_value mean =
        cf_add(b, cf_slice(b, params, all, all), starts(b, p->spread, components, features));
    cf_value log_scale = cf_softclip(b, cf_slice(b, params, 2 * all, all), 1.0 / p->inverse_bound);
    cf_value distance = cf_subtract(b, cf_repeat_whole(b, x, components), mean);
    cf_value z = cf_multiply(b, distance, cf_exp(b, cf_scale_shift(b, log_scale, -1.0, 0.0)));
    cf_value left = cf_softplus(b, cf_scale_shift(b, z, -1.0, 0.0)), right = cf_softplus(b, z);
    cf_value below = cf_subtract(b, logit, left), above = cf_subtract(b, logit, right);
    cf_value density = cf_subtract(b, cf_subtract(b, below, right), log_scale);
    below = sum(b, below, components, features);
    above = sum(b, above, components, features);
    density = cf_add(b, sum(b, density, components, features), sum(b, logit, components, features));
    *log_slope = cf_subtract(b, density, cf_add(b, below, above));
    return cf_subtract(b, below, above);
}

/* In both directions, x is the point at which the map has its gradient. */
static cf_value gradient(cf_builder *b, const cf_node *node, const cf_value *operand) {
    const cf_mixture_params *p = node->params;
    return cf_map_gradient_formula(b, node, map, operand[0], operand[1], operand[2], p->inverse);
}

void cf_logistic_mixture_gradient_rule(cf_builder *b, const cf_node *node, cf_value out,
                                       cf_value dout, const bool *needed, cf_value *dx) {
    (void)out;
    cf_formula_rule(b, node, gradient, dout, needed, dx);
}
