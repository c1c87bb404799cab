/* ExpressionNetwork: a conditioner that is a function written in Python from the engine's ops,
 * traced to instructions that a spec and a file hold. */
#include <string.h>

#include "nn/conditioner.h"
#include "nn/dense.h"
#include "nn/instructions.h"
#include "ops/ops.h"

typedef struct {
    cf_declarations declared;
    cf_instructions function;
    bool linear; /* a dense layer follows */
    cf_dense last;
} expression_state;

/* ---- binding ---- */

static cf_status check_sizes(const cf_conditioner *c) {
    size_t inputs = (size_t)cf_spec_int(c->spec, "inputs");
    size_t context = (size_t)cf_spec_int(c->spec, "context_features");
    if (c->output_groups.count > 1)
        return cf_fail(CF_INVALID, "ExpressionNetwork: an autoregressive layer masks its network, "
                                   "and a function cannot be masked: take an MLP or a ResidualNet");
    if (inputs != c->inputs || context != c->context)
        return cf_fail(CF_INVALID,
                       "ExpressionNetwork: it was traced for %zu inputs and %zu context features, "
                       "got %zu and %zu",
                       inputs, context, c->inputs, c->context);
    return CF_OK;
}

/* The last layer has the name "linear" to itself. */
static cf_status check_names(const cf_declarations *declared) {
    for (size_t i = 0; i < declared->networks; i++)
        if (strcmp(declared->network[i].name, "linear") == 0)
            return cf_fail(CF_INVALID,
                           "ExpressionNetwork: a network cannot be called linear, which is the "
                           "name of the last layer");
    return CF_OK;
}

static cf_status read_function(const cf_conditioner *c, cf_binding *binding) {
    expression_state *state = c->state;
    const cf_setting *numbers = cf_spec_get(c->spec, "numbers");
    cf_instruction_scope scope = {.input = {c->inputs, c->context},
                                  .declared = &state->declared,
                                  .numbers = numbers->count,
                                  .number = numbers->reals};
    CF_TRY(cf_instructions_read(&state->function, binding->arena,
                                cf_spec_string(c->spec, "function"), &scope));
    if (state->function.returns != 1)
        return cf_fail(CF_INVALID, "ExpressionNetwork: the function must return one value, got %zu",
                       state->function.returns);
    if (state->function.draws)
        return cf_fail(CF_INVALID, "ExpressionNetwork: the function cannot draw random numbers: "
                                   "both directions of a layer need the same outputs");
    return CF_OK;
}

static cf_status bind(cf_conditioner *conditioner, cf_binding *binding, bool zero_last) {
    expression_state *state;
    cf_groups hidden;
    CF_TRY(check_sizes(conditioner));
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    conditioner->state = state;
    state->linear = cf_spec_int(conditioner->spec, "linear") != 0;
    CF_TRY(cf_declarations_bind(&state->declared, conditioner->spec, binding));
    CF_TRY(read_function(conditioner, binding));
    size_t size = state->function.list[state->function.returned[0]].size;
    if (!state->linear && size != conditioner->outputs)
        return cf_fail(CF_INVALID,
                       "ExpressionNetwork: the function must return the %zu numbers that are "
                       "needed here, got %zu; without `outputs` a dense layer makes them",
                       conditioner->outputs, size);
    if (!state->linear)
        return CF_OK;
    CF_TRY(check_names(&state->declared));
    CF_TRY(cf_groups_each(&hidden, binding->arena, 1, size, 0));
    CF_TRY(cf_dense_bind(&state->last, binding, "linear", -1, hidden, conditioner->output_groups,
                         zero_last, &conditioner->dense_layers));
    conditioner->last_bias = state->last.bias;
    return CF_OK;
}

static cf_value emit(const cf_conditioner *conditioner, cf_builder *b, cf_emission *emission,
                     cf_value x, cf_value context) {
    const expression_state *state = conditioner->state;
    cf_value input[CF_MAX_PORTS] = {x, context}, output[CF_MAX_PORTS] = {{0}};
    cf_instructions_emit(&state->function, &state->declared, b, input, output);
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    cf_value h = cf_broadcast(b, output[0]);
    return state->linear ? cf_dense_emit(&state->last, b, emission, h) : h;
}

static cf_status check(const cf_spec *spec) {
    if (cf_spec_int(spec, "inputs") + cf_spec_int(spec, "context_features") == 0)
        return cf_fail(CF_INVALID, "ExpressionNetwork: inputs or context_features must be 1 or "
                                   "more: a function of nothing is no network");
    return CF_OK;
}

static const cf_conditioner_methods methods = {.bind = bind, .emit = emit};

static const cf_range sizes = {.minimum = 0.0, .maximum = 1 << 20};

static const cf_option options[] = {
    {.name = "function", .kinds = CF_OPTION_STRING, .required = true, .doc = "The instructions."},
    {.name = "inputs",
     .kinds = CF_OPTION_INT,
     .required = true,
     .range = &sizes,
     .doc = "How many features they were traced for."},
    {.name = "context_features",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(0),
     .range = &sizes,
     .doc = "How many numbers of the context."},
    {.name = "linear",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(1),
     .doc = "Whether a dense layer follows, from what the function returns to the outputs."},
    CF_DECLARATION_OPTIONS,
};

const cf_spec_type cf_expression_network_type = {
    .name = "ExpressionNetwork",
    .role = "conditioner",
    .doc = "A network that `cflows.nn.conditioner` has made of a Python function.\n\n"
           "The function was traced once to instructions of the engine, which are all that is "
           "kept: a file of\nthe flow needs no code.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
