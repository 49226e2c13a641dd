/* Words from scripts: sizes, durations, ids, and how they are shown in messages. Nothing here raises or
 * allocates. */
#include "sandbox.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Characters ---- */

/* Control (Cc), separator (Zs, Zl, Zp) and format (Cf) characters outside ASCII, and the noncharacters of
 * plane 0. */
static const uint32_t unprintable[][2] = {
    {0x80, 0xA0},       {0xAD, 0xAD},       {0x600, 0x605},     {0x61C, 0x61C},     {0x6DD, 0x6DD},
    {0x70F, 0x70F},     {0x890, 0x891},     {0x8E2, 0x8E2},     {0x1680, 0x1680},   {0x180E, 0x180E},
    {0x2000, 0x200F},   {0x2028, 0x202F},   {0x205F, 0x2064},   {0x2066, 0x206F},   {0x3000, 0x3000},
    {0xFEFF, 0xFEFF},   {0xFFF9, 0xFFFB},   {0x110BD, 0x110BD}, {0x110CD, 0x110CD}, {0x13430, 0x1343F},
    {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0001, 0xE0001}, {0xE0020, 0xE007F},
};

static int is_printable(uint32_t character) {
    if (character < 0x80) return character >= 0x20 && character < 0x7F;
    for (size_t i = 0; i < sizeof unprintable / sizeof *unprintable; i++)
        if (character >= unprintable[i][0] && character <= unprintable[i][1]) return 0;
    return 1;
}

/* Reads one character of strict UTF-8; returns its size, or 0. */
static size_t read_character(const char *text, size_t length, uint32_t *character) {
    const unsigned char *bytes = (const unsigned char *)text;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (length == 0) return 0;
    if (bytes[0] < 0x80) {
        *character = bytes[0];
        return 1;
    }
    size_t size = bytes[0] >= 0xF0 ? 4 : bytes[0] >= 0xE0 ? 3 : 2;
    if (bytes[0] < 0xC2 || bytes[0] > 0xF4 || size > length) return 0;
    *character = bytes[0] & (0x7Fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((bytes[i] & 0xC0) != 0x80) return 0;
        *character = *character << 6 | (bytes[i] & 0x3F);
    }
    if (*character < least[size] || *character > 0x10FFFF) return 0;
    if (*character >= 0xD800 && *character < 0xE000) return 0;
    return size;
}

/* What stands for itself in an id; those that it may not begin with are 2. */
static const uint8_t id_bytes[256] = {
    ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['_'] = 1, ['-'] = 2, ['.'] = 2,
    [':'] = 2,         ['@'] = 2,         ['+'] = 2,         ['='] = 2, [','] = 2, ['%'] = 2,
};

size_t handout_id_character(const char *text, size_t length) {
    uint32_t character;
    size_t size = read_character(text, length, &character);
    if (size != 1) return size != 0 && is_printable(character) ? size : 0;
    return id_bytes[character] != 0;
}

const char *handout_check_id(const char *id, size_t length) {
    if (length == 0) return "it is empty";
    if (length > 200) return "it is longer than 200 bytes";
    if (id_bytes[(uint8_t)id[0]] == 2) return "it must begin with a letter, a digit or _";
    for (size_t at = 0, size; at < length; at += size) {
        size = id_bytes[(uint8_t)id[at]] ? 1 : handout_id_character(id + at, length - at);
        if (size == 0) return "only letters, digits and _ - . : @ + = , % are allowed (see handout.id)";
    }
    return NULL;
}

void handout_escape(const char *bytes, size_t length, size_t limit, char *text, size_t size) {
    size_t used = 0, at = 0;
    uint32_t character;
    if (size < 8) {
        if (size > 0) *text = '\0';
        return;
    }
    while (at < length && at < limit && used + 8 < size) { /* room for one more and "..." */
        size_t step = read_character(bytes + at, length - at, &character);
        if (step != 0 && at + step > limit) break;
        if (step != 0 && is_printable(character)) {
            memcpy(text + used, bytes + at, step);
            used += step;
            at += step;
        } else {
            used += (size_t)snprintf(text + used, size - used, "\\x%02X", (unsigned char)bytes[at++]);
        }
    }
    strcpy(text + used, at < length ? "..." : "");
}

void handout_describe(lua_State *L, int index, char *text, size_t size) {
    size_t length;
    char escaped[200];
    switch (lua_type(L, index)) {
    case LUA_TSTRING: {
        const char *bytes = lua_tolstring(L, index, &length);
        handout_escape(bytes, length, 60, escaped, sizeof escaped);
        snprintf(text, size, "\"%s\"", escaped);
        break;
    }
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) snprintf(text, size, LUA_INTEGER_FMT, lua_tointeger(L, index));
        else if (isnan(lua_tonumber(L, index))) snprintf(text, size, "nan"); /* the sign says nothing */
        else snprintf(text, size, "%.14g", lua_tonumber(L, index));
        break;
    case LUA_TBOOLEAN:
        snprintf(text, size, "%s", lua_toboolean(L, index) ? "true" : "false");
        break;
    case LUA_TNIL:
    case LUA_TNONE:
        snprintf(text, size, "nil");
        break;
    case LUA_TUSERDATA:
    case LUA_TLIGHTUSERDATA:
        snprintf(text, size, "a handle");
        break;
    default:
        snprintf(text, size, "a %s", lua_typename(L, lua_type(L, index)));
    }
}

