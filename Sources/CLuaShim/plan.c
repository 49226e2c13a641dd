/* `handout` while a script is planned: graphs, tasks, handles, require; and the run of the script itself. */
#include "plan.h"
#include "sandbox.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NONE = 0xFFFFFFFFu, MAX_TASKS = 1 << 28, MAX_POSITIONS = 200, MAX_ELEMENTS = 10000000, MAX_GRAPHS = 0xFFFF };
enum { OP_LIST = 1, OP_KEYED, OP_KEY, OP_CONSTANT, OP_OVER, OP_OVER_LITERAL, OP_AFTER };

static inline uint32_t word(uint32_t operation, uint32_t payload) { return operation << 28 | payload; }

/* A graph as Lua sees it. The only full userdata a script can have. */
typedef struct graph_object {
    uint32_t magic, index;
} graph_object;
enum { GRAPH_MAGIC = 0x48474F31 };

static handout_graph_record *graph_at(handout_recorder *recorder, uint32_t index) {
    return (handout_graph_record *)recorder->graphs.data + index;
}

static graph_object *to_graph(lua_State *L, int index) {
    graph_object *graph = lua_type(L, index) == LUA_TUSERDATA ? lua_touserdata(L, index) : NULL;
    return graph && lua_rawlen(L, index) == sizeof *graph && graph->magic == GRAPH_MAGIC ? graph : NULL;
}

/* The graph a method is called on, at stack index 1. */
static graph_object *self(lua_State *L, const char *method) {
    graph_object *graph = to_graph(L, 1);
    if (!graph) {
        char what[100];
        handout_describe(L, 1, what, sizeof what);
        luaL_error(L, "%s: expected a graph before the colon (g:%s), got %s", method, method, what);
    }
    if (handout_of(L)->task && !handout_of(L)->planning) luaL_error(L, "g:%s is only there while planning, not in a task", method);
    return graph;
}

static void need_memory(lua_State *L, const void *room) {
    if (!room) handout_leave(handout_of(L), HANDOUT_MEMORY, "no memory left for the plan");
}

/* ---- Ids ---- */

static uint64_t hash_bytes(const char *bytes, size_t length) {
    uint64_t h = 0x9E3779B97F4A7C15ull ^ length;
    for (; length >= 8; bytes += 8, length -= 8) {
        uint64_t block;
        memcpy(&block, bytes, 8);
        h = (h ^ block) * 0xD6E8FEB86659FD93ull;
        h ^= h >> 32;
    }
    for (; length; bytes++, length--) h = (h ^ (uint8_t)*bytes) * 0x100000001B3ull;
    return h ^ h >> 29;
}

static const char *row_name(const handout_graph_record *graph, uint32_t row, size_t *length) {
    const uint32_t *offsets = (const uint32_t *)graph->name_offsets.data;
    size_t end = row + 1 < graph->count ? offsets[row + 1] : graph->names.count;
    *length = end - offsets[row];
    return graph->names.data + offsets[row];
}

/* The row of that id, or NONE; `*slot` is where it would go. The high half of an entry is the hash, so that names are
 * only looked at when it agrees. */
static uint32_t find_id(const handout_graph_record *graph, const char *id, size_t length, uint64_t hash, uint32_t *slot) {
    uint32_t mask = graph->id_capacity - 1, at = (uint32_t)(hash >> 32) & mask;
    for (; graph->id_table[at]; at = (at + 1) & mask) {
        if ((graph->id_table[at] ^ hash) >> 32) continue;
        uint32_t row = (uint32_t)graph->id_table[at] - 1;
        size_t other_length;
        const char *other = row_name(graph, row, &other_length);
        if (other_length == length && memcmp(other, id, length) == 0) return row;
    }
    *slot = at;
    return NONE;
}

static void grow_ids(lua_State *L, handout_graph_record *graph) {
    uint32_t capacity = graph->id_capacity ? graph->id_capacity * 4 : 64, mask = capacity - 1;
    uint64_t *table = calloc(capacity, sizeof *table);
    need_memory(L, table);
    for (uint32_t i = 0; i < graph->id_capacity; i++) {
        if (!graph->id_table[i]) continue;
        uint32_t at = (uint32_t)(graph->id_table[i] >> 32) & mask;
        while (table[at]) at = (at + 1) & mask;
        table[at] = graph->id_table[i];
    }
    free(graph->id_table);
    graph->id_table = table;
    graph->id_capacity = capacity;
}

/* ---- Needs ---- */

static void add_word(lua_State *L, handout_graph_record *graph, uint32_t w) {
    uint32_t *to = handout_vector_add(&graph->references);
    need_memory(L, to);
    *to = w;
}

static void refuse_entry(lua_State *L, handout_recorder *recorder, const char *who, const char *path, int index) {
    char what[100];
    handout_describe(L, index, what, sizeof what);
    if (to_graph(L, index)) snprintf(what, sizeof what, "a graph");
    handout_refuse(L, recorder, "needs", "%s: %s: expected a handle, or a list or table of handles, got %s", who, path, what);
}

