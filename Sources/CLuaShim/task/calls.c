/* What `handout` has inside a task: task, log, progress, fail, retry; files and programs are elsewhere. */
#include "grants.h"
#include "sandbox.h"
#include "arguments.h"
#include "remote.h"
#include "task.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RAISED_MAGIC = 0x48525331, LOG_LIMIT = 1 << 20, MAX_RETRY_TEXT = 4096 };

static handout_runner *inside(lua_State *L, const char *call) {
    handout_runner *runner = handout_runner_of(L);
    if (!runner || runner->asker) luaL_error(L, "%s is only there inside a task", call);
    return runner;
}

/* ---- handout.task ---- */

const char *handout_runner_name(handout_runner *runner) {
    if (runner->name) return runner->name;
    const handout_host *host = runner->state->host;
    char *text = (char *)runner->name_text.data;
    size_t room = runner->name_text.capacity, n = host->task_name(host->context, runner->item->task, text, room);
    if (n >= room) { /* keys of maps may be long */
        runner->name_text.length = 0;
        text = (char *)handout_buffer_reserve(&runner->name_text, n + 1);
        if (!text) handout_leave(runner->state, HANDOUT_MEMORY, "no memory left for the name of the task");
        host->task_name(host->context, runner->item->task, text, n);
    }
    text[n] = 0;
    return runner->name = text;
}

uint64_t handout_task_stream(handout_state *state) {
    handout_runner *runner = state->task;
    if (!runner) return 0;
    const char *name = handout_runner_name(runner);
    return handout_hash(HANDOUT_HASH, name, strlen(name));
}

/* The id that the task was declared with: of one of an included graph without the names of the includes. */
static void push_declared_name(lua_State *L, handout_runner *runner) {
    const uint32_t *offsets = runner->tables->name_offsets;
    const char *name = (const char *)runner->tables->name_bytes + offsets[runner->row];
    size_t length = offsets[runner->row + 1] - offsets[runner->row], start = length;
    while (start > 0 && name[start - 1] != '/') start--;
    lua_pushlstring(L, name + start, length - start);
}

static void push_task_key(lua_State *L, handout_runner *runner) {
    handout_place place;
    handout_locate(runner->tables, runner->item->task, &place);
    if (place.group && place.group->is_map) handout_push_key(L, runner->tables, place.group, place.element);
    else lua_pushnil(L);
}

/* Sets `name` in the table at the top: bytes, or cores and the like as an integer where it is one. */
void handout_set_amount(lua_State *L, const char *name, uint64_t amount) {
    if (strcmp(name, "memory") == 0) lua_pushinteger(L, (lua_Integer)amount);
    else if (amount % 10000 == 0) lua_pushinteger(L, (lua_Integer)(amount / 10000));
    else lua_pushnumber(L, (lua_Number)amount / 10000);
    lua_setfield(L, -2, name);
}

static void push_amounts(lua_State *L, handout_runner *runner) {
    const handout_claim *claim = runner->item->claim;
    lua_createtable(L, 0, 2);
    handout_set_amount(L, "cpu", runner->item->cpu);
    if (runner->item->memory) handout_set_amount(L, "memory", runner->item->memory);
    for (uint32_t i = 0; claim && i < claim->amount_count; i++) handout_set_amount(L, claim->amounts[i].name, claim->amounts[i].amount);
}

/* An index as a number where it is one. */
static void push_index(lua_State *L, const char *name) {
    size_t digits = strspn(name, "0123456789");
    if (digits > 0 && digits < 10 && !name[digits]) lua_pushinteger(L, atoi(name));
    else lua_pushstring(L, name);
}

static void push_indices(lua_State *L, handout_runner *runner) {
    const handout_claim *claim = runner->item->claim;
    lua_newtable(L);
    for (uint32_t i = 0; claim && i < claim->index_count; i++) {
        if (lua_getfield(L, -1, claim->indices[i].resource) != LUA_TTABLE) {
            lua_pop(L, 1);
            lua_newtable(L);
            lua_pushvalue(L, -1);
            lua_setfield(L, -3, claim->indices[i].resource);
        }
        push_index(L, claim->indices[i].name);
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
        lua_pop(L, 1);
    }
}

