/* Values outside Lua: one 16-byte cell a result, MessagePack bytes for everything that is not a scalar.
 *
 * Encoding (MessagePack specification, 2.0): nil, booleans, integers in their shortest form, floats always as float64,
 * byte strings always as the str family in its shortest form (bytes, not necessarily UTF-8), lists (keys 1..n, and the
 * empty table) as arrays, other tables as maps with keys in canonical order: numbers ascending, strings bytewise,
 * false, true. Equal values have equal bytes.
 */
#ifndef HANDOUT_VALUE_H
#define HANDOUT_VALUE_H

#include <stddef.h>
#include <stdint.h>

/* What a value cell holds. */
enum handout_tag {
    HANDOUT_ABSENT = 0, /* nothing: not computed, skipped, or freed */
    HANDOUT_NIL,
    HANDOUT_FALSE,
    HANDOUT_TRUE,
    HANDOUT_INTEGER,
    HANDOUT_FLOAT,
    HANDOUT_INLINE, /* at most 8 encoded bytes, in the cell */
    HANDOUT_BLOB,   /* encoded bytes from malloc, owned by the cell */
    HANDOUT_GROUP,  /* the value of a map: `group` says where its elements are */
};

/* Why a task that ended has no value. */
enum handout_missing { HANDOUT_NOT_ENDED = 0, HANDOUT_MISSING_SKIPPED, HANDOUT_MISSING_FAILED };

typedef struct handout_value {
    union {
        int64_t integer;
        double number;
        uint8_t bytes[8];
        uint8_t *blob;
        uint32_t group;
    } as;
    uint32_t length; /* of INLINE and BLOB */
    uint8_t tag;
    uint8_t missing; /* of ABSENT: enum handout_missing */
    uint8_t reserved[2];
} handout_value;

/* A growable byte buffer from malloc. `limit` bounds `length`; 0 means 4 GiB - 1. */
typedef struct handout_buffer {
    uint8_t *data;
    size_t length, capacity, limit;
} handout_buffer;

/* Makes room for `more` bytes and returns where they go, or NULL when the limit or memory is exhausted. */
uint8_t *handout_buffer_reserve(handout_buffer *buffer, size_t more);
/* Appends; returns 0, or -1 when the limit or memory is exhausted. */
int handout_buffer_append(handout_buffer *buffer, const void *bytes, size_t length);
void handout_buffer_free(handout_buffer *buffer);

/* The size in bytes of the encoded value at `bytes`, or 0 when it is malformed, longer than `length` or deeper than
 * 250. Iterative. */
size_t handout_value_size(const uint8_t *bytes, size_t length);

/* Finds the elements of an encoded list or of a table with string keys only (`*keyed` = 1; an element is then the key
 * followed by the value). `*offsets` is a malloc'ed array of `*count` + 1 positions. Returns 0; -1 when the value is
 * neither; -2 when memory is exhausted. An empty table is a list. */
int handout_value_elements(const uint8_t *bytes, size_t length, uint32_t **offsets, uint32_t *count, int *keyed);

/* The element of an encoded list or table at `bytes` whose key is the encoded value `key`: its position, and the end of its
 * room; or NULL. */
const uint8_t *handout_value_find(const uint8_t *bytes, size_t length, const uint8_t *key, size_t key_length,
                                  const uint8_t **end);

/* Reads an encoded string: returns its bytes and sets `*size`, or NULL when the value is no string. */
const uint8_t *handout_value_string(const uint8_t *bytes, size_t length, size_t *size);

/* Moves encoded bytes into a cell: scalars and up to 8 bytes in place, others copied to a blob. Returns 0, or -1 when
 * memory is exhausted. */
int handout_value_store(handout_value *cell, const uint8_t *bytes, size_t length);
/* Frees what the cell owns and makes it absent. */
void handout_value_free(handout_value *cell);
/* Appends the encoded form of a cell (not of a GROUP). Returns 0, or -1. */
int handout_value_append(const handout_value *cell, handout_buffer *out);

/* Writes an encoded value as JSON text (lua-api.md, section 11): lists as arrays, other tables as objects with keys
 * sorted bytewise after numbers and booleans became text; floats keep a point or exponent; non-finite numbers as
 * {"$float": "nan"|"inf"|"-inf"}; strings that are not UTF-8 as {"$bytes": base64}. `indent` spaces a level, 0: one
 * line. Returns 0; -1 when memory or the limit is exhausted; -2 when two keys become the same text; then `error`
 * (capacity `size`) says where. Iterative. */
int handout_json_write(const uint8_t *bytes, size_t length, int indent, handout_buffer *out, char *error, size_t size);

/* Appends `length` bytes as a JSON string literal with its quotes; bytes that are not UTF-8 become U+FFFD. */
int handout_json_string(const char *text, size_t length, handout_buffer *out);

/* Reads JSON text (RFC 8259, one value, UTF-8, depth at most 200) into the encoding: null is left out of objects and
 * false in arrays; numbers without fraction and exponent that fit are integers; {"$bytes"} and {"$float"} are read
 * back; of repeated keys the last counts. Returns 0; -1 on memory; -2 on bad text, then `error` (capacity `size`) is
 * "position N: expected ..., got ...". Iterative. */
int handout_json_read(const char *text, size_t length, handout_buffer *out, char *error, size_t size);

#endif
