#include "ops/lines.h"

#include <string.h>

#include "base/memory.h"

static size_t padded_width(const cf_lines *l) {
    return l->shape.width + l->kernel - 1;
}

static size_t window_size(cf_shape shape, size_t kernel) {
    return shape.channels * kernel * kernel;
}

static size_t aligned(size_t bytes) {
    return (bytes + CF_ALIGNMENT - 1) / CF_ALIGNMENT * CF_ALIGNMENT;
}

static size_t ring_bytes(cf_shape shape, size_t kernel, size_t lanes, size_t element) {
    return aligned(kernel * shape.channels * (shape.width + kernel - 1) * lanes * element);
}

size_t cf_lines_scratch(cf_shape shape, size_t kernel, size_t lanes, cf_dtype dtype) {
    return ring_bytes(shape, kernel, lanes, cf_dtype_size(dtype)) +
           aligned(kernel * window_size(shape, kernel) * sizeof(uint32_t));
}

/* In turn t, line i of the window is line (t + i) mod kernel of the ring. */
static void number_windows(cf_lines *l) {
    uint32_t *number = l->windows;
    for (size_t turn = 0; turn < l->kernel; turn++)
        for (size_t c = 0; c < l->shape.channels; c++)
            for (size_t i = 0; i < l->kernel; i++)
                for (size_t j = 0; j < l->kernel; j++) {
                    size_t line = (turn + i) % l->kernel;
                    *number++ = (uint32_t)((c * l->kernel + line) * padded_width(l) + j);
                }
}

void cf_lines_start(cf_lines *lines, const cf_call *call, size_t i, const char *base,
                    cf_shape shape, size_t kernel, void *scratch) {
    size_t element = cf_dtype_size(call->dtype), bytes;
    *lines = (cf_lines){.shape = shape,
                        .kernel = kernel,
                        .lanes = call->lanes,
                        .element = element,
                        .base = base,
                        .feature_rows = call->step->operand[i].feature_rows,
                        .contiguous = call->step->contiguous,
                        .ring = scratch};
    bytes = ring_bytes(shape, kernel, call->lanes, element);
    lines->windows = (uint32_t *)(lines->ring + bytes);
    number_windows(lines);
    if (kernel > 1)
        memset(lines->ring, 0, bytes); /* the borders, which nothing overwrites */
}

/* Line y of the padded image into the ring. */
static void pack(cf_lines *l, size_t y) {
    size_t margin = l->kernel / 2, width = l->shape.width, plane = l->shape.height * width;
    size_t row_bytes = l->lanes * l->element, line_bytes = padded_width(l) * row_bytes;
    char *out = l->ring + y % l->kernel * line_bytes + margin * row_bytes;
    bool outside = y < margin || y - margin >= l->shape.height;
    for (size_t c = 0; c < l->shape.channels; c++, out += l->kernel * line_bytes) {
        if (outside) {
            memset(out, 0, width * row_bytes);
            continue;
        }
        const uint32_t *row = l->feature_rows + c * plane + (y - margin) * width;
        if (l->contiguous)
            memcpy(out, l->base + *row * row_bytes, width * row_bytes);
        else
            for (size_t x = 0; x < width; x++)
                memcpy(out + x * row_bytes, l->base + row[x] * row_bytes, row_bytes);
    }
}

const uint32_t *cf_lines_load(cf_lines *lines, size_t y) {
    for (; lines->packed < y + lines->kernel; lines->packed++)
        pack(lines, lines->packed);
    return lines->windows + y % lines->kernel * window_size(lines->shape, lines->kernel);
}
