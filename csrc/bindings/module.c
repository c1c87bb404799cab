#define CF_IMPORTS_NUMPY
#include "bindings/module.h"

#include <string.h>

#include "base/pool.h"
#include "bindings/arguments.h"
#include "bindings/flow.h"
#include "bindings/layer.h"
#include "bindings/model.h"
#include "bindings/number_lines.h"
#include "bindings/operations.h"
#include "bindings/spec.h"
#include "bindings/training.h"
#include "bindings/training_rows.h"
#include "simd/simd.h"

static struct PyModuleDef definition;

cf_module_state *cf_py_state(PyTypeObject *type) {
    /* PyType_GetModuleByDef, which Python 3.10 does not have. */
    PyObject *mro = type->tp_mro;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(mro); i++) {
        PyTypeObject *ancestor = (PyTypeObject *)PyTuple_GET_ITEM(mro, i);
        if (!(ancestor->tp_flags & Py_TPFLAGS_HEAPTYPE))
            continue;
        PyObject *module = ((PyHeapTypeObject *)ancestor)->ht_module;
        if (module != NULL && PyModule_GetDef(module) == &definition)
            return PyModule_GetState(module);
    }
    PyErr_Format(PyExc_TypeError, "%s is not a class of cflows", type->tp_name);
    return NULL;
}

static PyObject *exception_of(const cf_module_state *state, cf_status status) {
    switch (status) {
    case CF_INVALID:
        return PyExc_ValueError;
    case CF_TYPE:
        return PyExc_TypeError;
    case CF_NO_MEMORY:
        return PyExc_MemoryError;
    case CF_NUMERICAL:
        return state->numerical_error;
    case CF_INTERRUPTED:
        return PyExc_KeyboardInterrupt;
    default:
        return PyExc_RuntimeError;
    }
}

PyObject *cf_py_fail(const cf_module_state *state, cf_status status) {
    /* A message may be cut off within a character. */
    const char *message = cf_message();
    PyObject *text = PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace");
    if (text != NULL)
        PyErr_SetObject(exception_of(state, status), text);
    Py_XDECREF(text);
    return NULL;
}

PyTypeObject *cf_py_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base) {
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, (PyObject *)base);
    if (type != NULL && PyModule_AddType(module, type) < 0)
        Py_CLEAR(type);
    return type;
}

/* ---- functions ---- */

static PyObject *set_num_threads(PyObject *module, PyObject *threads) {
    uint64_t count;
    if (!cf_py_count(threads, "the number of threads", INT_MAX, &count))
        return NULL;
    cf_status status = cf_set_num_threads((int)count);
    if (status != CF_OK)
        return cf_py_fail(PyModule_GetState(module), status);
    Py_RETURN_NONE;
}

static PyObject *get_num_threads(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    return PyLong_FromLong(cf_num_threads());
}

static PyObject *simd_level(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    return PyUnicode_FromString(cf_simd_name(cf_simd()));
}

PyDoc_STRVAR(set_num_threads_doc,
             "set_num_threads($module, threads, /)\n--\n\n"
             "Set how many threads a computation may use, the calling one included.\n\n"
             "Results do not depend on it, bit for bit. Without this call the number is that of\n"
             "the environment variable ``CFLOWS_NUM_THREADS``, else that of the processors that\n"
             "the process may run on.\n\n"
             "Parameters\n----------\n"
             "threads : int\n    1 to 256.\n\n"
             "Raises\n------\n"
             "ValueError\n    If the number is out of that range.\n\n"
             "Examples\n--------\n"
             ">>> import cflows as cf\n"
             ">>> before = cf.get_num_threads()\n"
             ">>> cf.set_num_threads(1)\n"
             ">>> cf.get_num_threads()\n"
             "1\n"
             ">>> cf.set_num_threads(before)\n");

PyDoc_STRVAR(get_num_threads_doc, "get_num_threads($module, /)\n--\n\n"
                                  "How many threads a computation may use.\n\n"
                                  "Returns\n-------\n"
                                  "int");

