/* k-means. */
#ifndef CF_DIST_KMEANS_H
#define CF_DIST_KMEANS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* The points to cluster: `rows` rows of `features` finite numbers. */
typedef struct {
    const double *x;
    size_t rows, features;
} cf_points;

/* The centres of `clusters` clusters, [clusters, features], and the cluster of every row, as they
 * are after at most 30 iterations of Lloyd's from those of greedy k-means++ (Arthur and
 * Vassilvitskii 2007). At least as many rows as clusters. The same seed gives the same. */
cf_status cf_kmeans(const cf_points *points, size_t clusters, uint64_t seed, double *centre,
                    size_t *label);

#endif
