#include "layers/registry.h"

#include <string.h>

#include "dist/base.h"
#include "dist/likelihood.h"
#include "layers/layer.h"
#include "layers/scale.h"
#include "layers/transform.h"
#include "nn/embedding.h"
#include "nn/traced.h"

const cf_spec_type *const cf_spec_types[] = {
    /* layers */
    &cf_coupling_type,
    &cf_autoregressive_type,
    &cf_elementwise_type,
    &cf_actnorm_type,
    &cf_batchnorm_type,
    &cf_permutation_type,
    &cf_squeeze_type,
    &cf_split_type,
    &cf_dequantize_type,
    &cf_variational_type,
    &cf_expression_type,
    &cf_affine_type,
    &cf_inverse_type,
    &cf_chain_type,
    &cf_partial_type,
    &cf_linear_type,
    &cf_triangular_type,
    &cf_householder_type,
    &cf_rotation_type,
    &cf_exp_type,
    &cf_log_type,
    &cf_sigmoid_type,
    &cf_logit_type,
    &cf_tanh_type,
    &cf_softplus_type,
    &cf_sinh_type,
    &cf_arcsinh_type,
    &cf_power_type,
    &cf_circular_shift_type,
    /* transforms and scales */
    &cf_affine_transform_type,
    &cf_additive_transform_type,
    &cf_spline_type,
    &cf_linear_spline_type,
    &cf_quadratic_spline_type,
    &cf_cubic_spline_type,
    &cf_mixture_logistic_type,
    &cf_mixed_transform_type,
    &cf_turned_transform_type,
    &cf_scale_type,
    /* conditioners, and what embeds the context */
    &cf_mlp_type,
    &cf_residual_net_type,
    &cf_conv_net_type,
    &cf_conv_residual_net_type,
    &cf_conv_encoder_type,
    &cf_conv_decoder_type,
    &cf_embedding_type,
    /* likelihoods */
    &cf_bernoulli_likelihood_type,
    &cf_normal_likelihood_type,
    &cf_categorical_likelihood_type,
    &cf_logistic_likelihood_type,
    /* bases */
    &cf_normal_type,
    &cf_full_normal_type,
    &cf_student_t_type,
    &cf_laplace_type,
    &cf_logistic_type,
    &cf_uniform_type,
    &cf_mixture_type,
    &cf_product_type,
    /* models of functions alone */
    &cf_module_type,
    NULL,
};

const cf_spec_type *cf_spec_type_named(const char *name) {
    for (size_t i = 0; cf_spec_types[i] != NULL; i++)
        if (strcmp(cf_spec_types[i]->name, name) == 0)
            return cf_spec_types[i];
    return NULL;
}
