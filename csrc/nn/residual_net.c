/* The residual network of neural spline flows (Durkan et al. 2019, arXiv:1906.04032, appendix B.1):
 * pre-activation blocks of two dense layers, each block gated by the context where there is one. */
#include "nn/conditioner.h"
#include "nn/dense.h"
#include "ops/ops.h"

typedef struct {
    cf_dense first, second, gate;
} block;

typedef struct {
    cf_dense initial, final;
    size_t blocks;
    block *block;
} residual_state;

static cf_status bind_block(block *out, cf_binding *binding, size_t number, size_t hidden,
                            size_t context) {
    size_t mark;
    CF_TRY(cf_binding_enter(binding, "block", (long)number, &mark));
    cf_status status = cf_dense_bind(&out->first, binding, "linear", 0, hidden, hidden, false);
    if (status == CF_OK)
        status = cf_dense_bind(&out->second, binding, "linear", 1, hidden, hidden, false);
    if (status == CF_OK && context > 0)
        status = cf_dense_bind(&out->gate, binding, "context", -1, context, hidden, false);
    cf_binding_leave(binding, mark);
    return status;
}

static cf_status bind(cf_conditioner *conditioner, cf_binding *binding, bool zero_last) {
    size_t hidden = (size_t)cf_spec_int(conditioner->spec, "hidden");
    residual_state *state;
    CF_TRY(cf_pile_take(binding->pile, &state, 1, sizeof *state));
    conditioner->state = state;
    state->blocks = (size_t)cf_spec_int(conditioner->spec, "blocks");
    CF_TRY(cf_pile_take(binding->pile, &state->block, state->blocks, sizeof *state->block));
    CF_TRY(cf_dense_bind(&state->initial, binding, "initial", -1,
                         conditioner->inputs + conditioner->context, hidden, false));
    for (size_t i = 0; i < state->blocks; i++)
        CF_TRY(bind_block(&state->block[i], binding, i, hidden, conditioner->context));
    return cf_dense_bind(&state->final, binding, "final", -1, hidden, conditioner->outputs,
                         zero_last);
}

static cf_value emit(const cf_conditioner *conditioner, cf_builder *b, cf_value x,
                     cf_value context) {
    const residual_state *state = conditioner->state;
    const char *activation = cf_spec_string(conditioner->spec, "activation");
    cf_value h = cf_dense_emit(&state->initial, b, cf_concat(b, (cf_value[]){x, context}, 2));
    for (size_t i = 0; i < state->blocks; i++) {
        const block *k = &state->block[i];
        cf_value t = cf_dense_emit(&k->first, b, cf_activation(b, activation, h));
        t = cf_dense_emit(&k->second, b, cf_activation(b, activation, t));
        if (conditioner->context > 0)
            t = cf_multiply(b, t, cf_sigmoid(b, cf_dense_emit(&k->gate, b, context)));
        h = cf_add(b, h, t);
    }
    return cf_dense_emit(&state->final, b, h);
}

static cf_status check(const cf_spec *spec) {
    int64_t hidden = cf_spec_int(spec, "hidden"), blocks = cf_spec_int(spec, "blocks");
    if (hidden < 1 || hidden > 1 << 20)
        return cf_fail(CF_INVALID, "ResidualNet: hidden must be from 1 to 1048576, got %lld",
                       (long long)hidden);
    if (blocks < 0 || blocks > 1024)
        return cf_fail(CF_INVALID, "ResidualNet: blocks must be from 0 to 1024, got %lld",
                       (long long)blocks);
    return CF_OK;
}

static const cf_conditioner_methods methods = {bind, emit};

static const cf_option options[] = {
    {.name = "hidden",
     .kinds = CF_OPTION_INT,
     .fallback = CF_DEFAULT_INT(64),
     .doc = "The width of all hidden layers."},
    {.name = "blocks",
     .kinds = CF_OPTION_INT,
     .fallback = CF_DEFAULT_INT(2),
     .doc = "The number of residual blocks, each of two dense layers."},
    {.name = "activation",
     .kinds = CF_OPTION_STRING,
     .fallback = CF_DEFAULT_STRING("relu"),
     .choices = cf_activation_names,
     .doc = "The nonlinearity before each dense layer of a block."},
};

const cf_spec_type cf_residual_net_type = {
    .name = "ResidualNet",
    .role = "conditioner",
    .doc = "Residual network with pre-activation blocks, gated by the context.\n\n"
           "``h = initial([x, context])``; in each block\n"
           "``h = h + linear1(act(linear0(act(h)))) * sigmoid(gate(context))``, without the gate "
           "where\n"
           "there is no context; ``final(h)``.\n\n"
           "References\n----------\n"
           "Durkan et al. 2019, Neural Spline Flows, arXiv:1906.04032, appendix B.1.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
