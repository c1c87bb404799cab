#include "nn/dependence.h"

#include "base/memory.h"

/* Whether set a holds all of b: sets of groups are rows of `reads`, the others one input each. */
static bool includes(const cf_dependence *d, const unsigned char *reads, size_t a, size_t b) {
    const unsigned char *row = reads + a * d->inputs;
    if (a == b)
        return true;
    if (b >= d->groups)
        return a < d->groups && row[b - d->groups];
    for (size_t i = 0; i < d->inputs; i++)
        if (reads[b * d->inputs + i] && !(a < d->groups ? row[i] : a - d->groups == i))
            return false;
    return true;
}

static bool is_empty(const cf_dependence *d, size_t g) {
    for (size_t i = 0; i < d->inputs; i++)
        if (cf_dependence_includes(d, g, d->groups + i))
            return false;
    return true;
}

bool cf_dependence_is_first(const cf_dependence *d, size_t g) {
    for (size_t other = 0; other < g; other++)
        if (cf_dependence_includes(d, g, other) && cf_dependence_includes(d, other, g))
            return false;
    return !is_empty(d, g);
}

/* The first group for which all inputs that `row` reads are known. */
static uint32_t level_of(const unsigned char *row, size_t groups, size_t inputs) {
    size_t known = inputs - (groups - 1), level = 0;
    for (size_t i = known; i < inputs; i++)
        if (row[i])
            level = i - known + 1;
    return (uint32_t)level;
}

cf_status cf_dependence_new(const cf_dependence **out, cf_arena *arena, size_t groups,
                            size_t inputs, const unsigned char *reads) {
    size_t sets = groups + inputs, count;
    cf_dependence *d;
    unsigned char *table;
    uint32_t *level;
    if (!cf_size_mul(sets, sets, &count))
        return cf_fail(CF_NO_MEMORY, "a dependence of too many inputs");
    CF_TRY(cf_arena_alloc(arena, &d, 1, sizeof *d));
    CF_TRY(cf_arena_alloc(arena, &table, count, 1));
    CF_TRY(cf_arena_alloc(arena, &level, groups, sizeof *level));
    *d = (cf_dependence){.groups = groups, .inputs = inputs, .level = level, .includes = table};
    for (size_t a = 0; a < sets; a++)
        for (size_t b = 0; b < sets; b++)
            table[a * sets + b] = includes(d, reads, a, b);
    for (size_t g = 0; g < groups; g++)
        level[g] = level_of(reads + g * inputs, groups, inputs);
    for (size_t g = 0; g < groups; g++)
        d->distinct += cf_dependence_is_first(d, g);
    *out = d;
    return CF_OK;
}

cf_status cf_dependence_mask(const unsigned char **out, cf_arena *arena, const cf_dependence *d,
                             const uint32_t *output_set, size_t outputs, const uint32_t *input_set,
                             size_t inputs) {
    size_t count;
    unsigned char *mask;
    if (!cf_size_mul(outputs, inputs, &count))
        return cf_fail(CF_NO_MEMORY, "a mask of too many weights");
    CF_TRY(cf_arena_alloc(arena, &mask, count, 1));
    for (size_t o = 0; o < outputs; o++)
        for (size_t i = 0; i < inputs; i++)
            mask[o * inputs + i] = cf_dependence_includes(d, output_set[o], input_set[i]);
    *out = mask;
    return CF_OK;
}
