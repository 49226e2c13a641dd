/* Values between the Lua stack and their encoding.
 *
 * Encoder and decoder keep the open tables in arrays and on the Lua stack, never on the C stack: the depth
 * of data is the script's choice. What the encoder allocates belongs to `handout_codec`, since any Lua call
 * may be the last. */
#include "codec.h"
#include "wire.h"
#include <lauxlib.h>
#include <stdlib.h>

/* Beyond the kinds of the wire: what a table's value can be besides. */
enum { KIND_TABLE = HANDOUT_KIND_LIST, KIND_OTHER = HANDOUT_KIND_MAP };

/* A key or a scalar, taken from the stack. */
typedef struct scalar {
    union {
        lua_Integer integer;
        lua_Number number;
        const char *text;
        int type; /* of KIND_OTHER */
    } as;
} scalar;

/* An entry of an open table: its scalars are kept, so that sorting does not cost a second look-up. */
struct handout_key {
    scalar key, value;
    uint32_t key_length, value_length;
    uint8_t key_kind, value_kind;
};

/* An open table. `at` is what is being encoded: the list's element, or the entry among `keys`. */
struct handout_frame {
    const void *table;
    size_t first, at, end;
    int is_list;
};

typedef struct encoder {
    lua_State *L;
    handout_codec *codec;
    const char *root, *verb;
    size_t start, limit;
    int base;           /* the stack's top before; the table of frame i is at base + 1 + i */
    int depth;          /* of open frames */
    unsigned countdown; /* values until the next check */
    int collector_stopped;
} encoder;

enum {
    CHECK_EVERY = 4096,
    SLACK = 16,           /* how far the buffer may pass the limit before anyone looks */
    SMALL_SORT = 12,
    KEPT_KEYS = 16 * 1024 /* room for keys that a state keeps between calls */
};

void handout_codec_free(handout_codec *codec) {
    handout_buffer_free(&codec->out);
    free(codec->frames);
    free(codec->keys);
    memset(codec, 0, sizeof *codec);
}

/* Leaving the encoder */

static void encoder_finish(encoder *e) {
    handout_codec *codec = e->codec;
    lua_settop(e->L, e->base);
    if (e->collector_stopped) lua_gc(e->L, LUA_GCRESTART);
    codec->keys_length = 0;
    if (codec->keys_capacity <= KEPT_KEYS) return;
    free(codec->keys);
    codec->keys = NULL;
    codec->keys_capacity = 0;
}

/* Back to the state before, for a message to follow. */
static void encoder_undo(encoder *e, int refused) {
    encoder_finish(e);
    e->codec->out.length = e->start;
    e->codec->refused = refused;
}

_Noreturn static void out_of_memory(encoder *e) {
    encoder_undo(e, 0);
    lua_pushfstring(e->L, "%s: not enough memory", e->root);
    lua_error(e->L);
    abort();
}

_Noreturn static void too_large(encoder *e) {
    encoder_undo(e, 1);
    lua_pushfstring(e->L, "%s: larger than %I bytes", e->root, (LUAI_UACINT)e->limit);
    lua_error(e->L);
    abort();
}

/* The path to what is being encoded in the first `depth` open tables. */
static void encoder_path(const encoder *e, int depth, handout_path *path) {
    handout_path_start(path, e->root);
    for (int i = 0; i < depth; i++) {
        const struct handout_frame *frame = &e->codec->frames[i];
        if (frame->is_list) {
            handout_path_index(path, (int64_t)frame->at);
            continue;
        }
        const struct handout_key *key = &e->codec->keys[frame->at];
        switch (key->key_kind) {
        case HANDOUT_KIND_INTEGER: handout_path_index(path, key->key.as.integer); break;
        case HANDOUT_KIND_FLOAT: handout_path_float(path, key->key.as.number); break;
        case HANDOUT_KIND_STRING:
            handout_path_key(path, (const uint8_t *)key->key.as.text, key->key_length);
            break;
        default: handout_path_plain(path, key->key_kind == HANDOUT_KIND_TRUE ? "[true]" : "[false]"); break;
        }
    }
    handout_path_finish(path);
}

