/* Opens the allowed libraries. An allow-list: nothing is taken away from luaL_openlibs, so nothing can be
 * forgotten. */
#include "sandbox.h"
#include <string.h>

static void add_pair(lua_State *L, const char *name, lua_CFunction function) {
    lua_pushcfunction(L, function);
    handout_name_object(L, -1, name);
    lua_setfield(L, -2, name);
}

/* G is at index `globals`. */
static void open_library(lua_State *L, int globals, const char *name, lua_CFunction open,
                         void (*fix)(lua_State *L)) {
    lua_pushcfunction(L, open);
    lua_call(L, 0, 1);
    if (fix != NULL) fix(L);
    handout_name_functions(L, name);
    handout_protect(L, name);
    handout_name_object(L, -1, name);
    lua_setfield(L, globals, name);
}

/* From now on P is what chunks get as _ENV. */
static void open_base(lua_State *L) {
    lua_pushcfunction(L, luaopen_base);
    lua_call(L, 0, 1);
    handout_fix_base(L);
    handout_name_functions(L, "");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_REAL);
    handout_name_object(L, -1, "_G");
    lua_pushvalue(L, -1);
    handout_protect(L, "_G");
    handout_name_object(L, -1, "_G");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_GLOBALS);
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_setfield(L, -2, "_G");
}

/* Puts the task's set into G and the objects, and leaves there nothing of the planning set. */
static void start_with_task_set(lua_State *L, int globals) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_LIBRARY_OBJECTS);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_TASK_SET);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_PLANNING_SET);
    int planning = lua_gettop(L), task = planning - 1, objects = planning - 2;
    lua_pushnil(L);
    while (lua_next(L, planning)) { /* it has every name of the task's set */
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_pushvalue(L, -1);
        lua_rawget(L, task);
        if (strchr(lua_tostring(L, -2), '.') == NULL) {
            lua_pushvalue(L, -1);
            lua_setfield(L, globals, lua_tostring(L, -3));
        }
        lua_rawset(L, objects);
    }
    lua_pop(L, 3);
}

static void make_sets(lua_State *L, int globals) {
    lua_newtable(L);
    handout_add_withheld(L);
    add_pair(L, "pairs", handout_planning_pairs);
    add_pair(L, "next", handout_planning_next);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_PLANNING_SET);
    lua_newtable(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_PLANNING_SET);
    lua_insert(L, -2);
    handout_add_task_withheld(L, lua_gettop(L) - 1);
    handout_add_task_os(L, lua_gettop(L) - 1);
    lua_remove(L, -2);
    lua_getfield(L, globals, "pairs");
    lua_setfield(L, -2, "pairs");
    add_pair(L, "next", handout_next);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_TASK_SET);
    start_with_task_set(L, globals);
}

void handout_open_libraries(handout_state *state) {
    lua_State *L = state->L;
    int top = lua_gettop(L);
    luaL_checkstack(L, 20, NULL);
    /* Made while there is memory: 5.4.4 cannot make it when it needs it (25da574f). */
    lua_pushliteral(L, "error in error handling");
    luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_LIBRARY_NAMES);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_LIBRARY_OBJECTS);
    open_base(L);
    int globals = lua_gettop(L);
    open_library(L, globals, "coroutine", luaopen_coroutine, handout_fix_coroutine);
    open_library(L, globals, "table", luaopen_table, handout_fix_table);
    open_library(L, globals, "string", luaopen_string, handout_fix_string);
    open_library(L, globals, "math", luaopen_math, handout_fix_math);
    open_library(L, globals, "utf8", luaopen_utf8, NULL);
    make_sets(L, globals);
    lua_settop(L, top);
    if (state->planning) handout_use_planning_libraries(state, 1);
}
