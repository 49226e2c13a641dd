/* `handout` while a script is planned: handout.graph, require, and the opening of a state for scripts. */
#include "graph.h"
#include "sandbox.h"
#include "task.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_GRAPHS = 0xFFFF };

/* ---- The module ---- */

void handout_only_planning(lua_State *L, const char *call) {
    if (handout_of(L)->task && !handout_of(L)->planning) luaL_error(L, "%s is only there while planning, not in a task", call);
}

static int module_graph(lua_State *L) {
    handout_recorder *recorder = handout_recorder_of(L);
    handout_only_planning(L, "handout.graph");
    handout_graph_record record = {0};
    record.defaults = (handout_option_set){0};
    memset(&record.defaults, 0, sizeof record.defaults);
    record.defaults.cpu = 10000;
    record.defaults.grant = record.defaults.resources = record.defaults.variants = HANDOUT_NONE;
    record.defaults.where = record.defaults.worker = HANDOUT_NONE;
    record.defaults.arity = 8;
    record.defaults.backoff_factor = 1;
    int options = lua_type(L, 1) == LUA_TTABLE ? 1 : 0;
    if (options) {
        lua_pushliteral(L, "name");
        lua_rawget(L, 1);
    } else {
        lua_pushvalue(L, 1);
    }
    char shown[260];
    handout_describe(L, -1, shown, sizeof shown);
    size_t length = 0;
    const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
    const char *wrong = name ? handout_check_id(name, length) : NULL;
    if (!name) handout_refuse(L, recorder, "id", "graph: the name is a string, got %s", shown);
    else if (wrong) handout_refuse(L, recorder, "id", "graph %s: not an id: %s", shown, wrong);
    if (recorder->graphs.count >= MAX_GRAPHS) return luaL_error(L, "more than 65535 graphs");
    record.name = name && !wrong ? strdup(name) : strdup("graph");
    record.name_length = strlen(record.name);
    record.kinds.size = 1;
    record.options.size = record.lines.size = record.classes.size = record.capture_offsets.size = 4;
    record.captures.size = record.name_offsets.size = record.reference_offsets.size = record.references.size = 4;
    record.names.size = 1;
    record.outputs.size = sizeof(handout_plan_output);
    handout_parsed parsed = {.limits = HANDOUT_NONE, .weight = 1};
    if (options) {
        char who[300];
        snprintf(who, sizeof who, "graph '%s'", record.name);
        memcpy(&parsed.set, &record.defaults, sizeof parsed.set);
        handout_parse_options(L, recorder, options, HANDOUT_CALL_GRAPH, who, &parsed);
        memcpy(&record.defaults, &parsed.set, sizeof parsed.set);
        handout_collect_measures(L, &parsed);
    }
    record.limits = parsed.limits;
    record.deadline = parsed.deadline;
    record.weight = parsed.weight;
    handout_graph_record *added = handout_vector_add(&recorder->graphs);
    handout_need_memory(L, added);
    memcpy(added, &record, sizeof record);
    handout_keep_measures(L, recorder, (uint32_t)(recorder->graphs.count - 1), &parsed);
    handout_graph_object *graph = lua_newuserdatauv(L, sizeof *graph, 0);
    *graph = (handout_graph_object){HANDOUT_GRAPH_MAGIC, (uint32_t)(recorder->graphs.count - 1)};
    luaL_setmetatable(L, "handout.graph");
    return 1;
}

/* ---- require ---- */

typedef struct module_source {
    const char *source, *chunk_name;
    size_t size;
} module_source;

/* Protected: loads and runs a module. Arguments: its source, its name. */
static int run_module(lua_State *L) {
    const module_source *from = lua_touserdata(L, 1);
    handout_recorder_load(L, handout_recorder_of(L), from->source, from->size, from->chunk_name);
    lua_pushvalue(L, 2);
    lua_call(L, 1, 1);
    return 1;
}

/* Calls run_module, protected, with random numbers of the module's own: what they are depends on nothing but its name,
 * whichever task or script requires it first. */
static int call_module(lua_State *L, const char *name, size_t length) {
    handout_state *state = handout_of(L);
    uint64_t random[4], stream = state->random_stream;
    int seeded = state->random_seeded;
    memcpy(random, state->random, sizeof random);
    state->random_stream = handout_hash(HANDOUT_HASH, name, length);
    state->random_seeded = 0;
    int status = lua_pcall(L, 2, 1, 0);
    state->random_stream = stream;
    state->random_seeded = seeded;
    memcpy(state->random, random, sizeof random);
    return status;
}

