/* handle:at: elements of values. Each is a hidden row, made when a handle of `at` is used for the first time. */
#include "graph.h"
#include "sandbox.h"
#include <stdio.h>
#include <string.h>

static char HANDOUT_KEY_AT_FUNCTIONS; /* table: number of the handle, from 1, to its function */

enum { MAX_DEPTH = 50 };

static handout_at *at_of(handout_recorder *recorder, const void *handle) {
    return (handout_at *)recorder->ats.data + handout_handle_row(handle);
}

static void keep_function(lua_State *L, uint32_t number) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_AT_FUNCTIONS) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_AT_FUNCTIONS);
    }
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, (lua_Integer)number + 1);
    lua_pop(L, 1);
}

/* handle:at(key?) */
int handout_handle_at(lua_State *L) {
    handout_recorder *recorder = handout_recorder_of(L);
    if (!recorder) return luaL_error(L, "handle:at is only there while planning, not in a task");
    lua_settop(L, 2);
    char what[100];
    if (!lua_islightuserdata(L, 1)) {
        handout_describe(L, 1, what, sizeof what);
        return luaL_error(L, "at: expected a handle before the colon (h:at), got %s", what);
    }
    handout_codec *codec = &handout_of(L)->codec;
    handout_at at = {.base = lua_touserdata(L, 1), .graph = handout_handle_graph(lua_touserdata(L, 1)), .row = HANDOUT_NONE};
    int type = lua_type(L, 2), integral = 0;
    lua_Integer n = type == LUA_TNUMBER ? lua_tointegerx(L, 2, &integral) : 0;
    if (type == LUA_TNIL) {
        at.key = HANDOUT_PICK_OWN;
    } else if (type == LUA_TFUNCTION && !lua_iscfunction(L, 2)) {
        at.key = HANDOUT_PICK_FUNCTION;
    } else if (type == LUA_TSTRING || integral) {
        if (integral) lua_pushinteger(L, n);
        else lua_pushvalue(L, 2);
        codec->out.length = 0;
        handout_encode(L, codec, -1, "key", "cannot be a key");
        at.key = handout_pool_add(L, recorder, HANDOUT_POOL_DATA, codec->out.data, codec->out.length);
    } else {
        handout_describe(L, 2, what, sizeof what);
        return luaL_error(L, "at: expected a string, an integer or a Lua function, got %s", what);
    }
    handout_at *to = handout_vector_add(&recorder->ats);
    handout_need_memory(L, to);
    *to = at;
    uint32_t number = (uint32_t)(recorder->ats.count - 1);
    if (at.key == HANDOUT_PICK_FUNCTION) keep_function(L, number);
    lua_pushlightuserdata(L, handout_at_handle(at.graph, number));
    return 1;
}

/* ---- Hidden rows ---- */

/* The handle that it is an element of, however deep. */
static const void *root_of(handout_recorder *recorder, const void *handle) {
    while (handout_is_at(handle)) handle = at_of(recorder, handle)->base;
    return handle;
}

/* Begins the hidden row for that handle, named like what it is an element of. */
static uint32_t begin(lua_State *L, handout_recorder *recorder, const void *handle, uint32_t kind) {
    uint32_t graph = handout_handle_graph(handle), row = handout_handle_row(root_of(recorder, handle));
    handout_graph_record *record = handout_graph_at(recorder, graph);
    handout_drop_unfinished(record);
    handout_count_columns(L, recorder, 64);
    char name[600];
    size_t length = 0;
    const char *id = record->count ? handout_row_name(record, row < record->count ? row : 0, &length) : "";
    if (length > sizeof name) length = sizeof name;
    memcpy(name, id, length);
    handout_begin_row(L, recorder, graph, name, length, kind, handout_plain_options(L, recorder), handout_current_line(L, recorder));
    return handout_graph_at(recorder, graph)->count;
}

