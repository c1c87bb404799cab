/* The engine by itself: views, phases, gradients of gradients, what a permutation costs. */
#include "programs.h"

#include "base/memory.h"
#include "engine/layout.h"
#include "layers/layer.h"
#include "ops/ops.h"

#include <string.h>

enum { ROWS = 300, FEATURES = 3 };

/* Batch normalisation: a reduction that later ops read, so two phases, and in the gradient three.
 */
static cf_value emit_batch_norm(cf_builder *b, cf_value x) {
    cf_value mean = cf_scale_shift(b, cf_sum_samples(b, x), 1.0 / ROWS, 0.0);
    cf_value centred = cf_subtract(b, x, mean);
    cf_value variance =
        cf_scale_shift(b, cf_sum_samples(b, cf_multiply(b, centred, centred)), 1.0 / ROWS, 0.1);
    return cf_multiply(b, centred, cf_exp(b, cf_scale_shift(b, cf_log(b, variance), -0.5, 0.0)));
}

static void plain_batch_norm(const double *x, double *y) {
    for (int f = 0; f < FEATURES; f++) {
        double mean = 0, variance = 0;
        for (int i = 0; i < ROWS; i++)
            mean += x[i * FEATURES + f] / ROWS;
        for (int i = 0; i < ROWS; i++)
            variance += (x[i * FEATURES + f] - mean) * (x[i * FEATURES + f] - mean) / ROWS;
        for (int i = 0; i < ROWS; i++)
            y[i * FEATURES + f] = (x[i * FEATURES + f] - mean) / sqrt(variance + 0.1);
    }
}

/* sum of dy tanh(batch_norm(x)) */
static double plain_objective(const double *x, const double *dy) {
    static double y[ROWS * FEATURES];
    double sum = 0;
    plain_batch_norm(x, y);
    for (int i = 0; i < ROWS * FEATURES; i++)
        sum += dy[i] * tanh(y[i]);
    return sum;
}

static void test_phases(void) {
    static double x[ROWS * FEATURES], y[ROWS * FEATURES], dy[ROWS * FEATURES], dx[ROWS * FEATURES];
    static double truth[ROWS * FEATURES], other[ROWS * FEATURES];
    unsigned state = 1;
    for (int i = 0; i < ROWS * FEATURES; i++) {
        x[i] = 2 * check_random(&state) + 5;
        dy[i] = check_random(&state);
    }
    cf_builder *b = new_builder();
    cf_value input = cf_input(b, 0, FEATURES, CF_PAD_REPEAT), gradient;
    cf_value output = cf_tanh(b, emit_batch_norm(b, input));
    cf_value cotangent = cf_input(b, 1, FEATURES, CF_PAD_ZERO);
    cf_gradient(b, 1, &output, &cotangent, 1, &input, &gradient);
    cf_output(b, 0, output);
    cf_output(b, 1, gradient);
    cf_program *program = finish(b, 0);
    CHECK(program->phase_count >= 3);
    cf_run_args args = {.samples = ROWS, .dtype = CF_FLOAT64, .threads = 1};
    args.input[0] = cf_double_rows(x, FEATURES);
    args.input[1] = cf_double_rows(dy, FEATURES);
    args.output[0] = (cf_result){y, FEATURES};
    args.output[1] = (cf_result){dx, FEATURES};
    CHECK_OK(cf_run(program, &args));
    plain_batch_norm(x, truth);
    for (int i = 0; i < ROWS * FEATURES; i++)
        CHECK_CLOSE(y[i], tanh(truth[i]), 1e-13);
    for (int i = 0; i < ROWS * FEATURES; i += 37) {
        double h = 1e-5, start = x[i], up, down;
        x[i] = start + h;
        up = plain_objective(x, dy);
        x[i] = start - h;
        down = plain_objective(x, dy);
        x[i] = start;
        CHECK_CLOSE(dx[i], (up - down) / (2 * h), 1e-8);
    }
    for (int threads = 2; threads <= 8; threads *= 2) {
        args.threads = threads;
        args.output[1].data = other;
        CHECK_OK(cf_run(program, &args));
        CHECK(memcmp(dx, other, sizeof dx) == 0);
    }
    cf_program_free(program);
}

