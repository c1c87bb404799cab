/* The operations of instructions: what they are called, what follows, how they are emitted. For
 * the instructions' own files. */
#ifndef CF_NN_OPERATIONS_H
#define CF_NN_OPERATIONS_H

#include "nn/instructions.h"

typedef enum {
    CF_DO_INPUT,
    CF_DO_CONTEXT,
    CF_DO_ARGUMENT,
    CF_DO_CALL,
    CF_DO_COPY,
    CF_DO_GRADIENT,
    CF_DO_PARAMETER,
    CF_DO_NETWORK,
    CF_DO_CONSTANT,
    CF_DO_NORMAL,
    CF_DO_UNIFORM,
    CF_DO_ADD,
    CF_DO_SUBTRACT,
    CF_DO_MULTIPLY,
    CF_DO_DIVIDE,
    CF_DO_SCALE,
    CF_DO_CLAMP,
    CF_DO_AT_LEAST,
    CF_DO_COSINE,
    CF_DO_SLICE,
    CF_DO_CONCAT,
    CF_DO_REPEAT,
    CF_DO_MATMUL,
    CF_DO_SUM,
    CF_DO_LOG_SUM_EXP,
    CF_DO_LOG_DENSITY,
    CF_DO_UNARY, /* the first of the functions of single numbers, in the order of cf_unary_functions
                  */
} cf_operation;

/* What follows the name: operands, whole numbers, and places in the list of numbers. */
typedef struct {
    const char *name;
    unsigned operands, integers, numbers;
} cf_operation_form;

/* The form of an operation; false if none has that name. */
bool cf_find_operation(const char *name, size_t length, unsigned *op, cf_operation_form *out);

/* Emits one instruction; `values` are those of the instructions before it. */
cf_value cf_operation_emit(const cf_instruction *in, const cf_declarations *declared, cf_builder *b,
                           const cf_value *input, const cf_value *values);

#endif
