/* The C boundary of handout-lua: everything that may `longjmp` lives behind these functions.
 *
 * Swift calls them; each does its whole work inside one protected entry and returns a status. No function here raises.
 */
#ifndef HANDOUT_LUA_H
#define HANDOUT_LUA_H

#include "handout_value.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

/* How an attempt, or the planning of a script, ended. The numbers are those of `Ended` in HandoutCore. */
enum handout_ended {
    HANDOUT_OK = 0,
    HANDOUT_ERROR,
    HANDOUT_RESULT,
    HANDOUT_TIMEOUT,
    HANDOUT_MEMORY,
    HANDOUT_CRASH,
    HANDOUT_LOST,
    HANDOUT_CANCELLED,
};

typedef struct handout_state handout_state;

/* No row, class, group or pool entry. */
#define HANDOUT_NONE 0xFFFFFFFFu

/* Callbacks into Swift: plain bytes in, plain bytes out; they return before anything is raised. */
/* What a task takes of a worker, for `check` of a handout_host: amounts in 1/10 000, memory in bytes, the rest encoded. */
typedef struct handout_request {
    uint64_t cpu, memory, gpu;
    const uint8_t *resources, *variants, *where, *worker, *limits;
    size_t resources_length, variants_length, where_length, worker_length, limits_length;
    const char *graph; /* that has the limits */
} handout_request;

typedef struct handout_host {
    void *context;
    /* A line of a task's log (`level` 0 debug, 1 info, 2 warning, 3 error), or of a planning script's print (task ~0). */
    void (*log)(void *context, uint32_t task, int level, const char *text, size_t length);
    void (*progress)(void *context, uint32_t task, double fraction, const char *text, size_t length);
    /* The source of module `name`: sets bytes (owned by the host, valid while it lives), chunk name and source index;
     * returns 0, or -1 with a message in `error`. */
    int (*module)(void *context, const char *name, size_t length, const char **source, size_t *size,
                  const char **chunk_name, uint32_t *source_index, char *error, size_t error_size);
    /* Writes the full name of a task to `text`, as much as fits, without a NUL; returns its whole length. */
    size_t (*task_name)(void *context, uint32_t task, char *text, size_t size);
    /* Calls the embedding program's function `name` for a task; NULL: there are none. `arguments`: encoded values, one
     * after the other. Appends one encoded value to `result` and returns HANDOUT_CALL_DONE; otherwise `error` (capacity
     * `error_size`) says why not. May block: it runs on the task's own thread. */
    int (*call)(void *context, uint32_t task, const char *name, size_t length, const uint8_t *arguments, size_t size,
                handout_buffer *result, char *error, size_t error_size);
    /* While planning: whether any worker could ever hold what these options ask for. Returns 0, or writes to `error` why
     * not, without the name of the task. The encoded tables are NULL where not given. NULL: nothing is checked. */
    int (*check)(void *context, const struct handout_request *request, char *error, size_t error_size);
} handout_host;

/* What `call` of a handout_host returns. */
enum handout_call_status {
    HANDOUT_CALL_DONE = 0,
    HANDOUT_CALL_THREW,   /* `error` is the function's own */
    HANDOUT_CALL_REFUSED, /* there is no such function: not tried again */
};

/* ---- Threads, deadlines and leases (limits.c) ---- */

enum { HANDOUT_LEASE_CAPACITY = 1024 };

/* So much of a resource: 1/10 000, of memory bytes. */
typedef struct handout_amount {
    const char *name;
    uint64_t amount;
} handout_amount;

/* One index that is held of a resource. */
typedef struct handout_index {
    const char *resource, *name;
} handout_index;

/* What the tasks of a lease hold. */
typedef struct handout_claim {
    uint32_t variant; /* from 1 */
    uint32_t amount_count, index_count;
    const handout_amount *amounts;
    const handout_index *indices; /* those of one resource together */
} handout_claim;

/* One task to be attempted. */
typedef struct handout_lease_item {
    uint32_t task;
    uint16_t attempt; /* from 1 */
    uint16_t retries_left;
    uint64_t timeout; /* ns, 0: none */
    uint64_t memory;  /* bytes: the attempt's limit, 0: the program's default */
    uint64_t cpu;     /* claimed, in 1/10 000 */
    uint32_t grant;   /* pool index of what the task asks for, HANDOUT_NONE: nothing */
    /* Not NULL: not the task's function runs but the one that makes a substitute result, for this failure. */
    const struct handout_failure *recovers;
    const handout_claim *claim; /* NULL: its only variant, cpu and memory and nothing else */
} handout_lease_item;