/* Refuses with `result.a: <format of a, b>`; the formats have two %s at most. */
_Noreturn static void refuse(encoder *e, const char *format, const char *a, const char *b) {
    handout_path path;
    encoder_path(e, e->depth, &path);
    encoder_undo(e, 1);
    lua_pushfstring(e->L, "%s: ", path.text);
    lua_pushfstring(e->L, format, a, b);
    lua_concat(e->L, 2);
    lua_error(e->L);
    abort();
}

_Noreturn static void refuse_cycle(encoder *e, int ancestor) {
    handout_path path, to;
    encoder_path(e, ancestor, &path);
    encoder_path(e, e->depth, &to);
    encoder_undo(e, 1);
    lua_pushfstring(e->L, "%s: the table contains itself at %s", path.text, to.text);
    lua_error(e->L);
    abort();
}

/* Writing */

static uint8_t *grow(encoder *e, size_t more) {
    handout_buffer *out = &e->codec->out;
    size_t most = e->limit + SLACK, capacity = out->capacity < 128 ? 256 : out->capacity * 2;
    if (out->length > e->limit || more > most - out->length) too_large(e);
    if (capacity > most) capacity = most;
    if (capacity < out->length + more) capacity = out->length + more;
    uint8_t *data = realloc(out->data, capacity);
    if (!data) out_of_memory(e);
    out->data = data;
    out->capacity = capacity;
    return data + out->length;
}

/* Where the next `more` bytes go. The limit is looked at when the buffer grows, and now and then. */
static inline uint8_t *room(encoder *e, size_t more) {
    handout_buffer *out = &e->codec->out;
    return more <= out->capacity - out->length ? out->data + out->length : grow(e, more);
}

static inline void wrote(encoder *e, const uint8_t *end) {
    e->codec->out.length = (size_t)(end - e->codec->out.data);
}

static void write_header(encoder *e, enum handout_kind kind, uint32_t count) {
    wrote(e, handout_put_header(room(e, 9), kind, count));
}

static void write_string(encoder *e, const char *text, uint32_t length) {
    uint8_t *to = handout_put_header(room(e, (size_t)length + 5), HANDOUT_KIND_STRING, length);
    if (length) memcpy(to, text, length);
    wrote(e, to + length);
}

static void write_scalar(encoder *e, int kind, const scalar *value, uint32_t length) {
    if (kind == HANDOUT_KIND_STRING) {
        write_string(e, value->as.text, length);
        return;
    }
    uint8_t *to = room(e, 9);
    switch (kind) {
    case HANDOUT_KIND_INTEGER: to = handout_put_integer(to, value->as.integer); break;
    case HANDOUT_KIND_FLOAT: to = handout_put_float(to, value->as.number); break;
    case HANDOUT_KIND_NIL: *to++ = 0xc0; break;
    default: *to++ = kind == HANDOUT_KIND_TRUE ? 0xc3 : 0xc2; break;
    }
    wrote(e, to);
}

static void check(encoder *e) {
    e->countdown = CHECK_EVERY;
    if (e->codec->out.length > e->limit) too_large(e);
    handout_codec_check(e->L);
}

static inline void count_value(encoder *e) {
    if (--e->countdown == 0) check(e);
}

/* What is at `index`: scalars by value, a string by its address (a table holds it), tables by kind alone. */
static int take(encoder *e, int index, scalar *value, uint32_t *length) {
    lua_State *L = e->L;
    int type = lua_type(L, index);
    switch (type) {
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) return value->as.integer = lua_tointeger(L, index), HANDOUT_KIND_INTEGER;
        return value->as.number = lua_tonumber(L, index), HANDOUT_KIND_FLOAT;
    case LUA_TSTRING: {
        size_t size;
        value->as.text = lua_tolstring(L, index, &size);
        if (size > e->limit) too_large(e);
        return *length = (uint32_t)size, HANDOUT_KIND_STRING;
    }
    case LUA_TBOOLEAN: return lua_toboolean(L, index) ? HANDOUT_KIND_TRUE : HANDOUT_KIND_FALSE;
    case LUA_TNIL: return HANDOUT_KIND_NIL;
    case LUA_TTABLE: return KIND_TABLE;
    default: return value->as.type = type, KIND_OTHER;
    }
}

