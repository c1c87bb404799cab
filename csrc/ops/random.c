/* Random normal and uniform numbers: a function of the run's seed, the sample, the stream and the
 * feature alone. */
#include "base/philox.h"
#include "ops/feature_rows.h"
#include "simd/random.h"

typedef struct {
    uint32_t stream;
} random_params;

static void random_normal(const cf_call *call) {
    const random_params *p = call->step->node->params;
    cf_random_normal[call->level][call->dtype](call->run->seed,
                                               call->run->first_sample + call->sample, p->stream,
                                               call->step->out_size, call->lanes, call->out);
}

static void random_uniform(const cf_call *call) {
    const random_params *p = call->step->node->params;
    cf_random_uniform[call->level][call->dtype](call->run->seed,
                                                call->run->first_sample + call->sample, p->stream,
                                                call->step->out_size, call->lanes, call->out);
}

static const cf_op random_normal_op = {
    .name = "random_normal",
    .flags = CF_OP_LANES_DIFFER,
    .params = sizeof(random_params),
    .kernel = CF_ONE_VERSION(random_normal),
};

static const cf_op random_uniform_op = {
    .name = "random_uniform",
    .flags = CF_OP_LANES_DIFFER,
    .params = sizeof(random_params),
    .kernel = CF_ONE_VERSION(random_uniform),
};

/* One number of 24 bits for CF_SAMPLES_OF_GROUP samples. */
static void random_uniform_groups(const cf_call *call) {
    const random_params *p = call->step->node->params;
    uint64_t first = call->run->first_sample + call->sample;
    uint32_t words[4] = {0};
    for (size_t lane = 0; lane < call->lanes; lane++) {
        uint64_t sample = first + lane;
        if (lane == 0 || sample % CF_SAMPLES_OF_GROUP == 0)
            cf_philox(call->run->seed, sample / CF_SAMPLES_OF_GROUP, p->stream, 0, words);
        double number = (double)(words[0] >> 8) * 0x1p-24;
        if (call->dtype == CF_FLOAT32)
            ((float *)call->out)[lane] = (float)number;
        else
            ((double *)call->out)[lane] = number;
    }
}

static const cf_op random_uniform_groups_op = {
    .name = "random_uniform_groups",
    .flags = CF_OP_LANES_DIFFER,
    .params = sizeof(random_params),
    .kernel = CF_ONE_VERSION(random_uniform_groups),
};

cf_value cf_random_normal_samples(cf_builder *b, size_t features, uint32_t stream) {
    random_params params = {stream};
    return cf_emit(b, &random_normal_op, CF_BATCHED, features, 0, NULL, CF_PARAMS(&params));
}

cf_value cf_random_uniform_samples(cf_builder *b, size_t features, uint32_t stream) {
    random_params params = {stream};
    return cf_emit(b, &random_uniform_op, CF_BATCHED, features, 0, NULL, CF_PARAMS(&params));
}

cf_value cf_random_uniform_groups(cf_builder *b, uint32_t stream) {
    random_params params = {stream};
    return cf_emit(b, &random_uniform_groups_op, CF_BATCHED, 1, 0, NULL, CF_PARAMS(&params));
}

cf_value cf_normal_noise(cf_builder *b, size_t features) {
    if (cf_builder_is_deterministic(b))
        return cf_constant(b, CF_BATCHED, features, 0.0);
    return cf_random_normal_samples(b, features, cf_next_stream(b));
}

cf_value cf_uniform_noise(cf_builder *b, size_t features) {
    if (cf_builder_is_deterministic(b))
        return cf_constant(b, CF_BATCHED, features, 0.5);
    return cf_random_uniform_samples(b, features, cf_next_stream(b));
}
