/* Loops in the body of a loop that is differentiated by its recorded steps: roots, fixed points and
 * recorded loops, against differences; and samples that fail. */
#include "loops.h"

#include "ops/fixed_point.h"
#include "ops/root.h"

enum { ROWS = 300, FEW = 6 };

static double rate[1], points[ROWS], found[ROWS * 3], slab[1];

typedef struct {
    cf_value rate, x, state;
    int inner;
} outer;

enum { ROOT, FIXED_POINT, RECORDED, INNER };

/* z + e^rate z^3, */
static void cubic(cf_builder *b, const void *context, cf_value z, cf_value unfinished,
                  cf_value *value, cf_value *slope) {
    const outer *o = context;
    cf_value cube = cf_multiply(b, z, cf_multiply(b, z, z));
    (void)unfinished;
    (void)slope; /* the gradient's */
    *value = cf_add(b, z, cf_multiply(b, cube, cf_exp(b, o->rate)));
}

/* or cos(z rate) / 3 + state, */
static cf_value wave(cf_builder *b, const void *context, cf_value z) {
    const outer *o = context;
    cf_value phase = cf_multiply(b, cf_scale_shift(b, z, 0.1, 0.0), o->rate);
    return cf_add(b, cf_scale_shift(b, cf_cosine(b, phase, 1.0, 0.0), 1.0 / 3, 0.0), o->state);
}

/* or steps of z -> tanh(z + x). */
static void climb(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                  cf_value *goes_on) {
    const outer *o = context;
    next[0] = cf_tanh(b, cf_add(b, state[0], o->x));
    next[1] = cf_add(b, state[1], cf_scale_shift(b, o->x, 0.1, -0.5));
    *goes_on = next[1];
}

static cf_value emit_inner(cf_builder *b, const outer *o) {
    cf_root_spec root = {
        .function = cubic, .context = o, .context_size = sizeof *o, .target = o->state};
    cf_fixed_point_spec point = {.function = wave,
                                 .context = o,
                                 .context_size = sizeof *o,
                                 .start = o->state,
                                 .floor = 1e-3,
                                 .max_iterations = 100};
    cf_value initial[2] = {o->state, cf_constant(b, CF_BATCHED, 1, 2.0)}, end[2];
    cf_while_spec loop = {.states = 2,
                          .initial = initial,
                          .body = climb,
                          .context = o,
                          .context_size = sizeof *o,
                          .max_iterations = 20,
                          .gradient = cf_recorded_steps};
    if (o->inner == ROOT)
        return cf_root(b, &root, NULL);
    if (o->inner == FIXED_POINT)
        return cf_fixed_point(b, &point, NULL);
    cf_while(b, &loop, end, NULL);
    return end[0];
}

static void step(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                 cf_value *goes_on) {
    outer o = *(const outer *)context;
    o.state = cf_add(b, state[0], o.x);
    next[0] = emit_inner(b, &o);
    next[1] = cf_add(b, state[1], cf_scale_shift(b, o.x, 0.2, -0.5));
    *goes_on = next[1];
}

/* Outputs: y, its gradient by x, and whether the sample failed. */
static cf_program *build(int inner, uint32_t max) {
    cf_builder *b = new_builder();
    cf_value x = cf_input(b, 0, 1, CF_PAD_REPEAT), wrt[2] = {x, cf_parameter(b, 0, 1)}, end[2];
    outer o = {.rate = wrt[1], .x = x, .inner = inner};
    cf_value initial[2] = {cf_multiply(b, x, x), cf_constant(b, CF_BATCHED, 1, 2.0)}, gradient[2];
    cf_while_spec spec = {.states = 2,
                          .initial = initial,
                          .body = step,
                          .context = &o,
                          .context_size = sizeof o,
                          .max_iterations = max,
                          .gradient = cf_recorded_steps};
    cf_while_report report;
    cf_while(b, &spec, end, &report);
    cf_value one = cf_broadcast_padded(b, cf_constant(b, CF_UNBATCHED, 1, 1.0));
    cf_gradient(b, 1, end, &one, 2, wrt, gradient);
    cf_output(b, 0, cf_concat(b, (cf_value[]){end[0], gradient[0], report.failed}, 3));
    if (!cf_is_none(gradient[1]))
        cf_output_gradient(b, 0, gradient[1]);
    return finish(b, 1);
}

static cf_run_args args_of(size_t rows) {
    unsigned state = 3;
    for (int i = 0; i < ROWS; i++)
        points[i] = check_random(&state);
    rate[0] = 0.4;
    cf_run_args args = {
        .samples = rows, .dtype = CF_FLOAT64, .threads = 1, .parameters = rate, .gradients = slab};
    args.input[0] = cf_double_rows(points, 1);
    args.output[0] = (cf_result){found, 3};
    return args;
}

static double difference(const cf_program *program, const cf_run_args *args, double *at) {
    double start = *at, h = 1e-5, sum = 0;
    for (int sign = -1; sign <= 1; sign += 2) {
        *at = start + sign * h;
        CHECK_OK(cf_run(program, args));
        for (size_t i = 0; i < args->samples; i++)
            sum += sign * found[3 * i] / (2 * h);
    }
    *at = start;
    return sum;
}

static void test_gradients(void) {
    for (int inner = 0; inner < INNER; inner++) {
        double ours[FEW], by_rate;
        cf_program *program = build(inner, 30);
        cf_run_args args = args_of(FEW);
        CHECK_OK(cf_run(program, &args));
        by_rate = slab[0];
        for (int i = 0; i < FEW; i++)
            ours[i] = found[3 * i + 1];
        for (int i = 0; i < FEW; i++)
            CHECK_CLOSE(ours[i], difference(program, &args, &points[i]), 1e-8);
        CHECK_CLOSE(by_rate, difference(program, &args, &rate[0]), 1e-8);
        CHECK((inner == RECORDED) == (by_rate == 0));
        args = args_of(ROWS);
        check_samples_are_independent(program, args, 0, 3);
        cf_program_free(program);
    }
}

static void test_samples_that_fail(void) {
    for (int inner = 0; inner < INNER; inner++) {
        cf_program *program = build(inner, 4);
        cf_run_args args = args_of(ROWS);
        points[7] = NAN;
        CHECK_OK(cf_run(program, &args));
        int failed = 0;
        for (int i = 0; i < ROWS; i++) {
            bool fails = found[3 * i + 2] == 1;
            failed += fails;
            CHECK(isnan(found[3 * i]) == fails && isnan(found[3 * i + 1]) == fails);
        }
        CHECK(failed > 10 && failed < ROWS - 10 && isnan(found[3 * 7]));
        check_samples_are_independent(program, args, 0, 3);
        cf_program_free(program);
    }
}

int main(void) {
    test_gradients();
    test_samples_that_fail();
    return 0;
}
