/* The matrix kernels on operands that are allocations of their own and of their exact size, for the
 * address sanitizer; results are checked in test_matmul.py.
 *
 *     test_matmul LEVEL    exits with status 0 if all is well at that level, for both dtypes
 */
#define _POSIX_C_SOURCE 200112L

#include "simd/matmul.h"

#include "check.h"

static const size_t sizes[] = {0, 1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 64, 67, 130};
static const size_t all_lanes[] = {16, 32, 64, 128};
enum { SIZES = sizeof sizes / sizeof *sizes, LANES = sizeof all_lanes / sizeof *all_lanes };

static void *allocate(size_t bytes) {
    void *memory;
    CHECK(posix_memalign(&memory, 64, bytes) == 0);
    return memory;
}

/* `count` numbers, all 1. */
static void *ones(size_t count, cf_dtype dtype) {
    void *memory = allocate(count * cf_dtype_size(dtype));
    for (size_t i = 0; i < count; i++)
        if (dtype == CF_FLOAT32)
            ((float *)memory)[i] = 1;
        else
            ((double *)memory)[i] = 1;
    return memory;
}

/* The numbers count - 1, ..., 0. */
static uint32_t *backwards(size_t count) {
    uint32_t *rows = allocate(count * sizeof *rows);
    for (size_t i = 0; i < count; i++)
        rows[i] = (uint32_t)(count - 1 - i);
    return rows;
}

static double entry(const void *memory, size_t i, cf_dtype dtype) {
    return dtype == CF_FLOAT32 ? ((const float *)memory)[i] : ((const double *)memory)[i];
}

/* Output o takes the first o inputs, as far as there are so many. */
static cf_block_mask new_mask(size_t outputs, size_t inputs) {
    uint32_t *end = allocate(outputs * sizeof *end), *first = allocate(inputs * sizeof *first);
    for (size_t o = 0; o < outputs; o++)
        end[o] = (uint32_t)(o < inputs ? o : inputs);
    for (size_t k = 0; k < inputs; k++)
        first[k] = (uint32_t)(k + 1 < outputs ? k + 1 : outputs);
    return (cf_block_mask){outputs, inputs, end, first};
}

static void free_mask(cf_block_mask mask) {
    free((void *)mask.end);
    free((void *)mask.first);
}

static void check_all(const void *memory, size_t count, cf_dtype dtype, double expected) {
    for (size_t i = 0; i < count; i++)
        CHECK(entry(memory, i, dtype) == expected);
}

static void test_linear(cf_simd_level level, cf_dtype dtype, size_t outputs, size_t inputs,
                        size_t lanes) {
    void *weight = ones(outputs * inputs, dtype), *bias = ones(outputs, dtype);
    void *x = ones(inputs * lanes, dtype), *y = allocate(outputs * lanes * cf_dtype_size(dtype));
    uint32_t *rows = backwards(inputs);
    for (int variant = 0; variant < 4; variant++) {
        bool by_output = variant & 1;
        cf_linear_args args = {.outputs = outputs,
                               .inputs = inputs,
                               .lanes = lanes,
                               .weight = weight,
                               .output_stride = by_output ? 1 : inputs,
                               .input_stride = by_output ? outputs : 1,
                               .bias = bias,
                               .x = x,
                               .x_rows = rows,
                               .y = y,
                               .one_sample = (variant & 2) != 0};
        cf_linear[level][dtype](&args);
        check_all(y, outputs * lanes, dtype, 1 + (double)inputs);
    }
    free(weight);
    free(bias);
    free(x);
    free(y);
    free(rows);
}

/* dy and x as rows of one memory, dy first. */
static void test_outer_sum(cf_simd_level level, cf_dtype dtype, size_t outputs, size_t inputs,
                           size_t lanes, size_t slices) {
    size_t slice = (outputs + inputs) * lanes, row_bytes = lanes * cf_dtype_size(dtype);
    char *memory = ones(slice * slices, dtype);
    void *dw = ones(outputs * inputs, dtype);
    void *scratch = allocate(cf_outer_sum_scratch(outputs, inputs, lanes, dtype));
    uint32_t *dy_rows = backwards(outputs), *x_rows = backwards(inputs);
    cf_outer_sum_args args = {.outputs = outputs,
                              .inputs = inputs,
                              .lanes = lanes,
                              .slices = slices,
                              .slice_bytes = slice * cf_dtype_size(dtype),
                              .dy = memory,
                              .x = memory + outputs * row_bytes,
                              .dy_rows = dy_rows,
                              .x_rows = x_rows,
                              .dw = dw,
                              .scratch = scratch,
                              .accumulate = true};
    cf_outer_sum[level][dtype](&args);
    check_all(dw, outputs * inputs, dtype, 1 + (double)(lanes * slices));
    free(memory);
    free(dw);
    free(scratch);
    free(dy_rows);
    free(x_rows);
}

