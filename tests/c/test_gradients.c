/* The gradients of every op, against differences of its value, and the gradients of the gradients,
 * against differences of the first. With the argument "ops", the names of all ops that were
 * differentiated, a line each, as a test of completeness; with "errors", the largest error a case.
 */
#include "gradient_programs.h"

#include "gradient_cases.h"

enum { POINTS = 3 };

/* Relative: of differences of fourth order in float64; of rounding to float32, which inverses of
 * splines enlarge the most. */
static const double tolerance = 1e-7, tolerance_float32 = 1e-3;

static const double buffers[] = {0.5, -1, 2, 1.5, -0.7, 3, -9, -9, -9, 9, 9, 9};
static double worst; /* as a share of the tolerance */

static cf_value emit_weighted(cf_builder *b, const cf_value *x, const void *data) {
    (void)data;
    return cf_multiply(b, x[0], cf_slice(b, x[1], 0, 1));
}

static cf_value emit_stated(cf_builder *b, const cf_value *x, const void *data) {
    (void)data;
    return cf_sum_features(b, cf_multiply(b, x[0], x[1]));
}

static const exception exceptions[] = {
    /* It is what is stated. The slopes have none. */
    {"stated_gradient", emit_stated, false},
    /* The weight stands there for the gradient alone, and has none. */
    {"scale_gradient", emit_weighted, false},
    /* Its user states what the gradient is. */
    {"detach", NULL, false},
    /* -inf beside every integer has no differences. */
    {"log_indicator_integers", NULL, false},
    /* Samples need no gradient: the mean has none. */
    {"categorical_mean", NULL, false},
    /* Numbers of float32 are drawn from other bits. */
    {"dropout", emit_numbered, true},
};

/* ---- numbers ---- */

static double *numbers(size_t count) {
    double *all = calloc(count > 0 ? count : 1, sizeof *all);
    CHECK(all != NULL);
    return all;
}

static size_t acquire_slab(setting *s, size_t size) {
    size_t offset = s->slab_size;
    s->slab_size += size;
    CHECK(s->slab_size <= sizeof s->slab / sizeof *s->slab);
    return offset;
}

static void fill(setting *s, unsigned *state) {
    for (size_t i = 0; i < VARIABLES; i++) {
        const variable *v = &s->variable[i];
        size_t rows = v->kind == CF_BATCHED ? s->rows : 1;
        if (v->kind == CF_BATCHED)
            s->number[i] = numbers(rows * v->size);
        else
            s->number[i] = s->slab + s->offset[i];
        for (size_t k = 0; k < rows * v->size; k++) {
            double share = (check_random(state) + 1) / 2,
                   number = v->low + share * (v->high - v->low);
            s->number[i][k] = v->fixed ? floor(number + 0.5) : number;
        }
    }
    for (size_t r = 0; s->test->fill != NULL && r < s->rows; r++) {
        double *row[OPERANDS];
        for (size_t i = 0; i < OPERANDS; i++)
            row[i] =
                s->number[i] + (s->variable[i].kind == CF_BATCHED ? r * s->variable[i].size : 0);
        s->test->fill(s->test->data, r, row);
    }
}

static void fill_weights(setting *s, unsigned *state) {
    size_t first = 0;
    s->row_weight = numbers(s->rows * s->row_weights);
    for (size_t i = 0; i < OPERANDS; i++) {
        const variable *v = &s->variable[i];
        if (!s->has_gradient[i])
            continue;
        size_t rows = v->kind == CF_BATCHED ? s->rows : 1;
        s->weight[i] =
            v->kind == CF_BATCHED ? numbers(rows * v->size) : s->slab + s->weight_offset[i];
        for (size_t k = 0; k < rows * v->size; k++)
            s->weight[i][k] = check_random(state);
        for (size_t k = 0; k < rows * v->size && v->kind == CF_BATCHED; k++)
            s->row_weight[k / v->size * s->row_weights + first + k % v->size] = s->weight[i][k];
        first += v->kind == CF_BATCHED ? v->size : 0;
    }
}

static cf_run_args arguments(setting *s) {
    cf_run_args args = {.samples = s->rows, .dtype = CF_FLOAT64, .threads = 1, .seed = 3};
    args.parameters = s->slab;
    args.gradients = s->gradients;
    args.buffers = buffers;
    for (size_t i = 0; i < VARIABLES; i++)
        if (s->variable[i].kind == CF_BATCHED)
            args.input[i] = cf_double_rows(s->number[i], s->variable[i].size);
    args.input[VARIABLES] = cf_double_rows(s->row_weight, s->row_weights);
    return args;
}

/* ---- differences ---- */

