/* One instantiation of the chains, for the type `real` and the instruction set SIMD. */
TARGET static double JOIN(chains, SIMD, real)(void) {
    typedef real vector __attribute__((vector_size(VECTOR_BYTES)));
    /* volatile: nothing is known when the code is compiled, so nothing folds; a -> 1, never denormal */
    volatile real half = (real)0.5;
    const vector x = (vector){0} + half, y = x;
    vector a[CHAINS];
    for (int k = 0; k < CHAINS; k++)
        a[k] = y * (real)k;
    for (int turn = 0; turn < TURNS; turn++) {
#pragma GCC unroll 16 /* all CHAINS of them: they must live in registers */
        for (int k = 0; k < CHAINS; k++)
            a[k] = a[k] * x + y;
    }
    vector sum = a[0];
    for (int k = 1; k < CHAINS; k++)
        sum += a[k];
    volatile real keep = sum[0]; /* a use of every chain */
    (void)keep;
    return 2.0 * TURNS * CHAINS * (double)(VECTOR_BYTES / sizeof(real));
}
