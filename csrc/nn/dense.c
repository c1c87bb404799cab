#include "nn/dense.h"

#include <math.h>
#include <string.h>

#include "ops/ops.h"

static cf_status new_groups(cf_groups *out, cf_arena *arena, size_t groups, uint32_t **end) {
    CF_TRY(cf_arena_alloc(arena, end, groups, sizeof **end));
    *out = (cf_groups){groups, *end};
    return CF_OK;
}

cf_status cf_groups_spread(cf_groups *out, cf_arena *arena, size_t groups, size_t first,
                           size_t units) {
    uint32_t *end;
    CF_TRY(new_groups(out, arena, groups, &end));
    size_t last = groups - first - 1;
    /* Fewer units than groups: the first one goes to the first group, the last to the last. */
    bool few = units > 1 && units <= last;
    for (size_t i = 0; first + i < groups; i++)
        end[first + i] =
            (uint32_t)(few ? i * (units - 1) / last + 1 : units * (i + 1) / (last + 1));
    return CF_OK;
}

cf_status cf_groups_each(cf_groups *out, cf_arena *arena, size_t groups, size_t first,
                         size_t each) {
    uint32_t *end;
    CF_TRY(new_groups(out, arena, groups, &end));
    for (size_t g = 0; g < groups; g++)
        end[g] = (uint32_t)(first + g * each);
    return CF_OK;
}

cf_status cf_groups_spread_sets(cf_groups *out, cf_arena *arena, const cf_dependence *dependence,
                                size_t units) {
    uint32_t *end, *set;
    size_t used = 0, done = 0;
    CF_TRY(new_groups(out, arena, dependence->groups, &end));
    CF_TRY(cf_arena_alloc(arena, &set, units, sizeof *set));
    for (size_t level = 0; level < dependence->groups; level++) {
        for (size_t g = level; g < dependence->groups; g++) {
            if (dependence->level[g] != level || !cf_dependence_is_first(dependence, g))
                continue;
            done++;
            for (; used < units * done / dependence->distinct; used++)
                set[used] = (uint32_t)g;
        }
        end[level] = (uint32_t)used;
    }
    out->set = set;
    out->dependence = dependence;
    return CF_OK;
}

/* What the outputs see of the inputs. */
static cf_status new_block_mask(const cf_block_mask **out, cf_arena *arena, cf_groups inputs,
                                cf_groups outputs) {
    cf_block_mask *mask;
    uint32_t *end, *first, o = 0, k = 0;
    CF_TRY(cf_arena_alloc(arena, &mask, 1, sizeof *mask));
    *mask = (cf_block_mask){cf_groups_units(outputs), cf_groups_units(inputs), NULL, NULL};
    CF_TRY(cf_arena_alloc(arena, &end, mask->outputs, sizeof *end));
    CF_TRY(cf_arena_alloc(arena, &first, mask->inputs, sizeof *first));
    for (size_t g = 0; g < inputs.count; g++) {
        for (; k < inputs.end[g]; k++)
            first[k] = o;
        for (; o < outputs.end[g]; o++)
            end[o] = k;
    }
    mask->end = end;
    mask->first = first;
    *out = mask;
    return CF_OK;
}

cf_status cf_dense_bind(cf_dense *out, cf_binding *binding, const char *name, long number,
                        cf_groups inputs, cf_groups outputs, bool zero, size_t *dense_layers) {
    size_t mark, columns = cf_groups_units(inputs), rows = cf_groups_units(outputs);
    double unit = zero || columns == 0 ? 0.0 : 1.0 / sqrt((double)columns);
    *out = (cf_dense){.number = (*dense_layers)++, .inputs = inputs, .outputs = outputs};
    if (inputs.end[0] < columns)
        CF_TRY(new_block_mask(&out->mask, binding->arena, inputs, outputs));
    if (outputs.set != NULL)
        CF_TRY(cf_dependence_mask(&out->allowed, binding->arena, outputs.dependence, outputs.set,
                                  rows, inputs.set, columns));
    CF_TRY(cf_binding_enter(binding, name, number, &mark));
    cf_status status = cf_bind_matrix(binding, "weight", rows, columns, CF_WEIGHT_GAIN * unit,
                                      out->mask != NULL ? out->mask->end : NULL, &out->weight);
    if (status == CF_OK)
        cf_bind_mask_last(binding, out->allowed);
    if (status == CF_OK)
        status = cf_bind_parameter(binding, "bias", 1, &rows, unit, &out->bias);
    cf_binding_leave(binding, mark);
    return status;
}

cf_value cf_dense_emit(const cf_dense *dense, cf_builder *b, cf_emission *emission, cf_value x) {
    size_t inputs = cf_groups_units(dense->inputs), outputs = cf_groups_units(dense->outputs);
    size_t first = emission->first > 0 ? dense->outputs.end[emission->first - 1] : 0;
    size_t count = dense->outputs.end[emission->end - 1] - first;
    cf_value seen = cf_concat(b, (cf_value[]){emission->seen[dense->number], x}, 2);
    emission->seen[dense->number] = seen;
    if (count == 0 || cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    cf_value weight = cf_parameter(b, dense->weight, outputs * inputs);
    cf_value bias = cf_slice(b, cf_parameter(b, dense->bias, outputs), first, count);
    if (cf_is_none(seen))
        return cf_broadcast(b, bias);
    const unsigned char *allowed = dense->allowed;
    if (emission->end - emission->first == dense->outputs.count) {
        weight = cf_mask_matrix(b, weight, inputs, allowed, inputs);
        return cf_masked_matmul(b, weight, bias, seen, outputs, dense->mask);
    }
    size_t columns = cf_value_size(b, seen);
    cf_value block = cf_block(b, weight, inputs, first, count, columns);
    block = cf_mask_matrix(b, block, columns, allowed ? allowed + first * inputs : NULL, inputs);
    return cf_matmul(b, block, bias, seen, count);
}

cf_status cf_dropout_check(const cf_spec *network) {
    double dropout = cf_spec_real(network, "dropout");
    if (!(dropout >= 0.0 && dropout < 1.0))
        return cf_fail(CF_INVALID, "%s: dropout must be at least 0 and less than 1, got %g",
                       cf_spec_type_of(network)->name, dropout);
    return CF_OK;
}

static cf_value identity(cf_builder *b, cf_value x) {
    (void)b;
    return x;
}

/* The slope that the frameworks take where none is given. */
static cf_value leaky_relu(cf_builder *b, cf_value x) {
    return cf_leaky_relu(b, x, 0.01);
}

static cf_value (*const functions[])(cf_builder *, cf_value) = {
    cf_relu, leaky_relu, cf_tanh, cf_elu, cf_silu, cf_gelu, cf_softplus, cf_sigmoid, identity};

const char *const cf_activation_names[] = {"relu", "leaky_relu", "tanh",    "elu",      "silu",
                                           "gelu", "softplus",   "sigmoid", "identity", NULL};

cf_value cf_activation(cf_builder *b, const char *name, cf_value x) {
    if (cf_is_none(x))
        return x;
    for (size_t i = 0; cf_activation_names[i] != NULL; i++)
        if (strcmp(cf_activation_names[i], name) == 0)
            return functions[i](b, x);
    return cf_builder_fail(b, CF_INVALID, "no activation is called '%s'", name);
}
