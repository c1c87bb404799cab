/* Block neural autoregressive flow (De Cao et al. 2019): one masked network whose blocks on the
 * diagonal are positive, so that each output increases with the feature of its own number.
 *
 * From data to base is one pass. The other direction finds one feature after the other: what the
 * features before it add to its units is known, and the rest is a monotone function of it alone. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "layers/layer.h"
#include "nn/dense.h"
#include "ops/ops.h"
#include "ops/root.h"

enum { MAX_LAYERS = 9 }; /* linear ones */

typedef struct {
    size_t features, layers;
    bool gated;
    size_t units[MAX_LAYERS + 1]; /* a feature, before each linear layer and after the last */
    cf_dense dense[MAX_LAYERS];
    size_t log_norm[MAX_LAYERS]; /* of the rows of each weight */
    size_t of_context, gate;
} block_state;

/* ---- binding ---- */

static cf_status bind_layer(block_state *state, cf_binding *binding, size_t k, size_t *count) {
    size_t n = state->features, rows = n * state->units[k + 1];
    bool last = k + 1 == state->layers;
    cf_groups inputs, outputs;
    CF_TRY(cf_groups_each(&inputs, binding->arena, n, state->units[k], state->units[k]));
    CF_TRY(cf_groups_each(&outputs, binding->arena, n, state->units[k + 1], state->units[k + 1]));
    CF_TRY(
        cf_dense_bind(&state->dense[k], binding, "linear", (long)k, inputs, outputs, false, count));
    size_t mark;
    CF_TRY(cf_binding_enter(binding, "linear", (long)k, &mark));
    /* Outputs that are small beside x: layer after layer, larger ones would stretch it. */
    double start = !last ? 0.0 : state->gated ? -1.0 : -3.0;
    CF_TRY(cf_bind_parameter_constant(binding, "log_norm", rows, start, &state->log_norm[k]));
    cf_binding_leave(binding, mark);
    return CF_OK;
}

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    const cf_setting *hidden = cf_spec_get(layer->spec, "hidden");
    size_t context = cf_shape_features(layer->context), count = 0;
    block_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    state->features = layer->features;
    state->layers = hidden->count + 1;
    state->gated = strcmp(cf_spec_string(layer->spec, "residual"), "gated") == 0;
    state->units[0] = state->units[state->layers] = 1;
    for (size_t k = 0; k < hidden->count; k++)
        state->units[k + 1] = (size_t)hidden->integers[k];
    for (size_t k = 0; k < state->layers; k++)
        CF_TRY(bind_layer(state, binding, k, &count));
    if (context > 0)
        CF_TRY(cf_bind_matrix(binding, "context.weight", state->features * state->units[1], context,
                              CF_WEIGHT_GAIN / sqrt((double)context), NULL, &state->of_context));
    if (state->gated)
        CF_TRY(cf_bind_parameter_constant(binding, "gate", 1, -2.0, &state->gate));
    return CF_OK;
}

/* ---- weights ---- */

/* A linear layer's matrix, whose rows of feature f have their inputs from the features before it
 * first, then its own. */
typedef struct {
    size_t inputs, outputs; /* a feature */
    cf_value weight, bias;
    cf_value own, log_own; /* blocks on the diagonal, [features, outputs, inputs] */
} block_matrix;

/* Rows of `before`, `own` (of all rows the own block alone) and, behind, `rest`. */
static cf_value join_rows(const block_matrix *m, cf_builder *b, size_t features, cf_value before,
                          cf_value own, double rest) {
    size_t rows = features * m->outputs, columns = features * m->inputs;
    cf_value *parts, joined, behind = cf_constant(b, CF_UNBATCHED, 1, rest);
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_alloc(&parts, 3 * rows, sizeof *parts) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for a matrix of blocks");
    for (size_t r = 0; r < rows; r++) {
        size_t f = r / m->outputs, first = f * m->inputs, after = columns - first - m->inputs;
        parts[3 * r] = first > 0 ? cf_slice(b, before, r * columns, first) : CF_NO_VALUE;
        parts[3 * r + 1] = cf_slice(b, own, r * m->inputs, m->inputs);
        parts[3 * r + 2] = after > 0 ? cf_repeat(b, behind, after) : CF_NO_VALUE;
    }
    joined = cf_concat(b, parts, 3 * rows);
    cf_free(parts);
    return cf_contiguous(b, joined);
}

