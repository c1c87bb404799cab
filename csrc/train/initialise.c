#include "train/initialise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/shape.h"
#include "ops/fixed_map.h"

/* A feature whose shift and scale data set: the step that has them, and the map from the data to
 * where it acts. */
typedef struct {
    size_t feature;
    const cf_map_step *step;
    cf_fixed_map map;
    size_t ends[2]; /* map.first */
    bool linear;    /* the map is, but for whole turns: noise then adds its own moments */
    double noise;   /* the standard deviation that it adds */
    double pivot, mean, deviation, largest, total;
} column;

enum { CHUNK = CF_MAX_LANES };

typedef struct {
    const cf_data *data;
    const cf_array *array; /* of it: x or the context */
    const double *jitter, *buffers;
    double unit;   /* of the weights */
    size_t pixels; /* of images, whose channels have one shift and scale each; else 1 */
    column *columns;
    size_t count;
} moments;

/* The step beside the data, or behind fixed maps alone, that takes its numbers from data. */
static const cf_map_step *find_step(const cf_fixed_map *map, size_t f) {
    for (size_t i = map->first[f + 1]; i-- > map->first[f];)
        if (map->steps[i].from_data)
            return &map->steps[i];
    return NULL;
}

/* Numbers of a column where the step acts, `first` on; m->log_slope is -inf where there are none.
 * Noise that a map bends is spread evenly over its interval by the golden ratio, the same in every
 * fit; else it is its mean. */
static void read_column(const moments *all, column *c, size_t first, size_t rows, cf_mapped *m) {
    double noise[CHUNK], width = all->jitter != NULL ? all->jitter[c->feature] : 0.0;
    cf_map_call call = {.map = &c->map,
                        .buffers = all->buffers,
                        .unit = 0x1p-52,
                        .to_base = true,
                        .derivatives = true};
    for (size_t i = 0; i < CHUNK; i++) {
        size_t row = first + (i < rows ? i : rows - 1);
        noise[i] = c->linear ? 0.5 : fmod((double)(row + 1) * 0.6180339887498949, 1.0);
        m->value[i] =
            cf_array_number(all->array, row, c->feature) + (width > 0.0 ? width * noise[i] : 0.0);
    }
    cf_map_feature[cf_simd()](&call, 0, CHUNK, noise, m);
    if (c->linear)
        c->noise = fabs(m->slope[0]) * width / sqrt(12.0);
}

/* The sums of differences from the first number, and the largest: no offset loses anything. */
static void add_differences(column *c, double w, double z) {
    if (c->total == 0.0)
        c->pivot = z;
    c->total += w;
    c->mean += w * (z - c->pivot);
    c->largest = fmax(c->largest, fabs(z - c->pivot));
}

/* The sums of squares, in units of the largest difference: none overflows or vanishes. */
static void add_squares(column *c, double w, double z) {
    double d = c->largest > 0.0 ? (z - c->pivot - c->mean) / c->largest : 0.0;
    c->deviation += w * d * d;
}

/* A pass through the rows, which may be on disk. Rows of weight 0 do not count. */
static void pass(const moments *all, void (*add)(column *c, double w, double z)) {
    cf_mapped m;
    for (size_t first = 0; first < all->data->rows; first += CHUNK) {
        size_t rest = all->data->rows - first, rows = rest < CHUNK ? rest : CHUNK;
        for (size_t k = 0; k < all->count; k++) {
            read_column(all, &all->columns[k], first, rows, &m);
            for (size_t i = 0; i < rows; i++) {
                double w = cf_data_weight(all->data, first + i) / all->unit;
                if (w > 0.0 && m.log_slope[i] > -INFINITY)
                    add(&all->columns[k], w, m.value[i]);
            }
        }
    }
}

typedef struct {
    double z, weight;
} weighted;

static int compare(const void *a, const void *b) {
    double x = ((const weighted *)a)->z, y = ((const weighted *)b)->z;
    return (x > y) - (x < y);
}

/* The number below which a share of the weight lies. */
static double quantile(const weighted *sorted, size_t count, double total, double share) {
    double sum = 0.0;
    size_t i = 0;
    while (i + 1 < count && (sum += sorted[i].weight) < share * total)
        i++;
    return sorted[i].z;
}

