/* The operations of instructions, a line each:
 *
 *     CF_OPERATION(name, operands, integers, numbers, features, value, parameters, doc)
 *
 * operands, integers, numbers
 *              how many of each follow the name in an instruction
 * features     of the value, from nx, ny and nz, those of the operands, and i and j, the integers;
 *              0: they do not fit. Whatever a file says comes here: any of them may be 0
 * value        what the builder b emits, of x, y and z, the operands, i and j, the integers, s and
 *              t, the numbers, and `size`, the features
 * parameters   how Python calls operands, integers and numbers, in this order; of numbers there may
 *              be defaults: "x, factor=1.0". Python's integers are 1 or more
 * doc          what Python says of it; NULL: `cflows.nn` has the operation in a form of its own
 *
 * CF_DO_name in C, name in instructions and in `cflows.nn` follow. operations.c has what is longer
 * than a line. */

/* what a function knows */
CF_OPERATION(input, 0, 1, 0, i, input[0], NULL, NULL)
CF_OPERATION(context, 0, 1, 0, i, input[1], NULL, NULL)
CF_OPERATION(argument, 0, 2, 0, j, input[i], NULL, NULL)
CF_OPERATION(call, 0, 2, 0, j, emit_call(in, b, values), NULL, NULL)
CF_OPERATION(parameter, 0, 1, 0, parameter_size(declared, i),
             cf_parameter(b, declared->parameter[i].offset, size), NULL, NULL)
CF_OPERATION(network, 1, 1, 0, network_size(declared, i, nx),
             emit_network(b, &declared->network[i], x), NULL, NULL)
CF_OPERATION(constant, 0, 1, 1, i, cf_constant(b, CF_BATCHED, i, s), NULL, NULL)

/* derivatives */
CF_OPERATION(copy, 1, 0, 0, nx, cf_copy(b, cf_broadcast(b, x)), NULL, NULL)
CF_OPERATION(gradient, 3, 0, 0, nx == ny ? nz : 0, emit_gradient(b, x, y, z), NULL, NULL)

/* operators */
CF_OPERATION(add, 2, 0, 0, broadcast_size(nx, ny), cf_add(b, x, y), NULL, NULL)
CF_OPERATION(subtract, 2, 0, 0, broadcast_size(nx, ny), cf_subtract(b, x, y), NULL, NULL)
CF_OPERATION(multiply, 2, 0, 0, broadcast_size(nx, ny), cf_multiply(b, x, y), NULL, NULL)
CF_OPERATION(divide, 2, 0, 0, broadcast_size(nx, ny), cf_divide(b, x, y), NULL, NULL)
CF_OPERATION(scale_shift, 1, 0, 2, nx, cf_scale_shift(b, x, s, t), NULL, NULL)

/* features */
CF_OPERATION(slice, 1, 2, 0, i <= nx && j <= nx - i ? j : 0, cf_slice(b, x, i, j), NULL, NULL)
CF_OPERATION(concat, 2, 0, 0, concat_size(nx, ny), emit_concat(b, x, y), NULL, NULL)
CF_OPERATION(repeat, 1, 1, 0, nx == 1 ? i : 0, cf_repeat(b, x, i), NULL, NULL)
CF_OPERATION(matmul, 2, 0, 0, matmul_size(nx, ny),
             cf_matmul(b, x, CF_NO_VALUE, cf_broadcast(b, y), size), NULL, NULL)

/* functions of single numbers */
#define CF_FUNCTION(name, value, of, slope, bend, doc)                                             \
    CF_OPERATION(name, 1, 0, 0, nx, cf_##name(b, x), "x", doc)
#include "ops/function_list.h"
#undef CF_FUNCTION
CF_OPERATION(floor, 1, 0, 0, nx, cf_floor(b, x), "x",
             "The greatest integers not above x; without a gradient.")
CF_OPERATION(cosine, 1, 0, 2, nx, cf_cosine(b, x, s, t), "x, turns=1.0, phase=0.0",
             "``cos(2 pi (turns * x + phase))``; a phase of -1/4 makes it the sine.")
CF_OPERATION(clamp, 1, 0, 2, nx, cf_clamp(b, x, s, t), "x, low, high",
             "``min(max(x, low), high)``; the gradient is 0 outside.")
CF_OPERATION(greater_equal, 1, 0, 1, nx, cf_greater_equal(b, x, s), "x, threshold",
             "1 where ``x >= threshold``, else 0; without a gradient.")

/* of all features */
CF_OPERATION(sum, 1, 0, 0, 1, cf_sum_features(b, x), "x",
             "The sum over the features of a row: one feature.")
CF_OPERATION(log_sum_exp, 1, 0, 0, 1, cf_log_sum_exp(b, x), "x",
             "``log(sum(exp(x)))``, without overflow: one feature.")
CF_OPERATION(normal_log_density, 1, 0, 0, 1, cf_normal_log_density(b, cf_broadcast(b, x)), "x",
             "The log-density of independent standard normal features: one feature.")

/* random numbers */
CF_OPERATION(normal, 0, 1, 0, i, cf_normal_noise(b, i), "size",
             "Standard normal numbers, drawn afresh for every row and step.")
CF_OPERATION(uniform, 0, 1, 0, i, cf_uniform_noise(b, i), "size",
             "Numbers uniform on [0, 1), drawn afresh for every row and step.")
