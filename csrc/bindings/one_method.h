/* Objects whose methods run without the GIL, one at a time, until they are closed. */
#ifndef CF_BINDINGS_ONE_METHOD_H
#define CF_BINDINGS_ONE_METHOD_H

#include "bindings/module.h"

#include <stdatomic.h>

/* Begins a method of a trainer, which is closed if it is NULL; false with an exception set. */
bool cf_py_enter_method(atomic_bool *busy, const void *trainer);

/* Begins closing it; it may be closed already. */
bool cf_py_enter_close(atomic_bool *busy);

void cf_py_leave_method(atomic_bool *busy);

#endif
