/* A graph while it is declared: what the files of the recorder share. Internal to the shim. */
#ifndef HANDOUT_GRAPH_H
#define HANDOUT_GRAPH_H

#include "plan.h"

/* Words of references; the same numbers as in HandoutCore/Reference.swift. */
enum handout_operation {
    HANDOUT_OP_TASK = 0,
    HANDOUT_OP_LIST,
    HANDOUT_OP_KEYED,
    HANDOUT_OP_KEY,
    HANDOUT_OP_CONSTANT,
    HANDOUT_OP_OVER,
    HANDOUT_OP_OVER_LITERAL,
    HANDOUT_OP_AFTER,
    HANDOUT_OP_OWN,
    HANDOUT_OP_WHEN,
    HANDOUT_OP_UNLESS,
    HANDOUT_OP_NEAR,
    HANDOUT_OP_FUNCTION,
    HANDOUT_OP_GRAPH,
    HANDOUT_OP_PICK,
    HANDOUT_OP_SELF,
};

/* Set in the payload of KEYED: the names are those of `needs` itself. */
#define HANDOUT_NAMED_NEEDS 0x08000000u
/* Set in the payload of FUNCTION: the rest of it says how many pairs of KEY (the option's name) and FUNCTION follow, of options
 * that are functions of `(inputs, attempt)`. */
#define HANDOUT_MEASURES 0x08000000u
/* Payload of PICK: the instance's own key. */
#define HANDOUT_PICK_OWN 0x0FFFFFFFu
/* Set in the payload of PICK: the pool entry is a function. */
#define HANDOUT_PICK_FUNCTION 0x08000000u

static inline uint32_t handout_word(uint32_t operation, uint32_t payload) { return operation << 28 | payload; }
static inline uint32_t handout_operation(uint32_t word) { return word >> 28; }
static inline uint32_t handout_payload(uint32_t word) { return word & 0x0FFFFFFF; }
/* Entries of a KEYED word. */
static inline uint32_t handout_entries(uint32_t word) { return word & 0x07FFFFFF; }

/* A graph as Lua sees it. The only full userdata a script can have while it is planned. */
typedef struct handout_graph_object {
    uint32_t magic, index;
} handout_graph_object;
enum { HANDOUT_GRAPH_MAGIC = 0x48474F31 };

static inline handout_graph_record *handout_graph_at(handout_recorder *recorder, uint32_t index) {
    return (handout_graph_record *)recorder->graphs.data + index;
}

static inline handout_graph_object *handout_to_graph(lua_State *L, int index) {
    handout_graph_object *graph = lua_type(L, index) == LUA_TUSERDATA ? lua_touserdata(L, index) : NULL;
    return graph && lua_rawlen(L, index) == sizeof *graph && graph->magic == HANDOUT_GRAPH_MAGIC ? graph : NULL;
}

/* Leaves when a column could not grow: memory of the host, not of the script. */
static inline void handout_need_memory(lua_State *L, const void *room) {
    if (!room) handout_leave(handout_of(L), HANDOUT_MEMORY, "no memory left for the plan");
}

/* The id of a row, not ended by a NUL. */
static inline const char *handout_row_name(const handout_graph_record *graph, uint32_t row, size_t *length) {
    const uint32_t *offsets = (const uint32_t *)graph->name_offsets.data;
    size_t end = row + 1 < graph->name_offsets.count ? offsets[row + 1] : graph->names.count;
    *length = end - offsets[row];
    return graph->names.data + offsets[row];
}

/* needs.c: add the words of `over`, `needs`, `args`, and of a section (`operation` AFTER, WHEN, UNLESS or NEAR; `name` the
 * option), in this order, for the row being declared; the value is at stack `index`, 0 or nil: not given. */
