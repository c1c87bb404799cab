#include "dist/gamma_samples.h"

#include <math.h>

#include "dist/exponential.h"
#include "ops/root.h"
#include "ops/special.h"

/* Where the areas below the density of y = log(x / shape), of shapes from 1 on, end. */
static const double LOWEST = -60.0, HIGHEST = 6.0;

typedef struct {
    cf_value shape, all; /* all: the area below all of the density */
} distribution;

/* The share of the area that lies between 0 and y. */
static void share_to(cf_builder *b, const void *context, cf_value y, cf_value unfinished,
                     cf_value *value, cf_value *slope) {
    const distribution *d = context;
    (void)unfinished;
    *value = cf_divide(b, cf_area(b, CF_AREA_GAMMA, 0, d->shape, y), d->all);
    *slope = cf_divide(b, cf_area_density(b, CF_AREA_GAMMA, 0, d->shape, y), d->all);
}

/* A number of shape a is one of shape a + 1 times u^(1 / a), u uniform on (0, 1]: the latter's
 * logarithm is -exponential / a, and the former's has a density like that of a normal, whose
 * quantile is sought. */
cf_value cf_log_gamma_samples(cf_builder *b, size_t features, cf_value shape, uint32_t stream) {
    cf_value more = cf_scale_shift(b, shape, 1.0, 1.0);
    cf_value low = cf_constant(b, CF_UNBATCHED, 1, LOWEST);
    cf_value high = cf_constant(b, CF_UNBATCHED, 1, HIGHEST);
    cf_value below = cf_area(b, CF_AREA_GAMMA, 0, more, low);
    cf_value above = cf_area(b, CF_AREA_GAMMA, 0, more, high);
    cf_value share = cf_random_uniform_samples(b, features, stream);
    distribution d = {more, cf_subtract(b, above, below)};
    cf_root_spec root = {
        .function = share_to,
        .context = &d,
        .context_size = sizeof d,
        .target = cf_add(b, share, cf_divide(b, below, d.all)),
        .low = low,
        .high = high,
        .start = cf_constant(b, CF_UNBATCHED, 1, 0.0),
        .noise = 2.0,
    };
    cf_value y = cf_add(b, cf_root(b, &root, NULL), cf_log(b, more));
    cf_value rest = cf_divide(b, cf_exponential_samples(b, features, stream + 1), shape);
    return cf_subtract(b, y, rest);
}