/* Why an attempt failed. From malloc; freed by handout_failure_free. */
typedef struct handout_failure {
    handout_buffer value; /* what was raised, encoded, where a substitute result may follow and it was plain data */
    char *message;    /* bytes, not NUL-terminated */
    uint32_t message_length;
    char *traceback;  /* "file:line: in ..." lines */
    uint32_t traceback_length;
    char *file;       /* of the place that raised, NUL-terminated, or NULL */
    uint32_t line;
    uint8_t never_retry;
    uint8_t has_retry_after;
    uint8_t ended;        /* enum handout_ended */
    uint64_t retry_after; /* ns, of handout.retry */
} handout_failure;
/* A failure that no attempt has described; the texts are copied, `file` may be NULL. NULL: no memory. */
handout_failure *handout_failure_new(int ended, const void *message, size_t length, const char *file, uint32_t line,
                                     const void *value, size_t value_length);
void handout_failure_free(handout_failure *failure);

typedef struct handout_completion {
    handout_value value;
    handout_failure *failure;
    uint64_t nanoseconds; /* run time */
    uint32_t task;
    uint16_t attempt;
    uint8_t ended; /* enum handout_ended */
} handout_completion;

/* What one thread shares with the coordinator and the watchdog: its lease, what is done of it, and its deadline.
 * The owner claims items by compare-and-swap of `claim`; others take unstarted ones back by lowering the limit in it.
 * Completions up to `done` are readable by whoever holds the coordinator's lock. */
typedef struct handout_slot {
    _Atomic uint64_t *claim;     /* next item in the low, limit in the high 32 bits; `own_claim`, or a runner process's */
    _Atomic uint64_t own_claim;
    _Atomic uint32_t limit;      /* items that were not taken back: what the coordinator knows, whatever `claim` says */
    _Atomic int taking;          /* held while both change together */
    _Atomic uint32_t done;       /* completions written, of this lease */
    _Atomic uint64_t deadline;   /* CLOCK_MONOTONIC ns of the attempt that runs, 0: none */
    _Atomic uint64_t generation; /* raised when an attempt with a deadline starts and ends */
    _Atomic uint64_t request;    /* generation << 8 | enum handout_ended: what the watchdog asks for */
    _Atomic int cancel;          /* stop whatever runs, now and later, until cleared */
    _Atomic int away;            /* in a function of the embedding program: neither signalled nor stuck */
    _Atomic int stuck;           /* the deadline passed a grace time ago and the thread is in C code */
    _Atomic uint64_t started;    /* CLOCK_MONOTONIC ns at which the running attempt began, 0: none runs */
    _Atomic int cpu_clock;       /* the deadline is CPU time of the thread */
    clockid_t clock;
    pthread_t thread;
    int registered;
    struct handout_remote *remote; /* in a runner process: its way to the supervisor; else NULL */
    void *page;                  /* that it shares with its runner process; NULL: none so far */
    int page_file;
    int wake;                    /* eventfd that ends a wait for a runner process when all is cancelled; -1: none so far */
    uint32_t drained;            /* completions taken, under the coordinator's lock */
    uint32_t count;              /* items of this lease */
    uint64_t lent_at;            /* CLOCK_MONOTONIC ns */
    handout_lease_item items[HANDOUT_LEASE_CAPACITY];
    handout_completion completions[HANDOUT_LEASE_CAPACITY];
} handout_slot;

handout_slot *handout_slot_new(void);
handout_lease_item *handout_slot_items(handout_slot *slot);
const handout_completion *handout_slot_completions(const handout_slot *slot);
void handout_slot_free(handout_slot *slot);
/* Makes the lease of `count` items, already written to `items`, visible. Under the coordinator's lock, no lease running.
 * `time` is now, in ns of CLOCK_MONOTONIC: from then on the first task's time is counted. */
void handout_slot_lend(handout_slot *slot, uint32_t count, uint64_t time);
/* Takes back up to `most` items from the end that were not started; returns how many: they are
 * items[new limit ..< old limit]. */
