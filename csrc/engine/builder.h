/* The builder's insides, for the gradient transformation and the planner. */
#ifndef CF_ENGINE_BUILDER_H
#define CF_ENGINE_BUILDER_H

#include "engine/program.h"

typedef struct {
    cf_kind kind;
    size_t size, first_segment, segment_count;
} cf_view;

/* A shared node whose result goes to the gradient slab. */
typedef struct {
    size_t node, offset;
} cf_gradient_output;

struct cf_builder {
    cf_status status;
    cf_mode mode;
    bool of_means;
    uint32_t first_stream, streams; /* given out: so many from the first on */
    cf_view *views;                 /* ids are indices; 0 is "none" */
    size_t view_count, view_capacity;
    cf_segment *segments;
    size_t segment_count, segment_capacity;
    cf_node *nodes; /* in an order in which they can be run; 0 is unused */
    size_t node_count, node_capacity;
    cf_gradient_output *gradients;
    size_t gradient_count, gradient_capacity;
};

#endif
