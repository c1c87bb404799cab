/* Gradients of gradients of every op, against differences of the first gradients. With the argument
 * "ops", the names of all ops that were differentiated, a line each, as a test of completeness. */
#include "check.h"

#include "engine/intrinsics.h"
#include "engine/run.h"
#include "ops/input.h"
#include "ops/logistic_mixture.h"
#include "ops/ops.h"
#include "ops/spline.h"

#include <string.h>

enum { MOST_ROWS = 24, MOST_SIZE = 3000, OPERANDS = 4, VARIABLES = OPERANDS + 1 };

/* An operand, or the cotangent of the op, which is the last variable: numbers of every row, or
 * shared ones. */
typedef struct {
    size_t size; /* 0: there is no such operand */
    double low, high;
    cf_kind kind;
    bool fixed; /* is not differentiated by: integers, uniform noise */
} variable;

typedef struct {
    const char *name;
    cf_value (*emit)(cf_builder *b, const cf_value *operand, const void *data);
    const void *data;
    variable operand[OPERANDS];
    void (*fill)(const void *data, size_t row,
                 double *const *operand); /* on top of noise, or NULL */
    bool zero;                            /* its gradient is */
} op_case;

typedef struct {
    const op_case *test;
    size_t rows;
    variable variable[VARIABLES];
    double *number[VARIABLES]; /* [rows][size], or [size] in the slab */
    size_t place[VARIABLES];   /* of shared ones in the slab */
    bool has_gradient[OPERANDS];
    double *weight[OPERANDS]; /* of the first gradients, [rows][size] or [size] in the slab */
    size_t weight_place[OPERANDS];
    size_t row_weights; /* of all row gradients */
    double *row_weight; /* [rows][row_weights] */
    double slab[4 * MOST_SIZE], gradients[4 * MOST_SIZE];
    size_t slab_size;
    cf_program *first, *second;
} setting;

static const double buffers[] = {0.5, -1, 2, 1.5, -0.7, 3, -9, -9, -9, 9, 9, 9};
static char seen[200][64];
static size_t seen_count;
static double worst;

/* ---- programs ---- */

static void note_ops(const cf_builder *b) {
    for (size_t n = 1; n < cf_builder_nodes(b); n++) {
        const cf_op *op = cf_builder_node(b, n)->op;
        size_t i = 0;
        while (i < seen_count && strcmp(seen[i], op->name) != 0)
            i++;
        if (i == seen_count)
            strcpy(seen[seen_count++], op->name);
    }
}

/* Variables, the op and its first gradients. */
static cf_builder *emit_first(setting *s, cf_value *value, cf_value *gradient) {
    cf_builder *b;
    cf_value wrt[OPERANDS], found[OPERANDS];
    size_t count = 0;
    CHECK_OK(cf_builder_new(&b, CF_TRAINING));
    for (size_t i = 0; i < OPERANDS; i++) {
        const variable *v = &s->variable[i];
        if (v->size > 0 && v->kind == CF_ROW)
            value[i] = cf_input(b, (int)i, v->size, CF_PAD_REPEAT);
        else if (v->size > 0)
            value[i] = cf_parameter(b, s->place[i], v->size);
        if (v->size > 0 && !v->fixed)
            wrt[count++] = value[i];
    }
    cf_value out = s->test->emit(b, value, s->test->data);
    CHECK_OK(cf_builder_status(b));
    variable *d = &s->variable[OPERANDS];
    *d = (variable){cf_value_size(b, out), -1, 1, cf_value_kind(b, out), false};
    value[OPERANDS] = d->kind == CF_ROW ? cf_input(b, OPERANDS, d->size, CF_PAD_ZERO)
                                        : cf_parameter(b, s->place[OPERANDS], d->size);
    cf_gradient(b, 1, &out, &value[OPERANDS], count, wrt, found);
    CHECK_OK(cf_builder_status(b));
    count = 0;
    for (size_t i = 0; i < OPERANDS; i++) {
        bool asked = s->variable[i].size > 0 && !s->variable[i].fixed;
        gradient[i] = asked ? found[count++] : CF_NO_VALUE;
    }
    return b;
}

