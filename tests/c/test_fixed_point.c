/* Fixed points z = tanh(W z + x + c) / 2 with their implicit gradients, first and second, against
 * differences; samples that do not settle. */
#include "loops.h"

#include "ops/fixed_point.h"

enum { FEATURES = 3, PARAMETERS = FEATURES * FEATURES + FEATURES, ROWS = 301 };

static double params[PARAMETERS], points[ROWS * FEATURES], found[ROWS * 12];

typedef struct {
    cf_value weight, bias, x;
} contraction;

static cf_value half_tanh(cf_builder *b, const void *context, cf_value z) {
    const contraction *c = context;
    cf_value y = cf_add(b, cf_matmul(b, c->weight, c->bias, z, FEATURES), c->x);
    return cf_scale_shift(b, cf_tanh(b, y), 0.5, 0.0);
}

static cf_value emit(cf_builder *b, cf_value x, cf_value *weight, cf_value *bias, uint32_t max,
                     cf_value *failed) {
    *weight = cf_parameter(b, 0, FEATURES * FEATURES);
    *bias = cf_parameter(b, FEATURES * FEATURES, FEATURES);
    contraction c = {*weight, *bias, x};
    cf_fixed_point_spec spec = {.function = half_tanh,
                                .context = &c,
                                .context_size = sizeof c,
                                .start = cf_constant(b, CF_BATCHED, FEATURES, 0.0),
                                .floor = 1e-3,
                                .max_iterations = max};
    return cf_fixed_point(b, &spec, failed);
}

static cf_run_args args_of(cf_dtype dtype, size_t columns) {
    cf_run_args args = {.samples = ROWS, .dtype = dtype, .threads = 1, .parameters = params};
    args.input[0] = cf_double_rows(points, FEATURES);
    args.output[0] = (cf_result){found, columns};
    return args;
}

static void draw(double spread) {
    unsigned state = 2;
    for (int i = 0; i < PARAMETERS; i++)
        params[i] = spread * check_random(&state);
    for (int i = 0; i < ROWS * FEATURES; i++)
        points[i] = 2 * check_random(&state);
}

static void test_values(void) {
    cf_builder *b = new_builder();
    cf_value weight, bias, failed, x = cf_input(b, 0, FEATURES, CF_PAD_REPEAT);
    cf_value z = emit(b, x, &weight, &bias, 400, &failed);
    cf_output(b, 0, cf_concat(b, (cf_value[]){z, failed}, 2));
    cf_program *program = finish(b, 0);
    draw(1.0);
    points[4 * FEATURES + 1] = NAN;
    cf_run_args args = args_of(CF_FLOAT64, FEATURES + 1);
    CHECK_OK(cf_run(program, &args));
    for (int i = 0; i < ROWS; i++) {
        const double *at = &found[i * (FEATURES + 1)];
        CHECK(at[FEATURES] == (i == 4));
        for (int f = 0; f < FEATURES; f++) {
            double y = params[FEATURES * FEATURES + f] + points[i * FEATURES + f];
            for (int k = 0; k < FEATURES; k++)
                y += params[f * FEATURES + k] * at[k];
            CHECK(i == 4 ? isnan(at[f]) : fabs(at[f] - tanh(y) / 2) <= 1e-14);
        }
    }
    check_samples_are_independent(program, args, 0, FEATURES + 1);
    draw(1.0); /* no contraction: rows that are not far out swing for ever */
    for (int f = 0; f < FEATURES; f++)
        params[f * FEATURES + f] = -2.2;
    CHECK_OK(cf_run(program, &args));
    int count = 0;
    for (int i = 0; i < ROWS; i++) {
        bool fails = found[i * (FEATURES + 1) + FEATURES] == 1;
        count += fails;
        CHECK(isnan(found[i * (FEATURES + 1)]) == fails);
    }
    CHECK(count > 0 && count < ROWS);
    check_samples_are_independent(program, args, 0, FEATURES + 1);
    cf_program_free(program);
}

static cf_value opposite(cf_builder *b, const void *context, cf_value z) {
    const cf_value *x = context;
    return cf_subtract(b, *x, cf_scale_shift(b, z, 0.97, 0.0));
}

