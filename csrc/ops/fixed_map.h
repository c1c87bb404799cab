/* Fixed maps of single features, u -> x and back, computed in float64 whatever the dtype of the
 * run: units, logarithms, bounds and moduli of columns.
 *
 * A map is a list of steps for every feature, base to data. Beside an input or an output of the
 * program the numbers are the caller's own before the rounding to the dtype, so that a narrow
 * column far from 0 loses nothing.
 *
 * On the way to the base, numbers at which the map has no value, infinite ones included, have no
 * density: their log_det is -inf, the result 0 and the derivatives 0; but for maps of constant
 * slopes, whose log_det is one number, which leave infinity what it is. On the way to the data the
 * result is NaN where the map has no value. NaN stays NaN in either direction. */
#ifndef CF_OPS_FIXED_MAP_H
#define CF_OPS_FIXED_MAP_H

#include "engine/program.h"
#include "engine/tile.h"

/* x of u. */
typedef enum {
    CF_MAP_AFFINE,      /* u scale + shift, both in the buffers */
    CF_MAP_EXP,         /* e^u */
    CF_MAP_SIGMOID,     /* low + (high - low) / (1 + e^(-rate u)) */
    CF_MAP_TANH,        /* tanh(u) */
    CF_MAP_SOFTPLUS,    /* log(1 + e^u) */
    CF_MAP_SINH,        /* sinh(u) */
    CF_MAP_SCALED_SINH, /* sinh(rate u) / rate */
    CF_MAP_POWER,       /* u^rate, u > 0 */
    CF_MAP_SOFTCLIP,    /* u / (1 + |u| / high) */
    CF_MAP_CIRCLE,      /* u + rate, less whole turns: within [low, high] */
    CF_MAP_MOBIUS,      /* shift + 2 arctan(scale tan(u / 2)), both in the buffers */
    CF_MAP_FLOOR,       /* the integer below u rate, within [low, high] */
} cf_map_kind;

typedef struct {
    cf_map_kind kind;
    bool inverted;  /* it is u of x */
    bool from_data; /* Affine, Mobius: the data that a fit sees first set shift and scale, */
    bool robust;    /* Affine: to median and quantiles */
    double low, high, rate;
    double epsilon;      /* Sigmoid: x nearer to an end than this share of the interval is moved
                            there on the way to the base */
    size_t shift, scale; /* Affine, Mobius: offsets in the buffers */
} cf_map_step;

typedef struct {
    size_t features;
    const size_t *first; /* features + 1 numbers: the steps of feature f are those from first[f] to
                            before first[f + 1], base to data */
    const cf_map_step *steps; /* NULL: every feature has one step, `every`; if that is affine, its
                                 shift and scale are those of the first feature */
    cf_map_step every;
} cf_fixed_map;

/* The steps of feature f, base to data, and how many; `own` has room for one. */
static inline size_t cf_fixed_map_steps(const cf_fixed_map *map, size_t f, cf_map_step *own,
                                        const cf_map_step **steps) {
    *own = map->every;
    own->shift += f;
    own->scale += f;
    *steps = map->steps == NULL ? own : &map->steps[map->first[f]];
    return map->steps == NULL ? 1 : map->first[f + 1] - map->first[f];
}

/* The map of x, or its inverse if `to_base`. What `map` points at outlives the program. `noise`, as
 * many features as x or CF_NO_VALUE, is what inverses of Floor add to an integer. */
cf_value cf_fixed_map_value(cf_builder *b, cf_value x, const cf_fixed_map *map, bool to_base,
                            cf_value noise);

/* Its log_det there: one feature, an unbatched number where it is the same for all samples, or
 * CF_NO_VALUE for 0; NaN on the way to the data where there is a Floor. */
cf_value cf_fixed_map_log_det(cf_builder *b, cf_value x, const cf_fixed_map *map, bool to_base,
                              cf_value noise);

/* Whether the map of every feature is affine but for whole turns: its slopes are constants. */
bool cf_fixed_map_has_constant_slopes(const cf_fixed_map *map);

/* The map to the data whose whole result, of values of the program, `value` is; then *operand is
 * its operand. NULL: it is none. */
const cf_fixed_map *cf_fixed_map_to_data(const cf_builder *b, cf_value value, cf_value *operand);

/* ---- evaluation ---- */

/* Numbers of one feature, mapped, and what is known of the map there. */
typedef struct {
    double value[CF_MAX_LANES];
    double log_slope[CF_MAX_LANES]; /* log of the slope's absolute value */
    double slope[CF_MAX_LANES];
    double d_log_slope[CF_MAX_LANES], d2_log_slope[CF_MAX_LANES]; /* derivatives of log_slope */
} cf_mapped;

typedef struct {
    const cf_fixed_map *map;
    const double *buffers;
    double unit;  /* rounding to the dtype of the run: 2^-23 or 2^-52 */
    bool to_base; /* the inverse */
    bool constant_slopes;
    bool log_slopes, derivatives; /* whether they are wanted */
} cf_map_call;

/* What the affine steps of feature f add to the logarithm of its slope. */
double cf_fixed_map_constant(const cf_map_call *call, size_t f);

enum { CF_MAP_LANES = 8 };

/* Maps feature f of `lanes` samples, a multiple of CF_MAP_LANES, in m->value. `noise` may be NULL.
 */
typedef void (*cf_map_function)(const cf_map_call *call, size_t f, size_t lanes,
                                const double *noise, cf_mapped *m);

extern const cf_map_function cf_map_feature[CF_SIMD_LEVELS];

#endif
