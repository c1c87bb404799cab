#include "bindings/number_lines.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/decimal.h"

/* What is asked of a cell of a line. */
enum { IGNORED, NUMBER, EMPTY, LABEL };

typedef struct {
    char delimiter; /* ' ' is any run of blanks */
    char decimal;
    const char *cells; /* what is asked of each */
    Py_ssize_t cell_count;
    PyObject *labels;    /* list of a dict by cell of labels: text to its number, which grows */
    const char *missing; /* spellings of no number, a null character before and after each */
    Py_ssize_t missing_length;
    const char *end; /* of the text */
} form;

static bool is_digit(char c) {
    return (unsigned char)(c - '0') < 10;
}

static bool is_blank(const form *f, char c) {
    return c == ' ' || c == '\r' || (c == '\t' && f->delimiter != '\t');
}

/* Texts end with a null character, so that there is always one more to look at. */
static bool ends_cell(const form *f, char c) {
    return c == f->delimiter || c == '\n' || c == '\0' || (f->delimiter == ' ' && is_blank(f, c));
}

static const char *skip_blanks(const form *f, const char *p) {
    while (is_blank(f, *p))
        p++;
    return p;
}

/* Python's conversion, which knows all numbers, of the text from `p` to `end`. */
static bool convert_slowly(const form *f, const char *p, const char *end, double *out) {
    char text[512];
    size_t length = (size_t)(end - p);
    if (length >= sizeof text)
        return false;
    memcpy(text, p, length);
    text[length] = '\0';
    char *mark = memchr(text, f->decimal, length);
    if (mark != NULL)
        *mark = '.';
    *out = PyOS_string_to_double(text, NULL, NULL);
    PyErr_Clear();
    return true;
}

/* The digits from `p` on, behind those read before, and their number but for zeros that lead. More
 * than 19 do not fit: their value is not used. */
static const char *read_digits(const char *p, uint64_t *digits, int64_t *count) {
    uint64_t value = *digits;
    while (value == 0 && *p == '0')
        p++;
    const char *first = p;
    for (; is_digit(*p); p++)
        value = value * 10 + (uint64_t)(*p - '0');
    *digits = value;
    *count += p - first;
    return p;
}

/* The exponent behind an e; NULL if there is none. */
static const char *read_exponent(const char *p, int *exponent) {
    bool negative = *p == '-';
    int value = 0;
    p += *p == '-' || *p == '+';
    if (!is_digit(*p))
        return NULL;
    for (; is_digit(*p); p++)
        value = value < 100000 ? value * 10 + (*p - '0') : value;
    *exponent += negative ? -value : value;
    return p;
}

/* A finite number in decimal notation at `start`; the place behind it, or NULL. */
static const char *read_number(const form *f, const char *start, double *out) {
    const char *p = start, *fraction = start;
    uint64_t digits = 0;
    int64_t count = 0;
    int exponent = 0;
    p += *p == '-' || *p == '+';
    const char *whole = p;
    p = read_digits(p, &digits, &count);
    bool any = p > whole;
    if (*p == f->decimal) {
        fraction = ++p;
        p = read_digits(p, &digits, &count);
        exponent = p - fraction < 10000 ? -(int)(p - fraction) : -10000;
        any = any || p > fraction;
    }
    if (any && (*p == 'e' || *p == 'E'))
        p = read_exponent(p + 1, &exponent);
    if (!any || p == NULL)
        return NULL;
    if (count > 19 || !cf_decimal(digits, digits == 0 ? 0 : exponent, out))
        return convert_slowly(f, start, p, out) ? p : NULL;
    if (*start == '-')
        *out = -*out;
    return p;
}

/* The end of a cell's text, which a quote ends or, where `quote` is null, what ends a cell; and how
 * long the text is without blanks behind it. */
static const char *find_end(const form *f, const char *start, char quote, size_t *length) {
    const char *p = start, *last = start;
    for (; quote != '\0' ? *p != quote && *p != '\n' && *p != '\0' : !ends_cell(f, *p); p++)
        if (!is_blank(f, *p))
            last = p + 1;
    *length = (size_t)(last - start);
    return p;
}

