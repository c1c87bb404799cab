#include "layers/moments.h"

#include "ops/ops.h"

cf_moments cf_moments_of(cf_builder *b, cf_value x) {
    cf_value rows = cf_row_count(b);
    cf_moments m = {.mean = cf_divide(b, cf_sum_rows(b, x), rows)};
    m.centred = cf_subtract(b, x, m.mean);
    m.variance = cf_divide(b, cf_sum_rows(b, cf_multiply(b, m.centred, m.centred)), rows);
    return m;
}
