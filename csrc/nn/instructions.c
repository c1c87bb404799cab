#include "nn/instructions.h"

#include <string.h>

#include "base/memory.h"
#include "nn/operations.h"
#include "nn/words.h"

enum { MAX_INSTRUCTIONS = 1 << 14, MAX_NODES = 1 << 17 };

/* Matrices are parameters as a whole. */
static bool is_matrix(const cf_instruction *list, size_t i) {
    return list[i].op == CF_DO_parameter;
}

/* What a gradient may be taken with respect to: values of their own. */
static bool is_whole(const cf_instruction *list, size_t i) {
    return list[i].op == CF_DO_copy || list[i].op == CF_DO_input || list[i].op == CF_DO_context ||
           list[i].op == CF_DO_argument;
}

/* "call FUNCTION OUTPUT SIZE OPERAND …": an output of a function of the model. */
static bool read_call(cf_instruction *list, size_t i, const char **text,
                      const cf_instruction_scope *scope) {
    cf_instruction *in = &list[i];
    char name[CF_MAX_NAME];
    if (scope->model == NULL || !cf_read_name(text, name, sizeof name) ||
        (in->function = cf_model_function(scope->model, name)) == NULL ||
        !cf_read_size(text, CF_MAX_PORTS, &in->integer[0]) ||
        !cf_read_size(text, CF_MAX_EXPRESSION_SIZE, &in->integer[1]))
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
    size_t sizes[CF_MAX_INSTRUCTION_OPERANDS] = {0}, index;
    *in = (cf_instruction){0};
    if (!cf_find_operation(name.start, name.length, &in->op))
        return false;
    cf_operation_form form = cf_operation_forms[in->op];
    if (in->op == CF_DO_call)
        return read_call(list, i, text, scope);
    for (unsigned k = 0; k < form.operands; k++) {
        if (!cf_read_size(text, i, &in->operand[k]))
            return false;
        sizes[k] = list[in->operand[k]].size;
    }
    for (unsigned k = 0; k < form.integers; k++)
        if (!cf_read_size(text, CF_MAX_EXPRESSION_SIZE, &in->integer[k]))
            return false;
    for (unsigned k = 0; k < form.numbers; k++) {
        if (!cf_read_size(text, scope->numbers, &index))
            return false;
        in->number[k] = scope->number[index];
    }
    if ((in->op == CF_DO_matmul && !is_matrix(list, in->operand[0])) ||
        (in->op == CF_DO_gradient && !is_whole(list, in->operand[2])))
        return false;
    in->size = cf_operation_size(in->op, scope->declared, sizes, in->integer);
    return in->size > 0;
}

/* Fails unless the inputs have as many features as the function was traced for. */
static cf_status check_rows(const cf_instruction *in, const cf_instruction_scope *scope) {
    size_t got = in->size;
    if (in->op == CF_DO_input || in->op == CF_DO_context)
        got = scope->input[in->op == CF_DO_context];
    else if (in->op == CF_DO_argument)
        got = in->integer[0] < CF_MAX_PORTS ? scope->input[in->integer[0]] : 0;
    if (got == in->size)
        return CF_OK;
    return cf_fail(CF_INVALID, "Expression: it was traced for %zu %sfeatures, got %zu", in->size,
                   in->op == CF_DO_context ? "context " : "", got);
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

cf_status cf_instructions_read(cf_instructions *out, cf_arena *arena, const char *text,
                               const cf_instruction_scope *scope) {
    size_t max = cf_count_instructions(text);
    cf_instruction *list;
    if (max > MAX_INSTRUCTIONS)
        return cf_fail(CF_INVALID, "Expression: %zu instructions are too many", max);
    CF_TRY(cf_arena_alloc(arena, &list, max, sizeof *list));
    *out = (cf_instructions){.list = list};
    for (size_t i = 0; i < max; i++) {
        cf_word name = cf_next_word(&text);
        if (cf_is_word(name, "return"))
            return read_return(out, &text, i) ? CF_OK : cf_fail_at("instruction", i);
        if (!read_instruction(list, i, name, &text, scope) || !cf_end_of_instruction(&text))
            return cf_fail_at("instruction", i);
        CF_TRY(check_rows(&list[i], scope));
        out->count = i + 1;
        out->draws |= list[i].op == CF_DO_normal || list[i].op == CF_DO_uniform;
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
