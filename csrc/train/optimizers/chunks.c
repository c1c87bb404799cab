#ifndef CF_FN

#include "train/optimizers/chunks.h"

#include "base/memory.h"

#define CF_BODY "train/optimizers/chunks.c"

typedef double (*square_kernel)(const void *numbers, size_t n);
typedef bool (*finite_kernel)(const void *values, size_t n);

#include "simd/instantiate.h"

static const finite_kernel finite_kernels[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(all_finite);
static const square_kernel square_kernels[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(sum_of_squares);

enum { CHUNK = 16384 };

typedef bool (*tensor_test)(const cf_tensor *tensor);

static bool is_cut(const cf_tensor *tensor, tensor_test left_out) {
    return !tensor->frozen && (left_out == NULL || !left_out(tensor));
}

/* Counts the chunks, and writes them if `out` is not NULL. */
static size_t cut(const cf_slab_table *table, tensor_test left_out, cf_chunk *out) {
    size_t count = 0;
    for (size_t i = 0; i < table->count;) {
        if (!is_cut(&table->tensors[i], left_out)) {
            i++;
            continue;
        }
        size_t first = table->tensors[i].offset, end = first;
        for (; i < table->count && is_cut(&table->tensors[i], left_out); i++)
            end = table->tensors[i].offset + table->tensors[i].size;
        for (; first < end; first += CHUNK, count++)
            if (out != NULL)
                out[count] = (cf_chunk){first, end - first < CHUNK ? end - first : CHUNK};
    }
    return count;
}

cf_status cf_chunks_new(cf_chunks *out, const cf_slab_table *table, tensor_test left_out) {
    *out = (cf_chunks){.count = cut(table, left_out, NULL)};
    CF_TRY(cf_alloc(&out->chunks, out->count, sizeof *out->chunks));
    cut(table, left_out, out->chunks);
    return CF_OK;
}

void cf_chunks_free(cf_chunks *chunks) {
    cf_free(chunks->chunks);
    *chunks = (cf_chunks){0};
}

double cf_sum_of_squares(const void *numbers, size_t n, cf_dtype dtype) {
    return square_kernels[cf_simd()][dtype](numbers, n);
}

bool cf_all_finite(const void *values, size_t n, cf_dtype dtype) {
    return finite_kernels[cf_simd()][dtype](values, n);
}

#else

/* Zero times a number is zero, but NaN if that is infinite or NaN. */
static bool CF_FN(all_finite)(const void *values, size_t n) {
    const real *x = values;
    vreal zero = v_set1(0);
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        zero = v_fma(v_load(x + i), v_set1(0), zero);
    if (i < n)
        zero = v_fma(v_load_n(x + i, n - i), v_set1(0), zero);
    return v_sum(zero) == 0;
}

static double CF_FN(sum_of_squares)(const void *numbers, size_t n) {
    enum { BLOCK = 1024 };
    const real *g = numbers;
    double sum = 0.0;
    for (size_t first = 0; first < n; first += BLOCK) {
        size_t end = n - first < BLOCK ? n : first + BLOCK, i = first;
        vreal squares = v_set1(0);
        for (; i + VL <= end; i += VL) {
            vreal x = v_load(g + i);
            squares = v_fma(x, x, squares);
        }
        if (i < end) {
            vreal x = v_load_n(g + i, end - i);
            squares = v_fma(x, x, squares);
        }
        sum += (double)v_sum(squares);
    }
    return sum;
}

#endif
