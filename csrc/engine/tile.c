#include "engine/tile.h"

/* Measured on x86-64 with AVX-512; see benchmarks/README.md. A tile's arena should stay in the
 * second-level cache, and a program that reads and writes gradients as large as that cache needs
 * many rows a pass to hide it. Images have rows that are dear, and pixels that take their place. */
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

static size_t choose_slices(const cf_program *program, size_t rows, cf_dtype dtype) {
    size_t reductions = reduction_bytes(program, dtype);
    if (reductions == 0 || rows < 256 || program->pixels)
        return 1;
    return reductions > CACHE_BYTES ? 4 : 2;
}

cf_tiling cf_tile(const cf_program *program, size_t rows, cf_dtype dtype) {
    cf_tiling t = {.lanes = rows <= FEW_ROWS || program->pixels ? 16 : CF_MAX_LANES,
                   .slices = choose_slices(program, rows, dtype)};
    size_t tile_rows = t.lanes * t.slices;
    t.tiles = (rows + tile_rows - 1) / tile_rows;
    size_t group_rows = tile_rows > GROUP_ROWS || program->pixels ? tile_rows : GROUP_ROWS;
    t.groups = (rows + group_rows - 1) / group_rows;
    size_t most = most_groups(program, dtype);
    if (t.groups > most)
        t.groups = most;
    return t;
}
