/* Loops: each sample by its own count, frozen when it has finished; what a body may read; failures;
 * loops in loops; and errors that are told when a program is built. */
#include "loops.h"

enum { ROWS = 1003 };

static double numbers[ROWS], results[ROWS * 8];

static void fill_numbers(double low, double high) {
    unsigned state = 5;
    for (int i = 0; i < ROWS; i++)
        numbers[i] = low + (high - low) * (check_random(&state) + 1) / 2;
}

static cf_run_args args_of(cf_dtype dtype, size_t columns) {
    cf_run_args args = {.samples = ROWS, .dtype = dtype, .threads = 1};
    args.input[0] = cf_double_rows(numbers, 1);
    args.output[0] = (cf_result){results, columns};
    return args;
}

/* Halves x until it is below 1: each sample by its own count. */
static void halve(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                  cf_value *goes_on) {
    (void)context;
    next[0] = cf_scale_shift(b, state[0], 0.5, 0.0);
    *goes_on = cf_greater_equal(b, next[0], 1.0);
}

/* Outputs: x, whether it failed, iterations. */
static cf_program *halving(uint32_t max) {
    cf_builder *b = new_builder();
    cf_value x = cf_input(b, 0, 1, CF_PAD_REPEAT), end;
    cf_while_report report;
    cf_while_spec spec = {.states = 1, .initial = &x, .body = halve, .max_iterations = max};
    cf_while(b, &spec, &end, &report);
    cf_output(b, 0, cf_concat(b, (cf_value[]){end, report.failed, report.iterations}, 3));
    return finish(b, 0);
}

static void test_each_sample_by_its_own_count(void) {
    fill_numbers(0, 3000);
    numbers[5] = NAN;
    numbers[17] = INFINITY;
    cf_program *program = halving(9);
    CHECK_OK(cf_run(program, &(cf_run_args){0})); /* no rows */
    cf_run_args args = args_of(CF_FLOAT64, 3);
    CHECK_OK(cf_run(program, &args));
    int failed = 0, counted = 0;
    for (int i = 0; i < ROWS; i++) {
        double x = numbers[i] / 2;
        int made = 1;
        for (; made < 9 && x >= 1; made++)
            x /= 2;
        counted += results[3 * i + 1] == 1;
        CHECK(results[3 * i + 2] == made);
        if (x >= 1 || isnan(x)) {
            failed++;
            CHECK(isnan(results[3 * i]) && results[3 * i + 1] == 1);
        } else {
            CHECK(results[3 * i] == x && results[3 * i + 1] == 0);
        }
    }
    CHECK(failed == counted && failed > 100 && failed < ROWS - 100);
    for (cf_dtype dtype = CF_FLOAT32; dtype <= CF_FLOAT64; dtype++)
        check_samples_are_independent(program, args_of(dtype, 3), 0, 3);
    cf_program_free(program);
}

/* --- what a body reads
 * -------------------------------------------------------------------------------- */

typedef struct {
    cf_value weight, bias, shift, log_rate; /* parameters, and outer rows */
} outer;

/* Two states; the linear map with its epilogue, parameters, outer rows, and exp of those, which
 * depends on no state. The states change places, too. */
static void mix(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                cf_value *goes_on) {
    const outer *o = context;
    cf_value rate = cf_exp(b, o->log_rate);
    cf_value y = cf_tanh(b, cf_matmul(b, o->weight, o->bias, state[0], 3));
    next[0] = cf_concat(b, (cf_value[]){cf_slice(b, y, 2, 1), cf_slice(b, state[1], 0, 2)}, 2);
    next[1] = cf_add(b, cf_multiply(b, state[0], rate), o->shift);
    *goes_on = cf_subtract(b, cf_constant(b, CF_UNBATCHED, 1, 3.0), cf_sum_features(b, next[1]));
}

static void plain_mix(const double *weight, double x, double *end) {
    double rate = exp(0.1 * x), u[3] = {x, 1.0, -x}, v[3] = {0.5, 2 * x, 1.0};
    for (int i = 0; i < 12; i++) {
        double y = weight[9 + 2], sum = 0, u0[3] = {u[0], u[1], u[2]};
        for (int k = 0; k < 3; k++)
            y += weight[6 + k] * u[k];
        u[0] = tanh(y), u[1] = v[0], u[2] = v[1];
        for (int k = 0; k < 3; k++)
            sum += v[k] = u0[k] * rate + x;
        if (!(3.0 - sum > 0))
            break;
        if (i == 11)
            u[0] = u[1] = u[2] = v[0] = v[1] = v[2] = NAN;
    }
    memcpy(end, u, sizeof u);
    memcpy(end + 3, v, sizeof v);
}

