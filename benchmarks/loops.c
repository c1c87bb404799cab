/* What loops cost beside the same program unrolled: values, gradients, and building with planning.
 * One thread; medians of ROUNDS pairs, each of one run of either. Prints a markdown table. */
#include "engine/loop.h"
#include "engine/run.h"
#include "ops/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROWS = 20000, FEATURES = 64, ROUNDS = 21, MAX_BLOCKS = 64 };
enum { SQUARE = FEATURES * FEATURES, EACH = SQUARE + FEATURES };

static float points[ROWS * FEATURES], results[ROWS * FEATURES], parameters[MAX_BLOCKS * EACH];
static float gradients[MAX_BLOCKS * EACH];

static void expect(cf_status status) {
    if (status != CF_OK) {
        fprintf(stderr, "%s\n", cf_message());
        exit(1);
    }
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct {
    cf_value weights, biases; /* stacks */
    size_t blocks;
    bool linear; /* a layer, or tanh alone */
} body;

static cf_value emit_layer(cf_builder *b, const body *o, cf_value weight, cf_value bias,
                           cf_value x) {
    return cf_tanh(b, o->linear ? cf_matmul(b, weight, bias, x, FEATURES) : x);
}

static void iterate(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                    cf_value *goes_on) {
    const body *o = context;
    (void)goes_on;
    next[0] = emit_layer(b, o, cf_stack_block(b, o->weights, o->blocks),
                         cf_stack_block(b, o->biases, o->blocks), state[0]);
}

/* The same with a condition, which no sample meets. */
static void iterate_until(cf_builder *b, const void *context, const cf_value *state, cf_value *next,
                          cf_value *goes_on) {
    iterate(b, context, state, next, goes_on);
    *goes_on = cf_scale_shift(b, cf_slice(b, next[0], 0, 1), 0.0, -1.0);
}

typedef struct {
    size_t blocks;
    bool linear, unrolled, condition, gradient;
} variant;

static cf_program *build(variant v) {
    cf_builder *b;
    cf_program *program;
    expect(cf_builder_new(&b, CF_EVALUATION));
    cf_value x = cf_input(b, 0, FEATURES, CF_PAD_REPEAT), y = x, gradient[2];
    body o = {cf_parameter(b, 0, v.blocks * SQUARE),
              cf_parameter(b, v.blocks * SQUARE, v.blocks * FEATURES), v.blocks, v.linear};
    if (v.unrolled) {
        for (size_t i = 0; i < v.blocks; i++)
            y = emit_layer(b, &o, cf_slice(b, o.weights, i * SQUARE, SQUARE),
                           cf_slice(b, o.biases, i * FEATURES, FEATURES), y);
    } else {
        cf_while_spec spec = {.states = 1,
                              .initial = &x,
                              .body = v.condition ? iterate_until : iterate,
                              .context = &o,
                              .context_size = sizeof o,
                              .max_iterations = (uint32_t)v.blocks,
                              .gradient = cf_recorded_steps};
        cf_while(b, &spec, &y, NULL);
    }
    if (v.gradient) {
        cf_value dy = cf_input(b, 0, FEATURES, CF_PAD_ZERO);
        cf_gradient(b, 1, &y, &dy, 2, (cf_value[]){o.weights, o.biases}, gradient);
        cf_output_gradient(b, 0, gradient[0]);
        cf_output_gradient(b, v.blocks * SQUARE, gradient[1]);
    } else {
        cf_output(b, 0, y);
    }
    expect(cf_builder_status(b));
    expect(cf_program_new(&program, b, v.gradient ? v.blocks * EACH : 0));
    cf_builder_free(b);
    return program;
}

static double time_run(const cf_program *program) {
    cf_run_args args = {.samples = ROWS,
                        .dtype = CF_FLOAT32,
                        .threads = 1,
                        .parameters = parameters,
                        .gradients = gradients};
    args.input[0] = (cf_array){.data = points,
                               .element = CF_FLOAT,
                               .row_stride = FEATURES * sizeof *points,
                               .feature_stride = sizeof *points};
    args.output[0] = (cf_result){results, FEATURES};
    double start = now();
    expect(cf_run(program, &args));
    return now() - start;
}

static double time_build(variant v) {
    double start = now();
    cf_program_free(build(v));
    return now() - start;
}

static int compare(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double median(double *values) {
    qsort(values, ROUNDS, sizeof *values, compare);
    return values[ROUNDS / 2];
}

static void row(const char *name, variant v, bool building) {
    double loop[ROUNDS], unrolled[ROUNDS], ratio[ROUNDS];
    variant u = v;
    u.unrolled = true;
    cf_program *a = build(v), *b = build(u);
    time_run(a);
    time_run(b);
    for (int i = 0; i < ROUNDS; i++) {
        loop[i] = building ? time_build(v) : time_run(a);
        unrolled[i] = building ? time_build(u) : time_run(b);
        ratio[i] = loop[i] / unrolled[i];
    }
    printf("| %s | %.3f | %.3f | %.2f |\n", name, 1e3 * median(loop), 1e3 * median(unrolled),
           median(ratio));
    cf_program_free(a);
    cf_program_free(b);
}

int main(void) {
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        points[i] = (float)((double)rand() / RAND_MAX - 0.5);
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        parameters[i] = (float)(0.3 * ((double)rand() / RAND_MAX - 0.5));
    printf("%d rows of %d features, float32, one thread, %s; medians of %d pairs\n\n", ROWS,
           FEATURES, cf_simd_name(cf_simd()), ROUNDS);
    printf("| program | loop, ms | unrolled, ms | ratio |\n|---|---:|---:|---:|\n");
    row("one iteration of tanh, counted", (variant){.blocks = 1}, false);
    row("one iteration of tanh, with a condition", (variant){.blocks = 1, .condition = true},
        false);
    row("one iteration of a layer, counted", (variant){.blocks = 1, .linear = true}, false);
    row("one iteration of a layer, with a condition",
        (variant){.blocks = 1, .linear = true, .condition = true}, false);
    row("8 layers, values", (variant){.blocks = 8, .linear = true}, false);
    row("8 layers, gradient of the weights",
        (variant){.blocks = 8, .linear = true, .gradient = true}, false);
    row("8 layers, building the gradient", (variant){.blocks = 8, .linear = true, .gradient = true},
        true);
    row("64 layers, building the values", (variant){.blocks = 64, .linear = true}, true);
    return 0;
}
