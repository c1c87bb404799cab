/* Gradients of loops by their recorded steps, against differences and against the unrolled program;
 * counted loops over stacks of blocks. */
#include "loops.h"

enum { FEATURES = 3, SQUARE = FEATURES * FEATURES, ROWS = 1003, BLOCKS = 5 };
enum { PARAMETERS = BLOCKS * (SQUARE + FEATURES + 1) };

static double params[PARAMETERS], points[ROWS * FEATURES], found[ROWS * 8], slab[PARAMETERS];

static void draw(double spread) {
    unsigned state = 2;
    for (int i = 0; i < PARAMETERS; i++)
        params[i] = spread * check_random(&state);
    for (int i = 0; i < ROWS * FEATURES; i++)
        points[i] = check_random(&state);
}

static cf_run_args args_of(size_t rows, size_t columns) {
    cf_run_args args = {.samples = rows,
                        .dtype = CF_FLOAT64,
                        .threads = 1,
                        .parameters = params,
                        .gradients = slab};
    args.input[0] = cf_double_rows(points, FEATURES);
    args.output[0] = (cf_result){found, columns};
    return args;
}

static cf_value ones(cf_builder *b, size_t features) {
    cf_value one = cf_broadcast_padded(b, cf_constant(b, CF_UNBATCHED, 1, 1.0));
    return cf_repeat(b, one, features);
}

/* --- each sample by its own count
 * --------------------------------------------------------------------- */

typedef struct {
    cf_value weight, bias, scale, x;
} outer;

/* h moves by what depends on parameters and outer rows, also by way of what is hoisted; t falls by
 * an amount of the sample's own. */
static void walk(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                 cf_value *goes_on) {
    const outer *o = context;
    cf_value drift = cf_tanh(b, cf_multiply(b, cf_exp(b, o->x), cf_exp(b, o->scale)));
    cf_value y = cf_tanh(b, cf_matmul(b, o->weight, o->bias, state[0], FEATURES));
    y = cf_multiply(b, cf_add(b, y, cf_scale_shift(b, drift, 0.1, 0.0)), cf_exp(b, o->scale));
    next[0] = cf_add(b, cf_scale_shift(b, state[0], 0.8, 0.0), cf_multiply(b, y, state[1]));
    next[1] =
        cf_subtract(b, state[1], cf_scale_shift(b, cf_exp(b, cf_slice(b, o->x, 0, 1)), 0.1, 0.0));
    *goes_on = next[1];
}

static cf_value emit_walk(cf_builder *b, cf_value x, cf_value *parameters, cf_value *iterations) {
    for (size_t i = 0; i < 3; i++)
        parameters[i] = cf_parameter(b,
                                     i == 0   ? 0
                                     : i == 1 ? SQUARE
                                              : SQUARE + FEATURES,
                                     i == 0   ? SQUARE
                                     : i == 1 ? FEATURES
                                              : 1);
    outer o = {parameters[0], parameters[1], parameters[2], x};
    cf_value one = cf_constant(b, CF_BATCHED, 1, 1.0), end[2];
    cf_value initial[2] = {cf_multiply(b, x, x), cf_add(b, one, cf_slice(b, x, 1, 1))};
    cf_while_spec spec = {.states = 2,
                          .initial = initial,
                          .body = walk,
                          .context = &o,
                          .context_size = sizeof o,
                          .max_iterations = 60,
                          .gradient = cf_recorded_steps};
    cf_while_report report;
    cf_while(b, &spec, end, &report);
    *iterations = report.iterations;
    return cf_concat(b, end, 2);
}

/* Outputs: h and t, iterations, and the gradient by x of the sum of squares of h, t; with
 * `phases` all are divided by their mean square over the batch, so that the way back begins after
 * all tiles have been seen. */
static cf_program *walk_program(bool phases) {
    cf_builder *b = new_builder();
    cf_value wrt[4], gradient[4], iterations;
    wrt[0] = cf_input(b, 0, FEATURES, CF_PAD_REPEAT);
    cf_value end = emit_walk(b, wrt[0], wrt + 1, &iterations);
    cf_value out = end;
    if (phases)
        out = cf_divide(b, end, cf_sum_samples(b, cf_multiply(b, end, end)));
    cf_value cotangent = cf_scale_shift(b, cf_multiply(b, out, ones(b, FEATURES + 1)), 2.0, 0.0);
    cf_gradient(b, 1, &out, &cotangent, 4, wrt, gradient);
    cf_output_gradient(b, 0, gradient[1]);
    cf_output_gradient(b, SQUARE, gradient[2]);
    cf_output_gradient(b, SQUARE + FEATURES, gradient[3]);
    cf_output(b, 0, cf_concat(b, (cf_value[]){out, iterations, gradient[0]}, 3));
    return finish(b, PARAMETERS);
}

