/* Targets of fit_target, as a user's library has them. */
#include <stddef.h>

/* What Python alone calls has no header. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

/* A normal density of standard deviation data[0] around the context, or around 0. */
int normal_target(size_t rows, size_t features, const double *x, size_t context_features,
                  const double *context, double *log_density, double *gradient, void *data) {
    const double *scale = data;
    if (context != NULL && context_features != features)
        return 7;
    for (size_t i = 0; i < rows; i++) {
        log_density[i] = 0.0;
        for (size_t f = 0; f < features; f++) {
            size_t k = i * features + f;
            double z = (x[k] - (context != NULL ? context[k] : 0.0)) / scale[0];
            log_density[i] -= 0.5 * z * z;
            gradient[k] = -z / scale[0];
        }
    }
    return 0;
}