static cf_program *finish(cf_builder *b, size_t gradient_size) {
    cf_program *program;
    CHECK_OK(cf_builder_status(b));
    CHECK_OK(cf_program_new(&program, b, gradient_size));
    cf_builder_free(b);
    return program;
}

static void build_first(setting *s) {
    cf_value value[VARIABLES], gradient[OPERANDS];
    cf_builder *b = emit_first(s, value, gradient);
    bool any = false;
    for (size_t i = 0; i < OPERANDS; i++) {
        s->has_gradient[i] = !cf_is_none(gradient[i]);
        any |= s->has_gradient[i];
        if (s->has_gradient[i])
            cf_output(b, (int)i, cf_broadcast(b, gradient[i]));
    }
    CHECK(any == !s->test->zero);
    if (!any)
        note_ops(b);
    s->first = finish(b, 0);
}

/* Weights of the first gradients, as cotangents. */
static void emit_weights(setting *s, cf_builder *b, cf_value *weight) {
    size_t first = 0;
    cf_value rows = CF_NO_VALUE;
    if (s->row_weights > 0)
        rows = cf_input(b, VARIABLES, s->row_weights, CF_PAD_ZERO);
    for (size_t i = 0; i < OPERANDS; i++) {
        size_t size = s->variable[i].size;
        weight[i] = CF_NO_VALUE;
        if (!s->has_gradient[i])
            continue;
        if (s->variable[i].kind == CF_SHARED) {
            weight[i] = cf_parameter(b, s->weight_place[i], size);
        } else {
            weight[i] = cf_slice(b, rows, first, size);
            first += size;
        }
    }
}

static void build_second(setting *s) {
    cf_value value[VARIABLES], gradient[OPERANDS], weight[OPERANDS], second[VARIABLES];
    cf_value wrt[VARIABLES];
    size_t count = 0;
    cf_builder *b = emit_first(s, value, gradient);
    emit_weights(s, b, weight);
    for (size_t i = 0; i < VARIABLES; i++)
        if (s->variable[i].size > 0 && !s->variable[i].fixed)
            wrt[count++] = value[i];
    cf_gradient(b, OPERANDS, gradient, weight, count, wrt, second);
    CHECK_OK(cf_builder_status(b));
    count = 0;
    for (size_t i = 0; i < VARIABLES; i++) {
        const variable *v = &s->variable[i];
        if (v->size == 0 || v->fixed)
            continue;
        cf_value found = second[count++];
        if (cf_is_none(found))
            found = cf_constant(b, v->kind, v->size, 0.0);
        if (v->kind == CF_ROW)
            cf_output(b, (int)i, found);
        else
            cf_output_gradient(b, s->place[i], found);
    }
    note_ops(b);
    s->second = finish(b, s->slab_size);
}

/* ---- numbers ---- */

static double *numbers(size_t count) {
    double *all = calloc(count > 0 ? count : 1, sizeof *all);
    CHECK(all != NULL);
    return all;
}

static size_t take_slab(setting *s, size_t size) {
    size_t place = s->slab_size;
    s->slab_size += size;
    CHECK(s->slab_size <= sizeof s->slab / sizeof *s->slab);
    return place;
}

