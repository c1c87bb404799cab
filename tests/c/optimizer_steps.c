/* For test_optimizers.py: steps of an optimiser, and the factors of a schedule, on numbers that the
 * test gives. */
#include <stdlib.h>
#include <string.h>

#include "train/optimizers/optimizer.h"
#include "train/schedules/schedule.h"

/* Criteria need flows, which are not linked. */
#define CF_CRITERION_TYPE(name)
#include "train/registry.c"

/* What Python alone calls has no header. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

enum { MAX_TENSORS = 16, LINE = 16 };

typedef struct {
    cf_tensor tensors[MAX_TENSORS];
    cf_slab_table table;
    cf_optimizer *optimizer;
} harness;

harness *harness_new(void) {
    harness *h = calloc(1, sizeof *h);
    h->table.tensors = h->tensors;
    return h;
}

/* Returns the offset. The name and row_ends are kept by reference. */
size_t harness_add(harness *h, const char *name, size_t dims, const size_t *shape, bool frozen,
                   const uint32_t *row_ends) {
    cf_tensor *tensor = &h->tensors[h->table.count++];
    *tensor = (cf_tensor){.name = name, .dims = dims, .size = 1, .frozen = frozen};
    tensor->row_ends = row_ends;
    tensor->offset = (h->table.elements + LINE - 1) / LINE * LINE;
    for (size_t i = 0; i < dims; i++) {
        tensor->shape[i] = shape[i];
        tensor->size *= shape[i];
    }
    h->table.elements = tensor->offset + tensor->size;
    return tensor->offset;
}

static cf_status set(cf_spec *spec, const char *name, double number, const char *string) {
    const cf_spec_type *type = cf_spec_type_of(spec);
    for (size_t i = 0; i < type->option_count; i++) {
        if (strcmp(type->options[i].name, name) != 0)
            continue;
        if (type->options[i].kinds & CF_OPTION_STRING)
            return cf_spec_set_string(spec, name, string);
        if (type->options[i].kinds & CF_OPTION_BOOL)
            return cf_spec_set_bool(spec, name, number != 0.0);
        if (type->options[i].kinds & CF_OPTION_INT)
            return cf_spec_set_int(spec, name, (int64_t)number);
        return cf_spec_set_real(spec, name, number);
    }
    return cf_fail(CF_INVALID, "no option %s", name);
}

static cf_status new_spec(cf_spec **out, const char *name, size_t count, const char **names,
                          const double *numbers, const char **strings) {
    size_t i = 0;
    while (strcmp(cf_training_types[i]->name, name) != 0)
        i++;
    CF_TRY(cf_spec_new(out, cf_training_types[i]));
    for (size_t k = 0; k < count; k++)
        CF_TRY(set(*out, names[k], numbers[k], strings[k]));
    return cf_spec_finish(*out);
}

cf_status harness_start(harness *h, const char *name, size_t count, const char **names,
                        const double *numbers, const char **strings, int dtype, int threads) {
    cf_spec *spec;
    CF_TRY(new_spec(&spec, name, count, names, numbers, strings));
    cf_status status = cf_optimizer_new(&h->optimizer, spec, &h->table, (cf_dtype)dtype, threads);
    cf_spec_free(spec);
    return status;
}

double harness_norm(harness *h, const void *gradients) {
    return cf_gradient_norm(h->optimizer, gradients);
}

void harness_step(harness *h, uint64_t number, double schedule, double clip, const void *gradients,
                  void *parameters) {
    cf_gradient_step step = {number, schedule, clip, gradients, parameters};
    cf_optimizer_step(h->optimizer, &step);
}

/* The name of array number i and its numbers; NULL if there is none. */
const char *harness_array(harness *h, size_t i, void **data) {
    cf_state_array arrays[CF_MAX_STATE_ARRAYS];
    if (i >= cf_optimizer_arrays(h->optimizer, arrays))
        return NULL;
    *data = arrays[i].data;
    return arrays[i].name;
}

void harness_free(harness *h) {
    cf_optimizer_free(h->optimizer);
    free(h);
}

/* factors[i]: of step i of an epoch each, before the loss of its epoch is known. */
cf_status harness_factors(const char *name, size_t count, const char **names, const double *numbers,
                          const char **strings, size_t epochs, const double *losses,
                          double *factors) {
    cf_spec *spec;
    CF_TRY(new_spec(&spec, name, count, names, numbers, strings));
    cf_plateau plateau = cf_plateau_start();
    for (size_t i = 0; i < epochs; i++) {
        factors[i] = cf_schedule_factor(spec, &plateau, i, epochs);
        cf_schedule_observe(spec, &plateau, losses[i]);
    }
    cf_spec_free(spec);
    return CF_OK;
}
