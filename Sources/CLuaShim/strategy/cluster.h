/* A cluster file while it is read. Internal to the shim. */
#ifndef HANDOUT_CLUSTER_H
#define HANDOUT_CLUSTER_H

#include "file.h"
#include "graph.h"

enum { HANDOUT_MOST_WORKERS = 100000 };

/* The columns of a handout_cluster as they grow; kept outside of Lua, so that a limit leaves nothing behind. */
typedef struct handout_reading {
    handout_vector workers, amounts, prices, labels, indices, shared, links, texts;
    uint64_t bandwidth, latency;
    uint32_t declared; /* workers, counts included */
    lua_Integer position; /* of the worker at hand in the list */
} handout_reading;

/* Room for an item, all zero. */
void *handout_cluster_add(lua_State *L, handout_vector *vector);
/* workers.c: reads the worker at stack index `table`; `names` is the index of the table of names so far. `who` names a
 * worker whose name cannot. */
void handout_cluster_read_worker(lua_State *L, handout_recorder *recorder, handout_reading *reading, int table, int names,
                                 const char *who);
#endif
