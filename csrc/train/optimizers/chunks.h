/* Chunks: how the slab is cut into units of work, whatever the number of threads. */
#ifndef CF_TRAIN_OPTIMIZERS_CHUNKS_H
#define CF_TRAIN_OPTIMIZERS_CHUNKS_H

#include "model/binding.h"
#include "simd/simd.h"

typedef struct {
    size_t first, count; /* elements of the slab */
} cf_chunk;

typedef struct {
    cf_chunk *chunks;
    size_t count;
} cf_chunks;

/* Cuts the trainable tensors, neighbours joined, without those that `left_out`, unless NULL, is
 * true of. */
cf_status cf_chunks_new(cf_chunks *out, const cf_slab_table *table,
                        bool (*left_out)(const cf_tensor *tensor));
void cf_chunks_free(cf_chunks *chunks);

/* The sum of the squares of n numbers: in blocks in the dtype itself, which are added up in
 * float64. */
double cf_sum_of_squares(const void *numbers, size_t n, cf_dtype dtype);

/* Whether none is infinite or NaN. */
bool cf_all_finite(const void *values, size_t n, cf_dtype dtype);

#endif