/* ---- Sizes and durations ---- */

typedef struct unit {
    const char *name;
    uint64_t factor;
} unit;

static const unit sizes[] = {
    {"KiB", 1ull << 10}, {"MiB", 1ull << 20}, {"GiB", 1ull << 30}, {"TiB", 1ull << 40}, {"kB", 1000},
    {"MB", 1000000},     {"GB", 1000000000},  {"TB", 1000000000000}, {"B", 1}, {NULL, 0}};

/* Descending; "ms" and "us" before the units that they end or begin with. */
static const unit durations[] = {
    {"ms", 1000000},       {"us", 1000},       {"d", 86400000000000}, {"h", 3600000000000},
    {"m", 60000000000},    {"s", 1000000000},  {NULL, 0}};

/* Reads "12.5KiB" from `*text`: a product, rounded down, of number and unit. Returns the unit's factor, or
 * 0. */
static uint64_t read_amount(const char **text, const unit *units, uint64_t *value) {
    const char *at = *text;
    unsigned __int128 whole = 0, fraction = 0, scale = 1;
    if (*at < '0' || *at > '9') return 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        whole = whole * 10 + (unsigned)(*at - '0');
        if (whole > INT64_MAX) return 0;
    }
    if (*at == '.') {
        if (*++at < '0' || *at > '9') return 0;
        for (; *at >= '0' && *at <= '9'; at++)
            if (scale < 1000000000000000) fraction = fraction * 10 + (unsigned)(*at - '0'), scale *= 10;
    }
    for (const unit *each = units; each->name != NULL; each++) {
        size_t length = strlen(each->name);
        if (strncmp(at, each->name, length) != 0) continue;
        unsigned __int128 product = whole * each->factor + fraction * each->factor / scale;
        if (product > INT64_MAX) return 0;
        *value = (uint64_t)product;
        *text = at + length;
        return each->factor;
    }
    return 0;
}

/* The string at `index` when it has no NUL, else "". */
static const char *plain_string(lua_State *L, int index) {
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    return strlen(text) == length ? text : "";
}

static int refuse(lua_State *L, int index, const char *expected, char *error, size_t size) {
    char got[220];
    handout_describe(L, index, got, sizeof got);
    snprintf(error, size, "expected %s, got %s", expected, got);
    return -1;
}

static int parse_size_string(const char *text, uint64_t *bytes) {
    return read_amount(&text, sizes, bytes) != 0 && *text == '\0';
}

int handout_parse_size(lua_State *L, int index, uint64_t *bytes, char *error, size_t size) {
    int whole;
    if (lua_type(L, index) == LUA_TNUMBER) {
        lua_Integer number = lua_tointegerx(L, index, &whole);
        *bytes = (uint64_t)number;
        if (whole && number >= 0) return 0;
    } else if (lua_type(L, index) == LUA_TSTRING && parse_size_string(plain_string(L, index), bytes)) {
        return 0;
    }
    return refuse(L, index, "a size such as \"512MiB\"", error, size);
}

static int parse_duration_string(const char *text, uint64_t *nanoseconds) {
    uint64_t last = UINT64_MAX, value;
    *nanoseconds = 0;
    do {
        uint64_t factor = read_amount(&text, durations, &value);
        if (factor == 0 || factor >= last || value > INT64_MAX - *nanoseconds) return 0;
        *nanoseconds += value;
        last = factor;
    } while (*text != '\0');
    return 1;
}

int handout_parse_duration(lua_State *L, int index, uint64_t *nanoseconds, char *error, size_t size) {
    if (lua_type(L, index) == LUA_TNUMBER) {
        double seconds = lua_tonumber(L, index);
        if (seconds >= 0 && seconds < 9.2e9) { /* so is no NaN */
            *nanoseconds = (uint64_t)llround(seconds * 1e9);
            return 0;
        }
    } else if (lua_type(L, index) == LUA_TSTRING) {
        if (parse_duration_string(plain_string(L, index), nanoseconds)) return 0;
    }
    return refuse(L, index, "a duration such as \"1h30m\" or seconds", error, size);
}

static int only_digits(const char *text) {
    size_t length = strlen(text);
    return length > 0 && length < 18 && strspn(text, "0123456789") == length;
}

int handout_size_from_text(const char *text, uint64_t *bytes) {
    if (!only_digits(text)) return parse_size_string(text, bytes) ? 0 : -1;
    *bytes = strtoull(text, NULL, 10);
    return 0;
}

int handout_duration_from_text(const char *text, uint64_t *nanoseconds) {
    if (!only_digits(text) || strlen(text) > 9) return parse_duration_string(text, nanoseconds) ? 0 : -1;
    *nanoseconds = strtoull(text, NULL, 10) * 1000000000u;
    return 0;
}
