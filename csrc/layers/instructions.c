#include "layers/instructions.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "ops/functions.h"
#include "ops/ops.h"

enum { MOST_SIZE = 1 << 20, MOST_INSTRUCTIONS = 1 << 14 };

/* ---- text ---- */

/* A word of the text, up to a space or a semicolon. */
typedef struct {
    const char *start;
    size_t length;
} word;

/* The next word of this instruction; length 0: there is none. */
static word next_word(const char **text) {
    while (**text == ' ')
        (*text)++;
    word w = {*text, strcspn(*text, " ;")};
    *text += w.length;
    return w;
}

/* Ends an instruction; whether nothing was left of it. */
static bool end_of_instruction(const char **text) {
    bool done = next_word(text).length == 0;
    if (**text == ';')
        (*text)++;
    return done;
}

static bool is_word(word w, const char *text) {
    return w.length == strlen(text) && memcmp(w.start, text, w.length) == 0;
}

static bool is_number(word w, size_t end, size_t *out) {
    *out = 0;
    for (size_t i = 0; i < w.length; i++) {
        if (w.start[i] < '0' || w.start[i] > '9' || *out >= end)
            return false;
        *out = 10 * *out + (size_t)(w.start[i] - '0');
    }
    return w.length > 0 && *out < end;
}

/* A number below `end`. */
static bool read_size(const char **text, size_t end, size_t *out) {
    return is_number(next_word(text), end, out);
}

static size_t count_instructions(const char *text) {
    size_t count = 1;
    for (; *text != '\0'; text++)
        count += *text == ';';
    return count;
}

static cf_status fail_at(const char *what, size_t number) {
    return cf_fail(CF_INVALID, "Expression: %s number %zu cannot be read", what, number);
}

/* ---- declarations ---- */

