#include "bindings/arrays.h"

#include "bindings/arguments.h"

static bool element_of(int kind, npy_intp size, cf_element *out) {
    static const struct {
        char kind;
        unsigned char size;
        cf_element element;
    } known[] = {
        {'f', 4, CF_FLOAT}, {'f', 8, CF_DOUBLE}, {'f', 2, CF_HALF},   {'b', 1, CF_BOOL},
        {'i', 1, CF_INT8},  {'i', 2, CF_INT16},  {'i', 4, CF_INT32},  {'i', 8, CF_INT64},
        {'u', 1, CF_UINT8}, {'u', 2, CF_UINT16}, {'u', 4, CF_UINT32}, {'u', 8, CF_UINT64},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].kind == kind && known[i].size == size) {
            *out = known[i].element;
            return true;
        }
    *out = CF_LONG_DOUBLE;
    return kind == 'f' && size == sizeof(long double);
}

static bool is_plain(PyObject *object, cf_element *element) {
    PyArrayObject *array = (PyArrayObject *)object;
    return PyArray_CheckExact(object) &&
           element_of(PyArray_DESCR(array)->kind, PyArray_ITEMSIZE(array), element);
}

PyArrayObject *cf_py_real_array(PyObject *object, const char *name) {
    return (PyArrayObject *)cf_py_call("cflows.arrays", "real_array", "sO", name, object);
}

/* Holds the array that `object` is, or that the package makes of it; the caller sets its strides.
 */
static bool hold(PyObject *object, const char *name, cf_py_rows *out) {
    cf_element element;
    *out = (cf_py_rows){0};
    PyArrayObject *array = is_plain(object, &element) ? (PyArrayObject *)Py_NewRef(object)
                                                      : cf_py_real_array(object, name);
    *out = (cf_py_rows){.array = array};
    if (array == NULL)
        return false;
    const PyArray_Descr *descr = PyArray_DESCR(array);
    if (!element_of(descr->kind, PyArray_ITEMSIZE(array), &out->view.element)) {
        PyErr_Format(PyExc_TypeError, "%s must be real numbers, got dtype %S", name, descr);
        cf_py_release(out);
        return false;
    }
    out->view.data = PyArray_DATA(array);
    out->view.swapped = PyArray_ISBYTESWAPPED(array);
    return true;
}

/* Says which shape was wanted and which came; `hint` may be "". */
static bool refuse_shape(cf_py_rows *rows, const char *name, const char *wanted, const char *hint) {
    PyObject *shape = PyObject_GetAttrString((PyObject *)rows->array, "shape");
    if (shape != NULL)
        PyErr_Format(PyExc_ValueError, "%s must have shape %s, got %R%s", name, wanted, shape,
                     hint);
    Py_XDECREF(shape);
    cf_py_release(rows);
    return false;
}

int cf_py_dims(cf_shape shape, npy_intp *dims) {
    dims[0] = (npy_intp)shape.channels;
    dims[1] = (npy_intp)shape.height;
    dims[2] = (npy_intp)shape.width;
    return shape.image ? 3 : 1;
}

PyObject *cf_py_shape_tuple(cf_shape shape) {
    npy_intp dims[CF_PY_MAX_DIMS];
    return PyArray_IntTupleFromIntp(cf_py_dims(shape, dims), dims);
}

bool cf_py_shape(PyObject *object, const char *name, cf_shape *out) {
    uint64_t sizes[CF_PY_MAX_DIMS];
    PyObject *tuple = PySequence_Check(object) ? PySequence_Tuple(object) : NULL;
    Py_ssize_t dims = tuple == NULL ? 0 : PyTuple_GET_SIZE(tuple);
    if (dims != 1 && dims != 3) {
        PyErr_Clear();
        PyErr_Format(PyExc_TypeError, "%s must be (features,) or (channels, height, width), got %R",
                     name, object);
        Py_XDECREF(tuple);
        return false;
    }
    bool read = true;
    for (Py_ssize_t i = 0; i < dims && read; i++)
        read = cf_py_count(PyTuple_GET_ITEM(tuple, i), name, NPY_MAX_INTP, &sizes[i]);
    Py_DECREF(tuple);
    if (read && dims == 1)
        *out = cf_vector((size_t)sizes[0]);
    else if (read)
        *out = (cf_shape){(size_t)sizes[0], (size_t)sizes[1], (size_t)sizes[2], true};
    return read;
}

/* Rows are the first dimension, features the second. */
static void set_strides(cf_py_rows *rows) {
    const npy_intp *strides = PyArray_STRIDES(rows->array);
    rows->rows = (size_t)PyArray_DIM(rows->array, 0);
    rows->view.row_stride = strides[0];
    rows->view.feature_stride = PyArray_NDIM(rows->array) > 1 ? strides[1] : 0;
}

