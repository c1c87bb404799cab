#include "flow/flow.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "nn/categories.h"

/* ---- its parts ---- */

static cf_status check_shape(cf_shape shape) {
    const size_t sizes[3] = {shape.channels, shape.height, shape.width};
    const size_t max = 1 << 24;
    for (size_t i = 0, features = 1; i < 3; i++) {
        if (sizes[i] < 1 || sizes[i] > max / features)
            return cf_fail(CF_INVALID,
                           "a shape must have from 1 to %zu numbers, got %zu x %zu x %zu", max,
                           shape.channels, shape.height, shape.width);
        features *= sizes[i];
    }
    return CF_OK;
}

static cf_status check_sizes(cf_shape shape, size_t context) {
    if (shape.image)
        CF_TRY(check_shape(shape));
    else if (shape.channels < 1 || shape.channels > 1 << 24)
        return cf_fail(CF_INVALID, "features must be from 1 to 16777216, got %zu", shape.channels);
    if (context > 1 << 24)
        return cf_fail(CF_INVALID, "context features must be at most 16777216, got %zu", context);
    return CF_OK;
}

static cf_status check_role(const cf_spec *spec, const char *role, const char *wanted) {
    const cf_spec_type *type = cf_spec_type_of(spec);
    if (strcmp(type->role, role) != 0)
        return cf_fail(CF_TYPE, "%s must be %s, got %s, which is a %s", role, wanted, type->name,
                       type->role);
    return cf_spec_check_finished(spec);
}

static cf_status bind_embedding(cf_flow *flow, cf_binding *binding, cf_spec *spec, size_t context) {
    if (spec != NULL) {
        CF_TRY(cf_binding_keep(binding, cf_spec_retain(spec)));
        CF_TRY(check_role(spec, "embedding", "an Embedding"));
    }
    return cf_embedding_bind(&flow->embedding, spec, binding, context);
}

/* Shift and scale of every column of numbers, which the data set. */
static cf_status bind_context_map(cf_flow *flow, cf_binding *binding, size_t context) {
    cf_fixed_map *map;
    cf_map_step *steps;
    size_t *first, mark, offset;
    double *values;
    CF_TRY(cf_arena_alloc(binding->arena, &map, 1, sizeof *map));
    CF_TRY(cf_arena_alloc(binding->arena, &steps, context, sizeof *steps));
    CF_TRY(cf_arena_alloc(binding->arena, &first, context + 1, sizeof *first));
    CF_TRY(cf_arena_alloc(binding->arena, &values, 2 * context, sizeof *values));
    for (size_t f = 0; f < context; f++)
        values[context + f] = 1.0;
    CF_TRY(cf_binding_enter(binding, "context", -1, &mark));
    cf_status status = cf_bind_buffer(binding, "shift_scale", 2 * context, values, &offset);
    cf_binding_leave(binding, mark);
    for (size_t f = 0; f < context; f++) {
        bool number = cf_categories_of(flow->embedding.spec, f) == 1;
        first[f + 1] = first[f] + number;
        if (!number)
            continue;
        steps[first[f]] = (cf_map_step){.kind = CF_MAP_AFFINE,
                                        .from_data = true,
                                        .shift = offset + f,
                                        .scale = offset + context + f};
    }
    *map = (cf_fixed_map){.features = context, .first = first, .steps = steps};
    flow->context_map = map;
    return status;
}

/* A new spec of `type`, kept by the flow. */
static cf_status new_kept_spec(cf_binding *binding, const cf_spec_type *type, cf_spec **out) {
    CF_TRY(cf_spec_new(out, type));
    return cf_binding_keep(binding, *out);
}

static cf_status bind_layers(cf_flow *flow, cf_binding *binding, cf_spec *const *layers,
                             size_t count) {
    cf_spec *chain;
    CF_TRY(new_kept_spec(binding, &cf_chain_type, &chain));
    CF_TRY(cf_spec_set_specs(chain, "layers", layers, count));
    CF_TRY(cf_spec_finish(chain));
    CF_TRY(cf_layer_reshape(chain, true, &flow->base_shape));
    return cf_layer_bind(&flow->chain, chain, binding, flow->shape,
                         cf_vector(flow->embedding.features));
}

static cf_status bind_base(cf_flow *flow, cf_binding *binding, cf_spec *spec) {
    size_t mark;
    if (spec == NULL) {
        CF_TRY(new_kept_spec(binding, &cf_normal_type, &spec));
        CF_TRY(cf_spec_finish(spec));
    } else {
        CF_TRY(cf_binding_keep(binding, cf_spec_retain(spec)));
    }
    CF_TRY(check_role(spec, "base", "a base distribution"));
    CF_TRY(cf_binding_enter(binding, "base", -1, &mark));
    cf_status status = cf_base_bind(&flow->base, spec, binding, cf_shape_features(flow->base_shape),
                                    flow->embedding.features);
    cf_binding_leave(binding, mark);
    return status;
}

/* ---- life ---- */