PyDoc_STRVAR(simd_level_doc,
             "simd_level($module, /)\n--\n\n"
             "The instruction set in use: 'base', 'avx2' or 'avx512'.\n\n"
             "It is the best that the machine has, or what the environment variable\n"
             "``CFLOWS_SIMD`` asked for when the package was imported.\n\n"
             "Returns\n-------\n"
             "str");

PyDoc_STRVAR(make_spec_doc,
             "make_spec($module, type, options, /)\n--\n\n"
             "The layer or part of a class given by name, with options given as a dict.\n\n"
             "Parameters\n----------\n"
             "type : str\n"
             "options : dict\n\n"
             "Returns\n-------\n"
             "Spec\n\n"
             "Examples\n--------\n"
             ">>> from cflows import _core\n"
             ">>> _core.make_spec('Permutation', {'indices': (1, 0)})\n"
             "Permutation(indices=(1, 0))\n");

PyDoc_STRVAR(assignment_doc,
             "assignment($module, cost, /)\n--\n\n"
             "The permutation of the least cost, which couples the points of a minibatch.\n\n"
             "Parameters\n----------\n"
             "cost : array_like, shape (n, n)\n\n"
             "Returns\n-------\n"
             "ndarray of int64\n"
             "    By row, the column: ``cost[arange(n), columns].sum()`` is the least.");

PyDoc_STRVAR(
    split_rows_doc,
    "split_rows($module, rows, fraction, seed, /)\n--\n\n"
    "Split row numbers by chance into those to train on and round(fraction * rows) others.\n\n"
    "Parameters\n----------\n"
    "rows : int\n"
    "fraction : float\n"
    "seed : int\n\n"
    "Returns\n-------\n"
    "train, held_out : ndarray of int64");

PyDoc_STRVAR(
    number_lines_doc,
    "number_lines($module, text, start, delimiter, decimal, cells, labels, missing, /)\n--\n\n"
    "Read lines of cells with numbers, each correctly rounded, up to the first that is odd.\n\n"
    "Parameters\n----------\n"
    "text : bytes\n"
    "start : int\n"
    "    The place of the first line.\n"
    "delimiter : str\n"
    "    A character; a blank is any run of blanks.\n"
    "decimal : str\n"
    "    The decimal point.\n"
    "cells : bytes\n"
    "    For each cell of a line 0 if it is ignored, 1 if a number is wanted, 2 if it must be\n"
    "    empty, 3 if it is a label.\n"
    "labels : list of dict\n"
    "    For each cell of labels, from a label in bytes to its number; new ones are added.\n"
    "missing : bytes\n"
    "    The spellings of a missing number, which is NaN, with a null character before and after\n"
    "    each.\n\n"
    "Returns\n-------\n"
    "rows : ndarray of float64\n"
    "stop : int\n"
    "    The place of the first line that is blank, a comment, or in any way not of such cells; "
    "or\n"
    "    the end.");

PyDoc_STRVAR(nn_operations_doc,
             "nn_operations($module, /)\n--\n\n"
             "The operations that are functions of `cflows.nn`, by name.\n\n"
             "Each is a tuple: how many operands, integers and numbers there are, their names in\n"
             "this order with defaults, and what the function does.\n\n"
             "Returns\n-------\n"
             "dict of str -> tuple");

PyDoc_STRVAR(nn_size_doc,
             "nn_size($module, name, sizes, integers, /)\n--\n\n"
             "How many features the value of an operation has.\n\n"
             "It is 0 where operands of these sizes do not fit, and of parameters and\n"
             "networks, whose sizes are declared.\n\n"
             "Parameters\n----------\n"
             "name : str\n"
             "sizes, integers : tuple of int\n\n"
             "Returns\n-------\n"
             "int");

