#include "nn/conditioner.h"

#include "base/memory.h"
#include "ops/ops.h"

/* The parameter of a conditioner without inputs. */
typedef struct {
    size_t offset;
} constant_state;

static cf_status bind_constant(cf_conditioner *conditioner, cf_binding *binding) {
    constant_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    conditioner->state = state;
    CF_TRY(cf_bind_parameter(binding, "constant", 1, &conditioner->outputs, 0, &state->offset));
    conditioner->last_bias = state->offset;
    return CF_OK;
}

/* Has the outputs start there: the last bias does, since the weights before it are 0. */
static cf_status start_at(const cf_conditioner *c, cf_binding *binding, const double *start) {
    double *values;
    if (start == NULL || c->last_bias == SIZE_MAX)
        return CF_OK;
    size_t count = cf_bound_size(binding, c->last_bias);
    CF_TRY(cf_alloc(&values, count, sizeof *values));
    for (size_t i = 0; i < count; i++)
        values[i] = start[i * (c->outputs / count)];
    cf_status status = cf_bind_start_values(binding, c->last_bias, values);
    cf_free(values);
    return status;
}

/* Without inputs, or with a mask that lets none through. */
static bool is_constant(const cf_conditioner *conditioner) {
    const cf_dependence *dependence = conditioner->dependence;
    return (conditioner->inputs == 0 && conditioner->context == 0) ||
           (dependence != NULL && dependence->distinct == 0);
}

static const cf_conditioner_methods *methods_of(const cf_conditioner *conditioner) {
    return cf_spec_type_of(conditioner->spec)->methods;
}

bool cf_conditioner_is_convolutional(const cf_spec *spec) {
    const cf_conditioner_methods *methods = cf_spec_type_of(spec)->methods;
    return methods->convolutional;
}

/* Columns of a feature in the network's first weight. */
static size_t width(const cf_conditioner *c, size_t feature) {
    return c->periods != NULL && c->periods[feature] > 0.0 ? 2 : 1;
}

/* `first` numbers of group 0, then the features' columns: in its group each, or all in group 0. */
static cf_status bind_inputs(cf_groups *out, const cf_conditioner *c, cf_binding *binding,
                             size_t groups, size_t first) {
    uint32_t *end;
    CF_TRY(cf_arena_alloc(binding->arena, &end, groups, sizeof *end));
    end[0] = (uint32_t)(groups == 1 ? first + c->inputs : first);
    for (size_t g = 1; g < groups; g++)
        end[g] = end[g - 1] + (uint32_t)width(c, g - 1);
    *out = (cf_groups){groups, end};
    return CF_OK;
}

/* Gives the inputs their sets: `context` numbers of the context, then the columns of `features`. */
static cf_status number_inputs(cf_groups *out, const cf_conditioner *c, cf_binding *binding,
                               size_t context, size_t features) {
    uint32_t *set;
    size_t count = 0, groups = c->dependence->groups;
    CF_TRY(cf_arena_alloc(binding->arena, &set, cf_groups_units(*out), sizeof *set));
    for (size_t i = 0; i < context; i++)
        set[count++] = (uint32_t)(groups + i);
    for (size_t f = 0; f < features; f++)
        for (size_t k = 0; k < width(c, f); k++)
            set[count++] = (uint32_t)(groups + c->context + f);
    out->set = set;
    out->dependence = c->dependence;
    return CF_OK;
}

static cf_status bind_dependence(cf_conditioner *c, cf_binding *binding,
                                 const unsigned char *reads) {
    uint32_t *set;
    size_t groups = c->output_groups.count;
    CF_TRY(
        cf_dependence_new(&c->dependence, binding->arena, groups, c->context + c->features, reads));
    CF_TRY(number_inputs(&c->input_groups, c, binding, c->context, c->features));
    CF_TRY(number_inputs(&c->feature_groups, c, binding, 0, c->features));
    CF_TRY(number_inputs(&c->context_groups, c, binding, c->context, 0));
    CF_TRY(cf_arena_alloc(binding->arena, &set, c->outputs, sizeof *set));
    for (size_t i = 0; i < c->outputs; i++)
        set[i] = (uint32_t)(i / (c->outputs / groups));
    c->output_groups.set = set;
    c->output_groups.dependence = c->dependence;
    return CF_OK;
}

static cf_status bind_groups(cf_conditioner *c, cf_binding *binding, size_t groups) {
    size_t each = c->outputs / groups;
    CF_TRY(bind_inputs(&c->input_groups, c, binding, groups, c->context));
    CF_TRY(bind_inputs(&c->feature_groups, c, binding, groups, 0));
    CF_TRY(cf_groups_each(&c->context_groups, binding->arena, groups, c->context, 0));
    return cf_groups_each(&c->output_groups, binding->arena, groups, each, each);
}

cf_status cf_conditioner_hidden(const cf_conditioner *conditioner, cf_binding *binding,
                                size_t units, cf_groups *out) {
    size_t groups = conditioner->output_groups.count;
    const cf_dependence *dependence = conditioner->dependence;
    if (dependence != NULL && units < dependence->distinct)
        return cf_fail(CF_INVALID,
                       "%s: hidden must be at least %zu, a unit for each of the different rows of "
                       "the adjacency, got %zu",
                       cf_spec_type_of(conditioner->spec)->name, dependence->distinct, units);
    if (dependence != NULL)
        return cf_groups_spread_sets(out, binding->arena, dependence, units);
    /* Without context there is nothing that units of group 0 could read. */
    size_t first = groups > 1 && conditioner->context == 0 ? 1 : 0;
    return cf_groups_spread(out, binding->arena, groups, first, units);
}

