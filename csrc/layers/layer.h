/* The layer contract: a bijection, its two directions and their log-determinants.
 *
 * A layer emits ops through the public builder (engine/program.h, ops/ops.h) and does nothing else:
 * it has no backward pass, allocates nothing but its state while binding, and knows nothing of
 * tiles, threads or Python. To add one, write a file with its options, bind, forward and inverse,
 * add a line to layers/type_list.h, and add a line to the table of instances in
 * tests/instances.py.
 */
#ifndef CF_LAYERS_LAYER_H
#define CF_LAYERS_LAYER_H

#include <math.h>

#include "base/shape.h"
#include "engine/program.h"
#include "model/binding.h"
#include "ops/fixed_map.h"

/* The log_det of stochastic layers on the way to the data, where they have none. */
#define CF_NO_LOG_DET NAN

typedef struct cf_layer cf_layer;

typedef struct {
    /* Checks the options against layer->shape and layer->context, declares parameters and
     * buffers, sets layer->state. NULL: there is nothing to do. */
    cf_status (*bind)(cf_layer *layer, cf_binding *binding);
    /* u -> x and x -> u. *log_det is log|det J| of the map just applied: one feature, an unbatched
     * number, or CF_NO_VALUE for 0. context is CF_NO_VALUE if there is none. */
    cf_value (*forward)(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                        cf_value *log_det);
    cf_value (*inverse)(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                        cf_value *log_det);
    bool stochastic;        /* draws random numbers, and its log_det is a term of a bound */
    bool restricted_domain; /* either direction is NaN or infinite at some finite numbers */
    /* Makes the shape of x that of u if `to_base`, or the other way round; NULL: they are equal. */
    cf_status (*reshape)(const cf_spec *spec, bool to_base, cf_shape *shape);
    /* Of a layer that may be a fixed map of every feature by itself: appends the steps of
     * `feature`, base to data, to `out`, unless that is NULL, and counts them; false: it is none.
     * Of such a layer forward and inverse are not asked for, and may be NULL. */
    bool (*steps)(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count);
} cf_layer_methods;

struct cf_layer {
    cf_spec
        *spec; /* kept by the binding; bind may replace it by one that states the random choices */
    cf_shape shape;   /* of x */
    size_t features;  /* of x */
    bool stochastic;  /* as its methods say, or as binding has found */
    bool penalized;   /* it adds to what training minimises where that is asked for
                         (cf_builder_set_penalty) */
    cf_shape context; /* an image, or a vector; of no features: there is none */
    void *state;      /* of its type, in the flow's arena */
    size_t children;
    cf_layer *child; /* bound layers within this one */
    bool fixed;      /* it is a fixed map, `map` */
    /* Of a chain within it: that of the children from `mapped` on, which are computed as one. */
    const cf_fixed_map *map;
    size_t mapped;
};

/* Binds `spec` to its sizes, of which `shape` is that of x, names starting at the binding's path,
 * whose number tells random choices apart. */
cf_status cf_layer_bind(cf_layer *out, cf_spec *spec, cf_binding *binding, cf_shape shape,
                        cf_shape context);

/* Makes the shape of the layer's x that of its u if `to_base`, or the other way round. */
cf_status cf_layer_reshape(const cf_spec *spec, bool to_base, cf_shape *shape);

/* Replaces layer->spec by one whose option `name` is `setting`: a random choice. */
cf_status cf_layer_resolve(cf_layer *layer, cf_binding *binding, const char *name,
                           const cf_setting *setting);

/* The same with the specs of the bound children. */
cf_status cf_layer_resolve_children(cf_layer *layer, cf_binding *binding, const char *name);

cf_value cf_layer_forward(const cf_layer *layer, cf_builder *b, cf_value u, cf_value context,
                          cf_value *log_det);
cf_value cf_layer_inverse(const cf_layer *layer, cf_builder *b, cf_value x, cf_value context,
                          cf_value *log_det);

/* Whether it or a layer within it has a restricted domain: data may lie outside of it. */
bool cf_layer_has_restricted_domain(const cf_layer *layer);

/* Whether it or a layer within it is stochastic: densities are bounded from below. */
bool cf_layer_is_stochastic(const cf_layer *layer);

/* Whether it or a layer within it is penalized. */
bool cf_layer_is_penalized(const cf_layer *layer);

/* Appends the steps of `feature`; false if the layer is no fixed map. */
bool cf_layer_steps(const cf_layer *layer, size_t feature, cf_map_step *out, size_t *count);

/* For those methods: appends one step; returns true. */
static inline bool cf_append_step(cf_map_step *out, size_t *count, cf_map_step step) {
    if (out != NULL)
        out[*count] = step;
    ++*count;
    return true;
}

/* Finds out whether the layer is a fixed map; and of a chain, how many of the last of its `count`
 * children are. */
cf_status cf_layer_bind_map(cf_layer *layer, cf_binding *binding);
cf_status cf_layer_bind_last_maps(cf_layer *layer, size_t count, cf_binding *binding);

/* Through layer->map, drawing what a Dequantize adds. */
cf_value cf_layer_through_map(const cf_layer *layer, cf_builder *b, cf_value x, bool to_base,
                              cf_value *log_det);

/* The fixed map with which a layer or chain ends beside the data, or NULL. */
const cf_fixed_map *cf_layer_data_map(const cf_layer *layer);

extern const cf_spec_type cf_coupling_type, cf_permutation_type, cf_chain_type;

#endif
