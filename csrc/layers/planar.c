/* Planar flows: a bend along one direction (Rezende and Mohamed 2015). */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "layers/amortized.h"
#include "layers/tanh_map.h"
#include "ops/ops.h"

enum { W, U, B, PARTS };

typedef struct {
    cf_amortized params;
    bool leaky;
    double slope; /* of leaky_relu below 0 */
} planar_state;

/* What the formula is made of. */
typedef struct {
    cf_value w, u_hat, b;
    cf_tanh_map along; /* p = w u_hat, and c = 1 + p */
} planar_terms;

/* Shorter vectors w count as 0: the direction of such is lost to rounding, or 1 / |w| overflows. */
static const double least_length = 1e-30;

/* softplus of it, which is 1 + w u_hat, is still a number in float32. */
static const double least_product = -40.0;

/* u of a random w such that u_hat is 0: the layer starts as the identity. */
static void choose_start(double *start, size_t n, const cf_binding *binding) {
    double *w = start, *u = start + n, square = 0.0;
    cf_random_start(w, n, sqrt(3.0 / (double)n), binding, 0);
    for (size_t i = 0; i < n; i++)
        square += w[i] * w[i];
    for (size_t i = 0; i < n; i++)
        u[i] = square > 0.0 ? log(expm1(1.0)) * w[i] / square : 0.0;
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    size_t n = layer->features;
    const cf_part part[PARTS] = {[W] = {"w", n, 0}, [U] = {"u", n, 0}, [B] = {"b", 1, 0}};
    planar_state *state;
    double *start;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    state->leaky = strcmp(cf_spec_string(layer->spec, "h"), "leaky_relu") == 0;
    state->slope = cf_spec_real(layer->spec, "slope");
    CF_TRY(cf_alloc(&start, 2 * n + 1, sizeof *start));
    choose_start(start, n, binding);
    cf_status status = cf_amortized_bind(&state->params, layer, binding, part, PARTS, start);
    cf_free(start);
    return status;
}

/* x without its part along the unit vector e. Done twice, what is left of that is rounding of the
 * result, not of x. */
static cf_value remove_along(cf_builder *b, cf_value x, cf_value e) {
    return cf_subtract(b, x, cf_multiply(b, e, cf_dot(b, e, x)));
}

/* With m = softplus(w u) - 1, u_hat = u + (m - w u) w / |w|^2: u's part across w, and m / |w| along
 * it. With w = 0 it is u, and w u_hat = 0. */
static planar_terms read_terms(const cf_layer *layer, cf_builder *b, cf_value context) {
    const planar_state *state = layer->state;
    cf_value part[PARTS];
    cf_amortized_emit(&state->params, b, context, part);
    cf_value length = cf_length(b, part[W]), some = cf_greater_equal(b, length, least_length);
    cf_value e = cf_multiply(b, cf_unit_vector(b, part[W]), some);
    cf_value product = cf_clamp(b, cf_dot(b, part[W], part[U]), least_product, INFINITY);
    cf_value none = cf_scale_shift(b, some, -1.0, 1.0);
    cf_value c = cf_add(b, cf_multiply(b, some, cf_softplus(b, product)), none);
    cf_value p = cf_scale_shift(b, c, 1.0, -1.0);
    cf_value across = remove_along(b, remove_along(b, part[U], e), e);
    cf_value along = cf_divide(b, p, cf_clamp(b, length, least_length, INFINITY));
    return (planar_terms){.w = part[W],
                          .u_hat = cf_add(b, across, cf_multiply(b, e, along)),
                          .b = part[B],
                          .along = {p, c}};
}

/* Of leaky_relu, 1 + p h'(s): c where s is positive, 1 - slope + slope c elsewhere. */
static cf_value leaky_slope(const planar_state *state, cf_builder *b, cf_value c, cf_value s) {
    cf_value below = cf_greater_equal(b, cf_scale_shift(b, s, -1.0, 0.0), 0.0);
    cf_value above = cf_scale_shift(b, below, -1.0, 1.0);
    cf_value gentle = cf_scale_shift(b, c, state->slope, 1.0 - state->slope);
    return cf_add(b, cf_multiply(b, above, c), cf_multiply(b, below, gentle));
}

