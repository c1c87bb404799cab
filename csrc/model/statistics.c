/* Parameters that are statistics of the data: set before training begins, or mixed from batches. */
#include <math.h>
#include <string.h>

#include "model/state.h"

static double parameter_at(const cf_model *model, size_t index) {
    return cf_number_at(model->parameters, index, model->dtype);
}

bool cf_model_awaits_initialisation(const cf_model *model) {
    const cf_binding *binding = &model->binding;
    bool any = false;
    for (size_t k = 0; k < binding->statistic_count; k++) {
        const cf_statistic *s = &binding->statistics[k];
        any |= !s->of_weights;
        for (size_t i = 0; i < s->size && !s->of_weights; i++)
            if (parameter_at(model, s->parameter + i) != s->initial)
                return false;
    }
    return any;
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

bool cf_model_has_batch_statistics(const cf_model *model) {
    for (size_t k = 0; k < model->binding.statistic_count; k++)
        if (model->binding.statistics[k].momentum > 0.0 && !model->binding.statistics[k].of_weights)
            return true;
    return false;
}

size_t cf_model_statistic_elements(const cf_model *model) {
    return model->binding.statistic_elements;
}

/* Means, weighed by the number of samples; to a variance the distance of the two means adds. */
static void pool(const cf_model *model, const cf_statistic *s, double *pooled, double weight) {
    for (size_t i = 0; i < s->size; i++) {
        double newest = cf_number_at(model->statistics, s->output + i, model->dtype);
        double *mean = &pooled[s->output + i];
        *mean = weight == 1.0 ? newest : *mean + weight * (newest - *mean);
        if (s->variance_of == NULL)
            continue;
        double centre = cf_number_at(model->statistics, s->variance_of->output + i, model->dtype);
        double distance = centre - pooled[s->variance_of->output + i];
        *mean += weight * (1.0 - weight) * distance * distance;
    }
}

void cf_model_pool_statistics(const cf_model *model, double *pooled, double before,
                              double samples) {
    double weight = samples / (before + samples);
    /* Variances, which are bound after their means, see the means of before. */
    for (size_t k = model->binding.statistic_count; k-- > 0;)
        pool(model, &model->binding.statistics[k], pooled, weight);
}

static bool are_finite(const cf_binding *binding, const double *pooled) {
    for (size_t k = 0; k < binding->statistic_count; k++) {
        const cf_statistic *s = &binding->statistics[k];
        for (size_t i = 0; s->momentum > 0.0 && i < s->size; i++)
            if (!isfinite(pooled[s->output + i]))
                return false;
    }
    return true;
}

void cf_model_set_statistics(cf_model *model, const double *pooled) {
    const cf_binding *binding = &model->binding;
    bool finite = are_finite(binding, pooled);
    for (size_t k = 0; finite && k < binding->statistic_count; k++) {
        const cf_statistic *s = &binding->statistics[k];
        for (size_t i = 0; s->momentum > 0.0 && i < s->size; i++)
            cf_model_set_parameter(model, s->parameter + i, pooled[s->output + i]);
    }
}

void cf_model_mix_statistics(cf_model *model) {
    for (size_t k = 0; k < model->binding.statistic_count; k++) {
        const cf_statistic *s = &model->binding.statistics[k];
        if (s->momentum > 0.0)
            move_parameters(model, s, s->momentum);
    }
}
