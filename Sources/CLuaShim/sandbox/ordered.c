/* Iteration in a defined order: numbers ascending, strings bytewise, then false and true. Planning uses it
 * for pairs, so that a script makes the same plan each time; handout.sorted gives it everywhere. */
#include "sandbox.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct ordered_key {
    union {
        lua_Integer integer;
        lua_Number number;
        const char *string;
    } as;
    size_t length;    /* of a string */
    uint32_t at;      /* its place in the unsorted list */
    uint8_t kind;     /* in order: 0 integer, 1 float, 2 string, 3 boolean */
} ordered_key;

static int compare_integer_float(lua_Integer integer, lua_Number number) {
    if (number >= 0x1p63) return -1;
    if (number < -0x1p63) return 1;
    /* A float key is never integral within that range. */
    return integer <= (lua_Integer)floor(number) ? -1 : 1;
}

static int compare_numbers(const ordered_key *a, const ordered_key *b) {
    if (a->kind == 0 && b->kind == 0)
        return (a->as.integer > b->as.integer) - (a->as.integer < b->as.integer);
    if (a->kind == 0) return compare_integer_float(a->as.integer, b->as.number);
    if (b->kind == 0) return -compare_integer_float(b->as.integer, a->as.number);
    return (a->as.number > b->as.number) - (a->as.number < b->as.number);
}

static int compare_keys(const void *left, const void *right) {
    const ordered_key *a = left, *b = right;
    if (a->kind <= 1 && b->kind <= 1) return compare_numbers(a, b);
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    if (a->kind == 3) return (a->as.integer > b->as.integer) - (a->as.integer < b->as.integer);
    int order = memcmp(a->as.string, b->as.string, a->length < b->length ? a->length : b->length);
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

/* Reads the key at the top. */
static int read_key(lua_State *L, ordered_key *key) {
    switch (lua_type(L, -1)) {
    case LUA_TNUMBER:
        key->kind = lua_isinteger(L, -1) ? 0 : 1;
        if (key->kind == 0) key->as.integer = lua_tointeger(L, -1);
        else key->as.number = lua_tonumber(L, -1);
        return 1;
    case LUA_TSTRING:
        key->kind = 2;
        key->as.string = lua_tolstring(L, -1, &key->length);
        return 1;
    case LUA_TBOOLEAN:
        key->kind = 3;
        key->as.integer = lua_toboolean(L, -1);
        return 1;
    default:
        return 0;
    }
}

static int refuse_key(lua_State *L, const char *who, const char *when) {
    return luaL_error(L, "%s: a %s as key has no defined order%s", who, luaL_typename(L, -1), when);
}

/* Fills the scratch buffer with the keys of the table at `table`, and the list at the top with the same, in
 * one pass and without a collection: an entry of a weak table cannot go in between. Returns 1 when they
 * came in order. */
static int read_keys(lua_State *L, int table, const char *who, const char *when) {
    handout_state *state = handout_of(L);
    int list = lua_gettop(L), sorted = 1;
    ordered_key key = {0}, last = {0};
    state->scratch.length = 0;
    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_pop(L, 1);
        if (!read_key(L, &key)) refuse_key(L, who, when);
        key.at++;
        if (key.at > 1 && compare_keys(&last, &key) > 0) sorted = 0;
        if (handout_buffer_append(&state->scratch, &key, sizeof key) != 0)
            luaL_error(L, "%s: not enough memory", who);
        lua_pushvalue(L, -1);
        lua_rawseti(L, list, key.at);
        last = key;
        if ((key.at & 1023) == 0) handout_check(state);
    }
    return sorted;
}

/* Pushes a list of all keys of the table at `table`, in order. */
static void push_keys(lua_State *L, int table, const char *who, const char *when) {
    handout_state *state = handout_of(L);
    lua_createtable(L, (int)lua_rawlen(L, table), 0);
    if (!read_keys(L, table, who, when)) {
        ordered_key *keys = (ordered_key *)state->scratch.data;
        size_t count = state->scratch.length / sizeof *keys;
        qsort(keys, count, sizeof *keys, compare_keys);
        lua_createtable(L, (int)count, 0);
        for (size_t i = 0; i < count; i++) {
            lua_rawgeti(L, -2, keys[i].at);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        lua_remove(L, -2);
    }
    if (state->scratch.capacity > (size_t)1 << 20) handout_buffer_free(&state->scratch);
}

/* Upvalues: the table, the list of its keys, the place in it. */
static int ordered_next(lua_State *L) {
    lua_Integer i = lua_tointeger(L, lua_upvalueindex(3));
    for (;;) {
        if (lua_rawgeti(L, lua_upvalueindex(2), ++i) == LUA_TNIL) return 1;
        lua_pushvalue(L, -1);
        if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) break; /* it may have been removed since */
        lua_pop(L, 2);
    }
    lua_pushinteger(L, i);
    lua_replace(L, lua_upvalueindex(3));
    return 2;
}

int handout_push_ordered(lua_State *L, int index, const char *who, const char *when) {
    index = lua_absindex(L, index);
    luaL_checkstack(L, 8, NULL);
    lua_pushvalue(L, index);
    push_keys(L, index, who, when);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, ordered_next, 3);
    lua_pushvalue(L, index);
    lua_pushnil(L);
    return 3;
}

static int three_results(lua_State *L, int status, lua_KContext context) {
    (void)L, (void)status, (void)context;
    return 3;
}

int handout_planning_pairs(lua_State *L) {
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
        lua_insert(L, 1);
        lua_callk(L, 1, 3, 0, three_results);
        return 3;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    return handout_push_ordered(L, 1, "pairs", " while planning");
}

int handout_sorted(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    handout_unwrap(L, 1);
    return handout_push_ordered(L, 1, "sorted", "");
}

int handout_planning_next(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    if (!lua_isnoneornil(L, 2))
        return luaL_error(L, "next with a key has no defined order while planning: use pairs");
    lua_settop(L, 1);
    handout_unwrap(L, 1);
    lua_pushnil(L); /* 2: the first key so far */
    ordered_key key = {0}, first = {0};
    lua_pushnil(L);
    for (int any = 0; lua_next(L, 1); any = 1) {
        lua_pop(L, 1);
        if (!read_key(L, &key)) return refuse_key(L, "next", " while planning");
        if (any && compare_keys(&key, &first) > 0) continue;
        first = key;
        lua_pushvalue(L, -1);
        lua_replace(L, 2);
    }
    lua_settop(L, 2);
    if (lua_isnil(L, 2)) return 1;
    lua_pushvalue(L, 2);
    lua_rawget(L, 1);
    return 2;
}
