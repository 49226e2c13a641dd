/* The bytes of one encoded item, and places in a value for messages. Internal to value.c, codec.c and
 * json.c.
 *
 * Read is what our writers write (headers of strings and tables in their shortest form, no nil inside a
 * table), and integers of any width: a stricter reader has fewer states to get wrong, a wider integer costs
 * nothing. */
#ifndef HANDOUT_WIRE_H
#define HANDOUT_WIRE_H

#include "handout_value.h"
#include <string.h>

/* Encoded tables nest at most this deep; the encoder stops at HANDOUT_DEPTH, callers wrap values in some
 * levels more. */
enum { HANDOUT_WIRE_DEPTH = 250 };

enum handout_kind {
    HANDOUT_KIND_NIL,
    HANDOUT_KIND_FALSE,
    HANDOUT_KIND_TRUE,
    HANDOUT_KIND_INTEGER,
    HANDOUT_KIND_FLOAT,
    HANDOUT_KIND_STRING,
    HANDOUT_KIND_LIST, /* from here on: tables, followed by `count` elements or entries */
    HANDOUT_KIND_MAP,
};

/* An item's header; of a scalar the whole item. */
typedef struct handout_item {
    union {
        int64_t integer;
        double number;
        const uint8_t *text;
    } as;
    uint32_t count; /* bytes, elements or entries */
    enum handout_kind kind;
} handout_item;

static inline uint64_t handout_wire_load(const uint8_t *at, unsigned width) {
    switch (width) {
    case 1: return at[0];
    case 2: return (uint64_t)at[0] << 8 | at[1];
    case 4: return (uint64_t)at[0] << 24 | (uint64_t)at[1] << 16 | (uint64_t)at[2] << 8 | at[3];
    case 8: return handout_wire_load(at, 4) << 32 | handout_wire_load(at + 4, 4);
    default: return 0;
    }
}

static inline uint8_t *handout_wire_store(uint8_t *to, uint64_t value, unsigned width) {
    for (unsigned i = 0; i < width; i++) to[i] = (uint8_t)(value >> 8 * (width - 1 - i));
    return to + width;
}

/* A string of `count` bytes at `at`: the position after it, or NULL. */
static inline const uint8_t *handout_item_text(const uint8_t *at, const uint8_t *end, uint64_t count,
                                               handout_item *item) {
    if (count > (size_t)(end - at)) return NULL;
    item->kind = HANDOUT_KIND_STRING;
    item->count = (uint32_t)count;
    item->as.text = at;
    return at + count;
}

/* A table's header. Every element takes a byte at least, so a count that cannot be true is refused here. */
static inline const uint8_t *handout_item_table(const uint8_t *at, const uint8_t *end, uint64_t count,
                                                enum handout_kind kind, handout_item *item) {
    if ((kind == HANDOUT_KIND_MAP ? count * 2 : count) > (size_t)(end - at)) return NULL;
    item->kind = kind;
    item->count = (uint32_t)count;
    return at;
}

static inline const uint8_t *handout_item_integer(const uint8_t *at, int64_t integer, handout_item *item) {
    item->kind = HANDOUT_KIND_INTEGER;
    item->as.integer = integer;
    return at;
}

static inline const uint8_t *handout_item_float(const uint8_t *at, uint64_t bits, handout_item *item) {
    item->kind = HANDOUT_KIND_FLOAT;
    memcpy(&item->as.number, &bits, sizeof bits);
    return at;
}

/* Items whose first byte is 0xc0 to 0xdf; `at` is behind that byte. */
static inline const uint8_t *handout_item_wide(const uint8_t *at, const uint8_t *end, uint8_t first,
                                               handout_item *item) {
    static const uint8_t widths[32] = {0, 9, 0, 0, 9, 9, 9, 9, 9, 9, 9, 8, 1, 2, 4, 8,  /* 9: not ours */
                                       1, 2, 4, 8, 9, 9, 9, 9, 9, 1, 2, 4, 2, 4, 2, 4};
    unsigned width = widths[first & 31];
    if (width > (size_t)(end - at) || width == 9) return NULL;
    uint64_t raw = handout_wire_load(at, width);
    at += width;
    switch (first) {
    case 0xc0: item->kind = HANDOUT_KIND_NIL; return at;
    case 0xc2: item->kind = HANDOUT_KIND_FALSE; return at;
    case 0xc3: item->kind = HANDOUT_KIND_TRUE; return at;
    case 0xcb: return handout_item_float(at, raw, item);
    case 0xd0: return handout_item_integer(at, (int8_t)raw, item);
    case 0xd1: return handout_item_integer(at, (int16_t)raw, item);
    case 0xd2: return handout_item_integer(at, (int32_t)raw, item);
    case 0xd3: return handout_item_integer(at, (int64_t)raw, item);
    case 0xd9: return raw < 32 ? NULL : handout_item_text(at, end, raw, item);
    case 0xda: return raw <= UINT8_MAX ? NULL : handout_item_text(at, end, raw, item);
    case 0xdb: return raw <= UINT16_MAX ? NULL : handout_item_text(at, end, raw, item);
    case 0xdc: return raw < 16 ? NULL : handout_item_table(at, end, raw, HANDOUT_KIND_LIST, item);
    case 0xdd: return raw <= UINT16_MAX ? NULL : handout_item_table(at, end, raw, HANDOUT_KIND_LIST, item);
    case 0xde: return raw < 16 ? NULL : handout_item_table(at, end, raw, HANDOUT_KIND_MAP, item);
    case 0xdf: return raw <= UINT16_MAX ? NULL : handout_item_table(at, end, raw, HANDOUT_KIND_MAP, item);
    default: return raw > INT64_MAX ? NULL : handout_item_integer(at, (int64_t)raw, item);
    }
}

