/* A program: a graph of ops over values, built once and then planned and run many times.
 *
 * A batched value has numbers for every sample (a feature row of the tile for each feature); an
 * unbatched value has one set of numbers for the whole run (a parameter and what is computed from
 * parameters alone). Either is a view: a list of segments, each a run of features of one node.
 * Views re-order references only: selecting, joining and repeating features adds no op.
 *
 * Building has a sticky status: after a failure every function returns CF_NO_VALUE and does nothing
 * more, so a layer emits its formula without a check in each line, and the owner of the builder
 * asks cf_builder_status once.
 */
#ifndef CF_ENGINE_PROGRAM_H
#define CF_ENGINE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "simd/simd.h"

typedef struct cf_builder cf_builder;
typedef struct cf_call cf_call;

typedef struct {
    int32_t id; /* 0: no value */
} cf_value;

#define CF_NO_VALUE ((cf_value){0})

static inline bool cf_is_none(cf_value value) {
    return value.id == 0;
}

typedef enum { CF_BATCHED, CF_UNBATCHED } cf_kind;

enum { CF_MAX_OPERANDS = 4 };

/* The parameters of a node: what its op's kernel and rules need beside the operands. Each op that
 * has some declares a plain struct of them beside its table. */
typedef struct {
    const void *data;
    size_t size;
} cf_params;

#define CF_PARAMS(pointer) ((cf_params){(pointer), sizeof *(pointer)})
#define CF_NO_PARAMS ((cf_params){NULL, 0})

/* The parameters of ops with CF_OP_PARAMETER. */
typedef struct {
    size_t offset; /* in the parameter slab */
} cf_parameter_params;

enum {
    CF_OP_ELEMENTWISE =
        1, /* out[f] depends on feature f of the operands alone: `elementwise` is its kernel */
    CF_OP_REDUCTION =
        2, /* batched operands, unbatched result: summed over all samples, tile after tile */
    CF_OP_EPILOGUE = 4,   /* takes a following elementwise op into its kernel */
    CF_OP_INPUT = 8,      /* loads from the caller's array */
    CF_OP_OUTPUT = 16,    /* stores to the caller's array */
    CF_OP_PARAMETER = 32, /* a tensor of the parameter slab */
    CF_OP_LAST_UNREAD =
        64, /* its last operand is there for the gradient: the kernel does not read it */
    CF_OP_LANES_DIFFER = 128, /* lanes beyond the last sample get other values than its own */
    CF_OP_INVARIANT = 256,    /* batched values that are the same in every tile */
    CF_OP_PIXELS = 512,       /* fills vectors from the pixels of an image: few samples a tile do */
    CF_OP_STATE = 1024,       /* a state of a loop (engine/loop.h), its operand the initial one */
    CF_OP_LOOP = 2048,        /* a loop */
    CF_OP_BLOCK = 4096,       /* of a stack, the loop's iteration says which */
    CF_OP_TAPE = 8192,        /* the states of all iterations of a loop, which fills it */
};

typedef struct cf_node cf_node;

/* out[i] = f(operands[0][i], …) for n contiguous elements; out may be an operand. `params` are the
 * node's. */
typedef void (*cf_elementwise)(const void *params, size_t n, const void *const *operands,
                               void *out);
typedef void (*cf_kernel)(const cf_call *call);

/* Emits the cotangents of the operands: given `out`, the node's value, and `dout`, its cotangent,
 * sets dx[i] for every operand i with needed[i]; CF_NO_VALUE stands for zero. It emits ops and
 * executes nothing. */
typedef void (*cf_gradient_rule)(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                                 const bool *needed, cf_value *dx);

/* The rule of ops whose gradient is 0 wherever they have one. */
void cf_zero_gradient(cf_builder *b, const cf_node *node, cf_value out, cf_value dout,
                      const bool *needed, cf_value *dx);

typedef struct {
    const char *name;
    unsigned flags;
    size_t params; /* bytes of its nodes' parameters, or 0 */
    cf_elementwise elementwise[CF_SIMD_LEVELS][CF_DTYPES];
    cf_kernel kernel[CF_SIMD_LEVELS][CF_DTYPES];
    cf_gradient_rule gradient; /* NULL: once-differentiable; asking again is an error when the
                                  program is built */
    size_t (*scratch)(const cf_node *node, size_t lanes, cf_dtype dtype); /* bytes, or NULL */
} cf_op;

struct cf_node {
    const cf_op *op;
    cf_kind kind;
    uint32_t size; /* features of a batched value, elements of an unbatched one */
    uint32_t operands;
    cf_value operand[CF_MAX_OPERANDS];
    uint32_t operand_size[CF_MAX_OPERANDS];
    const void *params; /* op->params bytes, which live as long as the node; NULL: none */
    uint32_t loop;      /* the loop in whose body it runs, or 0 */
    uint32_t scope;     /* the loop in whose body alone it may be read, or 0 */
    /* Reductions in a loop that runs backwards over a stack: so many results, one an iteration, the
     * last one first, make up `size`. Others: 0. */
    uint32_t blocks;
};

/* `count` features of `node`, from `first` in steps of `stride` (0 repeats one feature). */
typedef struct {
    uint32_t node, first;
    int32_t stride;
    uint32_t count;
} cf_segment;

