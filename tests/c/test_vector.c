/* The primitives of simd/vector.h against plain C, lane by lane.
 *
 *     test_vector LEVEL    exits with status 0 if all is well at that level, for both dtypes
 */
#ifndef CF_FN

#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif
#include <float.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

#define CF_BODY "test_vector.c"
#include "simd/instantiate.h"

typedef void (*test)(void);
static const test tests[CF_SIMD_LEVELS][CF_DTYPES] = CF_VERSIONS(test_all);

int main(int argc, char **argv) {
    CHECK(argc == 2);
    const int level = atoi(argv[1]);
    CHECK(0 <= level && level < CF_SIMD_LEVELS);
    tests[level][CF_FLOAT32]();
    tests[level][CF_FLOAT64]();
    return 0;
}

#else

#undef EPSILON
#undef GREATEST
#undef INTEGERS
#undef integer
#ifdef CF_REAL_F32
#define integer int32_t
#define EPSILON FLT_EPSILON
#define GREATEST FLT_MAX
#define INTEGERS 0x7fffff80 /* the greatest integer that v_to_int takes */
#else
#define integer int64_t
#define EPSILON DBL_EPSILON
#define GREATEST DBL_MAX
#define INTEGERS 0x7ffffffffffff
#endif

/* Whether both are NaN or have the same bits. */
static bool CF_FN(same)(real a, real b) {
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}
#define SAME CF_FN(same)

static real CF_FN(lane)(vreal a, int i) {
    return a[i];
}
#define LANE CF_FN(lane)

/* Numbers that a primitive could treat wrongly. */
static const real CF_FN(odd)[] = {
    0,    (real)-0.0,  1,     -1,   (real)0.5, (real)-0.5,  (real)1.5, (real)2.5,      (real)-2.5,
    NAN,  (real)1e-40, 3,     -7,   INFINITY,  -INFINITY,   GREATEST,  (real)1234.567, (real)-9.49,
    1e10, EPSILON,     1e-30, 4095, 8388607,   (real)1e-320};
#define ODD CF_FN(odd)
enum { CF_FN(odd_count) = sizeof ODD / sizeof *ODD };
#define ODD_COUNT CF_FN(odd_count)

/* VL of the odd numbers from the i-th on. */
static vreal CF_FN(odd_vector)(int i) {
    real lanes[VL];
    for (int k = 0; k < VL; k++)
        lanes[k] = ODD[(i + k) % ODD_COUNT];
    return v_load(lanes);
}
#define ODD_VECTOR CF_FN(odd_vector)

static real CF_FN(one_lane)(real a) {
    return LANE(v_set1(a), VL - 1);
}

static void CF_FN(test_unary)(void) {
    for (int i = 0; i < ODD_COUNT; i++) {
        vreal a = ODD_VECTOR(i);
        CHECK(SAME(CF_FN(one_lane)(ODD[i]), ODD[i]));
        for (int k = 0; k < VL; k++) {
            real x = ODD[(i + k) % ODD_COUNT];
            CHECK(SAME(LANE(a, k), x));
            CHECK(SAME(LANE(v_real(v_bits(a)), k), x));
            CHECK(SAME(LANE(v_abs(a), k), (real)fabs(x)));
            CHECK(SAME(LANE(v_sqrt(a), k), (real)sqrt(x)));
            CHECK(SAME(LANE(v_round(a), k), (real)nearbyint(x)));
        }
    }
}

static void CF_FN(test_binary)(void) {
    for (int i = 0; i < ODD_COUNT; i++)
        for (int j = 0; j < ODD_COUNT; j++) {
            vreal a = ODD_VECTOR(i), b = ODD_VECTOR(j), yes = v_set1(1), no = v_set1(0);
            bool any = false;
            for (int k = 0; k < VL; k++) {
                real x = ODD[(i + k) % ODD_COUNT], y = ODD[(j + k) % ODD_COUNT];
                any |= x < y;
                CHECK(LANE(v_select(v_lt(a, b), yes, no), k) == (x < y));
                CHECK(LANE(v_select(v_le(a, b), yes, no), k) == (x <= y));
                CHECK(LANE(v_select(v_eq(a, b), yes, no), k) == (x == y));
                CHECK(LANE(v_select(v_not(v_lt(a, b)), yes, no), k) == !(x < y));
                CHECK(LANE(v_select(v_and(v_le(a, b), v_le(b, a)), yes, no), k) == (x == y));
                CHECK(LANE(v_select(v_or(v_lt(a, b), v_eq(a, b)), yes, no), k) == (x <= y));
                CHECK(SAME(LANE(v_select(v_lt(a, b), a, b), k), x < y ? x : y));
                CHECK(SAME(LANE(v_min(a, b), k), x < y ? x : y));
                CHECK(SAME(LANE(v_max(a, b), k), x > y ? x : y));
            }
            CHECK(v_any(v_lt(a, b)) == any);
            CHECK(!v_any(v_and(v_lt(a, b), v_lt(b, a))));
        }
}

