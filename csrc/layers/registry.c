#include "layers/registry.h"

#include <string.h>

#include "dist/base.h"
#include "layers/layer.h"
#include "layers/scale.h"
#include "nn/conditioner.h"

const cf_spec_type *const cf_spec_types[] = {
    &cf_coupling_type, &cf_permutation_type,
    &cf_affine_type,   &cf_inverse_type,
    &cf_chain_type,    &cf_scale_type,
    &cf_mlp_type,      &cf_residual_net_type,
    &cf_normal_type,   NULL,
};

const cf_spec_type *cf_spec_type_named(const char *name) {
    for (size_t i = 0; cf_spec_types[i] != NULL; i++)
        if (strcmp(cf_spec_types[i]->name, name) == 0)
            return cf_spec_types[i];
    return NULL;
}
