#include "nn/instructions.h"

#include <string.h>

#include "base/memory.h"
#include "nn/operations.h"
#include "nn/words.h"

enum { MAX_SIZE = 1 << 20, MAX_INSTRUCTIONS = 1 << 14, MAX_NODES = 1 << 17 };

/* The size of the value of an instruction whose operands have the sizes a and b; 0: they do not
 * fit. */
static size_t size_of(const cf_instruction *in, const cf_instruction_scope *scope,
                      const size_t *sizes) {
    const cf_declarations *d = scope->declared;
    size_t n = in->integer[0], a = sizes[0], b = sizes[1];
    switch (in->op) {
    case CF_DO_ARGUMENT:
    case CF_DO_CALL:
        return in->integer[1];
    case CF_DO_GRADIENT:
        return a == b ? sizes[2] : 0;
    case CF_DO_PARAMETER:
        return n < d->parameters ? d->parameter[n].size : 0;
    case CF_DO_NETWORK:
        return n < d->networks && a == cf_shape_features(d->network[n].inputs) ? d->network[n].size
                                                                               : 0;
    case CF_DO_INPUT:
    case CF_DO_CONTEXT:
    case CF_DO_CONSTANT:
    case CF_DO_NORMAL:
    case CF_DO_UNIFORM:
        return n;
    case CF_DO_ADD:
    case CF_DO_SUBTRACT:
    case CF_DO_MULTIPLY:
    case CF_DO_DIVIDE:
        return a == b || b == 1 ? a : a == 1 ? b : 0;
    case CF_DO_SLICE:
        return n <= a && in->integer[1] <= a - n ? in->integer[1] : 0;
    case CF_DO_CONCAT:
        return a + b < MAX_SIZE ? a + b : 0;
    case CF_DO_REPEAT:
        return a == 1 ? n : 0;
    case CF_DO_MATMUL:
        return a % b == 0 ? a / b : 0;
    case CF_DO_SUM:
    case CF_DO_LOG_SUM_EXP:
    case CF_DO_LOG_DENSITY:
        return 1;
    default:
        return a;
    }
}

/* Matrices are parameters as a whole. */
static bool is_matrix(const cf_instruction *list, size_t i) {
    return list[i].op == CF_DO_PARAMETER;
}

/* What a gradient may be taken with respect to: values of their own. */
static bool is_whole(const cf_instruction *list, size_t i) {
    return list[i].op == CF_DO_COPY || list[i].op == CF_DO_INPUT || list[i].op == CF_DO_CONTEXT ||
           list[i].op == CF_DO_ARGUMENT;
}

/* "call FUNCTION OUTPUT SIZE OPERAND …": an output of a function of the model. */
static bool read_call(cf_instruction *list, size_t i, const char **text,
                      const cf_instruction_scope *scope) {
    cf_instruction *in = &list[i];
    char name[CF_MAX_NAME];
    if (scope->model == NULL || !cf_read_name(text, name, sizeof name) ||
        (in->function = cf_model_function(scope->model, name)) == NULL ||
        !cf_read_size(text, CF_MAX_PORTS, &in->integer[0]) ||
        !cf_read_size(text, MAX_SIZE, &in->integer[1]))
        return false;
    const cf_port *output = &in->function->output[in->integer[0]];
    if (!cf_is_port(output) || cf_shape_features(output->shape) != in->integer[1])
        return false;
    for (size_t k = 0; k < CF_MAX_INSTRUCTION_OPERANDS; k++) {
        const cf_port *input = &in->function->input[k];
        if (!cf_is_port(input) || input->optional)
            continue;
        if (!cf_read_size(text, i, &in->operand[k]) ||
            list[in->operand[k]].size != cf_shape_features(input->shape))
            return false;
    }
    in->size = in->integer[1];
    return true;
}

