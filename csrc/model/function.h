/* Functions of a model: inputs to outputs, both by name, as a differentiable program.
 *
 * A function says what it reads and gives and emits the ops in between. Each choice of outputs that
 * a call wants, cotangents that it brings and gradients that it asks for is a program of its own,
 * built when first wanted and kept by the model.
 */
#ifndef CF_MODEL_FUNCTION_H
#define CF_MODEL_FUNCTION_H

#include "base/shape.h"
#include "engine/run.h"

enum { CF_MAX_PORTS = 6 };

/* An input or output. */
typedef struct {
    const char *name;
    cf_shape shape; /* of a sample; all 0: there is no such port */
    bool optional;  /* an input that may be left out */
    bool number;    /* one number a sample, such as a density, not a point of one feature */
    bool in_units;  /* in the units of the data: an output, or a gradient, may need float64 */
    /* An input that is not emitted: its first row is the width, by feature, of uniform noise that
     * is added to input 0 before any rounding. */
    bool jitter;
} cf_port;

/* What tells one program of a model from another: zeroed, set, and compared as a whole, byte by
 * byte. There is no padding. Bit i of a set stands for port i. */
typedef struct {
    uint32_t function; /* its number in the model */
    uint32_t mode;     /* cf_mode */
    uint32_t deterministic;
    uint32_t inputs, outputs;     /* given; wanted */
    uint32_t cotangents;          /* of outputs: given */
    uint32_t gradients;           /* with respect to inputs: wanted */
    uint32_t parameter_gradients; /* 1: wanted */
} cf_program_key;

_Static_assert(sizeof(cf_program_key) == 8 * sizeof(uint32_t), "a key has padding");

typedef struct cf_function_call cf_function_call;

typedef struct cf_function {
    const char *name;
    cf_port input[CF_MAX_PORTS], output[CF_MAX_PORTS];
    /* Emits the outputs for the inputs. output[i] stays CF_NO_VALUE for zeros; one that the key
     * does not want may be left out. Inputs that are not given are CF_NO_VALUE. */
    void (*emit)(const void *self, cf_builder *b, const cf_program_key *key, const cf_value *input,
                 cf_value *output);
    void (*finish)(const void *self, const cf_function_call *call); /* after a run, or NULL */
    const void *self;
    uint32_t first_stream; /* of the random numbers that layers draw; 0: CF_STREAM_LAYERS */
} cf_function;

/* One call. All is zero but what is set; an array with data NULL is not given or not wanted. */
struct cf_function_call {
    const cf_function *function;
    size_t samples;
    int threads;
    cf_array input[CF_MAX_PORTS], cotangent[CF_MAX_PORTS];  /* of outputs */
    cf_result output[CF_MAX_PORTS], gradient[CF_MAX_PORTS]; /* with respect to inputs */
    uint64_t seed, first_sample;                            /* of random numbers */
    cf_mode mode;
    bool deterministic;            /* stochastic layers take means instead of drawing */
    bool want_parameter_gradients; /* into the model's own slab, or */
    void *parameter_gradients;     /* this one, unless NULL */
};

static inline bool cf_is_port(const cf_port *port) {
    return port->shape.channels > 0;
}

/* The number of ports before the first empty one, which is that of all outputs of a function. */
size_t cf_port_count(const cf_port ports[CF_MAX_PORTS]);

/* The port of that name, which there must be: a function's names are known to its callers. */
size_t cf_function_input(const cf_function *function, const char *name);
size_t cf_function_output(const cf_function *function, const char *name);

/* The input of that name, or an empty port; and the number of its features, or 0. */
const cf_port *cf_function_input_port(const cf_function *function, const char *name);
size_t cf_function_input_features(const cf_function *function, const char *name);

/* Sets the port of that name in the call. */
void cf_call_set_input(cf_function_call *call, const char *name, cf_array array);
void cf_call_set_output(cf_function_call *call, const char *name, cf_result result);
void cf_call_set_cotangent(cf_function_call *call, const char *name, cf_array array);
void cf_call_set_gradient(cf_function_call *call, const char *name, cf_result result);

#endif