/* Adds the row of the handle at `index`, as that operation. */
static void add_handle(lua_State *L, handout_recorder *recorder, uint32_t graph_index, int index, uint32_t operation,
                       const char *who, const char *path) {
    void *handle = lua_touserdata(L, index);
    uint32_t other = handout_handle_graph(handle);
    handout_graph_record *graph = graph_at(recorder, graph_index);
    if (other != graph_index) {
        handout_refuse(L, recorder, "needs", "%s: %s: handle of another graph '%.100s', expected one of '%.100s'", who, path,
                       graph_at(recorder, other)->name, graph->name);
        return;
    }
    add_word(L, graph, word(operation, handout_handle_row(handle)));
}

/* One entry of needs, at the top: a handle, or a list or keyed table of entries. `path` grows and shrinks in place. */
static void add_entry(lua_State *L, handout_recorder *recorder, uint32_t graph_index, const char *who, char *path,
                      int depth, int top_level);

static void add_keyed(lua_State *L, handout_recorder *recorder, uint32_t graph_index, const char *who, char *path,
                      int depth) {
    handout_codec *codec = &handout_of(L)->codec;
    int table = lua_gettop(L);
    uint32_t count = 0;
    size_t at = graph_at(recorder, graph_index)->references.count, length = strlen(path);
    add_word(L, graph_at(recorder, graph_index), 0);
    /* Sorted, so that the plan does not depend on the order in which a state walks its tables. */
    lua_getglobal(L, "pairs");
    lua_pushvalue(L, table);
    lua_call(L, 1, 3);
    for (int iterator = table + 1;;) {
        lua_pushvalue(L, iterator);
        lua_pushvalue(L, iterator + 1);
        lua_pushvalue(L, iterator + 2);
        lua_call(L, 2, 2);
        if (lua_isnil(L, -2)) break;
        codec->out.length = 0;
        handout_encode(L, codec, -2, "needs", "cannot be a key");
        add_word(L, graph_at(recorder, graph_index),
                 word(OP_KEY, handout_pool_add(L, recorder, HANDOUT_POOL_DATA, codec->out.data, codec->out.length)));
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
    ((uint32_t *)graph_at(recorder, graph_index)->references.data)[at] = word(OP_KEYED, count);
}

static void add_list(lua_State *L, handout_recorder *recorder, uint32_t graph_index, lua_Integer count, const char *who,
                     char *path, int depth, int top_level) {
    size_t length = strlen(path);
    if (!top_level) add_word(L, graph_at(recorder, graph_index), word(OP_LIST, (uint32_t)count));
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        if (lua_islightuserdata(L, -1) &&
            handout_handle_graph(lua_touserdata(L, -1)) == graph_index) { /* the quick way */
            add_word(L, graph_at(recorder, graph_index), handout_handle_row(lua_touserdata(L, -1)));
        } else {
            if (length < 300) snprintf(path + length, 400 - length, "[%lld]", (long long)i);
            add_entry(L, recorder, graph_index, who, path, depth + 1, 0);
            path[length] = 0;
        }
        lua_pop(L, 1);
    }
}

/* Counts the entries of the table at the top: -1 keyed by strings, -2 neither, else the length of the list. */
static lua_Integer table_shape(lua_State *L) {
    lua_Integer positions = 0, names = 0, length = (lua_Integer)lua_rawlen(L, -1);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
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
    lua_Integer shape = table_shape(L);
    if (shape == -2)
        handout_refuse(L, recorder, "needs", "%s: %s: expected either positions 1 to n or names, not both and no gaps", who, path);
    else if (shape == -1) add_keyed(L, recorder, graph_index, who, path, depth);
    else if (top_level && shape > MAX_POSITIONS)
        handout_refuse(L, recorder, "needs", "%s: %s: at most 200 positions, got %lld (nest a list: needs = { list })", who, path,
                       (long long)shape);
    else add_list(L, recorder, graph_index, shape, who, path, depth, top_level);
}

static void add_needs(lua_State *L, handout_recorder *recorder, uint32_t graph_index, int index, const char *who) {
    char path[400] = "needs";
    if (!index || lua_isnil(L, index)) return;
    lua_pushvalue(L, index);
    add_entry(L, recorder, graph_index, who, path, 0, 1);
    lua_pop(L, 1);
}

