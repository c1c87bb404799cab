#include "engine/tile.h"

/* Measured on x86-64 with AVX-512; see benchmarks/README.md. A tile's memory should stay in the
 * second-level cache, and a program that reads and writes gradients as large as that cache needs
 * many samples a pass to hide it. An image is an expensive sample, and its pixels fill vectors in
 * place of samples. */
enum {
    CACHE_BYTES = 1 << 20,
    FEW_SAMPLES = 48,
    GROUP_SAMPLES = 128, /* fewer, and adding the groups up takes more than a few percent */
    MAX_GROUPS = 16,
    GROUP_BYTES = 1 << 28, /* of the reductions of all groups together */
};

static size_t reduction_bytes(const cf_program *program, cf_dtype dtype) {
    size_t elements = 0;
    for (size_t i = 0; i < program->phase_count; i++)
        elements += program->phases[i].accumulators;
    return elements * cf_dtype_size(dtype);
}

static size_t max_groups(const cf_program *program, cf_dtype dtype) {
    size_t bytes = reduction_bytes(program, dtype);
    size_t groups = bytes > 0 ? GROUP_BYTES / bytes : MAX_GROUPS;
    return groups < 1 ? 1 : groups > MAX_GROUPS ? MAX_GROUPS : groups;
}

static size_t choose_slices(const cf_program *program, size_t samples, cf_dtype dtype) {
    size_t reductions = reduction_bytes(program, dtype);
    if (reductions == 0 || samples < 256 || program->pixels)
        return 1;
    return reductions > CACHE_BYTES ? 4 : 2;
}

cf_tiling cf_tile(const cf_program *program, size_t samples, cf_dtype dtype) {
    cf_tiling t = {.lanes = samples <= FEW_SAMPLES || program->pixels ? 16 : CF_MAX_LANES,
                   .slices = choose_slices(program, samples, dtype)};
    size_t tile_samples = t.lanes * t.slices;
    t.tiles = (samples + tile_samples - 1) / tile_samples;
    size_t group_samples =
        tile_samples > GROUP_SAMPLES || program->pixels ? tile_samples : GROUP_SAMPLES;
    t.groups = (samples + group_samples - 1) / group_samples;
    size_t max = max_groups(program, dtype);
    if (t.groups > max)
        t.groups = max;
    return t;
}