static void fill(setting *s, unsigned *state) {
    for (size_t i = 0; i < VARIABLES; i++) {
        const variable *v = &s->variable[i];
        size_t rows = v->kind == CF_ROW ? s->rows : 1;
        if (v->kind == CF_ROW)
            s->number[i] = numbers(rows * v->size);
        else
            s->number[i] = s->slab + s->place[i];
        for (size_t k = 0; k < rows * v->size; k++) {
            double share = (check_random(state) + 1) / 2,
                   number = v->low + share * (v->high - v->low);
            s->number[i][k] = v->fixed ? floor(number + 0.5) : number;
        }
    }
    for (size_t r = 0; s->test->fill != NULL && r < s->rows; r++) {
        double *row[OPERANDS];
        for (size_t i = 0; i < OPERANDS; i++)
            row[i] = s->number[i] + (s->variable[i].kind == CF_ROW ? r * s->variable[i].size : 0);
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
        size_t rows = v->kind == CF_ROW ? s->rows : 1;
        s->weight[i] = v->kind == CF_ROW ? numbers(rows * v->size) : s->slab + s->weight_place[i];
        for (size_t k = 0; k < rows * v->size; k++)
            s->weight[i][k] = check_random(state);
        for (size_t k = 0; k < rows * v->size && v->kind == CF_ROW; k++)
            s->row_weight[k / v->size * s->row_weights + first + k % v->size] = s->weight[i][k];
        first += v->kind == CF_ROW ? v->size : 0;
    }
}

static cf_run_args arguments(setting *s) {
    cf_run_args args = {.rows = s->rows, .dtype = CF_FLOAT64, .threads = 1, .seed = 3};
    args.parameters = s->slab;
    args.gradients = s->gradients;
    args.buffers = buffers;
    for (size_t i = 0; i < VARIABLES; i++)
        if (s->variable[i].kind == CF_ROW)
            args.input[i] = cf_double_rows(s->number[i], s->variable[i].size);
    args.input[VARIABLES] = cf_double_rows(s->row_weight, s->row_weights);
    return args;
}

/* ---- comparison ---- */

/* The weighted sum of first gradients: of each row, and of shared ones in `sum[rows]`. */
static void weigh_first(setting *s, double *sum) {
    static double out[OPERANDS][MOST_ROWS * MOST_SIZE];
    cf_run_args args = arguments(s);
    for (size_t i = 0; i < OPERANDS; i++)
        args.output[i] = (cf_result){out[i], s->variable[i].size};
    CHECK_OK(cf_run(s->first, &args));
    memset(sum, 0, (s->rows + 1) * sizeof *sum);
    for (size_t i = 0; i < OPERANDS; i++) {
        size_t size = s->variable[i].size, rows = s->variable[i].kind == CF_ROW ? s->rows : 1;
        for (size_t k = 0; s->has_gradient[i] && k < rows * size; k++)
            sum[rows == 1 && s->variable[i].kind == CF_SHARED ? s->rows : k / size] +=
                s->weight[i][k] * out[i][k];
    }
}

/* The derivatives of those sums in `count` numbers moved together, by differences of fourth order.
 */
