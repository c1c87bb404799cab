/* cflows in C: normalizing flows that are described, fitted, scored and sampled.
 *
 * A flow carries a base distribution u to the data x by a chain of invertible layers, u -> x, so
 * that log p(x) = log p(u) + log|det du/dx|. Densities are in nats. A program makes specs, from
 * these a flow, and from the flow numbers; README.md has a whole one.
 *
 * What a function with _new in its name (or cf_flow_copy) makes, the _free of its kind frees; these
 * accept NULL. Other pointers must be valid unless NULL is mentioned. A function that returns a
 * cf_status and fails changes nothing, sets what it was to make to NULL, and leaves a message;
 * other functions cannot fail.
 */
#ifndef CFLOWS_H
#define CFLOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the shared library exports: csrc/Makefile defines CFLOWS_EXPORTS. */
#if defined(CFLOWS_EXPORTS) && defined(__GNUC__)
#define CF_API __attribute__((visibility("default")))
#else
#define CF_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- status ---- */

typedef enum {
    CF_OK = 0,
    CF_INVALID,     /* an argument is wrong */
    CF_TYPE,        /* an argument is of the wrong kind */
    CF_NO_MEMORY,   /* an allocation failed */
    CF_NUMERICAL,   /* the computation overflowed or did not converge */
    CF_BUSY,        /* the flow is being fitted, or in use by another thread */
    CF_INTERRUPTED, /* a callback asked to stop */
} cf_status;

/* What was wrong, what was expected and what was got, when a function last failed in this thread;
 * "" if none has. Valid until the thread's next failure. */
CF_API const char *cf_message(void);

/* ---- threads and instruction sets ---- */

/* How many threads a computation may use, the caller included: the last cf_set_num_threads, else
 * the environment's CFLOWS_NUM_THREADS, else the number of processors. The numbers that come out do
 * not depend on it. */
CF_API int cf_num_threads(void);

/* CF_INVALID unless 1 <= threads <= 256. Takes effect for computations that start later. */
CF_API cf_status cf_set_num_threads(int threads);

/* CF_INVALID if the environment's CFLOWS_NUM_THREADS is not a number that cf_set_num_threads
 * accepts, or CFLOWS_SIMD is not base, avx2 or avx512, or is one that this machine lacks.
 * Computations ignore such values. */
CF_API cf_status cf_threads_check(void);
CF_API cf_status cf_simd_check(void);

/* ---- specs ---- */

/* Descriptions of layers, their parts, base distributions, optimisers and schedules.
 *
 * Types and options are those of the Python classes, whose documentation says what they mean:
 * "Coupling" with mask="half". A spec is made, its options are set, and it is finished; from then
 * on it never changes, and may be part of any number of other specs and flows, each of which keeps
 * its own hold. */
typedef struct cf_spec cf_spec;

/* A spec with every option at its default. CF_INVALID if there is no such type. */
CF_API cf_status cf_spec_new_named(cf_spec **out, const char *type);

/* Sets one option to a copy of the value. CF_INVALID if there is no such option, the value is out
 * of its range or the spec is finished, CF_TYPE if the option is of another kind; an int is taken
 * where a real is wanted. Specs within others must be finished. NULL for a string or a spec stands
 * for none, where an option may be none. */
CF_API cf_status cf_spec_set_bool(cf_spec *spec, const char *name, bool value);
CF_API cf_status cf_spec_set_int(cf_spec *spec, const char *name, int64_t value);
CF_API cf_status cf_spec_set_real(cf_spec *spec, const char *name, double value);
CF_API cf_status cf_spec_set_string(cf_spec *spec, const char *name, const char *value);
CF_API cf_status cf_spec_set_spec(cf_spec *spec, const char *name, cf_spec *value);

/* The same for lists. A matrix is the list of its rows. */
CF_API cf_status cf_spec_set_bools(cf_spec *spec, const char *name, const bool *values,
                                   size_t count);
CF_API cf_status cf_spec_set_ints(cf_spec *spec, const char *name, const int64_t *values,
                                  size_t count);
CF_API cf_status cf_spec_set_reals(cf_spec *spec, const char *name, const double *values,
                                   size_t count);
CF_API cf_status cf_spec_set_specs(cf_spec *spec, const char *name, cf_spec *const *values,
                                   size_t count);

/* Checks the whole. CF_TYPE if a required option is missing, CF_INVALID if options do not go
 * together; they may then still be set. */
CF_API cf_status cf_spec_finish(cf_spec *spec);

/* Releases the caller's hold. */
CF_API void cf_spec_free(cf_spec *spec);

/* ---- flows ---- */

typedef struct cf_flow cf_flow;

/* The type that a flow computes in and keeps its parameters in. */
typedef enum { CF_FLOAT32 = 0, CF_FLOAT64 = 1 } cf_dtype;

