/* The functions of single numbers, a line each:
 *
 *     CF_FUNCTION(name, value, of, slope, bend, doc)
 *
 * value    of x, in vectors (simd/math.h; functions.c has the longer formulas)
 * of       what the slope is a function of: OF_X, or OF_Y, the value
 * slope    times the cotangent y, at x, which with OF_Y is the value
 * bend     the slope's own slope, as ops: see functions.c; NULL: 0
 * doc      what Python says of it
 *
 * cf_name in C, name in `cflows.nn` and in the instructions of `Expression` follow. */
CF_FUNCTION(exp, v_exp(x), OF_Y, y *x, one, "``exp(x)``.")
CF_FUNCTION(log, v_log(x), OF_X, y / x, log_bend, "``log(x)``.")
CF_FUNCTION(log1p, v_log1p(x), OF_X, y / (x + v_set1(1)), log1p_bend, "``log(1 + x)``.")
CF_FUNCTION(expm1, v_expm1(x), OF_Y, y *(x + v_set1(1)), one, "``exp(x) - 1``.")
CF_FUNCTION(sqrt, v_sqrt(x), OF_Y, y / (x + x), sqrt_bend, "``sqrt(x)``.")
CF_FUNCTION(tanh, v_tanh(x), OF_Y, y *v_fma(-x, x, v_set1(1)), tanh_bend, "``tanh(x)``.")
CF_FUNCTION(sigmoid, v_sigmoid(x), OF_Y, y *(x *(v_set1(1) - x)), sigmoid_bend,
            "``1 / (1 + exp(-x))``.")
CF_FUNCTION(softplus, v_softplus(x), OF_Y, y * -v_expm1(-x), softplus_bend, "``log(1 + exp(x))``.")
CF_FUNCTION(relu, v_select(v_le(x, v_set1(0)), v_set1(0), x), OF_Y,
            v_select(v_le(x, v_set1(0)), v_set1(0), y), NULL, "``max(x, 0)``; its slope at 0 is 0.")
CF_FUNCTION(elu, v_select(v_lt(v_set1(0), x), x, v_expm1(x)), OF_Y,
            v_select(v_lt(v_set1(0), x), y, y *(x + v_set1(1))), elu_bend,
            "x where it is positive, else ``exp(x) - 1``.")
CF_FUNCTION(silu, x *v_sigmoid(x), OF_X, y *CF_FN(silu_slope_at)(x), silu_bend,
            "``x / (1 + exp(-x))``.")
CF_FUNCTION(gelu, x *v_normal_cdf(x), OF_X, y *v_fma(x, v_normal_pdf(x), v_normal_cdf(x)),
            gelu_bend, "x times the normal distribution function of x.")
CF_FUNCTION(asinh, CF_FN(asinh_of)(x), OF_Y, CF_FN(asinh_slope_at)(x, y), asinh_bend,
            "``log(x + sqrt(x**2 + 1))``.")
CF_FUNCTION(sinh, CF_FN(sinh_of)(x), OF_X, CF_FN(sinh_slope_at)(x, y), cf_sinh,
            "``(exp(x) - exp(-x)) / 2``.")
CF_FUNCTION(abs, v_abs(x), OF_X, CF_FN(with_sign_of)(x, y), NULL,
            "``max(x, -x)``; its slope at 0 is 0.")
