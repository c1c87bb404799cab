/* A normal distribution whose samples a network accepts or rejects (Stimper et al. 2022). */
#include <math.h>

#include "dist/base.h"
#include "nn/conditioner.h"
#include "ops/ops.h"

enum { MAX_TRIES = 1000, MAX_DRAWS = 1000 };

typedef struct {
    cf_conditioner network;  /* logit of the probability a(z) to accept z */
    cf_statistic acceptance; /* Z, the mean of a */
    size_t truncation, draws;
    bool learned;
    size_t loc, log_scale; /* parameters, if learned */
} resampled_state;

static cf_status bind_normal(cf_base *base, cf_binding *binding, resampled_state *state) {
    state->learned = cf_spec_int(base->spec, "learned") != 0;
    if (!state->learned)
        return CF_OK;
    CF_TRY(cf_bind_parameter(binding, "loc", 1, &base->features, 0.0, &state->loc));
    return cf_bind_parameter(binding, "log_scale", 1, &base->features, 0.0, &state->log_scale);
}

static cf_status bind(cf_base *base, cf_binding *binding) {
    resampled_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    base->state = state;
    state->truncation = (size_t)cf_spec_int(base->spec, "truncation");
    state->draws = (size_t)cf_spec_int(base->spec, "draws");
    state->acceptance =
        (cf_statistic){.initial = 0.5, .momentum = cf_spec_real(base->spec, "momentum")};
    CF_TRY(bind_normal(base, binding, state));
    CF_TRY(cf_bind_statistic(binding, "acceptance", 1, &state->acceptance));
    return cf_conditioner_bind(
        &state->network, cf_spec_spec(base->spec, "network"), binding, "network",
        (cf_conditioner_sizes){.shape = cf_vector(base->features), .outputs = 1, .groups = 1},
        true);
}

static cf_value logit(const resampled_state *state, cf_builder *b, cf_value z) {
    return cf_broadcast(b, cf_conditioner_emit(&state->network, b, z, CF_NO_VALUE));
}

/* The mean acceptance of `draws` samples of the normal for each of the batch. */
static cf_value estimate(const cf_base *base, cf_builder *b) {
    const resampled_state *state = base->state;
    size_t n = base->features;
    cf_value z = cf_random_normal_samples(b, n * state->draws, cf_next_stream(b));
    cf_value sum = CF_NO_VALUE;
    for (size_t i = 0; i < state->draws && cf_builder_status(b) == CF_OK; i++)
        sum = cf_add_optional(b, sum, cf_sigmoid(b, logit(state, b, cf_slice(b, z, i * n, n))));
    cf_value mean = cf_divide(b, cf_sum_samples(b, sum), cf_sample_count(b));
    return cf_scale_shift(b, mean, 1.0 / (double)state->draws, 0.0);
}

/* Z: what is stored; in training, with the batch's estimate mixed in, whose gradient it has. */
static cf_value emit_acceptance(const cf_base *base, cf_builder *b) {
    const resampled_state *state = base->state;
    cf_value stored = cf_parameter(b, state->acceptance.parameter, 1);
    if (cf_builder_mode(b) == CF_TRAINING) {
        double momentum = state->acceptance.momentum;
        cf_value found = estimate(base, b), value = cf_detach(b, found);
        cf_output_statistic(b, state->acceptance.output, value);
        stored = cf_add(b, cf_scale_shift(b, stored, 1.0 - momentum, 0.0),
                        cf_scale_shift(b, value, momentum, 0.0));
        stored = cf_add(b, stored, cf_subtract(b, found, value));
    }
    return cf_clamp(b, stored, 1e-6, 1.0 - 1e-6);
}

/* log(a (1 - r) / Z + r) with r = (1 - Z)^(truncation - 1), the probability that all tries but the
 * last are rejected. */
static cf_value log_ratio(const cf_base *base, cf_builder *b, cf_value z) {
    const resampled_state *state = base->state;
    cf_value acceptance = emit_acceptance(base, b);
    cf_value less = cf_log1p(b, cf_scale_shift(b, acceptance, -1.0, 0.0));
    cf_value log_rejected = cf_scale_shift(b, less, (double)(state->truncation - 1), 0.0);
    cf_value accepted = cf_scale_shift(b, cf_expm1(b, log_rejected), -1.0, 0.0);
    cf_value factor = cf_log(b, cf_divide(b, accepted, acceptance));
    cf_value against = cf_softplus(b, cf_scale_shift(b, logit(state, b, z), -1.0, 0.0));
    cf_value terms[2] = {cf_subtract(b, factor, against), cf_broadcast(b, log_rejected)};
    return cf_log_sum_exp(b, cf_concat(b, terms, 2));
}

