/* What tasks need: `over`, `needs`, `args` and `after` become words of references. */
#include "graph.h"
#include "sandbox.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_POSITIONS = 200, MAX_ELEMENTS = 10000000, MAX_LIST = 0x0FFFFFFF };

/* ---- Needs ---- */

void handout_add_word(lua_State *L, handout_graph_record *graph, uint32_t w) {
    uint32_t *to = handout_vector_add(&graph->references);
    handout_need_memory(L, to);
    *to = w;
}

static void refuse_entry(lua_State *L, handout_recorder *recorder, const char *who, const char *path, int index) {
    char what[100];
    handout_describe(L, index, what, sizeof what);
    if (handout_to_graph(L, index)) snprintf(what, sizeof what, "a graph");
    handout_refuse(L, recorder, "needs", "%s: %s: expected a handle, or a list or table of handles, got %s", who, path, what);
}

/* Adds the row of the handle at `index`, as that operation. */
static void add_handle(lua_State *L, handout_recorder *recorder, uint32_t graph_index, int index, uint32_t operation,
                       const char *who, const char *path) {
    void *handle = lua_touserdata(L, index);
    uint32_t other = handout_handle_graph(handle);
    handout_graph_record *graph = handout_graph_at(recorder, graph_index);
    if (other != graph_index) {
        handout_refuse(L, recorder, "needs", "%s: %s: handle of another graph '%.100s', expected one of '%.100s'", who, path,
                       handout_graph_at(recorder, other)->name, graph->name);
        return;
    }
    uint32_t word = handout_handle_word(recorder, handle);
    handout_add_word(L, graph, operation == HANDOUT_OP_OVER ? handout_word(operation, handout_payload(word)) : word);
}

/* One entry of needs, at the top: a handle, or a list or keyed table of entries. `path` grows and shrinks in place. */
static void add_entry(lua_State *L, handout_recorder *recorder, uint32_t graph_index, const char *who, char *path,
                      int depth, int top_level);

static void add_keyed(lua_State *L, handout_recorder *recorder, uint32_t graph_index, const char *who, char *path,
                      int depth) {
    handout_codec *codec = &handout_of(L)->codec;
    int table = lua_gettop(L);
    uint32_t count = 0;
    size_t at = handout_graph_at(recorder, graph_index)->references.count, length = strlen(path);
    handout_add_word(L, handout_graph_at(recorder, graph_index), 0);
    /* Sorted, so that the plan does not depend on the order in which a state walks its tables. Not by the script's `pairs`
     * or a metamethod: no code of the script may run while a row is half written. */
    handout_push_ordered(L, table, "needs", "");
    for (int iterator = table + 1;;) {
        lua_pushvalue(L, iterator);
        lua_pushvalue(L, iterator + 1);
        lua_pushvalue(L, iterator + 2);
        lua_call(L, 2, 2);
        if (lua_isnil(L, -2)) break;
        handout_check(handout_of(L));
        handout_count_columns(L, recorder, 16);
        codec->out.length = 0;
        handout_encode(L, codec, -2, "needs", "cannot be a key");
        handout_add_word(L, handout_graph_at(recorder, graph_index),
                 handout_word(HANDOUT_OP_KEY, handout_pool_add(L, recorder, HANDOUT_POOL_DATA, codec->out.data, codec->out.length)));
        char shown[60];
        handout_describe(L, -2, shown, sizeof shown);
        if (length < 300) snprintf(path + length, 400 - length, "[%s]", shown);
        add_entry(L, recorder, graph_index, who, path, depth + 1, 0);
        path[length] = 0;
        count++;
        lua_replace(L, iterator + 2); /* the value; the key goes where the iterator wants it */
        lua_replace(L, iterator + 2);
    }
    lua_settop(L, table);
    ((uint32_t *)handout_graph_at(recorder, graph_index)->references.data)[at] = handout_word(HANDOUT_OP_KEYED, count | (depth ? 0 : HANDOUT_NAMED_NEEDS));
}

