#include "flow/objective.h"

#include "base/memory.h"
#include "base/philox.h"
#include "ops/ops.h"

typedef struct {
    cf_builder *b;
    const cf_objective *objective;
    const cf_flow_body *body;
    const cf_slab_table *parameters;
    cf_value input, context; /* of the caller */
    cf_value seen;           /* of the context, by layers and base */
    cf_value value, log_det; /* results; of log_prob and sample, log_det is the log-density */
} composer;

static bool maps_to_data(const composer *c) {
    return c->objective->map == CF_MAP_FORWARD || c->objective->map == CF_MAP_SAMPLE;
}

/* How many numbers a row of the map's input or result has. */
static size_t features_of(const composer *c, bool of_data) {
    return of_data ? cf_shape_features(c->body->shape) : c->body->base.features;
}

static cf_value take_input(composer *c) {
    cf_builder *b = c->b;
    const cf_base *base = &c->body->base;
    size_t features = features_of(c, !maps_to_data(c));
    if (c->objective->map == CF_MAP_SAMPLE)
        return cf_base_methods_of(base)->sample(base, b, CF_STREAM_PROGRAM, c->seen);
    if (c->objective->jitter)
        return cf_jittered_input(b, CF_IN_X, cf_random_uniform_rows(b, features, CF_STREAM_JITTER));
    return cf_input(b, CF_IN_X, features, CF_PAD_REPEAT);
}

static void emit_map(composer *c) {
    const cf_embedding *embedding = &c->body->embedding;
    const cf_layer *chain = &c->body->chain;
    const cf_base *base = &c->body->base;
    const cf_base_methods *methods = cf_base_methods_of(base);
    cf_map map = c->objective->map;
    if (embedding->context > 0)
        c->context = cf_input(c->b, CF_IN_CONTEXT, embedding->context, CF_PAD_REPEAT);
    c->seen = cf_embedding_emit(embedding, c->b, c->context);
    c->input = take_input(c);
    c->value = maps_to_data(c) ? cf_layer_forward(chain, c->b, c->input, c->seen, &c->log_det)
                               : cf_layer_inverse(chain, c->b, c->input, c->seen, &c->log_det);
    if (map == CF_MAP_LOG_PROB)
        c->log_det =
            cf_add_optional(c->b, methods->log_prob(base, c->b, c->value, c->seen), c->log_det);
    if (map == CF_MAP_SAMPLE) {
        cf_value density = methods->log_prob(base, c->b, c->input, c->seen);
        c->log_det = cf_is_none(c->log_det) ? density : cf_subtract(c->b, density, c->log_det);
    }
}

/* `value` as a row value: where there is none, `features` zeros. */
static cf_value as_row(cf_builder *b, cf_value value, size_t features) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_is_none(value))
        return cf_constant(b, CF_ROW, features, 0.0);
    return cf_broadcast(b, value);
}

/* A cotangent from the caller, or none: zero. */
static cf_value take_cotangent(composer *c, bool given, int slot, size_t features) {
    if (given)
        return cf_input(c->b, slot, features, CF_PAD_ZERO);
    return CF_NO_VALUE;
}

static size_t count_trainable(const composer *c) {
    size_t count = 0;
    for (size_t i = 0; i < c->parameters->count; i++)
        count += !c->parameters->tensors[i].frozen;
    return c->objective->gradients ? count : 0;
}

/* The nodes of one tensor's parameter, one a place where it was emitted, gather in `wrt`; *tensor
 * tells whose. */
static size_t find_parameter_nodes(const composer *c, cf_value *wrt, size_t *tensor, size_t room) {
    size_t found = 0, nodes = cf_builder_nodes(c->b);
    for (size_t n = 1; n < nodes; n++) {
        const cf_node *node = cf_builder_node(c->b, n);
        if (!(node->op->flags & CF_OP_PARAMETER))
            continue;
        for (size_t i = 0; i < c->parameters->count; i++) {
            const cf_tensor *t = &c->parameters->tensors[i];
            if (t->frozen || (size_t)node->attributes.integer[0] != t->offset)
                continue;
            if (found < room) {
                wrt[found] = cf_node_value(c->b, n);
                tensor[found] = i;
            }
            found++;
        }
    }
    return found;
}

