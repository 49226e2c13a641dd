/* The option `grant`: what a task asks for. */
#include "plan.h"
#include <stdio.h>
#include <string.h>

enum { MOST_ENTRIES = 1000, LONGEST = 4000 };

static const char *const kinds[] = {"exec", "read", "write", "env", "host", NULL};
static const char *const lists[] = {"a list of program names", "a list of paths", "a list of paths", "a list of names of variables",
                                    "a list of names of functions"};

static void refuse_list(lua_State *L, handout_recorder *recorder, const char *who, int kind, int index) {
    char what[160];
    handout_describe(L, index, what, sizeof what);
    handout_refuse(L, recorder, "option", "%s: option 'grant.%s': expected %s, got %s", who, kinds[kind], lists[kind], what);
}

static void refuse_entry(lua_State *L, handout_recorder *recorder, const char *who, int kind, lua_Integer i, const char *why) {
    char what[160];
    handout_describe(L, -1, what, sizeof what);
    handout_refuse(L, recorder, "option", "%s: option 'grant.%s[%d]': expected %s, got %s", who, kinds[kind], (int)i, why, what);
}

/* Why the string at the top cannot be an entry, as "expected ...", or NULL. */
static const char *wrong_entry(lua_State *L, int kind) {
    if (lua_type(L, -1) != LUA_TSTRING) return "a string";
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    if (length == 0 || length > LONGEST || strlen(text) != length) return "a string of 1 to 4000 bytes, none of them zero";
    if (kind > 2 && strchr(text, '=')) return "a name without '='";
    return NULL;
}

static int is_list(lua_State *L, int index, lua_Integer count) {
    if (lua_type(L, index) != LUA_TTABLE) return 0;
    lua_Integer keys = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        if (++keys > count) {
            lua_pop(L, 2);
            return 0;
        }
    return keys == count;
}

/* Copies the list at the top to the grant's table at `to`. */
static void read_list(lua_State *L, handout_recorder *recorder, const char *who, int kind, int to) {
    int list = lua_gettop(L);
    lua_Integer count = lua_type(L, list) == LUA_TTABLE ? (lua_Integer)lua_rawlen(L, list) : 0;
    if (!is_list(L, list, count)) {
        refuse_list(L, recorder, who, kind, list);
        return;
    }
    if (count > MOST_ENTRIES) {
        handout_refuse(L, recorder, "option", "%s: option 'grant.%s': expected at most 1000 entries, got %d", who, kinds[kind],
                       (int)count);
        return;
    }
    if (count == 0) return;
    lua_createtable(L, (int)count, 0);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, list, i);
        const char *wrong = wrong_entry(L, kind);
        if (wrong) refuse_entry(L, recorder, who, kind, i, wrong);
        lua_rawseti(L, -2, i);
    }
    lua_setfield(L, to, kinds[kind]);
}

static void refuse_key(lua_State *L, handout_recorder *recorder, const char *who, int key) {
    size_t length = 0;
    const char *word = lua_type(L, key) == LUA_TSTRING ? lua_tolstring(L, key, &length) : "";
    const char *near = handout_nearest(word, length, kinds);
    char shown[100];
    handout_describe(L, key, shown, sizeof shown);
    if (near) handout_refuse(L, recorder, "option", "%s: option 'grant': unknown key %s (did you mean '%s'?)", who, shown, near);
    else handout_refuse(L, recorder, "option", "%s: option 'grant': unknown key %s", who, shown);
}

/* The pool index of the table at the top, which is plain data; many tasks in a row ask for the same. */
static uint32_t grant_index(lua_State *L, handout_recorder *recorder, const char *who) {
    const handout_buffer *bytes = &recorder->state->codec.out;
    if (!handout_encode_or_refuse(L, recorder, "option", who, "grant", "cannot be asked for")) return HANDOUT_NONE;
    if (recorder->last_grant) {
        uint64_t position = handout_pool_position(((uint64_t *)(void *)recorder->pool.data)[recorder->last_grant - 1]);
        if (position + bytes->length <= recorder->pool_bytes.count &&
            memcmp(recorder->pool_bytes.data + position, bytes->data, bytes->length) == 0)
            return recorder->last_grant - 1;
    }
    uint32_t index = handout_pool_add(L, recorder, HANDOUT_POOL_DATA, bytes->data, bytes->length);
    recorder->last_grant = index + 1;
    return index;
}

void handout_read_grant(lua_State *L, handout_recorder *recorder, const char *who, handout_option_set *set) {
    int table = lua_gettop(L);
    if (lua_type(L, table) != LUA_TTABLE) {
        char what[160];
        handout_describe(L, table, what, sizeof what);
        handout_refuse(L, recorder, "option", "%s: option 'grant': expected a table such as { read = { \"data\" } }, got %s", who,
                       what);
        return;
    }
    size_t errors = recorder->errors.count;
    luaL_checkstack(L, 12, "grant");
    lua_createtable(L, 0, 5);
    for (lua_pushnil(L); lua_next(L, table); lua_settop(L, table + 2)) {
        int kind = 5;
        if (lua_type(L, -2) == LUA_TSTRING)
            for (kind = 0; kind < 5 && strcmp(lua_tostring(L, -2), kinds[kind]) != 0;) kind++;
        if (kind < 5) read_list(L, recorder, who, kind, table + 1);
        else refuse_key(L, recorder, who, lua_absindex(L, -2));
    }
    lua_settop(L, table + 1);
    set->grant = HANDOUT_NONE; /* the nearest one holds, as a whole */
    lua_pushnil(L);
    if (recorder->errors.count == errors && lua_next(L, table + 1)) {
        lua_settop(L, table + 1);
        set->grant = grant_index(L, recorder, who);
    }
    lua_settop(L, table);
}