static void add_list(lua_State *L, handout_recorder *recorder, uint32_t graph_index, lua_Integer count, const char *who,
                     char *path, int depth, int top_level) {
    size_t length = strlen(path);
    if (count > MAX_LIST) {
        handout_refuse(L, recorder, "needs", "%s: %s: at most %d entries, got %lld", who, path, MAX_LIST, (long long)count);
        return;
    }
    handout_count_columns(L, recorder, 4 * ((size_t)count + 1)); /* one task can need millions */
    if (!top_level) handout_add_word(L, handout_graph_at(recorder, graph_index), handout_word(HANDOUT_OP_LIST, (uint32_t)count));
    for (lua_Integer i = 1; i <= count; i++) {
        if ((i & 0xFFF) == 0) handout_check(handout_of(L));
        lua_rawgeti(L, -1, i);
        if (lua_islightuserdata(L, -1) && !handout_is_at(lua_touserdata(L, -1)) &&
            handout_handle_graph(lua_touserdata(L, -1)) == graph_index) { /* the quick way */
            handout_add_word(L, handout_graph_at(recorder, graph_index), handout_handle_row(lua_touserdata(L, -1)));
        } else {
            if (length < 300) snprintf(path + length, 400 - length, "[%lld]", (long long)i);
            add_entry(L, recorder, graph_index, who, path, depth + 1, 0);
            path[length] = 0;
        }
        lua_pop(L, 1);
    }
}

/* Counts the entries of the table at the top: -1 keyed by strings, -2 neither, else the length of the list. */
lua_Integer handout_table_shape(lua_State *L) {
    lua_Integer positions = 0, names = 0, length = (lua_Integer)lua_rawlen(L, -1);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        if (((positions + names) & 0xFFF) == 0xFFF) handout_check(handout_of(L));
        if (lua_type(L, -2) == LUA_TSTRING) names++;
        else if (lua_isinteger(L, -2) && lua_tointeger(L, -2) >= 1 && lua_tointeger(L, -2) <= length) positions++;
        else positions = length + 1;
        if (positions > length) {
            lua_pop(L, 2);
            return -2;
        }
    }
    if (names) return positions ? -2 : -1;
    return positions == length ? length : -2;
}

static void add_entry(lua_State *L, handout_recorder *recorder, uint32_t graph_index, const char *who, char *path,
                      int depth, int top_level) {
    if (lua_islightuserdata(L, -1)) {
        add_handle(L, recorder, graph_index, -1, 0, who, path);
        return;
    }
    if (lua_type(L, -1) != LUA_TTABLE) {
        refuse_entry(L, recorder, who, path, -1);
        return;
    }
    if (depth > 50) {
        handout_refuse(L, recorder, "needs", "%s: %s: nested deeper than 50 tables", who, path);
        return;
    }
    luaL_checkstack(L, 12, "needs");
    lua_Integer shape = handout_table_shape(L);
    if (shape == -2)
        handout_refuse(L, recorder, "needs", "%s: %s: expected either positions 1 to n or names, not both and no gaps", who, path);
    else if (shape == -1) add_keyed(L, recorder, graph_index, who, path, depth);
    else if (top_level && shape > MAX_POSITIONS)
        handout_refuse(L, recorder, "needs", "%s: %s: at most 200 positions, got %lld (nest a list: needs = { list })", who, path,
                       (long long)shape);
    else add_list(L, recorder, graph_index, shape, who, path, depth, top_level);
}

void handout_add_entry(lua_State *L, handout_recorder *recorder, uint32_t graph, const char *who, char *path) {
    add_entry(L, recorder, graph, who, path, 1, 0);
}

void handout_add_needs(lua_State *L, handout_recorder *recorder, uint32_t graph_index, int index, const char *who) {
    char path[400] = "needs";
    if (!index || lua_isnil(L, index)) return;
    lua_pushvalue(L, index);
    add_entry(L, recorder, graph_index, who, path, 0, 1);
    lua_pop(L, 1);
}

