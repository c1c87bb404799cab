/* Views of matrices: re-ordered references, no op. */
#include "base/memory.h"
#include "ops/ops.h"

cf_value cf_repeat_whole(cf_builder *b, cf_value x, size_t count) {
    cf_value *parts, all;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_alloc(&parts, count, sizeof *parts) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for a view");
    for (size_t i = 0; i < count; i++)
        parts[i] = x;
    all = cf_concat(b, parts, count);
    cf_free(parts);
    return all;
}

cf_value cf_transpose(cf_builder *b, cf_value matrix, size_t rows) {
    int64_t *indices;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    size_t size = cf_value_size(b, matrix), columns = rows > 0 ? size / rows : 0;
    if (cf_alloc(&indices, size, sizeof *indices) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for a view of a matrix");
    for (size_t i = 0; i < size; i++)
        indices[i] = (int64_t)(i % rows * columns + i / rows);
    cf_value view = cf_select(b, matrix, indices, size);
    cf_free(indices);
    return view;
}

cf_value cf_diagonal(cf_builder *b, cf_value matrix, size_t n) {
    int64_t *indices;
    if (cf_builder_status(b) != CF_OK)
        return CF_NO_VALUE;
    if (cf_alloc(&indices, n, sizeof *indices) != CF_OK)
        return cf_builder_fail(b, CF_NO_MEMORY, "no memory for a diagonal");
    for (size_t i = 0; i < n; i++)
        indices[i] = (int64_t)(i * (n + 1));
    cf_value diagonal = cf_select(b, matrix, indices, n);
    cf_free(indices);
    return diagonal;
}
