/* Bound layers: what flow.layers holds. */
#ifndef CF_BINDINGS_LAYER_H
#define CF_BINDINGS_LAYER_H

#include "bindings/module.h"
#include "layers/layer.h"

/* Adds BoundLayer and BoundPermutation to the module. */
bool cf_py_add_layers(PyObject *module);

/* The layers within `layer`, a new tuple; `owner` keeps them in memory. */
PyObject *cf_py_bound_layers(const cf_module_state *state, PyObject *owner, const cf_layer *layer);

#endif
