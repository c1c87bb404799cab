/* Muon: Jordan 2024, https://kellerjordan.github.io/posts/muon/; Liu et al. 2025, arXiv:2502.16982,
 * with AdamW (adam_update.h) for what is not a matrix. */
#ifndef CF_FN

#include <string.h>

#include "train/optimizers/adam_update.h"
#include "train/optimizers/chunks.h"
#include "train/optimizers/newton_schulz.h"
#include "train/optimizers/options.h"

#define CF_BODY "train/optimizers/muon.c"

typedef struct {
    cf_adam_numbers others;
    double clip, rate, shrink, momentum;
    double nesterov, matches_adamw; /* 0 or 1 */
    double iterations;
} muon_numbers;

_Static_assert(sizeof(muon_numbers) <= CF_STEP_DOUBLES * sizeof(double), "too many numbers");

/* Smaller norms are replaced by this one, as in torch. */
static const double MIN_NORM = 1e-7;

enum { STRIP = 16 }; /* columns that are transposed together */

/* The matrix's own side of the iterations: x(i, j) = matrix(j, i) if it is tall. */
typedef struct {
    size_t rows, columns;
    bool tall;
} sides;

typedef void (*blend_kernel)(const muon_numbers *s, size_t n, const void *gradient, void *momentum,
                             void *out);
typedef void (*copy_kernel)(const cf_newton_schulz *n, sides s, const void *from, double factor);
typedef void (*apply_kernel)(const cf_newton_schulz *n, sides s, const uint32_t *row_ends,
                             double rate, double shrink, void *parameter);

#include "simd/instantiate.h"

