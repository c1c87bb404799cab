/* The plan: a program made ready to run. It is immutable, common to all callers, and knows nothing
 * of dtype, tile size or threads.
 *
 * A run is a sequence of phases. Before the tiles of a phase come its unbatched steps; each thread
 * runs the phase's invariant steps (values that are the same in every tile) once, and its tile
 * steps for every tile; then the phase's reductions are complete. What a later phase needs of an
 * earlier one's values is loaded again if it is an input, else kept in a buffer of all samples. The
 * last phase may have unbatched steps only.
 */
#ifndef CF_ENGINE_PLAN_H
#define CF_ENGINE_PLAN_H

#include "base/arena.h"
#include "engine/program.h"

typedef enum {
    CF_SPACE_TILE,       /* feature rows of a slice, of `lanes` elements each */
    CF_SPACE_PARAMETERS, /* the parameter slab; numbers count elements, as in the next two */
    CF_SPACE_UNBATCHED,  /* unbatched values of this run */
    CF_SPACE_GRADIENT,   /* the gradient slab */
    CF_SPACE_STATISTIC,  /* the slab of statistics */
    CF_SPACES
} cf_space;

/* Where an operand lies: the numbers of its feature rows, or for an unbatched value its first
 * element, behind which the others lie as the op arranged. */
typedef struct {
    cf_space space;
    uint32_t size;
    uint32_t first;
    int32_t stride;               /* further elements an iteration of the loop: blocks of a stack */
    const uint32_t *feature_rows; /* NULL for an unbatched operand */
} cf_operand;

/* A chunk of features that an elementwise op handles in one call: contiguous in the output and in
 * each operand. */
typedef struct {
    uint32_t count, out;
    uint32_t in[CF_MAX_OPERANDS];
    uint8_t space[CF_MAX_OPERANDS];
} cf_span;

typedef enum {
    CF_STEP_RUN,
    CF_STEP_SAVE,
    CF_STEP_RESTORE,
    CF_STEP_LOOP,     /* the following `inner` steps are its body and its end */
    CF_STEP_LOOP_END, /* after each iteration: `loop`'s states become the next ones */
} cf_action;

typedef struct cf_step {
    cf_action action;
    const cf_node *node;
    cf_space out_space;
    uint32_t out, out_size;
    uint32_t accumulator; /* reductions: where in a group's accumulators */
    uint32_t buffer; /* save, restore: feature row of the buffer of what is live across phases */
    uint32_t inner;  /* loops: how many of the following steps are theirs */
    uint32_t iterations; /* loops: at most so many */
    bool records;        /* loops: whether `tape` is the first feature row of the states it keeps */
    uint32_t tape;
    uint32_t blocks; /* reductions: so many results, one an iteration, the last one first; or 0 */
    cf_operand operand[CF_MAX_OPERANDS];
    size_t spans;
    const cf_span *span; /* elementwise ops */
    bool contiguous;     /* every batched operand is a run of neighbouring feature rows */
    const struct cf_step *epilogue; /* an elementwise step done by this step's kernel, or NULL */
} cf_step;

typedef struct {
    const cf_step *steps;
    size_t count;
} cf_steps;

typedef struct {
    cf_steps unbatched, invariant, tile;
    uint32_t accumulators; /* elements of one group's accumulators */
} cf_phase;

typedef struct cf_program {
    cf_arena arena; /* owns all that follows */
    const cf_phase *phases;
    size_t phase_count;
    uint32_t feature_rows, unbatched_elements, buffer_feature_rows;
    bool lanes_alike; /* lanes beyond the last sample repeat it exactly */
    bool pixels;      /* has ops that fill vectors from pixels */
    struct cf_range {
        uint32_t first, end;
    } * gradient_gaps; /* elements of the gradient slab that the program does not write */
    size_t gradient_gap_count;
} cf_program;

/* Plans the program built in b, whose nodes and their parameters the plan copies; b is only read.
 * `gradient_size` is the size of the gradient slab, 0 for a program without parameter gradients. */
cf_status cf_program_new(cf_program **out, const cf_builder *b, size_t gradient_size);
void cf_program_free(cf_program *program);

#endif
