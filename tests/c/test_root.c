/* Roots of monotone functions: a test's own layer, y = e^c x + sum of e^a_k tanh(e^b_k x + d_k),
 * whose inverse is by cf_root; harsh parameters; gradients, and gradients of gradients, against
 * differences. */
#include "loops.h"

#include "ops/root.h"

enum { TERMS = 4, PARAMETERS = 1 + 3 * TERMS, ROWS = 1003 };

static double params[PARAMETERS], points[ROWS], found[ROWS * 4];
static float found32[ROWS * 4];

static double normal(unsigned *state) {
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += check_random(state) / 2;
    return sum;
}

/* --- the layer
 * ---------------------------------------------------------------------------------------- */

typedef struct {
    cf_value rate, height, width, shift; /* unbatched: e^c, e^a, e^b, d */
} layer;

static layer emit_layer(cf_builder *b) {
    return (layer){.rate = cf_exp(b, cf_parameter(b, 0, 1)),
                   .height = cf_exp(b, cf_parameter(b, 1, TERMS)),
                   .width = cf_exp(b, cf_parameter(b, 1 + TERMS, TERMS)),
                   .shift = cf_parameter(b, 1 + 2 * TERMS, TERMS)};
}

/* f and its slope, which is left to the gradient if `slope` is NULL. */
static cf_value emit_map(cf_builder *b, const layer *l, cf_value x, cf_value *slope) {
    cf_value wide = cf_add(b, cf_multiply(b, cf_repeat(b, x, TERMS), l->width), l->shift);
    cf_value t = cf_tanh(b, wide), heights = cf_multiply(b, t, l->height);
    cf_value y = cf_add(b, cf_multiply(b, x, l->rate), cf_sum_features(b, heights));
    if (slope != NULL) {
        cf_value bell = cf_scale_shift(b, cf_multiply(b, t, t), -1.0, 1.0);
        cf_value slopes = cf_multiply(b, bell, cf_multiply(b, l->height, l->width));
        *slope = cf_add(b, cf_sum_features(b, slopes), l->rate);
    }
    return y;
}

static void by_formula(cf_builder *b, const void *context, cf_value x, cf_value unfinished,
                       cf_value *value, cf_value *slope) {
    (void)unfinished;
    *value = emit_map(b, context, x, slope);
}

static void by_gradient(cf_builder *b, const void *context, cf_value x, cf_value unfinished,
                        cf_value *value, cf_value *slope) {
    (void)unfinished;
    (void)slope;
    *value = emit_map(b, context, x, NULL);
}

static cf_value emit_inverse(cf_builder *b, cf_root_function function, cf_value y,
                             cf_value *log_det, cf_value *failed) {
    layer l = emit_layer(b);
    cf_root_spec spec = {
        .function = function, .context = &l, .context_size = sizeof l, .target = y};
    cf_value x = cf_root(b, &spec, failed), slope;
    emit_map(b, &l, x, &slope);
    *log_det = cf_scale_shift(b, cf_log(b, slope), -1.0, 0.0);
    return x;
}

static double plain_map(double x, double *slope, double *size) {
    double y = exp(params[0]) * x;
    *slope = exp(params[0]);
    *size = fabs(y);
    for (int k = 0; k < TERMS; k++) {
        double height = exp(params[1 + k]), width = exp(params[1 + TERMS + k]);
        double z = width * x + params[1 + 2 * TERMS + k], t = tanh(z), c = 1 / cosh(z);
        y += height * t;
        *slope += height * width * c * c;
        *size += height * (fabs(t) + c * c * (fabs(width * x) + fabs(z)));
    }
    return y;
}

static void draw_params(unsigned *state, double spread) {
    for (int i = 0; i < PARAMETERS; i++)
        params[i] = spread * normal(state) / (i < 1 + 2 * TERMS ? 1 : 0.5);
}

static cf_run_args args_of(cf_dtype dtype, size_t columns) {
    cf_run_args args = {.samples = ROWS, .dtype = dtype, .threads = 1, .parameters = params};
    args.input[0] = cf_double_rows(points, 1);
    args.output[0] = (cf_result){dtype == CF_FLOAT64 ? (void *)found : (void *)found32, columns};
    return args;
}