static double objective(const cf_program *program, const cf_run_args *args) {
    double sum = 0;
    CHECK_OK(cf_run(program, args));
    for (size_t i = 0; i < args->samples; i++)
        for (int f = 0; f < FEATURES + 1; f++)
            sum += found[8 * i + f] * found[8 * i + f];
    return sum;
}

static double difference(const cf_program *program, const cf_run_args *args, double *at) {
    double start = *at, h = 1e-5, up, down;
    *at = start + h;
    up = objective(program, args);
    *at = start - h;
    down = objective(program, args);
    *at = start;
    return (up - down) / (2 * h);
}

static void test_each_sample_by_its_own_count(bool phases) {
    enum { FEW = 9 };
    double ours[PARAMETERS], gradient[FEW * FEATURES];
    draw(0.7);
    cf_program *program = walk_program(phases);
    cf_run_args args = args_of(FEW, 8);
    CHECK_OK(cf_run(program, &args));
    memcpy(ours, slab, sizeof ours);
    double min = 100, max = 0;
    for (int i = 0; i < FEW * FEATURES; i++)
        gradient[i] = found[8 * (i / FEATURES) + FEATURES + 2 + i % FEATURES];
    for (int i = 0; i < FEW; i++) {
        min = fmin(min, found[8 * i + FEATURES + 1]);
        max = fmax(max, found[8 * i + FEATURES + 1]);
    }
    CHECK(max >= min + 5);
    for (int i = 0; i < SQUARE + FEATURES + 1; i++)
        CHECK_CLOSE(ours[i], difference(program, &args, &params[i]), 1e-7);
    for (int i = 0; i < FEW * FEATURES; i++)
        CHECK_CLOSE(gradient[i], difference(program, &args, &points[i]), 1e-7);
    /* All rows: the same bits on any threads, and for each row. */
    args = args_of(ROWS, 8);
    CHECK_OK(cf_run(program, &args));
    memcpy(ours, slab, sizeof ours);
    for (args.threads = 2; args.threads < 4; args.threads++) {
        memset(slab, 1, sizeof slab);
        CHECK_OK(cf_run(program, &args));
        CHECK(memcmp(ours, slab, sizeof ours) == 0);
    }
    args.threads = 1;
    for (int i = 0; i < SQUARE + FEATURES + 1; i++)
        CHECK_CLOSE(ours[i], difference(program, &args, &params[i]), 1e-5);
    if (!phases)
        check_samples_are_independent(program, args, 0, 8);
    args.samples = 0;
    CHECK_OK(cf_run(program, &args));
    for (int i = 0; i < PARAMETERS; i++)
        CHECK(slab[i] == 0);
    cf_program_free(program);
}

/* --- stacks
 * ------------------------------------------------------------------------------------------- */

typedef struct {
    cf_value weights, rates; /* [blocks, features + 1, features], of which the last are biases */
    size_t blocks;
} stack;

static cf_value layer(cf_builder *b, cf_value block, cf_value rate, cf_value x) {
    cf_value weight = cf_slice(b, block, 0, SQUARE), bias = cf_slice(b, block, SQUARE, FEATURES);
    cf_value y = cf_tanh(b, cf_matmul(b, weight, bias, x, FEATURES));
    return cf_add(b, x, cf_multiply(b, y, rate));
}

static void one_layer(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                      cf_value *goes_on) {
    const stack *s = context;
    (void)goes_on;
    next[0] = layer(b, cf_stack_block(b, s->weights, s->blocks),
                    cf_stack_block(b, s->rates, s->blocks), state[0]);
}

/* Outputs: y and dx of `blocks` layers. */
static cf_program *stack_program(size_t blocks, bool unrolled) {
    enum { EACH = SQUARE + FEATURES };
    cf_builder *b = new_builder();
    cf_value wrt[3], gradient[3], y;
    wrt[0] = cf_input(b, 0, FEATURES, CF_PAD_REPEAT);
    wrt[1] = cf_parameter(b, 0, blocks * EACH);
    wrt[2] = cf_parameter(b, blocks * EACH, blocks);
    stack s = {wrt[1], cf_exp(b, wrt[2]), blocks};
    if (unrolled) {
        y = wrt[0];
        for (size_t i = 0; i < blocks; i++)
            y = layer(b, cf_slice(b, s.weights, i * EACH, EACH), cf_slice(b, s.rates, i, 1), y);
    } else {
        cf_while_spec spec = {.states = 1,
                              .initial = &wrt[0],
                              .body = one_layer,
                              .context = &s,
                              .context_size = sizeof s,
                              .max_iterations = (uint32_t)blocks,
                              .gradient = cf_recorded_steps};
        cf_while(b, &spec, &y, NULL);
    }
    cf_value cotangent = cf_scale_shift(b, cf_multiply(b, y, ones(b, FEATURES)), 2.0, 0.0);
    cf_gradient(b, 1, &y, &cotangent, 3, wrt, gradient);
    cf_output_gradient(b, 0, gradient[1]);
    cf_output_gradient(b, blocks * EACH, gradient[2]);
    cf_output(b, 0, cf_concat(b, (cf_value[]){y, gradient[0]}, 2));
    return finish(b, blocks * (EACH + 1));
}

