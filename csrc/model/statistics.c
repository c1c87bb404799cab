/* Parameters that are statistics of the data: set before training begins, or mixed from batches. */
#include <string.h>

#include "model/state.h"

static double parameter_at(const cf_model *model, size_t index) {
    return cf_number_at(model->parameters, index, model->dtype);
}

bool cf_model_awaits_initialisation(const cf_model *model) {
    const cf_binding *binding = &model->binding;
    for (size_t k = 0; k < binding->statistic_count; k++) {
        const cf_statistic *s = &binding->statistics[k];
        for (size_t i = 0; i < s->size; i++)
            if (parameter_at(model, s->parameter + i) != s->initial)
                return false;
    }
    return binding->statistic_count > 0;
}

void cf_model_reset_statistics(cf_model *model) {
    size_t element = cf_dtype_size(model->dtype);
    for (size_t k = 0; k < model->binding.statistic_count; k++) {
        const cf_statistic *s = &model->binding.statistics[k];
        memcpy((char *)model->statistics + s->output * element,
               (const char *)model->parameters + s->parameter * element, s->size * element);
    }
}

/* Moves the parameters of a statistic towards its newest values: by their `weight`. */
static void move_parameters(cf_model *model, const cf_statistic *s, double weight) {
    for (size_t i = 0; i < s->size; i++) {
        double newest = cf_number_at(model->statistics, s->output + i, model->dtype);
        double old = parameter_at(model, s->parameter + i);
        cf_model_set_parameter(model, s->parameter + i,
                               weight == 1.0 ? newest : old + weight * (newest - old));
    }
}

void cf_model_initialise(cf_model *model) {
    for (size_t k = 0; k < model->binding.statistic_count; k++)
        move_parameters(model, &model->binding.statistics[k], 1.0);
}

bool cf_model_has_running_statistics(const cf_model *model) {
    for (size_t k = 0; k < model->binding.statistic_count; k++)
        if (model->binding.statistics[k].momentum > 0.0)
            return true;
    return false;
}

void cf_model_mix_statistics(cf_model *model) {
    for (size_t k = 0; k < model->binding.statistic_count; k++) {
        const cf_statistic *s = &model->binding.statistics[k];
        if (s->momentum > 0.0)
            move_parameters(model, s, s->momentum);
    }
}