/* A weighted sum of a program's outputs, which is differentiated. */
typedef struct {
    const cf_program *program;
    size_t count;
    const variable *output;
    double *const *weight; /* NULL: there is no such output */
} weighted_sum;

/* The part of each row, and that of unbatched outputs in `sum[rows]`. */
static void add_up(setting *s, const weighted_sum *of, double *sum) {
    static double out[OPERANDS][MAX_ROWS * MAX_SIZE];
    cf_run_args args = arguments(s);
    for (size_t i = 0; i < of->count; i++)
        args.output[i] = (cf_result){out[i], of->output[i].size, false};
    CHECK_OK(cf_run(of->program, &args));
    memset(sum, 0, (s->rows + 1) * sizeof *sum);
    for (size_t i = 0; i < of->count; i++) {
        bool unbatched = of->output[i].kind == CF_UNBATCHED;
        size_t size = of->output[i].size, rows = unbatched ? 1 : s->rows;
        for (size_t k = 0; of->weight[i] != NULL && k < rows * size; k++)
            sum[unbatched ? s->rows : k / size] += of->weight[i][k] * out[i][k];
    }
}

/* The derivatives of those parts in `count` numbers moved together, by differences of fourth order.
 */
static void differences(setting *s, const weighted_sum *of, double *const *moved, size_t count,
                        double *slope) {
    static const double weight[] = {1.0 / 12, -8.0 / 12, 8.0 / 12, -1.0 / 12};
    static const int step[] = {-2, -1, 1, 2};
    double h = 2e-4, sum[MAX_ROWS + 1], start[MAX_ROWS];
    memset(slope, 0, (s->rows + 1) * sizeof *slope);
    for (size_t i = 0; i < count; i++)
        start[i] = *moved[i];
    for (size_t k = 0; k < 4; k++) {
        for (size_t i = 0; i < count; i++)
            *moved[i] = start[i] + step[k] * h;
        add_up(s, of, sum);
        for (size_t r = 0; r <= s->rows; r++)
            slope[r] += weight[k] * sum[r] / h;
    }
    for (size_t i = 0; i < count; i++)
        *moved[i] = start[i];
}

static double total(const setting *s, const double *slope) {
    double sum = 0;
    for (size_t r = 0; r <= s->rows; r++)
        sum += slope[r];
    return sum;
}

/* ---- comparison ---- */

/* Gradients that are compared: how they are called, and how exact they are. */
typedef struct {
    const char *name;
    double tolerance;
    weighted_sum of;
} compared;

static void check_number(const setting *s, const compared *c, size_t i, size_t k, double got,
                         double truth, double typical) {
    double error = fabs(got - truth) / (fabs(truth) + typical);
    size_t size = s->variable[i].size;
    if (!(error <= c->tolerance)) {
        fprintf(stderr, "%s: %s, operand %zu, row %zu, feature %zu: %.12g, not %.12g\n",
                s->test->name, c->name, i, k / size, k % size, got, truth);
        exit(1);
    }
    worst = fmax(worst, error / c->tolerance);
}

/* The gradient in feature f of variable i; where nothing is unbatched, of all rows at once. */
static void compare_feature(setting *s, const compared *c, size_t i, size_t f, const double *found,
                            double typical) {
    const variable *v = &s->variable[i];
    double slope[MAX_ROWS + 1], *moved[MAX_ROWS];
    bool unbatched = false;
    for (size_t k = 0; k < VARIABLES; k++)
        unbatched |= s->variable[k].kind == CF_UNBATCHED && s->variable[k].size > 0;
    size_t rows = v->kind == CF_BATCHED ? s->rows : 1, each = unbatched ? 1 : rows;
    for (size_t r = 0; r < rows; r += each) {
        for (size_t k = 0; k < each; k++)
            moved[k] = &s->number[i][(r + k) * v->size + f];
        differences(s, &c->of, moved, each, slope);
        for (size_t k = 0; k < each; k++) {
            size_t number = (r + k) * v->size + f;
            double truth = unbatched ? total(s, slope) : slope[k];
            check_number(s, c, i, number, found[number], truth, typical);
        }
    }
}

static void compare(setting *s, const compared *c, size_t i, const double *found) {
    const variable *v = &s->variable[i];
    size_t count = v->size * (v->kind == CF_BATCHED ? s->rows : 1), step = v->size > 100 ? 67 : 1;
    double squares = 0.01;
    for (size_t k = 0; k < count; k++)
        squares += found[k] * found[k];
    double typical = 0.1 * sqrt(squares / (double)(count > 0 ? count : 1));
    for (size_t f = 0; f < v->size && !v->fixed; f += step)
        compare_feature(s, c, i, f, found, typical);
}

static double results[VARIABLES][MAX_ROWS * MAX_SIZE];

