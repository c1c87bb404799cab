/* Functions of rows as text, one instruction after the other: what a traced Python function is in a
 * spec and in a file. */
#ifndef CF_LAYERS_INSTRUCTIONS_H
#define CF_LAYERS_INSTRUCTIONS_H

#include "base/pile.h"
#include "nn/conditioner.h"

/* What a text may refer to: "parameter NAME SIZE" and "network NAME INPUTS OUTPUTS", separated by
 * semicolons, each numbered in its order. Inputs and outputs are so many features or the shape of
 * an image, "CHANNELSxHEIGHTxWIDTH". */
typedef struct {
    char name[64];
    bool network;
    size_t size;              /* of a parameter, or of a network's outputs */
    size_t offset;            /* of a parameter, in the slab */
    cf_shape inputs, outputs; /* of a network */
    cf_conditioner conditioner;
} cf_declared;

typedef struct {
    cf_declared *parameter, *network;
    size_t parameters, networks;
} cf_declarations;

cf_status cf_declarations_read(cf_declarations *out, cf_pile *pile, const char *text);

typedef struct {
    unsigned op;
    size_t operand[2], integer[2];
    double number[2];
    size_t size; /* of the value */
} cf_instruction;

typedef struct {
    size_t count;
    const cf_instruction *list;
    size_t value;   /* what is returned, by number of the instruction */
    size_t log_det; /* SIZE_MAX: none */
    bool draws;     /* random numbers */
} cf_instructions;

/* What the instructions are about. */
typedef struct {
    size_t input, context; /* features */
    const cf_declarations *declared;
    size_t numbers;
    const double *number;
} cf_instruction_scope;

/* Reads "OP ARGUMENTS; …; return VALUE [LOG_DET]" and checks all sizes, so that what has been read
 * can be emitted. */
cf_status cf_instructions_read(cf_instructions *out, cf_pile *pile, const char *text,
                               const cf_instruction_scope *scope);

/* Emits them for the input; *log_det is CF_NO_VALUE if there is none. */
cf_value cf_instructions_emit(const cf_instructions *instructions, const cf_declarations *declared,
                              cf_builder *b, cf_value input, cf_value context, cf_value *log_det);

#endif
