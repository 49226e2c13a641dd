/* Encoded values as JSON text, and back. No Lua and no recursion here: open tables are in arrays. */
#include "wire.h"
#include <stdio.h>
#include <stdlib.h>

/* An entry of an open object. Offsets, since the buffers move; `text` is set while entries are sorted. */
typedef struct entry {
    size_t start, value, end; /* in the output: of the entry, of its value (reading), its end */
    size_t key;               /* offset of the key's text */
    const uint8_t *text;
    uint32_t length;          /* of the key's text */
    uint8_t kind;             /* writing: what the key was */
    uint8_t in_texts;         /* writing: `key` is an offset in `texts`, not in the value */
} entry;

typedef struct entries {
    entry *all;
    size_t count, capacity;
} entries;

static entry *new_entry(entries *list) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 32;
        entry *all = realloc(list->all, capacity * sizeof *all);
        if (!all) return NULL;
        list->all = all;
        list->capacity = capacity;
    }
    entry *made = &list->all[list->count++];
    memset(made, 0, sizeof *made);
    return made;
}

static int compare_texts(const entry *a, const entry *b) {
    int order = memcmp(a->text, b->text, a->length < b->length ? a->length : b->length);
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

/* By text; of equal ones the earlier first. */
static int compare_entries(const void *left, const void *right) {
    const entry *a = left, *b = right;
    int order = compare_texts(a, b);
    return order ? order : (a->start > b->start) - (a->start < b->start);
}

/* Strings */

/* Writes the escape of a character that may not stand for itself; returns its length in `escape`, or 0.
 * U+2028 and U+2029 end lines in JavaScript. */
static int escape_of(const uint8_t *at, unsigned size, char escape[8]) {
    static const char *const short_forms = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (const char *form = short_forms; size == 1 && *form; form += 2)
        if ((char)*at == form[0]) return snprintf(escape, 8, "\\%c", form[1]);
    if (size == 1 && *at < 0x20) return snprintf(escape, 8, "\\u%04x", *at);
    if (size == 3 && memcmp(at, "\xe2\x80", 2) == 0 && (at[2] & 0xfe) == 0xa8)
        return snprintf(escape, 8, "\\u20%02x", at[2] - 0x80);
    return 0;
}

int handout_json_string(const char *text, size_t length, handout_buffer *out) {
    const uint8_t *at = (const uint8_t *)text, *end = at + length, *plain = at;
    int failed = handout_buffer_append(out, "\"", 1);
    while (at < end && !failed) {
        char escape[8];
        unsigned size = handout_utf8(at, end);
        int escaped = size ? escape_of(at, size, escape) : (memcpy(escape, "\xef\xbf\xbd", 3), 3);
        at += size ? size : 1;
        if (!escaped) continue;
        failed |= handout_buffer_append(out, plain, (size_t)(at - plain) - (size ? size : 1));
        failed |= handout_buffer_append(out, escape, (size_t)escaped);
        plain = at;
    }
    failed |= handout_buffer_append(out, plain, (size_t)(at - plain));
    return failed | handout_buffer_append(out, "\"", 1) ? -1 : 0;
}

static int is_utf8(const uint8_t *at, size_t length) {
    const uint8_t *end = at + length;
    while (at < end) {
        unsigned size = handout_utf8(at, end);
        if (!size) return 0;
        at += size;
    }
    return 1;
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int write_base64(const uint8_t *bytes, size_t length, handout_buffer *out) {
    for (size_t i = 0; i < length; i += 3) {
        uint8_t *to = handout_buffer_reserve(out, 4);
        size_t left = length - i;
        if (!to) return -1;
        uint32_t bits = (uint32_t)bytes[i] << 16;
        if (left > 1) bits |= (uint32_t)bytes[i + 1] << 8;
        if (left > 2) bits |= bytes[i + 2];
        to[0] = (uint8_t)base64_digits[bits >> 18];
        to[1] = (uint8_t)base64_digits[bits >> 12 & 63];
        to[2] = left > 1 ? (uint8_t)base64_digits[bits >> 6 & 63] : '=';
        to[3] = left > 2 ? (uint8_t)base64_digits[bits & 63] : '=';
        out->length += 4;
    }
    return 0;
}

/* Writing */

typedef struct write_level {
    uint32_t left, index;
    size_t first;  /* of its entries */
    size_t texts;  /* where its key texts start */
    int is_map, unordered;
} write_level;

typedef struct writer {
    const uint8_t *bytes, *end;
    int indent, depth, failed; /* -1: memory or limit; -2: `error` says */
    handout_buffer *out;
    handout_buffer texts;   /* keys that are not in the value as they are written */
    handout_buffer scratch; /* for putting entries in order */
    entries entries;
    char *error;
    size_t size;
    write_level levels[HANDOUT_WIRE_DEPTH];
} writer;

static void put(writer *w, const void *text, size_t length) {
    if (!w->failed) w->failed = handout_buffer_append(w->out, text, length);
}

static void put_text(writer *w, const char *text) { put(w, text, strlen(text)); }

static void put_line(writer *w, int depth) {
    static const char spaces[] = "                                ";
    if (!w->indent) return;
    put(w, "\n", 1);
    for (size_t left = (size_t)w->indent * (size_t)depth; left > 0 && !w->failed;) {
        size_t some = left < sizeof spaces - 1 ? left : sizeof spaces - 1;
        put(w, spaces, some);
        left -= some;
    }
}

static void malformed(writer *w, const uint8_t *at) {
    if (w->failed) return;
    snprintf(w->error, w->size, "malformed value at byte %lld", (long long)(at - w->bytes + 1));
    w->failed = -2;
}

/* The text of a number that has one in JSON; NULL of nan and the infinities, then `name` is theirs. */
static const char *number_text(const handout_item *item, char text[40], const char **name) {
    if (item->kind == HANDOUT_KIND_INTEGER) {
        snprintf(text, 40, "%lld", (long long)item->as.integer);
        return text;
    }
    double number = item->as.number;
    *name = number != number ? "nan" : number > 0 ? "inf" : "-inf";
    if (number - number != 0) return NULL;
    handout_float_text(number, text);
    return text;
}

static void put_string(writer *w, const handout_item *item) {
    if (is_utf8(item->as.text, item->count)) {
        if (!w->failed) w->failed = handout_json_string((const char *)item->as.text, item->count, w->out);
        return;
    }
    put_text(w, w->indent ? "{\"$bytes\": \"" : "{\"$bytes\":\"");
    if (!w->failed) w->failed = write_base64(item->as.text, item->count, w->out);
    put_text(w, "\"}");
}

static void put_scalar(writer *w, const handout_item *item) {
    char text[40];
    const char *name = NULL;
    switch (item->kind) {
    case HANDOUT_KIND_NIL: put_text(w, "null"); break;
    case HANDOUT_KIND_FALSE: put_text(w, "false"); break;
    case HANDOUT_KIND_TRUE: put_text(w, "true"); break;
    case HANDOUT_KIND_STRING: put_string(w, item); break;
    default:
        if (number_text(item, text, &name)) {
            put_text(w, text);
            break;
        }
        put_text(w, w->indent ? "{\"$float\": \"" : "{\"$float\":\"");
        put_text(w, name);
        put_text(w, "\"}");
        break;
    }
}

static const uint8_t *key_text(const writer *w, const entry *e) {
    return (e->in_texts ? w->texts.data : w->bytes) + e->key;
}

/* Keeps the text of a key that is not a string of the value as it stands. */
static void keep_text(writer *w, entry *e, const void *text, size_t length) {
    e->in_texts = 1;
    e->key = w->texts.length;
    e->length = (uint32_t)length;
    if (!w->failed) w->failed = handout_buffer_append(&w->texts, text, length);
}

/* What a string that is not UTF-8 is as a key: the same as in a literal, without escapes. */
static void keep_repaired(writer *w, entry *e, const handout_item *item) {
    const uint8_t *at = item->as.text, *end = at + item->count;
    keep_text(w, e, NULL, 0);
    while (at < end && !w->failed) {
        unsigned size = handout_utf8(at, end);
        w->failed = size ? handout_buffer_append(&w->texts, at, size)
                         : handout_buffer_append(&w->texts, "\xef\xbf\xbd", 3);
        at += size ? size : 1;
    }
    if (!w->failed) e->length = (uint32_t)(w->texts.length - e->key);
}

static void take_key(writer *w, entry *e, const handout_item *item) {
    char text[40];
    const char *name = NULL;
    e->kind = (uint8_t)item->kind;
    if (item->kind == HANDOUT_KIND_TRUE || item->kind == HANDOUT_KIND_FALSE) {
        name = item->kind == HANDOUT_KIND_TRUE ? "true" : "false";
        keep_text(w, e, name, strlen(name));
    } else if (item->kind != HANDOUT_KIND_STRING) {
        if (number_text(item, text, &name)) name = text;
        keep_text(w, e, name, strlen(name));
    } else if (is_utf8(item->as.text, item->count)) {
        e->key = (size_t)(item->as.text - w->bytes);
        e->length = item->count;
    } else {
        keep_repaired(w, e, item);
    }
}

/* Starts an entry: reads its key and writes it. Returns the position of the value, or NULL. */
static const uint8_t *put_key(writer *w, write_level *level, const uint8_t *at) {
    handout_item item;
    const uint8_t *next = handout_item_read(at, w->end, &item);
    if (!next || !handout_item_is_key(&item)) return malformed(w, at), NULL;
    entry *e = new_entry(&w->entries);
    if (!e) return w->failed = -1, NULL;
    e->start = w->out->length;
    take_key(w, e, &item);
    if (w->failed) return NULL;
    e->text = key_text(w, e);
    if (level->index > 0) {
        entry *before = e - 1;
        before->text = key_text(w, before);
        level->unordered |= compare_texts(before, e) >= 0;
    }
    w->failed = handout_json_string((const char *)e->text, e->length, w->out);
    put_text(w, w->indent ? ": " : ":");
    return next;
}

static void report_clash(writer *w, const entry *e) {
    handout_path path;
    char quoted[HANDOUT_QUOTED];
    handout_path_start(&path, "result");
    for (int i = 0; i < w->depth - 1; i++) {
        const write_level *level = &w->levels[i];
        if (!level->is_map) {
            handout_path_index(&path, level->index);
            continue;
        }
        /* The entry that is being written is the last before those of the next object inside. */
        size_t last = w->levels[i + 1].first - 1;
        const entry *outer = &w->entries.all[last];
        char plain[44];
        if (outer->kind == HANDOUT_KIND_STRING) {
            handout_path_key(&path, key_text(w, outer), outer->length);
        } else {
            snprintf(plain, sizeof plain, "[%.*s]", (int)outer->length, (const char *)key_text(w, outer));
            handout_path_plain(&path, plain);
        }
    }
    handout_quote(e->text, e->length, quoted);
    handout_path_finish(&path);
    snprintf(w->error, w->size, "two keys become the same text: %s at %s", quoted, path.text);
    w->failed = -2;
}

/* Brings the entries of the last level, already written, into the order of their texts. What separates two
 * of them is the same between any two. */
static void order_entries(writer *w, const write_level *level) {
    entry *all = w->entries.all + level->first;
    size_t count = w->entries.count - level->first;
    size_t from = all[0].start, separator = all[1].start - all[0].end;
    for (size_t i = 0; i < count; i++) all[i].text = key_text(w, &all[i]);
    qsort(all, count, sizeof *all, compare_entries);
    for (size_t i = 1; i < count; i++)
        if (compare_texts(&all[i - 1], &all[i]) == 0) return report_clash(w, &all[i]);
    size_t separator_at = 0; /* behind any entry but the one that was written last */
    for (size_t i = 0; i < count && !separator_at; i++)
        if (all[i].end < w->out->length) separator_at = all[i].end;
    w->scratch.length = 0;
    for (size_t i = 0; i < count && !w->failed; i++) {
        if (i) w->failed = handout_buffer_append(&w->scratch, w->out->data + separator_at, separator);
        if (w->failed) return;
        const uint8_t *written = w->out->data + all[i].start;
        w->failed = handout_buffer_append(&w->scratch, written, all[i].end - all[i].start);
    }
    if (!w->failed) memcpy(w->out->data + from, w->scratch.data, w->scratch.length);
}

static void open_level(writer *w, const handout_item *item, const uint8_t *at) {
    int is_map = item->kind == HANDOUT_KIND_MAP;
    if (item->count == 0) return put_text(w, "[]");
    if (w->depth == HANDOUT_WIRE_DEPTH) return malformed(w, at);
    w->levels[w->depth++] = (write_level){.left = item->count, .is_map = is_map, .first = w->entries.count,
                                          .texts = w->texts.length};
    put_text(w, is_map ? "{" : "[");
}

/* After a value: closes what is complete. */
static void close_levels(writer *w) {
    while (w->depth && !w->failed) {
        write_level *level = &w->levels[w->depth - 1];
        if (level->index > 0 && level->is_map) w->entries.all[w->entries.count - 1].end = w->out->length;
        if (level->left) return;
        if (level->unordered) order_entries(w, level);
        w->entries.count = level->first;
        w->texts.length = level->texts;
        put_line(w, --w->depth);
        put_text(w, level->is_map ? "}" : "]");
    }
}

/* Writes what comes before the next value; returns the position of the value, or NULL. */
static const uint8_t *put_before(writer *w, const uint8_t *at) {
    if (!w->depth) return at;
    write_level *level = &w->levels[w->depth - 1];
    if (level->index > 0) put(w, ",", 1);
    put_line(w, w->depth);
    if (level->is_map && !w->failed) at = put_key(w, level, at);
    level->index++;
    level->left--;
    return w->failed ? NULL : at;
}

int handout_json_write(const uint8_t *bytes, size_t length, int indent, handout_buffer *out, char *error,
                       size_t size) {
    writer *w = calloc(1, sizeof *w);
    if (!w) return -1;
    w->bytes = bytes, w->end = bytes + length, w->indent = indent;
    w->out = out, w->error = error, w->size = size;
    const uint8_t *at = bytes;
    do {
        handout_item item;
        at = put_before(w, at);
        if (!at) break;
        const uint8_t *next = handout_item_read(at, w->end, &item);
        if (!next || (w->depth && item.kind == HANDOUT_KIND_NIL)) malformed(w, at);
        else if (item.kind >= HANDOUT_KIND_LIST) open_level(w, &item, at);
        else put_scalar(w, &item);
        close_levels(w);
        at = next;
    } while (w->depth && !w->failed);
    int failed = w->failed;
    free(w->entries.all);
    handout_buffer_free(&w->texts);
    handout_buffer_free(&w->scratch);
    free(w);
    return failed;
}

/* Reading */

enum { READ_DEPTH = 200 };

typedef struct read_level {
    size_t start; /* in the output: one byte for the header, then what it holds */
    size_t first; /* of its entries */
    uint32_t count;
    int is_map, unordered; /* `unordered`: keys not ascending, repeated, or with nothing behind */
} read_level;

typedef struct reader {
    const uint8_t *text, *at, *end;
    handout_buffer *out;
    handout_buffer scratch;
    entries entries;
    int depth, failed;
    char *error;
    size_t size;
    read_level levels[READ_DEPTH];
} reader;

/* Fails with what was expected at `at` and what is there. */
static int unexpected_at(reader *r, const uint8_t *at, const char *expected) {
    char got[HANDOUT_QUOTED];
    size_t length = 0;
    while (at + length < r->end && length < 20 && (at[length] | 0x20) >= 'a' && (at[length] | 0x20) <= 'z')
        length++;
    if (at >= r->end) snprintf(got, sizeof got, "the end");
    else if (length || (*at > 0x20 && *at < 0x7f)) handout_quote(at, length ? length : 1, got);
    else snprintf(got, sizeof got, "byte 0x%02X", *at);
    snprintf(r->error, r->size, "position %lld: expected %s, got %s", (long long)(at - r->text + 1), expected,
             got);
    r->failed = -2;
    return 0;
}

static int unexpected(reader *r, const char *expected) { return unexpected_at(r, r->at, expected); }

static void skip_space(reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r')) r->at++;
}

/* Appends; 1 when it could. */
static int emit(reader *r, const void *bytes, size_t length) {
    if (handout_buffer_append(r->out, bytes, length) == 0) return 1;
    r->failed = -1;
    return 0;
}

static int emit_byte(reader *r, uint8_t byte) { return emit(r, &byte, 1); }

/* Takes `byte` if it is next. */
static int take(reader *r, char byte) {
    if (r->at == r->end || *r->at != (uint8_t)byte) return 0;
    r->at++;
    return 1;
}

/* The four hex digits at `at` as a number, or -1. */
static int32_t hex4(const reader *r, const uint8_t *at) {
    int32_t value = 0;
    if (r->end - at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        uint8_t digit = at[i], letter = digit | 0x20;
        if (digit >= '0' && digit <= '9') value = value * 16 + digit - '0';
        else if (letter >= 'a' && letter <= 'f') value = value * 16 + letter - 'a' + 10;
        else return -1;
    }
    return value;
}

static unsigned utf8_of(uint32_t point, uint8_t to[4]) {
    if (point < 0x80) return to[0] = (uint8_t)point, 1;
    unsigned length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (unsigned i = length - 1; i > 0; i--, point >>= 6) to[i] = (uint8_t)(0x80 | (point & 0x3f));
    to[0] = (uint8_t)(leads[length] | point);
    return length;
}

/* Reads \uXXXX, a pair of them when it is a surrogate; `at` is behind the u. Returns the text's length in
 * UTF-8. */
static unsigned read_unicode(reader *r, const uint8_t **at, uint8_t to[4]) {
    int32_t high = hex4(r, *at);
    if (high < 0) return (unsigned)unexpected_at(r, *at, "four hexadecimal digits");
    if (high < 0xd800 || high > 0xdfff) return *at += 4, utf8_of((uint32_t)high, to);
    const uint8_t *second = *at + 4;
    int32_t low = r->end - second >= 6 && second[0] == '\\' && second[1] == 'u' ? hex4(r, second + 2) : -1;
    if (high > 0xdbff || low < 0xdc00 || low > 0xdfff)
        return (unsigned)unexpected_at(r, *at - 2, "a pair of surrogates such as \\uD83D\\uDE00");
    *at += 10;
    return utf8_of(0x10000 + (((uint32_t)high - 0xd800) << 10) + ((uint32_t)low - 0xdc00), to);
}

/* Reads one character or escape of a string. Returns its length in UTF-8, or 0 when it is wrong. */
static unsigned read_character(reader *r, const uint8_t **at, uint8_t to[4]) {
    static const char from[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";
    if (**at < 0x20) return (unsigned)unexpected_at(r, *at, "control characters to be escaped");
    if (**at != '\\') {
        unsigned size = handout_utf8(*at, r->end);
        if (!size) return (unsigned)unexpected_at(r, *at, "UTF-8");
        memcpy(to, *at, size);
        return *at += size, size;
    }
    const uint8_t *escape = *at + 1;
    const char *known = escape < r->end && *escape ? strchr(from, *escape) : NULL;
    if (known) return *at += 2, to[0] = (uint8_t)plain[known - from], 1;
    if (escape == r->end || *escape != 'u')
        return (unsigned)unexpected_at(r, escape, "an escape such as \\n");
    *at += 2;
    return read_unicode(r, at, to);
}

/* Reads a string literal, whose quote is next, twice: for its length, which is in the header, and for its
 * bytes. */
static int read_string(reader *r) {
    const uint8_t *start = ++r->at, *at = start;
    uint8_t piece[4], header[9];
    size_t length = 0;
    while (at < r->end && *at != '"') {
        unsigned size = read_character(r, &at, piece);
        if (!size) return 0;
        length += size;
    }
    if (at == r->end) return unexpected_at(r, at, "\"\\\"\"");
    r->at = at + 1;
    if (length > UINT32_MAX) return r->failed = -1, 0;
    const uint8_t *header_end = handout_put_header(header, HANDOUT_KIND_STRING, (uint32_t)length);
    if (!emit(r, header, (size_t)(header_end - header))) return 0;
    /* An escape is longer than what it means. */
    if (length == (size_t)(at - start)) return emit(r, start, length);
    while (start < at) {
        unsigned size = read_character(r, &start, piece);
        if (!emit(r, piece, size)) return 0;
    }
    return 1;
}

static size_t digits_at(const reader *r, const uint8_t *at) {
    const uint8_t *start = at;
    while (at < r->end && *at >= '0' && *at <= '9') at++;
    return (size_t)(at - start);
}

/* Skips the fraction and exponent; returns 1 when there is one, 0 when not, -1 when it is wrong. */
static int skip_fraction(reader *r, const uint8_t **at) {
    int found = 0;
    if (*at < r->end && **at == '.') {
        size_t digits = digits_at(r, ++*at);
        if (!digits) return unexpected_at(r, *at, "a digit"), -1;
        *at += digits;
        found = 1;
    }
    if (*at < r->end && (**at | 0x20) == 'e') {
        ++*at;
        if (*at < r->end && (**at == '+' || **at == '-')) ++*at;
        size_t digits = digits_at(r, *at);
        if (!digits) return unexpected_at(r, *at, "a digit"), -1;
        *at += digits;
        found = 1;
    }
    return found;
}

/* Reads a number without fraction and exponent; returns 0 when it does not fit. */
static int fits_integer(const uint8_t *at, const uint8_t *end, int64_t *integer) {
    int negative = *at == '-';
    uint64_t value = 0, most = (uint64_t)INT64_MAX + (uint64_t)negative;
    for (at += negative; at < end; at++) {
        unsigned digit = *at - '0';
        if (value > (most - digit) / 10) return 0;
        value = value * 10 + digit;
    }
    *integer = negative ? (int64_t)(0 - value) : (int64_t)value;
    return 1;
}

/* strtod of [start, end), which has no terminator, with the decimal point of the locale. */
static int read_float(reader *r, const uint8_t *start, const uint8_t *end, double *number) {
    char half[16];
    const uint8_t *point = memchr(start, '.', (size_t)(end - start));
    handout_buffer *text = &r->scratch;
    int failed = 0;
    text->length = 0;
    snprintf(half, sizeof half, "%.1f", 0.5);
    if (point) {
        failed |= handout_buffer_append(text, start, (size_t)(point - start));
        failed |= handout_buffer_append(text, half + 1, strlen(half) - 2);
        start = point + 1;
    }
    failed |= handout_buffer_append(text, start, (size_t)(end - start));
    if (failed | handout_buffer_append(text, "", 1)) return r->failed = -1, 0;
    *number = strtod((const char *)text->data, NULL);
    return 1;
}

static int read_number(reader *r) {
    const uint8_t *start = r->at, *at = start;
    uint8_t encoded[9], *end;
    int64_t integer;
    double number;
    if (*at == '-') at++;
    size_t digits = digits_at(r, at);
    if (!digits) return unexpected_at(r, at, "a digit");
    at += *at == '0' ? 1 : digits; /* what follows a leading zero is not part of the number */
    int fraction = skip_fraction(r, &at);
    if (fraction < 0) return 0;
    r->at = at;
    if (!fraction && fits_integer(start, at, &integer)) {
        end = handout_put_integer(encoded, integer);
    } else {
        if (!read_float(r, start, at, &number)) return 0;
        if (number - number != 0) {
            snprintf(r->error, r->size,
                     "position %lld: expected a number in the range of a float, got a larger one",
                     (long long)(start - r->text + 1));
            return r->failed = -2, 0;
        }
        end = handout_put_float(encoded, number);
    }
    return emit(r, encoded, (size_t)(end - encoded));
}

/* null: nothing in an object, false in an array. */
static int read_null(reader *r) {
    if (!r->depth) return emit_byte(r, 0xc0);
    read_level *level = &r->levels[r->depth - 1];
    if (!level->is_map) return emit_byte(r, 0xc2);
    level->unordered = 1;
    return 1;
}

static int take_word(reader *r, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0) return 0;
    r->at += length;
    return 1;
}

static int read_scalar(reader *r) {
    if (r->at < r->end) {
        if (*r->at == '"') return read_string(r);
        if (*r->at == '-' || (*r->at >= '0' && *r->at <= '9')) return read_number(r);
        if (take_word(r, "true")) return emit_byte(r, 0xc3);
        if (take_word(r, "false")) return emit_byte(r, 0xc2);
        if (take_word(r, "null")) return read_null(r);
    }
    return unexpected(r, "a value");
}

static const uint8_t *entry_text(const reader *r, const entry *e) { return r->out->data + e->key; }

/* Reads a key and its colon; an entry starts. */
static int read_key(reader *r) {
    skip_space(r);
    if (r->at == r->end || *r->at != '"') return unexpected(r, "a key in quotes");
    size_t start = r->out->length;
    if (!read_string(r)) return 0;
    read_level *level = &r->levels[r->depth - 1];
    entry *e = new_entry(&r->entries);
    handout_item item = {.count = 0};
    if (!e || !handout_item_read(r->out->data + start, r->out->data + r->out->length, &item))
        return r->failed = -1, 0;
    e->start = start;
    e->value = r->out->length;
    e->key = (size_t)(item.as.text - r->out->data);
    e->length = item.count;
    if (r->entries.count - level->first > 1) {
        entry *before = e - 1;
        before->text = entry_text(r, before);
        e->text = entry_text(r, e);
        level->unordered |= compare_texts(before, e) >= 0;
    }
    skip_space(r);
    return take(r, ':') ? 1 : unexpected(r, "\":\"");
}

/* Sorts the entries of an object, keeps the last of equal ones, and drops those with nothing behind. */
static int settle_entries(reader *r, read_level *level) {
    entry *all = r->entries.all + level->first;
    size_t count = r->entries.count - level->first, kept = 0;
    for (size_t i = 0; i < count; i++) all[i].text = entry_text(r, &all[i]);
    qsort(all, count, sizeof *all, compare_entries);
    r->scratch.length = 0;
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && compare_texts(&all[i], &all[i + 1]) == 0) continue;
        if (all[i].value == all[i].end) continue;
        kept++;
        if (handout_buffer_append(&r->scratch, r->out->data + all[i].start, all[i].end - all[i].start))
            return r->failed = -1, 0;
    }
    if (kept) memcpy(r->out->data + level->start + 1, r->scratch.data, r->scratch.length);
    r->out->length = level->start + 1 + (kept ? r->scratch.length : 0);
    level->count = (uint32_t)kept;
    return 1;
}