/* The blocks on the diagonal of a matrix as it is. */
static cf_value own_blocks(const block_matrix *m, cf_builder *b, size_t features, cf_value matrix) {
    size_t rows = features * m->outputs, columns = features * m->inputs;
    cf_value *parts, own;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_alloc(&parts, rows, sizeof *parts) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for a matrix of blocks");
    for (size_t r = 0; r < rows; r++)
        parts[r] = cf_slice(b, matrix, r * columns + r / m->outputs * m->inputs, m->inputs);
    own = cf_concat(b, parts, rows);
    cf_free(parts);
    return cf_contiguous(b, own);
}

/* Rows exp(log_norm) V / |V| with V the numbers before the own block and exp of those in it. Norms
 * are sums of logarithms; 1e-30 is lost beside any number of a row that matters. */
static block_matrix read_matrix(const block_state *state, cf_builder *b, size_t k) {
    size_t n = state->features;
    block_matrix m = {.inputs = state->units[k], .outputs = state->units[k + 1]};
    size_t rows = n * m.outputs, columns = n * m.inputs;
    cf_value raw = cf_parameter(b, state->dense[k].weight, rows * columns);
    cf_value own = own_blocks(&m, b, n, raw);
    cf_value square = cf_log(b, cf_scale_shift(b, cf_multiply(b, raw, raw), 1.0, 1e-30));
    cf_value squares =
        join_rows(&m, b, n, square, cf_scale_shift(b, own, 2.0, 0.0), -(double)INFINITY);
    cf_value norm = cf_log_sum_exp_groups(b, squares, rows);
    cf_value log_norm = cf_softclip(b, cf_parameter(b, state->log_norm[k], rows), log(1000.0));
    cf_value log_scale = cf_add(b, log_norm, cf_scale_shift(b, norm, -0.5, 0.0));
    m.log_own = cf_add(b, own, cf_repeat_each(b, log_scale, m.inputs));
    m.own = cf_exp(b, m.log_own);
    /* Of a row with numbers before the own block it is below 42; others may overflow. */
    cf_value scale = cf_exp(b, cf_clamp(b, log_scale, -INFINITY, 50.0));
    cf_value scaled = cf_multiply(b, raw, cf_repeat_each(b, scale, columns));
    m.weight = join_rows(&m, b, n, scaled, m.own, 0.0);
    m.bias = cf_parameter(b, state->dense[k].bias, rows);
    return m;
}

/* ---- the network ---- */

/* The logarithms of the derivatives of `count` features' outputs, of those of the inputs,
 * CF_NO_VALUE for 0. */
static cf_value log_slopes(const block_matrix *m, cf_builder *b, cf_value log_own, cf_value inputs,
                           size_t count) {
    cf_value all = CF_NO_VALUE;
    if (cf_is_none(inputs)) /* of the first layer, one a feature */
        return log_own;
    for (size_t f = 0; f < count && cf_builder_status(b) == CF_OK; f++) {
        cf_value of_f =
            cf_repeat_whole(b, cf_slice(b, inputs, f * m->inputs, m->inputs), m->outputs);
        all = cf_concat(b, (cf_value[]){all, of_f}, 2);
    }
    return cf_log_sum_exp_groups(b, cf_add(b, log_own, all), count * m->outputs);
}

/* log(d tanh(z) / dz) = log(4) - 2 z - 2 log(1 + exp(-2 z)) */
static cf_value log_tanh_slope(cf_builder *b, cf_value z) {
    cf_value part = cf_add(b, z, cf_softplus(b, cf_scale_shift(b, z, -2.0, 0.0)));
    return cf_scale_shift(b, part, -2.0, log(4.0));
}

