#include "nn/conditioner.h"

#include "ops/ops.h"

/* The parameter of a conditioner without inputs. */
typedef struct {
    size_t offset;
} constant_state;

static cf_status bind_constant(cf_conditioner *conditioner, cf_binding *binding) {
    constant_state *state;
    CF_TRY(cf_pile_take(binding->pile, &state, 1, sizeof *state));
    conditioner->state = state;
    return cf_bind_parameter(binding, "constant", 1, &conditioner->outputs, 0, &state->offset);
}

static bool is_constant(const cf_conditioner *conditioner) {
    return conditioner->inputs == 0 && conditioner->context == 0;
}

cf_status cf_conditioner_bind(cf_conditioner *out, const cf_spec *spec, cf_binding *binding,
                              const char *name, size_t inputs, size_t context, size_t outputs,
                              bool zero_last) {
    const cf_conditioner_methods *methods = cf_spec_type_of(spec)->methods;
    size_t mark;
    *out = (cf_conditioner){.spec = spec, .inputs = inputs, .context = context, .outputs = outputs};
    CF_TRY(cf_binding_enter(binding, name, -1, &mark));
    cf_status status =
        is_constant(out) ? bind_constant(out, binding) : methods->bind(out, binding, zero_last);
    cf_binding_leave(binding, mark);
    return status;
}

cf_value cf_conditioner_emit(const cf_conditioner *conditioner, cf_builder *b, cf_value x,
                             cf_value context) {
    const cf_conditioner_methods *methods = cf_spec_type_of(conditioner->spec)->methods;
    if (is_constant(conditioner)) {
        const constant_state *state = conditioner->state;
        return cf_parameter(b, state->offset, conditioner->outputs);
    }
    if (conditioner->inputs == 0)
        x = CF_NO_VALUE;
    return methods->emit(conditioner, b, x, context);
}