static int base64_value(uint8_t digit) {
    const char *found = digit ? strchr(base64_digits, digit) : NULL;
    return found ? (int)(found - base64_digits) : -1;
}

/* Decodes base64 in its one canonical form into `scratch`; returns 1 when it is that. */
static int decode_base64(reader *r, const uint8_t *text, size_t length) {
    if (length % 4) return 0;
    r->scratch.length = 0;
    for (size_t i = 0; i < length; i += 4) {
        int pads = 0;
        if (i + 4 == length && text[i + 3] == '=') pads = text[i + 2] == '=' ? 2 : 1;
        uint32_t bits = 0;
        for (int k = 0; k < 4; k++) {
            int value = k >= 4 - pads ? 0 : base64_value(text[i + (size_t)k]);
            if (value < 0) return 0;
            bits = bits << 6 | (uint32_t)value;
        }
        if (bits & ((1u << 8 * pads) - 1)) return 0;
        uint8_t bytes[3] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
        if (handout_buffer_append(&r->scratch, bytes, 3 - (size_t)pads)) return r->failed = -1, 0;
    }
    return 1;
}

static int named_float(const handout_item *item, double *number) {
    static const struct { const char *name; double number; } known[] = {
        {"nan", __builtin_nan("")}, {"inf", __builtin_inf()}, {"-inf", -__builtin_inf()}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t length = strlen(known[i].name);
        if (item->count != length || memcmp(item->as.text, known[i].name, length) != 0) continue;
        *number = known[i].number;
        return 1;
    }
    return 0;
}