/* u of x and of the network's output; *log_slope, of the output, becomes that of u. */
static cf_value add_residual(cf_builder *b, cf_value gate, cf_value x, cf_value output,
                             cf_value *log_slope) {
    if (cf_is_none(gate)) {
        *log_slope = cf_softplus(b, *log_slope);
        return cf_add(b, x, output);
    }
    cf_value share = cf_sigmoid(b, gate);
    cf_value rest = cf_sigmoid(b, cf_scale_shift(b, gate, -1.0, 0.0));
    cf_value together = cf_softplus(b, cf_add(b, *log_slope, gate));
    *log_slope = cf_subtract(b, together, cf_softplus(b, gate));
    return cf_add(b, cf_multiply(b, share, output), cf_multiply(b, rest, x));
}

typedef struct {
    size_t layers;
    block_matrix matrix[MAX_LAYERS];
    cf_value of_context, gate; /* or CF_NO_VALUE */
} network;

static network read(const cf_layer *layer, cf_builder *b, cf_value context) {
    const block_state *state = layer->state;
    network net = {.layers = state->layers, .of_context = CF_NO_VALUE, .gate = CF_NO_VALUE};
    size_t columns = cf_shape_features(layer->context), rows = state->features * state->units[1];
    for (size_t k = 0; k < state->layers; k++)
        net.matrix[k] = read_matrix(state, b, k);
    if (columns > 0)
        net.of_context = cf_matmul(b, cf_parameter(b, state->of_context, rows * columns),
                                   CF_NO_VALUE, cf_broadcast(b, context), rows);
    if (state->gated)
        net.gate = cf_softclip(b, cf_parameter(b, state->gate, 1), log(1000.0));
    return net;
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    const block_state *state = layer->state;
    size_t n = state->features;
    network net = read(layer, b, context);
    cf_value a = x, z = CF_NO_VALUE, log_slope = CF_NO_VALUE;
    for (size_t k = 0; k < net.layers; k++) {
        const block_matrix *m = &net.matrix[k];
        z = cf_masked_matmul(b, m->weight, m->bias, a, n * m->outputs, state->dense[k].mask);
        if (k == 0)
            z = cf_add_optional(b, z, net.of_context);
        log_slope = log_slopes(m, b, m->log_own, log_slope, n);
        if (k + 1 < net.layers) {
            a = cf_tanh(b, z);
            log_slope = cf_add(b, log_slope, log_tanh_slope(b, z));
        }
    }
    cf_value u = add_residual(b, net.gate, x, z, &log_slope);
    *log_det = cf_sum_features(b, log_slope);
    return u;
}

/* ---- feature by feature ---- */

/* The network of one feature. */
typedef struct {
    cf_value known[MAX_LAYERS]; /* what its units have from the features before, and the biases */
    block_matrix matrix[MAX_LAYERS];
    size_t layers;
    cf_value gate;
} one_feature;

/* u and log(du/dx); unit[k] receives what linear layer k reads. */
static cf_value pass(const one_feature *o, cf_builder *b, cf_value x, cf_value *log_slope,
                     cf_value unit[MAX_LAYERS]) {
    cf_value a = x, z = CF_NO_VALUE;
    *log_slope = CF_NO_VALUE;
    for (size_t k = 0; k < o->layers; k++) {
        const block_matrix *m = &o->matrix[k];
        unit[k] = a;
        z = cf_add(b, cf_matmul(b, m->own, CF_NO_VALUE, a, m->outputs), o->known[k]);
        *log_slope = log_slopes(m, b, m->log_own, *log_slope, 1);
        if (k + 1 < o->layers) {
            a = cf_tanh(b, z);
            *log_slope = cf_add(b, *log_slope, log_tanh_slope(b, z));
        }
    }
    return add_residual(b, o->gate, x, z, log_slope);
}

static void evaluate(cf_builder *b, const void *context, cf_value x, cf_value unfinished,
                     cf_value *value, cf_value *slope) {
    cf_value unit[MAX_LAYERS];
    (void)unfinished;
    *value = pass(context, b, x, slope, unit);
    *slope = cf_exp(b, cf_broadcast(b, *slope));
}

