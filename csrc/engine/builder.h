/* The builder's insides, for the gradient transformation and the planner. */
#ifndef CF_ENGINE_BUILDER_H
#define CF_ENGINE_BUILDER_H

#include "base/arena.h"
#include "engine/loop.h"

typedef struct {
    cf_kind kind;
    size_t size, first_segment, segment_count;
} cf_view;

/* An unbatched node whose result goes to the slab of gradients, or to that of statistics. */
typedef struct {
    size_t node, offset;
    bool statistic;
} cf_slab_output;

enum { CF_MAX_PROVIDED = 4 };

/* Nodes of the body lie between `first` and `node`, among those that run outside of it. */
struct cf_loop {
    cf_while_spec spec; /* with a copy of the context; its `initial` is the array below */
    cf_value initial[CF_MAX_STATES], state[CF_MAX_STATES];
    uint32_t number, parent; /* parent: the loop in whose body it is, or 0 */
    bool open;               /* its body is being emitted */
    size_t first, node;
    size_t features;  /* of all states */
    size_t tape;      /* the node that keeps the states of all iterations, or 0 */
    bool backwards;   /* iterations count blocks from the last to the first */
    bool accumulates; /* sums over samples in its body add up over iterations */
};

struct cf_builder {
    cf_status status;
    cf_mode mode;
    bool deterministic, without_log_det;
    uint32_t first_stream, streams; /* `streams` have been given out, from the first on */
    cf_view *views;                 /* ids are indices; 0 is "none" */
    size_t view_count, view_capacity;
    cf_segment *segments;
    size_t segment_count, segment_capacity;
    cf_node *nodes; /* in an order in which they can be run; 0 is unused */
    size_t node_count, node_capacity;
    cf_value *parameters; /* the nodes of ops with CF_OP_PARAMETER */
    size_t parameter_count, parameter_capacity;
    cf_slab_output *slab_outputs;
    size_t slab_output_count, slab_output_capacity;
    struct {
        const char *name;
        cf_value value;
    } provided[CF_MAX_PROVIDED];
    size_t provided_count;
    bool wants_penalty;
    cf_value penalty;
    cf_loop **loops; /* 0 is unused; NULL without loops */
    size_t loop_count, loop_capacity;
    uint32_t open_loop; /* the innermost whose body is being emitted, or 0 */
    cf_arena arena;     /* the loops, and what they keep */
};

/* Whether `inner` is the loop `outer` or lies in its body. */
static inline bool cf_loop_is_within(const cf_builder *b, uint32_t inner, uint32_t outer) {
    while (inner != outer && inner != 0)
        inner = b->loops[inner]->parent;
    return inner == outer;
}

/* The parameters of ops with CF_OP_LOOP. */
typedef struct {
    uint32_t number; /* in the builder */
} cf_loop_params;

/* The parameters of ops with CF_OP_BLOCK. */
typedef struct {
    size_t blocks;  /* in the stack */
    bool backwards; /* iterations count them from the last to the first */
} cf_block_params;

/* The loop of a node of an op with CF_OP_LOOP. */
static inline uint32_t cf_loop_of(const cf_node *node) {
    const cf_loop_params *p = node->params;
    return p->number;
}

/* Sets `loop` and `scope` of a node about to be added, from what it reads; false, with the
 * builder's status set, if that may not be read or done in the loop. Only called once there are
 * loops. */
bool cf_find_scope(cf_builder *b, cf_node *node);

/* The parts of cf_while. cf_open_loop begins with the spec's states and cf_add_state adds more;
 * what the body emits in between may read them. cf_close_loop takes the next states of all and
 * returns the loop's node, whose features are the final states, whether the sample failed, and its
 * iterations. *number is 0 after a failure; cf_close_loop must follow all the same. */
void cf_open_loop(cf_builder *b, const cf_while_spec *spec, uint32_t *number);
cf_value cf_add_state(cf_builder *b, uint32_t number, cf_value initial);
cf_value cf_close_loop(cf_builder *b, uint32_t number, const cf_value *next, cf_value goes_on);

#endif
