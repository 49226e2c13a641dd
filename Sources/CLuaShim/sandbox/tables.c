/* The table library: its loops look at the deadline, and refuse lengths that no table has. pack is Lua's
 * own, and sort, once the length is known. */
#include "sandbox.h"

enum { MOST_RESULTS = 1000 * 1000, CHECK_MASK = 1023 };

static lua_Integer length_of(lua_State *L, const char *function) {
    luaL_checktype(L, 1, LUA_TTABLE);
    if (luaL_getmetafield(L, 1, "__len") == LUA_TNIL) return (lua_Integer)lua_rawlen(L, 1);
    lua_pop(L, 1);
    lua_Integer length = luaL_len(L, 1);
    if (length > HANDOUT_MOST_ELEMENTS)
        return luaL_error(L, "%s: a length of %I is too large", function, length);
    return length;
}

static void check_sometimes(lua_State *L, lua_Integer i) {
    if ((i & CHECK_MASK) == 0) handout_check(handout_of(L));
}

static int table_insert(lua_State *L) {
    lua_Integer end = length_of(L, "insert") + 1, at = end;
    switch (lua_gettop(L)) {
    case 2:
        break;
    case 3:
        at = luaL_checkinteger(L, 2);
        luaL_argcheck(L, at >= 1 && at <= end, 2, "position out of bounds");
        for (lua_Integer i = end; i > at; i--) {
            lua_geti(L, 1, i - 1);
            lua_seti(L, 1, i);
            check_sometimes(L, i);
        }
        break;
    default:
        return luaL_error(L, "wrong number of arguments to 'insert'");
    }
    lua_seti(L, 1, at);
    return 0;
}

static int table_remove(lua_State *L) {
    lua_Integer length = length_of(L, "remove");
    lua_Integer at = luaL_optinteger(L, 2, length);
    if (at != length)
        luaL_argcheck(L, at >= 1 && at <= length + 1, 2, "position out of bounds");
    lua_geti(L, 1, at);
    for (; at < length; at++) {
        lua_geti(L, 1, at + 1);
        lua_seti(L, 1, at);
        check_sometimes(L, at);
    }
    lua_pushnil(L);
    lua_seti(L, 1, at);
    return 1;
}

static int table_move(lua_State *L) {
    lua_Integer first = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3), to = luaL_checkinteger(L, 4);
    int target = lua_isnoneornil(L, 5) ? 1 : 5;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, target, LUA_TTABLE);
    lua_settop(L, 5);
    lua_pushvalue(L, target);
    if (last < first) return 1;
    lua_Unsigned count = (lua_Unsigned)last - (lua_Unsigned)first + 1;
    luaL_argcheck(L, count - 1 < HANDOUT_MOST_ELEMENTS, 3, "too many elements to move");
    luaL_argcheck(L, to <= LUA_MAXINTEGER - (lua_Integer)count + 1, 4, "destination wrap around");
    int forward = to > last || to <= first || (target != 1 && !lua_compare(L, 1, target, LUA_OPEQ));
    for (lua_Integer done = 0; done < (lua_Integer)count; done++) {
        lua_Integer i = forward ? done : (lua_Integer)count - 1 - done;
        lua_geti(L, 1, first + i);
        lua_seti(L, target, to + i);
        check_sometimes(L, done);
    }
    return 1;
}

static void add_element(lua_State *L, luaL_Buffer *buffer, lua_Integer i) {
    lua_geti(L, 1, i);
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid value (at index %I) in table for 'concat'", (LUAI_UACINT)i);
    luaL_addvalue(buffer);
}

static int table_concat(lua_State *L) {
    size_t length;
    lua_Integer size = length_of(L, "concat");
    const char *separator = luaL_optlstring(L, 2, "", &length);
    lua_Integer first = luaL_optinteger(L, 3, 1), last = luaL_optinteger(L, 4, size);
    luaL_Buffer result;
    lua_settop(L, 4);
    luaL_buffinit(L, &result);
    if (first <= last) {
        lua_Unsigned steps = (lua_Unsigned)last - (lua_Unsigned)first;
        luaL_argcheck(L, steps < HANDOUT_MOST_ELEMENTS, 4, "too many elements");
        for (lua_Integer i = first; i < last; i++) {
            add_element(L, &result, i);
            luaL_addlstring(&result, separator, length);
            check_sometimes(L, i);
        }
        add_element(L, &result, last);
    }
    luaL_pushresult(&result);
    return 1;
}

static int table_unpack(lua_State *L) {
    lua_Integer first = luaL_optinteger(L, 2, 1);
    lua_Integer last = lua_isnoneornil(L, 3) ? luaL_len(L, 1) : luaL_checkinteger(L, 3);
    if (first > last) return 0;
    lua_Unsigned count = (lua_Unsigned)last - (lua_Unsigned)first + 1;
    if (count - 1 >= MOST_RESULTS || !lua_checkstack(L, (int)count))
        return luaL_error(L, "too many results to unpack");
    for (lua_Unsigned i = 0; i < count; i++) lua_geti(L, 1, first + (lua_Integer)i);
    return (int)count;
}

/* With __len, Lua's sort would ask again and could be told another length: it sorts a copy. */
static int sort_copy(lua_State *L, lua_Integer length) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_newtable(L);
    for (lua_Integer i = 1; i <= length; i++) {
        lua_geti(L, 1, i);
        luaL_argcheck(L, !lua_isnil(L, -1), 1, "has fewer elements than its length");
        lua_rawseti(L, 4, i);
        check_sometimes(L, i);
    }
    lua_pushvalue(L, 4);
    lua_insert(L, 3);
    lua_pushvalue(L, 2);
    lua_call(L, 2, 0);
    for (lua_Integer i = 1; i <= length; i++) {
        lua_rawgeti(L, 3, i);
        lua_seti(L, 1, i);
        check_sometimes(L, i);
    }
    return 0;
}

static int table_sort(lua_State *L) {
    if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_Integer length = length_of(L, "sort");
    if (luaL_getmetafield(L, 1, "__len") != LUA_TNIL) {
        lua_settop(L, 2);
        return sort_copy(L, length);
    }
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

void handout_fix_table(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"insert", table_insert}, {"remove", table_remove}, {"move", table_move},
        {"concat", table_concat}, {"unpack", table_unpack}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    lua_getfield(L, -1, "sort");
    lua_pushcclosure(L, table_sort, 1);
    lua_setfield(L, -2, "sort");
}