static cf_status build(cf_model *model, const cf_flow_parts *parts, cf_flow **out) {
    cf_binding *binding = cf_model_binding(model);
    cf_flow *flow;
    CF_TRY(cf_arena_alloc(binding->arena, &flow, 1, sizeof *flow));
    flow->model = model;
    flow->shape = flow->base_shape = parts->shape;
    CF_TRY(bind_embedding(flow, binding, parts->embedding, parts->context_features));
    if (parts->context_features > 0 && !parts->raw_context)
        CF_TRY(bind_context_map(flow, binding, parts->context_features));
    CF_TRY(bind_layers(flow, binding, parts->layers, parts->layer_count));
    CF_TRY(bind_base(flow, binding, parts->base));
    CF_TRY(cf_model_allocate(model));
    CF_TRY(cf_flow_add_functions(flow));
    *out = flow;
    return CF_OK;
}

cf_status cf_flow_new(cf_flow **out, const cf_flow_parts *parts) {
    cf_model *model;
    *out = NULL;
    if (parts->dtype != CF_FLOAT32 && parts->dtype != CF_FLOAT64)
        return cf_fail(CF_INVALID, "dtype must be CF_FLOAT32 or CF_FLOAT64, got %d",
                       (int)parts->dtype);
    CF_TRY(check_sizes(parts->shape, parts->context_features));
    CF_TRY(cf_model_new(&model, parts->dtype, parts->seed, parts->max_parameters));
    cf_status status = build(model, parts, out);
    if (status != CF_OK)
        cf_model_free(model);
    return status;
}

void cf_flow_free(cf_flow *flow) {
    if (flow != NULL)
        cf_model_free(flow->model);
}

cf_status cf_flow_copy(cf_flow **out, const cf_flow *flow, cf_dtype dtype) {
    const cf_setting *layers = cf_spec_get(flow->chain.spec, "layers");
    cf_flow_parts parts = {.layers = layers->specs,
                           .layer_count = layers->count,
                           .base = flow->base.spec,
                           .embedding = flow->embedding.spec,
                           .shape = flow->shape,
                           .context_features = flow->embedding.context,
                           .raw_context = flow->context_map == NULL,
                           .dtype = dtype,
                           .seed = cf_model_seed(flow->model)};
    CF_TRY(cf_flow_new(out, &parts));
    cf_status status = cf_model_copy_numbers((*out)->model, flow->model);
    if (status != CF_OK) {
        cf_flow_free(*out);
        *out = NULL;
    }
    return status;
}

/* ---- what it is ---- */

size_t cf_flow_features(const cf_flow *flow) {
    return cf_shape_features(flow->shape);
}

size_t cf_flow_base_features(const cf_flow *flow) {
    return cf_shape_features(flow->base_shape);
}

size_t cf_flow_context_features(const cf_flow *flow) {
    return flow->embedding.context;
}

bool cf_flow_has_restricted_domain(const cf_flow *flow) {
    return cf_layer_has_restricted_domain(&flow->chain) ||
           cf_base_has_restricted_domain(&flow->base);
}

/* Whether float32 is too coarse for a column: at its middle, where the base's 0 goes as far as the
 * map beside the data tells, or at numbers that are nearly all within. */
static bool is_finer_than_float32(const cf_fixed_map *map, const double *buffers, size_t f) {
    /* Of the rounding of x to that of u, in units of x; far out, such as near the end of an
     * interval, more is left to it. */
    const double max_ratio[] = {64.0, 0x1p17, 0x1p17};
    cf_map_call call = {.map = map, .buffers = buffers, .derivatives = true};
    cf_mapped m = {.value = {0.0, -4.0, 4.0}};
    cf_map_feature[cf_simd()](&call, f, CF_MAP_LANES, NULL, &m);
    if (m.slope[0] == 0.0) /* integers */
        return fmax(fabs(m.value[0]), fmax(fabs(m.value[1]), fabs(m.value[2]))) > 0x1p24;
    for (int k = 0; k < 3; k++) {
        double size = fabs(m.value[k]), slope = fabs(m.slope[k]);
        bool tiny = slope > 0.0 && slope < FLT_MIN / FLT_EPSILON;
        if (size > FLT_MAX || size > max_ratio[k] * slope || tiny)
            return true;
    }
    return false;
}

bool cf_flow_exceeds_float32(const cf_flow *flow) {
    const cf_fixed_map *map = cf_layer_data_map(&flow->chain);
    const double *buffers = cf_model_buffers(flow->model);
    bool found = false;
    if (map == NULL || cf_model_dtype(flow->model) != CF_FLOAT32)
        return false;
    for (size_t f = 0; f < map->features && !found; f++)
        found = is_finer_than_float32(map, buffers, f);
    return found;
}

cf_status cf_flow_check_density(const cf_flow *flow) {
    if (cf_layer_is_stochastic(&flow->chain))
        return cf_fail(CF_INVALID, "samples of a flow with a stochastic layer come without their "
                                   "density: draw them, then ask for log_prob, which bounds it");
    return CF_OK;
}