/* Whether x is the root to rounding: f is y there, as far as f can be told and x be represented. */
static void check_root(double x, double y, double eps) {
    double slope, size, value = plain_map(x, &slope, &size), end;
    CHECK(isfinite(x));
    if (fabs(value - y) <= 8 * eps * (size + fabs(y)))
        return;
    /* Or it changes sides within some units in the last place. */
    double width = 8 * eps * fabs(x), low = plain_map(x - width, &slope, &end);
    CHECK(low - 8 * eps * (size + fabs(y)) <= y);
    CHECK(plain_map(x + width, &slope, &end) + 8 * eps * (size + fabs(y)) >= y);
}

static void test_harsh_parameters(void) {
    unsigned state = 3;
    for (int form = 0; form < 2; form++) {
        cf_builder *b = new_builder();
        cf_value log_det, failed, y = cf_input(b, 0, 1, CF_PAD_REPEAT);
        cf_value x = emit_inverse(b, form ? by_gradient : by_formula, y, &log_det, &failed);
        cf_output(b, 0, cf_concat(b, (cf_value[]){x, failed, log_det}, 3));
        cf_program *program = finish(b, 0);
        for (int trial = 0; trial < 30; trial++) {
            draw_params(&state, trial < 25 ? 0.2 * trial : 5);
            for (int i = 0; i < ROWS; i++)
                points[i] = (float)(normal(&state) * exp(3 * normal(&state)));
            cf_run_args args = args_of(CF_FLOAT64, 3);
            CHECK_OK(cf_run(program, &args));
            for (int i = 0; i < ROWS; i++) {
                CHECK(found[3 * i + 1] == 0);
                check_root(found[3 * i], points[i], 2.3e-16);
            }
            if (trial % 10 == 9)
                check_samples_are_independent(program, args, 0, 3);
        }
        cf_program_free(program);
    }
}

static void test_harsh_parameters_in_float32(void) {
    unsigned state = 4;
    cf_builder *b = new_builder();
    cf_value log_det, failed, y = cf_input(b, 0, 1, CF_PAD_REPEAT);
    cf_value x = emit_inverse(b, by_formula, y, &log_det, &failed);
    cf_output(b, 0, cf_concat(b, (cf_value[]){x, failed, log_det}, 3));
    cf_program *program = finish(b, 0);
    for (int trial = 0; trial < 20; trial++) {
        static float single[PARAMETERS];
        draw_params(&state, 0.2 * trial);
        for (int i = 0; i < PARAMETERS; i++)
            params[i] = single[i] = (float)params[i];
        for (int i = 0; i < ROWS; i++)
            points[i] = (float)(normal(&state) * exp(3 * normal(&state)));
        cf_run_args args = args_of(CF_FLOAT32, 3);
        args.parameters = single;
        CHECK_OK(cf_run(program, &args));
        for (int i = 0; i < ROWS; i++) {
            CHECK(found32[3 * i + 1] == 0);
            check_root(found32[3 * i], points[i], 4 * 1.2e-7); /* exp(b) is rounded, too */
        }
        check_samples_are_independent(program, args, 0, 3);
    }
    cf_program_free(program);
}

/* Parameters that are NaN: a failure, at once. */
static void test_parameters_that_are_nan(void) {
    cf_builder *b = new_builder();
    cf_value log_det, failed, target = cf_input(b, 0, 1, CF_PAD_REPEAT);
    cf_value x = emit_inverse(b, by_formula, target, &log_det, &failed);
    cf_output(b, 0, cf_concat(b, (cf_value[]){x, failed}, 2));
    cf_program *program = finish(b, 0);
    unsigned state = 1;
    draw_params(&state, 1);
    params[3] = NAN;
    memcpy(points, (double[]){NAN, INFINITY, -INFINITY, 5, -5, 0.5, 1e300}, 7 * sizeof *points);
    cf_run_args args = args_of(CF_FLOAT64, 2);
    args.samples = 7;
    CHECK_OK(cf_run(program, &args));
    for (int i = 0; i < 7; i++)
        CHECK(!isfinite(found[2 * i]) && found[2 * i + 1] == (i > 2));
    cf_program_free(program);
}

/* --- gradients
 * ---------------------------------------------------------------------------------------- */

/* Outputs: x and log_det of y, or y and log_det of x; with their gradients for the cotangents 1 and
 * `pull`; and for x alone the second derivative. */
