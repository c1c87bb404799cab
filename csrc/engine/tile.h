/* How samples are cut into tiles and tiles into groups: by the program, the dtype and the number of
 * samples alone, never by the threads. */
#ifndef CF_ENGINE_TILE_H
#define CF_ENGINE_TILE_H

#include "engine/plan.h"

enum { CF_MAX_LANES = 64 };

/* A tile is kept in slices: in each, a feature is `lanes` contiguous samples. A tile of long
 * features instead would lie in the first-level cache badly, since kernels work on some lanes of
 * many features and these would be a power of two apart. */
typedef struct {
    size_t lanes;  /* samples in a slice: 16 (few samples, images) or 64 */
    size_t slices; /* in a tile: 1, 2 or 4 */
    size_t tiles;
    size_t groups; /* of tiles whose reductions are added up together */
} cf_tiling;

cf_tiling cf_tile(const cf_program *program, size_t samples, cf_dtype dtype);

#endif