/* Of the attempt: the supervisor's to make, where there is one. */
static void push_scratch(lua_State *L, handout_runner *runner) {
    if (!handout_remote_of(L)) {
        lua_pushstring(L, handout_scratch(L, runner));
        return;
    }
    lua_settop(L, 0);
    handout_remote_perform(L, HANDOUT_CALL_SCRATCH, "task.scratch");
}

static int task_index(lua_State *L) {
    handout_runner *runner = inside(L, "handout.task");
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (strcmp(key, "id") == 0) lua_pushstring(L, handout_runner_name(runner));
    else if (strcmp(key, "name") == 0) push_declared_name(L, runner);
    else if (strcmp(key, "key") == 0) push_task_key(L, runner);
    else if (strcmp(key, "attempt") == 0) lua_pushinteger(L, runner->item->attempt - (runner->item->recovers != NULL));
    else if (strcmp(key, "retries_left") == 0) lua_pushinteger(L, runner->item->retries_left);
    else if (strcmp(key, "run") == 0) lua_pushstring(L, runner->program->run_id);
    else if (strcmp(key, "worker") == 0) lua_pushstring(L, runner->program->worker);
    else if (strcmp(key, "variant") == 0) lua_pushinteger(L, runner->item->claim ? runner->item->claim->variant : 1);
    else if (strcmp(key, "amounts") == 0) push_amounts(L, runner);
    else if (strcmp(key, "scratch") == 0) push_scratch(L, runner);
    else if (strcmp(key, "indices") == 0) push_indices(L, runner);
    else if (strcmp(key, "missing") == 0) handout_push_missing(L, runner, runner->item->task);
    else if (strcmp(key, "deadline") == 0 && runner->deadline)
        lua_pushnumber(L, fmax(0, ((double)runner->deadline - (double)handout_now()) / 1e9));
    else lua_pushnil(L);
    return 1;
}

static int read_only(lua_State *L) { return luaL_error(L, "handout.task is read-only"); }

/* ---- log, progress ---- */

void handout_task_log(handout_state *state, int level, const char *text, size_t length) {
    handout_runner *runner = state->task;
    if (!runner || runner->logged > LOG_LIMIT) return;
    if (runner->logged + length > LOG_LIMIT) {
        static const char cut[] = "log cut: more than 1 MiB in this attempt";
        runner->logged = LOG_LIMIT + 1;
        state->host->log(state->host->context, runner->item->task, 2, cut, sizeof cut - 1);
        return;
    }
    runner->logged += length + 1;
    state->host->log(state->host->context, runner->item->task, level, text, length);
}

static int call_log(lua_State *L) {
    static const char *const levels[] = {"debug", "info", "warning", "error", NULL};
    int level = luaL_checkoption(L, 1, NULL, levels);
    luaL_checkstring(L, 2);
    int elsewhere = handout_recorder_of(L)->purpose != HANDOUT_FOR_GRAPH;
    if (!elsewhere) inside(L, "handout.log");
    handout_push_library(L, "string.format");
    lua_replace(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    const handout_host *host = handout_of(L)->host;
    if (elsewhere) host->log(host->context, ~(uint32_t)0, level, text, length); /* a strategy's or a tracker's */
    else handout_task_log(handout_of(L), level, text, length);
    return 0;
}

static int call_progress(lua_State *L) {
    handout_runner *runner = inside(L, "handout.progress");
    lua_Number fraction = luaL_checknumber(L, 1);
    size_t length = 0;
    const char *text = luaL_optlstring(L, 2, "", &length);
    if (!(fraction >= 0 && fraction <= 1)) return luaL_error(L, "progress: expected a fraction from 0 to 1, got %f", fraction);
    uint64_t now = handout_now();
    if (now - runner->last_progress < 100000000u && fraction < 1) return 0;
    runner->last_progress = now;
    const handout_host *host = runner->state->host;
    host->progress(host->context, runner->item->task, fraction, text, length > 1000 ? 1000 : length);
    return 0;
}

/* ---- fail, retry ---- */

handout_raised *handout_to_raised(lua_State *L, int index) {
    handout_raised *raised = lua_type(L, index) == LUA_TUSERDATA ? lua_touserdata(L, index) : NULL;
    return raised && lua_rawlen(L, index) == sizeof *raised && raised->magic == RAISED_MAGIC ? raised : NULL;
}

static int raised_index(lua_State *L) {
    if (!handout_to_raised(L, 1)) return 0;
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "message") == 0) lua_getiuservalue(L, 1, 1);
    else lua_pushnil(L);
    return 1;
}