/* Up to 100,000 numbers of the column, which the caller frees, and the sum of their weights. */
static cf_status gather(const moments *all, column *c, weighted **out, size_t *count,
                        double *total) {
    enum { MAX_ROWS = 100000 };
    size_t rows = all->data->rows, step = (rows + MAX_ROWS - 1) / MAX_ROWS;
    cf_mapped m;
    *count = 0;
    *total = 0.0;
    CF_TRY(cf_alloc(out, rows / step + 1, sizeof **out));
    for (size_t i = 0; i < rows; i += step) {
        double w = cf_data_weight(all->data, i) / all->unit;
        read_column(all, c, i, 1, &m);
        if (!(w > 0.0 && m.log_slope[0] > -INFINITY))
            continue;
        (*out)[(*count)++] = (weighted){m.value[0], w};
        *total += w;
    }
    return CF_OK;
}

/* Median and quantiles instead, unless most numbers are equal. Those of a normal distribution are
 * its mean and deviation. */
static cf_status compute_quantiles(const moments *all, column *c) {
    weighted *sorted;
    double total;
    size_t count;
    CF_TRY(gather(all, c, &sorted, &count, &total));
    qsort(sorted, count, sizeof *sorted, compare);
    if (count > 0) {
        double low = quantile(sorted, count, total, 0.158655253931457);
        double high = quantile(sorted, count, total, 0.841344746068543);
        double deviation = hypot(0.5 * (high - low), c->noise);
        if (deviation > 0.0 && isfinite(1.0 / deviation)) {
            c->mean = quantile(sorted, count, total, 0.5);
            c->deviation = deviation;
        }
    }
    cf_free(sorted);
    return CF_OK;
}

/* Of angles: their mean direction, and the scale of Mobius that takes the arc of 95 % of them to
 * seven eighths of the circle, if that is wider. */
static cf_status compute_arc(const moments *all, column *c) {
    const double turn = 6.283185307179586, wide = 5.027339492125846; /* tan(7 turn / 32) */
    weighted *angles;
    double total, sine = 0.0, cosine = 0.0;
    size_t count;
    CF_TRY(gather(all, c, &angles, &count, &total));
    for (size_t i = 0; i < count; i++) {
        sine += angles[i].weight * sin(angles[i].z);
        cosine += angles[i].weight * cos(angles[i].z);
    }
    c->mean = atan2(sine, cosine);
    for (size_t i = 0; i < count; i++)
        angles[i].z = fabs(remainder(angles[i].z - c->mean, turn));
    qsort(angles, count, sizeof *angles, compare);
    double arc = count > 0 ? quantile(angles, count, total, 0.95) : 0.0;
    double scale = tan(0.5 * arc) / wide;
    c->deviation = scale > 0x1p-500 && scale < 1.0 ? scale : 1.0;
    cf_free(angles);
    return CF_OK;
}

/* Gives the columns [first, end) the moments of all of their numbers. */
static void pool(column *columns, size_t first, size_t end) {
    double mean = 0.0, squares = 0.0, count = (double)(end - first);
    for (size_t k = first; k < end; k++)
        mean += columns[k].mean / count;
    for (size_t k = first; k < end; k++)
        squares = hypot(squares, hypot(columns[k].deviation, columns[k].mean - mean));
    for (size_t k = first; k < end; k++) {
        columns[k].mean = mean;
        columns[k].deviation = squares / sqrt(count);
    }
}

static void pool_channels(const moments *all) {
    for (size_t first = 0, end; all->pixels > 1 && first < all->count; first = end) {
        size_t channel = all->columns[first].feature / all->pixels;
        for (end = first; end < all->count; end++)
            if (all->columns[end].feature / all->pixels != channel)
                break;
        pool(all->columns, first, end);
    }
}

static void compute(const moments *all) {
    pass(all, add_differences);
    for (size_t k = 0; k < all->count; k++)
        if (all->columns[k].total > 0.0)
            all->columns[k].mean /= all->columns[k].total;
    pass(all, add_squares);
    for (size_t k = 0; k < all->count; k++) {
        column *c = &all->columns[k];
        c->deviation = hypot(c->largest * sqrt(c->deviation / c->total), c->noise);
        c->mean += c->pivot;
    }
    pool_channels(all);
    for (size_t k = 0; k < all->count; k++) {
        column *c = &all->columns[k];
        if (!(c->deviation > 0.0 && isfinite(1.0 / c->deviation) && isfinite(c->deviation)))
            c->deviation = 1.0;
    }
}

/* The columns whose shift and scale no fit has set yet; none if one has set any. */
static size_t find_columns(const cf_fixed_map *map, const double *buffers, column *columns) {
    size_t count = 0;
    for (size_t f = 0; f < map->features; f++) {
        const cf_map_step *step = find_step(map, f);
        if (step == NULL)
            continue;
        if (buffers[step->shift] != 0.0 || buffers[step->scale] != 1.0)
            return 0;
        size_t behind = (size_t)(&map->steps[map->first[f + 1]] - (step + 1));
        columns[count] = (column){.feature = f, .step = step, .ends = {0, behind}};
        columns[count].map =
            (cf_fixed_map){.features = 1, .first = columns[count].ends, .steps = step + 1};
        columns[count].linear = cf_fixed_map_has_constant_slopes(&columns[count].map);
        count++;
    }
    return count;
}