/* Encodes the value at `index` unless it is a table; returns 1 when it did. */
static int encode_scalar(encoder *e, int index) {
    scalar value;
    uint32_t length = 0;
    int kind = take(e, index, &value, &length);
    if (kind == KIND_TABLE) return 0;
    if (kind == KIND_OTHER) refuse(e, "a %s %s", lua_typename(e->L, value.as.type), e->verb);
    write_scalar(e, kind, &value, length);
    return 1;
}

/* Keyed tables */

/* Compares an integer with a float that equals no integer. */
static int compare_mixed(lua_Integer integer, lua_Number number) {
    if (number >= 0x1p63) return -1;
    if (number < -0x1p63) return 1;
    lua_Integer whole = (lua_Integer)number; /* towards zero */
    if (integer != whole) return integer < whole ? -1 : 1;
    return number > 0 ? -1 : 1;
}

static int compare_numbers(const struct handout_key *a, const struct handout_key *b) {
    int a_integer = a->key_kind == HANDOUT_KIND_INTEGER, b_integer = b->key_kind == HANDOUT_KIND_INTEGER;
    if (a_integer && b_integer) return a->key.as.integer < b->key.as.integer ? -1 : 1;
    if (a_integer) return compare_mixed(a->key.as.integer, b->key.as.number);
    if (b_integer) return -compare_mixed(b->key.as.integer, a->key.as.number);
    return a->key.as.number < b->key.as.number ? -1 : 1;
}

/* The canonical order. No two keys of a table are equal. */
static int compare_keys(const void *left, const void *right) {
    static const uint8_t ranks[] = {[HANDOUT_KIND_INTEGER] = 0, [HANDOUT_KIND_FLOAT] = 0,
                                    [HANDOUT_KIND_STRING] = 1, [HANDOUT_KIND_FALSE] = 2,
                                    [HANDOUT_KIND_TRUE] = 3};
    const struct handout_key *a = left, *b = right;
    if (ranks[a->key_kind] != ranks[b->key_kind]) return ranks[a->key_kind] < ranks[b->key_kind] ? -1 : 1;
    if (a->key_kind != HANDOUT_KIND_STRING) return a == b ? 0 : compare_numbers(a, b);
    uint32_t shorter = a->key_length < b->key_length ? a->key_length : b->key_length;
    int order = memcmp(a->key.as.text, b->key.as.text, shorter);
    return order ? order : (a->key_length > b->key_length) - (a->key_length < b->key_length);
}

static void sort_keys(struct handout_key *keys, size_t count) {
    if (count > SMALL_SORT) {
        qsort(keys, count, sizeof *keys, compare_keys);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        struct handout_key key = keys[i];
        size_t to = i;
        for (; to > 0 && compare_keys(&keys[to - 1], &key) > 0; to--) keys[to] = keys[to - 1];
        keys[to] = key;
    }
}

static struct handout_key *new_key(encoder *e) {
    handout_codec *codec = e->codec;
    if (codec->keys_length == codec->keys_capacity) {
        size_t capacity = codec->keys_capacity ? codec->keys_capacity * 2 : 64;
        struct handout_key *keys = realloc(codec->keys, capacity * sizeof *keys);
        if (!keys) out_of_memory(e);
        codec->keys = keys;
        codec->keys_capacity = capacity;
    }
    return &codec->keys[codec->keys_length++];
}

/* Takes all entries of the table at `slot`. Returns 1 when the keys are 1..n, in whatever order they are
 * kept. */
static int collect_keys(encoder *e, int slot, size_t first) {
    lua_State *L = e->L;
    lua_Integer least = 1, most = 0;
    int integers = 1;
    size_t count = 0;
    lua_pushnil(L);
    while (lua_next(L, slot)) {
        struct handout_key *entry = new_key(e);
        int kind = take(e, slot + 1, &entry->key, &entry->key_length);
        if (kind == KIND_OTHER) refuse(e, "a %s key %s", lua_typename(L, entry->key.as.type), e->verb);
        if (kind == KIND_TABLE) refuse(e, "a table key %s", e->verb, NULL);
        entry->key_kind = (uint8_t)kind;
        entry->value_kind = (uint8_t)take(e, slot + 2, &entry->value, &entry->value_length);
        if (kind == HANDOUT_KIND_INTEGER) {
            if (entry->key.as.integer < least) least = entry->key.as.integer;
            if (entry->key.as.integer > most) most = entry->key.as.integer;
        }
        integers &= kind == HANDOUT_KIND_INTEGER;
        /* An entry is a byte at least: this bounds the memory for keys, too. */
        if (++count > e->limit) too_large(e);
        count_value(e);
        lua_settop(L, slot + 1);
    }
    return integers && least == 1 && (size_t)most == e->codec->keys_length - first;
}

