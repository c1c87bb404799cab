#include "train/losses/criterion.h"

#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 256 };

static void append(char *name, const char *text) {
    size_t length = strlen(name);
    snprintf(name + length, NAME_SIZE - length, "%s", text);
}

/* Type(option=value, ...) with all options, which are texts and numbers: equal names, equal losses.
 */
static void write_name(const cf_spec *spec, char name[NAME_SIZE]) {
    const cf_spec_type *type = cf_spec_type_of(spec);
    snprintf(name, NAME_SIZE, "%s(", type->name);
    for (size_t i = 0; i < type->option_count; i++) {
        const char *option = type->options[i].name;
        const cf_setting *setting = cf_spec_get(spec, option);
        char number[32] = "None";
        if (setting->kind == CF_OPTION_REAL)
            snprintf(number, sizeof number, "%.17g", setting->reals[0]);
        append(name, i == 0 ? "" : ", ");
        append(name, option);
        append(name, "=");
        append(name, setting->kind == CF_OPTION_STRING ? setting->string : number);
    }
    append(name, ")");
}

cf_status cf_add_criterion(const cf_flow *flow, const cf_function *given, size_t size,
                           bool u_is_optional, cf_arena *arena) {
    cf_function function = *cf_model_function(flow->model, "log_prob");
    char *self;
    cf_status status = cf_arena_alloc(arena, &self, size, 1);
    if (status != CF_OK) {
        cf_arena_free(arena);
        return status;
    }
    memcpy(self, given->self, size);
    function.name = given->name;
    function.input[CF_CRITERION_U] =
        (cf_port){.name = "u", .shape = flow->base_shape, .optional = u_is_optional};
    function.output[0].name = "loss";
    function.emit = given->emit;
    function.finish = NULL;
    function.self = self;
    return cf_model_add_function(flow->model, &function, arena);
}

static cf_status add(const cf_flow *flow, const cf_spec *spec, const char *name) {
    const cf_criterion_methods *methods = cf_spec_type_of(spec)->methods;
    cf_arena arena = {0};
    char *kept;
    cf_status status = cf_arena_alloc(&arena, &kept, strlen(name) + 1, 1);
    if (status != CF_OK) {
        cf_arena_free(&arena);
        return status;
    }
    strcpy(kept, name);
    return methods->add(flow, spec, kept, &arena);
}

cf_status cf_find_criterion(const cf_flow *flow, const cf_spec *spec, const cf_function **loss,
                            const cf_function **pairs) {
    const cf_spec_type *type = cf_spec_type_of(spec);
    const cf_criterion_methods *methods = type->methods;
    char name[NAME_SIZE];
    *loss = *pairs = NULL;
    if (strcmp(type->role, "criterion") != 0)
        return cf_fail(CF_TYPE, "loss must be of the role criterion, got %s of the role %s",
                       type->name, type->role);
    CF_TRY(cf_spec_check_finished(spec));
    if (methods->check != NULL)
        CF_TRY(methods->check(flow));
    write_name(spec, name);
    *loss = cf_model_function(flow->model, name);
    if (*loss == NULL) {
        cf_status status = add(flow, spec, name);
        *loss = cf_model_function(flow->model, name); /* which another thread may have added */
        if (*loss == NULL)
            return status;
    }
    return methods->pairs != NULL ? methods->pairs(flow, spec, pairs) : CF_OK;
}
