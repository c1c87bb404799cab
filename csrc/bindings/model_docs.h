/* Docstrings of the class Model; included by model.c alone. */
#ifndef CF_BINDINGS_MODEL_DOCS_H
#define CF_BINDINGS_MODEL_DOCS_H

#include "bindings/doc_parts.h"

PyDoc_STRVAR(model_doc, "Model(module, dtype='float32', seed=None)\n--\n\n"
                        "Named parameters and functions of them: the compiled part of flows and of "
                        "`cflows.nn`.\n\n"
                        "Parameters\n----------\n"
                        "module : Module\n"
                        "    Declarations and functions, as `cflows.nn` traces them.\n"
                        "dtype : dtype_like, default 'float32'\n"
                        "seed : int, optional\n"
                        "    Of the starting weights; None draws one.");

PyDoc_STRVAR(call_doc, "_call($self, /, function, inputs, seed=0, start=0, mean=False)\n--\n\n"
                       "All outputs of the function of that name.\n\n"
                       "Parameters\n----------\n"
                       "function : str\n"
                       "inputs : tuple\n" CF_DOC_NOISE CF_DOC_MEAN "\n"
                       "Returns\n-------\n"
                       "tuple of ndarray");

PyDoc_STRVAR(add_function_doc,
             "_add_function($self, text, numbers, /)\n--\n\n"
             "Add the function that the instructions say, which refer to numbers of a vector.\n\n"
             "Parameters\n----------\n"
             "text : str\n"
             "numbers : sequence of float");

PyDoc_STRVAR(
    loss_and_grad_doc,
    "loss_and_grad($self, /, x, context=None, weights=None, seed=0, start=0)\n--\n\n"
    "The mean negative log-likelihood, and its gradient with respect to the parameters.\n\n"
    "``loss = -sum(w * log_prob(x)) / sum(w)``, summed in float64.\n\n"
    "Parameters\n----------\n"
    "x : array_like, shape (n, features)\n"
    "    At least one row.\n" CF_DOC_CONTEXT(
        "n") "weights : array_like, shape (n,), optional\n"
             "    Finite and not negative, not all 0; None is 1 for every row.\n" CF_DOC_NOISE "\n"
             "Returns\n-------\n"
             "loss : float\n"
             "    In nats a row.\n"
             "gradients : dict of str -> ndarray\n"
             "    The caller's own. They are left in `gradients` too, until the next such "
             "call.\n\n" CF_DOC_ERRORS CF_DOC_EXAMPLE
             ">>> loss, gradients = flow.loss_and_grad(x)\n"
             ">>> bool(np.isclose(loss, -flow.log_prob(x).mean()))\n"
             "True\n");

PyDoc_STRVAR(freeze_doc, "freeze($self, pattern, /)\n--\n\n"
                         "Exclude parameters from gradients and fitting.\n\n"
                         "Parameters\n----------\n"
                         "pattern : str\n"
                         "    A parameter's name, in which ``*`` stands for any characters.\n\n"
                         "Returns\n-------\n"
                         "int\n"
                         "    How many parameters' names match.\n\n"
                         "Raises\n------\n"
                         "ValueError\n"
                         "    If none does.\n"
                         "RuntimeError\n"
                         "    While another thread computes with the flow.\n\n" CF_DOC_EXAMPLE
                         ">>> flow.freeze('layers.0.*')\n"
                         "4\n"
                         ">>> flow.frozen[0]\n"
                         "'layers.0.conditioner.linear0.weight'\n");

PyDoc_STRVAR(unfreeze_doc,
             "unfreeze($self, pattern, /)\n--\n\n"
             "Include parameters in gradients and fitting again: the opposite of `freeze`.\n\n"
             "Parameters\n----------\n"
             "pattern : str\n"
             "    A parameter's name, in which ``*`` stands for any characters.\n\n"
             "Returns\n-------\n"
             "int\n"
             "    How many parameters' names match.\n\n"
             "Raises\n------\n"
             "ValueError\n"
             "    If none does.\n"
             "RuntimeError\n"
             "    While another thread computes with the flow.\n");

PyDoc_STRVAR(astype_doc,
             "astype($self, dtype, /)\n--\n\n"
             "A copy of the flow that computes in another dtype.\n\n"
             "Parameters\n----------\n"
             "dtype : dtype_like\n"
             "    float32 or float64.\n\n"
             "Returns\n-------\n"
             "Model\n"
             "    Of the same class, with its own parameters, rounded to the dtype.\n\n"
             "Raises\n------\n"
             "ValueError\n"
             "    If the dtype is another.\n"
             "TypeError\n"
             "    If it is none that NumPy knows.\n"
             "RuntimeError\n"
             "    If an epoch of `fit` is under way in another thread.\n\n" CF_DOC_EXAMPLE
             ">>> flow.astype('float64').log_prob(x).dtype\n"
             "dtype('float64')\n");

PyDoc_STRVAR(parameters_doc,
             "mapping of str -> ndarray: the parameters by name, read-only.\n\n"
             "The arrays are writable views on the memory that the flow computes with, so that\n"
             "``flow.parameters[name][...] = values`` sets a parameter.");

PyDoc_STRVAR(
    gradients_doc,
    "mapping of str -> ndarray: the gradients that `loss_and_grad` or the last step of a fit\n"
    "left, in the layout of `parameters`.");

PyDoc_STRVAR(buffers_doc,
             "mapping of str -> ndarray of float64: what is kept with the flow and not learned by\n"
             "gradients, such as the scales of a fixed `Affine`; the arrays are writable.");

#endif
