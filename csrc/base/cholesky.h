/* The Cholesky factor of a symmetric matrix. */
#ifndef CF_BASE_CHOLESKY_H
#define CF_BASE_CHOLESKY_H

#include <stdbool.h>
#include <stddef.h>

/* Turns the lower triangle of a, of n rows one after another, into L of a = L L^T; what lies above
 * the diagonal is neither read nor written. False if a is not positive definite. */
bool cf_cholesky(double *a, size_t n);

#endif
