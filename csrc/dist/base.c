#include "dist/base.h"

cf_status cf_base_bind(cf_base *out, cf_spec *spec, cf_binding *binding, size_t features,
                       size_t context) {
    *out = (cf_base){.spec = spec, .features = features, .context = context};
    return cf_base_methods_of(out)->bind(out, binding);
}

bool cf_base_restricts(const cf_base *base) {
    (void)base;
    return true;
}
