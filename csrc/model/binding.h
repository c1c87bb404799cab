/* Binding: specs meet sizes. Layers, conditioners and bases declare here what they own: parameters
 * of the slab, with how they start, and float64 buffers. Names are paths,
 * "layers.0.conditioner.linear0.weight".
 */
#ifndef CF_NN_BINDING_H
#define CF_NN_BINDING_H

#include "base/arena.h"
#include "base/spec.h"

enum { CF_MAX_DIMS = 4 };

typedef enum { CF_START_CONSTANT, CF_START_UNIFORM } cf_start;

/* A parameter that is a statistic of the data. In programs of the modes for it (cf_mode), layers
 * output the statistic (cf_output_statistic). */
typedef struct cf_statistic cf_statistic;
struct cf_statistic {
    size_t parameter; /* offset in the parameter slab */
    size_t output;    /* offset in the slab of statistics */
    size_t size;
    double initial;  /* the parameter's, before any data */
    double momentum; /* weight of the newest batch in running statistics, which are always frozen;
                        0: the parameter starts at the statistic and is trained */
    const cf_statistic *variance_of; /* the mean that it is the variance about, bound before; NULL:
                                        it is a mean itself */
    bool of_weights; /* it is no statistic of data but a function of other parameters */
};

/* A named tensor of the parameter slab or of the buffers. Offsets count elements; each tensor
 * starts a cache line. */
typedef struct {
    const char *name;
    size_t dims, shape[CF_MAX_DIMS];
    size_t offset, size;
    cf_start start;
    double constant;           /* CF_START_CONSTANT */
    double bound;              /* CF_START_UNIFORM: on [-bound, bound) */
    const double *values;      /* how it starts instead, `size` numbers; or NULL */
    const uint32_t *row_ends;  /* of a matrix, by row: numbers from there on start at 0; or NULL */
    const unsigned char *mask; /* by number: where it is 0, they start at 0 too; or NULL */
    bool frozen;
    bool running; /* a running statistic: always frozen */
} cf_tensor;

typedef struct {
    cf_tensor *tensors;
    size_t count, capacity;
    size_t elements; /* of the slab */
    size_t max;      /* that it may have */
} cf_slab_table;

typedef struct {
    cf_arena *arena; /* of the flow: what layers keep lives there */
    uint64_t seed;
    uint32_t layers; /* bound so far: tells random permutations apart */
    cf_slab_table parameters, buffers;
    cf_statistic *statistics;
    size_t statistic_count, statistic_capacity;
    size_t statistic_elements; /* of their slab */
    cf_spec **specs;           /* kept as long as the flow */
    size_t spec_count, spec_capacity;
    struct cf_shared_layer
        *shared; /* of layers/shared.c: the layers that have names, bound so far */
    char path[256];
} cf_binding;

/* Keeps `spec`, whose hold passes to the binding, even on failure. */
cf_status cf_binding_keep(cf_binding *binding, cf_spec *spec);

/* Opens a level of names, "name." or "name0." (number < 0: none); close with cf_binding_leave and
 * what enter returned. */
cf_status cf_binding_enter(cf_binding *binding, const char *name, long number, size_t *mark);
void cf_binding_leave(cf_binding *binding, size_t mark);

/* Declares a parameter; *offset is where it begins in the slab. It starts uniform on +-bound, or
 * with bound 0 at zero. */
cf_status cf_bind_parameter(cf_binding *binding, const char *name, size_t dims, const size_t *shape,
                            double bound, size_t *offset);

/* The same for a matrix; the numbers of row i from row_ends[i] on start at 0, unless it is NULL. It
 * is kept by reference. */
cf_status cf_bind_matrix(cf_binding *binding, const char *name, size_t rows, size_t columns,
                         double bound, const uint32_t *row_ends, size_t *offset);

/* The same for a matrix with given first values, copied. */
cf_status cf_bind_matrix_values(cf_binding *binding, const char *name, size_t rows, size_t columns,
                                const double *values, size_t *offset);

/* A vector with given first values, copied. */
cf_status cf_bind_parameter_values(cf_binding *binding, const char *name, size_t size,
                                   const double *values, size_t *offset);

/* The same with one first value for all. */
cf_status cf_bind_parameter_constant(cf_binding *binding, const char *name, size_t size,
                                     double value, size_t *offset);

/* Has the parameter that begins at `offset` start at these values, copied, as many as it has; and
 * how many that is. */
cf_status cf_bind_start_values(cf_binding *binding, size_t offset, const double *values);
size_t cf_bound_size(const cf_binding *binding, size_t offset);

/* Freezes the parameter that was declared last. */
void cf_bind_freeze_last(cf_binding *binding);

/* Masks the parameter that was declared last; NULL does not. The mask is kept by reference. */
void cf_bind_mask_last(cf_binding *binding, const unsigned char *mask);

/* Declares a square matrix that starts as the identity. */
cf_status cf_bind_identity(cf_binding *binding, const char *name, size_t n, size_t *offset);

/* Declares a vector that statistics of the data decide; *statistic has its initial value and
 * momentum, and receives the offsets. */
cf_status cf_bind_statistic(cf_binding *binding, const char *name, size_t size,
                            cf_statistic *statistic);

/* Declares a float64 buffer of `size` numbers. */
cf_status cf_bind_buffer(cf_binding *binding, const char *name, size_t size, const double *values,
                         size_t *offset);

/* Frees the tables and releases the specs; what lies in the arena stays. */
void cf_binding_free(cf_binding *binding);

#endif
