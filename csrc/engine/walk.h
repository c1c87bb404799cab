/* The insides of the gradient's walk, for the rules of loops. */
#ifndef CF_ENGINE_WALK_H
#define CF_ENGINE_WALK_H

#include "engine/builder.h"

/* Some features of a node's cotangent, to be added to the others. */
typedef struct cf_contribution {
    struct cf_contribution *next;
    cf_segment features;
    cf_value cotangent; /* features.count features */
} cf_contribution;

struct cf_walk {
    cf_builder *b;
    size_t nodes;                    /* that can get a cotangent: the primal program's, and what
                                        rules of loops have emitted to be differentiated */
    bool *depends;                   /* node depends on one of wrt */
    cf_contribution **contributions; /* by node */
    size_t depends_capacity, contributions_capacity;
    uint32_t inside; /* the loop in whose body all is emitted now, or 0 */
};

/* Lets nodes up to `end` get cotangents. */
void cf_walk_extend(cf_walk *walk, size_t end);

/* Marks which of the nodes [first, end) depend on what the gradient is taken with respect to. */
void cf_walk_mark(cf_walk *walk, size_t first, size_t end);

/* The whole cotangent of node n: CF_NO_VALUE if nothing was contributed. */
cf_value cf_walk_join(cf_walk *walk, size_t n);

/* Has the rule of node n, whose cotangent is dout, emit those of its operands. */
void cf_walk_propagate(cf_walk *walk, size_t n, cf_value dout);

/* Propagates nodes [first, end), the last one first. Inside of a loop, nodes that were hoisted out
 * of it keep what they have accumulated until the loop has ended. */
void cf_walk_back(cf_walk *walk, size_t first, size_t end);

#endif