uint32_t handout_slot_reclaim(handout_slot *slot, uint32_t most, uint32_t *first);
/* Items not started yet. */
uint32_t handout_slot_unstarted(handout_slot *slot);
uint32_t handout_slot_done(handout_slot *slot);
uint64_t handout_slot_started(handout_slot *slot);
int handout_slot_stuck(handout_slot *slot);
/* Asks the thread to leave what it runs as cancelled; `on` = 0 ends the asking. */
void handout_slot_cancel(handout_slot *slot, int on);

/* Starts a thread with every signal unblocked that the deadline needs and the others blocked, 8 MiB of stack. Returns 0
 * or an errno. The body runs on it; `slot` (may be NULL) is registered with the watchdog for that time. */
int handout_thread_start(pthread_t *thread, handout_slot *slot, void (*body)(void *context), void *context);
void handout_thread_join(pthread_t thread);
/* Waits for at most so long. Returns 0 when the thread has ended, else an errno. */
int handout_thread_join_within(pthread_t thread, uint64_t nanoseconds);

/* The deadline signal, SIGURG by default; 0: no signal is used and deadlines only hold at calls of our own functions.
 * Before the first thread. */
void handout_use_signal(int signal_number);
/* The same at any time. Returns 0, or -1 when threads were started with another signal. */
int handout_choose_signal(int signal_number);
/* Time after a deadline, in ns, after which a thread that is still in C code is marked `stuck`. Default 0.5 s. */
void handout_set_grace(uint64_t nanoseconds);
/* Ticks of the watchdog so far: 0 while nothing had a deadline. For tests. */
uint64_t handout_watchdog_ticks(void);
/* 1 when the standing hook of the sanitizer builds is compiled in. */
int handout_has_standing_hook(void);

/* ---- Planning (plan.c) ---- */

/* A parameter given by the user. */
typedef struct handout_parameter {
    const char *name;
    const char *text;
    size_t length;
    int json; /* 1: `text` is the encoded value (from a parameter file) */
    int used; /* set by the plan */
} handout_parameter;

/* A function class: a function's place in the source. */
typedef struct handout_class {
    uint32_t source;   /* index of the source file */
    uint32_t line, last_line;
    uint32_t variant;  /* from 0: several functions share these lines */
    uint32_t upvalues; /* number of captured variables, _ENV included */
    uint32_t code_length;
    uint64_t code;     /* position of its compiled form in the plan's `code` */
    uint64_t identity; /* hash of the source's name, and of the compiled form where several functions share these lines:
                          what tells the class in a state that has met sources and functions in another order */
} handout_class;

/* A pool entry is one word: the kind in the top 8 bits; below it 56 bits of payload: the position of its bytes in
 * `pool_bytes` (encoded values end by themselves), or for INTEGER the value itself, signed. */
enum handout_pool_kind {
    HANDOUT_POOL_DATA = 0, /* an encoded value */
    HANDOUT_POOL_INTEGER,
    HANDOUT_POOL_FUNCTION, /* class (u32), then a pool index (u32) each captured variable, in host byte order */
    HANDOUT_POOL_LIBRARY,  /* encoded string: dotted name of a library function or table */
    HANDOUT_POOL_MODULE,   /* encoded string: name of the module whose `require` gives it */
    HANDOUT_POOL_GLOBALS,  /* _ENV */
    HANDOUT_POOL_PENDING,  /* while planning only: not read yet */
};
static inline unsigned handout_pool_kind(uint64_t entry) { return (unsigned)(entry >> 56) & 0x7F; }
/* The top bit: a variable that several functions of one task capture, and see each other's changes of. */
static inline int handout_pool_is_shared(uint64_t entry) { return (int)(entry >> 63); }
static inline uint64_t handout_pool_position(uint64_t entry) { return entry & 0xFFFFFFFFFFFFFFu; }
static inline int64_t handout_pool_integer(uint64_t entry) { return (int64_t)(entry << 8) >> 8; }

