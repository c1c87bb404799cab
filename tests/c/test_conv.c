/* Convolution, its gradients and the sums of groups, against loops over their definitions. */
#include "check.h"

#include "engine/builder.h"
#include "engine/run.h"
#include "ops/ops.h"

#include <string.h>

typedef struct {
    cf_shape shape;
    size_t outputs, kernel, rows;
    bool scattered; /* the image is a view of rows in disorder */
} conv_case;

static const conv_case cases[] = {
    {{1, 1, 1}, 1, 1, 1, false},    {{2, 3, 4}, 3, 3, 5, false},   {{2, 3, 4}, 3, 3, 70, true},
    {{3, 5, 7}, 9, 1, 33, false},   {{3, 5, 7}, 9, 1, 33, true},   {{5, 4, 4}, 8, 5, 17, false},
    {{8, 7, 14}, 13, 3, 3, false},  {{20, 2, 28}, 7, 3, 16, true}, {{1, 8, 8}, 70, 3, 40, false},
    {{4, 1, 9}, 2, 7, 2, false},    {{20, 4, 4}, 20, 3, 1, false}, {{18, 8, 6}, 24, 3, 70, true},
    {{40, 7, 9}, 24, 3, 20, false},
};

enum { CASES = sizeof cases / sizeof *cases };

static double *numbers(size_t count, unsigned seed) {
    double *out = malloc((count + 1) * sizeof *out);
    for (size_t i = 0; i < count; i++)
        out[i] = check_random(&seed);
    return out;
}

static size_t image_size(const conv_case *c) {
    return c->shape.channels * c->shape.height * c->shape.width;
}

static size_t output_size(const conv_case *c) {
    return c->outputs * c->shape.height * c->shape.width;
}

static size_t weight_size(const conv_case *c) {
    return c->outputs * c->shape.channels * c->kernel * c->kernel;
}

/* Calls visit for each product of the convolution: out[o] += w[k] x[i]. */
typedef void (*visitor)(void *data, size_t o, size_t k, size_t i);

static void for_each_product(const conv_case *c, visitor visit, void *data) {
    long margin = (long)c->kernel / 2, height = (long)c->shape.height, width = (long)c->shape.width;
    for (size_t o = 0; o < c->outputs; o++)
        for (size_t channel = 0; channel < c->shape.channels; channel++)
            for (long i = 0; i < (long)c->kernel; i++)
                for (long j = 0; j < (long)c->kernel; j++)
                    for (long y = 0; y < height; y++)
                        for (long x = 0; x < width; x++) {
                            long v = y + i - margin, h = x + j - margin;
                            if (v < 0 || v >= height || h < 0 || h >= width)
                                continue;
                            size_t tap = (size_t)(i * (long)c->kernel + j);
                            visit(
                                data, (o * (size_t)height + (size_t)y) * (size_t)width + (size_t)x,
                                (o * c->shape.channels + channel) * c->kernel * c->kernel + tap,
                                (channel * (size_t)height + (size_t)v) * (size_t)width + (size_t)h);
                        }
}

typedef struct {
    const double *x, *w, *dy; /* of one row */
    double *y, *dx, *dw;
} products;

static void add_output(void *data, size_t o, size_t k, size_t i) {
    products *p = data;
    p->y[o] += p->w[k] * p->x[i];
}

static void add_gradients(void *data, size_t o, size_t k, size_t i) {
    products *p = data;
    p->dx[i] += p->dy[o] * p->w[k];
    p->dw[k] += p->dy[o] * p->x[i];
}

/* The image as a view: backwards, of a node whose features are backwards too. */
static cf_value scattered(cf_builder *b, cf_value x, size_t size) {
    int64_t *backwards = malloc((size + 1) * sizeof *backwards);
    for (size_t i = 0; i < size; i++)
        backwards[i] = (int64_t)(size - 1 - i);
    cf_value view = cf_select(b, cf_copy(b, cf_select(b, x, backwards, size)), backwards, size);
    free(backwards);
    return view;
}

/* What one run gives, and the same by its definition. */
typedef struct {
    double *y, *dx, *gradients; /* gradients: of the weights, then of the biases */
} results;