static cf_program *gradient_program(cf_root_function function, bool inverse, double pull) {
    cf_builder *b = new_builder();
    cf_value in = cf_input(b, 0, 1, CF_PAD_REPEAT), log_det, slope, out;
    if (inverse) {
        out = emit_inverse(b, function, in, &log_det, NULL);
    } else {
        layer l = emit_layer(b);
        out = emit_map(b, &l, in, &slope);
        log_det = cf_log(b, slope);
    }
    cf_value one = cf_broadcast_padded(b, cf_constant(b, CF_UNBATCHED, 1, 1.0));
    cf_value wrt[5] = {in}, gradient[5], outputs[2] = {out, log_det};
    cf_value cotangents[2] = {one, cf_scale_shift(b, one, pull, 0.0)};
    size_t offset[5] = {0, 0, 1, 1 + TERMS, 1 + 2 * TERMS}, size[5] = {1, 1, TERMS, TERMS, TERMS};
    size_t found_nodes = 1; /* the parameters are the first nodes of their op */
    for (size_t n = 1; n < cf_builder_nodes(b); n++)
        if (cf_builder_node(b, n)->op->flags & CF_OP_PARAMETER)
            wrt[found_nodes++] = cf_node_value(b, n);
    CHECK(found_nodes == 5);
    cf_gradient(b, 2, outputs, cotangents, 5, wrt, gradient);
    for (int i = 1; i < 5; i++) {
        CHECK(cf_value_size(b, gradient[i]) == size[i]);
        cf_output_gradient(b, offset[i], gradient[i]);
    }
    cf_value second;
    cf_gradient(b, 1, &gradient[0], &one, 1, &in, &second);
    cf_output(b, 0, cf_concat(b, (cf_value[]){out, log_det, gradient[0], second}, 4));
    return finish(b, PARAMETERS);
}

static double objective(const cf_program *program, const cf_run_args *args, double pull) {
    double sum = 0;
    CHECK_OK(cf_run(program, args));
    for (size_t i = 0; i < args->samples; i++)
        sum += found[4 * i] + pull * found[4 * i + 1];
    return sum;
}

static void check_gradients(cf_root_function function, bool inverse, double spread) {
    enum { FEW = 5 };
    const double pull = 0.7;
    double slab[PARAMETERS], first[FEW], second[FEW], h = 1e-4;
    unsigned state = 8;
    draw_params(&state, spread);
    cf_program *program = gradient_program(function, inverse, pull);
    for (int i = 0; i < FEW; i++)
        points[i] = 2 * normal(&state);
    cf_run_args args = args_of(CF_FLOAT64, 4);
    args.samples = FEW;
    args.gradients = slab;
    CHECK_OK(cf_run(program, &args));
    for (int i = 0; i < FEW; i++) {
        first[i] = found[4 * i + 2];
        second[i] = found[4 * i + 3];
    }
    double ours[PARAMETERS], norm = 0, error = 0;
    memcpy(ours, slab, sizeof ours);
    for (int i = 0; i < PARAMETERS + FEW; i++) {
        double *at = i < PARAMETERS ? &params[i] : &points[i - PARAMETERS], start = *at, d[4];
        for (int k = 0; k < 4; k++) { /* of fourth order */
            *at = start + (k < 2 ? k - 2 : k - 1) * h;
            d[k] = objective(program, &args, pull);
        }
        *at = start;
        double truth = (d[0] - 8 * d[1] + 8 * d[2] - d[3]) / (12 * h);
        double is = i < PARAMETERS ? ours[i] : first[i - PARAMETERS];
        error += (is - truth) * (is - truth);
        norm += truth * truth;
    }
    CHECK(sqrt(error) <= 1e-7 * (sqrt(norm) + 1e-3));
    for (int i = 0; i < FEW; i++) {
        double start = points[i], up, down;
        points[i] = start + 1e-5;
        CHECK_OK(cf_run(program, &args));
        up = found[4 * i + 2];
        points[i] = start - 1e-5;
        CHECK_OK(cf_run(program, &args));
        down = found[4 * i + 2];
        points[i] = start;
        CHECK_CLOSE(second[i], (up - down) / 2e-5, 1e-6);
    }
    cf_program_free(program);
}

static void test_gradients(void) {
    for (int inverse = 0; inverse < 2; inverse++)
        for (int form = 0; form < 2; form++)
            for (double spread = 0.3; spread < 1.6; spread += 0.6)
                check_gradients(form ? by_gradient : by_formula, inverse, spread);
}

int main(void) {
    test_harsh_parameters();
    test_harsh_parameters_in_float32();
    test_parameters_that_are_nan();
    test_gradients();
    return 0;
}