/* Replaces what is in the output from `start` by an object's meaning, if {"$bytes": ...} or {"$float": ...}
 * has one; anything else of that look stays an object. Returns 1 when it did. */
static int read_special(reader *r, const read_level *level) {
    handout_item key, item;
    const uint8_t *end = r->out->data + r->out->length;
    const uint8_t *at = handout_item_read(r->out->data + level->start + 1, end, &key);
    if (!at || !handout_item_read(at, end, &item) || item.kind != HANDOUT_KIND_STRING) return 0;
    uint8_t header[9], *header_end;
    double number;
    if (key.count == 6 && memcmp(key.as.text, "$float", 6) == 0 && named_float(&item, &number)) {
        r->out->length = level->start;
        header_end = handout_put_float(header, number);
        return emit(r, header, (size_t)(header_end - header));
    }
    if (key.count != 6 || memcmp(key.as.text, "$bytes", 6) != 0) return 0;
    if (!decode_base64(r, item.as.text, item.count)) return 0;
    r->out->length = level->start;
    header_end = handout_put_header(header, HANDOUT_KIND_STRING, (uint32_t)r->scratch.length);
    return emit(r, header, (size_t)(header_end - header)) && emit(r, r->scratch.data, r->scratch.length);
}

/* Puts the header, now that the count is known, before what the table holds. */
static int close_level(reader *r) {
    read_level *level = &r->levels[--r->depth];
    if (level->unordered && !settle_entries(r, level)) return 0;
    if (level->is_map) r->entries.count = level->first;
    if (level->is_map && level->count == 1 && read_special(r, level)) return 1;
    if (r->failed) return 0;
    uint8_t header[9];
    enum handout_kind kind = level->is_map && level->count ? HANDOUT_KIND_MAP : HANDOUT_KIND_LIST;
    size_t size = (size_t)(handout_put_header(header, kind, level->count) - header);
    if (!handout_buffer_reserve(r->out, size - 1)) return r->failed = -1, 0;
    uint8_t *start = r->out->data + level->start;
    memmove(start + size, start + 1, r->out->length - level->start - 1);
    memcpy(start, header, size);
    r->out->length += size - 1;
    return 1;
}