static cf_value emit_mix(cf_builder *b, cf_value x, cf_while_report *report) {
    outer o = {.weight = cf_parameter(b, 0, 9),
               .bias = cf_parameter(b, 9, 3),
               .shift = x,
               .log_rate = cf_scale_shift(b, x, 0.1, 0.0)};
    cf_value one = cf_constant(b, CF_BATCHED, 1, 1.0), end[2];
    cf_value initial[2] = {cf_concat(b, (cf_value[]){x, one, cf_scale_shift(b, x, -1.0, 0.0)}, 3),
                           cf_concat(b,
                                     (cf_value[]){cf_scale_shift(b, one, 0.5, 0.0),
                                                  cf_scale_shift(b, x, 2.0, 0.0), one},
                                     3)};
    cf_while_spec spec = {.states = 2,
                          .initial = initial,
                          .body = mix,
                          .context = &o,
                          .context_size = sizeof o,
                          .max_iterations = 12};
    cf_while(b, &spec, end, report);
    return cf_concat(b, end, 2);
}

static void test_what_a_body_reads(void) {
    static double weight[12];
    unsigned state = 9;
    fill_numbers(-1, 1);
    for (int i = 0; i < 12; i++)
        weight[i] = check_random(&state);
    cf_builder *b = new_builder();
    cf_value x = cf_input(b, 0, 1, CF_PAD_REPEAT);
    cf_while_report report;
    cf_value end = emit_mix(b, x, &report);
    cf_output(b, 0, cf_concat(b, (cf_value[]){end, report.failed, cf_exp(b, x)}, 3));
    cf_program *program = finish(b, 0);
    size_t inner = 0, steps = program->phases[0].tile.count;
    for (size_t i = 0; i < steps; i++)
        if (program->phases[0].tile.steps[i].action == CF_STEP_LOOP)
            inner = program->phases[0].tile.steps[i].inner;
    /* matmul with tanh, a copy of what reads a state, multiply, add, sum, subtract, end: no exp. */
    CHECK(inner == 7);
    cf_run_args args = args_of(CF_FLOAT64, 8);
    args.parameters = weight;
    CHECK_OK(cf_run(program, &args));
    int failed = 0;
    for (int i = 0; i < ROWS; i++) {
        double truth[6];
        plain_mix(weight, numbers[i], truth);
        failed += results[8 * i + 6] != 0;
        CHECK(isnan(truth[0]) == (results[8 * i + 6] != 0));
        CHECK_CLOSE(results[8 * i + 7], exp(numbers[i]), 1e-14);
        for (int k = 0; k < 6 && !isnan(truth[0]); k++)
            CHECK_CLOSE(results[8 * i + k], truth[k], 1e-12);
    }
    CHECK(failed > 0 && failed < ROWS);
    check_samples_are_independent(program, args, 0, 8);
    cf_program_free(program);
}

/* --- loops in loops
 * ----------------------------------------------------------------------------------- */

/* The inner loop adds x, which is read from outside of both, until it passes the outer state. */
static void climb(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                  cf_value *goes_on) {
    const cf_value *read = context; /* x and the outer state */
    next[0] = cf_add(b, state[0], read[0]);
    *goes_on = cf_subtract(b, read[1], next[0]);
}

static void double_it(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                      cf_value *goes_on) {
    const cf_value *x = context;
    cf_value read[2] = {*x, state[0]}, zero = cf_constant(b, CF_BATCHED, 1, 0.0), climbed;
    cf_while_spec spec = {.states = 1,
                          .initial = &zero,
                          .body = climb,
                          .context = read,
                          .context_size = sizeof read,
                          .max_iterations = 100};
    cf_while(b, &spec, &climbed, NULL);
    next[0] = cf_add(b, climbed, climbed);
    *goes_on = cf_subtract(b, cf_constant(b, CF_UNBATCHED, 1, 20.0), next[0]);
}

static void test_loops_in_loops(void) {
    fill_numbers(0.3, 2);
    cf_builder *b = new_builder();
    cf_value x = cf_input(b, 0, 1, CF_PAD_REPEAT), one = cf_constant(b, CF_BATCHED, 1, 1.0), end;
    cf_while_spec spec = {.states = 1,
                          .initial = &one,
                          .body = double_it,
                          .context = &x,
                          .context_size = sizeof x,
                          .max_iterations = 10};
    cf_while_report report;
    cf_while(b, &spec, &end, &report);
    cf_output(b, 0, cf_concat(b, (cf_value[]){end, report.iterations}, 2));
    cf_program *program = finish(b, 0);
    cf_run_args args = args_of(CF_FLOAT64, 2);
    CHECK_OK(cf_run(program, &args));
    for (int i = 0; i < ROWS; i++) {
        double s = 1;
        int made = 0;
        do {
            double inner = 0;
            do
                inner += numbers[i];
            while (inner < s);
            s = 2 * inner;
            made++;
        } while (s < 20);
        CHECK(results[2 * i] == s && results[2 * i + 1] == made);
    }
    check_samples_are_independent(program, args, 0, 2);
    cf_program_free(program);
}

/* --- phases
 * ------------------------------------------------------------------------------------------- */

typedef struct {
    cf_value mean, x;
} of_phases;

