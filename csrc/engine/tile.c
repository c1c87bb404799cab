#include "engine/tile.h"

/* Measured on x86-64 with AVX-512; see benchmarks/README.md. A tile's arena should stay in the
 * second-level cache, and a program that reads and writes gradients as large as that cache needs
 * many rows a pass to hide it. */
enum {
    CACHE_BYTES = 1 << 20,
    FEW_ROWS = 48,
    GROUP_ROWS =
        128, /* fewer, and adding the groups up takes more than a few percent of the time */
    MAX_GROUPS = 16,
};

static size_t reduction_elements(const cf_program *program) {
    size_t elements = 0;
    for (size_t i = 0; i < program->phase_count; i++)
        elements += program->phases[i].accumulators;
    return elements;
}

static size_t choose_lanes(const cf_program *program, size_t rows, cf_dtype dtype) {
    if (rows <= FEW_ROWS)
        return 16;
    size_t reductions = reduction_elements(program) * cf_dtype_size(dtype);
    size_t lanes = 64;
    if (reductions > 0 && rows >= 256)
        lanes = reductions > CACHE_BYTES ? 256 : 128;
    return lanes;
}

cf_tiling cf_tile(const cf_program *program, size_t rows, cf_dtype dtype) {
    cf_tiling t = {.lanes = choose_lanes(program, rows, dtype)};
    t.tiles = (rows + t.lanes - 1) / t.lanes;
    size_t group_rows = t.lanes > GROUP_ROWS ? t.lanes : GROUP_ROWS;
    t.groups = (rows + group_rows - 1) / group_rows;
    if (t.groups > MAX_GROUPS)
        t.groups = MAX_GROUPS;
    return t;
}
