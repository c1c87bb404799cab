/* The residual network of neural spline flows (Durkan et al. 2019, arXiv:1906.04032, appendix B.1):
 * pre-activation blocks of two dense layers, into each of which the context comes where there is
 * one. */
#include "nn/conditioner.h"
#include "nn/dense.h"
#include "nn/layer_norm.h"

#include <string.h>

#include "ops/ops.h"

typedef struct {
    cf_dense first, second, context;
    cf_dense scale;        /* of FiLM; context is the shift */
    cf_layer_norm norm[2]; /* before each activation */
} block;

typedef struct {
    cf_dense initial, context, final;
    bool gated;    /* rather than added */
    bool film;     /* or scales and shifts */
    bool separate; /* from the features in the beginning too */
    double dropout;
    size_t blocks;
    block *block;
} residual_state;

/* What the dense layers of one network are bound with. */
typedef struct {
    const cf_conditioner *conditioner;
    cf_binding *binding;
    bool film;
    cf_groups context, hidden;
    size_t *dense_layers;
} sizes;

static cf_status bind_context(cf_dense *out, const sizes *s, const char *name) {
    return cf_dense_bind(out, s->binding, name, -1, s->context, s->hidden, false, s->dense_layers);
}

static cf_status bind_block(block *out, const sizes *s, size_t number) {
    size_t mark;
    CF_TRY(cf_binding_enter(s->binding, "block", (long)number, &mark));
    cf_status status = cf_dense_bind(&out->first, s->binding, "linear", 0, s->hidden, s->hidden,
                                     false, s->dense_layers);
    if (status == CF_OK)
        status = cf_dense_bind(&out->second, s->binding, "linear", 1, s->hidden, s->hidden, false,
                               s->dense_layers);
    if (status == CF_OK && cf_groups_units(s->context) > 0)
        status = bind_context(&out->context, s, s->film ? "shift" : "context");
    if (status == CF_OK && s->film)
        status = bind_context(&out->scale, s, "scale");
    for (long i = 0; status == CF_OK && i < 2; i++)
        status = cf_layer_norm_bind(&out->norm[i], s->conditioner, s->binding, "norm", i,
                                    cf_groups_units(s->hidden));
    cf_binding_leave(s->binding, mark);
    return status;
}

static cf_status bind(cf_conditioner *conditioner, cf_binding *binding, bool zero_last) {
    residual_state *state;
    sizes s = {.conditioner = conditioner,
               .binding = binding,
               .context = conditioner->context_groups,
               .dense_layers = &conditioner->dense_layers};
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    conditioner->state = state;
    state->gated = strcmp(cf_spec_string(conditioner->spec, "context"), "gate") == 0;
    state->film = conditioner->context > 0 &&
                  strcmp(cf_spec_string(conditioner->spec, "context"), "film") == 0;
    s.film = state->film;
    state->separate = strcmp(cf_spec_string(conditioner->spec, "context"), "add") == 0 &&
                      conditioner->context > 0 && conditioner->inputs > 0;
    state->dropout = cf_spec_real(conditioner->spec, "dropout");
    state->blocks = (size_t)cf_spec_int(conditioner->spec, "blocks");
    CF_TRY(cf_arena_alloc(binding->arena, &state->block, state->blocks, sizeof *state->block));
    CF_TRY(cf_conditioner_hidden(conditioner, binding,
                                 (size_t)cf_spec_int(conditioner->spec, "hidden"), &s.hidden));
    CF_TRY(cf_dense_bind(&state->initial, binding, "initial", -1,
                         state->separate ? conditioner->feature_groups : conditioner->input_groups,
                         s.hidden, false, s.dense_layers));
    if (state->separate)
        CF_TRY(bind_context(&state->context, &s, "context"));
    for (size_t i = 0; i < state->blocks; i++)
        CF_TRY(bind_block(&state->block[i], &s, i));
    CF_TRY(cf_dense_bind(&state->final, binding, "final", -1, s.hidden, conditioner->output_groups,
                         zero_last, s.dense_layers));
    conditioner->last_bias = state->final.bias;
    return CF_OK;
}

