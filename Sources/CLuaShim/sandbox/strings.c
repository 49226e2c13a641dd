/* The string library with checks of sizes asked for. Patterns and format stay Lua's own: what they build is
 * bounded by the allocator, and the time they take by the runner process. */
#include "sandbox.h"
#include <string.h>

/* Larger strings are an error; those between the memory limit and this end with the memory limit. */
static const size_t largest_string = (size_t)1 << 31;

/* Repeats the first `unit` bytes at `to` until `size` bytes are filled. */
static void repeat(char *to, size_t unit, size_t size) {
    for (size_t done = unit; done < size; done *= 2)
        memcpy(to + done, to, done < size - done ? done : size - done);
}

static int string_rep(lua_State *L) {
    size_t length, separator_length;
    const char *text = luaL_checklstring(L, 1, &length);
    lua_Integer times = luaL_checkinteger(L, 2);
    const char *separator = luaL_optlstring(L, 3, "", &separator_length);
    size_t unit = length + separator_length, most = largest_string;
    if (times <= 0 || unit == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    if (unit > most || (lua_Unsigned)times > most / unit) return luaL_error(L, "resulting string too large");
    luaL_Buffer result;
    size_t size = unit * (size_t)times - separator_length;
    char *to = luaL_buffinitsize(L, &result, size + separator_length);
    memcpy(to, text, length);
    memcpy(to + length, separator, separator_length);
    repeat(to, unit, size);
    luaL_pushresultsize(&result, size);
    return 1;
}

static int call_stock(lua_State *L) { return lua_tocfunction(L, lua_upvalueindex(1))(L); }

/* `cN` pads byte by byte up to N. */
static int string_pack(lua_State *L) {
    size_t most = largest_string;
    for (const char *at = luaL_checkstring(L, 1); *at != '\0'; at++) {
        if (*at != 'c') continue;
        size_t size = 0;
        while (at[1] >= '0' && at[1] <= '9' && size <= most) size = size * 10 + (size_t)(*++at - '0');
        if (size > most) return luaL_error(L, "resulting string too large");
    }
    return call_stock(L);
}

/* After an error its matcher has lost count of its depth, and could overflow the C stack (efddc230): so it
 * is used no more. Upvalues: Lua's own iterator, 1 while it is sound. */
static int gmatch_next(lua_State *L) {
    if (!lua_toboolean(L, lua_upvalueindex(2))) return luaL_error(L, "gmatch iterator failed before");
    lua_pushboolean(L, 0);
    lua_replace(L, lua_upvalueindex(2));
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_call(L, 0, LUA_MULTRET);
    lua_pushboolean(L, 1);
    lua_replace(L, lua_upvalueindex(2));
    return lua_gettop(L);
}

static int string_gmatch(lua_State *L) {
    int results = call_stock(L);
    if (results != 1) return results;
    lua_pushboolean(L, 1);
    lua_pushcclosure(L, gmatch_next, 2);
    return 1;
}

/* Replaces the function `name` by `ours`, with Lua's own as upvalue. */
static void wrap(lua_State *L, const char *name, lua_CFunction ours) {
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, ours, 1);
    lua_setfield(L, -2, name);
}

/* The string metatable keeps the real table as __index, so that methods need no proxy. */
void handout_fix_string(lua_State *L) {
    lua_pushcfunction(L, string_rep);
    lua_setfield(L, -2, "rep");
    wrap(L, "pack", string_pack);
    wrap(L, "gmatch", string_gmatch);
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
}
