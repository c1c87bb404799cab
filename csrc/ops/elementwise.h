/* What elementwise ops have in common. Outside kernels it declares how one is emitted; inside an
 * instantiated body (CF_FN is defined) it defines the loops around a formula. */
#ifndef CF_FN

#ifndef CF_OPS_ELEMENTWISE_H
#define CF_OPS_ELEMENTWISE_H

#include "engine/plan.h"
#include "ops/ops.h"

/* Emits an elementwise op after bringing its operands to one kind and one size. */
cf_value cf_elementwise_op(cf_builder *b, const cf_op *op, size_t operands, const cf_value *operand,
                           cf_params params);

static inline cf_value cf_unary_op(cf_builder *b, const cf_op *op, cf_value x) {
    return cf_elementwise_op(b, op, 1, (cf_value[]){x}, CF_NO_PARAMS);
}

static inline cf_value cf_binary_op(cf_builder *b, const cf_op *op, cf_value x, cf_value y) {
    return cf_elementwise_op(b, op, 2, (cf_value[]){x, y}, CF_NO_PARAMS);
}

/* Whether the epilogue of a step is ReLU, which the matrix kernels apply by themselves. */
bool cf_relu_follows(const cf_step *step);

#endif

#else

#include "simd/math.h"

/* out = formula of x, in which CF_PARAM(field) is a number of the op's parameters, a struct `type`,
 * in every lane. */
#undef CF_UNARY_WITH
#define CF_UNARY_WITH(type, name, formula)                                                         \
    static void CF_FN(name)(const void *params, size_t n, const void *const *in, void *out) {      \
        const type *p = params;                                                                    \
        (void)p;                                                                                   \
        const real *xs = in[0];                                                                    \
        real *ys = out;                                                                            \
        size_t i = 0;                                                                              \
        for (; i + VL <= n; i += VL) {                                                             \
            vreal x = v_load(xs + i);                                                              \
            v_store(ys + i, formula);                                                              \
        }                                                                                          \
        if (i < n) {                                                                               \
            vreal x = v_load_n(xs + i, n - i);                                                     \
            v_store_n(ys + i, formula, n - i);                                                     \
        }                                                                                          \
    }

/* out = formula of x and y. */
#undef CF_BINARY_WITH
#define CF_BINARY_WITH(type, name, formula)                                                        \
    static void CF_FN(name)(const void *params, size_t n, const void *const *in, void *out) {      \
        const type *p = params;                                                                    \
        (void)p;                                                                                   \
        const real *xs = in[0], *ys = in[1];                                                       \
        real *zs = out;                                                                            \
        size_t i = 0;                                                                              \
        for (; i + VL <= n; i += VL) {                                                             \
            vreal x = v_load(xs + i), y = v_load(ys + i);                                          \
            v_store(zs + i, formula);                                                              \
        }                                                                                          \
        if (i < n) {                                                                               \
            vreal x = v_load_n(xs + i, n - i), y = v_load_n(ys + i, n - i);                        \
            v_store_n(zs + i, formula, n - i);                                                     \
        }                                                                                          \
    }

#undef CF_PARAM
#define CF_PARAM(field) v_set1((real)p->field)

/* The same of ops without parameters. */
#undef CF_UNARY
#undef CF_BINARY
#define CF_UNARY(name, formula) CF_UNARY_WITH(void, name, formula)
#define CF_BINARY(name, formula) CF_BINARY_WITH(void, name, formula)

#endif
