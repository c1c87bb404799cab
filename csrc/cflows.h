/* clang-format off: an example in the text */
/* The core of cflows, for use from C without Python.
 *
 *     cf_spec *layer;                                            describe
 *     cf_spec_new(&layer, cf_spec_type_named("Coupling"));
 *     cf_spec_set_string(layer, "mask", "half");
 *     cf_spec_finish(layer);
 *     cf_flow *flow;                                             bind to sizes, draw the weights
 *     cf_flow_parts parts = {.layers = &layer, .layer_count = 1, .shape = cf_vector(features)};
 *     cf_flow_new(&flow, &parts);
 *     cf_rows_new(&rows, flow->model, &options);                 learn: an objective …
 *     cf_training_new(&training, &objective, &settings);         … and the loop that minimises it
 *     cf_training_epoch(training, NULL, NULL, &report);          until report.stop is set
 *     cf_function_call call = {.function = cf_model_function(flow->model, "log_prob")};
 *     cf_call_set_input(&call, "x", array);                      score; sample likewise
 *     cf_model_call(flow->model, &call);
 *     cf_model_free(flow->model);
 *
 * Every call returns a cf_status; cf_message() tells what went wrong. What _new makes, _free frees.
 * A layer of your own is a cf_spec_type with cf_layer_methods that emit ops.
 */
/* clang-format on */
#ifndef CFLOWS_H
#define CFLOWS_H

#include "base/memory.h"
#include "base/pool.h"
#include "base/spec.h"
#include "base/status.h"
#include "flow/flow.h"
#include "layers/layer.h"
#include "layers/registry.h"
#include "ops/fixed_point.h"
#include "ops/ops.h"
#include "ops/root.h"
#include "train/losses/losses.h"
#include "train/registry.h"
#include "train/rows.h"

#endif
