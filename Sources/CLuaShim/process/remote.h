/* In a runner process: what its state asks of the supervisor. Internal to the shim. */
#ifndef HANDOUT_REMOTE_H
#define HANDOUT_REMOTE_H

#include "frames.h"
#include "slot.h"

/* A module's source, kept while the runner lives. */
typedef struct handout_module {
    struct handout_module *next;
    char *name, *chunk_name, *source;
    size_t name_length, size;
    uint32_t index;
} handout_module;

/* A runner's way to its supervisor. */
typedef struct handout_remote {
    int socket;
    handout_page *page;
    handout_slot *slot;
    handout_buffer out;
    handout_inbox inbox;
    uint64_t flushed_at; /* CLOCK_MONOTONIC ns */
    uint32_t flushed;    /* completions sent of this lease */
    int granted;         /* the attempt that runs, or ran last, has grants */
    handout_module *modules;
} handout_remote;

/* Sends what is in `out`; ends the process when nobody reads it. */
void handout_remote_send(handout_remote *remote);
/* Waits for the next frame; ends the process when there will be none. The body is valid until the next call. */
uint32_t handout_remote_receive(handout_remote *remote, handout_reading *body);
/* Sends completions that were not sent. */
void handout_remote_flush(handout_remote *remote, int is_last);
/* Before an item runs: tells the page, and sends what has ended where 1 ms has passed or grants are near. `now`: in ns. */
void handout_remote_begin(handout_slot *slot, uint32_t index, uint64_t now);
/* Callbacks of a state whose answers come from the supervisor. */
void handout_remote_host(handout_remote *remote, handout_host *host);

/* The call for the folder of an attempt: no function of the script's, and so no dotted name. */
#define HANDOUT_CALL_SCRATCH "scratch"

/* The way of a state's calls; NULL: it performs them itself. */
static inline handout_remote *handout_remote_of(lua_State *L) {
    handout_state *state = handout_of(L);
    return state->slot ? state->slot->remote : NULL;
}
/* Has the supervisor call `handout.NAME` with all that is on the stack; pushes its one result. `call`: for messages. */
int handout_remote_perform(lua_State *L, const char *name, const char *call);
/* Sets functions in the table at the top: those of the list, or in a runner process ones that have the supervisor call
 * `handout.PREFIX.NAME`. */
void handout_set_functions(lua_State *L, const luaL_Reg *functions, const char *prefix);

#endif