static bool is_missing(const form *f, const char *text, size_t length) {
    const char *found = f->missing, *stop = f->missing + f->missing_length;
    while (found < stop) {
        size_t own = strlen(found + 1);
        if (found + 1 < stop && own == length && memcmp(found + 1, text, length) == 0)
            return true;
        found += own + 1;
    }
    return false;
}

/* One of the spellings of no number; the place behind it, or NULL. */
static const char *read_missing(const form *f, const char *start, char quote) {
    size_t length;
    const char *end = find_end(f, start, quote, &length);
    return is_missing(f, start, length) ? end : NULL;
}

/* The number of a label, a new one if the label is. */
static bool find_label(PyObject *numbers, const char *text, size_t length, double *out) {
    PyObject *label = PyBytes_FromStringAndSize(text, (Py_ssize_t)length);
    PyObject *number = label == NULL ? NULL : PyDict_GetItemWithError(numbers, label);
    if (number == NULL && label != NULL && !PyErr_Occurred()) {
        PyObject *next = PyLong_FromSsize_t(PyDict_GET_SIZE(numbers));
        if (next != NULL && PyDict_SetItem(numbers, label, next) == 0)
            number = PyDict_GetItemWithError(numbers, label);
        Py_XDECREF(next);
    }
    Py_XDECREF(label);
    if (number != NULL)
        *out = PyLong_AsDouble(number);
    return number != NULL && !PyErr_Occurred();
}

/* A label's number, NaN where it is missing; the place behind it, or NULL, also with an error. */
static const char *read_label(const form *f, const char *p, PyObject *numbers, double *out) {
    size_t length;
    bool quoted = *p == '"';
    p = quoted ? skip_blanks(f, p + 1) : p;
    const char *end = find_end(f, p, quoted ? '"' : '\0', &length);
    if (quoted && (*end != '"' || end[1] == '"')) /* it has a quote in it, or another line */
        return NULL;
    *out = Py_NAN;
    if (!is_missing(f, p, length) && !find_label(numbers, p, length, out))
        return NULL;
    return quoted ? end + 1 : end;
}

/* True or False; the place behind it, or NULL. */
static const char *read_truth(const char *p, double *out) {
    static const char *const words[] = {"False", "True", "FALSE", "TRUE", "false", "true"};
    for (int i = 0; i < 6; i++)
        if (strncmp(p, words[i], strlen(words[i])) == 0) {
            *out = i % 2;
            return p + strlen(words[i]);
        }
    return NULL;
}

static const char *read_cell(const form *f, const char *p, double *out) {
    bool quoted = *p == '"';
    p = quoted ? skip_blanks(f, p + 1) : p;
    const char *end = read_number(f, p, out);
    end = end == NULL ? read_truth(p, out) : end;
    if (end == NULL) {
        *out = Py_NAN;
        end = read_missing(f, p, quoted ? '"' : '\0');
    }
    if (end == NULL || !quoted)
        return end;
    end = skip_blanks(f, end);
    return *end == '"' ? end + 1 : NULL;
}

static const char *skip_cell(const form *f, const char *p) {
    if (*p != '"') {
        while (!ends_cell(f, *p))
            p++;
        return p;
    }
    do {
        for (p++; *p != '"'; p++)
            if (*p == '\n' || *p == '\0')
                return NULL;
        p++;
    } while (*p == '"');
    return p;
}

/* A line of the text into `out`; the place behind it, or NULL if there is anything odd or an
 * error. */
