/* The vectors u and v of the largest singular value |W v| = u^T W v of an unbatched matrix, or of a
 * convolution as a map of the whole image, zeros around it: operands the weights, and the two that
 * are given.
 *
 * v maximises |W v|^2 among unit vectors. It is found by conjugate gradients: each step goes to the
 * largest value in the plane of v and the direction (Knyazev 2001, arXiv:math/0101057, without the
 * preconditioner). The start has a part of pseudo-random numbers, so that none is held at another
 * singular value. The spectral norm of a power iteration is never too large, and a vector from
 * which it starts may have become useless, since weights may be set to anything: so the given
 * vectors are used only if what is found proves them to be good enough. */
#ifndef CF_FN

#include "base/splitmix.h"
#include "ops/feature_rows.h"

typedef struct {
    size_t rows, columns;
    double share;
    bool training;
    cf_shape shape;         /* of the image that a convolution reads */
    size_t outputs, kernel; /* its channels and k; of a matrix k is 0 */
} singular_params;

/* How many steps: in training from given vectors, in training without any, and else. */
enum { TRACKING_STEPS = 5, FIRST_STEPS = 100, MAX_STEPS = 1000 };

/* float64 numbers of the search, behind the result. */
static size_t room_of(const singular_params *p) {
    return 6 * p->columns + 3 * p->rows;
}

/* Numbers of the result: the vectors, the factor and, of a convolution, the sums of products. */
static size_t result_of(const singular_params *p) {
    size_t sums = p->outputs * p->shape.channels * p->kernel * p->kernel;
    return p->rows + p->columns + 1 + sums;
}

/* What happens at every pair of pixels that a weight joins. */
typedef enum { MAP, MAP_BACK, SUM_PRODUCTS } pass;

#define CF_BODY "ops/singular_vectors.c"
#include "simd/instantiate.h"

static const cf_op singular_vectors_op = {
    .name = "singular_vectors",
    .params = sizeof(singular_params),
    .kernel = CF_VERSIONS(singular_vectors),
    .gradient = cf_zero_gradient,
};

/* Emits the op and cuts its result; `sums` is NULL for a matrix. */
static void emit(cf_builder *b, const singular_params *p, cf_value weight, cf_value *left,
                 cf_value *right, cf_value *factor, cf_value *sums) {
    cf_value operands[3] = {cf_contiguous(b, weight), cf_contiguous(b, *left),
                            cf_contiguous(b, *right)};
    size_t size = result_of(p), behind = p->rows + p->columns;
    /* float64 begins at an even number, and takes two of float32. */
    cf_value all = cf_emit(b, &singular_vectors_op, CF_UNBATCHED, size + size % 2 + 2 * room_of(p),
                           3, operands, CF_PARAMS(p));
    *left = cf_slice(b, all, 0, p->rows);
    *right = cf_slice(b, all, p->rows, p->columns);
    *factor = cf_slice(b, all, behind, 1);
    if (sums != NULL)
        *sums = cf_slice(b, all, behind + 1, size - behind - 1);
}

void cf_singular_vectors(cf_builder *b, cf_value matrix, size_t rows, double share, cf_value *left,
                         cf_value *right, cf_value *factor) {
    if (cf_builder_status(b) != CF_OK)
        return;
    singular_params params = {.rows = rows,
                              .columns = cf_value_size(b, matrix) / rows,
                              .share = share,
                              .training = cf_builder_mode(b) == CF_TRAINING};
    emit(b, &params, matrix, left, right, factor, NULL);
}

void cf_conv_singular_vectors(cf_builder *b, cf_value weight, cf_shape shape, size_t outputs,
                              size_t kernel, double share, cf_value *left, cf_value *right,
                              cf_value *factor, cf_value *sums) {
    if (cf_builder_status(b) != CF_OK)
        return;
    singular_params params = {.rows = outputs * cf_pixels(shape),
                              .columns = cf_shape_features(shape),
                              .share = share,
                              .training = cf_builder_mode(b) == CF_TRAINING,
                              .shape = shape,
                              .outputs = outputs,
                              .kernel = kernel};
    emit(b, &params, weight, left, right, factor, sums);
}

#else

#include "base/splitmix.h"
#include "ops/feature_rows.h"

/* v and a = W v, g = W^T a; a direction p from v, and W p, W^T W p; the last residual. */
typedef struct {
    const real *w;
    const singular_params *params;
    size_t rows, columns;
    double *v, *g, *p, *gp, *residual, *given_right; /* [columns] */
    double *a, *ap, *given_left;                     /* [rows] */
    double value;                                    /* |a|^2 */
} CF_FN(search);

