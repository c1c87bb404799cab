/* Monotone splines: rational-quadratic (Durkan et al. 2019, arXiv:1906.04032), linear and quadratic
 * (Müller et al. 2019, arXiv:1808.03856) and cubic (Durkan et al. 2019, arXiv:1906.02145). */
#ifndef CF_OPS_SPLINE_H
#define CF_OPS_SPLINE_H

#include "ops/ops.h"

enum { CF_MAX_BINS = 128 };

/* Which slopes at the two ends are given, and how the map goes on beyond them. */
typedef enum {
    CF_TAILS_LINEAR,   /* slope 1, then the identity: bins - 1 unconstrained slopes */
    CF_TAILS_CIRCULAR, /* one slope for both ends, which are one point: bins unconstrained slopes */
    CF_TAILS_FREE,     /* each its own, with which the map goes on: bins + 1 unconstrained slopes */
} cf_tails;

/* How unconstrained parameters become bins and slopes. */
typedef enum {
    CF_SPLINE_SOFTMAX,  /* bins: min_bin + (1 - bins min_bin) softmax(factor params), times the
                           span; slopes: min_slope + softplus(params) (Durkan et al.) */
    CF_SPLINE_SOFTCLIP, /* bins: softmax(clip(factor params, b / 2)), slopes: exp(clip(params, b)),
                           with clip(a, b) = a / (1 + |a| / b), b = -log(min_slope) (zuko) */
} cf_spline_form;

/* Linear, quadratic and cubic ones are of form CF_SPLINE_SOFTMAX and with tails that are linear or,
 * unless the spline is, free. The slopes of linear and cubic splines at the ends are not 1: with
 * linear tails the derivative jumps there. */
typedef enum {
    CF_RATIONAL_QUADRATIC_SPLINE,
    CF_LINEAR_SPLINE,
    CF_QUADRATIC_SPLINE,
    CF_CUBIC_SPLINE
} cf_spline_kind;

typedef struct {
    cf_spline_kind kind;
    int bins; /* 1 to CF_MAX_BINS */
    cf_tails tails;
    cf_spline_form form;
    double low, high; /* of both axes */
    double min_bin, min_slope, factor;
} cf_spline;

/* Unconstrained parameters a feature: widths, heights, slopes; of a linear spline, heights; of a
 * quadratic one, widths and densities at the knots (with linear tails, at the inner knots alone);
 * of a cubic one, widths, heights and two slopes, at the ends. */
size_t cf_spline_param_count(const cf_spline *spline);

/* y of x with log_det = sum of log(dy/dx), or x of y; number p of feature f is at p features(x) + f
 * of params. */
cf_value cf_spline_map(cf_builder *b, const cf_spline *spline, cf_value x, cf_value params,
                       bool inverse, cf_value *log_det);

#endif
