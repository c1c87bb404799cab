/* What the ops of fixed maps share. Each reads x among its operands, or, beside an input, from the
 * caller's array; then the last operand is the plain input, which stands there for the gradient
 * alone. */
#ifndef CF_FN

#ifndef CF_OPS_FIXED_MAP_OPS_H
#define CF_OPS_FIXED_MAP_OPS_H

#include <string.h>

#include "ops/fixed_map.h"
#include "ops/read_rows.h"

enum { CF_MAP_BESIDE_INPUT = CF_OP_INPUT | CF_OP_LAST_UNREAD };

/* What the parameters of each op begin with. */
typedef struct {
    cf_fixed_map map;
    bool to_base, constant_slopes;
    bool noise;       /* the operand before the last */
    int slot, jitter; /* of an input, or -1 */
} cf_map_params;

/* Derivatives of the map and, from the 4th on, of the logarithm of its slope. */
typedef enum {
    CF_MAP_SLOPE,
    CF_MAP_SLOPE_2,
    CF_MAP_SLOPE_3,
    CF_MAP_LOG_SLOPE,
    CF_MAP_LOG_SLOPE_2
} cf_map_order;

/* factor times a derivative of the map that `node`, a value or a log_det, is of. */
cf_value cf_fixed_map_derivative(cf_builder *b, const cf_node *node, cf_value factor,
                                 cf_map_order order);

/* The node of a derivative beside an input whose whole result `value` is, or NULL; and its order.
 */
const cf_node *cf_fixed_map_input_derivative(const cf_builder *b, cf_value value,
                                             cf_map_order *order);

/* Stores `value`, if it is a gradient with respect to an input of a map, in the caller's array in
 * `slot`; false: it is none. */
bool cf_fixed_map_gradient_output(cf_builder *b, int slot, cf_value value);

#endif

#else

#include "ops/feature_rows.h"

#undef map_reader
#undef MAP_UNIT
#define map_reader CF_FN(cf_map_reader)

#ifdef CF_REAL_F32
#define MAP_UNIT 0x1p-23
#else
#define MAP_UNIT 0x1p-52
#endif

/* Where the numbers of a tile come from. */
typedef struct {
    const cf_call *call;
    const cf_map_params *params;
    size_t first_operand; /* before jitter's noise, noise and x */
    cf_map_call map;
    cf_row_reader input;
} map_reader;

static inline void CF_FN(map_begin)(map_reader *r, const cf_call *call, size_t first_operand,
                                    bool log_slopes, bool derivatives) {
    const cf_map_params *p = call->step->node->params;
    r->call = call;
    r->params = p;
    r->first_operand = first_operand;
    r->map = (cf_map_call){.map = &p->map,
                           .buffers = call->run->buffers,
                           .unit = MAP_UNIT,
                           .to_base = p->to_base,
                           .constant_slopes = p->constant_slopes,
                           .log_slopes = log_slopes,
                           .derivatives = derivatives};
    if (p->slot >= 0)
        cf_row_reader_begin(&r->input, call, p->slot, p->map.features);
}

static inline void CF_FN(map_widen)(const real *row, size_t lanes, double *out) {
    for (size_t lane = 0; lane < lanes; lane++)
        out[lane] = row[lane];
}

/* x of feature f, before any rounding. */
static inline void CF_FN(map_read)(map_reader *r, size_t f, double *out) {
    const cf_call *call = r->call;
    const cf_map_params *p = r->params;
    size_t lanes = call->lanes;
    if (p->slot < 0) {
        CF_FN(map_widen)(cf_feature_row(call, r->first_operand + p->noise, f), lanes, out);
        return;
    }
    memcpy(out, cf_row_reader_next(&r->input, f), lanes * sizeof *out);
    if (p->jitter < 0)
        return;
    double width = cf_jitter_width(call, p->jitter, f);
    const real *noise = cf_feature_row(call, r->first_operand, f);
    for (size_t lane = 0; lane < lanes; lane++)
        out[lane] += width * noise[lane];
}

/* Maps feature f; the features are taken in ascending order. */
static inline void CF_FN(map_next)(map_reader *r, size_t f, cf_mapped *m) {
    const cf_call *call = r->call;
    const cf_map_params *p = r->params;
    double noise[CF_MAX_LANES];
    CF_FN(map_read)(r, f, m->value);
    if (p->noise)
        CF_FN(map_widen)
    (cf_feature_row(call, r->first_operand + (p->jitter >= 0), f), call->lanes, noise);
    cf_map_feature[call->level](&r->map, f, call->lanes, p->noise ? noise : NULL, m);
}

/* The same for the derivatives alone: a slope that is the same everywhere is that at 0. */
static inline void CF_FN(map_next_slopes)(map_reader *r, size_t f, cf_mapped *m) {
    const cf_call *call = r->call;
    if (!r->params->constant_slopes) {
        CF_FN(map_next)(r, f, m);
        return;
    }
    for (size_t lane = 0; lane < CF_MAP_LANES; lane++)
        m->value[lane] = 0.0;
    cf_map_feature[call->level](&r->map, f, CF_MAP_LANES, NULL, m);
    for (size_t lane = CF_MAP_LANES; lane < call->lanes; lane++)
        m->slope[lane] = m->slope[0];
}

/* A derivative by lane: a member of `m`, or in `room`. */
static inline const double *CF_FN(map_derivative_of)(const cf_mapped *m, size_t lanes,
                                                     cf_map_order order, double *room) {
    const double *slope = m->slope, *first = m->d_log_slope, *second = m->d2_log_slope;
    if (order == CF_MAP_SLOPE)
        return slope;
    if (order == CF_MAP_LOG_SLOPE)
        return first;
    if (order == CF_MAP_LOG_SLOPE_2)
        return second;
    for (size_t lane = 0; lane < lanes; lane++)
        room[lane] =
            slope[lane] *
            (order == CF_MAP_SLOPE_2 ? first[lane] : second[lane] + first[lane] * first[lane]);
    return room;
}

#endif