/* Reads what opens a table. Returns 1 when a value follows, 2 when the table is already closed, 0 on
 * failure. */
static int open_table(reader *r) {
    int is_map = *r->at == '{';
    if (r->depth == READ_DEPTH) return unexpected(r, "at most 200 levels");
    r->at++;
    r->levels[r->depth++] =
        (read_level){.start = r->out->length, .first = r->entries.count, .is_map = is_map};
    if (!emit_byte(r, 0)) return 0;
    skip_space(r);
    if (take(r, is_map ? '}' : ']')) return close_level(r) ? 2 : 0;
    return is_map ? read_key(r) : 1;
}

/* After a value in a table: reads on to the next value. Returns 1 at it, 2 when the table was closed, 0 on
 * failure. */
static int read_after(reader *r) {
    read_level *level = &r->levels[r->depth - 1];
    if (level->is_map) r->entries.all[r->entries.count - 1].end = r->out->length;
    level->count++;
    skip_space(r);
    if (take(r, ',')) return level->is_map ? read_key(r) : 1;
    if (take(r, level->is_map ? '}' : ']')) return close_level(r) ? 2 : 0;
    return unexpected(r, level->is_map ? "\",\" or \"}\"" : "\",\" or \"]\"");
}

/* Reads one value with everything in it. */
static int read_value(reader *r) {
    for (;;) {
        skip_space(r);
        int state = 2;
        if (r->at < r->end && (*r->at == '{' || *r->at == '[')) state = open_table(r);
        else if (!read_scalar(r)) return 0;
        while (state == 2 && r->depth) state = read_after(r);
        if (state == 0) return 0;
        if (state == 2) return 1;
    }
}

int handout_json_read(const char *text, size_t length, handout_buffer *out, char *error, size_t size) {
    reader *r = calloc(1, sizeof *r);
    if (!r) return -1;
    size_t start = out->length;
    r->text = r->at = (const uint8_t *)text;
    r->end = r->text + length;
    r->out = out, r->error = error, r->size = size;
    if (read_value(r)) {
        skip_space(r);
        if (r->at < r->end) unexpected(r, "the end");
    }
    int failed = r->failed;
    if (failed) out->length = start;
    free(r->entries.all);
    handout_buffer_free(&r->scratch);
    free(r);
    return failed;
}