/* What a program is for, where that changes what layers and networks emit. */
typedef enum {
    CF_EVALUATION,          /* samples do not depend on each other */
    CF_TRAINING,            /* statistics of the batch, and dropout */
    CF_DATA_INITIALISATION, /* sets the parameters whose initial values are statistics */
} cf_mode;

/* An empty builder; free accepts NULL. */
cf_status cf_builder_new(cf_builder **out, cf_mode mode);
void cf_builder_free(cf_builder *b);
cf_status cf_builder_status(const cf_builder *b);
cf_mode cf_builder_mode(const cf_builder *b);

/* Makes it a deterministic program, in which stochastic layers take the mean instead of drawing;
 * and whether it is one. */
void cf_builder_set_deterministic(cf_builder *b);
bool cf_builder_is_deterministic(const cf_builder *b);

/* Says that nobody asks for the log-determinants of layers, and whether somebody does. */
void cf_builder_set_without_log_det(cf_builder *b);
bool cf_builder_wants_log_det(const cf_builder *b);

/* Gives a value a name, under which whatever is emitted later may ask for it, such as the weight
 * of a term of a loss; CF_NO_VALUE: nothing has that name. The name outlives the builder. */
void cf_builder_provide(cf_builder *b, const char *name, cf_value value);
cf_value cf_builder_provided(const cf_builder *b, const char *name);

/* Penalties: what training is to minimise beside a loss, one feature, such as a layer's own
 * regularisation. A loss asks for them before layers are emitted, and reads their sum afterwards,
 * CF_NO_VALUE if there is none; who has one replaces the sum by one with it. */
void cf_builder_ask_penalty(cf_builder *b);
bool cf_builder_wants_penalty(const cf_builder *b);
void cf_builder_set_penalty(cf_builder *b, cf_value sum);
cf_value cf_builder_penalty(const cf_builder *b);

/* A number for a stream of random numbers: another at each call, the same in each build; from
 * `first` on, which is CF_STREAM_LAYERS unless it is set before the first is given out. */
void cf_start_streams(cf_builder *b, uint32_t first);
uint32_t cf_next_stream(cf_builder *b);

/* Records a failure; returns CF_NO_VALUE, for `return cf_builder_fail(…)`. */
cf_value cf_builder_fail(cf_builder *b, cf_status code, const char *format, ...) CF_PRINTF(3, 4);

/* A copy of `size` bytes that lives as long as the builder; NULL after a failure. */
const void *cf_builder_keep(cf_builder *b, const void *data, size_t size);

/* A new node of `op`; its whole output. The op's own emitter checks shapes first. The parameters
 * are copied; others than op->params bytes of them are an error. */
cf_value cf_emit(cf_builder *b, const cf_op *op, cf_kind kind, size_t size, size_t operands,
                 const cf_value *operand, cf_params params);

/* The parameter of that offset and size, if it has been emitted; else CF_NO_VALUE. */
cf_value cf_emitted_parameter(const cf_builder *b, size_t offset, size_t size);

/* A node's parameters, for another node that shall have the same. */
static inline cf_params cf_params_of(const cf_node *node) {
    return (cf_params){node->params, node->op->params};
}

/* Views. */
size_t cf_value_size(const cf_builder *b, cf_value value);
cf_kind cf_value_kind(const cf_builder *b, cf_value value);
cf_value cf_slice(cf_builder *b, cf_value value, size_t first, size_t count);
cf_value cf_select(cf_builder *b, cf_value value, const int64_t *indices, size_t count);
cf_value cf_concat(cf_builder *b, const cf_value *values, size_t count); /* skips CF_NO_VALUE */
cf_value cf_repeat(cf_builder *b, cf_value value, size_t count);         /* value has one feature */
cf_value cf_repeat_each(cf_builder *b, cf_value value, size_t count);    /* 0, 0, ..., 1, 1, ... */
/* The inverse of selecting `indices` and `rest`, which together are all features once: feature
 * indices[i] comes from `a`, rest[i] from `b`. */
cf_value cf_merge(cf_builder *builder, cf_value a, const int64_t *indices, size_t count, cf_value b,
                  const int64_t *rest, size_t rest_count);

const cf_segment *cf_segments(const cf_builder *b, cf_value value, size_t *count);
const cf_node *cf_builder_node(const cf_builder *b, size_t index);
size_t cf_builder_nodes(const cf_builder *b);
/* The whole output of node `index`. */
cf_value cf_node_value(cf_builder *b, size_t index);
/* The node whose whole output, in order, `value` is; NULL if it is any other view. */
const cf_node *cf_whole_node(const cf_builder *b, cf_value value);

/* Makes `value`, an unbatched value, the gradient of the parameters from `offset` of the slab on.
 * Each parameter once. */
void cf_output_gradient(cf_builder *b, size_t offset, cf_value value);

/* The same of a statistic, at `offset` of the slab of statistics. */
void cf_output_statistic(cf_builder *b, size_t offset, cf_value value);

/* Appends the gradient: for each of `outputs` with its cotangent (CF_NO_VALUE: zero), the
 * cotangents of `wrt` (inputs or parameters), CF_NO_VALUE where the outputs do not depend on it. */
void cf_gradient(cf_builder *b, size_t outputs, const cf_value *output, const cf_value *cotangent,
                 size_t wrts, const cf_value *wrt, cf_value *gradient);

#endif
