/* Value cells, the buffer they come from, and encoded values looked at without Lua. */
#include "wire.h"
#include <stdio.h>
#include <stdlib.h>

/* Buffers */

static size_t limit_of(const handout_buffer *buffer) { return buffer->limit ? buffer->limit : UINT32_MAX; }

uint8_t *handout_buffer_reserve(handout_buffer *buffer, size_t more) {
    size_t limit = limit_of(buffer);
    if (buffer->length > limit || more > limit - buffer->length) return NULL;
    size_t needed = buffer->length + more;
    if (needed > buffer->capacity || !buffer->data) {
        size_t capacity = buffer->capacity < 128 ? 256 : buffer->capacity * 2;
        if (capacity > limit) capacity = limit;
        if (capacity < needed) capacity = needed;
        uint8_t *data = realloc(buffer->data, capacity ? capacity : 1);
        if (!data) return NULL;
        buffer->data = data;
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->length;
}

int handout_buffer_append(handout_buffer *buffer, const void *bytes, size_t length) {
    uint8_t *to = handout_buffer_reserve(buffer, length);
    if (!to) return -1;
    if (length) memcpy(to, bytes, length);
    buffer->length += length;
    return 0;
}

void handout_buffer_free(handout_buffer *buffer) {
    free(buffer->data);
    buffer->data = NULL;
    buffer->length = buffer->capacity = 0;
}

/* Encoded values */

/* A table that is being walked. Of a map `left` counts keys and values. */
typedef struct walk_level {
    uint64_t left;
    int map;
} walk_level;

size_t handout_value_size(const uint8_t *bytes, size_t length) {
    walk_level levels[HANDOUT_WIRE_DEPTH];
    int depth = 0;
    const uint8_t *at = bytes, *end = bytes + length;
    do {
        handout_item item;
        walk_level *level = depth ? &levels[depth - 1] : NULL;
        at = handout_item_read(at, end, &item);
        if (!at) return 0;
        if (level) {
            int is_key = level->map && level->left % 2 == 0;
            if (is_key ? !handout_item_is_key(&item) : item.kind == HANDOUT_KIND_NIL) return 0;
            level->left--;
        }
        if (item.kind >= HANDOUT_KIND_LIST) {
            if (depth == HANDOUT_WIRE_DEPTH) return 0;
            levels[depth++] = (walk_level){handout_item_parts(&item), item.kind == HANDOUT_KIND_MAP};
        }
        while (depth && levels[depth - 1].left == 0) depth--;
    } while (depth);
    return (size_t)(at - bytes);
}

/* The position after the element at `at`, of a keyed table the key and its value; or NULL. */
static const uint8_t *element_end(const uint8_t *at, const uint8_t *end, int keyed) {
    handout_item key;
    if (keyed) {
        at = handout_item_read(at, end, &key);
        if (!at || key.kind != HANDOUT_KIND_STRING) return NULL;
    }
    size_t size = handout_value_size(at, (size_t)(end - at));
    return size && *at != 0xc0 ? at + size : NULL;
}

int handout_value_elements(const uint8_t *bytes, size_t length, uint32_t **offsets, uint32_t *count,
                           int *keyed) {
    handout_item item;
    const uint8_t *end = bytes + length, *at = NULL;
    if (length <= UINT32_MAX) at = handout_item_read(bytes, end, &item);
    *offsets = NULL;
    if (!at || item.kind < HANDOUT_KIND_LIST) return -1;
    uint32_t *found = malloc(((size_t)item.count + 1) * sizeof *found);
    if (!found) return -2;
    *count = item.count;
    *keyed = item.kind == HANDOUT_KIND_MAP && item.count > 0;
    for (uint32_t i = 0; i < item.count; i++) {
        found[i] = (uint32_t)(at - bytes);
        at = element_end(at, end, *keyed);
        if (!at) return free(found), -1;
    }
    found[item.count] = (uint32_t)(at - bytes);
    *offsets = found;
    return 0;
}

const uint8_t *handout_value_find(const uint8_t *bytes, size_t length, const uint8_t *key, size_t key_length,
                                  const uint8_t **end) {
    handout_item item, wanted;
    const uint8_t *stop = bytes + length, *at = handout_item_read(bytes, stop, &item);
    if (!at || item.kind < HANDOUT_KIND_LIST || !handout_item_read(key, key + key_length, &wanted)) return NULL;
    int keyed = item.kind == HANDOUT_KIND_MAP;
    if (!keyed && (wanted.kind != HANDOUT_KIND_INTEGER || wanted.as.integer < 1 || wanted.as.integer > item.count)) return NULL;
    for (uint32_t i = 0; i < item.count; i++) {
        size_t size = keyed ? handout_value_size(at, (size_t)(stop - at)) : 0;
        int same = keyed ? size == key_length && memcmp(at, key, size) == 0 : i + 1 == wanted.as.integer;
        at += size;
        size = handout_value_size(at, (size_t)(stop - at));
        if (size == 0) return NULL;
        *end = at + size;
        if (same) return at;
        at += size;
    }
    return NULL;
}

const uint8_t *handout_value_string(const uint8_t *bytes, size_t length, size_t *size) {
    handout_item item;
    if (!handout_item_read(bytes, bytes + length, &item) || item.kind != HANDOUT_KIND_STRING) return NULL;
    *size = item.count;
    return item.as.text;
}

/* Cells */

/* 1 when the bytes are one number, boolean or nil, which then is in the cell. */
static int store_scalar(handout_value *cell, const uint8_t *bytes, size_t length) {
    handout_item item;
    if (handout_item_read(bytes, bytes + length, &item) != bytes + length) return 0;
    switch (item.kind) {
    case HANDOUT_KIND_NIL: cell->tag = HANDOUT_NIL; return 1;
    case HANDOUT_KIND_FALSE: cell->tag = HANDOUT_FALSE; return 1;
    case HANDOUT_KIND_TRUE: cell->tag = HANDOUT_TRUE; return 1;
    case HANDOUT_KIND_INTEGER:
        cell->tag = HANDOUT_INTEGER;
        cell->as.integer = item.as.integer;
        return 1;
    case HANDOUT_KIND_FLOAT:
        cell->tag = HANDOUT_FLOAT;
        cell->as.number = item.as.number;
        return 1;
    default: return 0;
    }
}

int handout_value_store(handout_value *cell, const uint8_t *bytes, size_t length) {
    memset(cell, 0, sizeof *cell);
    if (length > UINT32_MAX) return -1;
    if (length == 0 || store_scalar(cell, bytes, length)) return 0;
    uint8_t *to = cell->as.bytes;
    if (length > sizeof cell->as.bytes) {
        to = malloc(length);
        if (!to) return -1;
        cell->as.blob = to;
    }
    cell->tag = length > sizeof cell->as.bytes ? HANDOUT_BLOB : HANDOUT_INLINE;
    cell->length = (uint32_t)length;
    memcpy(to, bytes, length);
    return 0;
}

void handout_value_free(handout_value *cell) {
    if (cell->tag == HANDOUT_BLOB) free(cell->as.blob);
    memset(cell, 0, sizeof *cell);
}

int handout_value_append(const handout_value *cell, handout_buffer *out) {
    uint8_t small[9] = {0xc0}, *end = small + 1;
    switch (cell->tag) {
    case HANDOUT_ABSENT:
    case HANDOUT_NIL: break;
    case HANDOUT_FALSE: small[0] = 0xc2; break;
    case HANDOUT_TRUE: small[0] = 0xc3; break;
    case HANDOUT_INTEGER: end = handout_put_integer(small, cell->as.integer); break;
    case HANDOUT_FLOAT: end = handout_put_float(small, cell->as.number); break;
    case HANDOUT_INLINE: return handout_buffer_append(out, cell->as.bytes, cell->length);
    case HANDOUT_BLOB: return handout_buffer_append(out, cell->as.blob, cell->length);
    default: return -1;
    }
    return handout_buffer_append(out, small, (size_t)(end - small));
}

/* Places */

static int is_continuation(char byte) { return ((uint8_t)byte & 0xc0) == 0x80; }

/* Appends; when the text is full, what lies between the part shown first and the part shown last goes. */
static void path_append(handout_path *path, const char *text, size_t length) {
    if (path->length + length >= sizeof path->text) {
        const char *last = path->text + path->length - HANDOUT_PATH_SHOWN;
        memmove(path->text + HANDOUT_PATH_SHOWN, last, HANDOUT_PATH_SHOWN);
        path->length = 2 * HANDOUT_PATH_SHOWN;
    }
    memcpy(path->text + path->length, text, length);
    path->length += length;
}

void handout_path_start(handout_path *path, const char *root) {
    path->length = 0;
    path_append(path, root, strnlen(root, HANDOUT_QUOTED));
}

void handout_path_plain(handout_path *path, const char *text) { path_append(path, text, strlen(text)); }

void handout_path_index(handout_path *path, int64_t index) {
    char text[32];
    snprintf(text, sizeof text, "[%lld]", (long long)index);
    handout_path_plain(path, text);
}

void handout_path_float(handout_path *path, double key) {
    char text[40] = "inf";
    if (key - key == 0) handout_float_text(key, text);
    handout_path_plain(path, key - key != 0 && key < 0 ? "[-" : "[");
    handout_path_plain(path, text);
    handout_path_plain(path, "]");
}

static int is_name(const uint8_t *key, size_t length) {
    if (length == 0 || length > 40 || (key[0] >= '0' && key[0] <= '9')) return 0;
    for (size_t i = 0; i < length; i++) {
        uint8_t low = key[i] | 0x20;
        if (!((low >= 'a' && low <= 'z') || (key[i] >= '0' && key[i] <= '9') || key[i] == '_')) return 0;
    }
    return 1;
}

void handout_path_key(handout_path *path, const uint8_t *key, size_t length) {
    char quoted[HANDOUT_QUOTED];
    if (is_name(key, length)) {
        path_append(path, ".", 1);
        path_append(path, (const char *)key, length);
        return;
    }
    handout_quote(key, length, quoted);
    path_append(path, "[", 1);
    handout_path_plain(path, quoted);
    path_append(path, "]", 1);
}

const char *handout_path_finish(handout_path *path) {
    path->text[path->length] = 0;
    if (path->length <= HANDOUT_PATH_SHOWN) return path->text;
    size_t head = HANDOUT_PATH_SHOWN / 2 - 2, tail = path->length - (HANDOUT_PATH_SHOWN / 2 - 1);
    while (head && is_continuation(path->text[head])) head--;
    while (is_continuation(path->text[tail])) tail++;
    memcpy(path->text + head, "...", 3);
    memmove(path->text + head + 3, path->text + tail, path->length - tail + 1);
    return path->text;
}

void handout_quote(const uint8_t *text, size_t length, char quoted[HANDOUT_QUOTED]) {
    char *to = quoted;
    *to++ = '"';
    size_t i = 0;
    while (i < length) {
        unsigned size = handout_utf8(text + i, text + length);
        if (i + (size ? size : 1) > 40) break;
        int control = text[i] < 0x20 || text[i] == 0x7f || (text[i] == 0xc2 && size && text[i + 1] < 0xa0);
        if (text[i] == '"' || text[i] == '\\') {
            *to++ = '\\';
            *to++ = (char)text[i++];
        } else if (size && !control) {
            memcpy(to, text + i, size);
            to += size;
            i += size;
        } else {
            to += snprintf(to, 5, "\\x%02X", text[i++]);
        }
    }
    strcpy(to, i < length ? "...\"" : "\"");
}

void handout_float_text(double number, char text[40]) {
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, 40, "%.*g", digits, number);
        if (strtod(text, NULL) == number) break;
    }
    /* The locale's decimal point, which may have several bytes, becomes ours. */
    char *to = text;
    int whole = 1;
    for (const char *from = text; *from; from++) {
        if ((*from >= '0' && *from <= '9') || *from == '-' || *from == '+' || *from == 'e') {
            whole &= *from != 'e';
            *to++ = *from;
        } else if (to[-1] != '.') {
            whole = 0;
            *to++ = '.';
        }
    }
    strcpy(to, whole ? ".0" : "");
}