/* Pushes the table that an entry of the table at `slot` holds. A look-up by string may make the string anew
 * and so collect; the collector rests meanwhile, for in a weak table nothing would hold the strings we point
 * to. */
static void push_entry(encoder *e, int slot, const struct handout_key *entry) {
    lua_State *L = e->L;
    switch (entry->key_kind) {
    case HANDOUT_KIND_INTEGER: lua_pushinteger(L, entry->key.as.integer); break;
    case HANDOUT_KIND_FLOAT: lua_pushnumber(L, entry->key.as.number); break;
    case HANDOUT_KIND_STRING:
        if (!e->collector_stopped && lua_gc(L, LUA_GCISRUNNING) == 1) {
            lua_gc(L, LUA_GCSTOP);
            e->collector_stopped = 1;
        }
        lua_pushlstring(L, entry->key.as.text, entry->key_length);
        break;
    default: lua_pushboolean(L, entry->key_kind == HANDOUT_KIND_TRUE); break;
    }
    if (lua_rawget(L, slot) != LUA_TTABLE) refuse(e, "the table changed", NULL, NULL);
}

/* Lists */

/* Encodes the number, or else the scalar, at `index`: numbers are what long lists hold. */
static inline int encode_element(encoder *e, int index) {
    lua_State *L = e->L;
    if (lua_isinteger(L, index)) wrote(e, handout_put_integer(room(e, 9), lua_tointeger(L, index)));
    else if (lua_type(L, index) == LUA_TNUMBER)
        wrote(e, handout_put_float(room(e, 9), lua_tonumber(L, index)));
    else return encode_scalar(e, index);
    return 1;
}

/* Encodes elements straight from a traversal as long as they are scalars and the keys come as 1, 2, 3. Most
 * lists are that, and one pass both encodes and proves that there is no other key. Returns how many it
 * encoded, or -1, with nothing written, when the keys are not 1..n in this order. */
static lua_Integer encode_in_order(encoder *e, int slot, uint32_t length) {
    lua_State *L = e->L;
    struct handout_frame *frame = &e->codec->frames[e->depth - 1];
    size_t mark = e->codec->out.length;
    lua_Integer seen = 0, encoded = 0;
    write_header(e, HANDOUT_KIND_LIST, length);
    lua_pushnil(L);
    while (lua_next(L, slot)) {
        seen++;
        if (!lua_isinteger(L, slot + 1) || lua_tointeger(L, slot + 1) != seen) {
            lua_settop(L, slot);
            e->codec->out.length = mark;
            return -1;
        }
        if (encoded == seen - 1) { /* no table yet */
            frame->at = (size_t)seen;
            encoded += encode_element(e, slot + 2);
        }
        count_value(e);
        lua_settop(L, slot + 1);
    }
    return encoded;
}

/* Opens the table on the top of the stack: writes its header, and what of it needs no frame. */
static void open_table(encoder *e) {
    lua_State *L = e->L;
    handout_codec *codec = e->codec;
    const void *table = lua_topointer(L, -1);
    if (e->depth == HANDOUT_DEPTH) refuse(e, "nested deeper than 200 tables", NULL, NULL);
    for (int i = 0; i < e->depth; i++)
        if (codec->frames[i].table == table) refuse_cycle(e, i);
    if (!lua_checkstack(L, 6)) out_of_memory(e);
    if (codec->out.length > e->limit) too_large(e);
    struct handout_frame *frame = &codec->frames[e->depth];
    int slot = e->base + 1 + e->depth;
    size_t length = lua_rawlen(L, slot);
    *frame = (struct handout_frame){
        .table = table, .first = codec->keys_length, .at = 1, .end = 1, .is_list = 1};
    if (length > 0 && length <= e->limit) { /* a border can be far beyond the entries */
        e->depth++;
        lua_Integer encoded = encode_in_order(e, slot, (uint32_t)length);
        frame->at = (size_t)encoded + 1;
        frame->end = length + 1;
        if (encoded >= 0) return;
        e->depth--;
    }
    int is_list = collect_keys(e, slot, frame->first);
    size_t count = codec->keys_length - frame->first;
    e->depth++;
    write_header(e, is_list ? HANDOUT_KIND_LIST : HANDOUT_KIND_MAP, (uint32_t)count);
    frame->is_list = is_list;
    frame->at = is_list ? 1 : frame->first;
    frame->end = frame->at + count;
    if (is_list) codec->keys_length = frame->first;
    else sort_keys(codec->keys + frame->first, count);
}

