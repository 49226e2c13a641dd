/* Fields of the tables that cluster files, trackers and strategies give. */
#include "file.h"
#include "sandbox.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void handout_refuse_field(lua_State *L, handout_recorder *recorder, const char *who, const char *name, const char *expected) {
    char what[160];
    handout_describe(L, -1, what, sizeof what);
    handout_refuse(L, recorder, "field", "%s: field '%s': expected %s, got %s", who, name, expected, what);
}

int handout_field_amount(lua_State *L, handout_recorder *recorder, const char *who, const char *name, uint64_t *amount) {
    lua_Number n = lua_tonumber(L, -1);
    if (lua_type(L, -1) == LUA_TNUMBER && n >= 0 && n <= 1e9) {
        *amount = (uint64_t)llround(n * 10000);
        return 0;
    }
    handout_refuse_field(L, recorder, who, name, "a number from 0 to 1000000000");
    return -1;
}

/* What a parser of text.c says is wrong with the value. */
static int refuse_parsed(lua_State *L, handout_recorder *recorder, const char *who, const char *name, const char *error) {
    handout_refuse(L, recorder, "field", "%s: field '%s': %s", who, name, error);
    return -1;
}

int handout_field_memory(lua_State *L, handout_recorder *recorder, const char *who, const char *name, uint64_t *bytes) {
    char error[200];
    if (handout_parse_size(L, -1, bytes, error, sizeof error)) return refuse_parsed(L, recorder, who, name, error);
    if (*bytes == 0 || *bytes >= 1u << 20) return 0;
    handout_refuse_field(L, recorder, who, name, "0 or at least 1MiB");
    return -1;
}

int handout_field_duration(lua_State *L, handout_recorder *recorder, const char *who, const char *name, uint64_t *nanoseconds) {
    char error[200];
    if (handout_parse_duration(L, -1, nanoseconds, error, sizeof error)) return refuse_parsed(L, recorder, who, name, error);
    return 0;
}

int handout_field_rate(lua_State *L, handout_recorder *recorder, const char *who, const char *name, uint64_t *rate) {
    char error[200];
    size_t length;
    int good = 0;
    if (lua_type(L, -1) == LUA_TNUMBER) {
        good = handout_parse_size(L, -1, rate, error, sizeof error) == 0;
    } else if (lua_type(L, -1) == LUA_TSTRING) {
        const char *text = lua_tolstring(L, -1, &length);
        if (length > 2 && strcmp(text + length - 2, "/s") == 0) {
            lua_pushlstring(L, text, length - 2);
            good = handout_parse_size(L, -1, rate, error, sizeof error) == 0;
            lua_pop(L, 1);
        }
    }
    if (good && *rate > 0) return 0;
    handout_refuse_field(L, recorder, who, name, "a size a second, above 0, such as \"1GB/s\"");
    return -1;
}

const char *handout_field_text(lua_State *L, handout_recorder *recorder, const char *who, const char *name, const char *expected) {
    size_t length = 0;
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
    if (text && length > 0 && strlen(text) == length) return text;
    handout_refuse_field(L, recorder, who, name, expected);
    return NULL;
}

int handout_is_resource_name(const char *name, size_t length) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-/";
    return length > 0 && length <= 200 && strspn(name, letters) == length;
}

const char *handout_field_resource(lua_State *L, handout_recorder *recorder, const char *who, const char *name) {
    char shown[160];
    size_t length = 0;
    const char *text = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : "";
    if (!handout_is_resource_name(text, length)) {
        handout_describe(L, -2, shown, sizeof shown);
        handout_refuse(L, recorder, "field", "%s: field '%s': a name is 1 to 200 letters, digits, '_', '-' and '/', got %s", who, name,
                       shown);
        return NULL;
    }
    if (strcmp(text, "cpu") != 0 && strcmp(text, "memory") != 0 && strcmp(text, "gpu") != 0) return text;
    handout_refuse(L, recorder, "field", "%s: field '%s': '%s' is a field of its own", who, name, text);
    return NULL;
}

static void refuse_key(lua_State *L, handout_recorder *recorder, const char *who, const char *const *names) {
    char shown[100];
    size_t length = 0;
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : NULL;
    handout_describe(L, -2, shown, sizeof shown);
    if (!key) {
        handout_refuse(L, recorder, "field", "%s: unknown key %s", who, shown);
        return;
    }
    const char *near = handout_nearest(key, length, names);
    handout_escape(key, length, 40, shown, sizeof shown);
    if (near) handout_refuse(L, recorder, "field", "%s: unknown field '%s' (did you mean '%s'?)", who, shown, near);
    else handout_refuse(L, recorder, "field", "%s: unknown field '%s'", who, shown);
}

void handout_refuse_unknown_fields(lua_State *L, handout_recorder *recorder, const char *who, int table,
                                   const char *const *names, lua_Integer positions) {
    size_t errors = recorder->errors.count;
    uint32_t looked = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        if ((++looked & 0xFFF) == 0) handout_check(handout_of(L));
        size_t length = 0;
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : NULL;
        int known = lua_isinteger(L, -2) && lua_tointeger(L, -2) >= 1 && lua_tointeger(L, -2) <= positions;
        for (const char *const *name = names; key && !known && *name; name++)
            known = strlen(*name) == length && memcmp(*name, key, length) == 0;
        if (!known) refuse_key(L, recorder, who, names);
    }
    handout_sort_errors(recorder, errors);
}

char *handout_keep_text(lua_State *L, handout_vector *texts, const char *text, size_t length) {
    char **to = handout_vector_add(texts);
    if (!to) handout_exhausted(L);
    *to = malloc(length + 1);
    if (!*to) handout_exhausted(L);
    memcpy(*to, text, length);
    (*to)[length] = 0;
    return *to;
}
