/* The operations of instructions: what they are called, what follows, how they are emitted. */
#ifndef CF_NN_OPERATIONS_H
#define CF_NN_OPERATIONS_H

#include "nn/instructions.h"

enum { CF_MAX_EXPRESSION_SIZE = 1 << 20 }; /* no integer of an instruction is as large */

typedef enum {
#define CF_OPERATION(name, operands, integers, numbers, features, value, parameters, doc)          \
    CF_DO_##name,
#include "nn/operation_list.h"
#undef CF_OPERATION
    CF_OPERATIONS
} cf_operation;

/* What follows the name: operands, whole numbers, and indices into the list of numbers. What Python
 * calls them and says of the operation; NULL: it has no function of that name. */
typedef struct {
    const char *name;
    unsigned operands, integers, numbers;
    const char *parameters, *doc;
} cf_operation_form;

extern const cf_operation_form cf_operation_forms[CF_OPERATIONS];

/* The operation of that name; false if there is none. */
bool cf_find_operation(const char *name, size_t length, unsigned *op);

/* The size of the value for operands of these sizes and for these integers, as many as the form
 * has; 0: they do not fit. */
size_t cf_operation_size(cf_operation op, const cf_declarations *declared, const size_t *sizes,
                         const size_t *integers);

/* Emits one instruction; `values` are those of the instructions before it. */
cf_value cf_operation_emit(const cf_instruction *in, const cf_declarations *declared, cf_builder *b,
                           const cf_value *input, const cf_value *values);

#endif
