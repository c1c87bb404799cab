#include "nn/operations.h"

#include <string.h>

#include "nn/words.h"
#include "ops/ops.h"

const cf_operation_form cf_operation_forms[] = {
#define CF_OPERATION(name, operands, integers, numbers, features, value, parameters, doc)          \
    [CF_DO_##name] = {#name, operands, integers, numbers, parameters, doc},
#include "nn/operation_list.h"
#undef CF_OPERATION
};

#define CF_OPERATION(name, operands, integers, numbers, features, value, parameters, doc)          \
    _Static_assert((operands) <= CF_MAX_OPERATION_OPERANDS && (integers) <= CF_MAX_INTEGERS &&     \
                       (numbers) <= CF_MAX_NUMBERS,                                                \
                   "there is no room for what follows " #name);
#include "nn/operation_list.h"
#undef CF_OPERATION

/* Names of version 0.1.0, which model files may hold. */
static const struct {
    const char *former, *present;
} former_names[] = {
    {"at_least", "greater_equal"},
    {"scale", "scale_shift"},
};

bool cf_find_operation(const char *name, size_t length, unsigned *op) {
    cf_word word = {name, length};
    for (size_t i = 0; i < sizeof former_names / sizeof *former_names; i++)
        if (cf_is_word(word, former_names[i].former))
            word = (cf_word){former_names[i].present, strlen(former_names[i].present)};
    for (unsigned i = 0; i < CF_OPERATIONS; i++)
        if (cf_is_word(word, cf_operation_forms[i].name)) {
            *op = i;
            return true;
        }
    return false;
}

/* ---- sizes ---- */

static size_t parameter_size(const cf_declarations *declared, size_t i) {
    return i < declared->parameters ? declared->parameter[i].size : 0;
}

static size_t network_size(const cf_declarations *declared, size_t i, size_t inputs) {
    return i < declared->networks && inputs == cf_shape_features(declared->network[i].inputs)
               ? declared->network[i].size
               : 0;
}

/* One feature is repeated beside several. */
static size_t broadcast_size(size_t nx, size_t ny) {
    return nx == ny || ny == 1 ? nx : nx == 1 ? ny : 0;
}

static size_t concat_size(size_t nx, size_t ny) {
    return nx + ny < CF_MAX_EXPRESSION_SIZE ? nx + ny : 0;
}

static size_t matmul_size(size_t weights, size_t columns) {
    return columns > 0 && weights % columns == 0 ? weights / columns : 0;
}

size_t cf_operation_size(cf_operation op, const cf_declarations *declared, const size_t *sizes,
                         const size_t *integers) {
    size_t nx = sizes[0], ny = sizes[1], nz = sizes[2], i = integers[0], j = integers[1];
    switch (op) {
#define CF_OPERATION(name, operands, integers, numbers, features, value, parameters, doc)          \
    case CF_DO_##name:                                                                             \
        return features;
#include "nn/operation_list.h"
#undef CF_OPERATION
    default:
        return 0;
    }
}

/* ---- emission ---- */

static cf_value emit_call(const cf_instruction *in, cf_builder *b, const cf_value *values) {
    cf_program_key key = {.outputs = UINT32_C(1) << in->integer[0]};
    cf_value input[CF_MAX_PORTS] = {{0}}, output[CF_MAX_PORTS] = {{0}};
    for (size_t k = 0; k < CF_MAX_INSTRUCTION_OPERANDS; k++)
        if (cf_is_port(&in->function->input[k]) && !in->function->input[k].optional)
            input[k] = cf_broadcast(b, values[in->operand[k]]);
    if (cf_builder_status(b) == CF_OK)
        in->function->emit(in->function->self, b, &key, input, output);
    cf_value found = output[in->integer[0]];
    return cf_is_none(found) ? cf_constant(b, CF_BATCHED, in->size, 0.0) : cf_broadcast(b, found);
}

/* Zeros where y does not depend on x. */
static cf_value emit_gradient(cf_builder *b, cf_value y, cf_value cotangent, cf_value x) {
    cf_value gradient = CF_NO_VALUE;
    y = cf_broadcast(b, y);
    cotangent = cf_broadcast(b, cotangent);
    cf_gradient(b, 1, &y, &cotangent, 1, &x, &gradient);
    if (cf_builder_status(b) != CF_OK || !cf_is_none(gradient))
        return gradient;
    return cf_constant(b, CF_BATCHED, cf_value_size(b, x), 0.0);
}

static cf_value emit_network(cf_builder *b, const cf_declared *network, cf_value x) {
    return cf_conditioner_emit(&network->conditioner, b, cf_broadcast(b, x), CF_NO_VALUE);
}

static cf_value emit_concat(cf_builder *b, cf_value x, cf_value y) {
    return cf_concat(b, (cf_value[]){cf_broadcast(b, x), cf_broadcast(b, y)}, 2);
}

cf_value cf_operation_emit(const cf_instruction *in, const cf_declarations *declared, cf_builder *b,
                           const cf_value *input, const cf_value *values) {
    cf_value x = values[in->operand[0]], y = values[in->operand[1]], z = values[in->operand[2]];
    size_t size = in->size, i = in->integer[0], j = in->integer[1];
    double s = in->number[0], t = in->number[1];
    switch (in->op) {
#define CF_OPERATION(name, operands, integers, numbers, features, value, parameters, doc)          \
    case CF_DO_##name:                                                                             \
        return value;
#include "nn/operation_list.h"
#undef CF_OPERATION
    default:
        return CF_NO_VALUE;
    }
}
