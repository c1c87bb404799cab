/* How functions of the core fail; cflows.h has the codes.
 *
 * Every function of the core that can fail returns a cf_status and leaves a message for the calling
 * thread: what was wrong, what was expected, what was got. A failed call changes nothing.
 */
#ifndef CF_BASE_STATUS_H
#define CF_BASE_STATUS_H

#include "cflows.h"

#if defined(__GNUC__)
#define CF_PRINTF(position, first) __attribute__((format(printf, position, first)))
#else
#define CF_PRINTF(position, first)
#endif

/* Records `code` with a formatted message for this thread and returns `code`. */
cf_status cf_fail(cf_status code, const char *format, ...) CF_PRINTF(2, 3);

/* Returns from the calling function if `call` fails. For functions that own nothing yet. */
#define CF_TRY(call)                                                                               \
    do {                                                                                           \
        cf_status cf_try_status_ = (call);                                                         \
        if (cf_try_status_ != CF_OK)                                                               \
            return cf_try_status_;                                                                 \
    } while (0)

#endif