void handout_add_args(lua_State *L, handout_recorder *recorder, uint32_t graph_index, int index, const char *who) {
    handout_codec *codec = &handout_of(L)->codec;
    if (!index || lua_isnil(L, index)) return;
    lua_pushvalue(L, index);
    lua_Integer shape = lua_type(L, -1) == LUA_TTABLE ? handout_table_shape(L) : -2;
    if (shape < 0) {
        char what[100];
        handout_describe(L, -1, what, sizeof what);
        handout_refuse(L, recorder, "option", "%s: option 'args': expected a list without nil, got %s", who, what);
    } else if (shape > MAX_POSITIONS) {
        handout_refuse(L, recorder, "option", "%s: option 'args': at most 200 values, got %lld", who, (long long)shape);
    }
    for (lua_Integer i = 1; shape <= MAX_POSITIONS && i <= shape; i++) {
        char root[40];
        snprintf(root, sizeof root, "args[%lld]", (long long)i);
        lua_rawgeti(L, -1, i);
        if (lua_islightuserdata(L, -1)) {
            handout_refuse(L, recorder, "option", "%s: %s: a handle cannot be an argument (pass its value through needs)", who, root);
        } else {
            if (handout_encode_or_refuse(L, recorder, "option", who, root, "cannot be an argument"))
                handout_add_word(L, handout_graph_at(recorder, graph_index),
                         handout_word(HANDOUT_OP_CONSTANT,
                              handout_pool_add(L, recorder, HANDOUT_POOL_DATA, codec->out.data, codec->out.length)));
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

void handout_add_section(lua_State *L, handout_recorder *recorder, uint32_t graph, int index, uint32_t operation,
                         const char *name, const char *who) {
    if (!index || lua_isnil(L, index)) return;
    size_t at = handout_graph_at(recorder, graph)->references.count;
    handout_add_word(L, handout_graph_at(recorder, graph), 0);
    lua_pushvalue(L, index);
    lua_Integer shape = lua_type(L, -1) == LUA_TTABLE ? handout_table_shape(L) : -2;
    if (lua_islightuserdata(L, -1)) {
        add_handle(L, recorder, graph, -1, 0, who, name);
    } else if (shape < 0) {
        refuse_entry(L, recorder, who, name, -1);
    } else {
        handout_count_columns(L, recorder, 4 * (size_t)shape);
        for (lua_Integer i = 1; i <= shape; i++) {
            char path[40];
            if ((i & 0xFFF) == 0) handout_check(handout_of(L));
            snprintf(path, sizeof path, "%s[%lld]", name, (long long)i);
            lua_rawgeti(L, -1, i);
            if (lua_islightuserdata(L, -1)) add_handle(L, recorder, graph, -1, 0, who, path);
            else refuse_entry(L, recorder, who, path, -1);
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
    handout_vector *references = &handout_graph_at(recorder, graph)->references;
    ((uint32_t *)references->data)[at] = handout_word(operation, (uint32_t)(references->count - at - 1));
}

/* What a map or reduce runs over; raw access, so that a table means the same on every host. */
uint32_t handout_over_word(lua_State *L, handout_recorder *recorder, uint32_t graph, int index, const char *who) {
    handout_codec *codec = &handout_of(L)->codec;
    if (!index || lua_isnil(L, index)) {
        handout_refuse(L, recorder, "over", "%s: option 'over' is missing: expected a list, a keyed table or a handle", who);
        return HANDOUT_NONE;
    }
    uint32_t word = HANDOUT_NONE;
    lua_pushvalue(L, index);
    if (lua_islightuserdata(L, -1)) {
        const void *handle = lua_touserdata(L, -1);
        if (handout_handle_graph(handle) != graph) {
            handout_refuse(L, recorder, "needs", "%s: over: handle of another graph '%.100s', expected one of '%.100s'", who,
                           handout_graph_at(recorder, handout_handle_graph(handle))->name, handout_graph_at(recorder, graph)->name);
        } else {
            handout_prepare_selections(L, recorder, graph, lua_gettop(L), HANDOUT_NONE, who, "over");
            word = handout_word(HANDOUT_OP_OVER, handout_payload(handout_handle_word(recorder, handle)));
        }
    } else if (lua_type(L, -1) != LUA_TTABLE) {
        char what[100];
        handout_describe(L, -1, what, sizeof what);
        handout_refuse(L, recorder, "over", "%s: option 'over': expected a list, a keyed table or a handle, got %s", who, what);
    } else if (handout_encode_or_refuse(L, recorder, "over", who, "over", "cannot be an element")) {
        uint32_t *offsets, count;
        int keyed, status = handout_value_elements(codec->out.data, codec->out.length, &offsets, &count, &keyed);
        if (status == 0) free(offsets);
        if (status == -1)
            handout_refuse(L, recorder, "over", "%s: option 'over': expected keys 1 to n or string keys only", who);
        else if (status == 0 && count > MAX_ELEMENTS)
            handout_refuse(L, recorder, "over", "%s: option 'over': at most 10000000 elements, got %u", who, count);
        else
            word = handout_word(HANDOUT_OP_OVER_LITERAL,
                                handout_pool_add(L, recorder, HANDOUT_POOL_DATA, codec->out.data, codec->out.length));
    }
    lua_pop(L, 1);
    return word;
}
