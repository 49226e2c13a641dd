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

/* Payload of PICK: the instance's own key. */
#define HANDOUT_PICK_OWN 0x0FFFFFFFu
/* Set in the payload of PICK: the pool entry is a function. */
#define HANDOUT_PICK_FUNCTION 0x08000000u

static inline uint32_t handout_word(uint32_t operation, uint32_t payload) { return operation << 28 | payload; }
static inline uint32_t handout_operation(uint32_t word) { return word >> 28; }
static inline uint32_t handout_payload(uint32_t word) { return word & 0x0FFFFFFF; }

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

/* needs.c: add the words of `over`, `needs`, `args` and `after`, in this order, for the row being declared; the value is
 * at stack `index`, 0 or nil: not given. */
void handout_add_over(lua_State *L, handout_recorder *recorder, uint32_t graph, int index, const char *who);
void handout_add_needs(lua_State *L, handout_recorder *recorder, uint32_t graph, int index, const char *who);
void handout_add_args(lua_State *L, handout_recorder *recorder, uint32_t graph, int index, const char *who);
void handout_add_after(lua_State *L, handout_recorder *recorder, uint32_t graph, int index, const char *who);

/* graph.c */
/* Cuts the columns to the rows that are there: an error may have ended a declaration half way. */
void handout_drop_unfinished(handout_graph_record *graph);
/* A C function with one upvalue, the name of a call that this version does not have: refuses it. */
int handout_refuse_unavailable(lua_State *L);
/* Makes the metatables of graphs and handles. */
void handout_open_graphs(lua_State *L);

#endif
