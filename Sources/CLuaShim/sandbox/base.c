/* Our versions of the functions of the base library that would reach out of the sandbox or into proxies. */
#include "sandbox.h"
#include <string.h>

enum { MOST_SOURCE = 1 << 20 };

/* Text in a string only: bytecode can do anything, and a C function as reader never lets a hook run. */
static int base_load(lua_State *L) {
    size_t length;
    if (lua_type(L, 1) != LUA_TSTRING)
        return luaL_error(L, "load takes the whole source as one string, not a %s that gives it in pieces",
                          luaL_typename(L, 1));
    const char *source = lua_tolstring(L, 1, &length);
    const char *name = luaL_optstring(L, 2, source);
    const char *mode = luaL_optstring(L, 3, "t");
    if (length > MOST_SOURCE) return luaL_error(L, "load: the source is larger than 1 MiB");
    if (strchr(mode, 't') == NULL) {
        lua_pushnil(L);
        lua_pushfstring(L, "attempt to load a text chunk (mode is '%s')", mode);
        return 2;
    }
    if (luaL_loadbufferx(L, source, length, name, "t") != LUA_OK) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    if (lua_isnone(L, 4)) return 1;
    lua_pushvalue(L, 4);
    if (lua_setupvalue(L, -2, 1) == NULL) lua_pop(L, 1);
    return 1;
}

/* No finalizers: no hook runs in them. */
static int base_setmetatable(lua_State *L) {
    int type = lua_type(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    lua_settop(L, 2);
    if (type == LUA_TTABLE) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "a metatable with __gc is not available: use a <close> variable");
        lua_settop(L, 2);
    }
    lua_setmetatable(L, 1);
    return 1;
}

/* Upvalues: bytes in use after the last collection, calls so far. A script that collects a large heap in a
 * loop gets every sixteenth. */
static int base_collectgarbage(lua_State *L) {
    handout_state *state = handout_of(L);
    const char *option = luaL_optstring(L, 1, "collect");
    if (strcmp(option, "count") == 0) {
        lua_pushnumber(L, (lua_Number)state->used / 1024);
        return 1;
    }
    if (strcmp(option, "collect") != 0)
        return luaL_error(L, "collectgarbage '%s' is not available: only 'collect' and 'count' are", option);
    size_t last = (size_t)lua_tointeger(L, lua_upvalueindex(1));
    lua_Integer times = lua_tointeger(L, lua_upvalueindex(2)) + 1;
    if (state->used < ((size_t)8 << 20) || state->used > last + last / 16 || times % 16 == 0 || times < 16) {
        handout_check(state);
        lua_gc(L, LUA_GCCOLLECT);
        handout_check(state);
        lua_pushinteger(L, (lua_Integer)state->used);
        lua_replace(L, lua_upvalueindex(1));
    }
    lua_pushinteger(L, times);
    lua_replace(L, lua_upvalueindex(2));
    lua_pushinteger(L, 0);
    return 1;
}

static int base_print(lua_State *L) {
    handout_state *state = handout_of(L);
    int count = lua_gettop(L);
    luaL_Buffer line;
    luaL_buffinit(L, &line);
    for (int i = 1; i <= count; i++) {
        if (i > 1) luaL_addchar(&line, '\t');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&line);
    }
    luaL_pushresult(&line);
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    if (state->template_mode && state->planning) return 0; /* it was printed when the plan was made */
    if (!state->planning) {
        handout_task_log(state, 1, text, length);
    } else if (state->host != NULL && state->host->log != NULL) {
        state->host->log(state->host->context, ~(uint32_t)0, 1, text, length);
    }
    return 0;
}

static int base_rawget(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    handout_unwrap(L, 1);
    lua_rawget(L, 1);
    return 1;
}

static int base_rawset(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    luaL_checkany(L, 3);
    lua_settop(L, 3);
    lua_pushvalue(L, 1);
    if (handout_unwrap(L, 4)) {
        if (!handout_globals_are_open(L, 1)) {
            luaL_getmetafield(L, 1, "__name");
            return handout_refuse_assignment(L, lua_tostring(L, -1), 2);
        }
    }
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_rawset(L, 4);
    lua_settop(L, 1);
    return 1;
}

static int base_rawlen(lua_State *L) {
    int type = lua_type(L, 1);
    luaL_argexpected(L, type == LUA_TTABLE || type == LUA_TSTRING, 1, "table or string");
    lua_settop(L, 1);
    if (type == LUA_TTABLE) handout_unwrap(L, 1);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
    return 1;
}

int handout_next(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    handout_unwrap(L, 1);
    if (lua_next(L, 1)) return 2;
    lua_pushnil(L);
    return 1;
}

void handout_fix_base(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"load", base_load},     {"setmetatable", base_setmetatable}, {"print", base_print},
        {"rawget", base_rawget}, {"rawset", base_rawset},             {"rawlen", base_rawlen},
        {"next", handout_next},  {"collectgarbage", NULL},            {"dofile", NULL},
        {"loadfile", NULL},      {"warn", NULL},                      {NULL, NULL}};
    for (const luaL_Reg *each = functions; each->name != NULL; each++) {
        if (each->func != NULL) lua_pushcfunction(L, each->func);
        else lua_pushnil(L);
        lua_setfield(L, -2, each->name);
    }
    lua_pushinteger(L, 0);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, base_collectgarbage, 2);
    lua_setfield(L, -2, "collectgarbage");
}
