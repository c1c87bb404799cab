#include "nn/traced.h"

#include <string.h>

#include "nn/words.h"

typedef struct {
    cf_instructions instructions;
    const cf_declarations *declared;
} traced_function;

static void emit(const void *self, cf_builder *b, const cf_program_key *key, const cf_value *input,
                 cf_value *output) {
    const traced_function *f = self;
    (void)key;
    cf_instructions_emit(&f->instructions, f->declared, b, input, output);
}

/* ---- one function ---- */

static bool read_copied_name(const char **text, cf_arena *arena, const char **out) {
    char name[CF_MAX_NAME], *copy;
    if (!cf_read_name(text, name, sizeof name) ||
        cf_arena_alloc(arena, &copy, strlen(name) + 1, 1) != CF_OK)
        return false;
    strcpy(copy, name);
    *out = copy;
    return true;
}

static bool is_known(const cf_port *ports, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(ports[i].name, name) == 0)
            return true;
    return false;
}

/* Ports, each of a name of its own, up to the word `end`; NULL: up to the instruction's end. */
static bool read_ports(const char **text, cf_arena *arena, const char *end, cf_port *ports) {
    for (size_t i = 0;; i++) {
        const char *rest = *text;
        cf_word w = cf_next_word(&rest);
        if (end != NULL ? cf_is_word(w, end) : w.length == 0) {
            *text = rest;
            return true;
        }
        if (i == CF_MAX_PORTS || !read_copied_name(text, arena, &ports[i].name) ||
            is_known(ports, i, ports[i].name) || !cf_read_shape(text, &ports[i].shape))
            return false;
    }
}

static bool read_head(const char **text, cf_arena *arena, cf_function *out) {
    return cf_is_word(cf_next_word(text), "function") &&
           read_copied_name(text, arena, &out->name) &&
           read_ports(text, arena, "gives", out->input) &&
           read_ports(text, arena, NULL, out->output) && cf_end_of_instruction(text);
}

static cf_status check_returns(const cf_function *function, const cf_instructions *instructions) {
    size_t outputs = cf_port_count(function->output);
    if (instructions->returns != outputs)
        return cf_fail(CF_INVALID, "function %s gives %zu outputs, got %zu", function->name,
                       outputs, instructions->returns);
    for (size_t i = 0; i < outputs; i++) {
        size_t wanted = cf_shape_features(function->output[i].shape);
        size_t got = instructions->list[instructions->returned[i]].size;
        if (got != wanted)
            return cf_fail(CF_INVALID, "function %s: %s has %zu features, got %zu", function->name,
                           function->output[i].name, wanted, got);
    }
    return CF_OK;
}

static cf_status read_function(cf_model *model, const cf_declarations *declared, const char *text,
                               const double *numbers, size_t count, cf_arena *arena,
                               cf_function *out) {
    static const cf_declarations nothing;
    cf_instruction_scope scope = {.declared = declared != NULL ? declared : &nothing,
                                  .numbers = count,
                                  .number = numbers,
                                  .model = model};
    traced_function *f;
    CF_TRY(cf_arena_alloc(arena, &f, 1, sizeof *f));
    if (!read_head(&text, arena, out))
        return cf_fail(CF_INVALID, "a function's inputs and outputs cannot be read");
    for (size_t i = 0; i < CF_MAX_PORTS; i++)
        scope.input[i] = cf_shape_features(out->input[i].shape);
    CF_TRY(cf_instructions_read(&f->instructions, arena, text, &scope));
    f->declared = scope.declared;
    out->emit = emit;
    out->self = f;
    return check_returns(out, &f->instructions);
}

cf_status cf_traced_add(cf_model *model, const cf_declarations *declared, const char *text,
                        const double *numbers, size_t count) {
    cf_function function = {.name = NULL};
    cf_arena arena = {0};
    cf_status status = read_function(model, declared, text, numbers, count, &arena, &function);
    if (status == CF_OK)
        return cf_model_add_function(model, &function, &arena);
    cf_arena_free(&arena);
    return status;
}

/* ---- the model ---- */

/* Adds the functions of a module, which are separated by line ends. */
static cf_status add_functions(cf_traced *traced) {
    const cf_setting *numbers = cf_spec_get(traced->spec, "numbers");
    const char *text = cf_spec_string(traced->spec, "functions");
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        char *line;
        CF_TRY(cf_arena_alloc(cf_model_binding(traced->model)->arena, &line, length + 1, 1));
        memcpy(line, text, length);
        CF_TRY(
            cf_traced_add(traced->model, &traced->declared, line, numbers->reals, numbers->count));
        text += length + (text[length] == '\n');
    }
    return CF_OK;
}

static cf_status build(cf_model *model, cf_spec *module, cf_traced **out) {
    cf_binding *binding = cf_model_binding(model);
    cf_traced *traced;
    CF_TRY(cf_arena_alloc(binding->arena, &traced, 1, sizeof *traced));
    traced->model = model;
    traced->spec = module;
    CF_TRY(cf_binding_keep(binding, cf_spec_retain(module)));
    CF_TRY(cf_declarations_bind(&traced->declared, module, binding));
    CF_TRY(cf_model_allocate(model));
    CF_TRY(add_functions(traced));
    *out = traced;
    return CF_OK;
}

cf_status cf_traced_new(cf_traced **out, cf_spec *module, cf_dtype dtype, uint64_t seed,
                        size_t max_parameters) {
    cf_model *model;
    *out = NULL;
    if (cf_spec_type_of(module) != &cf_module_type)
        return cf_fail(CF_TYPE, "a model is made of a Module, got %s",
                       cf_spec_type_of(module)->name);
    CF_TRY(cf_model_new(&model, dtype, seed, max_parameters));
    cf_status status = build(model, module, out);
    if (status != CF_OK)
        cf_model_free(model);
    return status;
}

static const cf_option options[] = {
    {.name = "functions",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING(""),
     .doc = "The functions as instructions, a line each."},
    CF_DECLARATION_OPTIONS,
};

const cf_spec_type cf_module_type = {
    .name = "Module",
    .role = "module",
    .doc = "Functions of parameters and networks that `cflows.nn` has made of Python functions.\n\n"
           "They were traced once to instructions of the engine, which are all that is kept: a "
           "file of the model\nneeds no code.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
};
