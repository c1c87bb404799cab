#include "nn/words.h"

#include <string.h>

cf_word cf_next_word(const char **text) {
    while (**text == ' ')
        (*text)++;
    cf_word w = {*text, strcspn(*text, " ;")};
    *text += w.length;
    return w;
}

bool cf_end_of_instruction(const char **text) {
    bool done = cf_next_word(text).length == 0;
    if (**text == ';')
        (*text)++;
    return done;
}

bool cf_is_word(cf_word w, const char *text) {
    return w.length == strlen(text) && memcmp(w.start, text, w.length) == 0;
}

bool cf_is_number(cf_word w, size_t end, size_t *out) {
    *out = 0;
    for (size_t i = 0; i < w.length; i++) {
        if (w.start[i] < '0' || w.start[i] > '9' || *out >= end)
            return false;
        *out = 10 * *out + (size_t)(w.start[i] - '0');
    }
    return w.length > 0 && *out < end;
}

bool cf_read_size(const char **text, size_t end, size_t *out) {
    return cf_is_number(cf_next_word(text), end, out);
}

size_t cf_count_instructions(const char *text) {
    size_t count = 1;
    for (; *text != '\0'; text++)
        count += *text == ';';
    return count;
}

cf_status cf_fail_at(const char *what, size_t number) {
    return cf_fail(CF_INVALID, "Expression: %s number %zu cannot be read", what, number);
}

bool cf_read_name(const char **text, char *out, size_t room) {
    cf_word w = cf_next_word(text);
    for (size_t i = 0; i < w.length; i++) {
        char c = w.start[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    if (w.length == 0 || w.length >= room)
        return false;
    memcpy(out, w.start, w.length);
    out[w.length] = '\0';
    return true;
}