/* Amounts in 1/10 000, `memory` in bytes. The last five are pool indices, HANDOUT_NONE: not given. */
typedef struct handout_option_set {
    uint64_t timeout, backoff_first, backoff_max, cpu, memory, gpu, estimate;
    double backoff_factor;
    int32_t priority;
    uint32_t arity;
    uint32_t grant;     /* what is asked for */
    uint32_t resources; /* { name = amount } */
    uint32_t variants;  /* list of { cpu, memory, gpu, resources, estimate } */
    uint32_t where;     /* { label = { value, ... } } */
    uint32_t worker;    /* a name */
    uint8_t retries;
    uint8_t flags;  /* enum handout_option_flag */
} handout_option_set;

enum handout_option_flag {
    HANDOUT_FLAG_ALWAYS = 1, HANDOUT_FLAG_OPTIONAL = 2, HANDOUT_FLAG_INLINE = 4, HANDOUT_FLAG_RECOVERS = 8,
    HANDOUT_FLAG_MEASURED = 16,        /* some amount, or another option, is a function: the row's words say which */
    HANDOUT_FLAG_MEASURES_MEMORY = 32, /* so is its memory */
    HANDOUT_FLAG_MEASURES_PRIORITY = 64,
    HANDOUT_FLAG_PROCESS = 128,        /* it has to run in a process of its own */
};

/* What a declared row is; the same numbers as `TaskKind` in HandoutCore. */
enum handout_row_kind {
    HANDOUT_ROW_TASK = 0,
    HANDOUT_ROW_MAP,
    HANDOUT_ROW_REDUCE,
    HANDOUT_ROW_WHEN,     /* a task whose value is made boolean */
    HANDOUT_ROW_INPUT,    /* an input of a graph: its default or the value it is bound to */
    HANDOUT_ROW_SELECT,   /* hidden: an element of another row's value (handle:at of a key) */
    HANDOUT_ROW_SELECTOR, /* hidden: for each instance of a map the elements that it picks of another row's value */
    HANDOUT_ROW_MARK,     /* hidden: takes the name of an included graph */
};

/* A graph of the plan. Number 0 is the one that the script returned; the others are instantiated by maps over them. */
typedef struct handout_plan_template {
    uint32_t first, count;               /* its rows */
    uint32_t input_first, input_count;   /* in template_inputs */
    uint32_t output_first, output_count; /* in template_outputs; of graph 0: none, see outputs */
} handout_plan_template;

typedef struct handout_plan_output {
    uint32_t name_offset, name_length; /* in name_bytes of the plan */
    uint32_t task;
} handout_plan_output;

typedef struct handout_plan_error {
    const char *code;
    char *message; /* without position */
    char *file;
    uint32_t line;
} handout_plan_error;

typedef struct handout_plan_parameter {
    char *name, *help;
    handout_buffer value;   /* encoded */
    handout_buffer declaration; /* type and default, encoded */
    uint32_t line;
} handout_plan_parameter;

/* Something that planning read: a call, its argument, and what it gave. */
typedef struct handout_recording {
    const char *call;     /* "read" or "glob" */
    const char *argument;
    const uint8_t *result; /* encoded: a string or a list of strings, or where it raised { error = message } */
    size_t length;
} handout_recording;

enum handout_allocator_kind { HANDOUT_ALLOCATOR_NONE = 0, HANDOUT_ALLOCATOR_BUILT_IN, HANDOUT_ALLOCATOR_LUA };