/* The shape of one sample: an image of channels x height x width, in that order, or a vector, whose
 * features are the channels of a single pixel. */
typedef struct {
    size_t channels, height, width;
    bool image; /* which layers of images need, such as Squeeze */
} cf_shape;

static inline cf_shape cf_vector(size_t features) {
    cf_shape shape = {features, 1, 1, false};
    return shape;
}

/* What a flow is made of. Members that are left out are 0 or NULL. */
typedef struct {
    cf_spec *const *layers; /* base to data */
    size_t layer_count;
    cf_spec *base;           /* NULL: the standard normal */
    cf_spec *embedding;      /* of the context; NULL: layers and base see it as it is */
    cf_shape shape;          /* of a sample of the data */
    size_t context_features; /* of a conditional density; 0: there is no context */
    bool raw_context; /* the context is not standardised; else the first fit sets its mean and
                         standard deviation, as it does those of x */
    cf_dtype dtype;
    uint64_t seed;         /* of the weights, which are freshly drawn, and of random permutations */
    size_t max_parameters; /* CF_INVALID if there are more, counted before there is room for them: a
                              guard against descriptions that are not trusted; 0: no guard */
} cf_flow_parts;

/* A new flow, which keeps its own holds of the specs. CF_INVALID if layers and sizes do not fit,
 * CF_TYPE if a spec is of the wrong role. */
CF_API cf_status cf_flow_new(cf_flow **out, const cf_flow_parts *parts);

/* The same flow with copies of its numbers, in the given dtype. CF_BUSY while an epoch runs, which
 * changes them. */
CF_API cf_status cf_flow_copy(cf_flow **out, const cf_flow *flow, cf_dtype dtype);

/* All fits of the flow must have been freed. */
CF_API void cf_flow_free(cf_flow *flow);

/* Numbers of features: of x; of u, which differs where a layer such as a VAE's changes it; and of
 * the context before any embedding. */
CF_API size_t cf_flow_features(const cf_flow *flow);
CF_API size_t cf_flow_base_features(const cf_flow *flow);
CF_API size_t cf_flow_context_features(const cf_flow *flow);

/* ---- what a flow computes ---- */

/* The caller's numbers, row after row without gaps; a row is a point, an image channel by channel.
 * Either dtype is read by flows of either. */
typedef struct {
    const void *data; /* float or double, as the dtype says; NULL: nothing is given */
    cf_dtype dtype;
    size_t rows, columns;
} cf_matrix;

static inline cf_matrix cf_floats(const float *data, size_t rows, size_t columns) {
    cf_matrix matrix = {data, CF_FLOAT32, rows, columns};
    return matrix;
}

static inline cf_matrix cf_doubles(const double *data, size_t rows, size_t columns) {
    cf_matrix matrix = {data, CF_FLOAT64, rows, columns};
    return matrix;
}

/* For flows without context. */
static inline cf_matrix cf_no_context(void) {
    cf_matrix matrix = {NULL, CF_FLOAT64, 0, 0};
    return matrix;
}

/* Computations for each of n points: x of [n][features], u of [n][base features]. `context` has a
 * row a point, or one row for all. Results are double in flows of either dtype, in arrays of the
 * caller that do not overlap what is read; NULL: not wanted. log_prob and log_det have [n] numbers.
 *
 * CF_INVALID if a matrix is of the wrong size, CF_BUSY while the flow is being fitted. Any number
 * of threads may compute with one flow at once. A row that is NaN, infinite or outside the domain
 * of a layer spoils its own results alone, which are NaN; log_prob is -inf where the base has
 * density 0. Stochastic layers, such as Dequantize, draw the noise of seed 0, and log_prob is then
 * a lower bound. */
CF_API cf_status cf_flow_log_prob(const cf_flow *flow, cf_matrix x, cf_matrix context,
                                  double *log_prob);

/* x -> u with log|det du/dx|, and u -> x with log|det dx/du|. */
CF_API cf_status cf_flow_inverse(const cf_flow *flow, cf_matrix x, cf_matrix context, double *u,
                                 double *log_det);
CF_API cf_status cf_flow_forward(const cf_flow *flow, cf_matrix u, cf_matrix context, double *x,
                                 double *log_det);

/* The gradient of log_prob with respect to x, of the shape of x. */
CF_API cf_status cf_flow_score(const cf_flow *flow, cf_matrix x, cf_matrix context, double *score,
                               double *log_prob);

/* Samples number first to first + n - 1 of a seed, with their densities: the same whether they are
 * drawn at once or in pieces. CF_INVALID if log_prob is wanted of a flow with stochastic layers. */
CF_API cf_status cf_flow_sample(const cf_flow *flow, size_t n, cf_matrix context, uint64_t seed,
                                uint64_t first, double *x, double *log_prob);

