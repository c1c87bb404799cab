/* Lists of indices that options give or chance decides. */
#ifndef CF_LAYERS_PERMUTATION_H
#define CF_LAYERS_PERMUTATION_H

#include <stddef.h>
#include <stdint.h>

/* (-1)^(number of transpositions) of a permutation of 0 … n-1; `seen` is scratch of n bytes. */
int cf_permutation_sign(const int64_t *indices, size_t n, unsigned char *seen);

#endif