/* Reads a sum over samples of an earlier phase and a row of it beside. */
static void shrink(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                   cf_value *goes_on) {
    const of_phases *p = context;
    next[0] = cf_multiply(b, cf_scale_shift(b, state[0], 0.5, 0.0), p->mean);
    *goes_on = cf_subtract(b, next[0], cf_exp(b, p->x));
}

static void test_phases(void) {
    fill_numbers(-1, 0.5);
    cf_builder *b = new_builder();
    cf_value x = cf_input(b, 0, 1, CF_PAD_REPEAT), y = cf_exp(b, cf_scale_shift(b, x, 1.0, 3.0)),
             end;
    of_phases p = {.mean = cf_scale_shift(b, cf_sum_samples(b, x), 1.0 / ROWS, 1.0),
                   .x = cf_tanh(b, x)};
    cf_while_spec spec = {.states = 1,
                          .initial = &y,
                          .body = shrink,
                          .context = &p,
                          .context_size = sizeof p,
                          .max_iterations = 30};
    cf_while(b, &spec, &end, NULL);
    cf_value total = cf_sum_samples(b, end); /* and one more */
    cf_output(b, 0, cf_subtract(b, end, total));
    cf_program *program = finish(b, 0);
    CHECK(program->phase_count == 3);
    cf_run_args args = args_of(CF_FLOAT64, 1);
    CHECK_OK(cf_run(program, &args));
    double mean = 1, sum = 0, truth[ROWS];
    for (int i = 0; i < ROWS; i++)
        mean += numbers[i] / ROWS;
    for (int i = 0; i < ROWS; i++) {
        truth[i] = exp(numbers[i] + 3);
        do
            truth[i] *= 0.5 * mean;
        while (truth[i] > exp(tanh(numbers[i])));
        sum += truth[i];
    }
    for (int i = 0; i < ROWS; i++)
        CHECK_CLOSE(results[i], truth[i] - sum, 1e-12);
    cf_program_free(program);
}

/* --- errors
 * ------------------------------------------------------------------------------------------- */

static cf_value leaked;

static void leak(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                 cf_value *goes_on) {
    halve(b, context, state, next, goes_on);
    leaked = next[0];
}

static void sum_up(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                   cf_value *goes_on) {
    halve(b, context, state, next, goes_on);
    next[0] = cf_add(b, state[0], cf_sum_samples(b, state[0]));
}

static void output_it(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                      cf_value *goes_on) {
    halve(b, context, state, next, goes_on);
    cf_output(b, 1, next[0]);
}

static void give_nothing(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                         cf_value *goes_on) {
    halve(b, context, state, next, goes_on);
    next[0] = CF_NO_VALUE;
}

static void condition_of_two(cf_builder *b, const void *context, const cf_value *state,
                             cf_value *next, cf_value *goes_on) {
    halve(b, context, state, next, goes_on);
    *goes_on = cf_repeat(b, *goes_on, 2);
}

static void expect_error(cf_loop_body body, size_t states, uint32_t max, bool read,
                         const char *text) {
    cf_builder *b = new_builder();
    cf_value x = cf_input(b, 0, 1, CF_PAD_REPEAT), end[2], initial[2] = {x, CF_NO_VALUE};
    cf_while_spec spec = {
        .states = states, .initial = initial, .body = body, .max_iterations = max};
    cf_while(b, &spec, end, NULL);
    if (read)
        cf_output(b, 0, leaked);
    CHECK(cf_builder_status(b) == CF_INVALID);
    CHECK(strstr(cf_message(), text) != NULL);
    cf_builder_free(b);
}

static void test_errors(void) {
    expect_error(leak, 1, 3, true, "outside");
    expect_error(sum_up, 1, 3, false, "sum_samples in the body of a loop");
    expect_error(output_it, 1, 3, false, "output in the body of a loop");
    expect_error(give_nothing, 1, 3, false, "no next state 0");
    expect_error(condition_of_two, 1, 3, false, "not one feature");
    expect_error(halve, 2, 3, false, "initial state 1 is missing");
    expect_error(halve, 1, 0, false, "at most 0 iterations");
    expect_error(halve, 0, 3, false, "0 states");
    cf_builder *b = new_builder();
    cf_value x = cf_input(b, 0, 1, CF_PAD_REPEAT), one = cf_constant(b, CF_BATCHED, 1, 1.0), end,
             dx;
    cf_while_spec spec = {.states = 1, .initial = &x, .body = halve, .max_iterations = 3};
    cf_while(b, &spec, &end, NULL);
    cf_gradient(b, 1, &end, &one, 1, &x, &dx);
    CHECK(cf_builder_status(b) == CF_INVALID);
    CHECK(strstr(cf_message(), "gradient") != NULL);
    cf_builder_free(b);
}

int main(void) {
    test_each_sample_by_its_own_count();
    test_what_a_body_reads();
    test_loops_in_loops();
    test_phases();
    test_errors();
    return 0;
}
