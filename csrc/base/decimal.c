#include "base/decimal.h"

#include <math.h>

/* The powers of ten that are exact. */
static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
enum { MAX_POWER = sizeof powers / sizeof *powers - 1 };
static const uint64_t too_large = UINT64_C(10000000000000000000);

bool cf_decimal(uint64_t digits, int exponent, double *out) {
    if (exponent < -MAX_POWER || exponent > MAX_POWER || digits >= too_large)
        return false;
    /* high + low are the digits exactly. */
    double high = (double)digits;
    double low = (double)(int64_t)(digits - (uint64_t)high);
    double power = powers[exponent < 0 ? -exponent : exponent];
    double near, rest; /* near + rest is the result with an error below 2^-51 of the rest */
    if (exponent < 0) {
        near = high / power;
        rest = (fma(-near, power, high) + low) / power;
    } else {
        near = high * power;
        rest = fma(high, power, -near) + low * power;
    }
    /* Rounding is monotone: if both ends of the error's interval give one number, so does the
     * result (Ziv 1991, Fast evaluation of elementary mathematical functions with correctly rounded
     * last bit). */
    double margin = rest * 0x1p-50;
    *out = near + (rest + margin);
    return *out == near + (rest - margin);
}
