/* What the docstrings of Model and Flow have in common. */
#ifndef CF_BINDINGS_DOC_PARTS_H
#define CF_BINDINGS_DOC_PARTS_H

#include "bindings/numpy.h"

#define CF_DOC_EXAMPLE                                                                             \
    "Examples\n--------\n"                                                                         \
    ">>> import cflows as cf, numpy as np\n"                                                       \
    ">>> flow = cf.realnvp(features=2, layers=2, hidden=(8,), seed=0)\n"                           \
    ">>> x = np.zeros((5, 2))\n"

#define CF_DOC_CONTEXT(rows)                                                                       \
    "context : array_like, shape (" rows ", context_features) or (context_features,), optional\n"  \
    "    What the flow is conditioned on; a single row stands for all. Needed by a flow with\n"    \
    "    context features, refused by one without.\n"

#define CF_DOC_NOISE                                                                               \
    "seed : int, default 0\n"                                                                      \
    "    Of what stochastic layers draw, 0 to 2**64 - 1; the others draw nothing.\n"               \
    "start : int, default 0\n"                                                                     \
    "    The number of the first row: row k has the numbers of the first with ``start=k``.\n"

#define CF_DOC_MEAN                                                                                \
    "mean : bool, default False\n"                                                                 \
    "    Whether stochastic layers give the mean instead of a draw.\n"

#define CF_DOC_ERRORS                                                                              \
    "Raises\n------\n"                                                                             \
    "ValueError\n"                                                                                 \
    "    If a shape is wrong, or the context is missing or not expected.\n"                        \
    "TypeError\n"                                                                                  \
    "    If an array does not hold real numbers.\n"                                                \
    "RuntimeError\n"                                                                               \
    "    While the flow is being fitted.\n\n"

#endif
