/* Decimal numbers to binary ones, correctly rounded. */
#ifndef CF_BASE_DECIMAL_H
#define CF_BASE_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

/* digits * 10^exponent, rounded to nearest, ties to even. False where this is not certain: for
 * exponents beyond +-22, 20 digits or more, and next to a tie. A slower way must then decide. */
bool cf_decimal(uint64_t digits, int exponent, double *out);

#endif
