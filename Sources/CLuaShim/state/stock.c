/* A state with all libraries of Lua and no limits, for code that has the rights of who starts it. */
#include "handout_lua.h"
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct stock {
    const handout_stock_source *modules;
    size_t module_count;
    const handout_stock_source *program;
    const char *const *arguments;
    size_t argument_count;
} stock;

static void load(lua_State *L, const handout_stock_source *source) {
    lua_pushfstring(L, "@%s", source->file);
    if (luaL_loadbufferx(L, source->text, source->length, lua_tostring(L, -1), "t") != LUA_OK) lua_error(L);
    lua_remove(L, -2);
}

/* Leaves one string: what the program returned. */
static int run(lua_State *L) {
    const stock *what = lua_touserdata(L, 1);
    luaL_openlibs(L);
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    for (size_t i = 0; i < what->module_count; i++) {
        load(L, &what->modules[i]);
        lua_setfield(L, -2, what->modules[i].name);
    }
    load(L, what->program);
    luaL_checkstack(L, (int)what->argument_count, "arguments");
    for (size_t i = 0; i < what->argument_count; i++) lua_pushstring(L, what->arguments[i]);
    lua_call(L, (int)what->argument_count, 1);
    luaL_checktype(L, -1, LUA_TSTRING);
    return 1;
}

static char *copy_text(lua_State *L, size_t *length) {
    const char *text = lua_tolstring(L, -1, length);
    if (!text) text = "raised no text", *length = strlen(text);
    char *copy = malloc(*length + 1);
    if (copy) memcpy(copy, text, *length), copy[*length] = 0;
    return copy;
}

int handout_stock_run(const handout_stock_source *modules, size_t module_count, const handout_stock_source *program,
                      const char *const *arguments, size_t argument_count, char **text, size_t *length) {
    stock what = {modules, module_count, program, arguments, argument_count};
    *text = NULL;
    *length = 0;
    lua_State *L = luaL_newstate();
    if (!L) return 1;
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, &what);
    int failed = lua_pcall(L, 1, 1, 0) != LUA_OK;
    if (!failed || lua_type(L, -1) == LUA_TSTRING) *text = copy_text(L, length);
    lua_close(L);
    fflush(stdout);
    return failed || !*text;
}
