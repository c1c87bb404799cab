/* How rows are cut into tiles and tiles into groups: by the program, the dtype and the rows alone,
 * never by the threads. */
#ifndef CF_ENGINE_TILE_H
#define CF_ENGINE_TILE_H

#include "engine/plan.h"

typedef struct {
    size_t lanes; /* samples in a tile: 16, 64, 128 or 256 */
    size_t tiles;
    size_t groups; /* of tiles whose reductions are added up together */
} cf_tiling;

cf_tiling cf_tile(const cf_program *program, size_t rows, cf_dtype dtype);

#endif
