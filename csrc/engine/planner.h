/* The planner's insides: what its files share.
 *
 *   plan.c           the stages below, in order
 *   plan_graph.c     which nodes are needed, and which pairs one step computes
 *   plan_phases.c    in which phase each node runs, and which values are live across phases
 *   plan_loops.c     what a loop's body reads lives until the loop's end
 *   plan_memory.c    where values lie: unbatched values, gradients, the memory of one tile
 *   plan_steps.c     the step of one node, whose output and operands have their offsets
 *   plan_schedule.c  the steps of one phase, in the order in which they run
 *
 * Nodes are named by their index in the builder; 0 is no node. The arena of the program owns what
 * outlives the planner.
 */
#ifndef CF_ENGINE_PLANNER_H
#define CF_ENGINE_PLANNER_H

#include "engine/builder.h"
#include "engine/layout.h"
#include "engine/plan.h"

#define CF_NO_BUFFER UINT32_MAX

/* What the planner knows of a node. All zero, with no buffer, until a stage says otherwise. */
typedef struct {
    /* cf_find_live_nodes */
    bool live;        /* an output needs it */
    uint32_t readers; /* operands that read it */
    /* cf_assign_phases */
    uint32_t phase; /* in which it runs */
    bool invariant; /* the same in every tile */
    /* cf_fuse_epilogues */
    uint32_t consumer; /* the elementwise node whose step runs this one as well, or 0 */
    uint32_t producer; /* the node whose kernel runs in this one's step, before it, or 0 */
    /* cf_find_live_in, of the phase asked for */
    bool live_in; /* it comes from an earlier phase */
    /* cf_place_live_across */
    uint32_t buffer; /* feature row of the buffer of what is live across phases, or CF_NO_BUFFER */
    /* Where it lies; offsets in the tile's memory hold while the steps of one phase are listed. */
    cf_space space;
    uint32_t offset;      /* first feature row or element */
    uint32_t accumulator; /* reductions: where in a group's accumulators */
    bool in_tile;         /* its feature rows are taken now, until they are released or reused */
    uint32_t last_use;    /* position of the last job that reads it */
} cf_node_state;

/* One entry of a phase's tile list, before it becomes a step. Between a loop's two jobs, of the
 * actions CF_STEP_LOOP and CF_STEP_LOOP_END, are those of its body. */
typedef struct {
    cf_action action;
    uint32_t node;
} cf_tile_job;

typedef struct {
    const cf_builder *b;
    cf_program *program;
    cf_node *nodes; /* the program's copy */
    size_t node_count;
    cf_node_state *state; /* by node */
    cf_tile_job *jobs;    /* the tile list of the phase in hand */
    size_t job_count, job_capacity;
    cf_layout layout;   /* of the tile's memory, in the phase in hand */
    uint32_t *loop_end; /* by loop: the position of its last job */
} cf_planner;

/* Whether the op of node n has one of `flags`. */
static inline bool cf_has_flag(const cf_planner *p, size_t n, unsigned flags) {
    return (p->nodes[n].op->flags & flags) != 0;
}

/* Unbatched values and accumulators begin at multiples of 16 elements: whole cache lines. */
static inline uint32_t cf_padded_elements(uint32_t elements) {
    return (elements + 15) / 16 * 16;
}

/* --- plan_graph.c --- */

/* The number of operands that the kernel of n reads, which are the first ones. */
size_t cf_read_operands(const cf_planner *p, size_t n);

typedef void (*cf_visit)(cf_planner *p, size_t n, void *data);

/* Calls visit(p, m, data) for each node m that the step of n reads, its producer's reads included,
 * once a segment. */
void cf_for_each_read(cf_planner *p, size_t n, cf_visit visit, void *data);

/* Sets `live` and `readers`. */
void cf_find_live_nodes(cf_planner *p);

/* Sets `consumer` and `producer`: pairs each elementwise node with an operand whose kernel can do
 * it in its epilogue, where nothing else reads that operand and both run in one phase. */
void cf_fuse_epilogues(cf_planner *p);

/* --- plan_phases.c --- */

/* Sets `phase` and `invariant`, the program's number of phases and whether its lanes are alike. */
void cf_assign_phases(cf_planner *p);

/* Whether n has an entry of its own in the tile list of the phase: values that differ from tile to
 * tile, and reductions; a producer runs in its consumer's step. Those of a loop's body run
 * there. */
bool cf_runs_in_tiles(const cf_planner *p, size_t n, uint32_t phase);

/* Sets `live_in` for the values of earlier phases that tiles of `phase` read, clears it for
 * others. */
void cf_find_live_in(cf_planner *p, uint32_t phase);

/* Sets `buffer` for every value that is live into any phase, except inputs, which are loaded again;
 * and the size of the buffer. Overwrites `live_in`. */
void cf_place_live_across(cf_planner *p);

/* --- plan_loops.c --- */

/* Whether the body of loop node n has a sum over samples that is live already. */
bool cf_is_needed_inside(const cf_planner *p, size_t n);

/* Moves what runs in the body of loop node n, and its states, to the phase of n. */
void cf_raise_loop(cf_planner *p, size_t n);

/* Calls visit for each node whose feature rows or elements a job reads. */
void cf_for_each_job_read(cf_planner *p, cf_tile_job job, cf_visit visit, void *data);

/* Sets `loop_end`, and `last_use` of every node that the jobs read: a later iteration reads again
 * what comes from outside of the loop, so that it is in use until the loop's end. */
void cf_find_last_uses(cf_planner *p);

/* The position of the first job of the loop whose last job is at `position`; of other jobs,
 * `position`. */
uint32_t cf_first_job(const cf_planner *p, uint32_t position);

/* --- plan_memory.c --- */

/* Sets `space` and `offset` of every unbatched node, and the number of unbatched elements. */
cf_status cf_place_unbatched_nodes(cf_planner *p);

/* Lists the elements of the gradient slab, of `gradient_size`, that no gradient output writes. */
cf_status cf_find_gradient_gaps(cf_planner *p, size_t gradient_size);

/* Begins a phase: no feature row is taken. */
void cf_clear_tile(cf_planner *p);

/* Takes feature rows for n that are not released in this phase. */
cf_status cf_place_invariant_node(cf_planner *p, size_t n);

/* Gives the output of node n, whose job is at `position`, its feature rows: those of an operand
 * that nothing reads later, where an elementwise op can work in place, or else free ones. */
cf_status cf_place_output(cf_planner *p, size_t n, uint32_t position);

/* Releases the feature rows whose last use is the job at `position`, a loop's end or another. */
cf_status cf_release_values(cf_planner *p, uint32_t position);

/* --- plan_steps.c --- */

/* *step = the step that runs n, with its producer if it has one. The output and the operands have
 * their offsets; the producer gets that of n. */
cf_status cf_fill_step(cf_planner *p, size_t n, cf_step *step);

/* --- plan_schedule.c --- */

/* Fills phase `number`, and grows the program's tiles to what the phase needs. */
cf_status cf_schedule_phase(cf_planner *p, uint32_t number, cf_phase *phase);

#endif
