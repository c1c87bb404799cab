/* Rotation: multiplication by the exponential of an antisymmetric matrix. */
#include <math.h>

#include "layers/layer.h"
#include "ops/ops.h"

typedef struct {
    size_t weight; /* parameter [features, features] */
} rotation_state;

static cf_status bind(cf_layer *layer, cf_binding *binding) {
    size_t n = layer->shape.channels;
    rotation_state *state;
    CF_TRY(cf_arena_alloc(binding->arena, &state, 1, sizeof *state));
    layer->state = state;
    return cf_bind_matrix(binding, "weight", n, n, 1.0 / sqrt((double)n), NULL, &state->weight);
}

static cf_value matrix(const cf_layer *layer, cf_builder *b) {
    const rotation_state *state = layer->state;
    size_t n = layer->shape.channels;
    cf_value weight = cf_parameter(b, state->weight, n * n);
    cf_value transposed = cf_contiguous(b, cf_transpose(b, weight, n));
    return cf_matrix_exponential(b, cf_subtract(b, weight, transposed), true);
}

static cf_value forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det) {
    (void)context;
    (void)log_det;
    return cf_channels_matmul(b, matrix(layer, b), CF_NO_VALUE, u, layer->shape,
                              layer->shape.channels);
}

static cf_value inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det) {
    (void)context;
    (void)log_det;
    cf_value turned_back = cf_transpose(b, matrix(layer, b), layer->shape.channels);
    return cf_channels_matmul(b, cf_contiguous(b, turned_back), CF_NO_VALUE, x, layer->shape,
                              layer->shape.channels);
}

static const cf_layer_methods methods = {bind, forward, inverse};

const cf_spec_type cf_rotation_type = {
    .name = "Rotation",
    .role = "layer",
    .doc = "A learned rotation.\n\n"
           "``x = exp(W - W^T) u`` with the matrix exponential of the parameter ``weight``, "
           "``log_det = 0``.\n"
           "Every rotation is one, and it is one however large the weights are; reflections are "
           "not, see `Householder`. A new layer is a random "
           "rotation.\nOf images it acts on the channels of every pixel.\n\n"
           "References\n----------\n"
           "Lezcano-Casado and Martínez-Rubio 2019, Cheap orthogonal constraints in neural "
           "networks,\n"
           "arXiv:1901.08428.\n"
           "Moler and Van Loan 2003, Nineteen dubious ways to compute the exponential of a "
           "matrix.",
    .methods = &methods,
};