static int module_require(lua_State *L) {
    handout_recorder *recorder = handout_recorder_of(L);
    size_t length;
    const char *name = luaL_checklstring(L, 1, &length);
    char error[1024] = "";
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_MODULES);
    lua_pushvalue(L, 1);
    int type = lua_rawget(L, 2);
    if (handout_runner_of(L)) handout_runner_of(L)->required = 1;
    if (type == LUA_TLIGHTUSERDATA && !lua_touserdata(L, -1)) return luaL_error(L, "module '%s' requires itself", name);
    int in_task = handout_runner_of(L) && !handout_runner_of(L)->asker && !handout_of(L)->planning;
    if (type != LUA_TNIL) {
        if (in_task) handout_note_module(L, name); /* where the script ran again, it was loaded by that */
        return 1;
    }
    module_source from;
    uint32_t index;
    if (recorder->host->module(recorder->host->context, name, length, &from.source, &from.size, &from.chunk_name, &index, error,
                               sizeof error))
        return in_task ? luaL_error(L, "module '%s' was not required while planning: require it outside the task", name)
                       : luaL_error(L, "%s", error);
    lua_pushvalue(L, 1);
    lua_pushlightuserdata(L, NULL); /* being loaded */
    lua_rawset(L, 2);
    lua_pushcfunction(L, run_module);
    lua_pushlightuserdata(L, &from);
    lua_pushvalue(L, 1);
    /* A module is planning code: it must be the same in every state. One that a task meets first was seen while
     * planning, as the program is sealed. Protected: a task that catches its error goes on as a task. */
    if (in_task) handout_task_side(handout_of(L), 1);
    int status = call_module(L, name, length);
    if (in_task) handout_task_side(handout_of(L), 0);
    if (status != LUA_OK) {
        lua_pushvalue(L, 1);
        lua_pushnil(L); /* loaded no longer */
        lua_rawset(L, 2);
        return lua_error(L);
    }
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
    }
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -2);
    lua_rawset(L, 2);
    if (lua_type(L, -1) == LUA_TTABLE || lua_type(L, -1) == LUA_TFUNCTION) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_MODULE_NAMES);
        lua_pushvalue(L, -2);
        lua_pushvalue(L, 1);
        lua_rawset(L, -3);
        lua_pop(L, 1);
    }
    if (in_task) handout_note_module(L, name);
    return 1;
}

static void new_registry_table(lua_State *L, void *key) {
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void handout_recorder_open(lua_State *L, handout_recorder *recorder) {
    static const luaL_Reg functions[] = {{"graph", module_graph}, {"param", handout_module_param}, {"read", handout_module_read},
                                         {"glob", handout_module_glob}, {"cluster", handout_module_cluster},
                                         {"allocator", handout_module_allocator}, {"tracker", handout_module_tracker},
                                         {NULL, NULL}};
    handout_state *state = handout_of(L);
    state->plan = recorder;
    handout_open_libraries(state);
    new_registry_table(L, &HANDOUT_KEY_MODULES);
    new_registry_table(L, &HANDOUT_KEY_MODULE_NAMES);
    lua_newtable(L);
    recorder->held = luaL_ref(L, LUA_REGISTRYINDEX);
    new_registry_table(L, &HANDOUT_KEY_TEMPLATES);
    handout_open_graphs(L);
    luaL_newlib(L, functions);
    for (const luaL_Reg *f = functions; f->name; f++) {
        char name[40];
        snprintf(name, sizeof name, "handout.%s", f->name);
        lua_getfield(L, -1, f->name);
        handout_name_object(L, -1, name);
        lua_pop(L, 1);
    }
    handout_add_common(L);
    handout_add_task_calls(L);
    handout_protect(L, "handout");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_MODULES);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "handout");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_MODULE_NAMES);
    lua_pushvalue(L, -3);
    lua_pushliteral(L, "handout");
    lua_rawset(L, -3);
    lua_pop(L, 3);
    lua_pushcfunction(L, module_require);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_REAL);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "require");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_LIBRARY_NAMES);
    lua_pushvalue(L, -3);
    lua_pushliteral(L, "require");
    lua_rawset(L, -3);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_LIBRARY_OBJECTS);
    lua_pushvalue(L, -4);
    lua_setfield(L, -2, "require");
    lua_pop(L, 4);
}

void handout_recorder_load(lua_State *L, handout_recorder *recorder, const char *source, size_t length,
                           const char *chunk_name) {
    uint32_t index = handout_source_index(recorder, chunk_name);
    handout_source *record = (handout_source *)recorder->sources.data + index;
    record->text = source;
    record->length = length;
    if (luaL_loadbufferx(L, source, length, chunk_name, "t") != LUA_OK) {
        recorder->bad_syntax = 1;
        lua_error(L);
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_GLOBALS);
    lua_setupvalue(L, -2, 1);
}