/* ---- what a flow has learned ---- */

/* Its tensors, numbered from 0: first the parameters, then what the first fit or a spec has set,
 * such as the shift and the scale of an Affine. All of them, put into a flow of the same parts,
 * make it the same flow. */
CF_API size_t cf_flow_tensor_count(const cf_flow *flow);
CF_API size_t cf_flow_parameter_count(const cf_flow *flow); /* how many of them are parameters */

/* A path such as "layers.0.conditioner.linear0.weight"; the number of dimensions, and *shape =
 * their sizes; the product of these. Pointers are valid as long as the flow. NULL and 0 if there is
 * no such tensor. */
CF_API const char *cf_flow_tensor_name(const cf_flow *flow, size_t tensor);
CF_API size_t cf_flow_tensor_shape(const cf_flow *flow, size_t tensor, const size_t **shape);
CF_API size_t cf_flow_tensor_size(const cf_flow *flow, size_t tensor);

/* Copies the `count` numbers of a tensor, row after row, out or in. CF_INVALID if there is no such
 * tensor or it has not `count` numbers, CF_BUSY while the flow is being fitted, and from
 * cf_flow_set_tensor while another thread computes with it. */
CF_API cf_status cf_flow_get_tensor(const cf_flow *flow, size_t tensor, double *values,
                                    size_t count);
CF_API cf_status cf_flow_set_tensor(cf_flow *flow, size_t tensor, const double *values,
                                    size_t count);

/* ---- fitting by maximum likelihood ---- */

typedef struct cf_fit cf_fit;

/* Rows to learn from, or to validate with. */
typedef struct {
    cf_matrix x, context;
    const double *weights; /* by row, 0 or more; NULL: all 1 */
} cf_fit_rows;

/* Members that are left out are 0 or NULL. */
typedef struct {
    cf_fit_rows train;
    cf_fit_rows validation; /* without x: none */
    cf_spec *optimizer;     /* NULL: Adam */
    cf_spec *schedule;      /* of the learning rate; NULL: Constant */
    uint64_t epochs;        /* at most; at least 1 */
    uint64_t batch_size;    /* rows of a step at most; 0: 256, or all if there are fewer */
    uint64_t patience;      /* epochs without a better validation loss before stopping; 0: all */
    double clip_norm;       /* gradients longer than this are shortened to it; 0: none are */
    double ema;             /* decay of a moving average of the weights, which is then what is
                               validated and kept; 0: none */
    uint64_t seed;          /* of the rows' order and the noise */
} cf_fit_options;

typedef enum { CF_RUNNING, CF_STOP_EPOCHS, CF_STOP_PATIENCE, CF_STOP_INTERRUPTED } cf_stop;

typedef struct {
    uint64_t epoch; /* from 1 */
    uint64_t step, steps_per_epoch, skipped;
    double train, validation; /* mean losses, in nats a row; validation NaN without one */
    double learning_rate;
    bool best;
    cf_stop stop;
    double penalty; /* the mean of what steps minimise beside the loss, such as a layer's own
                       regularisation; not part of `train` */
} cf_epoch_report;

/* Called at most every 100 ms, with what the present epoch has so far; true stops the training. */
typedef bool (*cf_poll)(void *context, const cf_epoch_report *so_far, uint64_t rows_in_epoch);

/* Checks all rows and locks the flow: until cf_fit_free, what computes with it is CF_BUSY. The
 * rows' x and context are read in place, and must stay as they are until then; everything else is
 * copied. CF_INVALID if there are no rows, a number is NaN or infinite (the message tells the row),
 * or an option is out of range; CF_TYPE if a spec is of the wrong role; CF_BUSY if the flow is
 * being fitted already, or in use. */
CF_API cf_status cf_fit_new(cf_fit **out, cf_flow *flow, const cf_fit_options *options);

/* Runs one epoch and reports it; another may follow while report->stop is CF_RUNNING, and is
 * CF_INVALID after that. The flow's first epoch sets an Affine next to the data to their mean and
 * standard deviation. `poll` may be NULL; an epoch that it stops is left unfinished.
 *
 * Steps whose loss or gradient is not finite are skipped and counted. CF_NUMERICAL after 20 of them
 * in a row, or if the last weights are not finite: the flow then has the weights of its best epoch
 * or, without one, those that it began with. CF_INVALID, in the first epoch and before any change,
 * if a row lies outside the domain of a layer or of the base. */
CF_API cf_status cf_fit_epoch(cf_fit *fit, cf_poll poll, void *context, cf_epoch_report *report);

/* Ends the fit, at any time, and unlocks the flow. With validation rows it has the weights of the
 * best epoch, else the averaged or the last ones. */
CF_API void cf_fit_free(cf_fit *fit);

#ifdef __cplusplus
}
#endif

#endif