/* A plan as columns, everything from malloc. Swift adopts the columns by setting the pointers to NULL. */
typedef struct handout_plan {
    char *name;            /* of the graph */
    size_t name_length;
    uint32_t count;        /* declared rows of all graphs, those of the returned one first */
    uint8_t *kinds;        /* enum handout_row_kind */
    uint32_t *options;     /* index in option_sets */
    uint32_t *lines;       /* line | source << 24 */
    uint32_t *classes;     /* class */
    uint32_t *capture_offsets; /* count + 1: captured variables of task i in captures */
    uint32_t *captures;    /* pool indices, one a captured variable */
    uint32_t *name_offsets; /* count + 1 */
    uint8_t *name_bytes;   /* ids of the tasks, then other names */
    uint64_t name_bytes_length;
    uint32_t *reference_offsets; /* count + 1 */
    uint32_t *references;  /* words, see HandoutCore/Reference.swift */
    handout_option_set *option_sets;
    uint32_t option_set_count;
    handout_class *class_list;
    uint32_t class_count;
    uint8_t *code;         /* compiled forms of the classes: for states of this process only, never to be sent */
    uint64_t code_length;
    char **class_names;    /* by class: names of its captured variables, each ended by a NUL */
    uint64_t *pool;
    uint32_t pool_count;
    uint8_t *pool_bytes;
    uint64_t pool_bytes_length;
    handout_plan_output *outputs;
    uint32_t output_count;
    handout_plan_template *templates;
    uint32_t template_count;
    uint32_t *template_inputs;            /* rows of kind INPUT, in order of declaration */
    uint32_t template_input_count;
    handout_plan_output *template_outputs; /* by name in bytewise order */
    uint32_t template_output_count;
    handout_plan_parameter *parameters;
    uint32_t parameter_count;
    uint32_t *limits;      /* pool indices of { name = amount in 1/10 000 }, the pools of the run: those of the returned
                            * graph first, then those of others, for names that it has not */
    uint32_t limit_count;
    uint64_t deadline;     /* of the graph, ns from the start; 0: none */
    double weight;         /* of the graph, for fair share */
    handout_plan_error *errors;
    uint32_t error_count;
    uint64_t errors_left_out;
    handout_recording *recordings; /* in order of the calls; each argument of a call once */
    uint32_t recording_count;
    char **sources;        /* chunk names by source index, "@" left out */
    uint32_t source_count;
    int user_globals;      /* the script left globals of its own: a task state has to run it to its end */
    /* What g:allocator of the returned graph was given. */
    int allocator;               /* enum handout_allocator_kind */
    uint32_t allocator_place;    /* line | source << 24 */
    const char *allocator_name;  /* of a built-in strategy, else NULL */
    const char *allocator_option; /* that was given, a duration; NULL: none */
    uint64_t allocator_duration; /* its value in ns */
    int ended;             /* enum handout_ended: how the script itself ended */
    uint64_t cpu_nanoseconds, peak_memory;
} handout_plan;

typedef struct handout_plan_config {
    const char *source;
    size_t source_length;
    const char *chunk_name;  /* "@deploy.lua" */
    const handout_host *host;
    handout_parameter *parameters;
    size_t parameter_count;
    const handout_parameter *inputs; /* of the returned graph: encoded values */
    size_t input_count;
    uint64_t seed;
    uint64_t memory;         /* bytes */
    handout_slot *slot;      /* the deadline holds for the thread that runs this; may be NULL */
    uint64_t time;           /* CPU ns */
    const char *run_directory; /* absolute, without links; NULL: handout.read and handout.glob raise */
} handout_plan_config;

/* Runs the script once and records its graph. Never fails: problems are in `errors`. */
handout_plan *handout_plan_run(const handout_plan_config *config);
void handout_plan_free(handout_plan *plan);

/* ---- Running tasks (task.c) ---- */

/* A row beyond the declared ones: an instance of a map, an inner node of a reduce, or a row of a graph that a map
 * instantiates. */
typedef struct handout_dynamic_row {
    uint32_t group; /* of the map or reduce; with HANDOUT_OF_GRAPH set: a row of an instantiated graph */
    uint32_t first; /* map: element; reduce: first input; row of a graph: the declared row that it is made of */
    uint32_t count; /* reduce: number of inputs; the top bit set: inputs are tasks, else elements; row of a graph: element */
} handout_dynamic_row;
#define HANDOUT_OF_GRAPH 0x80000000u

/* A map or reduce that has been expanded. */
typedef struct handout_group {
    uint32_t task;         /* its row */
    uint32_t declared;     /* the declared row that it is or is made of */
    uint32_t first, count; /* map: its instances; reduce: its inner nodes */
    uint32_t graph;        /* map over a graph: number of the template, whose rows follow the instances; else ~0 */
    const uint8_t *bytes;  /* encoded elements, or NULL: the elements are tasks */
    const uint32_t *offsets;
    uint32_t element_task; /* first of the element tasks */
    uint32_t elements;     /* number of elements */
    const uint8_t *key_bytes; /* encoded keys of its own, when keyed by bytes: they outlive the elements */
    const uint32_t *key_offsets;
    uint32_t key_group;    /* when the elements are tasks of a keyed map: that map's group, else ~0 */
    uint8_t keyed;
    uint8_t is_map;
    uint32_t root_first, root_count; /* reduce: inputs of the root, as in handout_dynamic_row */
} handout_group;

