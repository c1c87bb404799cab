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

void cf_row_reader_begin(cf_row_reader *r, const cf_call *call, int slot, size_t features) {
    r->array = &call->run->input[slot];
    r->features = features;
    r->lanes = call->lanes;
    cf_find_rows(call, r->array, r->rows);
}

double *cf_row_reader_next(cf_row_reader *r, size_t f) {
    size_t line = f % CF_LINE_FEATURES, rest = r->features - f;
    if (line == 0)
        cf_read_features(r->array, r->rows, f, rest < CF_LINE_FEATURES ? rest : CF_LINE_FEATURES,
                         r->lanes, r->stage);
    return r->stage + line * CF_MAX_LANES;
}

double cf_jitter_width(const cf_call *call, int slot, size_t f) {
    const cf_array *jitter = &call->run->input[slot];
    return cf_read_element((const char *)jitter->data + cf_feature_offset(jitter, f), jitter);
}
