#include "engine/array.h"

#include <math.h>
#include <string.h>

/* An IEEE half-precision number. */
static double half_to_double(uint16_t bits) {
    int exponent = (bits >> 10) & 31, fraction = bits & 1023;
    double magnitude;
    if (exponent == 31)
        magnitude = fraction ? NAN : INFINITY;
    else if (exponent == 0)
        magnitude = ldexp(fraction, -24);
    else
        magnitude = ldexp(fraction + 1024, exponent - 25);
    return bits & 0x8000 ? -magnitude : magnitude;
}

static size_t element_size(cf_element element) {
    switch (element) {
    case CF_BOOL:
    case CF_INT8:
    case CF_UINT8:
        return 1;
    case CF_INT16:
    case CF_UINT16:
    case CF_HALF:
        return 2;
    case CF_INT32:
    case CF_UINT32:
    case CF_FLOAT:
        return 4;
    case CF_LONG_DOUBLE:
        return sizeof(long double);
    default:
        return 8;
    }
}

double cf_read_element(const char *p, const cf_array *array) {
    union {
        unsigned char bytes[sizeof(long double)];
        int8_t i8;
        uint8_t u8;
        int16_t i16;
        uint16_t u16;
        int32_t i32;
        uint32_t u32;
        int64_t i64;
        uint64_t u64;
        float f32;
        double f64;
        long double f80;
    } v;
    size_t size = element_size(array->element);
    if (array->swapped)
        for (size_t i = 0; i < size; i++)
            v.bytes[i] = (unsigned char)p[size - 1 - i];
    else if (size == 8) /* the sizes that are most common as constants: one load each */
        memcpy(v.bytes, p, 8);
    else if (size == 4)
        memcpy(v.bytes, p, 4);
    else
        memcpy(v.bytes, p, size);
    switch (array->element) {
    case CF_BOOL:
        return v.u8 != 0;
    case CF_INT8:
        return v.i8;
    case CF_UINT8:
        return v.u8;
    case CF_INT16:
        return v.i16;
    case CF_UINT16:
        return v.u16;
    case CF_INT32:
        return v.i32;
    case CF_UINT32:
        return v.u32;
    case CF_INT64:
        return (double)v.i64;
    case CF_UINT64:
        return (double)v.u64;
    case CF_HALF:
        return half_to_double(v.u16);
    case CF_FLOAT:
        return v.f32;
    case CF_DOUBLE:
        return v.f64;
    default:
        return (double)v.f80;
    }
}