static void add_args(lua_State *L, handout_recorder *recorder, uint32_t graph_index, int index, const char *who) {
    handout_codec *codec = &handout_of(L)->codec;
    if (!index || lua_isnil(L, index)) return;
    lua_pushvalue(L, index);
    lua_Integer shape = lua_type(L, -1) == LUA_TTABLE ? table_shape(L) : -2;
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
                add_word(L, graph_at(recorder, graph_index),
                         word(OP_CONSTANT,
                              handout_pool_add(L, recorder, HANDOUT_POOL_DATA, codec->out.data, codec->out.length)));
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void add_after(lua_State *L, handout_recorder *recorder, uint32_t graph_index, int index, const char *who) {
    if (!index || lua_isnil(L, index)) return;
    size_t at = graph_at(recorder, graph_index)->references.count;
    add_word(L, graph_at(recorder, graph_index), 0);
    lua_pushvalue(L, index);
    lua_Integer shape = lua_type(L, -1) == LUA_TTABLE ? table_shape(L) : -2;
    if (lua_islightuserdata(L, -1)) {
        add_handle(L, recorder, graph_index, -1, 0, who, "after");
    } else if (shape < 0) {
        refuse_entry(L, recorder, who, "after", -1);
    } else {
        for (lua_Integer i = 1; i <= shape; i++) {
            char path[40];
            snprintf(path, sizeof path, "after[%lld]", (long long)i);
            lua_rawgeti(L, -1, i);
            if (lua_islightuserdata(L, -1)) add_handle(L, recorder, graph_index, -1, 0, who, path);
            else refuse_entry(L, recorder, who, path, -1);
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
    handout_vector *references = &graph_at(recorder, graph_index)->references;
    ((uint32_t *)references->data)[at] = word(OP_AFTER, (uint32_t)(references->count - at - 1));
}

/* What a map or reduce runs over; raw access, so that a table means the same on every host. */
static void add_over(lua_State *L, handout_recorder *recorder, uint32_t graph_index, int index, const char *who) {
    handout_codec *codec = &handout_of(L)->codec;
    if (!index || lua_isnil(L, index)) {
        handout_refuse(L, recorder, "over", "%s: option 'over' is missing: expected a list, a keyed table or a handle", who);
        return;
    }
    lua_pushvalue(L, index);
    if (lua_islightuserdata(L, -1)) {
        add_handle(L, recorder, graph_index, -1, OP_OVER, who, "over");
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
            add_word(L, graph_at(recorder, graph_index),
                     word(OP_OVER_LITERAL,
                          handout_pool_add(L, recorder, HANDOUT_POOL_DATA, codec->out.data, codec->out.length)));
    }
    lua_pop(L, 1);
}

/* ---- Rows ---- */

static void current_line(lua_State *L, handout_recorder *recorder, uint32_t *line) {
    lua_Debug ar;
    *line = 0;
    if (!lua_getstack(L, 1, &ar) || !lua_getinfo(L, "Sl", &ar) || ar.currentline <= 0) return;
    uint32_t source = handout_source_index(recorder, ar.source);
    *line = ((uint32_t)ar.currentline & 0xFFFFFF) | (source > 255 ? 255 : source) << 24;
}

#define PUSH(L, vector, type, value)                    \
    do {                                                \
        type *room = handout_vector_add(&(vector));     \
        need_memory(L, room);                           \
        *room = (value);                                \
    } while (0)

/* `task 'train'`: how messages name a task. Written for every one, so without printf. An id has at most 200 bytes. */
static void name_it(char *who, const char *what, const char *id, size_t length) {
    size_t n = strlen(what);
    memcpy(who, what, n);
    memcpy(who + n, " '", 2);
    memcpy(who + n + 2, id, length);
    memcpy(who + n + 2 + length, "'", 2);
}

/* Checks the id at stack index 2 and writes how messages name the task to `who`. Returns 0 when it was refused. */
static int check_id(lua_State *L, handout_recorder *recorder, handout_graph_record *graph, const char *what, char *who,
                    size_t size) {
    char shown[260];
    if (lua_type(L, 2) != LUA_TSTRING) {
        handout_describe(L, 2, shown, sizeof shown);
        snprintf(who, size, "%s", what);
        handout_refuse(L, recorder, "id", "%s: the id is a string, got %s", what, shown);
        return 0;
    }
    size_t length;
    const char *id = lua_tolstring(L, 2, &length), *wrong = handout_check_id(id, length);
    if (wrong) {
        handout_describe(L, 2, shown, sizeof shown);
        snprintf(who, size, "%s %s", what, shown);
        handout_refuse(L, recorder, "id", "%s %s: not an id: %s", what, shown, wrong);
        return 0;
    }
    name_it(who, what, id, length);
    uint32_t slot, row;
    uint64_t hash = hash_bytes(id, length) & 0xFFFFFFFF00000000u;
    if ((graph->count + 1) * 2 > graph->id_capacity) grow_ids(L, graph);
    if ((row = find_id(graph, id, length, hash, &slot)) != NONE) {
        const uint32_t *lines = (const uint32_t *)graph->lines.data;
        handout_refuse(L, recorder, "duplicate", "%s: the id is taken: declared before at line %u", who,
                       lines[row] & 0xFFFFFF);
        return 0;
    }
    graph->id_table[slot] = hash | (graph->count + 1);
    return 1;
}

/* In template mode a call only shows its function; when the wanted class was found the script is suspended. */
static int declare_in_template_mode(lua_State *L, handout_recorder *recorder, uint32_t graph_index) {
    handout_graph_record *graph = graph_at(recorder, graph_index);
    uint32_t row = graph->count++;
    int function = lua_type(L, 4) == LUA_TFUNCTION ? 4 : 3, found = 0;
    if (row >= recorder->first_row && lua_type(L, function) == LUA_TFUNCTION && !lua_iscfunction(L, function))
        found = handout_see_template(L, recorder, function);
    lua_settop(L, 0);
    lua_pushlightuserdata(L, handout_handle(graph_index, row));
    if (found && lua_isyieldable(L)) return lua_yield(L, 1); /* resumed with the handle as argument */
    return 1;
}

static int declare(lua_State *L, int kind, int call, const char *method) {
    handout_recorder *recorder = handout_recorder_of(L);
    uint32_t graph_index = self(L, method)->index;
    if (recorder->tables) return declare_in_template_mode(L, recorder, graph_index);
    handout_graph_record *graph = graph_at(recorder, graph_index);
    char who[320];
    int options = 0, function = 3;
    if (lua_gettop(L) >= 4 || (lua_type(L, 3) != LUA_TFUNCTION && call == HANDOUT_CALL_TASK)) function = 4, options = 3;
    if (call != HANDOUT_CALL_TASK) function = 4, options = 3;
    lua_settop(L, 4);
    handout_count_columns(L, recorder, 64);
    if (graph->count >= MAX_TASKS) return luaL_error(L, "%s: more than 268435456 tasks", method);
    int named = check_id(L, recorder, graph, method, who, sizeof who);
    uint32_t line;
    current_line(L, recorder, &line);
    if (options && !lua_isnil(L, options) && lua_type(L, options) != LUA_TTABLE) {
        char what[100];
        handout_describe(L, options, what, sizeof what);
        handout_refuse(L, recorder, "option", "%s: options: expected a table, got %s", who, what);
        options = 0;
    } else if (options && lua_isnil(L, options)) {
        options = 0;
    }
    handout_parsed parsed;
    memcpy(&parsed.set, &graph->defaults, sizeof parsed.set);
    handout_parse_options(L, recorder, options, call, who, &parsed);
    int good = lua_type(L, function) == LUA_TFUNCTION && !lua_iscfunction(L, function);
    if (call == HANDOUT_CALL_MAP && to_graph(L, function)) {
        handout_refuse(L, recorder, "unavailable", "%s: a map over a graph is not available in this version", who);
    } else if (!good) {
        char what[100];
        handout_describe(L, function, what, sizeof what);
        if (lua_type(L, function) == LUA_TFUNCTION) snprintf(what, sizeof what, "a function made in C");
        handout_refuse(L, recorder, "function", "%s: expected a Lua function as last argument, got %s", who, what);
    }
    if (!named) { /* nothing to hang it on: give a handle that later calls accept */
        lua_pushlightuserdata(L, handout_handle(graph_index, graph->count ? graph->count - 1 : 0));
        return 1;
    }
    uint32_t row = graph->count;
    size_t length;
    const char *id = lua_tolstring(L, 2, &length);
    PUSH(L, graph->name_offsets, uint32_t, (uint32_t)graph->names.count);
    char *name = handout_vector_add_many(&graph->names, length);
    need_memory(L, name);
    memcpy(name, id, length);
    graph->count++;
    PUSH(L, graph->kinds, uint8_t, (uint8_t)kind);
    PUSH(L, graph->options, uint32_t, handout_option_set_index(L, recorder, &parsed.set));
    PUSH(L, graph->lines, uint32_t, line);
    PUSH(L, graph->reference_offsets, uint32_t, (uint32_t)graph->references.count);
    PUSH(L, graph->capture_offsets, uint32_t, (uint32_t)graph->captures.count);
    if (call != HANDOUT_CALL_TASK) add_over(L, recorder, graph_index, parsed.over, who);
    if (parsed.needs) add_needs(L, recorder, graph_index, parsed.needs, who);
    if (parsed.args) add_args(L, recorder, graph_index, parsed.args, who);
    if (parsed.after) add_after(L, recorder, graph_index, parsed.after, who);
    uint32_t class = NONE;
    if (good) {
        class = handout_class_of(L, recorder, function);
        PUSH(L, graph->classes, uint32_t, class);
        handout_record_captures(L, recorder, class, function, graph_index, row);
    } else {
        PUSH(L, graph->classes, uint32_t, class);
    }
    lua_pushlightuserdata(L, handout_handle(graph_index, row));
    return 1;
}

static int graph_task(lua_State *L) { return declare(L, 0, HANDOUT_CALL_TASK, "task"); }
static int graph_map(lua_State *L) { return declare(L, 1, HANDOUT_CALL_MAP, "map"); }
static int graph_reduce(lua_State *L) { return declare(L, 2, HANDOUT_CALL_REDUCE, "reduce"); }

static int graph_output(lua_State *L) {
    handout_recorder *recorder = handout_recorder_of(L);
    graph_object *graph = self(L, "output");
    if (recorder->tables) return 0;
    handout_graph_record *record = graph_at(recorder, graph->index);
    char shown[260], what[100];
    handout_describe(L, 2, shown, sizeof shown);
    size_t length = 0;
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tolstring(L, 2, &length) : NULL;
    const char *wrong = name ? handout_check_id(name, length) : "it is no string";
    handout_describe(L, 3, what, sizeof what);
    if (wrong) {
        handout_refuse(L, recorder, "output", "output %s: not an id: %s", shown, wrong);
    } else if (!lua_islightuserdata(L, 3)) {
        handout_refuse(L, recorder, "output", "output %s: expected a handle, got %s", shown, what);
    } else if (handout_handle_graph(lua_touserdata(L, 3)) != graph->index) {
        handout_refuse(L, recorder, "output", "output %s: handle of another graph '%.100s', expected one of '%.100s'", shown,
                       graph_at(recorder, handout_handle_graph(lua_touserdata(L, 3)))->name, record->name);
    } else {
        handout_plan_output *outputs = (handout_plan_output *)record->outputs.data;
        char *const *names = (char *const *)recorder->declared.data;
        for (size_t i = 0; i < record->outputs.count; i++)
            if (outputs[i].name_length == length && memcmp(names[outputs[i].name_offset], name, length) == 0) {
                handout_refuse(L, recorder, "duplicate", "output %s: the name is taken", shown);
                return 0;
            }
        handout_plan_output output = {.name_length = (uint32_t)length, .task = handout_handle_row(lua_touserdata(L, 3))};
        /* Names of outputs go to a copy of their own at the end: names of tasks must stay consecutive. */
        char *copy = malloc(length + 1);
        need_memory(L, copy);
        memcpy(copy, name, length);
        PUSH(L, recorder->declared, char *, copy);
        output.name_offset = (uint32_t)(recorder->declared.count - 1);
        PUSH(L, record->outputs, handout_plan_output, output);
    }
    return 0;
}

static int unavailable(lua_State *L) {
    if (handout_recorder_of(L)->tables) return 0;
    handout_refuse(L, handout_recorder_of(L), "unavailable", "%s is not available in this version",
                   lua_tostring(L, lua_upvalueindex(1)));
    lua_pushlightuserdata(L, handout_handle(0, 0));
    return 1;
}

/* ---- Handles ---- */

static int handle_index(lua_State *L) {
    handout_recorder *recorder = handout_recorder_of(L);
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (!lua_islightuserdata(L, 1)) return luaL_error(L, "expected a handle");
    void *handle = lua_touserdata(L, 1);
    uint32_t row = handout_handle_row(handle);
    if (strcmp(key, "id") == 0 && recorder) {
        handout_graph_record *graph = graph_at(recorder, handout_handle_graph(handle));
        size_t length;
        const char *name;
        if (recorder->tables) { /* only the graph that the script returns has its names here */
            if (row >= recorder->tables->count) return 0;
            const uint32_t *offsets = recorder->tables->name_offsets;
            lua_pushlstring(L, (const char *)recorder->tables->name_bytes + offsets[row], offsets[row + 1] - offsets[row]);
            return 1;
        }
        if (row >= graph->count) return 0;
        name = row_name(graph, row, &length);
        lua_pushlstring(L, name, length);
        return 1;
    }
    if (strcmp(key, "at") == 0) {
        lua_pushliteral(L, "handle:at");
        lua_pushcclosure(L, unavailable, 1);
        return 1;
    }
    char shown[100];
    handout_describe(L, 2, shown, sizeof shown);
    return luaL_error(L, "a handle has no field %s: it stands for a value that is not there while planning", shown);
}

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
    if (options) {
        char who[300];
        snprintf(who, sizeof who, "graph '%s'", record.name);
        handout_parsed parsed;
        memcpy(&parsed.set, &record.defaults, sizeof parsed.set);
        handout_parse_options(L, recorder, options, HANDOUT_CALL_GRAPH, who, &parsed);
        memcpy(&record.defaults, &parsed.set, sizeof parsed.set);
    }
    handout_graph_record *added = handout_vector_add(&recorder->graphs);
    need_memory(L, added);
    memcpy(added, &record, sizeof record);
    graph_object *graph = lua_newuserdatauv(L, sizeof *graph, 0);
    *graph = (graph_object){GRAPH_MAGIC, (uint32_t)(recorder->graphs.count - 1)};
    luaL_setmetatable(L, "handout.graph");
    return 1;
}

static int graph_tostring(lua_State *L) {
    graph_object *graph = self(L, "tostring");
    lua_pushfstring(L, "graph '%s'", graph_at(handout_recorder_of(L), graph->index)->name);
    return 1;
}

static void push_graph_metatable(lua_State *L) {
    static const luaL_Reg methods[] = {{"task", graph_task}, {"map", graph_map}, {"reduce", graph_reduce},
                                       {"output", graph_output}, {NULL, NULL}};
    static const char *const later[] = {"when", "input", "include", "allocator", NULL};
    luaL_newmetatable(L, "handout.graph");
    luaL_newlib(L, methods);
    for (int i = 0; later[i]; i++) {
        lua_pushfstring(L, "g:%s", later[i]);
        lua_pushcclosure(L, unavailable, 1);
        lua_setfield(L, -2, later[i]);
    }
    handout_protect(L, "graph");
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, graph_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    lua_pushlightuserdata(L, NULL);
    lua_createtable(L, 0, 3);
    lua_pushcfunction(L, handle_index);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "handle");
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

/* ---- require ---- */

static int module_require(lua_State *L) {
    handout_recorder *recorder = handout_recorder_of(L);
    size_t length;
    const char *name = luaL_checklstring(L, 1, &length);
    char error[1024] = "";
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_MODULES);
    lua_pushvalue(L, 1);
    int type = lua_rawget(L, 2);
    if (type == LUA_TLIGHTUSERDATA) return luaL_error(L, "module '%s' requires itself", name);
    if (type != LUA_TNIL) return 1;
    int in_task = handout_of(L)->task != NULL && !handout_of(L)->planning;
    const char *source, *chunk_name;
    size_t size;
    uint32_t index;
    if (recorder->host->module(recorder->host->context, name, length, &source, &size, &chunk_name, &index, error, sizeof error))
        return luaL_error(L, "%s", error);
    lua_pushvalue(L, 1);
    lua_pushlightuserdata(L, NULL); /* being loaded */
    lua_rawset(L, 2);
    handout_recorder_load(L, recorder, source, size, chunk_name);
    lua_pushvalue(L, 1);
    /* A module is planning code: it must be the same in every state. One that a task meets first was seen while
     * planning, as the program is sealed. */
    if (in_task) handout_task_side(handout_of(L), 1);
    lua_call(L, 1, 1);
    if (in_task) handout_task_side(handout_of(L), 0);
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
    return 1;
}

static void new_registry_table(lua_State *L, void *key) {
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void handout_recorder_open(lua_State *L, handout_recorder *recorder) {
    static const luaL_Reg functions[] = {{"graph", module_graph}, {"param", handout_module_param}, {NULL, NULL}};
    static const char *const later[] = {"glob", "read", "cluster", "allocator", "tracker", NULL};
    handout_state *state = handout_of(L);
    state->plan = recorder;
    handout_open_libraries(state);
    new_registry_table(L, &HANDOUT_KEY_MODULES);
    new_registry_table(L, &HANDOUT_KEY_MODULE_NAMES);
    new_registry_table(L, &HANDOUT_KEY_HELD);
    new_registry_table(L, &HANDOUT_KEY_TEMPLATES);
    push_graph_metatable(L);
    luaL_newlib(L, functions);
    for (int i = 0; later[i]; i++) {
        lua_pushfstring(L, "handout.%s", later[i]);
        lua_pushcclosure(L, unavailable, 1);
        lua_setfield(L, -2, later[i]);
    }
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

/* ---- Planning ---- */

int handout_recorder_init(handout_recorder *recorder, handout_state *state, const handout_host *host) {
    memset(recorder, 0, sizeof *recorder);
    recorder->state = state;
    recorder->host = host;
    recorder->wanted = NONE;
    recorder->returned_graph = NONE;
    recorder->graphs.size = sizeof(handout_graph_record);
    recorder->classes.size = sizeof(handout_class_record);
    recorder->sources.size = sizeof(handout_source);
    recorder->option_sets.size = sizeof(handout_option_set);
    recorder->pool.size = sizeof(uint64_t);
    recorder->pool_bytes.size = 1;
    recorder->errors.size = sizeof(handout_plan_error);
    recorder->declared.size = sizeof(char *);
    recorder->met.size = 16;
    recorder->code.size = 1;
    recorder->known_parameters.size = sizeof(handout_plan_parameter);
    return 0;
}

static void graph_record_free(handout_graph_record *graph) {
    handout_vector *vectors[] = {&graph->kinds, &graph->options, &graph->lines, &graph->classes, &graph->capture_offsets,
                                 &graph->captures, &graph->name_offsets, &graph->names, &graph->reference_offsets,
                                 &graph->references, &graph->outputs};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) free(vectors[i]->data);
    free(graph->name);
    free(graph->id_table);
}

void handout_recorder_free(handout_recorder *recorder) {
    for (size_t i = 0; i < recorder->graphs.count; i++) graph_record_free((handout_graph_record *)recorder->graphs.data + i);
    for (size_t i = 0; i < recorder->classes.count; i++) {
        handout_class_record *record = (handout_class_record *)recorder->classes.data + i;
        free(record->dump);
        free(record->names);
        free(record->ids);
        free(record->pools);
    }
    for (size_t i = 0; i < recorder->sources.count; i++) free(((handout_source *)recorder->sources.data)[i].name);
    for (size_t i = 0; i < recorder->declared.count; i++) free(((char **)recorder->declared.data)[i]);
    free(recorder->graphs.data);
    free(recorder->classes.data);
    free(recorder->sources.data);
    free(recorder->option_sets.data);
    free(recorder->pool.data);
    free(recorder->pool_bytes.data);
    free(recorder->errors.data);
    free(recorder->declared.data);
    free(recorder->met.data);
    free(recorder->code.data);
    handout_buffer_free(&recorder->declaration);
    for (size_t i = 0; i < recorder->known_parameters.count; i++) {
        handout_plan_parameter *parameter = (handout_plan_parameter *)recorder->known_parameters.data + i;
        free(parameter->name);
        free(parameter->help);
        handout_buffer_free(&parameter->value);
        handout_buffer_free(&parameter->declaration);
    }
    free(recorder->known_parameters.data);
    for (size_t i = 0; i < recorder->errors.count; i++) {
        handout_plan_error *error = (handout_plan_error *)recorder->errors.data + i;
        free(error->message);
        free(error->file);
    }
    free(recorder->class_table);
    free(recorder->identities);
}

typedef struct planning {
    const handout_plan_config *config;
    handout_recorder *recorder;
    handout_plan *plan;
} planning;

static void check_returned(lua_State *L, handout_recorder *recorder) {
    graph_object *graph = to_graph(L, -1);
    if (graph) {
        recorder->returned_graph = graph->index;
        return;
    }
    char what[100];
    handout_describe(L, -1, what, sizeof what);
    handout_refuse(L, recorder, "script", "the script returned %s, expected a graph (end it with: return g)", what);
}

/* Runs in one protected call: libraries, script, what closures captured. */
static int plan_protected(lua_State *L) {
    planning *now = lua_touserdata(L, 1);
    const handout_plan_config *config = now->config;
    handout_recorder_open(L, now->recorder);
    handout_use_planning_libraries(handout_of(L), 1);
    handout_open_globals(handout_of(L), 1);
    handout_recorder_load(L, now->recorder, config->source, config->source_length, config->chunk_name);
    lua_call(L, 0, 1);
    check_returned(L, now->recorder);
    handout_read_held(L, now->recorder);
    now->plan->user_globals = handout_user_globals(handout_of(L));
    return 0;
}

static int message_handler(lua_State *L) {
    handout_state *state = handout_of(L);
    handout_traceback(L, state->traceback, sizeof state->traceback, 1);
    if (lua_type(L, 1) == LUA_TSTRING) return 1;
    char what[200];

    handout_describe(L, 1, what, sizeof what);
    if (lua_type(L, 1) == LUA_TTABLE) {
        lua_pushliteral(L, "message");
        if (lua_rawget(L, 1) == LUA_TSTRING) return 1;
    }
    lua_pushfstring(L, "raised %s", what);
    return 1;
}

int handout_first_place(const char *traceback, char *file, size_t size, uint32_t *line) {
    for (const char *p = traceback; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
        const char *end = strchr(p, '\n'), *in = strstr(p, ": in ");
        if (!in || (end && in > end) || *p == '[') continue; /* a C function, or no frame */
        const char *colon = in;
        while (colon > p && *colon != ':') colon--;
        for (colon = in - 1; colon > p && *colon != ':'; colon--) {}
        unsigned number;
        if (colon <= p || sscanf(colon + 1, "%u", &number) != 1 || (size_t)(colon - p) >= size) continue;
        memcpy(file, p, (size_t)(colon - p));
        file[colon - p] = 0;
        *line = number;
        return 1;
    }
    return 0;
}

/* An error that ended the script: "file:line: text" is taken apart; without it the place is where the script was. */
static void add_script_error(handout_recorder *recorder, const char *code, const char *text, size_t length,
                             const char *chunk_name) {
    handout_plan_error *error = handout_vector_add(&recorder->errors);
    if (!error) return;
    *error = (handout_plan_error){.code = code};
    const char *file = chunk_name + 1;
    for (size_t i = 0; i <= recorder->sources.count; i++) {
        if (i < recorder->sources.count) file = ((handout_source *)recorder->sources.data)[i].name + 1;
        else break;
        size_t n = strlen(file);
        unsigned line;
        int used = 0;
        if (length > n + 1 && strncmp(text, file, n) == 0 && text[n] == ':' && sscanf(text + n + 1, "%u: %n", &line, &used) == 1 && used) {
            error->file = strdup(file);
            error->line = line;
            text += n + 1 + used;
            length -= n + 1 + (size_t)used;
            break;
        }
    }
    char place[300];
    if (!error->file && handout_first_place(recorder->state->traceback, place, sizeof place, &error->line))
        error->file = strdup(place);
    if (!error->file) error->file = strdup(chunk_name + 1);
    char shown[1200];
    handout_escape(text, length, 1000, shown, sizeof shown);
    error->message = strdup(shown);
}

static void *take(handout_vector *vector) {
    void *data = realloc(vector->data, vector->count * vector->size + 1); /* give back what was room to grow */
    if (!data) data = vector->data;
    vector->data = NULL;
    return data ? data : calloc(1, 1);
}

static void *take_offsets(handout_vector *vector, size_t end) {
    uint32_t *last = handout_vector_add(vector);
    if (last) *last = (uint32_t)end;
    return take(vector);
}

static void fill_classes(handout_plan *plan, handout_recorder *recorder) {
    plan->class_count = (uint32_t)recorder->classes.count;
    plan->class_list = calloc(plan->class_count + 1u, sizeof *plan->class_list);
    plan->class_names = calloc(plan->class_count + 1u, sizeof *plan->class_names);
    for (uint32_t i = 0; plan->class_list && plan->class_names && i < plan->class_count; i++) {
        handout_class_record *record = (handout_class_record *)recorder->classes.data + i;
        plan->class_list[i] = record->public;
        plan->class_names[i] = record->names;
        record->names = NULL;
    }
    plan->source_count = (uint32_t)recorder->sources.count;
    plan->sources = calloc(plan->source_count + 1u, sizeof *plan->sources);
    for (uint32_t i = 0; plan->sources && i < plan->source_count; i++) {
        const char *name = ((handout_source *)recorder->sources.data)[i].name;
        char shown[300];
        handout_escape(name, strlen(name), 200, shown + 6, sizeof shown - 6);
        memcpy(shown, "load: ", 6); /* no file can have this name: load never makes a name with "@" */
        plan->sources[i] = strdup(name[0] == '@' ? name + 1 : shown);
    }
}

/* The names of outputs follow the names of tasks in one buffer. */
static void fill_outputs(handout_plan *plan, handout_recorder *recorder, handout_graph_record *graph) {
    plan->output_count = (uint32_t)graph->outputs.count;
    handout_plan_output *outputs = (handout_plan_output *)graph->outputs.data;
    for (uint32_t i = 0; i < plan->output_count; i++) {
        char *to = handout_vector_add_many(&graph->names, outputs[i].name_length);
        if (!to) return;
        memcpy(to, ((char **)recorder->declared.data)[outputs[i].name_offset], outputs[i].name_length);
        outputs[i].name_offset = (uint32_t)(graph->names.count - outputs[i].name_length);
    }
    plan->outputs = take(&graph->outputs);
}

static void fill_columns(handout_plan *plan, handout_recorder *recorder) {
    handout_graph_record *graph = graph_at(recorder, recorder->returned_graph);
    plan->name = strdup(graph->name);
    plan->name_length = graph->name_length;
    plan->count = graph->count;
    free(graph->id_table);
    graph->id_table = NULL;
    plan->kinds = take(&graph->kinds);
    plan->options = take(&graph->options);
    plan->lines = take(&graph->lines);
    plan->classes = take(&graph->classes);
    plan->capture_offsets = take_offsets(&graph->capture_offsets, graph->captures.count);
    plan->captures = take(&graph->captures);
    plan->name_offsets = take_offsets(&graph->name_offsets, graph->names.count);
    fill_outputs(plan, recorder, graph);
    plan->name_bytes_length = graph->names.count;
    plan->name_bytes = take(&graph->names);
    plan->reference_offsets = take_offsets(&graph->reference_offsets, graph->references.count);
    plan->references = take(&graph->references);
    plan->option_set_count = (uint32_t)recorder->option_sets.count;
    plan->option_sets = take(&recorder->option_sets);
    plan->pool_count = (uint32_t)recorder->pool.count;
    plan->pool = take(&recorder->pool);
    plan->pool_bytes_length = recorder->pool_bytes.count;
    plan->pool_bytes = take(&recorder->pool_bytes);
    plan->code_length = recorder->code.count;
    plan->code = take(&recorder->code);
}

static uint64_t cpu_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What a limit said, in words. */
static void add_limit_error(handout_recorder *recorder, handout_state *state, const handout_plan_config *config, int ended) {
    char text[300];
    if (ended == HANDOUT_TIMEOUT)
        snprintf(text, sizeof text, "planning took longer than %g s of CPU time (--plan-time sets it)", (double)config->time / 1e9);
    else if (ended == HANDOUT_MEMORY)
        snprintf(text, sizeof text, "planning needed more than %g MiB of memory (--plan-memory sets it)",
                 (double)config->memory / 1048576);
    else snprintf(text, sizeof text, "planning was interrupted");
    add_script_error(recorder, ended == HANDOUT_TIMEOUT ? "timeout" : ended == HANDOUT_MEMORY ? "memory" : "cancelled", text,
                     strlen(text), config->chunk_name);
}

handout_plan *handout_plan_run(const handout_plan_config *config) {
    handout_plan *plan = calloc(1, sizeof *plan);
    handout_recorder *recorder = malloc(sizeof *recorder);
    handout_state *state = handout_state_new(config->memory, config->host, config->slot);
    uint64_t begun = cpu_now();
    if (!plan || !recorder || !state) {
        free(recorder);
        handout_state_free(state);
        if (plan) plan->ended = HANDOUT_MEMORY;
        return plan;
    }
    handout_recorder_init(recorder, state, config->host);
    recorder->parameters = config->parameters;
    recorder->parameter_count = config->parameter_count;
    recorder->local_cpu = config->local_cpu;
    state->planning = 1;
    state->random_seed = config->seed;
    planning now = {config, recorder, plan};
    int reason = setjmp(state->entry);
    if (reason == 0) {
        handout_enter(state);
        if (config->slot && config->time) handout_deadline_begin(config->slot, state, config->time);
        lua_State *L = state->L;
        /* On the main thread a full stack raises before anything is protected: 40 slots are always there. */
        lua_pushcfunction(L, message_handler);
        lua_pushcfunction(L, plan_protected);
        lua_pushlightuserdata(L, &now);
        int status = lua_pcall(L, 1, 0, 1);
        if (status != LUA_OK) {
            size_t length;
            const char *text = lua_tolstring(L, -1, &length);
            plan->ended = HANDOUT_ERROR;
            add_script_error(recorder, recorder->bad_syntax ? "syntax" : "script", text ? text : "error", text ? length : 5,
                             config->chunk_name);
        }
    } else {
        plan->ended = reason;
        add_limit_error(recorder, state, config, reason);
    }
    if (config->slot && config->time) handout_deadline_end(config->slot);
    handout_exit(state);
    plan->peak_memory = state->peak;
    handout_state_free(state);
    if (plan->ended == HANDOUT_OK && recorder->errors.count == 0 && recorder->returned_graph != NONE) fill_columns(plan, recorder);
    fill_classes(plan, recorder);
    plan->error_count = (uint32_t)recorder->errors.count;
    plan->errors_left_out = recorder->errors_left_out;
    plan->errors = take(&recorder->errors);
    plan->parameter_count = (uint32_t)recorder->known_parameters.count;
    plan->parameters = take(&recorder->known_parameters);
    recorder->known_parameters.count = 0;
    recorder->errors.count = 0;
    handout_recorder_free(recorder);
    free(recorder);
    plan->cpu_nanoseconds = cpu_now() - begun;
    return plan;
}

void handout_plan_free(handout_plan *plan) {
    if (!plan) return;
    for (uint32_t i = 0; i < plan->error_count; i++) free(plan->errors[i].message), free(plan->errors[i].file);
    for (uint32_t i = 0; i < plan->parameter_count; i++) {
        free(plan->parameters[i].name);
        free(plan->parameters[i].help);
        handout_buffer_free(&plan->parameters[i].value);
        handout_buffer_free(&plan->parameters[i].declaration);
    }
    for (uint32_t i = 0; i < plan->source_count; i++) free(plan->sources[i]);
    for (uint32_t i = 0; plan->class_names && i < plan->class_count; i++) free(plan->class_names[i]);
    void *columns[] = {plan->name, plan->kinds, plan->options, plan->lines, plan->classes, plan->capture_offsets,
                       plan->captures, plan->name_offsets, plan->name_bytes, plan->reference_offsets, plan->references,
                       plan->option_sets, plan->class_list, plan->pool, plan->pool_bytes,
                       plan->outputs, plan->parameters, plan->errors, plan->sources, plan->class_names, plan->code, plan};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) free(columns[i]);
}
