/* Docstrings of the class Flow; included by flow.c alone. */
#ifndef CF_BINDINGS_FLOW_DOCS_H
#define CF_BINDINGS_FLOW_DOCS_H

#include "bindings/doc_parts.h"

PyDoc_STRVAR(flow_doc, "Flow(layers, features=None, context_features=0, embedding=None, base=None, "
                       "dtype='float32', seed=None, shape=None, standardize_context=True)\n--\n\n"
                       "The compiled part of `cflows.Flow`, which documents it.");

PyDoc_STRVAR(forward_doc,
             "forward($self, /, u, context=None, seed=0, start=0, mean=False)\n--\n\n"
             "Carry base points to the data, ``u -> x``.\n\n"
             "Parameters\n----------\n"
             "u : array_like, shape (n, features)\n"
             "    Real numbers of any dtype and layout; n may be 0.\n" CF_DOC_CONTEXT("n")
                 CF_DOC_NOISE CF_DOC_MEAN "\nReturns\n-------\n"
                                          "x : ndarray, shape (n, features)\n"
                                          "log_det : ndarray, shape (n,)\n"
                                          "    ``log|det dx/du|``.\n\n" CF_DOC_ERRORS
                                          "See Also\n--------\n"
                                          "inverse : the other direction.\n\n" CF_DOC_EXAMPLE
                                          ">>> y, log_det = flow.forward(x)\n"
                                          ">>> y.shape, log_det.shape\n"
                                          "((5, 2), (5,))\n");

PyDoc_STRVAR(inverse_doc,
             "inverse($self, /, x, context=None, seed=0, start=0, mean=False)\n--\n\n"
             "Carry data to the base, ``x -> u``.\n\n"
             "Parameters\n----------\n"
             "x : array_like, shape (n, features)\n"
             "    Real numbers of any dtype and layout; n may be 0. A row that is NaN or\n"
             "    infinite spoils its own results alone; out of the support log_det is -inf and u "
             "finite.\n" CF_DOC_CONTEXT("n") CF_DOC_NOISE CF_DOC_MEAN
             "\nReturns\n-------\n"
             "u : ndarray, shape (n, features)\n"
             "log_det : ndarray, shape (n,)\n"
             "    ``log|det du/dx|``.\n\n" CF_DOC_ERRORS "See Also\n--------\n"
             "forward : the other direction.\n\n" CF_DOC_EXAMPLE
             ">>> u, log_det = flow.inverse(x)\n"
             ">>> np.allclose(flow.forward(u)[0], x)\n"
             "True\n");

PyDoc_STRVAR(
    log_prob_doc,
    "log_prob($self, /, x, context=None, seed=0, start=0)\n--\n\n"
    "The log-density of data, in nats.\n\n"
    "``log_prob(x) = base.log_prob(u) + log|det du/dx|`` with ``u`` the inverse of ``x``\n"
    "(Papamakarios et al. 2021, arXiv:1912.02762, equation 1).\n\n"
    "Parameters\n----------\n"
    "x : array_like, shape (n, features)\n"
    "    Real numbers of any dtype and layout; n may be 0.\n" CF_DOC_CONTEXT("n") CF_DOC_NOISE
    "\nReturns\n-------\n"
    "ndarray, shape (n,)\n"
    "    In the flow's dtype. -inf outside of the support, also at infinity; NaN for a row "
    "that\n    is NaN, and for that row alone.\n\n" CF_DOC_ERRORS CF_DOC_EXAMPLE
    ">>> flow.log_prob(x).shape\n"
    "(5,)\n");

#define CF_DOC_SAMPLING                                                                            \
    "Parameters\n----------\n"                                                                     \
    "n : int\n"                                                                                    \
    "    How many samples of each context.\n" CF_DOC_CONTEXT(                                      \
        "m") "seed : int, optional\n"                                                              \
             "    0 to 2**64 - 1. The same seed gives the same samples, whatever the number of "   \
             "threads.\n"                                                                          \
             "    None draws from the operating system's entropy.\n"                               \
             "start : int, default 0\n"                                                            \
             "    The number of the first sample: ``sample(n, seed=s, start=k)`` goes on where\n"  \
             "    ``sample(k, seed=s)`` ended. Samples of m contexts are numbered context by "     \
             "context.\n\n"