/* A fused operation keeps the product's last bits: (1 + eps)(1 - eps) - 1 = -eps^2. */
static void CF_FN(test_fma)(void) {
    vreal a = v_set1(1 + EPSILON), b = v_set1(1 - EPSILON), c = v_set1(-1);
    real lost = LANE(v_fma(a, b, c), 0);
#if defined(CF_ON_BASE) && !defined(__aarch64__)
    CHECK(lost == 0);
#else
    CHECK(lost == -EPSILON * EPSILON);
#endif
    for (int i = 0; i < ODD_COUNT; i++) {
        a = ODD_VECTOR(i), b = ODD_VECTOR(i + 5), c = ODD_VECTOR(2 * i + 1);
        for (int k = 0; k < VL; k++) {
            real x = LANE(a, k), y = LANE(b, k), z = LANE(c, k);
#if defined(CF_ON_BASE) && !defined(__aarch64__)
            real product = x * y, expected = product + z;
#elif defined(CF_REAL_F32)
            real expected = fmaf(x, y, z);
#else
            real expected = fma(x, y, z);
#endif
            CHECK(SAME(LANE(v_fma(a, b, c), k), expected));
        }
    }
}

static void CF_FN(test_integers)(void) {
    static const real reals[] = {0,     (real)0.5,  (real)-0.5, (real)1.5, (real)-1.5,
                                 2.5,   (real)-3.7, 1000001,    INTEGERS,  -(real)INTEGERS,
                                 65537, (real)-0.0};
    const int count = sizeof reals / sizeof *reals;
    for (int i = 0; i < count; i++) {
        real lanes[VL];
        for (int k = 0; k < VL; k++)
            lanes[k] = reals[(i + k) % count];
        vint integers = v_to_int(v_load(lanes));
        vreal back = v_from_int(integers);
        for (int k = 0; k < VL; k++) {
            CHECK((integer)integers[k] == (integer)nearbyint(lanes[k]));
            CHECK(LANE(back, k) == (real)nearbyint(lanes[k]));
        }
    }
}

/* Halves onto halves. */
static void CF_FN(test_sum)(void) {
    unsigned state = 1;
    for (int repeat = 0; repeat < 100; repeat++) {
        real lanes[VL];
        for (int k = 0; k < VL; k++)
            lanes[k] = (real)check_random(&state);
        real sum = v_sum(v_load(lanes));
        for (int half = VL / 2; half > 0; half /= 2)
            for (int k = 0; k < half; k++)
                lanes[k] += lanes[k + half];
        CHECK(SAME(sum, lanes[0]));
    }
}

/* Loads and stores that end, and begin, where a page begins that must not be touched. */
static void CF_FN(test_partial)(void) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK((void *)pages != MAP_FAILED);
    CHECK(mprotect(pages, page, PROT_NONE) == 0);
    CHECK(mprotect(pages + 2 * page, page, PROT_NONE) == 0);
    real *begin = (real *)(void *)(pages + page), *end = (real *)(void *)(pages + 2 * page);
    for (size_t n = 0; n <= VL; n++)
        for (int at_end = 0; at_end < 2; at_end++) {
            real *p = at_end ? end - n : begin;
            real guard = at_end ? end[-(int)n - 1] = 77 : (begin[n] = 77);
            for (size_t k = 0; k < n; k++)
                p[k] = (real)(k + 1);
            vreal a = n < VL ? v_load_n(p, n) : v_load(p);
            for (int k = 0; k < VL; k++)
                CHECK(SAME(LANE(a, k), (size_t)k < n ? (real)(k + 1) : 0));
            a = a + v_set1(10);
            if (n < VL)
                v_store_n(p, a, n);
            else
                v_store(p, a);
            for (size_t k = 0; k < n; k++)
                CHECK(p[k] == (real)(k + 11));
            CHECK((at_end ? end[-(int)n - 1] : begin[n]) == guard);
        }
    CHECK(munmap(pages, 3 * page) == 0);
}

static void CF_FN(test_all)(void) {
    CF_FN(test_unary)();
    CF_FN(test_binary)();
    CF_FN(test_fma)();
    CF_FN(test_integers)();
    CF_FN(test_sum)();
    CF_FN(test_partial)();
}

#undef SAME
#undef LANE
#undef ODD
#undef ODD_COUNT
#undef ODD_VECTOR

#endif
