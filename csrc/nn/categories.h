/* The option `categories` of specs: how many each column has, 1 of a column of numbers. */
#ifndef CF_NN_CATEGORIES_H
#define CF_NN_CATEGORIES_H

#include "base/spec.h"

/* Of a column; 1 where the option is none, or the spec NULL. */
size_t cf_categories_of(const cf_spec *spec, size_t column);

/* CF_INVALID if a column has too many or none; *any is whether one has several. */
cf_status cf_categories_check(const cf_spec *spec, bool *any);

#endif