static void differences(setting *s, double *const *moved, size_t count, double *slope) {
    static const double weight[] = {1.0 / 12, -8.0 / 12, 8.0 / 12, -1.0 / 12};
    static const int step[] = {-2, -1, 1, 2};
    double h = 2e-4, sum[MOST_ROWS + 1], start[MOST_ROWS];
    memset(slope, 0, (s->rows + 1) * sizeof *slope);
    for (size_t i = 0; i < count; i++)
        start[i] = *moved[i];
    for (size_t k = 0; k < 4; k++) {
        for (size_t i = 0; i < count; i++)
            *moved[i] = start[i] + step[k] * h;
        weigh_first(s, sum);
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

/* Against the differences in feature f of variable i; where nothing is shared, of all rows at once.
 */
static void compare(setting *s, size_t i, size_t f, bool shared, const double *found,
                    double typical) {
    const variable *v = &s->variable[i];
    double slope[MOST_ROWS + 1], *moved[MOST_ROWS];
    size_t rows = v->kind == CF_ROW ? s->rows : 1, each = shared ? 1 : rows;
    for (size_t r = 0; r < rows; r += each) {
        for (size_t k = 0; k < each; k++)
            moved[k] = &s->number[i][(r + k) * v->size + f];
        differences(s, moved, each, slope);
        for (size_t k = 0; k < each; k++) {
            double truth = shared ? total(s, slope) : slope[k], got = found[(r + k) * v->size + f];
            double error = fabs(got - truth) / (fabs(truth) + typical);
            if (!(error <= 1e-7)) {
                fprintf(stderr, "%s: operand %zu, row %zu, feature %zu: %.12g, not %.12g\n",
                        s->test->name, i, r + k, f, got, truth);
                exit(1);
            }
            worst = error > worst ? error : worst;
        }
    }
}

static void compare_all(setting *s) {
    static double out[VARIABLES][MOST_ROWS * MOST_SIZE];
    cf_run_args args = arguments(s);
    bool shared = false;
    for (size_t i = 0; i < VARIABLES; i++) {
        args.output[i] = (cf_result){out[i], s->variable[i].size};
        shared |= s->variable[i].kind == CF_SHARED && s->variable[i].size > 0;
    }
    CHECK_OK(cf_run(s->second, &args));
    for (size_t i = 0; i < VARIABLES; i++) {
        const variable *v = &s->variable[i];
        const double *found = v->kind == CF_ROW ? out[i] : s->gradients + s->place[i];
        size_t count = v->size * (v->kind == CF_ROW ? s->rows : 1);
        double squares = 0.01;
        for (size_t k = 0; k < count; k++)
            squares += found[k] * found[k];
        double typical = 0.1 * sqrt(squares / (double)(count > 0 ? count : 1));
        size_t step = v->size > 100 ? 67 : 1;
        for (size_t f = 0; f < v->size && !v->fixed; f += step)
            compare(s, i, f, shared, found, typical);
    }
}

static void run_case(const op_case *test) {
    static setting s;
    cf_value value[VARIABLES], gradient[OPERANDS];
    unsigned state = 7;
    bool shared = false;
    s = (setting){.test = test};
    for (size_t i = 0; i < OPERANDS; i++) {
        s.variable[i] = test->operand[i];
        shared |= test->operand[i].kind == CF_SHARED && test->operand[i].size > 0;
        if (test->operand[i].kind == CF_SHARED)
            s.place[i] = take_slab(&s, test->operand[i].size);
    }
    s.rows = shared ? 3 : MOST_ROWS;
    s.place[OPERANDS] = s.slab_size;
    cf_builder_free(emit_first(&s, value, gradient)); /* tells the op's size */
    if (s.variable[OPERANDS].kind == CF_SHARED)
        take_slab(&s, s.variable[OPERANDS].size);
    build_first(&s);
    for (size_t i = 0; i < OPERANDS; i++) {
        if (s.has_gradient[i] && s.variable[i].kind == CF_SHARED)
            s.weight_place[i] = take_slab(&s, s.variable[i].size);
        else if (s.has_gradient[i])
            s.row_weights += s.variable[i].size;
    }
    fill(&s, &state);
    fill_weights(&s, &state);
    if (!test->zero) {
        build_second(&s);
        compare_all(&s);
    }
    cf_program_free(s.first);
    cf_program_free(s.second);
    for (size_t i = 0; i < VARIABLES; i++)
        if (s.variable[i].kind == CF_ROW)
            free(s.number[i]);
    for (size_t i = 0; i < OPERANDS; i++)
        if (s.has_gradient[i] && s.variable[i].kind == CF_ROW)
            free(s.weight[i]);
    free(s.row_weight);
}

#include "second_gradient_cases.h"

int main(int count, char **arguments_) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double before = worst;
        worst = 0;
        run_case(&cases[i]);
        if (count > 1 && strcmp(arguments_[1], "errors") == 0)
            printf("%-40s %.1e\n", cases[i].name, worst);
        worst = worst > before ? worst : before;
    }
    for (size_t i = 0; count > 1 && strcmp(arguments_[1], "ops") == 0 && i < seen_count; i++)
        puts(seen[i]);
    return 0;
}
