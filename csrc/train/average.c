#include "train/average.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

cf_status cf_average_new(cf_average *out, const cf_model *model, double decay) {
    size_t elements = cf_model_parameter_table(model)->elements;
    out->decay = decay;
    CF_TRY(cf_alloc(&out->others, cf_model_parameter_bytes(model), 1));
    CF_TRY(cf_alloc(&out->weights, elements, sizeof *out->weights));
    cf_average_start(out, model);
    return CF_OK;
}

void cf_average_free(cf_average *average) {
    cf_free(average->weights);
    cf_free(average->others);
    *average = (cf_average){0};
}

void cf_average_start(cf_average *average, const cf_model *model) {
    size_t elements = cf_model_parameter_table(model)->elements;
    for (size_t i = 0; average->weights != NULL && i < elements; i++)
        average->weights[i] = cf_number_at(cf_model_parameters(model), i, cf_model_dtype(model));
}

void cf_average_add(cf_average *average, const cf_model *model, uint64_t step) {
    const cf_slab_table *table = cf_model_parameter_table(model);
    double t = (double)step, move = 1.0 - fmin(average->decay, (1.0 + t) / (10.0 + t));
    for (size_t k = 0; average->weights != NULL && k < table->count; k++) {
        const cf_tensor *tensor = &table->tensors[k];
        double *mean = average->weights + tensor->offset, weight = tensor->frozen ? 1.0 : move;
        for (size_t i = 0; i < tensor->size; i++) {
            double newest =
                cf_number_at(cf_model_parameters(model), tensor->offset + i, cf_model_dtype(model));
            mean[i] = weight == 1.0 ? newest : mean[i] + weight * (newest - mean[i]);
        }
    }
}

void cf_average_put(cf_average *average, cf_model *model) {
    size_t elements = cf_model_parameter_table(model)->elements;
    for (size_t i = 0; average->weights != NULL && i < elements; i++)
        cf_model_set_parameter(model, i, average->weights[i]);
}

void cf_average_swap(cf_average *average, cf_model *model) {
    if (average->weights == NULL)
        return;
    size_t bytes = cf_model_parameter_bytes(model);
    if (average->swapped) {
        memcpy(cf_model_parameters(model), average->others, bytes);
    } else {
        memcpy(average->others, cf_model_parameters(model), bytes);
        cf_average_put(average, model);
    }
    average->swapped = !average->swapped;
}
