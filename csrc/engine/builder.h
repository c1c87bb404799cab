/* The builder's insides, for the gradient transformation and the planner. */
#ifndef CF_ENGINE_BUILDER_H
#define CF_ENGINE_BUILDER_H

#include "engine/program.h"

typedef struct {
    cf_kind kind;
    size_t size, first_segment, segment_count;
} cf_view;

/* A shared node whose result goes to the slab of gradients, or to that of statistics. */
typedef struct {
    size_t node, offset;
    bool statistic;
} cf_slab_output;

enum { CF_MAX_PROVIDED = 4 };

struct cf_builder {
    cf_status status;
    cf_mode mode;
    bool deterministic;
    uint32_t first_stream, streams; /* given out: so many from the first on */
    cf_view *views;                 /* ids are indices; 0 is "none" */
    size_t view_count, view_capacity;
    cf_segment *segments;
    size_t segment_count, segment_capacity;
    cf_node *nodes; /* in an order in which they can be run; 0 is unused */
    size_t node_count, node_capacity;
    cf_slab_output *slab_outputs;
    size_t slab_output_count, slab_output_capacity;
    struct {
        const char *name;
        cf_value value;
    } provided[CF_MAX_PROVIDED];
    size_t provided_count;
};

#endif