/* d2/dx2 of smooth functions, by asking for the gradient of the gradient. */
static void test_gradient_of_gradient(void) {
    cf_value (*const functions[])(cf_builder *, cf_value) = {
        cf_tanh, cf_sigmoid, cf_softplus, cf_silu, cf_gelu, cf_exp, cf_log1p, cf_expm1, cf_elu};
    for (size_t k = 0; k < sizeof functions / sizeof *functions; k++) {
        double x[5] = {-0.8, -0.3, 0.1, 0.9, 2.0}, d1[5], d2[5];
        cf_builder *b = new_builder();
        cf_value input = cf_input(b, 0, 1, CF_PAD_REPEAT), first, second;
        cf_value one = cf_constant(b, CF_BATCHED, 1, 1.0), y = functions[k](b, input);
        cf_gradient(b, 1, &y, &one, 1, &input, &first);
        cf_gradient(b, 1, &first, &one, 1, &input, &second);
        cf_output(b, 0, first);
        cf_output(b, 1, second);
        cf_program *program = finish(b, 0);
        cf_run_args args = {.samples = 5, .dtype = CF_FLOAT64, .threads = 1};
        args.input[0] = cf_double_rows(x, 1);
        args.output[0] = (cf_result){d1, 1};
        args.output[1] = (cf_result){d2, 1};
        double up[5], down[5], h = 1e-5;
        for (int sign = -1; sign <= 1; sign += 2) {
            for (int i = 0; i < 5; i++)
                x[i] += sign * h;
            args.output[0].data = sign < 0 ? down : up;
            CHECK_OK(cf_run(program, &args));
            for (int i = 0; i < 5; i++)
                x[i] -= sign * h;
        }
        args.output[0].data = d1;
        CHECK_OK(cf_run(program, &args));
        for (int i = 0; i < 5; i++)
            CHECK_CLOSE(d2[i], (up[i] - down[i]) / (2 * h), 1e-8);
        cf_program_free(program);
    }
}

/* An op whose gradient has no rule. */
static const cf_op slope_without_rule = {.name = "once gradient"};

static void once_rule(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                      const bool *needed, cf_value *dx) {
    (void)out;
    (void)needed;
    dx[0] = cf_emit(b, &slope_without_rule, CF_BATCHED, 1, 2, (cf_value[]){node->operand[0], dout},
                    CF_NO_PARAMS);
}

static const cf_op once = {.name = "once", .gradient = once_rule};

static void test_once_differentiable_is_told(void) {
    cf_builder *b = new_builder();
    cf_value x = cf_input(b, 0, 1, CF_PAD_REPEAT), one = cf_constant(b, CF_BATCHED, 1, 1.0);
    cf_value y = cf_emit(b, &once, CF_BATCHED, 1, 1, &x, CF_NO_PARAMS), first, second;
    cf_gradient(b, 1, &y, &one, 1, &x, &first);
    CHECK_OK(cf_builder_status(b));
    cf_gradient(b, 1, &first, &one, 1, &x, &second);
    CHECK(cf_builder_status(b) == CF_INVALID);
    CHECK(strstr(cf_message(), "once") != NULL);
    cf_builder_free(b);
}

/* Steps and feature rows of a program for y = tanh of x in another order, or of x itself. */
static void count_costs(bool permuted, size_t *steps, uint32_t *rows) {
    cf_builder *b = new_builder();
    cf_value x = cf_input(b, 0, 4, CF_PAD_REPEAT);
    if (permuted)
        x = cf_select(b, x, (int64_t[]){2, 0, 3, 1}, 4);
    cf_output(b, 0, cf_tanh(b, x));
    cf_program *program = finish(b, 0);
    *steps = program->phases[0].tile.count;
    *rows = program->feature_rows;
    cf_program_free(program);
}

