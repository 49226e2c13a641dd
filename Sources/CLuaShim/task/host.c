/* handout.host: functions of the program that embeds the runtime, called by name. */
#include "grants.h"
#include "remote.h"
#include "sandbox.h"
#include "task.h"
#include <stdio.h>
#include <string.h>

enum { ERROR_SIZE = 4096, SHOWN = 60 };

/* Encodes the arguments one after the other to the state's codec. */
static void encode_arguments(lua_State *L, handout_state *state, const char *shown, int count) {
    handout_codec *codec = &state->codec;
    codec->out.length = 0;
    codec->out.limit = state->limit;
    for (int i = 1; i <= count; i++) {
        char root[SHOWN * 4 + 40];
        snprintf(root, sizeof root, "host.%s: argument %d", shown, i);
        handout_encode(L, codec, i, root, "cannot leave its task");
    }
}

/* Upvalue 1: the name; 2 and 3: texts of a call that the supervisor performs. */
static int call_function(lua_State *L) {
    handout_state *state = handout_of(L);
    handout_runner *runner = handout_runner_of(L);
    size_t length;
    const char *name = lua_tolstring(L, lua_upvalueindex(1), &length);
    char shown[SHOWN * 4 + 8], error[ERROR_SIZE];
    handout_escape(name, length, SHOWN, shown, sizeof shown);
    if (!runner || state->planning) return luaL_error(L, "handout.host.%s is only there inside a task", shown);
    if (handout_remote_of(L)) {
        lua_pushfstring(L, "handout.host.%s", name);
        lua_pushfstring(L, "host.%s", shown);
        lua_replace(L, lua_upvalueindex(2)); /* both are kept while the call goes on */
        lua_replace(L, lua_upvalueindex(3));
        return handout_remote_perform(L, lua_tostring(L, lua_upvalueindex(3)), lua_tostring(L, lua_upvalueindex(2)));
    }
    handout_need_grant(L, "host", HANDOUT_HOST, name);
    encode_arguments(L, state, shown, lua_gettop(L));
    state->scratch.length = 0;
    state->scratch.limit = state->limit;
    error[0] = 0;
    const handout_host *host = state->host;
    int status = HANDOUT_CALL_REFUSED;
    handout_go_away(state);
    if (host->call)
        status = host->call(host->context, runner->item->task, name, length, state->codec.out.data, state->codec.out.length,
                            &state->scratch, error, sizeof error);
    else snprintf(error, sizeof error, "host: no function '%s' (the program exposes none)", shown);
    handout_come_back(state);
    if (status == HANDOUT_CALL_REFUSED) handout_refuse_call(L, "%s", error);
    if (status != HANDOUT_CALL_DONE) return luaL_error(L, "host.%s: %s", shown, error);
    handout_decode(L, state->scratch.data, state->scratch.data + state->scratch.length);
    return 1;
}

static int host_index(lua_State *L) {
    lua_settop(L, 2);
    if (lua_type(L, 2) != LUA_TSTRING) {
        char shown[100];
        handout_describe(L, 2, shown, sizeof shown);
        return luaL_error(L, "handout.host: expected the name of a function, got %s", shown);
    }
    if (strlen(lua_tostring(L, 2)) != lua_rawlen(L, 2)) return luaL_error(L, "handout.host: a name has no zero byte");
    lua_pushfstring(L, "handout.host.%s", lua_tostring(L, 2));
    const char *name = lua_tostring(L, 3);
    handout_push_library(L, name);
    if (!lua_isnil(L, -1)) return 1;
    lua_pushvalue(L, 2);
    lua_pushnil(L);
    lua_pushnil(L);
    lua_pushcclosure(L, call_function, 3);
    handout_name_object(L, -1, name); /* so that a task may capture it */
    return 1;
}

static int host_newindex(lua_State *L) { return handout_refuse_assignment(L, "handout.host", 2); }

void handout_add_host(lua_State *L) {
    lua_newtable(L);
    lua_createtable(L, 0, 3);
    lua_pushcfunction(L, host_index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, host_newindex);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    handout_name_object(L, -1, "handout.host");
    lua_setfield(L, -2, "host");
}
