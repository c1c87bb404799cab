#include "dist/likelihood.h"

#include <string.h>

const char *const cf_likelihood_names[] = {"bernoulli", "normal", "categorical", "logistic", NULL};

static const cf_spec_type *const named_types[] = {
    &cf_bernoulli_likelihood_type, &cf_normal_likelihood_type, &cf_categorical_likelihood_type,
    &cf_logistic_likelihood_type};

cf_status cf_likelihood_spec(const cf_spec *spec, cf_spec **out) {
    const cf_setting *option = cf_spec_get(spec, "likelihood");
    size_t i = 0;
    if (option->kind == CF_OPTION_SPEC) {
        *out = cf_spec_retain(option->specs[0]);
        return CF_OK;
    }
    while (strcmp(cf_likelihood_names[i], option->string) != 0)
        i++;
    CF_TRY(cf_spec_new(out, named_types[i]));
    cf_status status = cf_spec_finish(*out);
    if (status != CF_OK) {
        cf_spec_free(*out);
        *out = NULL;
    }
    return status;
}
