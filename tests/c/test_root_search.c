/* The search for a root alone: functions that mislead Newton's method, and what has no root. */
#include "loops.h"

#include "ops/root.h"

enum { ROWS = 1003 };

static double points[ROWS], found[ROWS * 2];

static double normal(unsigned *state) {
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += check_random(state) / 2;
    return sum;
}

static cf_run_args args_of(cf_dtype dtype, size_t columns) {
    cf_run_args args = {.samples = ROWS, .dtype = dtype, .threads = 1};
    args.input[0] = cf_double_rows(points, 1);
    args.output[0] = (cf_result){found, columns};
    return args;
}

/* --- functions that mislead
 * --------------------------------------------------------------------------- */

enum { CUBE, STAIR, EXPONENTIAL, ARCTAN, CONSTANT, FALLING, FUNCTIONS };

static void misleading(cf_builder *b, const void *context, cf_value x, cf_value unfinished,
                       cf_value *value, cf_value *slope) {
    const int *which = context;
    cf_value t;
    (void)unfinished;
    (void)slope;
    switch (*which) {
    case CUBE:
        *value = cf_multiply(b, x, cf_multiply(b, x, x));
        break;
    case STAIR: /* flat but at integers, where it is steep */
        t = cf_subtract(b, x, cf_floor(b, x));
        *value = cf_add(b, cf_floor(b, x), cf_sigmoid(b, cf_scale_shift(b, t, 4000.0, -2000.0)));
        break;
    case EXPONENTIAL: /* overflows */
        *value = cf_exp(b, x);
        break;
    case ARCTAN: /* Newton's method runs away from both sides */
        *value = cf_divide(b, x,
                           cf_exp(b, cf_scale_shift(b, cf_log1p(b, cf_multiply(b, x, x)), 0.5, 0)));
        break;
    case CONSTANT:
        *value = cf_scale_shift(b, x, 0.0, 1.0);
        break;
    default:
        *value = cf_scale_shift(b, cf_asinh(b, x), -3.0, 1.0);
    }
}

static double plain_misleading(int which, double x) {
    switch (which) {
    case CUBE:
        return x * x * x;
    case STAIR:
        return floor(x) + 1 / (1 + exp(-4000 * (x - floor(x)) + 2000));
    case EXPONENTIAL:
        return exp(x);
    case ARCTAN:
        return x / sqrt(1 + x * x);
    default:
        return -(1 - 3 * asinh(x)); /* rising */
    }
}

static cf_program *misleading_program(int which) {
    cf_builder *b = new_builder();
    cf_value failed, y = cf_input(b, 0, 1, CF_PAD_REPEAT);
    cf_root_spec spec = {.function = misleading,
                         .context = &which,
                         .context_size = sizeof which,
                         .decreasing = which == FALLING,
                         .target = y};
    cf_value x = cf_root(b, &spec, &failed);
    cf_output(b, 0, cf_concat(b, (cf_value[]){x, failed}, 2));
    return finish(b, 0);
}

static void test_functions_that_mislead(void) {
    unsigned state = 6;
    for (int which = 0; which < FUNCTIONS; which++) {
        cf_program *program = misleading_program(which);
        for (int i = 0; i < ROWS; i++) {
            points[i] = normal(&state) * pow(10, 8 * check_random(&state));
            if (which == EXPONENTIAL)
                points[i] = fabs(points[i]);
            if (which == ARCTAN)
                points[i] = tanh(points[i]);
            if (which == FALLING)
                points[i] = fmod(points[i], 500);
        }
        cf_run_args args = args_of(CF_FLOAT64, 2);
        CHECK_OK(cf_run(program, &args));
        for (int i = 0; i < ROWS && which != CONSTANT; i++) {
            double x = found[2 * i], y = which == FALLING ? -points[i] : points[i];
            double width = 1e-15 * fabs(x),
                   slack = 4e-15 * (fabs(y) + (which == FALLING || which == STAIR));
            if (which == ARCTAN && fabs(y) >= 1 - 1e-12)
                continue; /* f is 1 to rounding */
            CHECK(found[2 * i + 1] == 0);
            CHECK(plain_misleading(which, x - width) <= y + slack);
            CHECK(plain_misleading(which, x + width) >= y - slack);
        }
        check_samples_are_independent(program, args, 0, 2);
        cf_program_free(program);
    }
}

/* --- what has no root
 * --------------------------------------------------------------------------------- */

static void test_what_has_no_root(void) {
    static const double y[] = {NAN, INFINITY, -INFINITY, 5, -5, 0.5, 1e300};
    for (int which = 0; which < 2; which++) { /* without and with a bracket */
        cf_builder *b = new_builder();
        int function = CUBE;
        cf_value failed, target = cf_input(b, 0, 1, CF_PAD_REPEAT);
        cf_root_spec spec = {.function = misleading,
                             .context = &function,
                             .context_size = sizeof function,
                             .target = target};
        if (which == 1) {
            spec.low = cf_constant(b, CF_UNBATCHED, 1, -1.0);
            spec.high = cf_constant(b, CF_UNBATCHED, 1, 1.25);
        }
        cf_value x = cf_root(b, &spec, &failed);
        cf_output(b, 0, cf_concat(b, (cf_value[]){x, failed}, 2));
        cf_program *program = finish(b, 0);
        memcpy(points, y, sizeof y);
        cf_run_args args = args_of(CF_FLOAT64, 2);
        args.samples = 7;
        CHECK_OK(cf_run(program, &args));
        CHECK(isnan(found[0]));
        double highest = which ? 1.25 : INFINITY, lowest = which ? -1 : -INFINITY;
        CHECK(found[2] == highest && found[4] == lowest);
        CHECK_CLOSE(found[6], which ? 1.25 : cbrt(5.0), 1e-15);
        CHECK_CLOSE(found[8], which ? -1.0 : -cbrt(5.0), 1e-15);
        CHECK_CLOSE(found[10], cbrt(0.5), 1e-15);
        CHECK_CLOSE(found[12], which ? 1.25 : 1e100, 1e-14);
        for (int i = 0; i < 7; i++)
            CHECK(found[2 * i + 1] == 0);
        cf_program_free(program);
    }
}

int main(void) {
    test_functions_that_mislead();
    test_what_has_no_root();
    return 0;
}
