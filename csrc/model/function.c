/* From a function to the program of one key: its inputs, what it emits, the gradient, its outputs.
 */
#include "model/function.h"

#include <string.h>

#include "base/memory.h"
#include "base/philox.h"
#include "model/state.h"
#include "ops/ops.h"

/* ---- slots ---- */

/* Of the caller's arrays in a run: inputs, then cotangents; outputs, then gradients. */
enum { CF_COTANGENT_SLOTS = CF_MAX_PORTS, CF_GRADIENT_SLOTS = CF_MAX_PORTS };
_Static_assert(2 * CF_MAX_PORTS <= CF_MAX_SLOTS, "a run has a slot for every port");

size_t cf_port_count(const cf_port ports[CF_MAX_PORTS]) {
    size_t count = 0;
    while (count < CF_MAX_PORTS && cf_is_port(&ports[count]))
        count++;
    return count;
}

static bool has_name(const cf_port *port, const char *name) {
    return port->name != NULL && strcmp(port->name, name) == 0;
}

static size_t find_port(const cf_port *ports, const char *name) {
    size_t i = 0;
    while (i + 1 < CF_MAX_PORTS && !has_name(&ports[i], name))
        i++;
    return i;
}

size_t cf_function_input(const cf_function *function, const char *name) {
    return find_port(function->input, name);
}

size_t cf_function_output(const cf_function *function, const char *name) {
    return find_port(function->output, name);
}

const cf_port *cf_function_input_port(const cf_function *function, const char *name) {
    static const cf_port none;
    const cf_port *found = &function->input[cf_function_input(function, name)];
    return has_name(found, name) ? found : &none;
}

size_t cf_function_input_features(const cf_function *function, const char *name) {
    return cf_shape_features(cf_function_input_port(function, name)->shape);
}

void cf_call_set_input(cf_function_call *call, const char *name, cf_array array) {
    call->input[cf_function_input(call->function, name)] = array;
}

void cf_call_set_output(cf_function_call *call, const char *name, cf_result result) {
    call->output[cf_function_output(call->function, name)] = result;
}

void cf_call_set_cotangent(cf_function_call *call, const char *name, cf_array array) {
    call->cotangent[cf_function_output(call->function, name)] = array;
}

void cf_call_set_gradient(cf_function_call *call, const char *name, cf_result result) {
    call->gradient[cf_function_input(call->function, name)] = result;
}

/* ---- the program ---- */

typedef struct {
    cf_builder *b;
    const cf_function *function;
    const cf_program_key *key;
    const cf_slab_table *parameters;
    cf_value input[CF_MAX_PORTS], output[CF_MAX_PORTS];
} program_builder;

static bool has(uint32_t set, size_t port) {
    return (set >> port & 1) != 0;
}

static void emit_inputs(program_builder *p) {
    int jitter = -1;
    for (int i = 0; i < CF_MAX_PORTS; i++)
        if (p->function->input[i].jitter && has(p->key->inputs, (size_t)i))
            jitter = i;
    for (int i = 0; i < CF_MAX_PORTS; i++) {
        const cf_port *port = &p->function->input[i];
        if (!cf_is_port(port) || port->jitter || !has(p->key->inputs, (size_t)i))
            continue;
        if (i == 0 && jitter >= 0)
            p->input[i] = cf_jittered_input(
                p->b, i, jitter,
                cf_random_uniform_samples(p->b, cf_shape_features(port->shape), CF_STREAM_JITTER));
        else
            p->input[i] = cf_input(p->b, i, cf_shape_features(port->shape), CF_PAD_REPEAT);
    }
}

/* `value` as a batched value: where there is none, `features` zeros. */
static cf_value as_batched(cf_builder *b, cf_value value, size_t features) {
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_is_none(value))
        return cf_constant(b, CF_BATCHED, features, 0.0);
    return cf_broadcast(b, value);
}

/* The caller's cotangents; of an unbatched output their sum over samples. */
static void emit_cotangents(program_builder *p, cf_value *cotangent) {
    for (size_t i = 0; i < CF_MAX_PORTS; i++) {
        const cf_port *port = &p->function->output[i];
        if (!has(p->key->cotangents, i) || cf_builder_status(p->b) != CF_OK)
            continue;
        cotangent[i] = cf_input(p->b, CF_COTANGENT_SLOTS + (int)i, cf_shape_features(port->shape),
                                CF_PAD_ZERO);
        if (!cf_is_none(p->output[i]) && cf_value_kind(p->b, p->output[i]) == CF_UNBATCHED)
            cotangent[i] = cf_sum_samples(p->b, cotangent[i]);
    }
}

