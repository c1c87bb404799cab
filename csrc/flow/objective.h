/* The programs that a flow runs, built from its layers and base. */
#ifndef CF_FLOW_OBJECTIVE_H
#define CF_FLOW_OBJECTIVE_H

#include "dist/base.h"
#include "engine/plan.h"
#include "layers/layer.h"
#include "nn/embedding.h"

/* Slots of the caller's arrays. */
enum { CF_IN_X, CF_IN_CONTEXT, CF_IN_DVALUE, CF_IN_DLOG_DET };
enum { CF_OUT_VALUE, CF_OUT_LOG_DET, CF_OUT_DX, CF_OUT_DCONTEXT };

typedef enum { CF_MAP_INVERSE, CF_MAP_FORWARD, CF_MAP_LOG_PROB, CF_MAP_SAMPLE } cf_map;

/* What a program computes; every combination is one program. It is compared as a whole, byte by
 * byte, so that no member can be forgotten: there must be no padding. */
typedef struct {
    uint32_t map;  /* cf_map */
    uint32_t mode; /* cf_mode */
    bool value, log_det;   /* results wanted */
    bool score;            /* dx of the sum of log_prob, without cotangents from the caller */
    bool dvalue, dlog_det; /* cotangents given */
    bool dx, dcontext, gradients; /* cotangents wanted */
    bool jitter;
    bool means; /* instead of draws of stochastic layers */
    uint8_t unused[2];
} cf_objective;

_Static_assert(sizeof(cf_objective) == 2 * sizeof(uint32_t) + 10 * sizeof(bool) + 2,
               "padding of a key is not compared in a defined way");

/* The bound parts of a flow. */
typedef struct {
    cf_shape shape; /* of x */
    cf_embedding embedding;
    cf_layer chain;
    cf_base base;
} cf_flow_body;

cf_status cf_objective_program(cf_program **out, const cf_objective *objective,
                               const cf_flow_body *body, const cf_slab_table *parameters);

#endif
