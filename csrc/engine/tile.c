#include "engine/tile.h"

/* Measured on x86-64 with AVX-512; see benchmarks/README.md. A tile's arena should stay in the
 * second-level cache, and a program that reads and writes gradients as large as that cache needs
 * many rows a pass to hide it. */
enum {
    CACHE_BYTES = 1 << 20,
    FEW_ROWS = 48,
    GROUP_ROWS = 128, /* fewer, and adding the groups up takes more than a few percent */
    MAX_GROUPS = 16,
    GROUP_BYTES = 1 << 28, /* of the reductions of all groups together */
};

static size_t reduction_bytes(const cf_program *program, cf_dtype dtype) {
    size_t elements = 0;
    for (size_t i = 0; i < program->phase_count; i++)
        elements += program->phases[i].accumulators;
    return elements * cf_dtype_size(dtype);
}

static size_t most_groups(const cf_program *program, cf_dtype dtype) {
    size_t bytes = reduction_bytes(program, dtype);
    size_t groups = bytes > 0 ? GROUP_BYTES / bytes : MAX_GROUPS;
    return groups < 1 ? 1 : groups > MAX_GROUPS ? MAX_GROUPS : groups;
}

static size_t choose_lanes(const cf_program *program, size_t rows, cf_dtype dtype) {
    if (rows <= FEW_ROWS)
        return 16;
    size_t reductions = reduction_bytes(program, dtype);
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
    size_t most = most_groups(program, dtype);
    if (t.groups > most)
        t.groups = most;
    return t;
}