static results new_results(const conv_case *c) {
    results r = {calloc(c->rows * output_size(c) + 1, sizeof(double)),
                 calloc(c->rows * image_size(c) + 1, sizeof(double)),
                 calloc(weight_size(c) + c->outputs, sizeof(double))};
    return r;
}

static void free_results(results r) {
    free(r.y);
    free(r.dx);
    free(r.gradients);
}

/* y = tanh or relu of the convolution; dy is the cotangent. */
static void define(const conv_case *c, bool relu, const double *x, const double *parameters,
                   const double *dy, results *r) {
    size_t plane = c->shape.height * c->shape.width, outputs = output_size(c);
    double *dpre = malloc((outputs + 1) * sizeof *dpre);
    for (size_t row = 0; row < c->rows; row++) {
        double *y = r->y + row * outputs;
        products p = {.x = x + row * image_size(c),
                      .w = parameters,
                      .dy = dpre,
                      .y = y,
                      .dx = r->dx + row * image_size(c),
                      .dw = r->gradients};
        for (size_t o = 0; o < outputs; o++)
            y[o] = parameters[weight_size(c) + o / plane];
        for_each_product(c, add_output, &p);
        for (size_t o = 0; o < outputs; o++) {
            double pre = y[o];
            y[o] = relu ? fmax(pre, 0) : tanh(pre);
            dpre[o] = dy[row * outputs + o] * (relu ? pre > 0 : 1 - y[o] * y[o]);
            r->gradients[weight_size(c) + o / plane] += dpre[o];
        }
        for_each_product(c, add_gradients, &p);
    }
    free(dpre);
}

static cf_program *build(const conv_case *c, bool relu) {
    cf_builder *b;
    CHECK_OK(cf_builder_new(&b, CF_EVALUATION));
    cf_value input = cf_input(b, 0, image_size(c), CF_PAD_REPEAT);
    cf_value dy = cf_input(b, 1, output_size(c), CF_PAD_ZERO);
    cf_value x = c->scattered ? scattered(b, input, image_size(c)) : input;
    cf_value weight = cf_parameter(b, 0, weight_size(c));
    cf_value bias = cf_parameter(b, weight_size(c), c->outputs);
    cf_value pre = cf_conv(b, weight, bias, x, c->shape, c->outputs, c->kernel);
    cf_value y = relu ? cf_relu(b, pre) : cf_tanh(b, pre), gradient[3];
    cf_gradient(b, 1, &y, &dy, 3, (cf_value[]){input, weight, bias}, gradient);
    cf_output(b, 0, y);
    cf_output(b, 1, gradient[0]);
    cf_output_gradient(b, 0, gradient[1]);
    cf_output_gradient(b, weight_size(c), gradient[2]);
    CHECK_OK(cf_builder_status(b));
    cf_program *program;
    CHECK_OK(cf_program_new(&program, b, weight_size(c) + c->outputs));
    cf_builder_free(b);
    return program;
}

static void check_near(const double *found, const double *truth, size_t count) {
    double max = 0;
    for (size_t i = 0; i < count; i++)
        max = fmax(max, fabs(truth[i]));
    for (size_t i = 0; i < count; i++)
        CHECK(fabs(found[i] - truth[i]) <= 1e-13 * (1 + max));
}

static void test_conv(const conv_case *c, bool relu) {
    size_t parameters = weight_size(c) + c->outputs;
    double *x = numbers(c->rows * image_size(c), 1), *w = numbers(parameters, 2);
    double *dy = numbers(c->rows * output_size(c), 3);
    results truth = new_results(c), found = new_results(c), again = new_results(c);
    define(c, relu, x, w, dy, &truth);
    cf_program *program = build(c, relu);
    cf_run_args args = {.samples = c->rows,
                        .dtype = CF_FLOAT64,
                        .threads = 1,
                        .parameters = w,
                        .gradients = found.gradients};
    args.input[0] = cf_double_rows(x, image_size(c));
    args.input[1] = cf_double_rows(dy, output_size(c));
    args.output[0] = (cf_result){found.y, output_size(c)};
    args.output[1] = (cf_result){found.dx, image_size(c)};
    CHECK_OK(cf_run(program, &args));
    check_near(found.y, truth.y, c->rows * output_size(c));
    check_near(found.dx, truth.dx, c->rows * image_size(c));
    check_near(found.gradients, truth.gradients, parameters);
    args.threads = 3;
    args.gradients = again.gradients;
    args.output[0].data = again.y;
    args.output[1].data = again.dx;
    CHECK_OK(cf_run(program, &args));
    CHECK(memcmp(found.y, again.y, c->rows * output_size(c) * sizeof(double)) == 0);
    CHECK(memcmp(found.dx, again.dx, c->rows * image_size(c) * sizeof(double)) == 0);
    CHECK(memcmp(found.gradients, again.gradients, parameters * sizeof(double)) == 0);
    cf_program_free(program);
    free_results(truth);
    free_results(found);
    free_results(again);
    free(x);
    free(w);
    free(dy);
}