/* Goes on with the list of the last frame, to its end or to a table in it; returns 1 at the end. */
static int continue_list(encoder *e, struct handout_frame *frame, int slot) {
    for (; frame->at < frame->end; frame->at++) {
        lua_rawgeti(e->L, slot, (lua_Integer)frame->at);
        count_value(e);
        if (!encode_element(e, slot + 1)) return 0;
        lua_settop(e->L, slot);
    }
    return 1;
}

static int continue_map(encoder *e, struct handout_frame *frame, int slot) {
    for (; frame->at < frame->end; frame->at++) {
        const struct handout_key *entry = &e->codec->keys[frame->at];
        write_scalar(e, entry->key_kind, &entry->key, entry->key_length);
        count_value(e);
        if (entry->value_kind == KIND_TABLE) {
            push_entry(e, slot, entry);
            return 0;
        }
        if (entry->value_kind == KIND_OTHER)
            refuse(e, "a %s %s", lua_typename(e->L, entry->value.as.type), e->verb);
        write_scalar(e, entry->value_kind, &entry->value, entry->value_length);
    }
    return 1;
}

static void encode_table(encoder *e, int index) {
    handout_codec *codec = e->codec;
    if (!codec->frames) codec->frames = malloc(HANDOUT_DEPTH * sizeof *codec->frames);
    if (!codec->frames || !lua_checkstack(e->L, 6)) out_of_memory(e);
    lua_pushvalue(e->L, index);
    open_table(e);
    while (e->depth) {
        struct handout_frame *frame = &codec->frames[e->depth - 1];
        int slot = e->base + e->depth;
        if (!(frame->is_list ? continue_list(e, frame, slot) : continue_map(e, frame, slot))) {
            open_table(e);
            continue;
        }
        lua_settop(e->L, slot - 1);
        codec->keys_length = frame->first;
        if (--e->depth) frame[-1].at++;
    }
}

void handout_encode(lua_State *L, handout_codec *codec, int index, const char *root, const char *verb) {
    encoder e = {.L = L, .codec = codec, .root = root, .verb = verb, .start = codec->out.length,
                 .limit = codec->out.limit ? codec->out.limit : UINT32_MAX, .base = lua_gettop(L),
                 .countdown = CHECK_EVERY};
    codec->refused = 0;
    codec->keys_length = 0;
    index = lua_absindex(L, index);
    if (!encode_scalar(&e, index)) encode_table(&e, index);
    if (codec->out.length > e.limit) too_large(&e);
    encoder_finish(&e);
}

/* Decoding */

/* A table being filled; it is on the Lua stack, of a map perhaps with a key above it. */
typedef struct filled {
    uint32_t left, index;
    int is_map;
} filled;

typedef struct decoder {
    lua_State *L;
    const uint8_t *bytes, *end;
    size_t owed; /* items that open tables still wait for: what is promised must fit what is left */
    int depth;
    filled tables[HANDOUT_WIRE_DEPTH];
} decoder;

_Noreturn static void malformed(const decoder *d, const uint8_t *at) {
    lua_pushfstring(d->L, "malformed value at byte %I", (LUAI_UACINT)(at - d->bytes + 1));
    lua_error(d->L);
    abort();
}

static void push_scalar(lua_State *L, const handout_item *item) {
    switch (item->kind) {
    case HANDOUT_KIND_INTEGER: lua_pushinteger(L, item->as.integer); break;
    case HANDOUT_KIND_FLOAT: lua_pushnumber(L, item->as.number); break;
    case HANDOUT_KIND_STRING: lua_pushlstring(L, (const char *)item->as.text, item->count); break;
    case HANDOUT_KIND_NIL: lua_pushnil(L); break;
    default: lua_pushboolean(L, item->kind == HANDOUT_KIND_TRUE); break;
    }
}

