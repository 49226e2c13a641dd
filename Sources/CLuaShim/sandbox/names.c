/* Library functions and tables by name, so that a captured one can be named in a plan and found again in a
 * task. */
#include "sandbox.h"
#include <string.h>

char HANDOUT_KEY_LIBRARY_NAMES, HANDOUT_KEY_LIBRARY_OBJECTS, HANDOUT_KEY_PLANNING_SET, HANDOUT_KEY_TASK_SET;

void handout_name_object(lua_State *L, int index, const char *name) {
    index = lua_absindex(L, index);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_LIBRARY_NAMES);
    lua_pushvalue(L, index);
    lua_pushstring(L, name);
    lua_rawset(L, -3);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_LIBRARY_OBJECTS);
    lua_pushvalue(L, index);
    lua_setfield(L, -2, name);
    lua_pop(L, 2);
}

void handout_name_functions(lua_State *L, const char *prefix) {
    int table = lua_gettop(L);
    luaL_checkstack(L, 8, NULL);
    lua_pushnil(L);
    while (lua_next(L, table)) {
        if (lua_type(L, -1) == LUA_TFUNCTION && lua_type(L, -2) == LUA_TSTRING) {
            if (*prefix != '\0') lua_pushfstring(L, "%s.%s", prefix, lua_tostring(L, -2));
            else lua_pushvalue(L, -2);
            handout_name_object(L, -2, lua_tostring(L, -1));
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    if (*prefix != '\0') handout_name_object(L, table, prefix);
}

const char *handout_library_name(lua_State *L, int index) {
    int type = lua_type(L, index);
    if (type != LUA_TFUNCTION && type != LUA_TTABLE) return NULL;
    index = lua_absindex(L, index);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_LIBRARY_NAMES);
    lua_pushvalue(L, index);
    lua_rawget(L, -2);
    const char *name = lua_tostring(L, -1); /* the table keeps it */
    lua_pop(L, 2);
    return name;
}

void handout_push_library(lua_State *L, const char *name) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_LIBRARY_OBJECTS);
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    lua_remove(L, -2);
}

void handout_push_captured_library(lua_State *L, const char *name) {
    static const char host[] = "handout.host.";
    handout_push_library(L, name);
    if (!lua_isnil(L, -1) || strncmp(name, host, sizeof host - 1) != 0) return;
    lua_pop(L, 1);
    handout_push_library(L, "handout.host");
    lua_getfield(L, -1, name + sizeof host - 1); /* makes it */
    lua_remove(L, -2);
}

/* ---- Planning and task sets ----
 *
 * A set maps each name, dotted ones too, to its object: { pairs = f, os = proxy, ["os.time"] = f, ... }. */

/* In the table at the top: `name` becomes the value of `to` where it is the value of `from`. */
static void swap_value(lua_State *L, int table, int from, int to, const char *name) {
    lua_getfield(L, from, name);
    lua_pushstring(L, name);
    lua_rawget(L, table);
    if (lua_rawequal(L, -1, -2)) { /* otherwise the script has put its own there */
        lua_pushstring(L, name);
        lua_getfield(L, to, name);
        lua_rawset(L, table);
    }
    lua_pop(L, 2);
}

/* Does so for every name in the set at `names`. */
static void swap_set(lua_State *L, int table, int from, int to, int names, int dotted) {
    lua_pushnil(L);
    while (lua_next(L, names)) {
        lua_pop(L, 1);
        const char *name = lua_tostring(L, -1);
        if (dotted || strchr(name, '.') == NULL) swap_value(L, table, from, to, name);
    }
}

static void swap_table(lua_State *L, void *key, int from, int to, int dotted) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) != LUA_TNIL) {
        int table = lua_gettop(L);
        swap_set(L, table, from, to, from, dotted);
        swap_set(L, table, from, to, to, dotted);
    }
    lua_pop(L, 1);
}

void handout_use_planning_libraries(handout_state *state, int planning) {
    lua_State *L = state->L;
    luaL_checkstack(L, 12, NULL);
    int top = lua_gettop(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, planning ? &HANDOUT_KEY_TASK_SET : &HANDOUT_KEY_PLANNING_SET);
    lua_rawgetp(L, LUA_REGISTRYINDEX, planning ? &HANDOUT_KEY_PLANNING_SET : &HANDOUT_KEY_TASK_SET);
    swap_table(L, &HANDOUT_KEY_REAL, top + 1, top + 2, 0);
    swap_table(L, &HANDOUT_KEY_BASELINE, top + 1, top + 2, 0);
    swap_table(L, &HANDOUT_KEY_LIBRARY_OBJECTS, top + 1, top + 2, 1);
    state->planning = planning;
    lua_settop(L, top);
}