static const blend_kernel blend_kernels[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(blend);
static const copy_kernel copy_kernels[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(copy_scaled);
static const apply_kernel apply_kernels[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(apply);

/* Kernels of convolutions are matrices of a row for each output. */
static sides sides_of(const cf_tensor *tensor) {
    sides s = {.rows = tensor->shape[0]};
    s.columns = s.rows > 0 ? tensor->size / s.rows : 0;
    s.tall = s.rows > s.columns;
    return s;
}

/* Whether it is a linear map of several numbers to several: that is what weights are, unlike
 * matrices of means or of directions. */
static bool is_matrix(const cf_tensor *tensor) {
    const char *last = strrchr(tensor->name, '.');
    sides s = sides_of(tensor);
    return tensor->dims >= 2 && s.rows >= 2 && s.columns >= 2 &&
           strcmp(last == NULL ? tensor->name : last + 1, "weight") == 0;
}

static size_t scratch(const cf_tensor *tensor, cf_dtype dtype) {
    sides s = sides_of(tensor);
    return s.tall ? cf_newton_schulz_bytes(s.columns, s.rows, dtype)
                  : cf_newton_schulz_bytes(s.rows, s.columns, dtype);
}

static cf_adam_options options_of_others(const cf_spec *spec) {
    return (cf_adam_options){cf_spec_real(spec, "adam_learning_rate"),
                             cf_spec_real(spec, "adam_beta1"), cf_spec_real(spec, "adam_beta2"),
                             cf_spec_real(spec, "adam_epsilon")};
}

static void prepare(const cf_spec *spec, const cf_gradient_step *step, void *numbers) {
    double rate = cf_spec_real(spec, "learning_rate") * step->schedule;
    cf_adam_options options = options_of_others(spec);
    cf_adam_numbers others = cf_adam_numbers_from(&options, step);
    others.shrink = 1.0 - others.rate * cf_spec_real(spec, "adam_weight_decay");
    *(muon_numbers *)numbers = (muon_numbers){
        .others = others,
        .clip = step->clip,
        .rate = rate,
        .shrink = 1.0 - rate * cf_spec_real(spec, "weight_decay"),
        .momentum = cf_spec_real(spec, "momentum"),
        .nesterov = (double)cf_spec_int(spec, "nesterov"),
        .matches_adamw = strcmp(cf_spec_string(spec, "adjust"), "match_rms_adamw") == 0,
        .iterations = (double)cf_spec_int(spec, "iterations"),
    };
}

static double adjusted(const muon_numbers *numbers, sides s) {
    double rows = (double)s.rows, columns = (double)s.columns;
    double factor = numbers->matches_adamw != 0.0 ? 0.2 * sqrt(fmax(rows, columns))
                                                  : sqrt(fmax(1.0, rows / columns));
    return numbers->rate * factor;
}

static void update(const cf_update *u, cf_dtype dtype) {
    const muon_numbers *numbers = u->numbers;
    cf_simd_level level = cf_simd();
    cf_newton_schulz n;
    if (u->tensor == NULL) {
        cf_adam_update(&numbers->others, u, dtype);
        return;
    }
    sides s = sides_of(u->tensor);
    cf_newton_schulz_begin(&n, s.tall ? s.columns : s.rows, s.tall ? s.rows : s.columns, dtype,
                           u->scratch);
    blend_kernels[level][dtype](numbers, u->count, u->gradient, u->state[0], n.next);
    double norm = sqrt(cf_sum_of_squares(n.next, u->count, dtype));
    copy_kernels[level][dtype](&n, s, n.next, 1.0 / fmax(norm, MIN_NORM));
    cf_newton_schulz_run(&n, (int64_t)numbers->iterations);
    apply_kernels[level][dtype](&n, s, u->tensor->row_ends, adjusted(numbers, s), numbers->shrink,
                                u->parameter);
}

static cf_status check(const cf_spec *spec, cf_dtype dtype) {
    cf_adam_options options = options_of_others(spec);
    return cf_adam_check_options("Muon", &options, dtype);
}

/* The first is the momentum of matrices, and the first moment of other tensors. */
static const char *const arrays[] = {"momentum", "second_moment", NULL};

static const cf_optimizer_methods methods = {
    .arrays = arrays,
    .check = check,
    .prepare = prepare,
    .update = update,
    .is_whole = is_matrix,
    .scratch = scratch,
};

static const char *const adjustments[] = {"original", "match_rms_adamw", NULL};

static const cf_option options[] = {
    CF_REAL_OPTION("learning_rate", 0.02, CF_RANGE_POSITIVE,
                   "The size of a step of matrices; the schedule multiplies it."),
    CF_MOMENTUM(0.95),
    CF_DECOUPLED_WEIGHT_DECAY(0.0),
    {.name = "nesterov",
     .kinds = CF_OPTION_BOOL,
     .default_value = CF_DEFAULT_BOOL(1),
     .doc = "Whether a step looks ahead: the momentum, with the gradient once more."},
    {.name = "iterations",
     .kinds = CF_OPTION_INT,
     .default_value = CF_DEFAULT_INT(5),
     .range = &(const cf_range){1.0, 99.0, false, false},
     .doc = "Newton-Schulz iterations a step."},
    {.name = "adjust",
     .kinds = CF_OPTION_STRING,
     .default_value = CF_DEFAULT_STRING("original"),
     .choices = adjustments,
     .doc = "What the step of a matrix of r rows and c columns is multiplied by: "
            "``sqrt(max(1, r / c))``, or ``0.2 sqrt(max(r, c))``, with which rates that are good "
            "for `AdamW` are good here."},
    CF_REAL_OPTION("adam_learning_rate", 1e-3, CF_RANGE_POSITIVE,
                   "The size of a step of other parameters; the schedule multiplies it."),
    CF_REAL_OPTION("adam_beta1", 0.9, CF_RANGE_BELOW_ONE, "As `AdamW`'s."),
    CF_REAL_OPTION("adam_beta2", 0.999, CF_RANGE_BELOW_ONE, "As `AdamW`'s."),
    CF_REAL_OPTION("adam_epsilon", 1e-8, CF_RANGE_POSITIVE, "As `AdamW`'s."),
    CF_REAL_OPTION("adam_weight_decay", 0.0, CF_RANGE_NOT_NEGATIVE, "As `AdamW`'s."),
};

const cf_spec_type cf_muon_type = {
    .name = "Muon",
    .role = "optimizer",
    .doc =
        "Muon: the momentum of a matrix, made orthogonal; other parameters learn by `AdamW`.\n\n"
        "``m = momentum m + (1 - momentum) g``, ``n = momentum m + (1 - momentum) g`` with "
        "Nesterov,\n"
        "else ``n = m``; the step is ``-learning_rate adjust X``, where ``X`` begins as\n"
        "``n / max(|n|, 1e-7)`` and `iterations` times becomes\n"
        "``3.4445 X - 4.7750 X X^T X + 2.0315 (X X^T)^2 X``: nearly ``U V^T`` of the singular "
        "value\n"
        "decomposition ``U S V^T`` of ``n``.\n"
        "Before the step the matrix shrinks by ``1 - learning_rate weight_decay``. The form is "
        "that\n"
        "of torch.optim.Muon, but computed in the flow's dtype.\n\n"
        "Matrices are the parameters called ``weight`` of two rows and two columns or more; "
        "kernels\n"
        "of convolutions have a row for each output. In masked networks, what the mask leaves out\n"
        "stays as it is.\n\n"
        "References\n----------\n"
        "Jordan et al. 2024, Muon: an optimizer for hidden layers in neural networks,\n"
        "https://kellerjordan.github.io/posts/muon/. Liu et al. 2025, Muon is scalable for LLM\n"
        "training, arXiv:2502.16982, equation 4, of the other `adjust`.\n\n"
        "Examples\n--------\n"
        ">>> import cflows as cf\n"
        ">>> cf.Muon(0.01, adam_learning_rate=3e-4)\n"
        "Muon(learning_rate=0.01, adam_learning_rate=0.0003)",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .methods = &methods,
};

#else

/* The momentum after the gradient, and what is to be made orthogonal. */
static void CF_FN(blend)(const muon_numbers *s, size_t n, const void *gradient, void *momentum,
                         void *out) {
    const real *g = gradient;
    real *m = momentum, *x = out;
    const vreal clip = v_set1((real)s->clip), kept = v_set1((real)s->momentum);
    const bool nesterov = s->nesterov != 0.0;
    for (size_t i = 0; i < n; i += VL) {
        size_t count = n - i < VL ? n - i : VL;
        bool part = count < VL;
        vreal vg = (part ? v_load_n(g + i, count) : v_load(g + i)) * clip;
        vreal vm = part ? v_load_n(m + i, count) : v_load(m + i);
        vm = v_fma(kept, vm - vg, vg);
        vreal vx = nesterov ? v_fma(kept, vm - vg, vg) : vm;
        if (part) {
            v_store_n(m + i, vm, count);
            v_store_n(x + i, vx, count);
        } else {
            v_store(m + i, vm);
            v_store(x + i, vx);
        }
    }
}

/* One matrix to the iterations' x, or back: strips of columns stay in the cache when it is tall. */
static void CF_FN(copy_scaled)(const cf_newton_schulz *n, sides s, const void *from,
                               double factor) {
    const size_t down = s.tall ? 1 : n->step, right = s.tall ? n->step : 1;
    const size_t strip = s.tall ? STRIP : s.columns;
    const real f = (real)factor;
    for (size_t left = 0; left < s.columns; left += strip) {
        size_t count = s.columns - left < strip ? s.columns - left : strip;
        for (size_t i = 0; i < s.rows; i++) {
            const real *row = (const real *)from + i * s.columns + left;
            real *x = (real *)n->x + i * down + left * right;
            for (size_t j = 0; j < count; j++)
                x[j * right] = f * row[j];
        }
    }
}

static void CF_FN(apply)(const cf_newton_schulz *n, sides s, const uint32_t *row_ends, double rate,
                         double shrink, void *parameter) {
    const size_t down = s.tall ? 1 : n->step, right = s.tall ? n->step : 1;
    const size_t strip = s.tall ? STRIP : s.columns;
    const real r = (real)rate, kept = (real)shrink;
    for (size_t left = 0; left < s.columns; left += strip)
        for (size_t i = 0; i < s.rows; i++) {
            size_t end = left + strip < s.columns ? left + strip : s.columns;
            const real *x = (const real *)n->x + i * down;
            real *row = (real *)parameter + i * s.columns;
            if (row_ends != NULL && row_ends[i] < end)
                end = row_ends[i];
            for (size_t j = left; j < end; j++)
                row[j] = row[j] * kept - r * x[j * right];
        }
}

#endif
