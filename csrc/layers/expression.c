/* Expression: a layer whose two directions are written in Python from the engine's ops, traced to
 * instructions that a spec and a file hold. */
#include "nn/instructions.h"
#include "layers/layer.h"
#include "ops/ops.h"

typedef struct {
    cf_declarations declared;
    cf_instructions forward, inverse; /* without instructions there is no such direction */
} expression_state;

static cf_status reshape(const cf_spec *spec, bool to_base, cf_shape *shape) {
    const cf_setting *base = cf_spec_get(spec, "base_features");
    if (base->kind == CF_NONE)
        return CF_OK;
    if (!to_base)
        return cf_fail(CF_INVALID, "Expression: with base_features it stands next to the data");
    *shape = cf_vector((size_t)base->integers[0]);
    return CF_OK;
}

/* Reads one direction from `input` to `output` features. */
static cf_status read_direction(cf_instructions *out, const cf_layer *layer, cf_binding *binding,
                                const char *name, size_t input, size_t output) {
    expression_state *state = layer->state;
    const cf_setting *numbers = cf_spec_get(layer->spec, "numbers");
    cf_instruction_scope scope = {.input = {input, cf_shape_features(layer->context)},
                                  .declared = &state->declared,
                                  .numbers = numbers->count,
                                  .number = numbers->reals};
    const char *text = cf_spec_string(layer->spec, name);
    if (*text == '\0')
        return CF_OK;
    CF_TRY(cf_instructions_read(out, binding->arena, text, &scope));
    if (out->list[out->returned[0]].size != output)
        return cf_fail(CF_INVALID, "Expression: %s must give %zu features, got %zu", name, output,
                       out->list[out->returned[0]].size);
    if (out->returns > 2 || (out->returns == 2 && out->list[out->returned[1]].size != 1))
        return cf_fail(CF_INVALID, "Expression: %s must give features and a log_det", name);
    return CF_OK;
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    expression_state *state;
    cf_shape base = layer->shape;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    CF_TRY(reshape(layer->spec, true, &base));
    CF_TRY(cf_declarations_bind(&state->declared, layer->spec, binding));
    size_t u = cf_shape_features(base);
    CF_TRY(read_direction(&state->forward, layer, binding, "forward", u, layer->features));
    CF_TRY(read_direction(&state->inverse, layer, binding, "inverse", layer->features, u));
    layer->stochastic = state->forward.draws || state->inverse.draws;
    return CF_OK;
}

static cf_value apply(const cf_layer *layer, const cf_instructions *instructions, const char *name,
                      cf_builder *b, cf_value x, cf_value context, cf_value *log_det) {
    const expression_state *state = layer->state;
    cf_value input[CF_MAX_PORTS] = {x, context}, output[CF_MAX_PORTS] = {{0}};
    if (instructions->count == 0)
        return cf_builder_fail(b, CF_INVALID, "this layer has no %s", name);
    cf_instructions_emit(instructions, &state->declared, b, input, output);
    *log_det = output[1];
    return cf_builder_status(b) == CF_OK ? cf_broadcast(b, output[0]) : CF_NO_VALUE;
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    const expression_state *state = layer->state;
    return apply(layer, &state->forward, "forward", b, u, context, log_det);
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    const expression_state *state = layer->state;
    return apply(layer, &state->inverse, "inverse", b, x, context, log_det);
}

static cf_status check(const cf_spec *spec) {
    const cf_setting *base = cf_spec_get(spec, "base_features");
    if (base->kind != CF_NONE && (base->integers[0] < 1 || base->integers[0] > 1 << 20))
        return cf_fail(CF_INVALID, "Expression: base_features must be from 1 to 1048576, got %lld",
                       (long long)base->integers[0]);
    return CF_OK;
}

static const cf_layer_methods methods = {.bind = bind,
                                         .forward = forward,
                                         .inverse = inverse,
                                         .restricted_domain = true,
                                         .reshape = reshape};

static const cf_option options[] = {
    {.name = "forward",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING(""),
     .doc = "The instructions of ``u -> x``; empty: there is no such direction."},
    {.name = "inverse",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING(""),
     .doc = "Those of ``x -> u``."},
    CF_DECLARATION_OPTIONS,
    {.name = "base_features",
     .kinds = CF_OPTION_INT | CF_OPTIONAL,
     .default_value = CF_DEFAULT_NONE,
     .doc = "How many features u has; None: as many as x."},
};

const cf_spec_type cf_expression_type = {
    .name = "Expression",
    .role = "layer",
    .doc = "A layer that `cflows.nn.layer` has made of Python functions.\n\n"
           "The functions were traced once to instructions of the engine, which are all that is "
           "kept: a file\nof the flow needs no code.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
