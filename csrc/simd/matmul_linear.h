/* The parts of cf_linear that have files of their own. Included by the bodies that define and call
 * them. */

/* Where every lane holds the same sample. Whether it did the work; too small a matrix is left to
 * the panels. */
bool CF_FN(cf_linear_one_sample)(const cf_linear_args *a);

/* The full panels of lanes where weights are contiguous in the outputs. */
void CF_FN(cf_linear_by_output)(const cf_linear_args *a);

#ifdef CF_ON_AVX512
/* The lanes from `lane` on, which are fewer than those of a full panel. */
void CF_FN(cf_linear_narrow)(const cf_linear_args *a, size_t lane);
#endif
