/* Running tasks in a state. Internal to the shim. */
#ifndef HANDOUT_TASK_H
#define HANDOUT_TASK_H

#include "plan.h"

/* A closure that tasks run or capture: a copy of its class's template with captured variables of its own. */
typedef struct handout_instance {
    uint32_t class;
    uint32_t pool;     /* the FUNCTION entry it stands for; ~0: the function of tasks themselves */
    uint32_t epoch;    /* attempt that used it last */
    uint32_t count;    /* captured variables */
    uint32_t *current; /* pool index each holds now, ~0: none */
    uint32_t *inner;   /* for a captured function its instance */
    uint32_t *size;    /* encoded bytes of a captured table or string */
    uint8_t *joined;   /* 1: the variable is shared with another instance */
} handout_instance;

/* A global of the script's own that holds plain data, to see that no task changes it. */
typedef struct handout_snapshot {
    handout_buffer name; /* with a NUL at its end */
    handout_buffer bytes;
} handout_snapshot;

/* What a state that runs tasks is, beside the Lua state. */
typedef struct handout_runner {
    handout_state *state;
    handout_recorder recorder; /* template mode */
    const handout_program *program;
    const handout_tables *tables;
    handout_slot *slot;
    const char *asker;         /* no task: what asks for grants, for messages; else NULL */
    handout_vector instances;  /* handout_instance; closures in a Lua table, at index + 1 */
    handout_vector used;       /* instances of the attempt that runs */
    handout_vector snapshots;
    uint32_t *own;             /* by class: instance of the tasks' function + 1 */
    lua_State *script;         /* suspended, or NULL */
    int opened, script_done;
    uint64_t script_random[4];
    uint64_t task_random[4];
    int script_random_seeded, task_random_seeded;
    uint32_t epoch;

    /* the attempt that runs */
    const handout_lease_item *item;
    uint32_t row;              /* its declared row */
    const char *name;          /* full name, when asked for */
    handout_buffer name_text;
    uint64_t started, deadline, last_progress;
    size_t logged;
    int encoding;              /* an error now is one of the result */
    int captures_changed;      /* 2: beyond repair, the state must go */
    int compared;              /* captured variables were compared after it */
    int failed;
    int has_shared;            /* several functions of the attempt capture one variable */
    int required;              /* the task called require: it may have changed any module */
    handout_value result;
    handout_buffer message;    /* of the error */
    handout_buffer raised;     /* what was raised, encoded, where the task can make a substitute result */
    const char *file;          /* of the place that raised: kept by Lua or static */
    char file_text[300];
    uint32_t line;
    struct handout_job *job;   /* programs that tasks start (exec.c), NULL: none so far */
    uint8_t never_retry, has_retry_after, asked_ended;
    uint64_t retry_after;
} handout_runner;

/* arguments.c: pushes the arguments of the task; returns how many. May raise. */
int handout_push_arguments(lua_State *L, handout_runner *runner, uint32_t task);
/* Pushes the key of a map instance, its index or name. */
void handout_push_key(lua_State *L, const handout_tables *tables, const handout_group *group, uint32_t element);

/* captures.c */
/* The classes that the attempt needs and that the script has not shown yet: the first one, or ~0. */
uint32_t handout_missing_class(lua_State *L, handout_runner *runner, uint32_t row);
/* Pushes the function of that row with its captured variables set. `instances` is the table of closures. */
void handout_push_function(lua_State *L, handout_runner *runner, int instances, uint32_t row);
/* From here on other functions are used than those before, which are not looked at any more. */
void handout_begin_functions(handout_runner *runner);
/* Pushes the function of a FUNCTION entry of the pool with its captured variables set. */
void handout_push_pool_function(lua_State *L, handout_runner *runner, uint32_t pool);
/* 1 when a captured variable was changed by the attempt; then `message` says which, and it will be set again. */
/* Remembers what a module's table holds, the tables in it too, when it is met first; the value is at the top. */
void handout_note_module(lua_State *L, const char *name);
int handout_captures_changed(lua_State *L, handout_runner *runner, int instances, char *message, size_t size);
void handout_take_snapshots(lua_State *L, handout_runner *runner);
/* Encodes its argument to the codec: for a protected call. */
int handout_encode_plain(lua_State *L);
void handout_captures_free(handout_runner *runner);

/* task.c: runs `body` protected, outside of an attempt, with the time of planning; its argument is `data`. Returns 0, or -1
 * with `error` saying what went wrong: the state must be freed then. */
int handout_task_state_call(handout_state *state, uint32_t task, lua_CFunction body, void *data, char *error, size_t size);
/* task.c, for measure.c: begins an attempt of the runner's; shows the classes it needs (a status of Lua's); what has failed, from
 * malloc or NULL; compares captured variables: 1 where one was changed, the runner's message says which. */
void handout_runner_begin(handout_runner *runner, const handout_lease_item *item);
int handout_runner_prepare(lua_State *L, handout_runner *runner);
/* task.c, for a broker: opens the libraries and the module, and runs no line of the script. A status of Lua's. */
int handout_runner_open(lua_State *L, handout_runner *runner);
handout_failure *handout_runner_failure(handout_runner *runner);
int handout_runner_compare(lua_State *L, handout_runner *runner);
/* `error`, `memory`: the name of an enum handout_ended. */
const char *handout_ended_name(int ended);
/* Stack indices of a task state: the message handler, and the table of closures. */
enum { HANDOUT_HANDLER = 1, HANDOUT_INSTANCES = 2 };
/* The table of closures: its key in the registry. */
extern char HANDOUT_KEY_INSTANCES;

/* scratch.c: removes the folder of the attempt that ends; frees what exec keeps. */
void handout_attempt_end(handout_runner *runner);
void handout_job_free(handout_runner *runner);

/* calls.c: handout.task, log, progress, fail, retry; fs.c: handout.fs;
 * host.c: handout.host */
void handout_add_fs(lua_State *L);
void handout_add_host(lua_State *L);
/* Sets `name` in the table at the top: bytes, or cores and the like as an integer where it is one. */
void handout_set_amount(lua_State *L, const char *name, uint64_t amount);
/* Raised by handout.fail and retry. */
typedef struct handout_raised {
    uint32_t magic;
    uint8_t never_retry, has_after, ended;
    uint64_t after;
} handout_raised;
handout_raised *handout_to_raised(lua_State *L, int index);
/* The full name of the attempt's task, cached. */
const char *handout_runner_name(handout_runner *runner);
void handout_task_log(handout_state *state, int level, const char *text, size_t length);
/* What math.random of the attempt is seeded from beside the run's seed: FNV-1a (64 bit) of the task's name. */
uint64_t handout_task_stream(handout_state *state);

static inline handout_runner *handout_runner_of(lua_State *L) { return handout_of(L)->task; }

#endif
