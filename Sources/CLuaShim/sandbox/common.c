/* The parts of `handout` that planning and tasks share. */
#include "sandbox.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- bytes, seconds, id ---- */

static int module_bytes(lua_State *L) {
    uint64_t bytes;
    char error[200];
    luaL_checkany(L, 1);
    if (handout_parse_size(L, 1, &bytes, error, sizeof error) != 0) return luaL_error(L, "bytes: %s", error);
    lua_pushinteger(L, (lua_Integer)bytes);
    return 1;
}

static int module_seconds(lua_State *L) {
    uint64_t nanoseconds;
    char error[200];
    luaL_checkany(L, 1);
    if (handout_parse_duration(L, 1, &nanoseconds, error, sizeof error) != 0)
        return luaL_error(L, "seconds: %s", error);
    lua_pushnumber(L, lua_type(L, 1) == LUA_TNUMBER ? lua_tonumber(L, 1) : (lua_Number)nanoseconds / 1e9);
    return 1;
}

/* `%` is encoded too, so that different strings have different ids. */
static int module_id(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length), *end = text + length;
    char encoded[600];
    size_t used = 0;
    if (length > 200) return luaL_error(L, "id: longer than 200 bytes");
    while (text < end) {
        size_t size = handout_id_character(text, (size_t)(end - text));
        int keep = size > 0 && *text != '%' && (used > 0 || strchr("-.:@+=,", *text) == NULL);
        if (keep) {
            memcpy(encoded + used, text, size);
            used += size;
            text += size;
            continue;
        }
        if (used == 0) encoded[used++] = '_'; /* an id does not begin with % */
        used += (size_t)snprintf(encoded + used, sizeof encoded - used, "%%%02X", (unsigned char)*text++);
        if (used > 200) break;
    }
    if (length == 0) encoded[used++] = '_';
    if (used > 200) return luaL_error(L, "id: longer than 200 bytes when encoded");
    lua_pushlstring(L, encoded, used);
    return 1;
}

/* ---- json ---- */

enum { KEPT_SCRATCH = 1 << 20 };

static void shrink(handout_buffer *buffer) {
    if (buffer->capacity > KEPT_SCRATCH) handout_buffer_free(buffer);
    else buffer->length = 0;
}

/* The two buffers are not counted as memory of the state: together they may take what is left of it. */
static size_t buffer_limit(const handout_state *state) {
    size_t most = (size_t)256 << 20, least = 64 * 1024;
    if (state->limit == 0) return most;
    size_t left = state->limit > state->used ? (state->limit - state->used) / 2 : 0;
    return left < least ? least : left < most ? left : most;
}

static int encode_value(lua_State *L) {
    handout_encode(L, &handout_of(L)->codec, 1, "value", "cannot be written as JSON");
    return 0;
}

/* Whoever owns the codec's buffer may have something in it: we work behind that, with a limit of our own,
 * and so under a call of our own. Nobody else's encoding failed, so `refused` is put back. */
static int json_encode(lua_State *L) {
    handout_state *state = handout_of(L);
    handout_buffer *out = &state->codec.out;
    size_t start = out->length, limit = out->limit;
    int refused = state->codec.refused;
    char error[300] = "";
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    out->limit = start + buffer_limit(state);
    lua_pushcfunction(L, encode_value);
    lua_pushvalue(L, 1);
    int status = lua_pcall(L, 1, 0, 0);
    size_t length = out->length - start;
    out->limit = limit;
    out->length = start;
    state->codec.refused = refused;
    if (status != LUA_OK) {
        lua_pushliteral(L, "json.encode: ");
        lua_insert(L, -2);
        lua_concat(L, 2);
        return lua_error(L);
    }
    state->scratch.length = 0;
    state->scratch.limit = buffer_limit(state);
    int result = handout_json_write(out->data + start, length, 0, &state->scratch, error, sizeof error);
    state->scratch.limit = 0;
    if (result == 0) lua_pushlstring(L, (const char *)state->scratch.data, state->scratch.length);
    shrink(&state->scratch);
    if (start == 0) shrink(out);
    if (result == -2) return luaL_error(L, "json.encode: %s", error);
    if (result != 0) return luaL_error(L, "json.encode: the text is too large");
    return 1;
}

static int json_decode(lua_State *L) {
    handout_state *state = handout_of(L);
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    char error[300] = "";
    state->scratch.length = 0;
    int result = handout_json_read(text, length, &state->scratch, error, sizeof error);
    if (result == -2) return luaL_error(L, "json.decode: %s", error);
    if (result != 0) return luaL_error(L, "json.decode: not enough memory");
    handout_decode(L, state->scratch.data, state->scratch.data + state->scratch.length);
    shrink(&state->scratch);
    return 1;
}

/* Adds the functions to the table at the top, and their names: a task may have captured them. */
static void add_functions(lua_State *L, const luaL_Reg *functions, const char *prefix) {
    for (const luaL_Reg *each = functions; each->name != NULL; each++) {
        const char *name = lua_pushfstring(L, "%s.%s", prefix, each->name);
        lua_pushcfunction(L, each->func);
        handout_name_object(L, -1, name);
        lua_setfield(L, -3, each->name);
        lua_pop(L, 1);
    }
}

void handout_add_common(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"bytes", module_bytes}, {"seconds", module_seconds}, {"id", module_id}, {"sorted", handout_sorted},
        {NULL, NULL}};
    static const luaL_Reg json[] = {{"encode", json_encode}, {"decode", json_decode}, {NULL, NULL}};
    add_functions(L, functions, "handout");
    lua_newtable(L);
    add_functions(L, json, "handout.json");
    handout_name_object(L, -1, "handout.json");
    handout_protect(L, "handout.json");
    handout_name_object(L, -1, "handout.json");
    lua_setfield(L, -2, "json");
    lua_pushliteral(L, "1.0");
    lua_setfield(L, -2, "version");
    lua_pushinteger(L, 1);
    lua_setfield(L, -2, "api");
}
