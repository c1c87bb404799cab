/* Functions of rows as text, one instruction after the other: what a traced Python function is in a
 * spec and in a file. */
#ifndef CF_NN_INSTRUCTIONS_H
#define CF_NN_INSTRUCTIONS_H

#include "base/arena.h"
#include "model/model.h"
#include "nn/declarations.h"

enum {
    CF_MAX_INSTRUCTION_OPERANDS = CF_MAX_PORTS, /* a call's */
    CF_MAX_OPERATION_OPERANDS = 3,              /* of all others */
    CF_MAX_INTEGERS = 2,
    CF_MAX_NUMBERS = 2
};

typedef struct {
    unsigned op;
    size_t operand[CF_MAX_INSTRUCTION_OPERANDS], integer[CF_MAX_INTEGERS];
    double number[CF_MAX_NUMBERS];
    const cf_function *function; /* of a call */
    size_t size;                 /* of the value */
} cf_instruction;

typedef struct {
    size_t count;
    const cf_instruction *list;
    size_t returned[CF_MAX_PORTS], returns; /* by number of the instruction */
    bool draws;                             /* random numbers */
} cf_instructions;

/* What the instructions may refer to. */
typedef struct {
    size_t input[CF_MAX_PORTS]; /* features of the inputs, 0: there is none; the second is called
                                   the context */
    const cf_declarations *declared;
    size_t numbers;
    const double *number;
    const cf_model *model; /* whose functions may be called; NULL: none */
} cf_instruction_scope;

/* Reads "OP ARGUMENTS; …; return VALUE …" and checks all sizes, so that what has been read can be
 * emitted. */
cf_status cf_instructions_read(cf_instructions *out, cf_arena *arena, const char *text,
                               const cf_instruction_scope *scope);

/* Emits them for the inputs; output[i] is the i-th value that they return. */
void cf_instructions_emit(const cf_instructions *instructions, const cf_declarations *declared,
                          cf_builder *b, const cf_value *input, cf_value *output);

#endif
