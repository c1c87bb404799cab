/* Loops: a program over the tile that is repeated, each sample by its own count.
 *
 * A loop has states, batched values with feature rows of their own. In each iteration the body
 * computes from them the next states and whether the sample goes on. A sample that stops keeps its
 * states while others go on, so that its result depends on nothing but itself: the same bits in any
 * batch, for any split of the samples, on any threads.
 *
 * The body is a callback that emits ops. What it emits runs inside the loop only as far as it
 * depends on the states; the rest (work on parameters, on outer values, random numbers) runs once,
 * before the loop. It may read any value that was there before. What it emits may be read inside
 * the loop alone; what is to be read afterwards is a state. Bodies may hold loops.
 */
#ifndef CF_ENGINE_LOOP_H
#define CF_ENGINE_LOOP_H

#include "engine/program.h"

/* Emits one iteration: sets next[i], of the size of state[i], and *goes_on, one feature: the sample
 * makes another iteration where it is above 0, has finished where it is not, and has failed where
 * it is NaN. A loop without a condition leaves *goes_on alone. Gradient rules call it again later,
 * with other states: it must emit the same formula then, and `context` lives with the builder. */
typedef void (*cf_loop_body)(cf_builder *b, const void *context, const cf_value *state,
                             cf_value *next, cf_value *goes_on);

typedef struct cf_walk cf_walk;
typedef struct cf_loop cf_loop;

/* The gradient of a loop: given the final states and their cotangents (CF_NO_VALUE: zero), emits
 * the cotangents of what the loop has read and of `initial`, and hands them to the walk. Where it
 * needs the body, it emits it anew at the final states. */
typedef void (*cf_loop_rule)(cf_walk *walk, cf_builder *b, const cf_loop *loop,
                             const cf_value *final, const cf_value *dfinal);

/* What the loop was given, as copied into the builder. */
const void *cf_loop_context(const cf_loop *loop);

/* Adds a cotangent, or CF_NO_VALUE for zero, to what `value`, an earlier one, has. */
void cf_walk_accumulate(cf_walk *walk, cf_value value, cf_value cotangent);

/* Differentiates what was emitted last, nodes [first, end), that compute `output` from earlier
 * values: gives these their cotangents. */
void cf_walk_through(cf_walk *walk, size_t first, size_t end, size_t outputs,
                     const cf_value *output, const cf_value *cotangent);

enum { CF_MAX_STATES = 32 };

typedef struct {
    size_t states;
    const cf_value *initial; /* batched values */
    cf_loop_body body;
    const void *context; /* context_size bytes, copied into the builder */
    size_t context_size;
    uint32_t max_iterations; /* at least 1; a loop without a condition makes all of them */
    cf_loop_rule gradient;   /* NULL: differentiating the loop is an error */
} cf_while_spec;

/* The results of a loop. A sample has failed if it would have gone on after max_iterations, or if
 * its condition was NaN: its states are NaN then. */
typedef struct {
    cf_value failed;     /* one feature: 1 where the sample has failed, else 0; no gradient */
    cf_value iterations; /* one feature: how many the sample has made; no gradient */
} cf_while_report;

/* The loop: final[i] is state i after the last iteration. The first iteration is always made.
 * `report` may be NULL. */
void cf_while(cf_builder *b, const cf_while_spec *spec, cf_value *final, cf_while_report *report);

/* In the body of a loop of at most `blocks` iterations: the present iteration's block of an
 * unbatched value that consists of as many equal blocks. In this way a body reads the weights
 * [layers, ...] of layers of one kind, and is built and planned once for all of them. A block is
 * read as it is: what transforms it must transform the whole stack before the loop. */
cf_value cf_stack_block(cf_builder *b, cf_value stack, size_t blocks);

/* A rule: backwards through the recorded steps. The states of all iterations are kept in the tile's
 * memory, max_iterations of them, and each iteration is emitted anew at its own states. It can't be
 * differentiated again. Gradients of stacks need a loop without a condition, of as many iterations
 * as blocks. */
void cf_recorded_steps(cf_walk *walk, cf_builder *b, const cf_loop *loop, const cf_value *final,
                       const cf_value *dfinal);

/* A rule for loops that only search for a number, whose gradient the loop's user states otherwise:
 * nothing that the loop has read gets a cotangent. */
void cf_no_cotangents(cf_walk *walk, cf_builder *b, const cf_loop *loop, const cf_value *final,
                      const cf_value *dfinal);

#endif
