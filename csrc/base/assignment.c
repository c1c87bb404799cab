#include "base/assignment.h"

#include <math.h>

#include "base/memory.h"

/* Rows and columns have prices u and v, of which u[i] + v[j] <= cost[i][j], with equality where i
 * and j are matched: then no other permutation costs less. */
typedef struct {
    size_t n;
    const double *cost;
    int64_t *column;     /* of each row, or -1 */
    int64_t *row;        /* of each column, or -1 */
    double *u, *v;       /* prices */
    double *distance;    /* of a search: to each column */
    int64_t *before;     /* the row from which a column is reached */
    int64_t *left;       /* columns that the search has not reached, `remaining` of them */
    unsigned char *seen; /* by column: the search has reached it */
    size_t remaining;
} assignment;

/* The column whose cost less price is the least for row i, and the one with the next; *low and
 * *next are these numbers. */
static size_t nearest(const assignment *a, size_t i, double *low, double *next, size_t *second) {
    const double *cost = a->cost + i * a->n;
    size_t best = 0;
    *low = *next = INFINITY;
    *second = 0;
    for (size_t j = 0; j < a->n; j++) {
        double reduced = cost[j] - a->v[j];
        if (reduced >= *next)
            continue;
        if (reduced < *low) {
            *next = *low;
            *second = best;
            *low = reduced;
            best = j;
        } else {
            *next = reduced;
            *second = j;
        }
    }
    return best;
}

/* Rows without a column take their nearest one, whose price falls until the next is as near, and
 * push out the row that had it. That matches most rows in O(n) each (Jonker and Volgenant's
 * augmenting row reduction); `steps` bounds how often, as rows may chase each other. */
static void reduce_rows(assignment *a, size_t steps) {
    size_t count = 0;
    for (size_t i = a->n; i-- > 0;)
        a->left[count++] = (int64_t)i;
    for (; count > 0 && steps > 0; steps--) {
        size_t i = (size_t)a->left[--count], second;
        double low, next;
        size_t j = nearest(a, i, &low, &next, &second);
        if (low < next && next < INFINITY)
            a->v[j] -= next - low;
        else if (a->row[j] >= 0 && low == next && a->row[second] < 0)
            j = second;
        if (a->row[j] >= 0) {
            a->column[a->row[j]] = -1;
            a->left[count++] = a->row[j];
        }
        a->row[j] = (int64_t)i;
        a->column[i] = (int64_t)j;
    }
}

/* The least price of each column; pairs that are soon found; then the least price of each row. */
static void start(assignment *a) {
    size_t n = a->n, second;
    double next;
    for (size_t j = 0; j < n; j++) {
        a->row[j] = a->column[j] = -1;
        a->v[j] = INFINITY;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            a->v[j] = fmin(a->v[j], a->cost[i * n + j]);
    reduce_rows(a, 8 * n);
    for (size_t i = 0; i < n; i++) {
        (void)nearest(a, i, &a->u[i], &next, &second);
        if (a->column[i] >= 0) /* where rounding has moved it */
            a->u[i] = fmin(a->u[i], a->cost[i * n + (size_t)a->column[i]] - a->v[a->column[i]]);
    }
}

/* Looks from row i, at this distance, at the columns that are left; takes the nearest out. */
static size_t look(assignment *a, size_t i, double distance) {
    const double *cost = a->cost + i * a->n;
    double shift = distance - a->u[i], nearest = INFINITY;
    size_t at = 0;
    for (size_t k = 0; k < a->remaining; k++) {
        size_t j = (size_t)a->left[k];
        double through = cost[j] - a->v[j] + shift;
        if (through < a->distance[j]) {
            a->distance[j] = through;
            a->before[j] = (int64_t)i;
        }
        /* Of columns that are equally near one without a row ends the search. */
        if (a->distance[j] < nearest || (a->distance[j] == nearest && a->row[j] < 0)) {
            nearest = a->distance[j];
            at = k;
        }
    }
    size_t found = (size_t)a->left[at];
    a->left[at] = a->left[--a->remaining];
    a->seen[found] = 1;
    return found;
}

/* Finds the shortest path from a row to a column without one, and the prices with which all of its
 * pairs are met; then matches those instead of the present ones. */
static void augment(assignment *a, size_t first) {
    size_t i = first, j;
    double distance = 0.0;
    a->remaining = a->n;
    for (size_t k = 0; k < a->n; k++) {
        a->left[k] = (int64_t)(a->n - 1 - k);
        a->distance[k] = INFINITY;
        a->seen[k] = 0;
    }
    for (;;) {
        j = look(a, i, distance);
        distance = a->distance[j];
        if (a->row[j] < 0)
            break;
        i = (size_t)a->row[j];
    }
    a->u[first] += distance;
    for (size_t k = 0; k < a->n; k++) {
        if (!a->seen[k])
            continue;
        a->v[k] -= distance - a->distance[k];
        if (a->row[k] >= 0)
            a->u[a->row[k]] += distance - a->distance[k];
    }
    do {
        i = (size_t)a->before[j];
        int64_t next = a->column[i];
        a->row[j] = (int64_t)i;
        a->column[i] = (int64_t)j;
        j = (size_t)next;
    } while (i != first);
}

cf_status cf_assign(size_t n, const double *cost, int64_t *column) {
    assignment a = {.n = n, .cost = cost, .column = column};
    double *numbers = NULL;
    int64_t *lists = NULL;
    if (n == 0)
        return CF_OK;
    cf_status status = cf_alloc(&numbers, n, 3 * sizeof *numbers);
    if (status == CF_OK)
        status = cf_alloc(&lists, n, 3 * sizeof *lists);
    if (status == CF_OK)
        status = cf_alloc(&a.seen, n, 1);
    if (status == CF_OK) {
        a.u = numbers;
        a.v = numbers + n;
        a.distance = numbers + 2 * n;
        a.row = lists;
        a.before = lists + n;
        a.left = lists + 2 * n;
        start(&a);
        for (size_t i = 0; i < n; i++)
            if (column[i] < 0)
                augment(&a, i);
    }
    cf_free(numbers);
    cf_free(lists);
    cf_free(a.seen);
    return status;
}
