/* Graphs and handles as scripts have them: tasks are declared here. */
#include "graph.h"
#include "sandbox.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TASKS = 1 << 28 };

handout_graph_object *handout_graph_self(lua_State *L, const char *method) {
    handout_graph_object *graph = handout_to_graph(L, 1);
    if (!graph) {
        char what[100];
        handout_describe(L, 1, what, sizeof what);
        luaL_error(L, "%s: expected a graph before the colon (g:%s), got %s", method, method, what);
    }
    if (handout_of(L)->task && !handout_of(L)->planning) luaL_error(L, "g:%s is only there while planning, not in a task", method);
    const handout_graph_record *record = handout_graph_at(handout_recorder_of(L), graph->index);
    if (record->sealed)
        luaL_error(L, "graph '%s' was included at line %d: nothing can be added to it any more", record->name,
                   (int)(record->sealed & 0xFFFFFF));
    return graph;
}

/* ---- Ids ---- */

static uint64_t hash_block(uint64_t h, uint64_t block) {
    h = (h ^ block) * 0xD6E8FEB86659FD93ull;
    return h ^ h >> 32;
}

/* Of all bytes but the last, which is added: ids that are counted up lie side by side in the table. Blocks of eight, the last
 * of which overlaps the one before it; of fewer bytes, the first four and the last four overlap. */
static uint64_t hash_id(const char *id, size_t length) {
    uint64_t h = 0x9E3779B97F4A7C15ull ^ length, block = 0;
    uint8_t last = (uint8_t)id[--length];
    if (length >= 8) {
        const char *end = id + length - 8;
        for (; id < end; id += 8) {
            memcpy(&block, id, 8);
            h = hash_block(h, block);
        }
        memcpy(&block, end, 8);
    } else if (length >= 4) {
        uint32_t first, second;
        memcpy(&first, id, 4);
        memcpy(&second, id + length - 4, 4);
        block = (uint64_t)first << 32 | second;
    } else if (length) {
        block = (uint64_t)(uint8_t)id[0] << 16 | (uint64_t)(uint8_t)id[length / 2] << 8 | (uint8_t)id[length - 1];
    }
    return (hash_block(h, block) * 0xD6E8FEB86659FD93ull & 0xFFFFFFFF00000000u) + ((uint64_t)last << 33);
}

/* The row of that id, or HANDOUT_NONE; `*slot` is where it would go. The high half of an entry is the hash, so that names are
 * only looked at when it agrees. */
static uint32_t find_id(const handout_graph_record *graph, const char *id, size_t length, uint64_t hash, uint32_t *slot) {
    uint32_t mask = graph->id_capacity - 1, at = (uint32_t)(hash >> 32) & mask;
    for (; graph->id_table[at]; at = (at + 1) & mask) {
        if ((graph->id_table[at] ^ hash) >> 32) continue;
        uint32_t row = (uint32_t)graph->id_table[at] - 1;
        size_t other_length;
        const char *other = handout_row_name(graph, row, &other_length);
        if (other_length == length && memcmp(other, id, length) == 0) return row;
    }
    *slot = at;
    return HANDOUT_NONE;
}

static void grow_ids(lua_State *L, handout_graph_record *graph) {
    uint32_t capacity = graph->id_capacity ? graph->id_capacity * 4 : 64, mask = capacity - 1;
    uint64_t *table = calloc(capacity, sizeof *table);
    handout_need_memory(L, table);
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

/* ---- Rows ---- */

void handout_drop_unfinished(handout_graph_record *graph) {
    uint32_t row = graph->count;
    if (graph->name_offsets.count == row) return; /* the first column of a row that is written */
    if (graph->name_offsets.count > row) graph->names.count = ((uint32_t *)graph->name_offsets.data)[row];
    if (graph->reference_offsets.count > row) graph->references.count = ((uint32_t *)graph->reference_offsets.data)[row];
    if (graph->capture_offsets.count > row) graph->captures.count = ((uint32_t *)graph->capture_offsets.data)[row];
    handout_vector *columns[] = {&graph->name_offsets, &graph->kinds, &graph->options, &graph->lines,
                                 &graph->reference_offsets, &graph->capture_offsets, &graph->classes};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        if (columns[i]->count > row) columns[i]->count = row;
}

/* The source of the function at the top, which is popped. The last one is kept, so that no other can be at its address. */
static uint32_t source_of_caller(lua_State *L, handout_recorder *recorder) {
    const void *caller = lua_topointer(L, -1);
    if (caller == recorder->caller) {
        lua_pop(L, 1);
        return recorder->caller_source;
    }
    lua_Debug ar;
    lua_rawgeti(L, LUA_REGISTRYINDEX, recorder->held);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, 0);
    lua_pop(L, 1);
    lua_getinfo(L, ">S", &ar);
    recorder->caller = caller;
    return recorder->caller_source = handout_source_index(recorder, ar.source);
}