static size_t flow_nodes(size_t permutations) {
    cf_spec *specs[3], *chain;
    cf_arena arena = {0};
    cf_binding binding = {.arena = &arena, .parameters.max = INT32_MAX};
    cf_layer layer;
    CHECK_OK(cf_spec_new(&chain, &cf_chain_type));
    for (size_t i = 0; i < 3; i++) {
        CHECK_OK(cf_spec_new(&specs[i], &cf_permutation_type));
        CHECK_OK(cf_spec_finish(specs[i]));
    }
    CHECK_OK(cf_spec_set_specs(chain, "layers", specs, permutations));
    CHECK_OK(cf_layer_bind(&layer, chain, &binding, cf_vector(5), cf_vector(0)));
    cf_builder *b = new_builder();
    cf_value x = cf_input(b, 0, 5, CF_PAD_REPEAT), log_det;
    x = cf_layer_forward(&layer, b, x, CF_NO_VALUE, &log_det);
    CHECK(cf_is_none(log_det));
    cf_output(b, 0, x);
    CHECK_OK(cf_builder_status(b));
    size_t nodes = cf_builder_nodes(b);
    cf_builder_free(b);
    cf_binding_free(&binding);
    cf_arena_free(&arena);
    cf_spec_free(chain);
    for (size_t i = 0; i < 3; i++)
        cf_spec_free(specs[i]);
    return nodes;
}

static void test_permutation_costs_nothing(void) {
    size_t plain_steps, steps;
    uint32_t plain_rows, rows;
    count_costs(false, &plain_steps, &plain_rows);
    count_costs(true, &steps, &rows);
    CHECK(steps == plain_steps);
    CHECK(flow_nodes(3) == flow_nodes(0));
    /* In-place reuse needs the same order, so the plan may keep input and output apart: that is not
     * the permutation's. */
    CHECK(rows <= plain_rows + 4);
}

static void test_views(void) {
    double x[4] = {1, 2, 3, 4}, y[6];
    cf_builder *b = new_builder();
    cf_value v = cf_input(b, 0, 4, CF_PAD_REPEAT), gradient;
    cf_value tail = cf_slice(b, v, 1, 3), odd = cf_select(b, v, (int64_t[]){1, 3}, 2);
    cf_value joined =
        cf_concat(b, (cf_value[]){odd, CF_NO_VALUE, cf_repeat(b, cf_slice(b, v, 0, 1), 2), odd}, 4);
    CHECK(cf_value_size(b, tail) == 3 && cf_value_size(b, joined) == 6);
    size_t before = cf_builder_nodes(b);
    cf_value merged = cf_merge(b, odd, (int64_t[]){1, 3}, 2, cf_select(b, v, (int64_t[]){0, 2}, 2),
                               (int64_t[]){0, 2}, 2);
    CHECK(cf_builder_nodes(b) == before && cf_whole_node(b, merged) == cf_whole_node(b, v));
    cf_value squares = cf_multiply(b, joined, joined), ones = cf_constant(b, CF_BATCHED, 6, 1.0);
    cf_gradient(b, 1, &squares, &ones, 1, &v, &gradient);
    cf_output(b, 0, squares);
    cf_output(b, 1, gradient);
    cf_program *program = finish(b, 0);
    cf_run_args args = {.samples = 1, .dtype = CF_FLOAT64, .threads = 1};
    double dx[4];
    args.input[0] = cf_double_rows(x, 4);
    args.output[0] = (cf_result){y, 6};
    args.output[1] = (cf_result){dx, 4};
    CHECK_OK(cf_run(program, &args));
    double squared[6] = {4, 16, 1, 1, 4, 16}, slope[4] = {4, 8, 0, 16};
    CHECK(memcmp(y, squared, sizeof y) == 0);
    CHECK(memcmp(dx, slope, sizeof dx) == 0);
    cf_program_free(program);
}