static void output_gradients(composer *c, const cf_value *gradient, const size_t *tensor,
                             size_t count) {
    for (size_t i = 0; i < c->parameters->count; i++) {
        cf_value sum = CF_NO_VALUE;
        for (size_t k = 0; k < count; k++)
            if (tensor[k] == i)
                sum = cf_add_optional(c->b, sum, gradient[k]);
        if (!cf_is_none(sum))
            cf_output_gradient(c->b, c->parameters->tensors[i].offset, sum);
    }
}

static cf_status emit_cotangents(composer *c) {
    const cf_objective *o = c->objective;
    cf_builder *b = c->b;
    cf_value outputs[2] = {c->value, c->log_det}, cotangents[2];
    cotangents[0] = take_cotangent(c, o->dvalue, CF_IN_DVALUE, features_of(c, maps_to_data(c)));
    cotangents[1] = o->score ? cf_constant(b, CF_ROW, 1, 1.0)
                             : take_cotangent(c, o->dlog_det, CF_IN_DLOG_DET, 1);
    size_t room = count_trainable(c) > 0 ? cf_builder_nodes(b) : 0;
    cf_value *wrt, *gradient;
    size_t *tensor;
    CF_TRY(cf_alloc(&wrt, room + 2, 2 * sizeof *wrt + sizeof *tensor));
    gradient = wrt + room + 2;
    tensor = (size_t *)(gradient + room + 2);
    size_t inputs = 0;
    if (o->dx || o->score)
        wrt[inputs++] = c->input;
    if (o->dcontext)
        wrt[inputs++] = c->context;
    size_t count = room > 0 ? find_parameter_nodes(c, wrt + inputs, tensor, room) : 0;
    if (!cf_is_none(c->log_det) && cf_value_kind(b, c->log_det) == CF_SHARED &&
        !cf_is_none(cotangents[1]))
        cotangents[1] = cf_sum_rows(b, cotangents[1]);
    cf_gradient(b, 2, outputs, cotangents, inputs + count, wrt, gradient);
    output_gradients(c, gradient + inputs, tensor, count);
    if (o->dx || o->score)
        cf_output(b, CF_OUT_DX, as_row(b, gradient[0], features_of(c, !maps_to_data(c))));
    if (o->dcontext)
        cf_output(b, CF_OUT_DCONTEXT, as_row(b, gradient[inputs - 1], c->body->embedding.context));
    cf_free(wrt);
    return cf_builder_status(b);
}

static cf_status compose(composer *c, cf_program **out) {
    const cf_objective *o = c->objective;
    emit_map(c);
    CF_TRY(cf_builder_status(c->b));
    if (o->score || o->dx || o->dcontext || o->gradients)
        CF_TRY(emit_cotangents(c));
    if (o->value)
        cf_output(c->b, CF_OUT_VALUE, c->value);
    if (o->log_det)
        cf_output(c->b, CF_OUT_LOG_DET, as_row(c->b, c->log_det, 1));
    CF_TRY(cf_builder_status(c->b));
    bool writes = o->gradients || o->mode == CF_STARTING;
    return cf_program_new(out, c->b, writes ? c->parameters->elements : 0);
}

cf_status cf_objective_program(cf_program **out, const cf_objective *objective,
                               const cf_flow_body *body, const cf_slab_table *parameters) {
    composer c = {.objective = objective, .body = body, .parameters = parameters};
    CF_TRY(cf_builder_new(&c.b, objective->mode));
    if (objective->means)
        cf_builder_take_means(c.b);
    if (maps_to_data(&c)) /* samples share no numbers with what tells their density */
        cf_start_streams(c.b, CF_STREAM_TO_DATA);
    cf_status status = compose(&c, out);
    cf_builder_free(c.b);
    return status;
}