/* The word of a handle, its rows made. HANDOUT_NONE: refused. */
static uint32_t word_of(lua_State *L, handout_recorder *recorder, const void *handle, uint32_t over, const char *who, const char *path,
                        int depth) {
    if (!handout_is_at(handle)) return handout_word(HANDOUT_OP_TASK, handout_handle_row(handle));
    uint32_t graph = handout_handle_graph(handle), number = handout_handle_row(handle);
    handout_at at = *at_of(recorder, handle);
    if (at.row != HANDOUT_NONE) return handout_word(HANDOUT_OP_TASK, at.row);
    if (at.declaration == recorder->declaring && at.word) return at.word;
    if (depth > MAX_DEPTH) luaL_error(L, "%s: %s: handle:at nested deeper than %d", who, path, MAX_DEPTH);
    luaL_checkstack(L, 12, "handle:at");
    uint32_t base = word_of(L, recorder, at.base, over, who, path, depth + 1);
    if (base == HANDOUT_NONE) return base;
    int is_function = at.key == HANDOUT_PICK_FUNCTION;
    int many = is_function || at.key == HANDOUT_PICK_OWN || handout_operation(base) == HANDOUT_OP_OWN;
    if (many && over == HANDOUT_NONE) {
        handout_refuse(L, recorder, "needs", "%s: %s: handle:at without a key, or of a function, is for maps", who, path);
        return HANDOUT_NONE;
    }
    uint32_t row = begin(L, recorder, handle, many ? HANDOUT_ROW_SELECTOR : HANDOUT_ROW_SELECT), key = at.key;
    if (is_function) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_AT_FUNCTIONS);
        lua_rawgeti(L, -1, (lua_Integer)number + 1);
        key = HANDOUT_PICK_FUNCTION | handout_record_function(L, recorder, lua_gettop(L), graph, row);
        if (recorder->tables) handout_see_template(L, recorder, lua_gettop(L));
        lua_pop(L, 2);
    }
    handout_graph_record *record = handout_graph_at(recorder, graph);
    if (many) handout_add_word(L, record, over);
    handout_add_word(L, record, handout_word(HANDOUT_OP_PICK, key));
    handout_add_word(L, record, base);
    handout_end_row(recorder, graph, HANDOUT_NONE);
    handout_at *to = at_of(recorder, handle);
    if (many) to->word = handout_word(HANDOUT_OP_OWN, row), to->declaration = recorder->declaring;
    else to->row = row;
    return many ? to->word : handout_word(HANDOUT_OP_TASK, row);
}

static void prepare(lua_State *L, handout_recorder *recorder, uint32_t graph, uint32_t over, const char *who, const char *path,
                    int depth) {
    if (lua_islightuserdata(L, -1)) {
        const void *handle = lua_touserdata(L, -1);
        if (handout_is_at(handle) && handout_handle_graph(handle) == graph) word_of(L, recorder, handle, over, who, path, 0);
        return;
    }
    if (lua_type(L, -1) != LUA_TTABLE || depth > MAX_DEPTH) return;
    luaL_checkstack(L, 12, "needs");
    if (handout_table_shape(L) >= 0) { /* in order: rows are made as they are met */
        for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, -1); i <= n; i++, lua_pop(L, 1)) {
            char place[80];
            if ((i & 0xFFF) == 0) handout_check(handout_of(L));
            snprintf(place, sizeof place, "%.60s[%lld]", path, (long long)i);
            lua_rawgeti(L, -1, i);
            prepare(L, recorder, graph, over, who, place, depth + 1);
        }
        return;
    }
    int table = lua_gettop(L);
    handout_push_ordered(L, table, "needs", "");
    for (int iterator = table + 1;;) {
        lua_pushvalue(L, iterator);
        lua_pushvalue(L, iterator + 1);
        lua_pushvalue(L, iterator + 2);
        lua_call(L, 2, 2);
        if (lua_isnil(L, -2)) break;
        char key[60], place[140];
        handout_describe(L, -2, key, sizeof key);
        snprintf(place, sizeof place, "%.60s[%s]", path, key);
        prepare(L, recorder, graph, over, who, place, depth + 1);
        lua_replace(L, iterator + 2);
        lua_replace(L, iterator + 2);
    }
    lua_settop(L, table);
}

void handout_prepare_selections(lua_State *L, handout_recorder *recorder, uint32_t graph, int index, uint32_t over,
                                const char *who, const char *name) {
    if (!recorder->ats.count) return;
    lua_pushvalue(L, index);
    prepare(L, recorder, graph, over, who, name, 0);
    lua_pop(L, 1);
}

uint32_t handout_handle_word(handout_recorder *recorder, const void *handle) {
    if (!handout_is_at(handle)) return handout_word(HANDOUT_OP_TASK, handout_handle_row(handle));
    const handout_at *at = at_of(recorder, handle);
    if (at->row != HANDOUT_NONE) return handout_word(HANDOUT_OP_TASK, at->row);
    if (at->declaration == recorder->declaring && at->word) return at->word;
    return handout_word(HANDOUT_OP_TASK, 0); /* refused before */
}

uint32_t handout_handle_row_of(lua_State *L, handout_recorder *recorder, uint32_t graph, const void *handle, const char *who,
                               const char *path) {
    uint32_t word = word_of(L, recorder, handle, HANDOUT_NONE, who, path, 0);
    return word == HANDOUT_NONE ? word : handout_payload(word);
}
