/* Read-only tables: an empty table in front of the real one, with a metatable that scripts cannot reach. */
#include "sandbox.h"
#include <stdio.h>
#include <string.h>

char HANDOUT_KEY_GLOBALS, HANDOUT_KEY_REAL, HANDOUT_KEY_BASELINE;
static char behind; /* key in a proxy's metatable: the real table */

int handout_unwrap(lua_State *L, int index) {
    if (!lua_getmetatable(L, index)) return 0;
    if (lua_rawgetp(L, -1, &behind) == LUA_TNIL) {
        lua_pop(L, 2);
        return 0;
    }
    lua_replace(L, index > 0 ? index : index - 2);
    lua_pop(L, 1);
    return 1;
}

int handout_refuse_assignment(lua_State *L, const char *name, int key) {
    char text[200];
    if (lua_type(L, key) == LUA_TSTRING) {
        size_t length;
        const char *bytes = lua_tolstring(L, key, &length);
        handout_escape(bytes, length, 60, text, sizeof text);
    } else {
        handout_describe(L, key, text, sizeof text);
    }
    if (strcmp(name, "_G") == 0)
        return luaL_error(L, "globals are read-only in a task: '%s' cannot be assigned", text);
    return luaL_error(L, "%s is read-only: '%s' cannot be assigned", name, text);
}

static int proxy_newindex(lua_State *L) {
    return handout_refuse_assignment(L, lua_tostring(L, lua_upvalueindex(1)), 2);
}

static int proxy_len(lua_State *L) {
    lua_settop(L, 1);
    handout_unwrap(L, 1);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
    return 1;
}

static int proxy_pairs(lua_State *L) {
    lua_settop(L, 1);
    if (handout_of(L)->planning) {
        handout_unwrap(L, 1);
        return handout_push_ordered(L, 1, "pairs", " while planning");
    }
    lua_pushcfunction(L, handout_next);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

void handout_protect(lua_State *L, const char *name) {
    luaL_checkstack(L, 6, NULL);
    int real = lua_gettop(L);
    lua_newtable(L);
    lua_createtable(L, 0, 7);
    lua_pushvalue(L, real);
    lua_rawsetp(L, -2, &behind);
    lua_pushvalue(L, real);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, name);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__name");
    lua_pushcclosure(L, proxy_newindex, 1);
    lua_setfield(L, -2, "__newindex");
    lua_pushcfunction(L, proxy_pairs);
    lua_setfield(L, -2, "__pairs");
    lua_pushcfunction(L, proxy_len);
    lua_setfield(L, -2, "__len");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_replace(L, real);
}

/* ---- Globals ---- */

/* The values of G before the script began, to tell what it left there. */
static void keep_baseline(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_BASELINE) != LUA_TNIL) {
        lua_pop(L, 1);
        return;
    }
    lua_pop(L, 1);
    lua_newtable(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_REAL);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -5);
    }
    lua_pop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_BASELINE);
}

void handout_open_globals(handout_state *state, int open) {
    lua_State *L = state->L;
    luaL_checkstack(L, 8, NULL);
    if (open) keep_baseline(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_GLOBALS);
    lua_getmetatable(L, -1);
    if (open) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_REAL);
    } else {
        lua_pushliteral(L, "_G");
        lua_pushcclosure(L, proxy_newindex, 1);
    }
    lua_setfield(L, -2, "__newindex");
    lua_pop(L, 2);
}

int handout_globals_are_open(lua_State *L, int index) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_GLOBALS);
    int is_globals = lua_rawequal(L, -1, index);
    lua_pop(L, 1);
    if (!is_globals) return 0;
    int type = luaL_getmetafield(L, index, "__newindex");
    lua_pop(L, 1);
    return type == LUA_TTABLE;
}

/* 1 when every entry of the table at -2 is in the one at -1, with the same value. */
static int is_within(lua_State *L) {
    lua_pushnil(L);
    while (lua_next(L, -3)) {
        lua_pushvalue(L, -2);
        lua_rawget(L, -4);
        if (!lua_rawequal(L, -1, -2)) {
            lua_pop(L, 3);
            return 0;
        }
        lua_pop(L, 2);
    }
    return 1;
}

int handout_user_globals(handout_state *state) {
    lua_State *L = state->L;
    luaL_checkstack(L, 8, NULL);
    int found = 0;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_BASELINE) != LUA_TNIL) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_REAL);
        found = !is_within(L);
        lua_insert(L, -2);
        found = found || !is_within(L);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return found;
}

void handout_push_user_globals(lua_State *L) {
    luaL_checkstack(L, 10, NULL);
    lua_newtable(L);
    int result = lua_gettop(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_BASELINE);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_REAL);
    if (lua_istable(L, -2)) {
        for (lua_pushnil(L); lua_next(L, result + 2); lua_settop(L, result + 3)) {
            lua_pushvalue(L, -2);
            if (lua_rawget(L, result + 1) != LUA_TNIL) continue;
            lua_pushvalue(L, result + 3);
            lua_pushvalue(L, result + 4);
            lua_rawset(L, result);
        }
    }
    lua_settop(L, result);
}
