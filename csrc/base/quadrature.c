#include "base/quadrature.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

enum { STEPS = 8 }; /* of Newton's method, which needs four or five */

/* The Legendre polynomial of degree n at x, by its recurrence, and its slope. */
static double legendre(size_t n, double x, double *slope) {
    double before = 1.0, value = x;
    for (size_t k = 2; k <= n; k++) {
        double next = ((double)(2 * k - 1) * x * value - (double)(k - 1) * before) / (double)k;
        before = value;
        value = next;
    }
    *slope = (double)n * (before - x * value) / ((1.0 - x) * (1.0 + x));
    return value;
}

/* The points are the roots; only those below the middle are sought, the others mirror them. */
void cf_gauss_legendre(size_t count, double *point, double *weight) {
    for (size_t i = 0; i < (count + 1) / 2; i++) {
        double x = -cos(pi * ((double)i + 0.75) / ((double)count + 0.5)), slope;
        if (2 * i + 1 == count)
            x = 0.0;
        for (int k = 0; k < STEPS; k++) {
            double value = legendre(count, x, &slope);
            x -= value / slope;
        }
        legendre(count, x, &slope);
        point[i] = 0.5 + 0.5 * x;
        point[count - 1 - i] = 0.5 - 0.5 * x;
        weight[i] = weight[count - 1 - i] = 1.0 / ((1.0 - x) * (1.0 + x) * slope * slope);
    }
}

void cf_clenshaw_curtis(size_t count, double *point, double *weight) {
    double intervals = (double)(count - 1);
    for (size_t i = 0; i < count; i++) {
        double angle = pi * (double)i / intervals, sum = 1.0;
        for (size_t j = 1; 2 * j <= count - 1; j++) {
            double once = 2 * j == count - 1 ? 1.0 : 2.0;
            sum -= once * cos(2.0 * (double)j * angle) / (4.0 * (double)(j * j) - 1.0);
        }
        point[i] = 0.5 - 0.5 * cos(angle);
        weight[i] = (i == 0 || i == count - 1 ? 0.5 : 1.0) * sum / intervals;
    }
}