/* sum of dy . d/dw of the sum of (w * x)^3 along v, whose own gradient is asked for: of the rules
 * of the ops that convolution's rule emits. */
static void test_gradients_of_gradients(cf_shape shape) {
    enum { ROWS = 3, MAX_NUMBERS = ROWS * 20 * 4 * 4, MAX_WEIGHTS = 20 * 20 * 9 };
    const size_t image = cf_shape_features(shape), count = ROWS * image;
    const size_t weights = shape.channels * shape.channels * 9;
    double *x = numbers(count, 4), *w = numbers(weights, 5), *v = numbers(count, 6);
    double first[MAX_NUMBERS], second[MAX_NUMBERS], up[MAX_NUMBERS], down[MAX_NUMBERS];
    double gradient[MAX_WEIGHTS], above[MAX_WEIGHTS], below[MAX_WEIGHTS], unused[MAX_NUMBERS];
    cf_builder *b;
    CHECK_OK(cf_builder_new(&b, CF_EVALUATION));
    cf_value input = cf_input(b, 0, image, CF_PAD_REPEAT);
    cf_value direction = cf_input(b, 1, image, CF_PAD_ZERO);
    cf_value weight = cf_parameter(b, 0, weights), one = cf_constant(b, CF_BATCHED, 1, 1.0);
    cf_value y = cf_conv(b, weight, CF_NO_VALUE, input, shape, shape.channels, 3), d1, d2[2];
    cf_value cube = cf_sum_features(b, cf_multiply(b, y, cf_multiply(b, y, y)));
    cf_gradient(b, 1, &cube, &one, 1, &input, &d1);
    cf_gradient(b, 1, &d1, &direction, 2, (cf_value[]){input, weight}, d2);
    cf_output(b, 0, d1);
    cf_output(b, 1, d2[0]);
    cf_output_gradient(b, 0, d2[1]);
    CHECK_OK(cf_builder_status(b));
    cf_program *program;
    CHECK_OK(cf_program_new(&program, b, weights));
    cf_builder_free(b);
    cf_run_args args = {.samples = ROWS, .dtype = CF_FLOAT64, .threads = 1, .parameters = w};
    args.input[0] = cf_double_rows(x, image);
    args.input[1] = cf_double_rows(v, image);
    args.gradients = gradient;
    args.output[0] = (cf_result){first, image};
    args.output[1] = (cf_result){second, image};
    CHECK_OK(cf_run(program, &args));
    args.output[1].data = unused;
    args.gradients = above;
    double h = 1e-5;
    /* H v by differences of the first gradient along v. */
    for (int sign = -1; sign <= 1; sign += 2) {
        for (size_t i = 0; i < count; i++)
            x[i] += sign * h * v[i];
        args.output[0].data = sign < 0 ? down : up;
        CHECK_OK(cf_run(program, &args));
        for (size_t i = 0; i < count; i++)
            x[i] -= sign * h * v[i];
    }
    for (size_t i = 0; i < count; i++)
        CHECK_CLOSE(second[i], (up[i] - down[i]) / (2 * h), 1e-7);
    double max = 0;
    for (size_t k = 0; k < weights; k++)
        max = fmax(max, fabs(gradient[k]));
    /* d/dw of v . d1 by differences, for some of the weights. */
    for (size_t k = 0; k < weights; k += 1 + weights / 64) {
        double change = 0, start = w[k];
        for (int sign = -1; sign <= 1; sign += 2) {
            w[k] = start + sign * h;
            args.output[0].data = up;
            args.gradients = below;
            CHECK_OK(cf_run(program, &args));
            for (size_t i = 0; i < count; i++)
                change += sign * v[i] * up[i] / (2 * h);
        }
        w[k] = start;
        CHECK(fabs(gradient[k] - change) <= 1e-7 * (1 + max)); /* of sums of all, rounded */
    }
    cf_program_free(program);
    free(x);
    free(w);
    free(v);
}