/* The trainable tensor whose parameter node n is, or the number of tensors. */
static size_t tensor_of(const program_builder *p, size_t n) {
    const cf_node *node = cf_builder_node(p->b, n);
    const cf_parameter_params *parameter = node->params;
    size_t i = p->parameters->count;
    if (node->op->flags & CF_OP_PARAMETER)
        for (i = 0; i < p->parameters->count; i++)
            if (!p->parameters->tensors[i].frozen &&
                parameter->offset == p->parameters->tensors[i].offset)
                break;
    return i;
}

/* What the gradient is taken with respect to: the inputs that the key names, then one node for each
 * time that a parameter was emitted, with the tensor's number. */
typedef struct {
    cf_value *wrt, *gradient;
    size_t *tensor;
    size_t inputs, count;
} gradient_list;

static cf_status open_list(program_builder *p, gradient_list *list) {
    size_t nodes = cf_builder_nodes(p->b), room = nodes + CF_MAX_PORTS;
    CF_TRY(cf_alloc(&list->wrt, room, 2 * sizeof *list->wrt + sizeof *list->tensor));
    list->gradient = list->wrt + room;
    list->tensor = (size_t *)(list->gradient + room);
    for (size_t i = 0; i < CF_MAX_PORTS; i++)
        if (has(p->key->gradients, i))
            list->wrt[list->count++] = p->input[i];
    list->inputs = list->count;
    for (size_t n = 1; n < nodes && p->key->parameter_gradients; n++) {
        size_t tensor = tensor_of(p, n);
        if (tensor == p->parameters->count)
            continue;
        list->tensor[list->count] = tensor;
        list->wrt[list->count++] = cf_node_value(p->b, n);
    }
    return cf_builder_status(p->b);
}

static void output_gradients(program_builder *p, const gradient_list *list) {
    size_t at = 0;
    for (size_t i = 0; i < CF_MAX_PORTS; i++)
        if (has(p->key->gradients, i))
            cf_output(p->b, CF_GRADIENT_SLOTS + (int)i,
                      as_batched(p->b, list->gradient[at++],
                                 cf_shape_features(p->function->input[i].shape)));
    for (size_t t = 0; t < p->parameters->count; t++) {
        cf_value sum = CF_NO_VALUE;
        for (size_t k = list->inputs; k < list->count; k++)
            if (list->tensor[k] == t)
                sum = cf_add_optional(p->b, sum, list->gradient[k]);
        if (!cf_is_none(sum))
            cf_output_gradient(p->b, p->parameters->tensors[t].offset, sum);
    }
}

static cf_status emit_gradients(program_builder *p) {
    cf_value cotangent[CF_MAX_PORTS] = {{0}};
    gradient_list list = {.count = 0};
    emit_cotangents(p, cotangent);
    cf_status status = open_list(p, &list);
    if (status == CF_OK) {
        cf_gradient(p->b, CF_MAX_PORTS, p->output, cotangent, list.count, list.wrt, list.gradient);
        output_gradients(p, &list);
        status = cf_builder_status(p->b);
    }
    cf_free(list.wrt);
    return status;
}

static cf_status emit_program(program_builder *p, cf_program **out) {
    const cf_program_key *key = p->key;
    emit_inputs(p);
    CF_TRY(cf_builder_status(p->b));
    p->function->emit(p->function->self, p->b, key, p->input, p->output);
    CF_TRY(cf_builder_status(p->b));
    if (key->gradients != 0 || key->parameter_gradients != 0)
        CF_TRY(emit_gradients(p));
    for (size_t i = 0; i < CF_MAX_PORTS; i++)
        if (has(key->outputs, i))
            cf_output(
                p->b, (int)i,
                as_batched(p->b, p->output[i], cf_shape_features(p->function->output[i].shape)));
    CF_TRY(cf_builder_status(p->b));
    return cf_program_new(out, p->b, key->parameter_gradients ? p->parameters->elements : 0);
}

cf_status cf_function_program(cf_program **out, const cf_function *function,
                              const cf_program_key *key, const cf_slab_table *parameters) {
    program_builder p = {.function = function, .key = key, .parameters = parameters};
    CF_TRY(cf_builder_new(&p.b, (cf_mode)key->mode));
    if (key->deterministic)
        cf_builder_set_deterministic(p.b);
    if (function->first_stream != 0)
        cf_start_streams(p.b, function->first_stream);
    cf_status status = emit_program(&p, out);
    cf_builder_free(p.b);
    return status;
}