/* Pushes the new table whose header is at `at`; returns the position after the header. */
static const uint8_t *decode_header(decoder *d, const uint8_t *at) {
    handout_item item;
    const uint8_t *next = handout_item_read(at, d->end, &item);
    if (!next || d->depth == HANDOUT_WIRE_DEPTH) malformed(d, at);
    uint64_t parts = handout_item_parts(&item);
    if (parts + d->owed > (size_t)(d->end - next)) malformed(d, at);
    if (!lua_checkstack(d->L, 4)) {
        lua_pushliteral(d->L, "not enough memory");
        lua_error(d->L);
    }
    int is_map = item.kind == HANDOUT_KIND_MAP, size = item.count < (1 << 26) ? (int)item.count : 1 << 26;
    lua_createtable(d->L, is_map ? 0 : size, is_map ? size : 0);
    d->owed += parts;
    d->tables[d->depth++] = (filled){item.count, 0, is_map};
    return next;
}

/* Fills the list on the top up to its next table; returns the position of that, or after the list. */
static const uint8_t *fill_list(decoder *d, filled *list, const uint8_t *at) {
    handout_item item;
    for (; list->left; list->left--, d->owed--) {
        const uint8_t *next = handout_item_read(at, d->end, &item);
        if (!next || item.kind == HANDOUT_KIND_NIL) malformed(d, at);
        if (item.kind >= HANDOUT_KIND_LIST) return at;
        push_scalar(d->L, &item);
        lua_rawseti(d->L, -2, (lua_Integer)++list->index);
        at = next;
    }
    return at;
}

/* The same for a map; the key of the table found stays on the stack. */
static const uint8_t *fill_map(decoder *d, filled *map, const uint8_t *at) {
    handout_item item;
    for (; map->left; map->left--, d->owed--) {
        const uint8_t *next = handout_item_read(at, d->end, &item);
        if (!next || !handout_item_is_key(&item)) malformed(d, at);
        push_scalar(d->L, &item);
        d->owed--;
        at = next;
        next = handout_item_read(at, d->end, &item);
        if (!next || item.kind == HANDOUT_KIND_NIL) malformed(d, at);
        if (item.kind >= HANDOUT_KIND_LIST) return at;
        push_scalar(d->L, &item);
        lua_rawset(d->L, -3);
        at = next;
    }
    return at;
}

/* Puts the finished table on the top into the one around it. */
static void close_table(decoder *d) {
    if (--d->depth == 0) return;
    filled *outer = &d->tables[d->depth - 1];
    if (outer->is_map) lua_rawset(d->L, -3);
    else lua_rawseti(d->L, -2, (lua_Integer)++outer->index);
    outer->left--;
}

static const uint8_t *decode_table(lua_State *L, const uint8_t *bytes, const uint8_t *end) {
    decoder d;
    d.L = L, d.bytes = bytes, d.end = end, d.owed = 0, d.depth = 0;
    const uint8_t *at = decode_header(&d, bytes);
    while (d.depth) {
        filled *table = &d.tables[d.depth - 1];
        at = table->is_map ? fill_map(&d, table, at) : fill_list(&d, table, at);
        if (table->left == 0) {
            close_table(&d);
            continue;
        }
        d.owed--;
        at = decode_header(&d, at);
    }
    return at;
}

const uint8_t *handout_decode(lua_State *L, const uint8_t *bytes, const uint8_t *end) {
    handout_item item;
    const uint8_t *next = handout_item_read(bytes, end, &item);
    if (!lua_checkstack(L, 4)) {
        lua_pushliteral(L, "not enough memory");
        lua_error(L);
    }
    if (!next) {
        lua_pushliteral(L, "malformed value at byte 1");
        lua_error(L);
    }
    if (item.kind >= HANDOUT_KIND_LIST) return decode_table(L, bytes, end);
    push_scalar(L, &item);
    return next;
}