PyDoc_STRVAR(
    sample_doc,
    "sample($self, /, n, context=None, seed=None, start=0)\n--\n\n"
    "Draw samples of the flow: ``x = T(u)`` with ``u`` from the base.\n\n" CF_DOC_SAMPLING
    "Returns\n-------\n"
    "ndarray, shape (n, features)\n"
    "    Of the flow's dtype, or of float64 where float32 would round away what the flow tells\n"
    "    apart: far from 0, or in large or tiny units. With m > 1 rows of context, (m, n, "
    "features).\n\n" CF_DOC_ERRORS CF_DOC_EXAMPLE ">>> flow.sample(1000, seed=1).shape\n"
    "(1000, 2)\n"
    ">>> joined = np.concatenate([flow.sample(3, seed=1), flow.sample(4, seed=1, start=3)])\n"
    ">>> np.array_equal(joined, flow.sample(7, seed=1))\n"
    "True\n");

PyDoc_STRVAR(sample_and_log_prob_doc,
             "sample_and_log_prob($self, /, n, context=None, seed=None, start=0)\n--\n\n"
             "Draw samples, and tell their log-density: `sample` and `log_prob` in one "
             "pass.\n\n" CF_DOC_SAMPLING "Returns\n-------\n"
             "x : ndarray, shape (n, features)\n"
             "    With m > 1 rows of context, (m, n, features).\n"
             "log_prob : ndarray, shape (n,) or (m, n)\n\n" CF_DOC_ERRORS CF_DOC_EXAMPLE
             ">>> y, log_prob = flow.sample_and_log_prob(5, seed=1)\n"
             ">>> np.allclose(log_prob, flow.log_prob(y), atol=1e-4)\n"
             "True\n");

PyDoc_STRVAR(
    grad_log_prob_doc,
    "grad_log_prob($self, /, x, context=None, return_log_prob=False, seed=0, start=0)\n--\n\n"
    "The score, the gradient of `log_prob` with respect to ``x``.\n\n"
    "Parameters\n----------\n"
    "x : array_like, shape (n, features)\n" CF_DOC_CONTEXT(
        "n") "return_log_prob : bool, default False\n"
             "    Also return what `log_prob` does, at little cost.\n" CF_DOC_NOISE "\n"
             "Returns\n-------\n"
             "score : ndarray, shape (n, features)\n"
             "    Of the flow's dtype, or of float64 where the units of the data are such that "
             "`sample` is.\n"
             "    Its columns are in the flow's order, not in that of a table given.\n"
             "log_prob : ndarray, shape (n,)\n"
             "    Only if asked for.\n\n" CF_DOC_ERRORS CF_DOC_EXAMPLE
             ">>> flow.grad_log_prob(x).shape\n"
             "(5, 2)\n");

PyDoc_STRVAR(
    vjp_doc,
    "vjp($self, /, x, du=None, dlog_det=None, context=None, direction='inverse', "
    "parameters=True, seed=0, start=0)\n--\n\n"
    "The vector-Jacobian product of a map and its log-determinant.\n\n"
    "With ``u, log_det = inverse(x)``, the gradient of\n"
    "``sum(du * u) + sum(dlog_det * log_det)`` with respect to everything that the map\n"
    "depends on; with direction ``'forward'``, the same of ``x, log_det = forward(u)``, the\n"
    "argument ``x`` being ``u`` and ``du`` the cotangent of ``x``.\n\n"
    "Parameters\n----------\n"
    "x : array_like, shape (n, features)\n"
    "    What the map is applied to.\n"
    "du : array_like, shape (n, features), optional\n"
    "    The cotangent of the map's result; None is 0.\n"
    "dlog_det : array_like, shape (n,), optional\n"
    "    The cotangent of ``log_det``; None is 0. One of the two has to be given.\n" CF_DOC_CONTEXT(
        "n") "direction : {'inverse', 'forward'}\n"
             "parameters : bool, default True\n"
             "    Whether to compute the cotangents of the parameters too.\n" CF_DOC_NOISE "\n"
             "Returns\n-------\n"
             "Cotangents\n"
             "    A named tuple: ``x``, (n, features), which of data is of the dtype of "
             "`grad_log_prob`;\n"
             "    ``context``, in the shape of the context given, or None; ``parameters``, a\n"
             "    dict of name -> array (zeros for frozen ones), or None.\n\n" CF_DOC_ERRORS
                 CF_DOC_EXAMPLE ">>> cotangents = flow.vjp(x, dlog_det=np.ones(5))\n"
             ">>> cotangents.x.shape\n"
             "(5, 2)\n"
             ">>> cotangents.parameters.keys() == flow.parameters.keys()\n"
             "True\n");

#endif