/* Groups of features, and their gradient, which repeats each. */
static void test_groups(void) {
    double x[2][6] = {{1, 2, 3, 4, 5, 6}, {-1, 0, 2, 7, 1, 1}}, y[2][3], dx[2][6], z[2][6];
    double dy[2][6] = {{1, 2, 4, 8, 16, 32}, {3, 1, 4, 1, 5, 9}}, back[2][3];
    cf_builder *b;
    CHECK_OK(cf_builder_new(&b, CF_EVALUATION));
    cf_value input = cf_input(b, 0, 6, CF_PAD_REPEAT), cotangent = cf_input(b, 1, 6, CF_PAD_ZERO);
    cf_value sums = cf_sum_groups(b, input, 3), repeated = cf_repeat_each(b, sums, 2), gradient[2];
    cf_gradient(b, 1, &repeated, &cotangent, 2, (cf_value[]){input, sums}, gradient);
    cf_output(b, 0, sums);
    cf_output(b, 1, gradient[0]);
    cf_output(b, 2, repeated);
    cf_output(b, 3, gradient[1]);
    CHECK_OK(cf_builder_status(b));
    cf_program *program;
    CHECK_OK(cf_program_new(&program, b, 0));
    cf_builder_free(b);
    cf_run_args args = {.samples = 2, .dtype = CF_FLOAT64, .threads = 1};
    args.input[0] = cf_double_rows(*x, 6);
    args.input[1] = cf_double_rows(*dy, 6);
    args.output[0] = (cf_result){y, 3};
    args.output[1] = (cf_result){dx, 6};
    args.output[2] = (cf_result){z, 6};
    args.output[3] = (cf_result){back, 3};
    CHECK_OK(cf_run(program, &args));
    for (int row = 0; row < 2; row++)
        for (int f = 0; f < 6; f++) {
            int first = f / 2 * 2;
            CHECK(y[row][f / 2] == x[row][first] + x[row][first + 1]);
            CHECK(z[row][f] == y[row][f / 2]);
            CHECK(dx[row][f] == dy[row][first] + dy[row][first + 1]);
            CHECK(back[row][f / 2] == dx[row][f]);
        }
    cf_program_free(program);
}

static void test_misuse_is_told(void) {
    for (int k = 0; k < 4; k++) {
        cf_builder *b;
        CHECK_OK(cf_builder_new(&b, CF_EVALUATION));
        cf_value x = cf_input(b, 0, 12, CF_PAD_REPEAT), weight = cf_parameter(b, 0, 27);
        if (k == 0)
            cf_conv(b, weight, CF_NO_VALUE, x, (cf_shape){3, 2, 2}, 1, 2);
        else if (k == 1)
            cf_conv(b, weight, CF_NO_VALUE, x, (cf_shape){3, 2, 3}, 1, 3);
        else if (k == 2)
            cf_conv(b, weight, CF_NO_VALUE, x, (cf_shape){3, 2, 2}, 2, 3);
        else
            cf_sum_groups(b, x, 5);
        CHECK(cf_builder_status(b) == CF_INVALID);
        cf_builder_free(b);
    }
}

int main(void) {
    for (int i = 0; i < CASES; i++)
        for (int relu = 0; relu < 2; relu++)
            test_conv(&cases[i], relu);
    test_gradients_of_gradients((cf_shape){2, 3, 3});
    test_gradients_of_gradients((cf_shape){20, 4, 4}); /* large enough for winograd.c */
    test_groups();
    test_misuse_is_told();
    return 0;
}
