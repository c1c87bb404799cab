#include "nn/operations.h"

#include "nn/words.h"
#include "ops/functions.h"
#include "ops/ops.h"

static const cf_operation_form forms[] = {
    [CF_DO_INPUT] = {"input", 0, 1, 0},
    [CF_DO_CONTEXT] = {"context", 0, 1, 0},
    [CF_DO_ARGUMENT] = {"argument", 0, 2, 0},
    [CF_DO_CALL] = {"call", 0, 2, 0},
    [CF_DO_COPY] = {"copy", 1, 0, 0},
    [CF_DO_GRADIENT] = {"gradient", 3, 0, 0},
    [CF_DO_PARAMETER] = {"parameter", 0, 1, 0},
    [CF_DO_NETWORK] = {"network", 1, 1, 0},
    [CF_DO_CONSTANT] = {"constant", 0, 1, 1},
    [CF_DO_NORMAL] = {"normal", 0, 1, 0},
    [CF_DO_UNIFORM] = {"uniform", 0, 1, 0},
    [CF_DO_ADD] = {"add", 2, 0, 0},
    [CF_DO_SUBTRACT] = {"subtract", 2, 0, 0},
    [CF_DO_MULTIPLY] = {"multiply", 2, 0, 0},
    [CF_DO_DIVIDE] = {"divide", 2, 0, 0},
    [CF_DO_SCALE] = {"scale", 1, 0, 2},
    [CF_DO_CLAMP] = {"clamp", 1, 0, 2},
    [CF_DO_AT_LEAST] = {"at_least", 1, 0, 1},
    [CF_DO_COSINE] = {"cosine", 1, 0, 2},
    [CF_DO_SLICE] = {"slice", 1, 2, 0},
    [CF_DO_CONCAT] = {"concat", 2, 0, 0},
    [CF_DO_REPEAT] = {"repeat", 1, 1, 0},
    [CF_DO_MATMUL] = {"matmul", 2, 0, 0},
    [CF_DO_SUM] = {"sum", 1, 0, 0},
    [CF_DO_LOG_SUM_EXP] = {"log_sum_exp", 1, 0, 0},
    [CF_DO_LOG_DENSITY] = {"normal_log_density", 1, 0, 0},
};

bool cf_find_operation(const char *name, size_t length, unsigned *op, cf_operation_form *out) {
    cf_word word = {name, length};
    for (unsigned i = 0; i < CF_DO_UNARY; i++)
        if (cf_is_word(word, forms[i].name)) {
            *op = i;
            *out = forms[i];
            return true;
        }
    for (unsigned i = 0; i < cf_unary_function_count; i++)
        if (cf_is_word(word, cf_unary_functions[i].name)) {
            *op = CF_DO_UNARY + i;
            *out = (cf_operation_form){cf_unary_functions[i].name, 1, 0, 0};
            return true;
        }
    return false;
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
    return cf_is_none(found) ? cf_constant(b, CF_ROW, in->size, 0.0) : cf_broadcast(b, found);
}

/* Zeros where y does not depend on x. */
static cf_value emit_gradient(cf_builder *b, cf_value y, cf_value cotangent, cf_value x) {
    cf_value gradient = CF_NO_VALUE;
    y = cf_broadcast(b, y);
    cotangent = cf_broadcast(b, cotangent);
    cf_gradient(b, 1, &y, &cotangent, 1, &x, &gradient);
    if (cf_builder_status(b) != CF_OK || !cf_is_none(gradient))
        return gradient;
    return cf_constant(b, CF_ROW, cf_value_size(b, x), 0.0);
}

cf_value cf_operation_emit(const cf_instruction *in, const cf_declarations *declared, cf_builder *b,
                           const cf_value *input, const cf_value *values) {
    cf_value x = values[in->operand[0]], y = values[in->operand[1]];
    switch (in->op) {
    case CF_DO_INPUT:
        return input[0];
    case CF_DO_CONTEXT:
        return input[1];
    case CF_DO_ARGUMENT:
        return input[in->integer[0]];
    case CF_DO_CALL:
        return emit_call(in, b, values);
    case CF_DO_COPY:
        return cf_copy(b, cf_broadcast(b, x));
    case CF_DO_GRADIENT:
        return emit_gradient(b, x, y, values[in->operand[2]]);
    case CF_DO_PARAMETER:
        return cf_parameter(b, declared->parameter[in->integer[0]].offset, in->size);
    case CF_DO_NETWORK:
        return cf_conditioner_emit(&declared->network[in->integer[0]].conditioner, b,
                                   cf_broadcast(b, x), CF_NO_VALUE);
    case CF_DO_CONSTANT:
        return cf_constant(b, CF_ROW, in->size, in->number[0]);
    case CF_DO_NORMAL:
        return cf_normal_noise(b, in->size);
    case CF_DO_UNIFORM:
        return cf_uniform_noise(b, in->size);
    case CF_DO_ADD:
        return cf_add(b, x, y);
    case CF_DO_SUBTRACT:
        return cf_subtract(b, x, y);
    case CF_DO_MULTIPLY:
        return cf_multiply(b, x, y);
    case CF_DO_DIVIDE:
        return cf_divide(b, x, y);
    case CF_DO_SCALE:
        return cf_scale(b, x, in->number[0], in->number[1]);
    case CF_DO_CLAMP:
        return cf_clamp(b, x, in->number[0], in->number[1]);
    case CF_DO_AT_LEAST:
        return cf_at_least(b, x, in->number[0]);
    case CF_DO_COSINE:
        return cf_cosine(b, x, in->number[0], in->number[1]);
    case CF_DO_SLICE:
        return cf_slice(b, x, in->integer[0], in->integer[1]);
    case CF_DO_CONCAT:
        return cf_concat(b, (cf_value[]){cf_broadcast(b, x), cf_broadcast(b, y)}, 2);
    case CF_DO_REPEAT:
        return cf_repeat(b, x, in->size);
    case CF_DO_MATMUL:
        return cf_matmul(b, x, CF_NO_VALUE, cf_broadcast(b, y), in->size);
    case CF_DO_SUM:
        return cf_sum_features(b, x);
    case CF_DO_LOG_SUM_EXP:
        return cf_log_sum_exp(b, x);
    case CF_DO_LOG_DENSITY:
        return cf_normal_log_density(b, cf_broadcast(b, x));
    default:
        return cf_unary_functions[in->op - CF_DO_UNARY].emit(b, x);
    }
}