uint32_t handout_current_line(lua_State *L, handout_recorder *recorder) {
    lua_Debug ar;
    if (!lua_getstack(L, 1, &ar) || !lua_getinfo(L, "lf", &ar)) return 0;
    if (ar.currentline <= 0) {
        lua_pop(L, 1);
        return 0;
    }
    uint32_t source = source_of_caller(L, recorder);
    return ((uint32_t)ar.currentline & 0xFFFFFF) | (source > 255 ? 255 : source) << 24;
}

#define PUSH(L, vector, type, value)                    \
    do {                                                \
        type *room = handout_vector_add(&(vector));     \
        handout_need_memory(L, room);                           \
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

/* Checks the id at stack `index` and writes how messages name the task to `who`. Returns 0 when it was refused; else
 * `*slot` and `*entry` are what the table of ids gets when the row is there. */
int handout_check_new_id(lua_State *L, handout_recorder *recorder, handout_graph_record *graph, int index, const char *what,
                         char *who, size_t size, uint32_t *slot, uint64_t *entry) {
    char shown[260];
    if (lua_type(L, index) != LUA_TSTRING) {
        handout_describe(L, index, shown, sizeof shown);
        snprintf(who, size, "%s", what);
        handout_refuse(L, recorder, "id", "%s: the id is a string, got %s", what, shown);
        return 0;
    }
    size_t length;
    const char *id = lua_tolstring(L, index, &length), *wrong = handout_check_id(id, length);
    if (wrong) {
        handout_describe(L, index, shown, sizeof shown);
        snprintf(who, size, "%s %s", what, shown);
        handout_refuse(L, recorder, "id", "%s %s: not an id: %s", what, shown, wrong);
        return 0;
    }
    name_it(who, what, id, length);
    uint32_t row;
    uint64_t hash = hash_id(id, length);
    if ((graph->count + 1) * 2 > graph->id_capacity) grow_ids(L, graph);
    if ((row = find_id(graph, id, length, hash, slot)) != HANDOUT_NONE) {
        const uint32_t *lines = (const uint32_t *)graph->lines.data;
        handout_refuse(L, recorder, "duplicate", "%s: the id is taken: declared before at line %u", who,
                       lines[row] & 0xFFFFFF);
        return 0;
    }
    *entry = hash | (graph->count + 1);
    return 1;
}

/* In template mode a call only shows its function; when the wanted class was found the script is suspended. */
static int declare_in_template_mode(lua_State *L, handout_recorder *recorder, uint32_t graph_index) {
    handout_graph_record *graph = handout_graph_at(recorder, graph_index);
    uint32_t row = graph->count++;
    int function = lua_type(L, 4) == LUA_TFUNCTION ? 4 : 3, found = 0;
    if (row >= recorder->first_row && lua_type(L, function) == LUA_TFUNCTION && !lua_iscfunction(L, function))
        found = handout_see_template(L, recorder, function);
    lua_settop(L, 0);
    lua_pushlightuserdata(L, handout_handle(graph_index, row));
    /* Resumed with the handle as argument. In a coroutine of the script's own this would be a yield that it did not ask for;
     * the next call outside of it suspends. */
    if (found && L == handout_of(L)->script && lua_isyieldable(L)) return lua_yield(L, 1);
    return 1;
}

void handout_begin_row(lua_State *L, handout_recorder *recorder, uint32_t graph_index, const char *id, size_t length,
                       uint32_t kind, uint32_t options, uint32_t line) {
    handout_graph_record *graph = handout_graph_at(recorder, graph_index);
    PUSH(L, graph->name_offsets, uint32_t, (uint32_t)graph->names.count);
    char *name = handout_vector_add_many(&graph->names, length);
    handout_need_memory(L, name);
    memcpy(name, id, length);
    PUSH(L, graph->kinds, uint8_t, (uint8_t)kind);
    PUSH(L, graph->options, uint32_t, options);
    PUSH(L, graph->lines, uint32_t, line);
    PUSH(L, graph->reference_offsets, uint32_t, (uint32_t)graph->references.count);
    PUSH(L, graph->capture_offsets, uint32_t, (uint32_t)graph->captures.count);
}

uint32_t handout_end_row(handout_recorder *recorder, uint32_t graph_index, uint32_t class) {
    handout_graph_record *graph = handout_graph_at(recorder, graph_index);
    uint32_t *to = handout_vector_add(&graph->classes);
    if (!to) handout_leave(recorder->state, HANDOUT_MEMORY, "no memory left for the plan");
    *to = class;
    return graph->count++;
}

uint32_t handout_plain_options(lua_State *L, handout_recorder *recorder) {
    handout_option_set set;
    memset(&set, 0, sizeof set);
    set.cpu = 10000;
    set.arity = 8;
    set.grant = set.resources = set.variants = set.where = set.worker = HANDOUT_NONE;
    set.backoff_factor = 1;
    return handout_option_set_index(L, recorder, &set);
}

/* The function at `index`, which the row runs: what it captures. */
static void record_own_function(lua_State *L, handout_recorder *recorder, int index, uint32_t graph, uint32_t row, uint32_t *class) {
    *class = handout_class_of(L, recorder, index);
    handout_record_captures(L, recorder, *class, index, graph, row);
}

/* Adds the words of a row, and what it captures; the row was begun. Returns its class; `*found`: see handout_record_measures. */
static uint32_t add_words(lua_State *L, handout_recorder *recorder, uint32_t graph, const handout_parsed *parsed, uint32_t over,
                          int function, int subgraph, const char *who, int *found) {
    handout_graph_record *record = handout_graph_at(recorder, graph);
    uint32_t row = record->count, class = HANDOUT_NONE;
    if (over != HANDOUT_NONE) handout_add_word(L, record, over);
    if (subgraph) {
        handout_add_bindings(L, recorder, graph, subgraph, parsed->needs, who);
    } else {
        if (parsed->needs) handout_add_needs(L, recorder, graph, parsed->needs, who);
        if (parsed->args) handout_add_args(L, recorder, graph, parsed->args, who);
    }
    if (parsed->after) handout_add_section(L, recorder, graph, parsed->after, HANDOUT_OP_AFTER, "after", who);
    if (parsed->when) handout_add_section(L, recorder, graph, parsed->when, HANDOUT_OP_WHEN, "when", who);
    if (parsed->unless) handout_add_section(L, recorder, graph, parsed->unless, HANDOUT_OP_UNLESS, "unless", who);
    if (parsed->near) handout_add_section(L, recorder, graph, parsed->near, HANDOUT_OP_NEAR, "near", who);
    if (function) record_own_function(L, recorder, function, graph, row, &class);
    int second = parsed->recover ? parsed->recover : parsed->set.flags & HANDOUT_FLAG_INLINE ? function : 0;
    if (second) {
        uint32_t entry = handout_record_function(L, recorder, second, graph, row);
        handout_add_word(L, handout_graph_at(recorder, graph), handout_word(HANDOUT_OP_FUNCTION, entry));
    }
    *found = handout_record_measures(L, recorder, parsed, graph, row, who);
    return class;
}

static void prepare_selections(lua_State *L, handout_recorder *recorder, uint32_t graph, const handout_parsed *parsed, uint32_t over,
                               const char *who) {
    if (!recorder->ats.count) return;
    const int indices[] = {parsed->needs, parsed->after, parsed->when, parsed->unless, parsed->near};
    static const char *const names[] = {"needs", "after", "when", "unless", "near"};
    for (int i = 0; i < 5; i++)
        if (indices[i]) handout_prepare_selections(L, recorder, graph, indices[i], over, who, names[i]);
}

static int declare(lua_State *L, int kind, int call, const char *method) {
    handout_recorder *recorder = handout_recorder_of(L);
    uint32_t graph_index = handout_graph_self(L, method)->index;
    if (recorder->tables && !recorder->tables->indirect) return declare_in_template_mode(L, recorder, graph_index);
    handout_graph_record *graph = handout_graph_at(recorder, graph_index);
    char who[320];
    int options = 0, function = 3;
    if (lua_gettop(L) >= 4 || (lua_type(L, 3) != LUA_TFUNCTION && call == HANDOUT_CALL_TASK)) function = 4, options = 3;
    if (call != HANDOUT_CALL_TASK) function = 4, options = 3;
    lua_settop(L, 4);
    handout_count_columns(L, recorder, 64);
    if (graph->count >= MAX_TASKS) return luaL_error(L, "%s: more than 268435456 tasks", method);
    handout_drop_unfinished(graph);
    recorder->declaring++;
    uint32_t slot = 0;
    uint64_t entry = 0;
    int named = handout_check_new_id(L, recorder, graph, 2, method, who, sizeof who, &slot, &entry);
    uint32_t line = handout_current_line(L, recorder);
    if (options && !lua_isnil(L, options) && lua_type(L, options) != LUA_TTABLE) {
        char what[100];
        handout_describe(L, options, what, sizeof what);
        handout_refuse(L, recorder, "option", "%s: options: expected a table, got %s", who, what);
        options = 0;
    } else if (options && lua_isnil(L, options)) {
        options = 0;
    }
    handout_graph_object *inner = call == HANDOUT_CALL_MAP ? handout_to_graph(L, function) : NULL;
    handout_parsed parsed;
    memcpy(&parsed.set, &graph->defaults, sizeof parsed.set);
    handout_parse_options(L, recorder, options, inner ? HANDOUT_CALL_GRAPHS : call, who, &parsed);
    int good = lua_type(L, function) == LUA_TFUNCTION && !lua_iscfunction(L, function);
    if (inner && handout_graph_uses(recorder, inner->index, graph_index)) {
        handout_refuse(L, recorder, "include", "%s: a graph cannot include itself", who);
        inner = NULL;
    } else if (!good && !inner) {
        char what[100];
        handout_describe(L, function, what, sizeof what);
        if (lua_type(L, function) == LUA_TFUNCTION) snprintf(what, sizeof what, "a function made in C");
        handout_refuse(L, recorder, "function", "%s: expected a Lua function as last argument, got %s", who, what);
    }
    uint32_t over = HANDOUT_NONE;
    if (kind == HANDOUT_ROW_MAP || kind == HANDOUT_ROW_REDUCE) over = handout_over_word(L, recorder, graph_index, parsed.over, who);
    prepare_selections(L, recorder, graph_index, &parsed, kind == HANDOUT_ROW_MAP ? over : HANDOUT_NONE, who);
    graph = handout_graph_at(recorder, graph_index);
    if (!named) { /* nothing to hang it on: give a handle that later calls accept */
        lua_pushlightuserdata(L, handout_handle(graph_index, graph->count ? graph->count - 1 : 0));
        return 1;
    }
    if (parsed.recover) parsed.set.flags |= HANDOUT_FLAG_RECOVERS;
    handout_collect_measures(L, &parsed);
    if (!inner) handout_inherit_measures(L, recorder, graph_index, &parsed);
    uint32_t row = graph->count;
    size_t length;
    const char *id = lua_tolstring(L, 2, &length);
    entry = (entry & 0xFFFFFFFF00000000u) | (row + 1); /* hidden rows may have been made since */
    uint32_t set = handout_option_set_index(L, recorder, &parsed.set);
    if (!inner) handout_check_request(L, recorder, graph_index, &parsed.set, set, who);
    handout_begin_row(L, recorder, graph_index, id, length, (uint32_t)kind, set, line);
    int found = 0;
    uint32_t class = add_words(L, recorder, graph_index, &parsed, over, good ? function : 0, inner ? function : 0, who, &found);
    graph = handout_graph_at(recorder, graph_index);
    if (graph->names.count > UINT32_MAX || graph->references.count > UINT32_MAX || graph->captures.count > UINT32_MAX)
        return luaL_error(L, "%s: the graph is too large: its ids, needs or captured variables are more than 4294967295", who);
    /* Last, so that an error on the way (a full stack) leaves no row, only what handout_drop_unfinished takes away. */
    graph->id_table[slot] = entry;
    handout_end_row(recorder, graph_index, class);
    if (recorder->tables && good) found |= handout_see_template(L, recorder, function);
    if (recorder->tables && parsed.recover) found |= handout_see_template(L, recorder, parsed.recover);
    lua_settop(L, 0);
    lua_pushlightuserdata(L, handout_handle(graph_index, row));
    if (found && L == handout_of(L)->script && lua_isyieldable(L)) return lua_yield(L, 1);
    return 1;
}

static int graph_task(lua_State *L) { return declare(L, HANDOUT_ROW_TASK, HANDOUT_CALL_TASK, "task"); }
static int graph_map(lua_State *L) { return declare(L, HANDOUT_ROW_MAP, HANDOUT_CALL_MAP, "map"); }
static int graph_reduce(lua_State *L) { return declare(L, HANDOUT_ROW_REDUCE, HANDOUT_CALL_REDUCE, "reduce"); }
static int graph_when(lua_State *L) { return declare(L, HANDOUT_ROW_WHEN, HANDOUT_CALL_WHEN, "when"); }

static int graph_output(lua_State *L) {
    handout_recorder *recorder = handout_recorder_of(L);
    handout_graph_object *graph = handout_graph_self(L, "output");
    if (recorder->tables && !recorder->tables->indirect) return 0;
    handout_graph_record *record = handout_graph_at(recorder, graph->index);
    recorder->declaring++;
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
                       handout_graph_at(recorder, handout_handle_graph(lua_touserdata(L, 3)))->name, record->name);
    } else {
        handout_plan_output *outputs = (handout_plan_output *)record->outputs.data;
        char *const *names = (char *const *)recorder->declared.data;
        for (size_t i = 0; i < record->outputs.count; i++)
            if (outputs[i].name_length == length && memcmp(names[outputs[i].name_offset], name, length) == 0) {
                handout_refuse(L, recorder, "duplicate", "output %s: the name is taken", shown);
                return 0;
            }
        char who[300];
        snprintf(who, sizeof who, "output %s", shown);
        uint32_t row = handout_handle_row_of(L, recorder, graph->index, lua_touserdata(L, 3), who, "the handle");
        if (row == HANDOUT_NONE) return 0;
        record = handout_graph_at(recorder, graph->index);
        handout_plan_output output = {.name_length = (uint32_t)length, .task = row};
        /* Names of outputs go to a copy of their own at the end: names of tasks must stay consecutive. */
        char *copy = malloc(length + 1);
        handout_need_memory(L, copy);
        memcpy(copy, name, length);
        PUSH(L, recorder->declared, char *, copy);
        output.name_offset = (uint32_t)(recorder->declared.count - 1);
        PUSH(L, record->outputs, handout_plan_output, output);
    }
    return 0;
}