/* seen[k]: what linear layer k reads of the features before. */
static one_feature take_feature(const network *net, cf_builder *b, size_t n, size_t f,
                                const cf_value seen[MAX_LAYERS]) {
    one_feature o = {.layers = net->layers, .gate = net->gate};
    for (size_t k = 0; k < net->layers; k++) {
        const block_matrix *m = &net->matrix[k];
        size_t rows = m->outputs, columns = f * m->inputs, own = rows * m->inputs;
        o.matrix[k] = *m;
        o.matrix[k].own = cf_slice(b, m->own, f * own, own);
        o.matrix[k].log_own = cf_slice(b, m->log_own, f * own, own);
        cf_value known = cf_slice(b, m->bias, f * rows, rows);
        if (f > 0)
            known = cf_matmul(b, cf_block(b, m->weight, n * m->inputs, f * rows, rows, columns),
                              known, seen[k], rows);
        if (k == 0 && !cf_is_none(net->of_context))
            known = cf_add(b, known, cf_slice(b, net->of_context, f * rows, rows));
        o.known[k] = known;
    }
    return o;
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    const block_state *state = layer->state;
    network net = read(layer, b, context);
    cf_value seen[MAX_LAYERS] = {{0}}, unit[MAX_LAYERS], log_slope, all = CF_NO_VALUE;
    for (size_t f = 0; f < state->features && cf_builder_status(b) == CF_OK; f++) {
        one_feature o = take_feature(&net, b, state->features, f, seen);
        cf_value target = cf_slice(b, u, f, 1);
        cf_root_spec root = {.function = evaluate,
                             .context = &o,
                             .context_size = sizeof o,
                             .target = target,
                             .start = cf_clamp(b, target, -1e3, 1e3)};
        cf_value x = cf_root(b, &root, NULL);
        pass(&o, b, x, &log_slope, unit);
        for (size_t k = 0; k < net.layers; k++)
            seen[k] = cf_concat(b, (cf_value[]){seen[k], unit[k]}, 2);
        all = cf_concat(b, (cf_value[]){all, log_slope}, 2);
    }
    *log_det = cf_scale_shift(b, cf_sum_features(b, all), -1.0, 0.0);
    return seen[0];
}

static const cf_layer_methods methods = {bind, forward, inverse};

static cf_status check(const cf_spec *spec) {
    size_t count = cf_spec_get(spec, "hidden")->count;
    if (count < 1 || count >= MAX_LAYERS)
        return cf_fail(CF_INVALID, "BlockNeural: from 1 to %d hidden layers, got %zu",
                       MAX_LAYERS - 1, count);
    return CF_OK;
}

static const char *const residuals[] = {"gated", "normal", NULL};

static const cf_option options[] = {
    {.name = "hidden",
     .kinds = CF_OPTION_INTS,
     .default_value = CF_DEFAULT_INTS(8, 8),
     .range = &(const cf_range){1.0, 4096.0, false, false},
     .doc = "How many units a feature the hidden layers have, from 1 to 8 of them."},
    {.name = "residual",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("gated"),
     .choices = residuals,
     .doc = "``'gated'``: ``u = s f(x) + (1 - s) x`` with a learned share ``s``, from 0.001 to "
            "0.999; ``'normal'``: ``u = x + f(x)``."},
};

const cf_spec_type cf_block_neural_type = {
    .name = "BlockNeural",
    .role = "layer",
    .doc =
        "Block neural autoregressive flow: one masked network that increases in every feature.\n\n"
        "From data to base, ``u = x + f(x)`` or a mean of both, with ``f(x) = W_L tanh(... "
        "tanh(W_1 "
        "x + b_1) ...) + b_L``:\n"
        "each matrix consists of blocks, one a pair of features, which are 0 above the diagonal "
        "and\n"
        "``exp`` of the weights on it; its rows are normalised to ``exp(softclip(log_norm))``, "
        "between\n"
        "1/1000 and 1000. ``u_i`` depends on ``x_1`` to ``x_i`` and the context, whose part is "
        "added to the first layer. Without the\n"
        "residual the tanh would not let it reach all numbers. ``log_det`` is the sum of the "
        "logarithms of the\nderivatives ``du_i/dx_i``, products of the blocks on the diagonal "
        "in logarithms. That direction is one pass of the network;\n"
        "the other, sampling, finds one feature after the other by Newton's method and "
        "bisection. The order is\nthat of the features; `Permutation` layers change it. A new "
        "layer is near the "
        "identity.\n\n"
        "References\n----------\n"
        "De Cao et al. 2019, Block neural autoregressive flow, arXiv:1904.04676.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = check,
    .methods = &methods,
};
