/* handout.param: values given on the command line or in a file, read by the type of the default. */
#include "graph.h"
#include "plan.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum kind { ANY, BOOLEAN, INTEGER, FLOAT, STRING, LIST, TABLE } kind;
static const char *const kind_names[] = {"any", "boolean", "integer", "float", "string", "list", "table", NULL};
static const char *const articles[] = {"a value", "a boolean", "an integer", "a float", "a string", "a list", "a table"};

static kind kind_of(lua_State *L, int index) {
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN: return BOOLEAN;
    case LUA_TNUMBER: return lua_isinteger(L, index) ? INTEGER : FLOAT;
    case LUA_TSTRING: return STRING;
    case LUA_TTABLE:
        lua_pushvalue(L, index);
        lua_pushnil(L);
        int list = lua_next(L, -2) == 0;
        if (!list) list = lua_type(L, -2) != LUA_TSTRING, lua_pop(L, 2);
        lua_pop(L, 1);
        return list ? LIST : TABLE;
    default: return ANY;
    }
}

static handout_parameter *given(handout_recorder *recorder, const char *name) {
    for (size_t i = 0; i < recorder->parameter_count; i++)
        if (strcmp(recorder->parameters[i].name, name) == 0) return &recorder->parameters[i];
    return NULL;
}

/* Pushes the number that `text` is, as that kind; 0 when it is none. */
static int push_number(lua_State *L, const char *text, size_t length, kind kind) {
    if (!length || isspace((unsigned char)text[0]) || isspace((unsigned char)text[length - 1])) return 0;
    lua_pushlstring(L, text, length);
    if (lua_stringtonumber(L, lua_tostring(L, -1)) != length + 1) {
        lua_pop(L, 1);
        return 0;
    }
    lua_remove(L, -2);
    if (kind == INTEGER && !lua_isinteger(L, -1)) {
        lua_pop(L, 1);
        return 0;
    }
    if (kind == FLOAT) {
        lua_pushnumber(L, lua_tonumber(L, -1));
        lua_remove(L, -2);
    }
    return 1;
}

static int push_json(lua_State *L, const char *name, const char *text, size_t length) {
    handout_state *state = handout_of(L);
    char error[200];
    state->scratch.length = 0;
    int status = handout_json_read(text, length, &state->scratch, error, sizeof error);
    if (status) {
        handout_refuse(L, state->plan, "parameter", "parameter '%s': %s", name, status == -2 ? error : "too large");
        return 0;
    }
    handout_decode(L, state->scratch.data, state->scratch.data + state->scratch.length);
    return 1;
}

static int push_scalar(lua_State *L, const char *text, size_t length, kind kind) {
    if (kind == BOOLEAN) {
        if (length == 4 && memcmp(text, "true", 4) == 0) lua_pushboolean(L, 1);
        else if (length == 5 && memcmp(text, "false", 5) == 0) lua_pushboolean(L, 0);
        else return 0;
        return 1;
    }
    if (kind == INTEGER || kind == FLOAT) return push_number(L, text, length, kind);
    lua_pushlstring(L, text, length);
    return 1;
}

/* Pushes the list of `a,b,c`; -1 when an element is not of that kind: then nothing is pushed. */
static int push_list(lua_State *L, const char *text, size_t length, kind element, const char **bad, size_t *bad_length) {
    lua_newtable(L);
    const char *end = text + length;
    for (lua_Integer i = 1; length && text <= end; i++) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        if (!comma) comma = end;
        if (!push_scalar(L, text, (size_t)(comma - text), element)) {
            *bad = text;
            *bad_length = (size_t)(comma - text);
            lua_pop(L, 1);
            return -1;
        }
        lua_rawseti(L, -2, i);
        text = comma + 1;
    }
    return 0;
}

static void refuse_text(lua_State *L, handout_recorder *recorder, const char *name, const char *expected, const char *text,
                        size_t length) {
    char shown[160];
    handout_escape(text, length, 60, shown, sizeof shown);
    handout_refuse(L, recorder, "parameter", "parameter '%s': expected %s, got \"%s\"", name, expected, shown);
}