static void test_misuse_is_told(void) {
    cf_builder *b = new_builder();
    cf_value x = cf_input(b, 0, 3, CF_PAD_REPEAT);
    CHECK(cf_is_none(cf_slice(b, x, 2, 2)));
    CHECK(cf_builder_status(b) == CF_INVALID);
    CHECK(cf_is_none(cf_tanh(b, x))); /* the status is sticky */
    cf_program *program;
    CHECK(cf_program_new(&program, b, 0) == CF_INVALID && program == NULL);
    cf_builder_free(b);
    b = new_builder();
    x = cf_input(b, 0, 3, CF_PAD_REPEAT);
    cf_add(b, x, cf_input(b, 1, 2, CF_PAD_REPEAT));
    CHECK(cf_builder_status(b) == CF_INVALID);
    cf_builder_free(b);
    b = new_builder();
    cf_matmul(b, cf_parameter(b, 0, 7), CF_NO_VALUE, cf_input(b, 0, 3, CF_PAD_REPEAT), 2);
    CHECK(cf_builder_status(b) == CF_INVALID);
    cf_builder_free(b);
}

/* An op takes its own struct alone. */
static void test_parameters_of_another_size_are_told(void) {
    static const cf_op op = {.name = "takes a double", .params = sizeof(double)};
    double own = 0.5;
    float other = 0.5F;
    cf_builder *b = new_builder();
    cf_value value = cf_emit(b, &op, CF_BATCHED, 1, 0, NULL, CF_PARAMS(&own));
    CHECK_OK(cf_builder_status(b));
    const cf_node *node = cf_whole_node(b, value);
    CHECK(node->params != &own && *(const double *)node->params == 0.5);
    cf_emit(b, &op, CF_BATCHED, 1, 0, NULL, CF_PARAMS(&other));
    CHECK(cf_builder_status(b) == CF_INVALID);
    CHECK(strstr(cf_message(), "takes a double: 4 bytes of parameters, expected 8") != NULL);
    cf_builder_free(b);
    b = new_builder();
    cf_emit(b, &op, CF_BATCHED, 1, 0, NULL, CF_NO_PARAMS);
    CHECK(cf_builder_status(b) == CF_INVALID);
    cf_builder_free(b);
}

static void test_layout(void) {
    cf_layout layout = {0};
    uint32_t a, b, c, d;
    CHECK_OK(cf_layout_acquire(&layout, 3, &a));
    CHECK_OK(cf_layout_acquire(&layout, 4, &b));
    CHECK_OK(cf_layout_acquire(&layout, 5, &c));
    CHECK(a == 0 && b == 3 && c == 7 && layout.end == 12);
    CHECK_OK(cf_layout_release(&layout, b, 4));
    CHECK_OK(cf_layout_release(&layout, a, 3));
    CHECK_OK(cf_layout_acquire(&layout, 7, &d)); /* the two joined */
    CHECK(d == 0 && layout.end == 12);
    CHECK_OK(cf_layout_release(&layout, c, 5));
    CHECK_OK(cf_layout_acquire(&layout, 8, &c)); /* the gap at the end grows */
    CHECK(c == 7 && layout.end == 15);
    CHECK(cf_layout_acquire(&layout, INT32_MAX, &d) == CF_NO_MEMORY);
    cf_layout_free(&layout);
}

static void test_sizes_that_overflow(void) {
    void *pointer;
    size_t product;
    CHECK(!cf_size_mul(SIZE_MAX / 2, 3, &product) && !cf_size_add(SIZE_MAX, 1, &product));
    CHECK(cf_alloc(&pointer, SIZE_MAX / 4, 8) == CF_NO_MEMORY && pointer == NULL);
    CHECK(cf_alloc(&pointer, SIZE_MAX - 8, 1) == CF_NO_MEMORY && pointer == NULL);
    CHECK_OK(cf_alloc(&pointer, 0, 8));
    cf_free(pointer);
}

int main(void) {
    test_phases();
    test_gradient_of_gradient();
    test_once_differentiable_is_told();
    test_permutation_costs_nothing();
    test_views();
    test_misuse_is_told();
    test_parameters_of_another_size_are_told();
    test_layout();
    test_sizes_that_overflow();
    return 0;
}