static int raised_tostring(lua_State *L) {
    if (!handout_to_raised(L, 1)) return luaL_error(L, "expected an error of handout.fail");
    lua_getiuservalue(L, 1, 1);
    return 1;
}

/* Pushes an error whose message is at stack `index`. */
static handout_raised *push_raised(lua_State *L, int index) {
    index = lua_absindex(L, index);
    handout_raised *raised = lua_newuserdatauv(L, sizeof *raised, 1);
    *raised = (handout_raised){.magic = RAISED_MAGIC};
    lua_pushvalue(L, index);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, "handout.raised");
    return raised;
}

void handout_refuse_call(lua_State *L, const char *format, ...) {
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    luaL_where(L, 1);
    lua_pushstring(L, text);
    lua_concat(L, 2);
    push_raised(L, -1)->never_retry = 1;
    lua_error(L);
    __builtin_unreachable();
}

static int call_fail(lua_State *L) {
    inside(L, "handout.fail");
    luaL_checkstring(L, 1);
    push_raised(L, 1)->never_retry = 1;
    return lua_error(L);
}

static void read_retry_options(lua_State *L, handout_raised *raised) {
    for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        char error[200];
        if (strcmp(key, "after") == 0) {
            if (handout_parse_duration(L, -1, &raised->after, error, sizeof error)) luaL_error(L, "retry: after: %s", error);
            raised->has_after = 1;
        } else if (strcmp(key, "ended") == 0) {
            const char *ended = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
            if (strcmp(ended, "memory") == 0) raised->ended = HANDOUT_MEMORY;
            else if (strcmp(ended, "timeout") == 0) raised->ended = HANDOUT_TIMEOUT;
            else if (strcmp(ended, "error") != 0) luaL_error(L, "retry: ended: expected \"error\", \"memory\" or \"timeout\"");
        } else {
            static const char *const names[] = {"after", "ended", NULL};
            const char *near = handout_nearest(key, strlen(key), names);
            char shown[100];
            handout_describe(L, -2, shown, sizeof shown);
            if (near) luaL_error(L, "retry: unknown option %s (did you mean '%s'?)", shown, near);
            luaL_error(L, "retry: unknown option %s", shown);
        }
    }
}

static int call_retry(lua_State *L) {
    inside(L, "handout.retry");
    luaL_checkstring(L, 1);
    lua_settop(L, 2);
    handout_raised *raised = push_raised(L, 1);
    if (!lua_isnil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        read_retry_options(L, raised);
    }
    lua_settop(L, 3);
    return lua_error(L);
}

static int call_unavailable(lua_State *L) {
    return luaL_error(L, "handout.%s is not available in this version", lua_tostring(L, lua_upvalueindex(1)));
}

/* Lets tasks capture a part of the module at the top: `local log = handout.log`. */
static void name_field(lua_State *L, const char *field) {
    char name[60];
    snprintf(name, sizeof name, "handout.%s", field);
    lua_getfield(L, -1, field);
    handout_name_object(L, -1, name);
    lua_pop(L, 1);
}

void handout_add_task_calls(lua_State *L) {
    static const luaL_Reg functions[] = {{"log", call_log}, {"progress", call_progress}, {"fail", call_fail},
                                         {"retry", call_retry}, {NULL, NULL}};
    static const luaL_Reg granted[] = {{"env", handout_call_env}, {"exec", handout_call_exec}, {NULL, NULL}};
    static const char *const later[] = {"reads", NULL};
    luaL_setfuncs(L, functions, 0);
    handout_set_functions(L, granted, "");
    for (const luaL_Reg *f = functions; f->name; f++) name_field(L, f->name);
    for (const luaL_Reg *f = granted; f->name; f++) name_field(L, f->name);
    for (int i = 0; later[i]; i++) {
        lua_pushstring(L, later[i]);
        lua_pushcclosure(L, call_unavailable, 1);
        lua_setfield(L, -2, later[i]);
    }
    lua_newtable(L);
    lua_createtable(L, 0, 3);
    lua_pushcfunction(L, task_index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, read_only);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "task");
    name_field(L, "task");
    luaL_newmetatable(L, "handout.raised");
    lua_pushcfunction(L, raised_index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, raised_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    handout_add_fs(L);
    name_field(L, "fs");
    handout_add_host(L);
    name_field(L, "host");
}
