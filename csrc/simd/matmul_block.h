/* The register block of the matrix kernels: sums of `rows` x `vectors` vectors, which stay in
 * registers while products are added. Included by instantiated bodies; the numbers of rows and of
 * vectors are constants where the function is inlined. */

/* A full block of sums, its columns and one factor take 29 of 32 registers, or 15 of 16. */
#undef BLOCK_VECTORS
#if defined(CF_ON_AVX512) || defined(__aarch64__)
#define BLOCK_VECTORS 4
#else
#define BLOCK_VECTORS 2
#endif

#ifndef BLOCK_ROWS

/* The most rows of a block. Two multiply-adds a cycle, each done after four, need eight sums. */
#define BLOCK_ROWS(vectors) ((vectors) == BLOCK_VECTORS ? 6 : (vectors) == 1 ? 8 : 4)
#define MAX_BLOCK_ROWS 8

#define block_sums CF_FN(cf_block_sums)

/* Does run(n), n being `rows` as a constant, for rows from 1 to BLOCK_ROWS(vectors). */
#define WITH_BLOCK_ROWS(rows, vectors, run)                                                        \
    switch (rows) {                                                                                \
    case 1:                                                                                        \
        run(1);                                                                                    \
        break;                                                                                     \
    case 2:                                                                                        \
        run(2);                                                                                    \
        break;                                                                                     \
    case 3:                                                                                        \
        run(3);                                                                                    \
        break;                                                                                     \
    case 4:                                                                                        \
        run(4);                                                                                    \
        break;                                                                                     \
    case 5:                                                                                        \
        if (BLOCK_ROWS(vectors) >= 5)                                                              \
            run(5);                                                                                \
        break;                                                                                     \
    case 6:                                                                                        \
        if (BLOCK_ROWS(vectors) >= 6)                                                              \
            run(6);                                                                                \
        break;                                                                                     \
    case 7:                                                                                        \
        if (BLOCK_ROWS(vectors) >= 7)                                                              \
            run(7);                                                                                \
        break;                                                                                     \
    case 8:                                                                                        \
        if (BLOCK_ROWS(vectors) >= 8)                                                              \
            run(8);                                                                                \
        break;                                                                                     \
    }

/* How `count` rows > 0 are cut into blocks as high as possible and of nearly one height: the first
 * `taller` rows into blocks of height + 1, the others into blocks of `height`. */
typedef struct {
    size_t height, taller;
} block_heights;

static inline block_heights cut_rows(size_t count, size_t max) {
    size_t blocks = (count + max - 1) / max, height = count / blocks;
    return (block_heights){height, count % blocks * (height + 1)};
}

#endif

/* The first `count` lanes, from 1 to VL. */
CF_INLINE vreal CF_FN(load_count)(const real *p, size_t count) {
    return count < VL ? v_load_n(p, count) : v_load(p);
}

CF_INLINE void CF_FN(store_count)(real *p, vreal a, size_t count) {
    if (count < VL)
        v_store_n(p, a, count);
    else
        v_store(p, a);
}

/* Asks for the cache line at base[offset], which may lie beyond the array. */
CF_INLINE void CF_FN(prefetch)(const real *base, size_t offset) {
    __builtin_prefetch((const void *)((uintptr_t)base + offset * sizeof(real)));
}

typedef vreal block_sums[MAX_BLOCK_ROWS][BLOCK_VECTORS];

/* sum[i][j] += factor[i][at] * (vector j of column). */
CF_INLINE void CF_FN(add_products)(const int rows, const int vectors, block_sums sum,
                                   const real *const *factor, size_t at, const real *column) {
    vreal c[BLOCK_VECTORS];
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++)
        c[j] = v_load(column + j * (int)VL);
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        vreal f = v_set1(factor[i][at]);
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++)
            sum[i][j] = v_fma(f, c[j], sum[i][j]);
    }
}