/* The left part of a wider matrix, whose last row ends where the part does. */
static void test_rows_apart(cf_simd_level level, cf_dtype dtype, size_t outputs, size_t inputs,
                            size_t lanes) {
    size_t rows[2] = {outputs, inputs};
    void *x = ones(inputs * lanes, dtype), *y = allocate(outputs * lanes * cf_dtype_size(dtype));
    uint32_t *x_rows = backwards(inputs);
    for (int by_output = 0; by_output < 2; by_output++) {
        size_t width = rows[!by_output], step = width + 3, count = rows[by_output];
        void *weight = ones(count > 0 ? (count - 1) * step + width : 0, dtype);
        cf_linear_args args = {.outputs = outputs,
                               .inputs = inputs,
                               .lanes = lanes,
                               .weight = weight,
                               .output_stride = by_output ? 1 : step,
                               .input_stride = by_output ? step : 1,
                               .x = x,
                               .x_rows = x_rows,
                               .y = y};
        for (int one_sample = 0; one_sample < 2; one_sample++) {
            args.one_sample = one_sample;
            cf_linear[level][dtype](&args);
            check_all(y, outputs * lanes, dtype, (double)inputs);
        }
        free(weight);
    }
    free(x);
    free(y);
    free(x_rows);
}

/* Both uses of a block-triangular mask of ones: sums count what lies inside. */
static void test_masked(cf_simd_level level, cf_dtype dtype, size_t outputs, size_t inputs,
                        size_t lanes) {
    cf_block_mask mask = new_mask(outputs, inputs);
    void *weight = ones(outputs * inputs, dtype), *x = ones((outputs + inputs) * lanes, dtype);
    void *y = allocate((outputs + inputs) * lanes * cf_dtype_size(dtype));
    uint32_t *rows = backwards(outputs + inputs);
    cf_linear_args args = {.outputs = outputs,
                           .inputs = inputs,
                           .lanes = lanes,
                           .weight = weight,
                           .output_stride = inputs,
                           .input_stride = 1,
                           .end = mask.end,
                           .x = x,
                           .x_rows = rows,
                           .y = y};
    cf_linear[level][dtype](&args);
    for (size_t i = 0; i < outputs * lanes; i++)
        CHECK(entry(y, i, dtype) == (double)mask.end[i / lanes]);
    args.outputs = inputs;
    args.inputs = outputs;
    args.output_stride = 1;
    args.input_stride = inputs;
    args.end = NULL;
    args.begin = mask.first;
    cf_linear[level][dtype](&args);
    for (size_t i = 0; i < inputs * lanes; i++)
        CHECK(entry(y, i, dtype) == (double)(outputs - mask.first[i / lanes]));
    free(weight);
    free(x);
    free(y);
    free(rows);
    free_mask(mask);
}

/* Twice, the second time onto the result of the first. */
static void test_outer_masked(cf_simd_level level, cf_dtype dtype, size_t outputs, size_t inputs,
                              size_t lanes, size_t slices) {
    size_t slice = (outputs + inputs) * lanes, row_bytes = lanes * cf_dtype_size(dtype);
    cf_block_mask mask = new_mask(outputs, inputs);
    char *memory = ones(slice * slices, dtype);
    void *dw = ones(outputs * inputs, dtype);
    void *scratch = allocate(cf_outer_sum_scratch(outputs, inputs, lanes, dtype));
    uint32_t *dy_rows = backwards(outputs), *x_rows = backwards(inputs);
    cf_outer_sum_args args = {.outputs = outputs,
                              .inputs = inputs,
                              .lanes = lanes,
                              .slices = slices,
                              .slice_bytes = slice * cf_dtype_size(dtype),
                              .dy = memory,
                              .x = memory + outputs * row_bytes,
                              .dy_rows = dy_rows,
                              .x_rows = x_rows,
                              .dw = dw,
                              .scratch = scratch,
                              .mask = &mask};
    for (size_t times = 1; times <= 2; times++) {
        double inside = (double)(times * lanes * slices);
        args.accumulate = times > 1;
        cf_outer_sum[level][dtype](&args);
        for (size_t i = 0; i < outputs * inputs; i++)
            CHECK(entry(dw, i, dtype) == (i % inputs < mask.end[i / inputs] ? inside : 0.0));
    }
    free(memory);
    free(dw);
    free(scratch);
    free(dy_rows);
    free(x_rows);
    free_mask(mask);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    cf_simd_level level = (cf_simd_level)atoi(argv[1]);
    for (int dtype = 0; dtype < CF_DTYPES; dtype++)
        for (size_t l = 0; l < LANES; l++) {
            for (size_t o = 0; o < SIZES; o++)
                for (size_t k = 0; k < SIZES; k++) {
                    test_linear(level, (cf_dtype)dtype, sizes[o], sizes[k], all_lanes[l]);
                    test_masked(level, (cf_dtype)dtype, sizes[o], sizes[k], all_lanes[l]);
                    test_rows_apart(level, (cf_dtype)dtype, sizes[o], sizes[k], all_lanes[l]);
                    for (size_t slices = 1; slices <= 3; slices++) {
                        test_outer_sum(level, (cf_dtype)dtype, sizes[o], sizes[k], all_lanes[l],
                                       slices);
                        test_outer_masked(level, (cf_dtype)dtype, sizes[o], sizes[k], all_lanes[l],
                                          slices);
                    }
                }
            test_linear(level, (cf_dtype)dtype, 300, 449, all_lanes[l]); /* in several passes */
            test_masked(level, (cf_dtype)dtype, 449, 300, all_lanes[l]);
        }
    return 0;
}