static bool read_name(const char **text, char *out, size_t room) {
    word w = next_word(text);
    for (size_t i = 0; i < w.length; i++) {
        char c = w.start[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    if (w.length == 0 || w.length >= room)
        return false;
    memcpy(out, w.start, w.length);
    out[w.length] = '\0';
    return true;
}

/* Some features, or the channels, height and width of an image, with an x between them. */
static bool read_shape(const char **text, cf_shape *out) {
    word rest = next_word(text);
    size_t sides[3] = {1, 1, 1}, count = 0, features = 1;
    for (bool more = true; more; count++) {
        const char *cross = memchr(rest.start, 'x', rest.length);
        word w = {rest.start, cross == NULL ? rest.length : (size_t)(cross - rest.start)};
        more = cross != NULL;
        if (count == 3 || !is_number(w, MOST_SIZE, &sides[count]) || sides[count] == 0 ||
            sides[count] >= MOST_SIZE / features)
            return false;
        features *= sides[count];
        rest = (word){w.start + w.length + more, rest.length - w.length - more};
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
    word kind = next_word(text);
    found.network = is_word(kind, "network");
    if (!found.network && !is_word(kind, "parameter"))
        return false;
    if (!read_name(text, found.name, sizeof found.name) || is_declared(d, found.name))
        return false;
    if (!found.network) {
        if (!read_size(text, MOST_SIZE, &found.size) || found.size == 0)
            return false;
        d->parameter[d->parameters++] = found;
        return true;
    }
    if (!read_shape(text, &found.inputs) || !read_shape(text, &found.outputs))
        return false;
    found.size = cf_shape_features(found.outputs);
    d->network[d->networks++] = found;
    return true;
}

cf_status cf_declarations_read(cf_declarations *out, cf_pile *pile, const char *text) {
    size_t most = count_instructions(text);
    *out = (cf_declarations){0};
    if (most > MOST_INSTRUCTIONS)
        return cf_fail(CF_INVALID, "Expression: %zu declarations are too many", most);
    CF_TRY(cf_pile_take(pile, &out->parameter, most, sizeof *out->parameter));
    CF_TRY(cf_pile_take(pile, &out->network, most, sizeof *out->network));
    for (size_t i = 0; *text != '\0'; i++)
        if (!read_declaration(out, &text) || !end_of_instruction(&text))
            return fail_at("declaration", i);
    return CF_OK;
}

/* ---- instructions ---- */

typedef enum {
    INPUT,
    CONTEXT,
    PARAMETER,
    NETWORK,
    CONSTANT,
    NORMAL,
    UNIFORM,
    ADD,
    SUBTRACT,
    MULTIPLY,
    DIVIDE,
    SCALE,
    CLAMP,
    AT_LEAST,
    COSINE,
    SLICE,
    CONCAT,
    REPEAT,
    MATMUL,
    SUM,
    LOG_SUM_EXP,
    LOG_DENSITY,
    UNARY, /* the first of the functions of single numbers, in the order of cf_functions */
} instruction_op;

/* What follows the name: operands, whole numbers, and places in the list of numbers. */
typedef struct {
    const char *name;
    unsigned operands, integers, numbers;
} form;

static const form forms[] = {
    [INPUT] = {"input", 0, 1, 0},
    [CONTEXT] = {"context", 0, 1, 0},
    [PARAMETER] = {"parameter", 0, 1, 0},
    [NETWORK] = {"network", 1, 1, 0},
    [CONSTANT] = {"constant", 0, 1, 1},
    [NORMAL] = {"normal", 0, 1, 0},
    [UNIFORM] = {"uniform", 0, 1, 0},
    [ADD] = {"add", 2, 0, 0},
    [SUBTRACT] = {"subtract", 2, 0, 0},
    [MULTIPLY] = {"multiply", 2, 0, 0},
    [DIVIDE] = {"divide", 2, 0, 0},
    [SCALE] = {"scale", 1, 0, 2},
    [CLAMP] = {"clamp", 1, 0, 2},
    [AT_LEAST] = {"at_least", 1, 0, 1},
    [COSINE] = {"cosine", 1, 0, 2},
    [SLICE] = {"slice", 1, 2, 0},
    [CONCAT] = {"concat", 2, 0, 0},
    [REPEAT] = {"repeat", 1, 1, 0},
    [MATMUL] = {"matmul", 2, 0, 0},
    [SUM] = {"sum", 1, 0, 0},
    [LOG_SUM_EXP] = {"log_sum_exp", 1, 0, 0},
    [LOG_DENSITY] = {"normal_log_density", 1, 0, 0},
};

static bool find_op(word name, unsigned *op, form *out) {
    for (unsigned i = 0; i < UNARY; i++)
        if (is_word(name, forms[i].name)) {
            *op = i;
            *out = forms[i];
            return true;
        }
    for (unsigned i = 0; i < cf_function_count; i++)
        if (is_word(name, cf_functions[i].name)) {
            *op = UNARY + i;
            *out = (form){cf_functions[i].name, 1, 0, 0};
            return true;
        }
    return false;
}

/* The size of the value of an instruction whose operands have the sizes a and b; 0: they do not
 * fit. */
static size_t size_of(const cf_instruction *in, const cf_instruction_scope *scope, size_t a,
                      size_t b) {
    const cf_declarations *d = scope->declared;
    size_t n = in->integer[0];
    switch (in->op) {
    case PARAMETER:
        return n < d->parameters ? d->parameter[n].size : 0;
    case NETWORK:
        return n < d->networks && a == cf_shape_features(d->network[n].inputs) ? d->network[n].size
                                                                               : 0;
    case INPUT:
    case CONTEXT:
    case CONSTANT:
    case NORMAL:
    case UNIFORM:
        return n;
    case ADD:
    case SUBTRACT:
    case MULTIPLY:
    case DIVIDE:
        return a == b || b == 1 ? a : a == 1 ? b : 0;
    case SLICE:
        return n <= a && in->integer[1] <= a - n ? in->integer[1] : 0;
    case CONCAT:
        return a + b < MOST_SIZE ? a + b : 0;
    case REPEAT:
        return a == 1 ? n : 0;
    case MATMUL:
        return a % b == 0 ? a / b : 0;
    case SUM:
    case LOG_SUM_EXP:
    case LOG_DENSITY:
        return 1;
    default:
        return a;
    }
}

/* Matrices are parameters as a whole. */
static bool is_matrix(const cf_instruction *list, size_t i) {
    return list[i].op == PARAMETER;
}

static bool read_instruction(cf_instruction *list, size_t i, word name, const char **text,
                             const cf_instruction_scope *scope) {
    cf_instruction *in = &list[i];
    form form;
    size_t sizes[2] = {0, 0}, place;
    *in = (cf_instruction){0};
    if (!find_op(name, &in->op, &form))
        return false;
    for (unsigned k = 0; k < form.operands; k++) {
        if (!read_size(text, i, &in->operand[k]))
            return false;
        sizes[k] = list[in->operand[k]].size;
    }
    for (unsigned k = 0; k < form.integers; k++)
        if (!read_size(text, MOST_SIZE, &in->integer[k]))
            return false;
    for (unsigned k = 0; k < form.numbers; k++) {
        if (!read_size(text, scope->numbers, &place))
            return false;
        in->number[k] = scope->number[place];
    }
    if (in->op == MATMUL && !is_matrix(list, in->operand[0]))
        return false;
    in->size = size_of(in, scope, sizes[0], sizes[1]);
    return in->size > 0;
}

/* Whether the rows are those that the function was traced for. */
static cf_status check_rows(const cf_instruction *in, const cf_instruction_scope *scope) {
    size_t got = in->op == INPUT ? scope->input : in->op == CONTEXT ? scope->context : in->size;
    if (got == in->size)
        return CF_OK;
    return cf_fail(CF_INVALID, "Expression: it was traced for %zu %sfeatures, got %zu", in->size,
                   in->op == CONTEXT ? "context " : "", got);
}

static bool read_return(cf_instructions *out, const char **text, size_t count) {
    const char *rest = *text;
    out->log_det = SIZE_MAX;
    if (!read_size(text, count, &out->value))
        return false;
    rest = *text;
    if (next_word(&rest).length > 0 &&
        (!read_size(text, count, &out->log_det) || out->list[out->log_det].size != 1))
        return false;
    return end_of_instruction(text) && **text == '\0';
}

cf_status cf_instructions_read(cf_instructions *out, cf_pile *pile, const char *text,
                               const cf_instruction_scope *scope) {
    size_t most = count_instructions(text);
    cf_instruction *list;
    if (most > MOST_INSTRUCTIONS)
        return cf_fail(CF_INVALID, "Expression: %zu instructions are too many", most);
    CF_TRY(cf_pile_take(pile, &list, most, sizeof *list));
    *out = (cf_instructions){.list = list};
    for (size_t i = 0; i < most; i++) {
        word name = next_word(&text);
        if (is_word(name, "return"))
            return read_return(out, &text, i) ? CF_OK : fail_at("instruction", i);
        if (!read_instruction(list, i, name, &text, scope) || !end_of_instruction(&text))
            return fail_at("instruction", i);
        CF_TRY(check_rows(&list[i], scope));
        out->count = i + 1;
        out->draws |= list[i].op == NORMAL || list[i].op == UNIFORM;
    }
    return cf_fail(CF_INVALID, "Expression: the instructions do not end with a return");
}

/* ---- emission ---- */

static cf_value emit_one(const cf_instruction *in, const cf_declarations *declared, cf_builder *b,
                         const cf_value *values) {
    cf_value x = values[in->operand[0]], y = values[in->operand[1]];
    switch (in->op) {
    case PARAMETER:
        return cf_parameter(b, declared->parameter[in->integer[0]].offset, in->size);
    case NETWORK:
        return cf_conditioner_emit(&declared->network[in->integer[0]].conditioner, b,
                                   cf_broadcast(b, x), CF_NO_VALUE);
    case CONSTANT:
        return cf_constant(b, CF_ROW, in->size, in->number[0]);
    case NORMAL:
        return cf_normal_noise(b, in->size);
    case UNIFORM:
        return cf_uniform_noise(b, in->size);
    case ADD:
        return cf_add(b, x, y);
    case SUBTRACT:
        return cf_subtract(b, x, y);
    case MULTIPLY:
        return cf_multiply(b, x, y);
    case DIVIDE:
        return cf_divide(b, x, y);
    case SCALE:
        return cf_scale(b, x, in->number[0], in->number[1]);
    case CLAMP:
        return cf_clamp(b, x, in->number[0], in->number[1]);
    case AT_LEAST:
        return cf_at_least(b, x, in->number[0]);
    case COSINE:
        return cf_cosine(b, x, in->number[0], in->number[1]);
    case SLICE:
        return cf_slice(b, x, in->integer[0], in->integer[1]);
    case CONCAT:
        return cf_concat(b, (cf_value[]){cf_broadcast(b, x), cf_broadcast(b, y)}, 2);
    case REPEAT:
        return cf_repeat(b, x, in->size);
    case MATMUL:
        return cf_matmul(b, x, CF_NO_VALUE, cf_broadcast(b, y), in->size);
    case SUM:
        return cf_sum_features(b, x);
    case LOG_SUM_EXP:
        return cf_log_sum_exp(b, x);
    case LOG_DENSITY:
        return cf_normal_log_density(b, cf_broadcast(b, x));
    default:
        return cf_functions[in->op - UNARY].emit(b, x);
    }
}

cf_value cf_instructions_emit(const cf_instructions *instructions, const cf_declarations *declared,
                              cf_builder *b, cf_value input, cf_value context, cf_value *log_det) {
    cf_value *values, result = CF_NO_VALUE;
    *log_det = CF_NO_VALUE;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_alloc(&values, instructions->count, sizeof *values) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for an expression");
    for (size_t i = 0; i < instructions->count && cf_builder_status(b) == CF_OK; i++) {
        const cf_instruction *in = &instructions->list[i];
        if (in->op == INPUT || in->op == CONTEXT)
            values[i] = in->op == INPUT ? input : context;
        else
            values[i] = emit_one(in, declared, b, values);
    }
    if (cf_builder_status(b) == CF_OK) {
        result = cf_broadcast(b, values[instructions->value]);
        if (instructions->log_det != SIZE_MAX)
            *log_det = values[instructions->log_det];
    }
    cf_free(values);
    return result;
}
