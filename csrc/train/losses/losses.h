/* The losses of flows. A loss is a function with inputs x and, if the flow has one, context, and
 * one output, loss: a number a sample; it may have a second, penalty, a number a sample that
 * training minimises beside the loss, and that nothing else does. A loss reads x, and the context,
 * if both have one, of the flow's sizes. To add one, write a file with its cf_loss and list it in
 * losses.c.
 */
#ifndef CF_TRAIN_LOSSES_LOSSES_H
#define CF_TRAIN_LOSSES_LOSSES_H

#include "flow/flow.h"

typedef struct {
    const char *name;
    cf_status (*check)(const cf_flow *flow); /* fails unless the flow has it; NULL: all have */
    /* Adds the function of that name to the flow's model. */
    cf_status (*add)(const cf_flow *flow);
} cf_loss;

/* All losses, ending in NULL. */
extern const cf_loss *const cf_losses[];

/* The loss called `name` of a model: a function that was added to it or, if `flow` is not NULL, one
 * of the list, added when first asked for. CF_INVALID if there is none. */
cf_status cf_find_loss(const cf_model *model, const cf_flow *flow, const char *name,
                       const cf_function **out);

/* The mean of the losses of so many rows, sum(c l): their cotangents c are the rows' weights over
 * the sum of these or, of a minibatch, over the sum that is expected. */
double cf_mean_loss(const double *cotangents, const void *losses, size_t rows, cf_dtype dtype);

/* Whether the loss has a penalty. Of a call that computes the gradient of the loss: has it compute
 * that of the penalty too, which is stored in `penalties`, with the same cotangents. */
bool cf_loss_has_penalty(const cf_function *loss);
void cf_call_set_penalty(cf_function_call *call, void *penalties, const double *cotangents);

/* Adds those of the list that the flow has: no other function may have one of their names. */
cf_status cf_add_losses(const cf_flow *flow);

#endif
