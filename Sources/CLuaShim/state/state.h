/* One Lua state with its limits. Internal to the shim.
 *
 * How a limit ends a call: nothing is raised. The stop hook (at a deadline, a cancel, or above the memory limit) or the
 * allocator (above the hard limit) writes the reason and jumps with `longjmp` to the C function that entered the state.
 * No Lua code can catch that: no pcall, no handler, no __close runs. The state is then abandoned: never entered again,
 * its memory given back as a whole by the allocator. So whatever a C function of ours allocates outside the state's own
 * allocator must be owned by `struct handout_state`, never by a local variable, across any call that may raise, allocate
 * from Lua or run Lua code. No Swift frame may lie between the entry and a jump: callbacks into Swift return before
 * anything is raised.
 */
#ifndef HANDOUT_STATE_H
#define HANDOUT_STATE_H

#include "codec.h"
#include "handout_lua.h"
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>

typedef struct handout_arena handout_arena; /* arena.c */

typedef struct handout_state {
    lua_State *L;                      /* main thread */
    lua_State *volatile running;       /* the coroutine whose code runs now; NULL: not entered */
    volatile sig_atomic_t stop;        /* enum handout_ended, 0: go on; written by the signal handler too */
    volatile sig_atomic_t collect;     /* the allocator asks for a full collection at the next instruction */
    handout_arena *arena;
    size_t used, peak;                 /* bytes now and at most */
    size_t limit;                      /* soft: above it, after a collection, the call ends with `memory` */
    size_t threshold;                  /* next collection is asked for here */
    handout_codec codec;
    handout_buffer scratch;            /* any C function of ours, within one call */
    jmp_buf entry;                     /* where a limit leaves to */
    int entered;                       /* `entry` is set */
    int dead;                          /* abandoned: may only be freed */
    int planning;                      /* planning libraries (pairs, no clock) instead of those of a task */
    lua_State *script;                 /* the coroutine that a script runs in again while it does, or NULL */
    int no_script;                     /* what runs is no graph script: a strategy's, cluster's or tracker's file */
    int template_mode;                 /* the script runs for its classes only */
    int counted;                       /* instructions are counted, in every coroutine, against `instructions` */
    int64_t instructions;              /* left */
    struct handout_slot *slot;         /* whose deadline holds while entered; may be NULL */
    int close_depth;                   /* nesting of coroutine.close and of wrap's implicit close */
    uint64_t random[4];                /* xoshiro256** state */
    int random_seeded;
    uint64_t random_seed, random_stream; /* what a first use seeds from */
    char message[512];                 /* what the limit said: set before the jump */
    char traceback[2048];              /* of the Lua frames at the jump, no allocation */
    const handout_host *host;          /* callbacks into Swift */
    void *task;                        /* handout_runner while an attempt runs (task.c), or NULL */
    void *task_runner;                 /* handout_runner of a state that runs tasks */
    void *plan;                        /* struct handout_recorder (plan.c), or NULL */
} handout_state;

/* state.c: `memory` is the limit in bytes; NULL when there is no memory. */
handout_state *handout_state_new(size_t memory, const handout_host *host, struct handout_slot *slot);
void handout_state_free(handout_state *state);

/* The state of `L`: kept in Lua's extra space, which new coroutines copy from their creator. */
static inline handout_state *handout_of(lua_State *L) { return *(handout_state **)lua_getextraspace(L); }

/* arena.c: memory of one state. `handout_allocate` is the lua_Alloc, `ud` the handout_state. */
handout_arena *handout_arena_new(void);
void handout_arena_free(handout_arena *arena);          /* everything at once */
void *handout_allocate(void *ud, void *block, size_t old_size, size_t new_size);

/* limits.c */
/* Leaves the state for good with `reason`; `state->message` says why. Never returns. */
_Noreturn void handout_leave(handout_state *state, int reason, const char *message);
/* The hook: leaves when `stop` is set or memory is above the limit after a collection. */
void handout_stop_hook(lua_State *L, lua_Debug *ar);
/* Installs the standing hook of the sanitizer builds on a new state, before any coroutine is made; otherwise does
 * nothing. */