static cf_value emit_block(const cf_conditioner *conditioner, const block *k, cf_builder *b,
                           cf_emission *emission, cf_value h, cf_value context) {
    const residual_state *state = conditioner->state;
    const char *activation = cf_spec_string(conditioner->spec, "activation");
    cf_value t = cf_activation(b, activation, cf_layer_norm_emit(&k->norm[0], b, h)), c, scale;
    t = cf_dense_emit(&k->first, b, emission, t);
    if (conditioner->context > 0)
        c = cf_dense_emit(&k->context, b, emission, context);
    if (state->film)
        scale = cf_dense_emit(&k->scale, b, emission, context);
    if (cf_is_none(h)) /* no hidden unit in these groups */
        return h;
    if (conditioner->context > 0 && !state->gated && !state->film)
        t = cf_add(b, t, c);
    t = cf_layer_norm_emit(&k->norm[1], b, t);
    if (state->film)
        t = cf_add(b, cf_multiply(b, t, cf_scale_shift(b, scale, 1.0, 1.0)), c);
    t = cf_dropout(b, cf_activation(b, activation, t), state->dropout);
    t = cf_dense_emit(&k->second, b, emission, t);
    if (conditioner->context > 0 && state->gated)
        t = cf_multiply(b, t, cf_sigmoid(b, c));
    return cf_add(b, h, t);
}

static cf_value emit(const cf_conditioner *conditioner, cf_builder *b, cf_emission *emission,
                     cf_value x, cf_value context) {
    const residual_state *state = conditioner->state;
    const char *activation = cf_spec_string(conditioner->spec, "activation");
    cf_value inputs = state->separate ? x : cf_conditioner_inputs(conditioner, b, x, context);
    cf_value h = cf_dense_emit(&state->initial, b, emission, inputs);
    if (state->separate) {
        cf_value c = cf_dense_emit(&state->context, b, emission, context);
        h = cf_is_none(h) ? h : cf_add(b, h, cf_activation(b, activation, c));
    }
    for (size_t i = 0; i < state->blocks; i++)
        h = emit_block(conditioner, &state->block[i], b, emission, h, context);
    return cf_dense_emit(&state->final, b, emission, h);
}

static cf_status check(const cf_spec *spec) {
    int64_t hidden = cf_spec_int(spec, "hidden"), blocks = cf_spec_int(spec, "blocks");
    if (hidden < 1 || hidden > 1 << 20)
        return cf_fail(CF_INVALID, "ResidualNet: hidden must be from 1 to 1048576, got %lld",
                       (long long)hidden);
    if (blocks < 0 || blocks > 1024)
        return cf_fail(CF_INVALID, "ResidualNet: blocks must be from 0 to 1024, got %lld",
                       (long long)blocks);
    return cf_dropout_check(spec);
}

static const cf_conditioner_methods methods = {bind, emit};

static const char *const context_modes[] = {"gate", "add", "film", NULL};

static const cf_option options[] = {
    {.name = "hidden",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(64),
     .doc = "The width of all hidden layers."},
    {.name = "blocks",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(2),
     .doc = "The number of residual blocks, each of two dense layers."},
    {.name = "activation",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("relu"),
     .choices = cf_activation_names,
     .doc = "The nonlinearity before each dense layer of a block."},
    {.name = "context",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("gate"),
     .choices = context_modes,
     .doc = "How the context comes into a block: ``'gate'``, ``'add'`` or ``'film'``, a scale and "
            "a shift of the hidden units."},
    CF_DROPOUT_OPTION,
    CF_LAYER_NORM_OPTION,
};

const cf_spec_type cf_residual_net_type = {
    .name = "ResidualNet",
    .role = "conditioner",
    .doc =
        "Residual network with pre-activation blocks.\n\n"
        "``h = initial([x, context])``; in each block\n"
        "``h = h + linear1(act(linear0(act(h)))) * sigmoid(context(c))``, with ``context='add'``\n"
        "``h = h + linear1(act(linear0(act(h)) + context(c)))`` and in the beginning\n"
        "``h = initial(x) + act(context(c))``; with ``context='film'``\n"
        "``h = h + linear1(act(linear0(act(h)) * (1 + scale(c)) + shift(c)))``; without these\n"
        "terms where there is no context; ``final(h)``. Layer normalization is before each "
        "activation of a\n"
        "block, and before the scale and shift. In an `Autoregressive` layer it is masked.\n\n"
        "References\n----------\n"
        "Durkan et al. 2019, Neural Spline Flows, arXiv:1906.04032, appendix B.1.\n"
        "Perez et al. 2018, FiLM: visual reasoning with a general conditioning layer, "
        "arXiv:1709.07871.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