/* What a task state reads: all of it stays in place while the run lasts. */
typedef struct handout_tables {
    uint32_t count;
    const uint32_t *lines;
    const uint32_t *classes;
    const uint32_t *capture_offsets, *captures;
    const uint32_t *reference_offsets, *references;
    const uint32_t *name_offsets;
    const uint8_t *name_bytes;
    const uint8_t *kinds;
    const handout_class *class_list;
    uint32_t class_count;
    const uint8_t *code;                 /* NULL: states find the classes by running the script (template mode) */
    const uint64_t *pool;
    uint32_t pool_count;
    const uint8_t *pool_bytes;
    uint64_t pool_bytes_length;
    const handout_value *results;        /* by task */
    const handout_dynamic_row *dynamic;  /* by task - count */
    const handout_group *groups;         /* the cell of a map, or of a reduce that has not ended, says which is its */
    const uint32_t *options;             /* by declared row: its option set */
    const uint8_t *option_flags;         /* by option set: enum handout_option_flag */
    const handout_plan_template *templates;
    const uint32_t *template_inputs;
    const handout_plan_output *template_outputs;
    int indirect;                        /* some functions are no task's own: conditions, selections, substitutes */
} handout_tables;

/* What a run allows beyond what its tasks compute: each list ends with NULL. Paths are absolute, without ".", ".." and
 * empty parts. A task gets what it asks for in its grant and the run allows. */
typedef struct handout_allowed {
    int all;                  /* whatever tasks ask for */
    int reads_run_directory;  /* reading beneath the run directory, not asked for either; hidden names left out */
    int writes_run_directory; /* writing there what tasks ask for; hidden names left out */
    const char *const *exec, *const *read, *const *write, *const *env, *const *host;
    const char *const *kept;  /* files and folders that are never written: the store, the program's sources */
} handout_allowed;

/* A value that handout.env gives instead of the environment's. */
typedef struct handout_secret {
    const char *name, *value;
    size_t length; /* of the value */
} handout_secret;

typedef struct handout_program {
    const char *source;
    size_t source_length;
    const char *chunk_name;
    handout_parameter *parameters;
    size_t parameter_count;
    uint64_t seed;
    int user_globals;
    const char *run_directory;
    const char *run_id;
    const char *worker;
    uint64_t default_memory; /* limit of an attempt without `memory` */
    uint64_t plan_time;      /* CPU ns for the script */
    int verify;              /* compare every captured table after every task */
    const handout_allowed *allowed; /* NULL: nothing */
    const handout_secret *secrets;
    size_t secret_count;
    const handout_recording *recordings; /* what planning read, for a script that runs again */
    size_t recording_count;
} handout_program;

/* A state that can run the tasks of a program. NULL when memory is exhausted. The script is run when first needed. */
handout_state *handout_task_state_new(const handout_program *program, const handout_tables *tables,
                                      const handout_host *host, handout_slot *slot);
/* Runs the items of the slot's lease until none is left, and writes their completions. Returns 0; 1 when a limit was
 * hit: the state must be freed, and a new one go on with the same lease. */
int handout_task_state_run(handout_state *state);
void handout_task_state_free(handout_state *state);
/* Runs the script until the class of every task is there, for measurements. Returns bytes in use. */
size_t handout_task_state_prepare(handout_state *state);

/* Appends the value of a task in encoded form, also where it is found by way of other rows or computed where it is used.
 * Returns 0, or -1 with `error` (capacity `size`) saying what went wrong; the state must be freed then. */
int handout_task_state_value(handout_state *state, uint32_t task, handout_buffer *out, char *error, size_t size);

/* What functions among the options of a task are told of it. */
typedef struct handout_attempt {
    uint32_t number;      /* of the attempt to come, from 1 */
    int ended;            /* enum handout_ended: the attempt before, 0: there was none */
    const char *message;
    size_t message_length;
    const char *worker;   /* where that ran; NULL: it had not begun */
    const handout_amount *amounts;
    uint32_t amount_count;
    uint32_t counts[8];   /* of attempts, by enum handout_ended */
} handout_attempt;
/* Asks the functions among the options of `task`, and appends what they gave, an encoded table from names of options
 * (`resources.NAME`) to integers: 1/10 000, bytes, nanoseconds. Returns 0; 1 with the failure, to be freed, when a function
 * failed; -1 likewise, when the state must be freed too (without a failure: functions gave all, and a module was changed). */
