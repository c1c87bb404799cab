/* Reading the text of functions: instructions of words, separated by semicolons. */
#ifndef CF_NN_WORDS_H
#define CF_NN_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { CF_MAX_NAME = 64 }; /* bytes of a name, with the 0 at its end */

/* A word of the text, up to a space or a semicolon. */
typedef struct {
    const char *start;
    size_t length;
} cf_word;

/* The next word of this instruction; length 0: there is none. */
cf_word cf_next_word(const char **text);

/* Ends an instruction; returns whether nothing was left of it. */
bool cf_end_of_instruction(const char **text);

bool cf_is_word(cf_word w, const char *text);

/* Whether it is a number below `end`. */
bool cf_is_number(cf_word w, size_t end, size_t *out);

/* Reads a number below `end`; a name of letters, digits and underscores for which there is room. */
bool cf_read_size(const char **text, size_t end, size_t *out);
bool cf_read_name(const char **text, char *out, size_t room);

size_t cf_count_instructions(const char *text);

/* CF_INVALID: number `number` of what it is cannot be read. */
cf_status cf_fail_at(const char *what, size_t number);

#endif