/* Whether every element of the list at the top is of that kind; integers become floats where those are wanted. Pops the
 * list when not. */
static int check_elements(lua_State *L, handout_recorder *recorder, const char *name, kind element) {
    for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, -1); i++) {
        lua_rawgeti(L, -1, i);
        kind got = kind_of(L, lua_gettop(L));
        if (element == FLOAT && got == INTEGER) {
            lua_pushnumber(L, lua_tonumber(L, -1));
            lua_rawseti(L, -3, i);
        } else if (got != element && !(element == TABLE && got == LIST) && !(element == LIST && got == TABLE)) {
            char what[160];
            handout_describe(L, -1, what, sizeof what);
            handout_refuse(L, recorder, "parameter", "parameter '%s': expected a list of elements that are each %s, got %s", name,
                           articles[element], what);
            lua_pop(L, 2);
            return 0;
        }
        lua_pop(L, 1);
    }
    return 1;
}

/* Pushes what the user gave; 0 when it was refused. `element` is the type of a list's elements. */
static int push_given(lua_State *L, handout_recorder *recorder, const char *name, handout_parameter *parameter, kind type,
                      kind element) {
    if (!recorder->tables) parameter->used = 1; /* template states share the parameters */
    const char *text = parameter->text, *bad;
    size_t length = parameter->length, bad_length;
    if (parameter->json) {
        handout_decode(L, (const uint8_t *)text, (const uint8_t *)text + length);
        if (type == FLOAT && lua_isinteger(L, -1)) {
            lua_pushnumber(L, lua_tonumber(L, -1));
            lua_remove(L, -2);
        }
        kind got = kind_of(L, lua_gettop(L));
        if (got == LIST && type == TABLE && lua_rawlen(L, -1) == 0) got = TABLE;
        if (type == ANY || got == type) return type != LIST || check_elements(L, recorder, name, element);
        char what[160];
        handout_describe(L, -1, what, sizeof what);
        handout_refuse(L, recorder, "parameter", "parameter '%s': expected %s, got %s", name, articles[type], what);
        lua_pop(L, 1);
        return 0;
    }
    if (type == TABLE || (type == LIST && length && text[0] == '[')) {
        if (!push_json(L, name, text, length)) return 0;
        if (lua_type(L, -1) == LUA_TTABLE) return type == TABLE || check_elements(L, recorder, name, element);
        refuse_text(L, recorder, name, articles[type], text, length);
        return 0;
    }
    if (type == LIST) {
        if (push_list(L, text, length, element, &bad, &bad_length) == 0) return 1;
        char expected[60];
        snprintf(expected, sizeof expected, "a list of elements that are each %s", articles[element]);
        refuse_text(L, recorder, name, expected, bad, bad_length);
        return 0;
    }
    if (push_scalar(L, text, length, type == ANY ? STRING : type)) return 1;
    refuse_text(L, recorder, name, type == BOOLEAN ? "true or false" : articles[type], text, length);
    return 0;
}

/* Remembers value, type and place; a second call must agree. Returns the known one, or NULL. */
static handout_plan_parameter *known(handout_recorder *recorder, const char *name) {
    handout_plan_parameter *parameters = (handout_plan_parameter *)recorder->known_parameters.data;
    for (size_t i = 0; i < recorder->known_parameters.count; i++)
        if (strcmp(parameters[i].name, name) == 0) return &parameters[i];
    return NULL;
}

static uint32_t here(lua_State *L) {
    lua_Debug ar;
    return lua_getstack(L, 1, &ar) && lua_getinfo(L, "l", &ar) && ar.currentline > 0 ? (uint32_t)ar.currentline : 0;
}

