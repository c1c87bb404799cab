/* A model: named parameters, buffers and statistics in slabs, and named functions of them.
 *
 * Parameters lie in one slab of the model's dtype, gradients in another of the same layout; fixed
 * buffers are float64. Any number of threads may call functions of one model at once, as long as
 * none writes its parameters. While it is being trained, other calls fail with CF_BUSY.
 *
 * It is made in steps: cf_model_new; whoever makes it declares tensors through its binding;
 * cf_model_allocate gives them their first values; functions may be added at any time.
 */
#ifndef CF_MODEL_MODEL_H
#define CF_MODEL_MODEL_H

#include "model/binding.h"
#include "model/function.h"

typedef struct cf_model cf_model;

/* `max_parameters`, unless 0, is for descriptions that are not trusted: a slab of more elements is
 * CF_INVALID, before there is room for it. */
cf_status cf_model_new(cf_model **out, cf_dtype dtype, uint64_t seed, size_t max_parameters);
void cf_model_free(cf_model *model); /* NULL is accepted */

cf_binding *cf_model_binding(cf_model *model);
cf_status cf_model_allocate(cf_model *model);

/* Copies a function. What it refers to lives as long as the model, or in `arena`, which passes to
 * the model, even on failure; NULL: there is none. A name may be taken once (CF_INVALID). */
cf_status cf_model_add_function(cf_model *model, const cf_function *function, cf_arena *arena);

/* The function of that name, NULL if there is none; it stays where it is. */
const cf_function *cf_model_function(const cf_model *model, const char *name);

/* The function that was added before `later`, or last if that is NULL; NULL if there is none. */
const cf_function *cf_model_earlier_function(const cf_model *model, const cf_function *later);

/* Computes what the call wants. CF_BUSY while the model is locked; the second is for whoever has
 * locked it. Training programs write the model's statistics. */
cf_status cf_model_call(cf_model *model, const cf_function_call *call);
cf_status cf_model_call_locked(cf_model *model, const cf_function_call *call);

/* ---- what it has ---- */

cf_dtype cf_model_dtype(const cf_model *model);
uint64_t cf_model_seed(const cf_model *model);
const cf_slab_table *cf_model_parameter_table(const cf_model *model);
const cf_slab_table *cf_model_buffer_table(const cf_model *model);
void *cf_model_parameters(const cf_model *model);
void *cf_model_gradients(const cf_model *model);
double *cf_model_buffers(const cf_model *model);
size_t cf_model_parameter_bytes(const cf_model *model); /* of the slab */
size_t cf_model_buffer_bytes(const cf_model *model);

void cf_model_set_parameter(cf_model *model, size_t index, double value);

/* Copies `gradients`, of the slab's layout, into the model's own. */
cf_status cf_model_set_gradients(cf_model *model, const void *gradients);

/* Makes a consistent copy of the slabs; CF_BUSY while an epoch of training changes them. */
cf_status cf_model_read(const cf_model *model, void *parameters, double *buffers);

/* Copies the numbers and the frozen parameters of `from` to `to`, which differs in its dtype at
 * most; CF_BUSY as cf_model_read. */
cf_status cf_model_copy_numbers(cf_model *to, const cf_model *from);

/* Excludes parameters from gradients and training, or includes them again: those whose name matches
 * the pattern, in which * stands for any characters. *count = how many matched. */
cf_status cf_model_freeze(cf_model *model, const char *pattern, bool frozen, size_t *count);

/* frozen[i] = whether tensor i of the parameter table is frozen: a consistent copy. */
void cf_model_read_frozen(const cf_model *model, bool *frozen);

/* Mark the beginning, unless the model is locked (CF_BUSY), and the end of one caller's
 * computation. */
cf_status cf_model_enter(cf_model *model);
void cf_model_leave(cf_model *model);

/* ---- for trainers ---- */

/* While locked, calls fail with CF_BUSY. CF_BUSY if one is running. */
cf_status cf_model_lock(cf_model *model);
void cf_model_unlock(cf_model *model);

/* Says whether the parameters change from here on. */
void cf_model_set_changing(cf_model *model, bool changing);

/* Whether the parameter that begins at `offset` is trained, and has the values it started with. */
bool cf_model_is_as_started(const cf_model *model, size_t offset);

/* Data-dependent initialisation: whether there are parameters for it, none of which has been
 * changed yet; and setting them to the statistics that a CF_DATA_INITIALISATION program left. */
bool cf_model_awaits_initialisation(const cf_model *model);
void cf_model_initialise(cf_model *model);

/* Whether training programs compute running statistics, and whether any is one of the batch; and
 * mixing those that the last one left into the running ones. */
bool cf_model_has_running_statistics(const cf_model *model);
bool cf_model_has_batch_statistics(const cf_model *model);
void cf_model_mix_statistics(cf_model *model);

/* Sets the statistics that are to be mixed to the running ones, which programs without statistics
 * leave so. Calls in training begin with it. */
void cf_model_reset_statistics(cf_model *model);

/* Setting the running ones to those of many samples. `pooled` has cf_model_statistic_elements
 * numbers; to add to those of `before` samples in it the ones that the last training program left,
 * of `samples`; and to set the running ones, unless a number is not finite. */
size_t cf_model_statistic_elements(const cf_model *model);
void cf_model_pool_statistics(const cf_model *model, double *pooled, double before, double samples);
void cf_model_set_statistics(cf_model *model, const double *pooled);

#endif