void handout_install_hook(handout_state *state);
/* 1 where no signal reports a deadline: then handout_check reads the slot itself. */
extern int handout_polls;
void handout_poll(handout_state *state);
/* For loops in C: leaves when `stop` is set. */
static inline void handout_check(handout_state *state) {
    if (__builtin_expect(handout_polls, 0)) handout_poll(state);
    if (__builtin_expect(state->stop != 0, 0)) handout_leave(state, state->stop, NULL);
}
/* Where instructions are counted: leaves when none of so many is left. */
void handout_spend(handout_state *state, int64_t instructions);
/* For encoders and decoders, which know only `L`. */
void handout_codec_check(lua_State *L);
/* Writes file:line frames of the running Lua stack to `text` without allocating from Lua. */
void handout_traceback(lua_State *L, char *text, size_t size, int level);

/* libraries.c: opens the allowed libraries with our replacements. Runs inside a protected call. After it the globals
 * table G is real and `_ENV`/`_G` is a proxy P (metatable with __index = G, protected); library tables are proxies too.
 * P is at registry key HANDOUT_KEY_GLOBALS, G at HANDOUT_KEY_REAL. */
void handout_open_libraries(handout_state *state);
/* Switches between the planning and the task set of those functions that differ (pairs, next, os, print). */
void handout_use_planning_libraries(handout_state *state, int planning);
/* task.c: switches a state that runs tasks to what the script has (libraries, globals, random numbers), and back. */
void handout_task_side(handout_state *state, int planning);
/* While open, assignments to globals reach G; afterwards they raise. */
void handout_open_globals(handout_state *state, int open);
/* 1 when G holds anything that was not there, or not with this value, when the globals were opened first. */
int handout_user_globals(handout_state *state);
/* Pushes a table of the globals that were not there when the globals were opened first. */
void handout_push_user_globals(lua_State *L);
/* Makes the table at the top read-only: replaces it by a proxy (pairs and # work through it). `name` is for messages. */
void handout_protect(lua_State *L, const char *name);
/* The dotted name ("math.floor", "string") of a library function or table at `index`, or NULL. No allocation. */
const char *handout_library_name(lua_State *L, int index);
/* Pushes the library function or table of that dotted name, or nil. */
void handout_push_library(lua_State *L, const char *name);
/* The same for a name that was captured: a function of the host may not have been asked for in this state. */
void handout_push_captured_library(lua_State *L, const char *name);

/* Registry keys: addresses of these. */
extern char HANDOUT_KEY_GLOBALS, HANDOUT_KEY_REAL, HANDOUT_KEY_LIBRARY_NAMES, HANDOUT_KEY_LIBRARY_OBJECTS;

/* module.c: the parts of `handout` that both sides have: bytes, seconds, id, sorted, json, version, api. Adds them to
 * the table at the top. */
void handout_add_common(lua_State *L);
/* Parses a size or duration (lua-api.md section 1) at `index`. Returns 0 and the value, or -1 with a message that ends a
 * sentence: `expected a size such as "512MiB", got "64 XiB"`. Never raises. */
int handout_parse_size(lua_State *L, int index, uint64_t *bytes, char *error, size_t size);
int handout_parse_duration(lua_State *L, int index, uint64_t *nanoseconds, char *error, size_t size);
/* Checks an id (section 1). Returns NULL or what is wrong with it, as a constant sentence part. */
const char *handout_check_id(const char *id, size_t length);
/* Describes the value at `index` for a message, bounded and escaped: `"64 XiB"`, `-1`, `a table`, `nil`. */
void handout_describe(lua_State *L, int index, char *text, size_t size);
/* Escapes bytes for a message: printable UTF-8 stays, everything else becomes \xNN; cut at `limit` bytes with "...". */
void handout_escape(const char *bytes, size_t length, size_t limit, char *text, size_t size);

#endif