/* Sets what `map` takes from a part of the data. */
static cf_status set_from(const cf_fixed_map *map, cf_flow *flow, moments all) {
    double *buffers = cf_model_buffers(flow->model);
    if (map == NULL || all.array->data == NULL)
        return CF_OK;
    CF_TRY(cf_alloc(&all.columns, map->features, sizeof *all.columns));
    all.buffers = buffers;
    all.count = find_columns(map, buffers, all.columns);
    all.unit = cf_data_mean_weight(all.data);
    if (all.count > 0)
        compute(&all);
    cf_status status = CF_OK;
    for (size_t k = 0; k < all.count && status == CF_OK; k++)
        if (all.columns[k].step->kind == CF_MAP_MOBIUS)
            status = compute_arc(&all, &all.columns[k]);
        else if (all.columns[k].step->robust)
            status = compute_quantiles(&all, &all.columns[k]);
    for (size_t k = 0; k < all.count && status == CF_OK; k++) {
        const column *c = &all.columns[k];
        if (c->total > 0.0) {
            buffers[c->step->shift] = c->mean;
            buffers[c->step->scale] = c->deviation;
        }
    }
    cf_free(all.columns);
    return status;
}

cf_status cf_standardize(cf_flow *flow, const cf_data *data, const double *jitter) {
    CF_TRY(cf_standardize_context(flow, data));
    return set_from(
        cf_layer_data_map(&flow->chain), flow,
        (moments){
            .data = data, .array = &data->x, .jitter = jitter, .pixels = cf_pixels(flow->shape)});
}

cf_status cf_standardize_context(cf_flow *flow, const cf_data *data) {
    return set_from(flow->context_map, flow,
                    (moments){.data = data, .array = &data->context, .pixels = 1});
}

static void forget(const cf_fixed_map *map, double *buffers) {
    for (size_t f = 0; map != NULL && f < map->features; f++) {
        const cf_map_step *step = find_step(map, f);
        if (step != NULL) {
            buffers[step->shift] = 0.0;
            buffers[step->scale] = 1.0;
        }
    }
}

void cf_forget_standardization(cf_flow *flow) {
    forget(cf_layer_data_map(&flow->chain), cf_model_buffers(flow->model));
    forget(flow->context_map, cf_model_buffers(flow->model));
}

/* Each image has many numbers a channel, and all are held in memory at once. */
enum { INITIALISATION_IMAGES = 256 };

/* Points of the base with finite numbers go before the others; how many they are. */
static size_t keep_finite(double *points, size_t rows, size_t features) {
    size_t kept = 0;
    for (size_t row = 0; row < rows; row++) {
        bool finite = true;
        for (size_t f = 0; f < features; f++)
            finite = finite && isfinite(points[row * features + f]);
        if (finite && kept++ != row)
            memcpy(points + (kept - 1) * features, points + row * features,
                   features * sizeof *points);
    }
    return kept;
}

/* The base from where the rows arrive. */
static cf_status start_base(cf_flow *flow, const cf_function_call *call) {
    const cf_base *base = &flow->base;
    cf_function_call inverse = *call;
    double *points;
    if (!cf_base_awaits_points(base, flow->model))
        return CF_OK;
    CF_TRY(cf_alloc(&points, call->samples, base->features * sizeof *points));
    cf_call_set_output(&inverse, "u",
                       (cf_result){points, .row_stride = base->features, .as_double = true});
    cf_status status = cf_model_call_locked(flow->model, &inverse);
    if (status == CF_OK) {
        size_t kept = keep_finite(points, call->samples, base->features);
        status = cf_base_methods_of(base)->start(base, flow->model, points, kept, call->seed);
    }
    cf_free(points);
    return status;
}

cf_status cf_initialise_from_data(cf_flow *flow, const cf_function_call *call) {
    cf_function_call initialise = *call;
    if (flow->shape.image && initialise.samples > INITIALISATION_IMAGES)
        initialise.samples = INITIALISATION_IMAGES;
    if (cf_model_awaits_initialisation(flow->model)) {
        cf_function_call statistics = initialise;
        statistics.mode = CF_DATA_INITIALISATION;
        CF_TRY(cf_model_call_locked(flow->model, &statistics));
        cf_model_initialise(flow->model);
    }
    return start_base(flow, &initialise);
}
