#include "ops/read_rows.h"

#include <string.h>

void cf_find_rows(const cf_call *call, const cf_array *array, const char *rows[CF_MAX_LANES]) {
    for (size_t lane = 0; lane < call->lanes; lane++) {
        size_t sample = call->sample + (lane < call->samples ? lane : call->samples - 1);
        rows[lane] = (const char *)array->data + cf_array_row(array, sample) * array->row_stride;
    }
}

static void read_row(const cf_array *array, const char *row, const ptrdiff_t *offset, size_t count,
                     double *out) {
    if (array->element == CF_DOUBLE && !array->swapped)
        for (size_t i = 0; i < count; i++)
            memcpy(&out[i * CF_MAX_LANES], row + offset[i], sizeof(double));
    else if (array->element == CF_FLOAT && !array->swapped)
        for (size_t i = 0; i < count; i++) {
            float v;
            memcpy(&v, row + offset[i], sizeof v);
            out[i * CF_MAX_LANES] = v;
        }
    else
        for (size_t i = 0; i < count; i++)
            out[i * CF_MAX_LANES] = cf_read_element(row + offset[i], array);
}

void cf_read_features(const cf_array *array, const char *const *rows, size_t first, size_t count,
                      size_t lanes, double *stage) {
    ptrdiff_t offset[CF_LINE_FEATURES];
    for (size_t i = 0; i < count; i++)
        offset[i] = cf_feature_offset(array, first + i);
    for (size_t lane = 0; lane < lanes; lane++)
        read_row(array, rows[lane], offset, count, stage + lane);
}

double cf_jitter_width(const cf_call *call, int slot, size_t f) {
    const cf_array *jitter = &call->run->input[slot];
    return cf_read_element((const char *)jitter->data + cf_feature_offset(jitter, f), jitter);
}