/* Numbers of type float64 go in and come out whatever the gradients are computed in, but for those
 * in the slab. Where the op has no gradient, it is 0. */
static void compare_first(setting *s, cf_dtype dtype) {
    static float slab[4 * MAX_SIZE];
    compared c = {
        "gradient", tolerance, {s->value, 1, s->variable + OPERANDS, s->number + OPERANDS}};
    cf_run_args args = arguments(s);
    if (dtype == CF_FLOAT32) {
        c.name = "gradient in float32";
        c.tolerance = tolerance_float32;
        args.dtype = dtype;
        args.parameters = slab;
        for (size_t k = 0; k < s->slab_size; k++)
            slab[k] = (float)s->slab[k];
    }
    memset(results, 0, sizeof results);
    for (size_t i = 0; i < OPERANDS; i++)
        args.output[i] = (cf_result){results[i], s->variable[i].size, true};
    CHECK_OK(cf_run(s->first, &args));
    for (size_t i = 0; i < OPERANDS; i++)
        if (s->has_gradient[i] || s->exception == NULL)
            compare(s, &c, i, results[i]);
}

static void compare_second(setting *s) {
    const compared c = {"second gradient", tolerance, {s->first, OPERANDS, s->variable, s->weight}};
    cf_run_args args = arguments(s);
    for (size_t i = 0; i < VARIABLES; i++)
        args.output[i] = (cf_result){results[i], s->variable[i].size, false};
    CHECK_OK(cf_run(s->second, &args));
    for (size_t i = 0; i < VARIABLES; i++) {
        bool unbatched = s->variable[i].kind == CF_UNBATCHED;
        compare(s, &c, i, unbatched ? s->gradients + s->offset[i] : results[i]);
    }
}

static void compare_at_a_point(setting *s, unsigned *state) {
    fill(s, state);
    fill_weights(s, state);
    if (s->value != NULL) {
        compare_first(s, CF_FLOAT64);
        if (s->exception == NULL || !s->exception->only_float64)
            compare_first(s, CF_FLOAT32);
    }
    if (s->second != NULL)
        compare_second(s);
    for (size_t i = 0; i < VARIABLES; i++)
        if (s->variable[i].kind == CF_BATCHED)
            free(s->number[i]);
    for (size_t i = 0; i < OPERANDS; i++)
        if (s->has_gradient[i] && s->variable[i].kind == CF_BATCHED)
            free(s->weight[i]);
    free(s->row_weight);
}

static const exception *find_exception(const char *name) {
    for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++)
        if (strcmp(exceptions[i].name, name) == 0)
            return &exceptions[i];
    return NULL;
}

static void build(setting *s) {
    cf_value value[VARIABLES], gradient[OPERANDS];
    bool unbatched = false;
    for (size_t i = 0; i < OPERANDS; i++) {
        s->variable[i] = s->test->operand[i];
        unbatched |= s->variable[i].kind == CF_UNBATCHED && s->variable[i].size > 0;
        if (s->variable[i].kind == CF_UNBATCHED)
            s->offset[i] = acquire_slab(s, s->variable[i].size);
    }
    s->rows = unbatched ? 3 : MAX_ROWS;
    s->offset[OPERANDS] = s->slab_size;
    cf_builder_free(emit_first(s, value, gradient)); /* tells the op's size */
    if (s->variable[OPERANDS].kind == CF_UNBATCHED)
        acquire_slab(s, s->variable[OPERANDS].size);
    build_value(s);
    build_first(s);
    for (size_t i = 0; i < OPERANDS; i++) {
        if (s->has_gradient[i] && s->variable[i].kind == CF_UNBATCHED)
            s->weight_offset[i] = acquire_slab(s, s->variable[i].size);
        else if (s->has_gradient[i])
            s->row_weights += s->variable[i].size;
    }
    if (!s->test->zero)
        build_second(s);
}

static void run_case(const op_case *test) {
    static setting s;
    unsigned state = 7;
    s = (setting){.test = test, .exception = find_exception(test->name)};
    build(&s);
    for (size_t point = 0; point < POINTS; point++)
        compare_at_a_point(&s, &state);
    cf_program_free(s.value);
    cf_program_free(s.first);
    cf_program_free(s.second);
}

int main(int count, char **arguments_) {
    const char *wanted = count > 1 ? arguments_[1] : "";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        worst = 0;
        run_case(&cases[i]);
        if (strcmp(wanted, "errors") == 0)
            printf("%-40s %.1e\n", cases[i].name, worst);
    }
    for (size_t i = 0; strcmp(wanted, "ops") == 0 && i < seen_count; i++)
        puts(seen[i]);
    return 0;
}