int handout_task_state_measure(handout_state *state, uint32_t task, const handout_attempt *attempt, handout_buffer *out,
                               handout_failure **failure);

enum handout_verdict { HANDOUT_TRUTHY = 0, HANDOUT_FALSY, HANDOUT_NO_ELEMENT, HANDOUT_PICKED_LIST };
/* What a select, a selector or an input is, for the scheduler; everything from malloc. */
typedef struct handout_selection {
    uint32_t count;    /* elements; 1 for a select or input */
    uint32_t *offsets; /* count + 1: picks of element i in rows */
    uint32_t *rows;    /* rows of instances that are picked */
    uint8_t *verdicts; /* enum handout_verdict: by element */
} handout_selection;
/* Finds that; `group` is the selector's. Returns 0, or -1 as handout_task_state_value does. */
int handout_task_state_select(handout_state *state, uint32_t task, uint32_t group, uint32_t elements,
                              handout_selection *selection, char *error, size_t size);
void handout_selection_free(handout_selection *selection);
/* The row whose cell says what the value of `task` is, where that only stands for another; or ~0: there is no value. */
uint32_t handout_resolve(const handout_tables *tables, uint32_t task);

/* Appends the value of a task in encoded form; of a map the list or table of its instances' values. Returns 0, or -1 when
 * memory is exhausted. */
int handout_append_result(const handout_tables *tables, uint32_t task, handout_buffer *out);
/* The encoded key of a map instance: its index as an integer, or its name as a string. Returns 0, or -1. */
int handout_append_key(const handout_tables *tables, uint32_t group, uint32_t element, handout_buffer *out);

/* ---- The process (process.c) ---- */

/* From now on the `most`th SIGINT or SIGTERM ends the process, and what it started; those before are counted. SIGUSR1 and SIGUSR2 are
 * remembered: after the first a run is to be paused, after the second to go on. */
void handout_watch_interrupts(int most);
int handout_interrupts(void);
int handout_is_paused(void);
/* Cores that this process may use. */
int handout_cores(void);
/* Starts a program in a process group of its own, with an empty signal mask, default dispositions and no descriptor but
 * the three given ones as 0, 1 and 2, whatever the calling thread has. The lists end with NULL. Returns 0, or an errno. */
int handout_spawn(pid_t *child, const char *path, char *const arguments[], char *const environment[], const int descriptors[3]);
/* The same, in the folder `directory` where it is not NULL. */
int handout_spawn_in(pid_t *child, const char *path, char *const arguments[], char *const environment[], const int descriptors[3],
                     const char *directory);
/* Notes that a child with a process group of its own runs (`on` 1), or was waited for (0). */
void handout_note_child(pid_t child, int on);
/* Ends those process groups: before the process ends without waiting for its threads. Safe in a signal handler. */
void handout_end_children(void);
/* Notes a folder that is to be removed when an interrupt ends the process, or no more. From any thread. */
void handout_note_folder(const char *path, int on);
/* A size or duration as lua-api.md section 1 writes it, or a plain number of bytes or seconds. Returns 0, or -1. */
int handout_size_from_text(const char *text, uint64_t *bytes);
int handout_duration_from_text(const char *text, uint64_t *nanoseconds);
/* 1 when the kernel has openat2 (Linux 5.6), which handout.fs needs. */
int handout_has_openat2(void);

/* Lua version the shim was built against and runs with: "Lua 5.4.4". */
const char *handout_lua_version(void);
const char *handout_lua_release(void);

/* ---- A stock state ---- */

/* Lua text: a module's name, what messages call its file, and its bytes. */
typedef struct handout_stock_source {
    const char *name, *file, *text;
    size_t length;
} handout_stock_source;

/*
 * Runs a program in a Lua state of its own with all of Lua's libraries and no limits: it has the rights of this process.
 * `require` finds `modules` first. The program's `...` are the arguments.
 * Returns 0 and the string that the program returned; or 1 and a message, which is NULL when memory ran out or what was
 * raised is no string. The text ends with a zero byte that `length` does not count, and is the caller's to free().
 */
int handout_stock_run(const handout_stock_source *modules, size_t module_count, const handout_stock_source *program,
                      const char *const *arguments, size_t argument_count, char **text, size_t *length);

#endif