/* The word of `over`, or HANDOUT_NONE when it was refused. */
uint32_t handout_over_word(lua_State *L, handout_recorder *recorder, uint32_t graph, int index, const char *who);
void handout_add_needs(lua_State *L, handout_recorder *recorder, uint32_t graph, int index, const char *who);
void handout_add_args(lua_State *L, handout_recorder *recorder, uint32_t graph, int index, const char *who);
void handout_add_section(lua_State *L, handout_recorder *recorder, uint32_t graph, int index, uint32_t operation,
                         const char *name, const char *who);
/* One entry of needs, at the top, `path` naming it. */
void handout_add_entry(lua_State *L, handout_recorder *recorder, uint32_t graph, const char *who, char *path);
void handout_add_word(lua_State *L, handout_graph_record *graph, uint32_t word);
/* Counts the entries of the table at the top: -1 keyed by strings, -2 neither, else the length of the list. */
lua_Integer handout_table_shape(lua_State *L);

/* selections.c: handle:at. Hidden rows are made before the row that refers to them. */
int handout_handle_at(lua_State *L);
/* Makes the rows for the handles of `at` in the value at stack `index`; `over`: the word that the map being declared runs
 * over, HANDOUT_NONE outside of maps. */
void handout_prepare_selections(lua_State *L, handout_recorder *recorder, uint32_t graph, int index, uint32_t over,
                                const char *who, const char *name);
/* The word of a handle: a task, or a selector's own instance. The rows were made. */
uint32_t handout_handle_word(handout_recorder *recorder, const void *handle);
/* The row of a handle that is no other in each instance of a map; HANDOUT_NONE of one that is, which was then refused. */
uint32_t handout_handle_row_of(lua_State *L, handout_recorder *recorder, uint32_t graph, const void *handle, const char *who,
                               const char *path);

/* subgraphs.c: inputs, included graphs, maps over graphs. */
int handout_graph_input(lua_State *L);
int handout_graph_include(lua_State *L);
/* Adds GRAPH and the bindings of a map over the graph at stack `graph_at`; `needs` at stack index, or 0. */
void handout_add_bindings(lua_State *L, handout_recorder *recorder, uint32_t graph, int graph_at, int needs, const char *who);
/* 1 when the graph is, or uses, the other. */
int handout_graph_uses(handout_recorder *recorder, uint32_t graph, uint32_t other);
/* Fills templates and the outputs of all graphs, and brings their columns behind those of the returned one. */
void handout_fill_graphs(handout_plan *plan, handout_recorder *recorder);
/* Gives the returned graph its default outputs where they are not simply the rows that nothing refers to. */
void handout_finish_outputs(lua_State *L, handout_recorder *recorder);
/* Binds the inputs that were given; refuses those that have no value. Protected context. */
void handout_bind_inputs(lua_State *L, handout_recorder *recorder);

/* strategies.c: g:allocator(name, options?) */
int handout_graph_allocator(lua_State *L);

/* graph.c */
/* Begins a row: its name, kind, options, line, and where its words begin. The row counts when handout_end_row was called. */
void handout_begin_row(lua_State *L, handout_recorder *recorder, uint32_t graph, const char *name, size_t length, uint32_t kind,
                       uint32_t options, uint32_t line);
uint32_t handout_end_row(handout_recorder *recorder, uint32_t graph, uint32_t class);
/* Line and source of the script's own code that runs. */
uint32_t handout_current_line(lua_State *L, handout_recorder *recorder);
/* The options of rows that have none of their own. */
uint32_t handout_plain_options(lua_State *L, handout_recorder *recorder);
/* The graph a method is called on, at stack index 1, which was not used by another yet. */
handout_graph_object *handout_graph_self(lua_State *L, const char *method);
/* Checks the id at stack `index`; see graph.c. */
int handout_check_new_id(lua_State *L, handout_recorder *recorder, handout_graph_record *graph, int index, const char *what,
                         char *who, size_t size, uint32_t *slot, uint64_t *entry);
/* Cuts the columns to the rows that are there: an error may have ended a declaration half way. */
void handout_drop_unfinished(handout_graph_record *graph);
/* Makes the metatables of graphs and handles. */
void handout_open_graphs(lua_State *L);

#endif
