/* Rules of quadrature on [0, 1]. */
#ifndef CF_BASE_QUADRATURE_H
#define CF_BASE_QUADRATURE_H

#include <stddef.h>

/* `count` points of (0, 1), ascending, and their weights, whose sum is 1: the mean of a function on
 * [0, 1] is the sum of weight times value, exactly so for polynomials of degree 2 count - 1. */
void cf_gauss_legendre(size_t count, double *point, double *weight);

/* The same by Clenshaw and Curtis, of `count` points from 0 to 1, both ends included, at least 2:
 * exact for polynomials of degree count - 1. */
void cf_clenshaw_curtis(size_t count, double *point, double *weight);

#endif