static bool read_instruction(cf_instruction *list, size_t i, cf_word name, const char **text,
                             const cf_instruction_scope *scope) {
    cf_instruction *in = &list[i];
    cf_operation_form form;
    size_t sizes[CF_MAX_INSTRUCTION_OPERANDS] = {0}, place;
    *in = (cf_instruction){0};
    if (!cf_find_operation(name.start, name.length, &in->op, &form))
        return false;
    if (in->op == CF_DO_CALL)
        return read_call(list, i, text, scope);
    for (unsigned k = 0; k < form.operands; k++) {
        if (!cf_read_size(text, i, &in->operand[k]))
            return false;
        sizes[k] = list[in->operand[k]].size;
    }
    for (unsigned k = 0; k < form.integers; k++)
        if (!cf_read_size(text, MAX_SIZE, &in->integer[k]))
            return false;
    for (unsigned k = 0; k < form.numbers; k++) {
        if (!cf_read_size(text, scope->numbers, &place))
            return false;
        in->number[k] = scope->number[place];
    }
    if ((in->op == CF_DO_MATMUL && !is_matrix(list, in->operand[0])) ||
        (in->op == CF_DO_GRADIENT && !is_whole(list, in->operand[2])))
        return false;
    in->size = size_of(in, scope, sizes);
    return in->size > 0;
}

/* Whether the rows are those that the function was traced for. */
static cf_status check_rows(const cf_instruction *in, const cf_instruction_scope *scope) {
    size_t got = in->size;
    if (in->op == CF_DO_INPUT || in->op == CF_DO_CONTEXT)
        got = scope->input[in->op == CF_DO_CONTEXT];
    else if (in->op == CF_DO_ARGUMENT)
        got = in->integer[0] < CF_MAX_PORTS ? scope->input[in->integer[0]] : 0;
    if (got == in->size)
        return CF_OK;
    return cf_fail(CF_INVALID, "Expression: it was traced for %zu %sfeatures, got %zu", in->size,
                   in->op == CF_DO_CONTEXT ? "context " : "", got);
}

static bool read_return(cf_instructions *out, const char **text, size_t count) {
    const char *rest = *text;
    while (cf_next_word(&rest).length > 0) {
        if (out->returns == CF_MAX_PORTS ||
            !cf_read_size(text, count, &out->returned[out->returns++]))
            return false;
        rest = *text;
    }
    return cf_end_of_instruction(text) && **text == '\0' && out->returns > 0;
}

cf_status cf_instructions_read(cf_instructions *out, cf_pile *pile, const char *text,
                               const cf_instruction_scope *scope) {
    size_t most = cf_count_instructions(text);
    cf_instruction *list;
    if (most > MAX_INSTRUCTIONS)
        return cf_fail(CF_INVALID, "Expression: %zu instructions are too many", most);
    CF_TRY(cf_pile_take(pile, &list, most, sizeof *list));
    *out = (cf_instructions){.list = list};
    for (size_t i = 0; i < most; i++) {
        cf_word name = cf_next_word(&text);
        if (cf_is_word(name, "return"))
            return read_return(out, &text, i) ? CF_OK : cf_fail_at("instruction", i);
        if (!read_instruction(list, i, name, &text, scope) || !cf_end_of_instruction(&text))
            return cf_fail_at("instruction", i);
        CF_TRY(check_rows(&list[i], scope));
        out->count = i + 1;
        out->draws |= list[i].op == CF_DO_NORMAL || list[i].op == CF_DO_UNIFORM;
    }
    return cf_fail(CF_INVALID, "Expression: the instructions do not end with a return");
}

/* Calls of calls, and derivatives of derivatives, grow without bound. */
static void check_nodes(cf_builder *b) {
    if (cf_builder_status(b) == CF_OK && cf_builder_nodes(b) > MAX_NODES)
        cf_builder_fail(b, CF_INVALID, "the function comes to more than %d operations", MAX_NODES);
}

void cf_instructions_emit(const cf_instructions *instructions, const cf_declarations *declared,
                          cf_builder *b, const cf_value *input, cf_value *output) {
    cf_value *values;
    if (cf_builder_status(b) != CF_OK)
        return;
    if (cf_alloc(&values, instructions->count, sizeof *values) != CF_OK) {
        cf_builder_fail(b, CF_NO_MEMORY, "no memory for an expression");
        return;
    }
    for (size_t i = 0; i < instructions->count && cf_builder_status(b) == CF_OK; i++) {
        values[i] = cf_operation_emit(&instructions->list[i], declared, b, input, values);
        check_nodes(b);
    }
    for (size_t i = 0; i < instructions->returns && cf_builder_status(b) == CF_OK; i++)
        output[i] = values[instructions->returned[i]];
    cf_free(values);
}