static double CF_FN(dot)(const double *x, const double *y, size_t n) {
    double sum[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++)
            sum[k] += x[i + k] * y[i + k];
    for (; i < n; i++)
        sum[0] += x[i] * y[i];
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

/* x /= |x|; returns |x|, and leaves zeros. */
static double CF_FN(normalize)(double *x, size_t n) {
    double length = sqrt(CF_FN(dot)(x, x, n));
    for (size_t i = 0; i < n && length > 0.0; i++)
        x[i] /= length;
    return length;
}

/* A line of the smaller image y for the weights of one output and one channel: y += w x, x += w y,
 * or w += x y, where x are lines of the image that the convolution reads. */
CF_INLINE void CF_FN(line)(pass what, const singular_params *p, size_t row, const real *weights,
                           double *x, double *y, real *sums) {
    size_t k = p->kernel, height = p->shape.height, width = p->shape.width;
    for (size_t i = row < k / 2 ? k / 2 - row : 0; i < k && row + i < height + k / 2; i++) {
        double *from = x + (row + i - k / 2) * width;
        for (size_t j = 0; j < k; j++) {
            size_t first = j < k / 2 ? k / 2 - j : 0;
            size_t end = j > k / 2 ? (width > j - k / 2 ? width - (j - k / 2) : 0) : width;
            double w = what == SUM_PRODUCTS ? 0.0 : (double)weights[i * k + j];
            for (size_t n = first; n < end; n++) {
                if (what == MAP)
                    y[n] += w * from[n + j - k / 2];
                else if (what == MAP_BACK)
                    from[n + j - k / 2] += w * y[n];
                else
                    w += from[n + j - k / 2] * y[n];
            }
            if (what == SUM_PRODUCTS)
                sums[i * k + j] += (real)w;
        }
    }
}

/* The same for the whole images. */
CF_INLINE void CF_FN(images)(pass what, const CF_FN(search) * s, double *x, double *y, real *sums) {
    const singular_params *p = s->params;
    size_t channels = p->shape.channels, square = p->kernel * p->kernel, at = 0;
    size_t height = p->shape.height, width = p->shape.width;
    for (size_t o = 0; o < p->outputs; o++)
        for (size_t c = 0; c < channels; c++, at += square)
            for (size_t row = 0; row < height; row++)
                CF_FN(line)
    (what, p, row, s->w + at, x + c * height * width, y + (o * height + row) * width,
     what == SUM_PRODUCTS ? sums + at : NULL);
}

/* image = W x and, unless it is NULL, back = W^T image, of a convolution. */
static void CF_FN(convolve)(const CF_FN(search) * s, double *x, double *image, double *back) {
    for (size_t i = 0; i < s->rows; i++)
        image[i] = 0.0;
    CF_FN(images)(MAP, s, x, image, NULL);
    for (size_t j = 0; j < s->columns && back != NULL; j++)
        back[j] = 0.0;
    if (back != NULL)
        CF_FN(images)(MAP_BACK, s, back, image, NULL);
}

/* image = W x and, unless it is NULL, back = W^T image. */
static void CF_FN(multiply)(const CF_FN(search) * s, double *x, double *image, double *back) {
    if (s->params->kernel > 0) {
        CF_FN(convolve)(s, x, image, back);
        return;
    }
    for (size_t j = 0; j < s->columns && back != NULL; j++)
        back[j] = 0.0;
    for (size_t i = 0; i < s->rows; i++) {
        const real *row = s->w + i * s->columns;
        double sum[8] = {0};
        size_t j = 0;
        for (; j + 8 <= s->columns; j += 8)
            for (size_t k = 0; k < 8; k++)
                sum[k] += (double)row[j + k] * x[j + k];
        for (; j < s->columns; j++)
            sum[0] += (double)row[j] * x[j];
        image[i] =
            ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
        for (j = 0; j < s->columns && back != NULL; j++)
            back[j] += (double)row[j] * image[i];
    }
}

/* (x, y) = (cosine x + sine y, cosine y - sine x) */
static void CF_FN(turn)(double *x, double *y, size_t n, double cosine, double sine) {
    for (size_t i = 0; i < n; i++) {
        double kept = x[i];
        x[i] = cosine * kept + sine * y[i];
        y[i] = cosine * y[i] - sine * kept;
    }
}

/* Adds `share` of pseudo-random numbers to a vector of length 1 or 0, which has length 1 then. */
static void CF_FN(disturb)(double *x, size_t n, double share) {
    uint64_t state = 1;
    for (size_t i = 0; i < n; i++) {
        double uniform = (double)(cf_splitmix64(&state) >> 11) * 0x1p-53 - 0.5;
        x[i] += share * uniform * sqrt(12.0 / (double)n);
    }
    CF_FN(normalize)(x, n);
}

/* One step; `before` is the square of the last residual, 0 at first. Returns that of this one, or 0
 * where v is settled. */
static double CF_FN(step)(CF_FN(search) * s, double tolerance, double before) {
    size_t n = s->columns;
    double now = 0.0, across = 0.0;
    for (size_t j = 0; j < n; j++) {
        double r = s->g[j] - s->value * s->v[j];
        now += r * r;
        across += r * s->residual[j];
        s->residual[j] = r;
    }
    if (!(now > tolerance * tolerance * s->value * s->value))
        return 0.0;
    double keep = before > 0.0 && now > across ? (now - across) / before : 0.0;
    for (size_t j = 0; j < n; j++)
        s->p[j] = s->residual[j] + keep * s->p[j];
    double along = CF_FN(dot)(s->p, s->v, n);
    for (size_t j = 0; j < n; j++)
        s->p[j] -= along * s->v[j];
    double length = CF_FN(normalize)(s->p, n);
    CF_FN(multiply)(s, s->p, s->ap, s->gp);
    double between = CF_FN(dot)(s->a, s->ap, s->rows), other = CF_FN(dot)(s->ap, s->ap, s->rows);
    double angle = 0.5 * atan2(2.0 * between, s->value - other);
    double cosine = cos(angle), sine = sin(angle);
    CF_FN(turn)(s->v, s->p, n, cosine, sine);
    CF_FN(turn)(s->g, s->gp, n, cosine, sine);
    CF_FN(turn)(s->a, s->ap, s->rows, cosine, sine);
    for (size_t j = 0; j < n; j++)
        s->p[j] *= length;
    s->value = CF_FN(dot)(s->a, s->a, s->rows);
    return now;
}

/* Improves v by at most `steps`. Ends early where the square `given` of what the given vectors give
 * is more than `share` of the square of the largest value, as far as the growth of the last four
 * steps can tell. */
static void CF_FN(climb)(CF_FN(search) * s, int steps, double tolerance, double given,
                         double share) {
    double residual = 0.0, before = 0.0;
    CF_FN(multiply)(s, s->v, s->a, s->g);
    s->value = CF_FN(dot)(s->a, s->a, s->rows);
    for (int i = 0; i < steps; i++) {
        residual = CF_FN(step)(s, tolerance, residual);
        if (residual == 0.0)
            return;
        if (i % 4 != 3)
            continue;
        if (i > 7 && s->value - before < 0.25 * (1.0 - share) * s->value &&
            given > sqrt(share) * s->value)
            return;
        before = s->value;
    }
}

/* The vectors as they are given, with length 1, and left^T W right, at least 0. */
static double CF_FN(read_given)(CF_FN(search) * s, const cf_call *call) {
    const real *left = cf_operand_base(call, 1), *right = cf_operand_base(call, 2);
    for (size_t i = 0; i < s->rows; i++)
        s->given_left[i] = (double)left[i];
    for (size_t j = 0; j < s->columns; j++)
        s->given_right[j] = (double)right[j];
    CF_FN(normalize)(s->given_left, s->rows);
    CF_FN(normalize)(s->given_right, s->columns);
    CF_FN(multiply)(s, s->given_right, s->a, NULL);
    double value = CF_FN(dot)(s->given_left, s->a, s->rows);
    return value > 0.0 ? value : 0.0;
}

static CF_FN(search) CF_FN(new_search)(const cf_call *call, const singular_params *p) {
    size_t size = result_of(p), n = p->columns;
    double *room = (double *)((real *)call->out + size + size % 2), *rows = room + 6 * n;
    return (CF_FN(search)){.w = cf_operand_base(call, 0),
                           .params = p,
                           .rows = p->rows,
                           .columns = n,
                           .v = room,
                           .g = room + n,
                           .p = room + 2 * n,
                           .gp = room + 3 * n,
                           .residual = room + 4 * n,
                           .given_right = room + 5 * n,
                           .a = rows,
                           .ap = rows + p->rows,
                           .given_left = rows + 2 * p->rows};
}

/* The vectors, and the sums of products by which left^T W right is a sum over the weights. */
static void CF_FN(store)(const CF_FN(search) * s, real *out, double *left, double *right) {
    const singular_params *p = s->params;
    size_t behind = p->rows + p->columns + 1;
    for (size_t i = 0; i < p->rows; i++)
        out[i] = (real)left[i];
    for (size_t j = 0; j < p->columns; j++)
        out[p->rows + j] = (real)right[j];
    for (size_t i = behind; i < result_of(p); i++)
        out[i] = 0;
    if (p->kernel > 0)
        CF_FN(images)(SUM_PRODUCTS, s, right, left, out + behind);
}

static void CF_FN(singular_vectors)(const cf_call *call) {
    const singular_params *p = call->step->node->params;
    CF_FN(search) s = CF_FN(new_search)(call, p);
    real *out = call->out;
    double given = CF_FN(read_given)(&s, call);
    bool any = CF_FN(dot)(s.given_right, s.given_right, p->columns) > 0.0;
    for (size_t j = 0; j < p->columns; j++) {
        s.v[j] = s.given_right[j];
        s.p[j] = s.residual[j] = 0.0;
    }
    CF_FN(disturb)(s.v, p->columns, p->training && any ? 1e-3 : 0.1);
    if (p->training)
        CF_FN(climb)(&s, any ? TRACKING_STEPS : FIRST_STEPS, 1e-6, 0.0, 1.0);
    else
        CF_FN(climb)(&s, MAX_STEPS, 1e-10, given * given, p->share * p->share);
    CF_FN(multiply)(&s, s.v, s.a, NULL);
    double value = CF_FN(normalize)(s.a, p->rows);
    bool found = p->training || !(given >= p->share * value);
    double *left = found ? s.a : s.given_left;
    double *right = found ? s.v : s.given_right;
    CF_FN(store)(&s, out, left, right);
    out[p->rows + p->columns] = (real)(found && any && !p->training ? p->share : 1.0);
}

#endif