static void set_image_strides(cf_py_rows *rows) {
    const npy_intp *strides = PyArray_STRIDES(rows->array), *dims = PyArray_DIMS(rows->array);
    rows->rows = (size_t)dims[0];
    rows->view.row_stride = strides[0];
    rows->view.feature_stride = strides[3];
    if (strides[2] == dims[3] * strides[3] && strides[1] == dims[2] * strides[2])
        return; /* equally spaced */
    rows->view.line = (size_t)dims[3];
    rows->view.lines = (size_t)dims[2];
    rows->view.line_stride = strides[2];
    rows->view.channel_stride = strides[1];
}

/* Says what the shape should be, and what the user may have meant. */
static bool refuse_rows(cf_py_rows *rows, const char *name, cf_shape shape) {
    PyObject *got = PyObject_GetAttrString((PyObject *)rows->array, "shape");
    if (got != NULL)
        Py_XDECREF(cf_py_call("cflows.arrays", "refuse_shape", "sNN", name, got,
                              cf_py_shape_tuple(shape)));
    cf_py_release(rows);
    return false;
}

bool cf_py_read_rows(PyObject *object, const char *name, cf_shape shape, cf_py_rows *out) {
    npy_intp wanted[CF_PY_MAX_DIMS];
    int dims = cf_py_dims(shape, wanted);
    if (!hold(object, name, out))
        return false;
    if (PyArray_NDIM(out->array) != dims + 1 ||
        !PyArray_CompareLists(PyArray_DIMS(out->array) + 1, wanted, dims))
        return refuse_rows(out, name, shape);
    if (shape.image)
        set_image_strides(out);
    else
        set_strides(out);
    return true;
}

bool cf_py_read_vector(PyObject *object, const char *name, cf_py_rows *out) {
    if (!hold(object, name, out))
        return false;
    if (PyArray_NDIM(out->array) != 1)
        return refuse_shape(out, name, "(n,)", "");
    set_strides(out);
    return true;
}

/* A context of shape (features,) as one row. */
static void set_single_row(cf_py_rows *rows) {
    rows->rows = 1;
    rows->view.row_stride = 0;
    rows->view.feature_stride = PyArray_STRIDE(rows->array, 0);
}

bool cf_py_read_context(PyObject *object, size_t features, cf_py_rows *out) {
    *out = (cf_py_rows){0};
    if (object == NULL && features == 0)
        return true;
    if (object == NULL) {
        PyErr_Format(PyExc_ValueError,
                     "the flow needs context of shape (n, %zu) or (%zu,), got None", features,
                     features);
        return false;
    }
    if (features == 0) {
        PyErr_SetString(PyExc_ValueError,
                        "context must be None: the flow has no context features, got a context");
        return false;
    }
    if (!hold(object, "context", out))
        return false;
    int dims = PyArray_NDIM(out->array);
    bool fits = dims >= 1 && dims <= 2 && (size_t)PyArray_DIM(out->array, dims - 1) == features;
    if (!fits) {
        char wanted[96];
        const npy_intp *sizes = PyArray_DIMS(out->array);
        const char *hint = "";
        if (dims == 1 && features == 1)
            hint = "; contexts of one feature are context.reshape(-1, 1)";
        else if (dims == 2 && (size_t)sizes[0] == features)
            hint = "; features are columns: write context.T";
        PyOS_snprintf(wanted, sizeof wanted, "(n, %zu) or (%zu,)", features, features);
        return refuse_shape(out, "context", wanted, hint);
    }
    if (dims == 1)
        set_single_row(out);
    else
        set_strides(out);
    return true;
}

bool cf_py_spread_context(cf_py_rows *context, size_t rows) {
    if (context->array == NULL || context->rows == rows)
        return true;
    if (context->rows != 1) {
        PyErr_Format(PyExc_ValueError, "context must have %zu rows, as the samples, or 1, got %zu",
                     rows, context->rows);
        return false;
    }
    context->view.row_stride = 0;
    return true;
}

bool cf_py_check_rows(const cf_py_rows *array, const char *name, size_t rows) {
    if (array->array == NULL || array->rows == rows)
        return true;
    PyErr_Format(PyExc_ValueError, "%s must have %zu rows, as the samples, got %zu", name, rows,
                 array->rows);
    return false;
}

void cf_py_release(cf_py_rows *rows) {
    if (rows->array == NULL)
        return;
    Py_DECREF(rows->array);
    *rows = (cf_py_rows){0};
}
