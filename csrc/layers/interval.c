#include "layers/interval.h"

#include <math.h>

#include "ops/ops.h"

cf_status cf_interval_check(const cf_spec *spec) {
    double low = cf_spec_real(spec, "low"), high = cf_spec_real(spec, "high");
    if (!(low < high && isfinite(high - low)))
        return cf_fail(CF_INVALID, "%s: low must be below high, both finite, got %g and %g",
                       cf_spec_type_of(spec)->name, low, high);
    return CF_OK;
}

cf_value cf_wrap_to_interval(cf_builder *b, const cf_spec *spec, cf_value x) {
    return cf_wrap(b, x, cf_spec_real(spec, "low"), cf_spec_real(spec, "high"));
}