static cf_value log_prob(const cf_base *base, cf_builder *b, cf_value u, cf_value context) {
    const resampled_state *state = base->state;
    size_t n = base->features;
    cf_value z = u, log_det = CF_NO_VALUE;
    (void)context;
    if (state->learned) {
        cf_value log_scale = cf_parameter(b, state->log_scale, n);
        cf_value scale = cf_exp(b, cf_scale_shift(b, log_scale, -1.0, 0.0));
        z = cf_multiply(b, cf_subtract(b, u, cf_parameter(b, state->loc, n)), scale);
        log_det = cf_scale_shift(b, cf_sum_features(b, log_scale), -1.0, 0.0);
    }
    cf_value density = cf_add_optional(b, cf_normal_log_density(b, z), log_det);
    return state->truncation == 1 ? density : cf_add(b, density, log_ratio(base, b, z));
}

/* The first try that is accepted, else the last. */
static cf_value sample(const cf_base *base, cf_builder *b, uint32_t stream, cf_value context) {
    const resampled_state *state = base->state;
    size_t n = base->features, last = state->truncation - 1;
    cf_value tries = cf_random_normal_samples(b, n * state->truncation, stream);
    cf_value levels = cf_random_uniform_samples(b, state->truncation, stream + 1);
    cf_value z = cf_slice(b, tries, last * n, n);
    (void)context;
    for (size_t i = last; i-- > 0 && cf_builder_status(b) == CF_OK;) {
        cf_value one = cf_slice(b, tries, i * n, n);
        cf_value above =
            cf_subtract(b, cf_sigmoid(b, logit(state, b, one)), cf_slice(b, levels, i, 1));
        z = cf_where(b, above, one, z);
    }
    if (!state->learned)
        return z;
    cf_value scale = cf_exp(b, cf_parameter(b, state->log_scale, n));
    return cf_add(b, cf_multiply(b, z, scale), cf_parameter(b, state->loc, n));
}

static cf_components components(const cf_base *base, cf_builder *b, cf_value context) {
    (void)base;
    (void)context;
    cf_builder_fail(b, CF_INVALID,
                    "Resampled: its distribution function is not known; sample, and count");
    return (cf_components){CF_NO_VALUE, CF_NO_VALUE, CF_NO_VALUE};
}

static cf_status check_count(const cf_spec *spec, const char *name, int most) {
    int64_t count = cf_spec_int(spec, name);
    if (count >= 1 && count <= most)
        return CF_OK;
    return cf_fail(CF_INVALID, "Resampled: %s must be from 1 to %d, got %lld", name, most,
                   (long long)count);
}

static cf_status check(const cf_spec *spec) {
    double momentum = cf_spec_real(spec, "momentum");
    CF_TRY(check_count(spec, "truncation", MAX_TRIES));
    CF_TRY(check_count(spec, "draws", MAX_DRAWS));
    if (!(momentum > 0.0 && momentum <= 1.0))
        return cf_fail(CF_INVALID, "Resampled: momentum must be more than 0 and at most 1, got %g",
                       momentum);
    return CF_OK;
}

static const cf_base_methods methods = {
    .bind = bind, .log_prob = log_prob, .sample = sample, .components = components};

static const cf_option options[] = {
    {.name = "network",
     .kinds = CF_OPTION_SPEC,
     .required = true,
     .spec_role = "conditioner",
     .doc = "Its one output, of z, is the logit of the probability that z is accepted: at the "
            "start 0."},
    {.name = "truncation",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(100),
     .doc = "T: the last of so many tries is accepted. Sampling computes the network for all."},
    {.name = "learned",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(0),
     .doc = "Whether the normal has a `base.loc` and `base.log_scale`, which are trained; z is "
            "what it has standardised."},
    {.name = "draws",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(4),
     .doc = "Samples of the normal, for each row of a batch, by which training estimates Z."},
    {.name = "momentum",
     .kinds = CF_OPTION_REAL,
     .default_value = CF_DEFAULT_REAL(0.05),
     .doc = "Weight of the newest batch in the running Z."},
};

const cf_spec_type cf_resampled_type = {
    .name = "Resampled",
    .role = "base",
    .doc =
        "Normal distribution whose samples a network accepts or rejects.\n\n"
        "``log_prob(z) = log normal(z) + log((1 - r) a(z) / Z + r)`` with ``a(z) = "
        "sigmoid(network(z))``, the\n"
        "probability to accept z, its mean ``Z`` and ``r = (1 - Z)^(truncation - 1)``. A sample is "
        "the first of\n`truncation` tries that is accepted, or the last.\n\n"
        "`base.acceptance` is Z, a running statistic: in training an exponential average of "
        "what batches\nestimate, with the gradient of the newest. `fit` sets it, before it "
        "validates and in the end, to the\nmean over `draws` samples for each of up to 10,000 "
        "rows, in the end of long fits 100,000; up to the\nerror of that the density integrates to "
        "1. Who sets weights by hand sets Z too. The base does not depend\non the context. "
        "Gradients through samples are those of the accepted try: how the choice itself moves\n"
        "is left out.\n\n"
        "References\n----------\n"
        "Stimper et al. 2022, Resampling base distributions of normalizing flows, "
        "arXiv:2110.15828.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
