#include "nn/declarations.h"

#include <string.h>

enum { MAX_SIZE = 1 << 20, MAX_DECLARATIONS = 1 << 14 };

/* ---- text ---- */

/* Some features, or the channels, height and width of an image, with an x between them. */
bool cf_read_shape(const char **text, cf_shape *out) {
    cf_word rest = cf_next_word(text);
    size_t sides[3] = {1, 1, 1}, count = 0, features = 1;
    for (bool more = true; more; count++) {
        const char *cross = memchr(rest.start, 'x', rest.length);
        cf_word w = {rest.start, cross == NULL ? rest.length : (size_t)(cross - rest.start)};
        more = cross != NULL;
        if (count == 3 || !cf_is_number(w, MAX_SIZE, &sides[count]) || sides[count] == 0 ||
            sides[count] >= MAX_SIZE / features)
            return false;
        features *= sides[count];
        rest = (cf_word){w.start + w.length + more, rest.length - w.length - more};
    }
    *out = (cf_shape){sides[0], sides[1], sides[2], count == 3};
    return count != 2;
}

static bool is_declared(const cf_declarations *d, const char *name) {
    for (size_t i = 0; i < d->parameters; i++)
        if (strcmp(d->parameter[i].name, name) == 0)
            return true;
    for (size_t i = 0; i < d->networks; i++)
        if (strcmp(d->network[i].name, name) == 0)
            return true;
    return false;
}

static bool read_declaration(cf_declarations *d, const char **text) {
    cf_declared found = {.network = false};
    cf_word kind = cf_next_word(text);
    found.network = cf_is_word(kind, "network");
    if (!found.network && !cf_is_word(kind, "parameter"))
        return false;
    if (!cf_read_name(text, found.name, sizeof found.name) || is_declared(d, found.name))
        return false;
    if (!found.network) {
        const char *rest;
        if (!cf_read_size(text, MAX_SIZE, &found.size) || found.size == 0)
            return false;
        rest = *text;
        found.uniform = cf_is_word(cf_next_word(&rest), "uniform");
        if (found.uniform)
            *text = rest;
        d->parameter[d->parameters++] = found;
        return true;
    }
    if (!cf_read_shape(text, &found.inputs) || !cf_read_shape(text, &found.outputs))
        return false;
    found.size = cf_shape_features(found.outputs);
    d->network[d->networks++] = found;
    return true;
}

static cf_status read_declarations(cf_declarations *out, cf_arena *arena, const char *text) {
    size_t max = cf_count_instructions(text);
    *out = (cf_declarations){0};
    if (max > MAX_DECLARATIONS)
        return cf_fail(CF_INVALID, "Expression: %zu declarations are too many", max);
    CF_TRY(cf_arena_alloc(arena, &out->parameter, max, sizeof *out->parameter));
    CF_TRY(cf_arena_alloc(arena, &out->network, max, sizeof *out->network));
    for (size_t i = 0; *text != '\0'; i++)
        if (!read_declaration(out, &text) || !cf_end_of_instruction(&text))
            return cf_fail_at("declaration", i);
    return CF_OK;
}

/* ---- binding ---- */

static cf_status bind_parameter(cf_declared *p, cf_binding *binding, const double *start) {
    if (!p->uniform)
        return cf_bind_parameter_values(binding, p->name, p->size, start, &p->offset);
    if (!(*start > 0.0))
        return cf_fail(CF_INVALID, "Expression: %s must have a positive bound, got %g", p->name,
                       *start);
    return cf_bind_parameter(binding, p->name, 1, &p->size, *start, &p->offset);
}

static cf_status bind_parameters(cf_declarations *d, const cf_spec *spec, cf_binding *binding) {
    const cf_setting *starts = cf_spec_get(spec, "starts");
    size_t used = 0;
    for (size_t i = 0; i < d->parameters; i++) {
        cf_declared *p = &d->parameter[i];
        size_t count = p->uniform ? 1 : p->size;
        if (count > starts->count - used)
            return cf_fail(CF_INVALID, "Expression: the parameters start at more than %zu numbers",
                           starts->count);
        CF_TRY(bind_parameter(p, binding, starts->reals + used));
        used += count;
    }
    return used == starts->count
               ? CF_OK
               : cf_fail(CF_INVALID, "Expression: the parameters have %zu numbers, got %zu", used,
                         starts->count);
}

static cf_status check_images(const cf_declared *n, const cf_spec *network) {
    const char *type = cf_spec_type_of(network)->name;
    if (!n->inputs.image || !n->outputs.image)
        return cf_fail(
            CF_INVALID,
            "Expression: %s: %s is from images to images, (channels, height, width) both", n->name,
            type);
    if (n->inputs.height != n->outputs.height || n->inputs.width != n->outputs.width)
        return cf_fail(
            CF_INVALID,
            "Expression: %s: %s gives images as high and wide as it reads, %zu x %zu, not "
            "%zu x %zu",
            n->name, type, n->inputs.height, n->inputs.width, n->outputs.height, n->outputs.width);
    return CF_OK;
}

static cf_status bind_networks(cf_declarations *d, const cf_spec *spec, cf_binding *binding) {
    const cf_setting *networks = cf_spec_get(spec, "networks");
    if (networks->count != d->networks)
        return cf_fail(CF_INVALID, "Expression: %zu networks are declared, got %zu", d->networks,
                       networks->count);
    for (size_t i = 0; i < d->networks; i++) {
        cf_declared *n = &d->network[i];
        cf_conditioner_sizes sizes = {
            .shape = n->inputs, .image = n->outputs, .outputs = n->size, .groups = 1};
        if (cf_conditioner_is_convolutional(networks->specs[i]))
            CF_TRY(check_images(n, networks->specs[i]));
        CF_TRY(cf_conditioner_bind(&n->conditioner, networks->specs[i], binding, n->name, sizes,
                                   cf_spec_int(spec, "zero_last") != 0));
    }
    return CF_OK;
}

cf_status cf_declarations_bind(cf_declarations *out, const cf_spec *spec, cf_binding *binding) {
    CF_TRY(read_declarations(out, binding->arena, cf_spec_string(spec, "declarations")));
    CF_TRY(bind_parameters(out, spec, binding));
    return bind_networks(out, spec, binding);
}