static PyMethodDef functions[] = {
    {"set_num_threads", set_num_threads, METH_O, set_num_threads_doc},
    {"get_num_threads", get_num_threads, METH_NOARGS, get_num_threads_doc},
    {"simd_level", simd_level, METH_NOARGS, simd_level_doc},
    {"nn_operations", cf_py_nn_operations, METH_NOARGS, nn_operations_doc},
    {"nn_size", cf_py_nn_size, METH_VARARGS, nn_size_doc},
    {"number_lines", cf_py_number_lines, METH_VARARGS, number_lines_doc},
    {"assignment", cf_py_assignment, METH_O, assignment_doc},
    {"split_rows", cf_py_split_rows, METH_VARARGS, split_rows_doc},
    {"make_spec", (PyCFunction)(void (*)(void))cf_py_make_spec, METH_FASTCALL, make_spec_doc},
    {0},
};

/* ---- the module ---- */

/* The attribute `name` of another module; a new reference. */
static PyObject *import_name(const char *module, const char *name) {
    PyObject *imported = PyImport_ImportModule(module);
    PyObject *found = imported == NULL ? NULL : PyObject_GetAttrString(imported, name);
    Py_XDECREF(imported);
    return found;
}

static bool add_exception(PyObject *module, cf_module_state *state) {
    state->numerical_error = PyErr_NewExceptionWithDoc(
        "cflows.NumericalError", "A computation overflowed or did not converge.",
        PyExc_ArithmeticError, NULL);
    return state->numerical_error != NULL &&
           PyModule_AddObjectRef(module, "NumericalError", state->numerical_error) == 0;
}

/* Fails if the environment's settings of the core are wrong. */
static bool check_environment(const cf_module_state *state) {
    cf_status status = cf_simd_check();
    if (status == CF_OK)
        status = cf_threads_check();
    if (status != CF_OK)
        cf_py_fail(state, status);
    return status == CF_OK;
}

static int execute(PyObject *module) {
    cf_module_state *state = PyModule_GetState(module);
    if (PyArray_ImportNumPyAPI() < 0)
        return -1;
    state->urandom = import_name("os", "urandom");
    state->new_object = import_name("copyreg", "__newobj__");
    bool done = state->urandom != NULL && state->new_object != NULL &&
                add_exception(module, state) && check_environment(state) &&
                cf_py_add_specs(module) && cf_py_add_layers(module) && cf_py_add_model(module) &&
                cf_py_add_flow(module) && cf_py_add_trainer(module) &&
                cf_py_add_target_trainer(module) && cf_py_add_step_trainer(module);
    return done ? 0 : -1;
}

static int traverse(PyObject *module, visitproc visit, void *arg) {
    cf_module_state *state = PyModule_GetState(module);
    Py_VISIT(state->numerical_error);
    Py_VISIT(state->urandom);
    Py_VISIT(state->new_object);
    Py_VISIT(state->spec);
    Py_VISIT(state->layer);
    Py_VISIT(state->permutation);
    Py_VISIT(state->model);
    Py_VISIT(state->flow);
    Py_VISIT(state->cotangents);
    Py_VISIT(state->spec_types);
    return 0;
}

static int clear(PyObject *module) {
    cf_module_state *state = PyModule_GetState(module);
    Py_CLEAR(state->numerical_error);
    Py_CLEAR(state->urandom);
    Py_CLEAR(state->new_object);
    Py_CLEAR(state->spec);
    Py_CLEAR(state->layer);
    Py_CLEAR(state->permutation);
    Py_CLEAR(state->model);
    Py_CLEAR(state->flow);
    Py_CLEAR(state->cotangents);
    Py_CLEAR(state->spec_types);
    return 0;
}

static void release(void *module) {
    cf_module_state *state = PyModule_GetState(module);
    clear(module);
    cf_arena_free(&state->arena);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
#if PY_VERSION_HEX >= 0x030C0000
    /* NumPy has one interpreter. */
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "cflows._core",
    .m_doc = "The compiled core of cflows.",
    .m_size = sizeof(cf_module_state),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = release,
};

PyMODINIT_FUNC PyInit__core(void); /* for Python, which declares it nowhere */
PyMODINIT_FUNC PyInit__core(void) {
    return PyModuleDef_Init(&definition);
}
