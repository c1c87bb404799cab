#include "nn/categories.h"

enum { MAX_CATEGORIES = 1024 }; /* float32 tells their shares of [0, 1) apart */

size_t cf_categories_of(const cf_spec *spec, size_t column) {
    const cf_setting *counts = spec == NULL ? NULL : cf_spec_get(spec, "categories");
    return counts == NULL || column >= counts->count ? 1 : (size_t)counts->integers[column];
}

cf_status cf_categories_check(const cf_spec *spec, bool *any) {
    const cf_setting *counts = cf_spec_get(spec, "categories");
    *any = false;
    for (size_t i = 0; i < counts->count; i++) {
        int64_t count = counts->integers[i];
        if (count < 1 || count > MAX_CATEGORIES)
            return cf_fail(CF_INVALID, "%s: categories must be from 1 to %d, got %lld at %zu",
                           cf_spec_type_of(spec)->name, MAX_CATEGORIES, (long long)count, i);
        *any |= count > 1;
    }
    return CF_OK;
}