/* Joins an image that is the context to the image that the network reads. */
static cf_status join_images(cf_conditioner *c, cf_binding *binding, cf_shape image) {
    cf_shape *shape = &c->shape;
    size_t factor = image.height / shape->height;
    if (factor < 1 || image.height != factor * shape->height ||
        image.width != factor * shape->width)
        return cf_fail(
            CF_INVALID, "%s: a context of %zu x %zu pixels cannot be squeezed to %zu x %zu",
            cf_spec_type_of(c->spec)->name, image.height, image.width, shape->height, shape->width);
    CF_TRY(cf_arena_alloc(binding->arena, &c->squeezed, cf_shape_features(image), sizeof(int64_t)));
    cf_squeeze_order(image, factor, c->squeezed);
    shape->channels += image.channels * factor * factor;
    c->context = 0;
    return CF_OK;
}

cf_status cf_conditioner_bind(cf_conditioner *out, const cf_spec *spec, cf_binding *binding,
                              const char *name, cf_conditioner_sizes sizes, bool zero_last) {
    size_t mark;
    *out = (cf_conditioner){.spec = spec,
                            .shape = sizes.shape,
                            .periods = sizes.periods,
                            .image = sizes.image,
                            .context = cf_shape_features(sizes.context),
                            .outputs = sizes.outputs,
                            .last_bias = SIZE_MAX};
    if (cf_conditioner_is_convolutional(spec) && sizes.shape.image && sizes.context.image)
        CF_TRY(join_images(out, binding, sizes.context));
    out->features = cf_shape_features(out->shape);
    for (size_t f = 0; f < out->features; f++)
        out->inputs += width(out, f);
    if (out->inputs + out->context > INT32_MAX || sizes.outputs > INT32_MAX)
        return cf_fail(CF_INVALID, "%s: more than %d inputs or outputs",
                       cf_spec_type_of(spec)->name, INT32_MAX);
    if (cf_conditioner_is_convolutional(spec) && !sizes.shape.image)
        return cf_fail(CF_INVALID,
                       "%s reads images, and there are none here: a flow of images has a shape "
                       "(channels, height, width)",
                       cf_spec_type_of(spec)->name);
    CF_TRY(bind_groups(out, binding, sizes.groups));
    if (sizes.reads != NULL && out->inputs + out->context > 0)
        CF_TRY(bind_dependence(out, binding, sizes.reads));
    CF_TRY(cf_binding_enter(binding, name, -1, &mark));
    cf_status status = is_constant(out) ? bind_constant(out, binding)
                                        : methods_of(out)->bind(out, binding, zero_last);
    cf_binding_leave(binding, mark);
    return status == CF_OK && zero_last ? start_at(out, binding, sizes.start) : status;
}

/* Features [first, …) as the network reads them. */
static cf_value as_inputs(const cf_conditioner *c, cf_builder *b, cf_value x, size_t first) {
    cf_value all = CF_NO_VALUE;
    if (c->periods == NULL || cf_is_none(x) || cf_builder_status(b) != CF_OK)
        return x;
    for (size_t i = 0, n = cf_value_size(b, x); i < n; i++) {
        cf_value feature = cf_slice(b, x, i, 1), sine = CF_NO_VALUE;
        if (width(c, first + i) == 2) {
            double turns = 1.0 / c->periods[first + i];
            sine = cf_cosine(b, feature, turns, -0.25);
            feature = cf_cosine(b, feature, turns, 0.0);
        }
        all = cf_concat(b, (cf_value[]){all, feature, sine}, 3);
    }
    return all;
}

cf_value cf_conditioner_inputs(const cf_conditioner *conditioner, cf_builder *b, cf_value x,
                               cf_value context) {
    bool plain = conditioner->output_groups.count == 1;
    return cf_concat(b, (cf_value[]){plain ? x : context, plain ? context : x}, 2);
}

cf_value cf_conditioner_emit(const cf_conditioner *conditioner, cf_builder *b, cf_value x,
                             cf_value context) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (is_constant(conditioner)) {
        const constant_state *state = conditioner->state;
        return cf_parameter(b, state->offset, conditioner->outputs);
    }
    if (conditioner->squeezed != NULL) {
        size_t count = cf_value_size(b, context);
        x = cf_concat(b, (cf_value[]){x, cf_select(b, context, conditioner->squeezed, count)}, 2);
        context = CF_NO_VALUE;
    }
    x = conditioner->inputs == 0 ? CF_NO_VALUE : as_inputs(conditioner, b, x, 0);
    cf_emission emission = {.end = conditioner->output_groups.count};
    if (cf_alloc(&emission.seen, conditioner->dense_layers, sizeof *emission.seen) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for a network");
    cf_value out = methods_of(conditioner)->emit(conditioner, b, &emission, x, context);
    cf_free(emission.seen);
    return out;
}

cf_value cf_conditioner_emit_group(const cf_conditioner *conditioner, cf_builder *b, cf_value *seen,
                                   size_t group, cf_value x, cf_value context) {
    size_t each = conditioner->outputs / conditioner->output_groups.count;
    if (is_constant(conditioner))
        return cf_slice(b, cf_conditioner_emit(conditioner, b, x, context), group * each, each);
    cf_emission emission = {.first = group, .end = group + 1, .seen = seen};
    if (group > 0) {
        x = as_inputs(conditioner, b, x, group - 1);
        context = CF_NO_VALUE;
    }
    return methods_of(conditioner)->emit(conditioner, b, &emission, x, context);
}
