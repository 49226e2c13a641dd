/* handout.host: functions of the program that embeds the runtime, called by name. */
#include "sandbox.h"
#include "task.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ERROR_SIZE = 4096, SHOWN = 60 };

/* ---- Grants ---- */

/* The encoded list of the functions that the task asks for, or NULL. */
static const uint8_t *granted_list(const handout_runner *runner, const uint8_t **end) {
    static const uint8_t key[] = {0xa4, 'h', 'o', 's', 't'};
    const handout_tables *tables = runner->tables;
    uint32_t grant = runner->item->grant;
    if (grant == HANDOUT_NONE) return NULL;
    uint64_t position = handout_pool_position(tables->pool[grant]);
    return handout_value_find(tables->pool_bytes + position, tables->pool_bytes_length - position, key, sizeof key, end);
}

int handout_host_granted(lua_State *L, handout_runner *runner, const char *name, size_t length) {
    const uint8_t *end, *list = granted_list(runner, &end);
    uint32_t *offsets = NULL, count = 0;
    int keyed = 0, found = 0;
    if (!list) return 0;
    int status = handout_value_elements(list, (size_t)(end - list), &offsets, &count, &keyed);
    for (uint32_t i = 0; status == 0 && !keyed && i < count && !found; i++) {
        size_t size = 0;
        const uint8_t *text = handout_value_string(list + offsets[i], offsets[i + 1] - offsets[i], &size);
        found = text && size == length && memcmp(text, name, length) == 0;
    }
    free(offsets);
    if (status == -2) luaL_error(L, "not enough memory");
    return found;
}

/* ---- The call ---- */

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

/* Upvalue 1: the name. */
static int call_function(lua_State *L) {
    handout_state *state = handout_of(L);
    handout_runner *runner = handout_runner_of(L);
    size_t length;
    const char *name = lua_tolstring(L, lua_upvalueindex(1), &length);
    char shown[SHOWN * 4 + 8], error[ERROR_SIZE];
    handout_escape(name, length, SHOWN, shown, sizeof shown);
    if (!runner || state->planning) return luaL_error(L, "handout.host.%s is only there inside a task", shown);
    if (!handout_host_granted(L, runner, name, length)) {
        lua_pushfstring(L, "host.%s: not granted (the task needs grant = { host = { \"%s\" } })", shown, shown);
        return handout_raise_final(L);
    }
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
    if (status == HANDOUT_CALL_REFUSED) {
        lua_pushstring(L, error);
        return handout_raise_final(L);
    }
    if (status != HANDOUT_CALL_DONE) return luaL_error(L, "host.%s: %s", shown, error);
    handout_decode(L, state->scratch.data, state->scratch.data + state->scratch.length);
    return 1;
}

static int host_index(lua_State *L) {
    if (lua_type(L, 2) != LUA_TSTRING) {
        char shown[100];
        handout_describe(L, 2, shown, sizeof shown);
        return luaL_error(L, "handout.host: expected the name of a function, got %s", shown);
    }
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, call_function, 1);
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
    lua_setfield(L, -2, "host");
}
