/* What the files of cf_outer_sum have in common. Included by their bodies. */

/* Row `row` of slice `slice`; `base` is x or dy. */
CF_INLINE const real *CF_FN(row_at)(const cf_outer_sum_args *a, const void *base, size_t slice,
                                    size_t row) {
    return (const real *)((const char *)base + slice * a->slice_bytes) +
           row * (a->step > 0 ? a->step : a->lanes);
}

/* The first output that any column from k on goes to. */
CF_INLINE size_t CF_FN(first_output)(const cf_outer_sum_args *a, size_t k) {
    return a->mask != NULL ? a->mask->first[k] : 0;
}

/* Columns from k to the last, by dot products along the lanes. */
void CF_FN(cf_outer_sum_dots)(const cf_outer_sum_args *a, size_t k);