/* Reads one item's header, a scalar as a whole. Returns the position after it, or NULL. */
static inline const uint8_t *handout_item_read(const uint8_t *at, const uint8_t *end, handout_item *item) {
    if (at >= end) return NULL;
    uint8_t first = *at++;
    if (first < 0x80 || first >= 0xe0) return handout_item_integer(at, (int8_t)first, item);
    if (first < 0x90) return handout_item_table(at, end, first & 15, HANDOUT_KIND_MAP, item);
    if (first < 0xa0) return handout_item_table(at, end, first & 15, HANDOUT_KIND_LIST, item);
    if (first < 0xc0) return handout_item_text(at, end, first & 31, item);
    return handout_item_wide(at, end, first, item);
}

/* How many items follow a table's header. */
static inline uint64_t handout_item_parts(const handout_item *item) {
    return item->kind == HANDOUT_KIND_MAP ? (uint64_t)item->count * 2 : item->count;
}

/* 1 when the float is the key of no Lua table: NaN, or equal to an integer. */
static inline int handout_float_is_no_key(double number) {
    return number != number ||
           (number >= -0x1p63 && number < 0x1p63 && (double)(int64_t)number == number);
}

/* 1 when the item can be a key. */
static inline int handout_item_is_key(const handout_item *item) {
    if (item->kind == HANDOUT_KIND_FLOAT) return !handout_float_is_no_key(item->as.number);
    return item->kind != HANDOUT_KIND_NIL && item->kind < HANDOUT_KIND_LIST;
}

/* Writers: `to` has room for 9 bytes. They return the position after what they wrote. */
static inline uint8_t *handout_put_integer(uint8_t *to, int64_t value) {
    if (value >= -32 && value < 128) return *to = (uint8_t)value, to + 1;
    if (value >= 0) {
        if (value <= UINT8_MAX) return *to = 0xcc, handout_wire_store(to + 1, (uint64_t)value, 1);
        if (value <= UINT16_MAX) return *to = 0xcd, handout_wire_store(to + 1, (uint64_t)value, 2);
        if (value <= UINT32_MAX) return *to = 0xce, handout_wire_store(to + 1, (uint64_t)value, 4);
        return *to = 0xcf, handout_wire_store(to + 1, (uint64_t)value, 8);
    }
    if (value >= INT8_MIN) return *to = 0xd0, handout_wire_store(to + 1, (uint64_t)value, 1);
    if (value >= INT16_MIN) return *to = 0xd1, handout_wire_store(to + 1, (uint64_t)value, 2);
    if (value >= INT32_MIN) return *to = 0xd2, handout_wire_store(to + 1, (uint64_t)value, 4);
    return *to = 0xd3, handout_wire_store(to + 1, (uint64_t)value, 8);
}

/* One NaN for all: its sign and payload differ between processors, and equal values have equal bytes. */
static inline uint8_t *handout_put_float(uint8_t *to, double value) {
    uint64_t bits = UINT64_C(0x7ff8000000000000);
    if (value == value) memcpy(&bits, &value, sizeof bits);
    *to = 0xcb;
    return handout_wire_store(to + 1, bits, 8);
}

/* The header of a string, list or map. */
static inline uint8_t *handout_put_header(uint8_t *to, enum handout_kind kind, uint32_t count) {
    static const struct { uint8_t fix, limit, wide; } forms[] = {
        {0xa0, 32, 0xd9}, {0x90, 16, 0xdc}, {0x80, 16, 0xde}};
    int form = kind - HANDOUT_KIND_STRING, text = kind == HANDOUT_KIND_STRING;
    if (count < forms[form].limit) return *to = (uint8_t)(forms[form].fix | count), to + 1;
    if (text && count <= UINT8_MAX) return *to = 0xd9, handout_wire_store(to + 1, count, 1);
    *to = (uint8_t)(forms[form].wide + text + (count > UINT16_MAX));
    return handout_wire_store(to + 1, count, count > UINT16_MAX ? 4 : 2);
}

/* The length of the UTF-8 sequence at `at` (RFC 3629: no surrogates, nothing overlong), or 0. */
static inline unsigned handout_utf8(const uint8_t *at, const uint8_t *end) {
    uint8_t first = *at, low = 0x80, high = 0xbf;
    if (first < 0x80) return 1;
    if (first < 0xc2 || first > 0xf4) return 0;
    unsigned length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if ((size_t)(end - at) < length) return 0;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
    if (at[1] < low || at[1] > high) return 0;
    for (unsigned i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80) return 0;
    return length;
}

/* A place in a value, `result.rows[3]`: at most 400 bytes when finished, the middle elided. Lives in
 * value.c. */
typedef struct handout_path {
    char text[1024];
    size_t length;
} handout_path;

enum { HANDOUT_PATH_SHOWN = 400, HANDOUT_QUOTED = 192 };

void handout_path_start(handout_path *path, const char *root);
void handout_path_index(handout_path *path, int64_t index);
void handout_path_key(handout_path *path, const uint8_t *key, size_t length);
void handout_path_float(handout_path *path, double key);
/* Appends `text` as it is: at most HANDOUT_QUOTED bytes. */
void handout_path_plain(handout_path *path, const char *text);
/* Cuts it to what is shown, and returns it. */
const char *handout_path_finish(handout_path *path);
/* Writes `"text"` escaped and cut at 40 bytes. */
void handout_quote(const uint8_t *text, size_t length, char quoted[HANDOUT_QUOTED]);
/* Writes the shortest text that reads back as `number` (finite), with a point or an exponent in any locale. */
void handout_float_text(double number, char text[40]);

#endif