/* ---- Handles ---- */

static int handle_index(lua_State *L) {
    handout_recorder *recorder = handout_recorder_of(L);
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (!lua_islightuserdata(L, 1)) return luaL_error(L, "expected a handle");
    void *handle = lua_touserdata(L, 1);
    while (recorder && handout_is_at(handle)) handle = ((handout_at *)recorder->ats.data)[handout_handle_row(handle)].base;
    uint32_t row = handout_handle_row(handle);
    if (strcmp(key, "id") == 0 && recorder) {
        size_t length;
        const char *name;
        if (recorder->tables && !recorder->tables->indirect) { /* only the graph that the script returns has its names here */
            if (row >= recorder->tables->count) return 0;
            const uint32_t *offsets = recorder->tables->name_offsets;
            lua_pushlstring(L, (const char *)recorder->tables->name_bytes + offsets[row], offsets[row + 1] - offsets[row]);
            return 1;
        }
        /* A call that was refused gives a handle of graph 0, which may not be there. */
        if (handout_handle_graph(handle) >= recorder->graphs.count) return 0;
        handout_graph_record *graph = handout_graph_at(recorder, handout_handle_graph(handle));
        if (row >= graph->count) return 0;
        name = handout_row_name(graph, row, &length);
        lua_pushlstring(L, name, length);
        return 1;
    }
    if (strcmp(key, "at") == 0) {
        lua_pushcfunction(L, handout_handle_at);
        return 1;
    }
    char shown[100];
    handout_describe(L, 2, shown, sizeof shown);
    return luaL_error(L, "a handle has no field %s: it stands for a value that is not there while planning", shown);
}

static int graph_tostring(lua_State *L) {
    handout_graph_object *graph = handout_graph_self(L, "tostring");
    lua_pushfstring(L, "graph '%s'", handout_graph_at(handout_recorder_of(L), graph->index)->name);
    return 1;
}

void handout_open_graphs(lua_State *L) {
    static const luaL_Reg methods[] = {{"task", graph_task}, {"map", graph_map}, {"reduce", graph_reduce},
                                       {"output", graph_output}, {"when", graph_when},
                                       {"input", handout_graph_input}, {"include", handout_graph_include},
                                       {"allocator", handout_graph_allocator}, {NULL, NULL}};
    luaL_newmetatable(L, "handout.graph");
    luaL_newlib(L, methods);
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

