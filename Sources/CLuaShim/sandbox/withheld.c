/* What a script may not have: names that exist all the same, so that their call can say what to use instead. */
#include "sandbox.h"
#include <string.h>

typedef struct withheld {
    const char *name, *instead;
} withheld;

#define SAME_PLAN " while planning: the plan must be the same each time it is made"
#define FILES ": use handout.read while planning, handout.fs in a task"
#define WRITING ": use print, or handout.fs in a task"
#define SCRATCH ": use handout.task.scratch in a task"
#define COMMANDS ": use handout.exec in a task"

static const withheld withheld_os[] = {
    {"time", SAME_PLAN},
    {"clock", SAME_PLAN},
    {"date", SAME_PLAN},
    {"difftime", SAME_PLAN},
    {"execute", COMMANDS},
    {"exit", ": use error"},
    {"remove", ": use handout.fs in a task"},
    {"rename", ": use handout.fs in a task"},
    {"setlocale", ""},
    {"tmpname", SCRATCH},
    {"getenv", ": use handout.param while planning, handout.env in a task"},
    {NULL, NULL},
};

static const withheld withheld_io[] = {
    {"open", FILES},      {"lines", FILES},  {"read", FILES},     {"input", FILES},
    {"close", FILES},     {"type", FILES},   {"popen", COMMANDS}, {"tmpfile", SCRATCH},
    {"write", WRITING},   {"output", WRITING}, {NULL, NULL},
};

static const withheld withheld_debug[] = {
    {"traceback", ": an error that nothing catches is shown with its traceback"},
    {"setmetatable", ": use setmetatable"},
    {"getmetatable", ": use getmetatable"},
    {"debug", ""},        {"gethook", ""},      {"getinfo", ""},      {"getlocal", ""},  {"getregistry", ""},
    {"getupvalue", ""},   {"getuservalue", ""}, {"setcstacklimit", ""}, {"sethook", ""}, {"setlocal", ""},
    {"setupvalue", ""},   {"setuservalue", ""}, {"upvalueid", ""},    {"upvaluejoin", ""}, {NULL, NULL},
};

static const withheld withheld_package[] = {
    {"loadlib", ": use require with Lua source"},
    {"searchpath", ": use require"},
    {NULL, NULL},
};

static int refuse(lua_State *L) {
    if (handout_of(L)->no_script) return luaL_error(L, "%s is not available in this file", lua_tostring(L, lua_upvalueindex(2)));
    return luaL_error(L, "%s", lua_tostring(L, lua_upvalueindex(1)));
}

/* Stores `value` at the top in the set at `set` under `name`, notes its name, and pops it. */
static void add_to_set(lua_State *L, int set, const char *name) {
    handout_name_object(L, -1, name);
    lua_setfield(L, set, name);
}

static void push_refusal(lua_State *L, const char *name, const char *instead) {
    lua_pushfstring(L, "%s is not available%s", name, instead);
    lua_pushstring(L, name);
    lua_pushcclosure(L, refuse, 2);
}

static void add_library(lua_State *L, const char *library, const withheld *functions) {
    int set = lua_gettop(L);
    luaL_checkstack(L, 10, NULL);
    lua_newtable(L);
    for (const withheld *each = functions; each->name != NULL; each++) {
        const char *name = lua_pushfstring(L, "%s.%s", library, each->name);
        push_refusal(L, name, each->instead);
        lua_pushvalue(L, -1);
        lua_setfield(L, set + 1, each->name);
        add_to_set(L, set, name);
        lua_pop(L, 1);
    }
    handout_name_object(L, -1, library);
    handout_protect(L, library);
    add_to_set(L, set, library);
}

void handout_add_withheld(lua_State *L) {
    add_library(L, "os", withheld_os);
    add_library(L, "io", withheld_io);
    add_library(L, "debug", withheld_debug);
    add_library(L, "package", withheld_package);
    int set = lua_gettop(L);
    push_refusal(L, "dofile", ": use require");
    add_to_set(L, set, "dofile");
    push_refusal(L, "loadfile", ": use require");
    add_to_set(L, set, "loadfile");
}

/* Stores what the planning set has under a name in the set at `set`, and pushes it. */
static void take_from_planning(lua_State *L, int set, int planning, const char *name) {
    lua_getfield(L, planning, name);
    lua_pushvalue(L, -1);
    lua_setfield(L, set, name);
}

static void add_task_library(lua_State *L, int set, int planning, const char *library, const withheld *functions) {
    take_from_planning(L, set, planning, library);
    lua_pop(L, 1);
    for (const withheld *each = functions; each->name != NULL; each++) {
        take_from_planning(L, set, planning, lua_pushfstring(L, "%s.%s", library, each->name));
        lua_pop(L, 2);
    }
}

void handout_add_task_withheld(lua_State *L, int planning) {
    int set = lua_gettop(L);
    luaL_checkstack(L, 8, NULL);
    add_task_library(L, set, planning, "io", withheld_io);
    add_task_library(L, set, planning, "debug", withheld_debug);
    add_task_library(L, set, planning, "package", withheld_package);
    take_from_planning(L, set, planning, "dofile");
    take_from_planning(L, set, planning, "loadfile");
    lua_pop(L, 2);
}

void handout_add_task_os(lua_State *L, int planning) {
    static const char *const kept[] = {"time", "clock", "date", "difftime"};
    int set = lua_gettop(L);
    luaL_checkstack(L, 8, NULL);
    lua_pushcfunction(L, luaopen_os);
    lua_call(L, 0, 1);
    lua_newtable(L);
    for (const withheld *each = withheld_os; each->name != NULL; each++) {
        if (strcmp(each->instead, SAME_PLAN) == 0) continue;
        take_from_planning(L, set, planning, lua_pushfstring(L, "os.%s", each->name));
        lua_setfield(L, set + 2, each->name);
        lua_pop(L, 1);
    }
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        lua_getfield(L, set + 1, kept[i]);
        lua_pushvalue(L, -1);
        lua_setfield(L, set + 2, kept[i]);
        const char *name = lua_pushfstring(L, "os.%s", kept[i]);
        lua_insert(L, -2);
        add_to_set(L, set, name);
        lua_pop(L, 1);
    }
    handout_name_object(L, -1, "os");
    handout_protect(L, "os");
    add_to_set(L, set, "os");
    lua_pop(L, 1);
}
