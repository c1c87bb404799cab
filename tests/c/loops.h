/* What the tests of loops share: programs over rows of float64 or float32 numbers. */
#ifndef LOOPS_H
#define LOOPS_H

#include "programs.h"

#include "engine/loop.h"
#include "engine/run.h"
#include "ops/ops.h"

#include <string.h>

/* Runs rows [first, first + rows) of `args`, whose results are of the run's dtype. */
static inline void run_samples(const cf_program *program, cf_run_args args, size_t first,
                               size_t rows) {
    size_t element = cf_dtype_size(args.dtype);
    for (size_t i = 0; i < CF_MAX_SLOTS; i++) {
        cf_array_skip(&args.input[i], first);
        if (args.output[i].data != NULL)
            args.output[i].data =
                (char *)args.output[i].data + first * args.output[i].row_stride * element;
    }
    args.samples = rows;
    args.first_sample += first;
    CHECK_OK(cf_run(program, &args));
}

/* Runs the program whole, by 1 to 3 threads, and in pieces: output `slot`, of `columns`, must have
 * the same bits. */
static inline void check_samples_are_independent(const cf_program *program, cf_run_args args,
                                                 size_t slot, size_t columns) {
    size_t element = cf_dtype_size(args.dtype), bytes = args.samples * columns * element;
    const size_t pieces[] = {1, 7, 16, 48, 64, 1000};
    char *truth = malloc(bytes), *again = malloc(bytes);
    CHECK(truth != NULL && again != NULL);
    args.output[slot].data = truth;
    run_samples(program, args, 0, args.samples);
    args.output[slot].data = again;
    for (args.threads = 1; args.threads <= 3; args.threads++) {
        memset(again, 1, bytes);
        run_samples(program, args, 0, args.samples);
        CHECK(memcmp(truth, again, bytes) == 0);
    }
    args.threads = 1;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        memset(again, 1, bytes);
        for (size_t row = 0; row < args.samples; row += pieces[i])
            run_samples(program, args, row,
                        args.samples - row < pieces[i] ? args.samples - row : pieces[i]);
        CHECK(memcmp(truth, again, bytes) == 0);
    }
    free(truth);
    free(again);
}

#endif