void handout_push_value(lua_State *L, const handout_value *cell) {
    switch (cell->tag) {
    case HANDOUT_FALSE: lua_pushboolean(L, 0); break;
    case HANDOUT_TRUE: lua_pushboolean(L, 1); break;
    case HANDOUT_INTEGER: lua_pushinteger(L, cell->as.integer); break;
    case HANDOUT_FLOAT: lua_pushnumber(L, cell->as.number); break;
    case HANDOUT_INLINE: handout_decode(L, cell->as.bytes, cell->as.bytes + cell->length); break;
    case HANDOUT_BLOB: handout_decode(L, cell->as.blob, cell->as.blob + cell->length); break;
    default: lua_pushnil(L); break;
    }
}

/* Comparing */

static int equal_scalar(lua_State *L, int index, const handout_item *item) {
    int type = lua_type(L, index);
    switch (item->kind) {
    case HANDOUT_KIND_NIL: return type == LUA_TNIL;
    case HANDOUT_KIND_INTEGER: return lua_isinteger(L, index) && lua_tointeger(L, index) == item->as.integer;
    case HANDOUT_KIND_FLOAT: {
        uint8_t a[9], b[9]; /* by their encoding: NaN is NaN, -0.0 is not 0.0 */
        if (type != LUA_TNUMBER || lua_isinteger(L, index)) return 0;
        handout_put_float(a, lua_tonumber(L, index));
        handout_put_float(b, item->as.number);
        return memcmp(a, b, sizeof a) == 0;
    }
    case HANDOUT_KIND_STRING: {
        size_t size;
        if (type != LUA_TSTRING) return 0;
        const char *text = lua_tolstring(L, index, &size);
        return size == item->count && memcmp(text, item->as.text, size) == 0;
    }
    default: return type == LUA_TBOOLEAN && lua_toboolean(L, index) == (item->kind == HANDOUT_KIND_TRUE);
    }
}

static int has_entries(lua_State *L, int slot, uint32_t count) {
    lua_pushnil(L);
    while (lua_next(L, slot)) {
        lua_settop(L, slot + 1);
        if (count-- == 0) return lua_settop(L, slot), 0;
    }
    return count == 0;
}

/* Pushes what the table at `slot` has for the next element; returns the position of the encoded one, or
 * NULL. */
static const uint8_t *push_counterpart(lua_State *L, int slot, filled *table, const uint8_t *at,
                                       const uint8_t *end) {
    handout_item key;
    table->left--;
    if (!table->is_map) return lua_rawgeti(L, slot, (lua_Integer)++table->index), at;
    at = handout_item_read(at, end, &key);
    if (!at || !handout_item_is_key(&key)) return NULL;
    push_scalar(L, &key);
    lua_rawget(L, slot);
    return at;
}

/* Compares the value on the top, and pops it unless it is a table to go into, which becomes `tables[depth]`.
 * Returns the position after what was compared, or NULL when it differs. */
static const uint8_t *equal_item(lua_State *L, filled *tables, int *depth, const uint8_t *at,
                                 const uint8_t *end) {
    handout_item item;
    int slot = lua_gettop(L);
    at = handout_item_read(at, end, &item);
    if (!at || (*depth && item.kind == HANDOUT_KIND_NIL)) return NULL;
    if (item.kind < HANDOUT_KIND_LIST) {
        if (!equal_scalar(L, slot, &item)) return NULL;
        lua_settop(L, slot - 1);
        return at;
    }
    if (!lua_istable(L, slot) || *depth == HANDOUT_WIRE_DEPTH || !lua_checkstack(L, 4)) return NULL;
    if (!has_entries(L, slot, item.count)) return NULL;
    tables[(*depth)++] = (filled){item.count, 0, item.kind == HANDOUT_KIND_MAP};
    return at;
}

int handout_equal(lua_State *L, int index, const uint8_t *bytes, size_t length) {
    filled tables[HANDOUT_WIRE_DEPTH];
    int depth = 0, base = lua_gettop(L);
    const uint8_t *at = bytes, *end = bytes + length;
    if (!lua_checkstack(L, 4)) return 0;
    lua_pushvalue(L, index);
    at = equal_item(L, tables, &depth, at, end);
    while (at && depth) {
        if (tables[depth - 1].left == 0) {
            lua_settop(L, base + --depth);
            continue;
        }
        at = push_counterpart(L, base + depth, &tables[depth - 1], at, end);
        if (at) at = equal_item(L, tables, &depth, at, end);
    }
    lua_settop(L, base);
    return at == end;
}
