#include "dist/kmeans.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/philox.h"

enum { MAX_ITERATIONS = 30 };

static double squared_distance(const double *a, const double *b, size_t n) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

static const double *row_of(const cf_points *points, size_t row) {
    return points->x + row * points->features;
}

/* A row with the probability of its number in `nearest`, the squares of distances to the centres
 * so far; any row if all are 0. */
static size_t draw(const double *nearest, size_t rows, double u) {
    double total = 0.0, sum = 0.0;
    size_t row = 0;
    for (size_t i = 0; i < rows; i++)
        total += nearest[i];
    if (!(total > 0.0 && isfinite(total)))
        return (size_t)(u * (double)rows);
    while (row + 1 < rows && (sum += nearest[row]) <= u * total)
        row++;
    return row;
}

/* What the squares of distances would sum to with this row as a centre too. */
static double potential(const cf_points *points, const double *nearest, size_t candidate) {
    double sum = 0.0;
    for (size_t i = 0; i < points->rows; i++)
        sum += fmin(nearest[i], squared_distance(row_of(points, i), row_of(points, candidate),
                                                 points->features));
    return sum;
}

/* Of some rows drawn, the one that is best as the next centre. */
static size_t best_of(const cf_points *points, const double *nearest, size_t trials, uint64_t seed,
                      size_t number) {
    double lowest = INFINITY;
    size_t best = 0;
    for (size_t t = 0; t < trials; t++) {
        double u = cf_philox_uniform(seed, number, CF_STREAM_CLUSTERS, (uint32_t)t);
        size_t candidate = draw(nearest, points->rows, u);
        double sum = potential(points, nearest, candidate);
        if (t == 0 || sum < lowest) {
            lowest = sum;
            best = candidate;
        }
    }
    return best;
}

static void choose_centres(const cf_points *points, size_t clusters, uint64_t seed, double *centre,
                           double *nearest) {
    size_t n = points->features, trials = 2 + (size_t)log((double)clusters);
    for (size_t i = 0; i < points->rows; i++)
        nearest[i] = INFINITY;
    for (size_t k = 0; k < clusters; k++) {
        size_t row = best_of(points, nearest, k == 0 ? 1 : trials, seed, k);
        memcpy(centre + k * n, row_of(points, row), n * sizeof *centre);
        for (size_t i = 0; i < points->rows; i++)
            nearest[i] = fmin(nearest[i], squared_distance(row_of(points, i), centre + k * n, n));
    }
}

/* Every row to its nearest centre; whether any changes. */
static bool assign(const cf_points *points, size_t clusters, const double *centre, size_t *label) {
    bool changed = false;
    for (size_t i = 0; i < points->rows; i++) {
        size_t best = 0;
        double lowest = INFINITY;
        for (size_t k = 0; k < clusters; k++) {
            double d = squared_distance(row_of(points, i), centre + k * points->features,
                                        points->features);
            if (d < lowest) {
                lowest = d;
                best = k;
            }
        }
        changed |= label[i] != best;
        label[i] = best;
    }
    return changed;
}

/* Every centre to the mean of its rows; one without rows stays. */
static void move_centres(const cf_points *points, size_t clusters, double *centre,
                         const size_t *label, double *count) {
    size_t n = points->features;
    memset(count, 0, clusters * sizeof *count);
    for (size_t i = 0; i < points->rows; i++)
        count[label[i]]++;
    for (size_t k = 0; k < clusters; k++)
        if (count[k] > 0.0)
            memset(centre + k * n, 0, n * sizeof *centre);
    for (size_t i = 0; i < points->rows; i++)
        for (size_t f = 0; f < n; f++)
            centre[label[i] * n + f] += row_of(points, i)[f] / count[label[i]];
}

cf_status cf_kmeans(const cf_points *points, size_t clusters, uint64_t seed, double *centre,
                    size_t *label) {
    double *work; /* by row, then by cluster: there are at most as many */
    CF_TRY(cf_alloc(&work, points->rows, sizeof *work));
    choose_centres(points, clusters, seed, centre, work);
    for (size_t i = 0; i < points->rows; i++)
        label[i] = clusters;
    for (int i = 0; i < MAX_ITERATIONS && assign(points, clusters, centre, label); i++)
        move_centres(points, clusters, centre, label, work);
    cf_free(work);
    return CF_OK;
}
