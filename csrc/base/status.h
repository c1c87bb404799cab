/* Status codes and the message that goes with them.
 *
 * Every function of the core that can fail returns a cf_status and leaves a message for the calling
 * thread: what was wrong, what was expected, what was got. A failed call changes nothing.
 */
#ifndef CF_BASE_STATUS_H
#define CF_BASE_STATUS_H

typedef enum {
    CF_OK = 0,
    CF_INVALID,     /* an argument is wrong: ValueError */
    CF_TYPE,        /* an argument is of the wrong kind: TypeError */
    CF_NO_MEMORY,   /* an allocation failed: MemoryError */
    CF_NUMERICAL,   /* the computation overflowed or did not converge: cflows.NumericalError */
    CF_BUSY,        /* the flow is being fitted: RuntimeError */
    CF_INTERRUPTED, /* a callback asked to stop */
} cf_status;

#if defined(__GNUC__)
#define CF_PRINTF(position, first) __attribute__((format(printf, position, first)))
#else
#define CF_PRINTF(position, first)
#endif

/* Records `code` with a formatted message for this thread and returns `code`. */
cf_status cf_fail(cf_status code, const char *format, ...) CF_PRINTF(2, 3);

/* The message of this thread's last failure; "" if none. Valid until the thread's next failure. */
const char *cf_message(void);

/* Returns from the calling function if `call` fails. For functions that own nothing yet. */
#define CF_TRY(call)                                                                               \
    do {                                                                                           \
        cf_status cf_try_status_ = (call);                                                         \
        if (cf_try_status_ != CF_OK)                                                               \
            return cf_try_status_;                                                                 \
    } while (0)

#endif
