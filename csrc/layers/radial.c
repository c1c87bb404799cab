/* Radial flows: a stretch around one point (Rezende and Mohamed 2015). */
#include <math.h>

#include "base/memory.h"
#include "layers/amortized.h"
#include "ops/ops.h"

enum { CENTRE, ALPHA, BETA, PARTS };

/* The distance from the centre r goes to r (r + s) / (r + a), both positive. */
typedef struct {
    cf_value centre, a, s;
} radial_terms;

/* Unconstrained numbers beyond count as these: a and s, their quotients and what is made of them
 * are numbers of float32. */
static const double least_alpha = 1e-10, max_alpha = 1e10, least_beta = -50.0, max_beta = 1e10;

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    size_t n = layer->features;
    const cf_part part[PARTS] = {
        [CENTRE] = {"z_0", n, 0}, [ALPHA] = {"alpha", 1, 0}, [BETA] = {"beta", 1, 0}};
    cf_amortized *state;
    double *start;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    CF_TRY(cf_alloc(&start, n + 2, sizeof *start));
    cf_random_start(start, n, 1.0, binding, 0);
    start[n] = 1.0;
    start[n + 1] = log(expm1(1.0));
    cf_status status = cf_amortized_bind(state, layer, binding, part, PARTS, start);
    cf_free(start);
    return status;
}

static radial_terms read_terms(const cf_layer *layer, cf_builder *b, cf_value context) {
    cf_value part[PARTS];
    cf_amortized_emit(layer->state, b, context, part);
    return (radial_terms){
        .centre = part[CENTRE],
        .a = cf_clamp(b, cf_abs(b, part[ALPHA]), least_alpha, max_alpha),
        .s = cf_softplus(b, cf_clamp(b, part[BETA], least_beta, max_beta)),
    };
}

/* (features - 1) log((r + s) / (r + a)) and the logarithm of the slope, (r^2 + 2 r a + s a) / (r +
 * a)^2, whose squares may overflow: with q = r / (r + a) and p = a / (r + a), q (1 + p) + p s / (r
 * + a). */
static cf_value emit_log_det(const cf_layer *layer, cf_builder *b, const radial_terms *terms,
                             cf_value r) {
    cf_value whole = cf_add(b, r, terms->a);
    cf_value across = cf_log(b, cf_divide(b, cf_add(b, r, terms->s), whole));
    cf_value p = cf_divide(b, terms->a, whole), q = cf_divide(b, r, whole);
    cf_value outside = cf_multiply(b, q, cf_scale_shift(b, p, 1.0, 1.0));
    cf_value inside = cf_multiply(b, p, cf_divide(b, terms->s, whole));
    return cf_add(b, cf_scale_shift(b, across, (double)layer->features - 1.0, 0.0),
                  cf_log(b, cf_add(b, outside, inside)));
}

/* r of the distance that it goes to, R: r^2 - d r - R a = 0 with d = R - s. The root is (d + |d|) /
 * 2 + 2 R a / (|d| + D), a sum of positive terms, with the discriminant D^2 = d^2 + 4 R a taken in
 * units of R + s. */
static cf_value solve(cf_builder *b, const radial_terms *terms, cf_value distance) {
    cf_value d = cf_subtract(b, distance, terms->s), size = cf_abs(b, d);
    cf_value unit = cf_add(b, distance, terms->s), part = cf_divide(b, d, unit);
    cf_value product = cf_multiply(b, cf_divide(b, distance, unit), cf_divide(b, terms->a, unit));
    cf_value square = cf_add(b, cf_multiply(b, part, part), cf_scale_shift(b, product, 4.0, 0.0));
    cf_value discriminant = cf_multiply(b, unit, cf_sqrt(b, square));
    cf_value far = cf_add(b, cf_scale_shift(b, d, 0.5, 0.0), cf_scale_shift(b, size, 0.5, 0.0));
    cf_value near = cf_divide(b, distance, cf_add(b, size, discriminant));
    return cf_add(b, far, cf_multiply(b, cf_scale_shift(b, terms->a, 2.0, 0.0), near));
}

/* The centre and `from` times numerator / denominator. */
static cf_value stretch(cf_builder *b, const radial_terms *terms, cf_value from, cf_value numerator,
                        cf_value denominator) {
    cf_value factor = cf_divide(b, numerator, denominator);
    return cf_add(b, terms->centre, cf_multiply(b, from, factor));
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    radial_terms terms = read_terms(layer, b, context);
    cf_value from = cf_subtract(b, u, terms.centre), r = cf_length(b, from);
    *log_det = emit_log_det(layer, b, &terms, r);
    return stretch(b, &terms, from, cf_add(b, r, terms.s), cf_add(b, r, terms.a));
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    radial_terms terms = read_terms(layer, b, context);
    cf_value from = cf_subtract(b, x, terms.centre);
    cf_value r = solve(b, &terms, cf_length(b, from));
    *log_det = cf_scale_shift(b, emit_log_det(layer, b, &terms, r), -1.0, 0.0);
    return stretch(b, &terms, from, cf_add(b, r, terms.a), cf_add(b, r, terms.s));
}

static const cf_layer_methods methods = {bind, forward, inverse};

static const cf_option options[] = {CF_AMORTIZED_OPTIONS};

const cf_spec_type cf_radial_type = {
    .name = "Radial",
    .role = "layer",
    .doc =
        "Radial flow: a stretch around one point.\n\n"
        "``x = u + b (u - z_0) / (a + r)`` with ``r = |u - z_0|``, ``a = |alpha|`` and ``b = "
        "softplus(beta) - a`` of the\nparameters ``z_0``, ``alpha`` and ``beta``: ``b > -a`` keeps "
        "it invertible whatever they are. ``log_det =\n(features - 1) log(1 + b / (a + r)) + "
        "log(1 + a b / (a + r)^2)``. The inverse is a formula too, the\nroot of a quadratic "
        "equation for ``r``. ``|alpha|`` counts as at least 1e-10, ``beta`` as at least -50, both "
        "as at\nmost 1e10.\n\n"
        "A new layer is the identity. The parameters are learned; in a flow with context they are "
        "functions of it.\nOf images all numbers are one vector.\n\n"
        "References\n----------\n"
        "Rezende and Mohamed 2015, Variational inference with normalizing flows, "
        "arXiv:1505.05770,\nequation 14, appendix A.2.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = cf_network_check,
    .methods = &methods,
};
