/* The functions of single numbers by name. */
#ifndef CF_OPS_FUNCTIONS_H
#define CF_OPS_FUNCTIONS_H

#include "ops/ops.h"

typedef struct {
    const char *name, *doc;
    cf_value (*emit)(cf_builder *b, cf_value x);
} cf_unary_function;

extern const cf_unary_function cf_unary_functions[];
extern const size_t cf_unary_function_count;

#endif