static void test_stacks(size_t rows) {
    double ours[PARAMETERS], threads[PARAMETERS];
    static double results[ROWS * 2 * FEATURES];
    draw(0.7);
    cf_program *loop = stack_program(BLOCKS, false);
    cf_program *unrolled = stack_program(BLOCKS, true);
    cf_run_args args = args_of(rows, 2 * FEATURES);
    CHECK_OK(cf_run(loop, &args));
    memcpy(ours, slab, sizeof ours);
    memcpy(results, found, sizeof results);
    CHECK_OK(cf_run(unrolled, &args));
    for (size_t i = 0; i < rows * 2 * FEATURES; i++) {
        if (i % (2 * FEATURES) < FEATURES)
            CHECK(results[i] == found[i]);
        else
            CHECK_CLOSE(results[i], found[i], 1e-13);
    }
    double size = 0;
    for (int i = 0; i < BLOCKS * (SQUARE + FEATURES + 1); i++)
        size = fmax(size, fabs(slab[i]));
    for (int i = 0; i < BLOCKS * (SQUARE + FEATURES + 1); i++)
        CHECK(fabs(ours[i] - slab[i]) <= 1e-13 * size);
    for (args.threads = 2; args.threads < 4; args.threads++) {
        CHECK_OK(cf_run(loop, &args));
        memcpy(threads, slab, sizeof threads);
        CHECK(memcmp(threads, ours, BLOCKS * (SQUARE + FEATURES + 1) * sizeof *ours) == 0);
    }
    cf_program_free(loop);
    cf_program_free(unrolled);
}

static void test_plans_do_not_grow(void) {
    cf_program *few = stack_program(3, false), *many = stack_program(3000, false);
    CHECK(few->phase_count == many->phase_count);
    for (size_t i = 0; i < few->phase_count; i++) {
        CHECK(few->phases[i].tile.count == many->phases[i].tile.count);
        CHECK(few->phases[i].unbatched.count == many->phases[i].unbatched.count);
    }
    cf_program_free(few);
    cf_program_free(many);
}

/* --- errors
 * ------------------------------------------------------------------------------------------- */

static void block_made_anew(cf_builder *b, const void *context, const cf_value *state,
                            cf_value *next, cf_value *goes_on) {
    const stack *s = context;
    (void)goes_on;
    next[0] = layer(b, cf_stack_block(b, s->weights, s->blocks),
                    cf_exp(b, cf_stack_block(b, s->rates, s->blocks)), state[0]);
}

static void test_errors(void) {
    cf_builder *b = new_builder();
    cf_value x = cf_input(b, 0, FEATURES, CF_PAD_REPEAT), iterations, wrt[3], first, second;
    cf_value end = emit_walk(b, x, wrt, &iterations), one = ones(b, FEATURES + 1);
    cf_value three = ones(b, FEATURES);
    cf_gradient(b, 1, &end, &one, 1, &x, &first);
    CHECK_OK(cf_builder_status(b));
    cf_gradient(b, 1, &first, &three, 1, &x, &second);
    CHECK(cf_builder_status(b) == CF_INVALID && strstr(cf_message(), "once") != NULL);
    cf_builder_free(b);
    b = new_builder();
    x = cf_input(b, 0, FEATURES, CF_PAD_REPEAT);
    stack s = {cf_parameter(b, 0, BLOCKS * (SQUARE + FEATURES)), cf_parameter(b, 0, BLOCKS),
               BLOCKS};
    cf_while_spec spec = {.states = 1,
                          .initial = &x,
                          .body = block_made_anew,
                          .context = &s,
                          .context_size = sizeof s,
                          .max_iterations = BLOCKS};
    cf_while(b, &spec, &end, NULL);
    CHECK(cf_builder_status(b) == CF_INVALID && strstr(cf_message(), "whole stack") != NULL);
    cf_builder_free(b);
    b = new_builder();
    x = cf_input(b, 0, FEATURES, CF_PAD_REPEAT);
    s.weights = cf_parameter(b, 0, BLOCKS * (SQUARE + FEATURES));
    spec.max_iterations = BLOCKS + 1; /* more than there are */
    spec.initial = &x;
    cf_while(b, &spec, &end, NULL);
    CHECK(cf_builder_status(b) == CF_INVALID && strstr(cf_message(), "no stack") != NULL);
    cf_builder_free(b);
}

int main(void) {
    test_each_sample_by_its_own_count(false);
    test_each_sample_by_its_own_count(true);
    test_stacks(7);
    test_stacks(ROWS);
    test_plans_do_not_grow();
    test_errors();
    return 0;
}