/* u_hat h(s), and log(1 + w u_hat h'(s)). */
static cf_value bend(const planar_state *state, cf_builder *b, const planar_terms *terms,
                     cf_value s, cf_value *log_det) {
    cf_value h = state->leaky ? cf_leaky_relu(b, s, state->slope) : cf_tanh(b, s);
    *log_det = state->leaky ? cf_log(b, leaky_slope(state, b, terms->along.c, s))
                            : cf_tanh_map_log_slope(b, &terms->along, s);
    return cf_multiply(b, terms->u_hat, h);
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    planar_terms terms = read_terms(layer, b, context);
    cf_value s = cf_add(b, cf_dot(b, terms.w, u), terms.b);
    return cf_add(b, u, bend(layer->state, b, &terms, s, log_det));
}

/* w x + b = s + p h(s), of which s is the root. */
static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    const planar_state *state = layer->state;
    planar_terms terms = read_terms(layer, b, context);
    cf_value y = cf_add(b, cf_dot(b, terms.w, x), terms.b);
    cf_value s = state->leaky ? cf_divide(b, y, leaky_slope(state, b, terms.along.c, y))
                              : cf_tanh_map_root(b, &terms.along, y);
    x = cf_subtract(b, x, bend(state, b, &terms, s, log_det));
    *log_det = cf_scale_shift(b, *log_det, -1.0, 0.0);
    return x;
}

static cf_status check(const cf_spec *spec) {
    if (cf_spec_get(spec, "slope")->is_set && strcmp(cf_spec_string(spec, "h"), "leaky_relu") != 0)
        return cf_fail(CF_INVALID, "Planar: slope is that of h='leaky_relu', got h='%s'",
                       cf_spec_string(spec, "h"));
    return cf_network_check(spec);
}

static const cf_layer_methods methods = {bind, forward, inverse};

static const char *const activations[] = {"tanh", "leaky_relu", NULL};
static const cf_range slopes = {0.0, 1.0, false, false};

static const cf_option options[] = {
    {.name = "h",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("tanh"),
     .choices = activations,
     .doc = "``'tanh'``, or ``'leaky_relu'``: s where it is positive, else ``slope * s``."},
    {.name = "slope",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(0.01),
     .range = &slopes,
     .doc = "Of leaky_relu below 0."},
    CF_AMORTIZED_OPTIONS,
};

const cf_spec_type cf_planar_type = {
    .name = "Planar",
    .role = "layer",
    .doc =
        "Planar flow: a bend along one direction.\n\n"
        "``x = u + u_hat h(w.u + b)`` and ``log_det = log(1 + w.u_hat h'(w.u + b))``, with "
        "``u_hat = u_0 +\n(softplus(w.u_0) - 1 - w.u_0) w / |w|^2`` of the parameters ``w``, "
        "``u`` (here ``u_0``) and ``b``:\n``w.u_hat = softplus(w.u_0) - 1 > -1`` keeps it "
        "invertible whatever they are. Where ``w = 0``, it is a shift\nby ``u_0 h(b)``; "
        "``w.u_0`` below -40 counts as -40. The inverse solves for ``w.u + b``, of tanh by "
        "Newton's\nmethod and bisection to the last digits of the dtype, of leaky_relu by a "
        "formula.\n\n"
        "The formula is that of sampling, as in variational inference; ``Inverse(Planar())`` has "
        "it on the way from\ndata to base. A new layer is the identity. The parameters are "
        "learned; in a flow with context they are\nfunctions of it. Of images all numbers are one "
        "vector.\n\n"
        "References\n----------\n"
        "Rezende and Mohamed 2015, Variational inference with normalizing flows, "
        "arXiv:1505.05770,\nequations 10 to 13, appendix A.1.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
