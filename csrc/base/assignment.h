/* The linear assignment problem: a permutation of the least cost. */
#ifndef CF_BASE_ASSIGNMENT_H
#define CF_BASE_ASSIGNMENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Sets column[i] of each row i of a matrix of n rows and n columns of finite numbers, another for
 * each, such that the sum of cost[i n + column[i]] is the least. By shortest augmenting paths
 * (Jonker and Volgenant 1987; Crouse 2016): O(n^3) in the worst case. Allocates O(n). */
cf_status cf_assign(size_t n, const double *cost, int64_t *column);

#endif
