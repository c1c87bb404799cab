/* Prints the name of the level in use, then what is wrong with CFLOWS_SIMD, if anything. */
#include <stdio.h>

#include "simd/simd.h"

int main(void) {
    printf("%s\n", cf_simd_name(cf_simd()));
    printf("%s\n", cf_simd_check() == CF_OK ? "" : cf_message());
    return 0;
}