/* How many samples of z = x - 0.97 z fail, of the gradient too; the others are right. */
static int count_failures(double rate, cf_dtype dtype) {
    cf_builder *b = new_builder();
    cf_value x = cf_input(b, 0, 1, CF_PAD_REPEAT), gradient, z;
    cf_value one = cf_broadcast_padded(b, cf_constant(b, CF_UNBATCHED, 1, 1.0));
    cf_fixed_point_spec spec = {.function = opposite,
                                .context = &x,
                                .context_size = sizeof x,
                                .start = x,
                                .rate = rate,
                                .max_iterations = 1600};
    z = cf_fixed_point(b, &spec, NULL);
    cf_value cotangent = cf_multiply(b, cf_exp(b, x), one);
    cf_gradient(b, 1, &z, &cotangent, 1, &x, &gradient);
    cf_output(b, 0, cf_concat(b, (cf_value[]){z, gradient}, 2));
    cf_program *program = finish(b, 0);
    cf_run_args args = args_of(dtype, 2);
    args.input[0] = cf_double_rows(points, 1);
    args.output[0].as_double = true;
    CHECK_OK(cf_run(program, &args));
    double tolerance = dtype == CF_FLOAT32 ? 2e-5 : 4e-14;
    int count = 0;
    for (int i = 0; i < ROWS; i++) {
        count += isnan(found[2 * i]) || isnan(found[2 * i + 1]);
        CHECK(!(fabs(found[2 * i] * 1.97 / points[i] - 1.0) > tolerance));
        CHECK(!(fabs(found[2 * i + 1] * 1.97 / exp(points[i]) - 1.0) > tolerance));
    }
    cf_program_free(program);
    return count;
}

/* Some move by more than eight units in the last place for ever, which is no failure. */
static void test_rounding(void) {
    draw(1.0);
    for (int dtype = CF_FLOAT32; dtype <= CF_FLOAT64; dtype++) {
        CHECK(count_failures(0.0, (cf_dtype)dtype) > 0);
        CHECK(count_failures(0.97, (cf_dtype)dtype) == 0);
    }
}

/* Outputs: z, its gradient for the cotangents 1, -2, 3, and that of the sum of this. */
static cf_program *gradient_program(void) {
    cf_builder *b = new_builder();
    cf_value wrt[3], gradient[3], second, ones[FEATURES];
    wrt[0] = cf_input(b, 0, FEATURES, CF_PAD_REPEAT);
    cf_value z = emit(b, wrt[0], &wrt[1], &wrt[2], 400, NULL);
    cf_value one = cf_broadcast_padded(b, cf_constant(b, CF_UNBATCHED, 1, 1.0));
    for (int i = 0; i < FEATURES; i++)
        ones[i] = cf_scale_shift(b, one, i == 1 ? -2.0 : 1.0 + i, 0.0);
    cf_value cotangent = cf_concat(b, ones, FEATURES), all = cf_repeat(b, one, FEATURES);
    cf_gradient(b, 1, &z, &cotangent, 3, wrt, gradient);
    cf_output_gradient(b, 0, gradient[1]);
    cf_output_gradient(b, FEATURES * FEATURES, gradient[2]);
    cf_gradient(b, 1, &gradient[0], &all, 1, &wrt[0], &second);
    cf_output(b, 0, cf_concat(b, (cf_value[]){z, gradient[0], second}, 3));
    return finish(b, PARAMETERS);
}

enum { FEW = 4 };

static double objective(const cf_program *program, const cf_run_args *args, bool of_gradient) {
    double sum = 0;
    CHECK_OK(cf_run(program, args));
    for (int i = 0; i < FEW; i++)
        for (int f = 0; f < FEATURES; f++)
            sum += of_gradient ? found[9 * i + FEATURES + f]
                               : (f == 1 ? -2.0 : 1.0 + f) * found[9 * i + f];
    return sum;
}

static double difference(const cf_program *program, const cf_run_args *args, double *at,
                         bool of_gradient) {
    double start = *at, h = 1e-5, up, down;
    *at = start + h;
    up = objective(program, args, of_gradient);
    *at = start - h;
    down = objective(program, args, of_gradient);
    *at = start;
    return (up - down) / (2 * h);
}

static void test_gradients(void) {
    double slab[PARAMETERS], ours[PARAMETERS], first[9 * FEW];
    draw(1.0);
    cf_program *program = gradient_program();
    cf_run_args args = args_of(CF_FLOAT64, 9);
    args.samples = FEW;
    args.gradients = slab;
    CHECK_OK(cf_run(program, &args));
    memcpy(ours, slab, sizeof ours);
    memcpy(first, found, sizeof first);
    for (int i = 0; i < PARAMETERS; i++)
        CHECK_CLOSE(ours[i], difference(program, &args, &params[i], false), 1e-8);
    for (int i = 0; i < FEW * FEATURES; i++) {
        const double *at = &first[9 * (i / FEATURES) + FEATURES + i % FEATURES];
        CHECK_CLOSE(at[0], difference(program, &args, &points[i], false), 1e-8);
        CHECK_CLOSE(at[FEATURES], difference(program, &args, &points[i], true), 1e-8);
    }
    cf_program_free(program);
}

int main(void) {
    test_values();
    test_gradients();
    test_rounding();
    return 0;
}