/* Encodes default, type and choices as one value: what must be the same in every call for the name. */
static void encode_declaration(lua_State *L, handout_buffer *to, const char *name, int value, kind type) {
    handout_codec *codec = &handout_of(L)->codec;
    uint8_t kind_byte = (uint8_t)type;
    char who[300];
    snprintf(who, sizeof who, "parameter '%.200s'", name);
    lua_pushvalue(L, value);
    int plain = handout_encode_or_refuse(L, handout_recorder_of(L), "parameter", who, "default", "cannot be a parameter");
    lua_pop(L, 1);
    if (!plain) {
        codec->out.length = 0;
        lua_pushnil(L);
        lua_replace(L, value);
    }
    to->length = 0;
    if (handout_buffer_append(to, &kind_byte, 1) || handout_buffer_append(to, codec->out.data, codec->out.length))
        luaL_error(L, "not enough memory");
}

static int one_of_choices(lua_State *L, int choices, int value) {
    for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, choices); i++) {
        lua_rawgeti(L, choices, i);
        int same = lua_rawequal(L, -1, value);
        lua_pop(L, 1);
        if (same) return 1;
    }
    return 0;
}

static void check_keys(lua_State *L, handout_recorder *recorder, const char *name) {
    static const char *const keys[] = {"name", "default", "type", "help", "choices", NULL};
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        int found = 0;
        for (int i = 0; keys[i]; i++) found |= strcmp(keys[i], key) == 0;
        if (found) continue;
        char shown[100];
        handout_describe(L, -2, shown, sizeof shown);
        const char *near = handout_nearest(key, strlen(key), keys);
        if (near) handout_refuse(L, recorder, "parameter", "parameter '%s': unknown key %s (did you mean '%s'?)", name, shown, near);
        else handout_refuse(L, recorder, "parameter", "parameter '%s': unknown key %s", name, shown);
    }
}

/* Raw, so that no metamethod runs and what is read stays anchored in the table. */
static int push_field(lua_State *L, const char *key) {
    lua_pushstring(L, key);
    return lua_rawget(L, 1);
}

/* Stack afterwards: 1 argument table or name, 2 default, 3 help, 4 choices; returns the type asked for. */
static kind read_arguments(lua_State *L, handout_recorder *recorder, const char **name) {
    kind type = ANY;
    if (lua_type(L, 1) != LUA_TTABLE) {
        *name = luaL_checkstring(L, 1);
        lua_settop(L, 3);
        lua_pushnil(L);
    } else {
        lua_settop(L, 1);
        if (push_field(L, "name") != LUA_TSTRING) luaL_error(L, "param: expected a string as name");
        *name = lua_tostring(L, -1); /* anchored by the argument table */
        check_keys(L, recorder, *name);
        lua_settop(L, 1);
        push_field(L, "default");
        push_field(L, "help");
        push_field(L, "choices");
        push_field(L, "type");
        if (!lua_isnil(L, -1)) {
            const char *wanted = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
            for (int i = BOOLEAN; kind_names[i]; i++)
                if (strcmp(kind_names[i], wanted) == 0) type = i;
            char what[100];
            handout_describe(L, -1, what, sizeof what);
            if (type == ANY)
                handout_refuse(L, recorder, "parameter",
                               "parameter '%s': type: expected boolean, integer, float, string, list or table, got %s", *name, what);
        }
        lua_settop(L, 4);
    }
    return type;
}

static kind first_element_kind(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TTABLE) return STRING;
    kind element = lua_rawgeti(L, index, 1) == LUA_TNIL ? STRING : kind_of(L, lua_gettop(L));
    lua_pop(L, 1);
    return element;
}

/* Refuses a default that is no parameter's value: a table of both kinds of keys, a list of elements of two types. */
static void check_default(lua_State *L, handout_recorder *recorder, const char *name, kind type, kind element) {
    if (lua_type(L, 2) != LUA_TTABLE) return;
    lua_pushvalue(L, 2);
    if (handout_table_shape(L) == -2)
        handout_refuse(L, recorder, "parameter", "parameter '%s': default: expected either positions 1 to n or names, not both and no gaps",
                       name);
    else if (type == LIST && element != ANY)
        check_elements(L, recorder, name, element);
    lua_settop(L, 4);
}

