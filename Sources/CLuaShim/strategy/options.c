/* The options of a strategy: its defaults, and what the user gave as text. */
#include "strategy.h"
#include "sandbox.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Replaces a string at the top that is a duration by its seconds, one that is a size by its bytes. Returns 1 when it was. */
static int convert(lua_State *L) {
    uint64_t value;
    char error[200];
    if (handout_parse_duration(L, -1, &value, error, sizeof error) == 0) {
        lua_pop(L, 1);
        lua_pushnumber(L, (lua_Number)value / 1e9);
        return 1;
    }
    if (handout_parse_size(L, -1, &value, error, sizeof error) == 0) {
        lua_pop(L, 1);
        lua_pushinteger(L, (lua_Integer)value);
        return 1;
    }
    return 0;
}

static void refuse_given(lua_State *L, handout_recorder *recorder, const char *name, const handout_parameter *given,
                         const char *expected) {
    char shown[160];
    handout_escape(given->text, given->length, 60, shown, sizeof shown);
    handout_refuse(L, recorder, "allocator", "option '%s': expected %s, got '%s'", name, expected, shown);
}

static int is_number(const char *text, size_t length) {
    return length > 0 && strlen(text) == length && strspn(text, "+-.0123456789eExXabcdefABCDEF") == length;
}

/* Pushes the value of the text by the type of the default at the top. Returns 0 where it was refused. */
static int push_given(lua_State *L, handout_recorder *recorder, const char *name, const handout_parameter *given) {
    handout_state *state = handout_of(L);
    char error[300] = "";
    int type = lua_type(L, -1);
    lua_pushlstring(L, given->text, given->length);
    switch (type) {
    case LUA_TSTRING:
        return 1;
    case LUA_TNUMBER:
        if (is_number(given->text, given->length) && lua_stringtonumber(L, given->text) == given->length + 1) return 1;
        if (convert(L)) return 1;
        refuse_given(L, recorder, name, given, "a number, a duration or a size");
        return 0;
    case LUA_TBOOLEAN:
        lua_pushboolean(L, strcmp(given->text, "true") == 0);
        if (lua_toboolean(L, -1) || strcmp(given->text, "false") == 0) return 1;
        refuse_given(L, recorder, name, given, "true or false");
        return 0;
    default:
        state->scratch.length = 0;
        if (handout_json_read(given->text, given->length, &state->scratch, error, sizeof error) == 0) {
            handout_decode(L, state->scratch.data, state->scratch.data + state->scratch.length);
            return 1;
        }
        refuse_given(L, recorder, name, given, "JSON");
        return 0;
    }
}

/* Pushes a copy of the default at the top that shares nothing with the script's own. */
static void push_copy(lua_State *L) {
    handout_codec *codec = &handout_of(L)->codec;
    codec->out.length = 0;
    handout_encode(L, codec, -1, "options", "cannot be an option");
    handout_decode(L, codec->out.data, codec->out.data + codec->out.length);
}

static void refuse_unknown(lua_State *L, handout_recorder *recorder, int table, const char *name) {
    enum { MOST = 50 };
    const char *names[MOST + 1];
    char shown[160];
    int count = 0;
    if (lua_istable(L, table))
        for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
            if (count < MOST && lua_type(L, -2) == LUA_TSTRING) names[count++] = lua_tostring(L, -2);
    names[count] = NULL;
    const char *near = handout_nearest(name, strlen(name), names);
    handout_escape(name, strlen(name), 60, shown, sizeof shown);
    if (near) handout_refuse(L, recorder, "allocator", "the strategy has no option '%s' (did you mean '%s'?)", shown, near);
    else handout_refuse(L, recorder, "allocator", "the strategy has no option '%s'", shown);
}

void handout_make_options(lua_State *L, handout_strategy *strategy, int table) {
    const handout_strategy_config *config = &strategy->config;
    handout_recorder *recorder = &strategy->file.recorder;
    lua_newtable(L);
    int options = lua_gettop(L);
    if (lua_istable(L, table))
        for (lua_pushnil(L); lua_next(L, table); lua_settop(L, options + 1)) {
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            push_copy(L);
            if (lua_type(L, -1) == LUA_TSTRING) convert(L);
            lua_remove(L, -2);
            lua_rawset(L, options);
        }
    for (size_t i = 0; i < config->option_count; i++, lua_settop(L, options)) {
        const handout_parameter *given = &config->options[i];
        lua_pushstring(L, given->name);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, options) == LUA_TNIL) refuse_unknown(L, recorder, table, given->name);
        else if (push_given(L, recorder, given->name, given)) {
            lua_remove(L, -2); /* the default, or what the text was read through */
            lua_pushvalue(L, options + 1);
            lua_pushvalue(L, -2);
            lua_rawset(L, options);
        }
    }
    handout_protect(L, "options");
}