static const char *read_line(const form *f, const char *p, double *out) {
    Py_ssize_t label = 0;
    p = skip_blanks(f, p);
    if (strchr("\n#%/", *p) != NULL) /* or the null character: blank lines and comments */
        return NULL;
    for (Py_ssize_t i = 0; i < f->cell_count; i++) {
        p = skip_blanks(f, p);
        const char *start = p;
        if (f->cells[i] == IGNORED)
            p = skip_cell(f, p);
        else if (f->cells[i] == NUMBER)
            p = read_cell(f, p, out++);
        else if (f->cells[i] == LABEL)
            p = read_label(f, p, PyList_GET_ITEM(f->labels, label++), out++);
        if (p == NULL || (f->delimiter == ' ' && (p == start || !ends_cell(f, *p))))
            return NULL;
        p = skip_blanks(f, p);
        if (i + 1 < f->cell_count && f->delimiter != ' ' && *p++ != f->delimiter)
            return NULL;
    }
    return *p == '\n' ? p + 1 : p == f->end ? p : NULL;
}

/* Rows of numbers, in memory that doubles. */
typedef struct {
    double *numbers;
    Py_ssize_t rows, room, width;
} table;

static bool has_room(table *t) {
    if (t->rows < t->room)
        return true;
    Py_ssize_t room = t->room == 0 ? 64 : 2 * t->room;
    size_t row = sizeof(double) * (size_t)(t->width > 0 ? t->width : 1);
    double *numbers = (size_t)room > (size_t)PY_SSIZE_T_MAX / row
                          ? NULL
                          : PyMem_Realloc(t->numbers, (size_t)room * row);
    if (numbers == NULL)
        return false;
    t->numbers = numbers;
    t->room = room;
    return true;
}

static PyObject *new_rows(const table *t) {
    npy_intp shape[] = {t->rows, t->width};
    PyObject *array = PyArray_SimpleNew(2, shape, NPY_DOUBLE);
    size_t bytes = sizeof(double) * (size_t)t->rows * (size_t)t->width;
    if (array != NULL && bytes > 0)
        memcpy(PyArray_DATA((PyArrayObject *)array), t->numbers, bytes);
    return array;
}

/* The numbers of a row; false, with ValueError, unless there is a dict for each cell of labels. */
static bool count_cells(const form *f, Py_ssize_t *width) {
    Py_ssize_t labels = 0;
    for (Py_ssize_t i = 0; i < f->cell_count; i++) {
        labels += f->cells[i] == LABEL;
        *width += f->cells[i] == NUMBER || f->cells[i] == LABEL;
    }
    bool fits = PyList_GET_SIZE(f->labels) == labels;
    for (Py_ssize_t i = 0; fits && i < labels; i++)
        fits = PyDict_CheckExact(PyList_GET_ITEM(f->labels, i));
    if (!fits)
        PyErr_SetString(PyExc_ValueError, "number_lines: expected a dict for each cell of labels");
    return fits;
}

PyObject *cf_py_number_lines(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *text;
    Py_ssize_t start;
    int delimiter, decimal;
    form f;
    table t = {0};
    if (!PyArg_ParseTuple(args, "SnCCy#O!y#:number_lines", &text, &start, &delimiter, &decimal,
                          &f.cells, &f.cell_count, &PyList_Type, &f.labels, &f.missing,
                          &f.missing_length))
        return NULL;
    Py_ssize_t length = PyBytes_GET_SIZE(text);
    if (start < 0 || start > length || delimiter > 127 || decimal > 127) {
        PyErr_SetString(PyExc_ValueError, "number_lines: no such start, delimiter or decimal");
        return NULL;
    }
    f.delimiter = (char)delimiter;
    f.decimal = (char)decimal;
    if (!count_cells(&f, &t.width))
        return NULL;
    const char *p = PyBytes_AS_STRING(text) + start;
    f.end = PyBytes_AS_STRING(text) + length;
    while (p < f.end && has_room(&t)) {
        const char *next = read_line(&f, p, t.numbers + t.rows * t.width);
        if (next == NULL)
            break;
        p = next;
        t.rows++;
    }
    bool full = p < f.end && t.rows == t.room;
    PyObject *rows = PyErr_Occurred() ? NULL : full ? PyErr_NoMemory() : new_rows(&t);
    PyMem_Free(t.numbers);
    return rows == NULL ? NULL : Py_BuildValue("Nn", rows, p - PyBytes_AS_STRING(text));
}