static void check_texts(lua_State *L, handout_recorder *recorder, const char *name) {
    char what[160];
    if (!lua_isnil(L, 3) && lua_type(L, 3) != LUA_TSTRING) {
        handout_describe(L, 3, what, sizeof what);
        handout_refuse(L, recorder, "parameter", "parameter '%s': help: expected a string, got %s", name, what);
    }
    if (!lua_isnil(L, 4) && lua_type(L, 4) != LUA_TTABLE) {
        handout_describe(L, 4, what, sizeof what);
        handout_refuse(L, recorder, "parameter", "parameter '%s': choices: expected a list of values, got %s", name, what);
    }
}

static void remember(lua_State *L, handout_recorder *recorder, const char *name, handout_buffer *declaration, int value) {
    handout_plan_parameter *added = handout_vector_add(&recorder->known_parameters);
    if (!added) luaL_error(L, "not enough memory");
    handout_codec *codec = &handout_of(L)->codec;
    *added = (handout_plan_parameter){.name = strdup(name), .line = here(L), .declaration = *declaration};
    *declaration = (handout_buffer){0};
    if (lua_type(L, 3) == LUA_TSTRING) added->help = strdup(lua_tostring(L, 3));
    codec->out.length = 0;
    handout_encode(L, codec, value, "value", "cannot be a parameter");
    if (handout_buffer_append(&added->value, codec->out.data, codec->out.length)) luaL_error(L, "not enough memory");
}

int handout_module_param(lua_State *L) {
    handout_recorder *recorder = handout_recorder_of(L);
    const char *name;
    handout_only_planning(L, "handout.param");
    kind asked = read_arguments(L, recorder, &name), element;
    int has_default = !lua_isnil(L, 2);
    const char *wrong = handout_check_id(name, strlen(name));
    if (wrong) handout_refuse(L, recorder, "parameter", "parameter '%.200s': not an id: %s", name, wrong);
    kind type = asked != ANY ? asked : has_default ? kind_of(L, 2) : STRING;
    if (asked == FLOAT && lua_isinteger(L, 2)) {
        lua_pushnumber(L, lua_tonumber(L, 2));
        lua_replace(L, 2);
    }
    if (asked != ANY && has_default && kind_of(L, 2) != asked && !(asked == TABLE && kind_of(L, 2) == LIST)) {
        char what[100];
        handout_describe(L, 2, what, sizeof what);
        handout_refuse(L, recorder, "parameter", "parameter '%s': default: expected %s, got %s", name, articles[asked], what);
    }
    element = first_element_kind(L, 2);
    check_texts(L, recorder, name);
    if (has_default) check_default(L, recorder, name, type, element);
    encode_declaration(L, &recorder->declaration, name, 2, type);
    handout_plan_parameter *before = known(recorder, name);
    if (before) {
        if (before->declaration.length != recorder->declaration.length ||
            memcmp(before->declaration.data, recorder->declaration.data, before->declaration.length) != 0)
            handout_refuse(L, recorder, "parameter",
                           "parameter '%s': asked for again with another default or type, first at line %u", name, before->line);
        handout_decode(L, before->value.data, before->value.data + before->value.length);
        return 1;
    }
    handout_parameter *from_user = given(recorder, name);
    if (!from_user || !push_given(L, recorder, name, from_user, type, element)) {
        if (!from_user && !has_default)
            handout_refuse(L, recorder, "parameter", "parameter '%s' is required: give it with -p %s=...", name, name);
        lua_pushvalue(L, 2);
    }
    int value = lua_gettop(L);
    if (lua_type(L, 4) == LUA_TTABLE && !one_of_choices(L, 4, value)) {
        char what[160], list[400] = "";
        handout_describe(L, value, what, sizeof what);
        for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, 4) && i <= 20; i++) {
            char choice[100];
            lua_rawgeti(L, 4, i);
            handout_describe(L, -1, choice, sizeof choice);
            lua_pop(L, 1);
            size_t used = strlen(list);
            snprintf(list + used, sizeof list - used, "%s%s", i > 1 ? ", " : "", choice);
        }
        handout_refuse(L, recorder, "parameter", "parameter '%s': expected one of %s, got %s", name, list, what);
    }
    remember(L, recorder, name, &recorder->declaration, value);
    lua_settop(L, value);
    return 1;
}
