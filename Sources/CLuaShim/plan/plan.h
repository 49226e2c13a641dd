/* The recorder: what `handout.graph`, `g:task` and their like do while a script runs. Internal to the shim.
 *
 * One script run serves two ends. Planning records everything as columns. In template mode, on a worker, the same calls
 * only look at the functions they are given, until the class that is wanted has been seen.
 */
#ifndef HANDOUT_PLAN_H
#define HANDOUT_PLAN_H

#include "slot.h"
#include "state.h"

/* A growable array from malloc. */
typedef struct handout_vector {
    char *data;
    size_t count, capacity, size; /* in items; `size` bytes an item */
} handout_vector;

/* FNV-1a (64 bit): the hash of nothing, and of more bytes. */
#define HANDOUT_HASH 0xCBF29CE484222325ull
static inline uint64_t handout_hash(uint64_t h, const void *bytes, size_t length) {
    for (const uint8_t *p = bytes; length; p++, length--) h = (h ^ *p) * 0x100000001B3ull;
    return h;
}

/* Room for `n` more items, or NULL when memory is exhausted. */
void *handout_vector_add_many(handout_vector *vector, size_t n);
/* Room for one more item. */
static inline void *handout_vector_add(handout_vector *vector) {
    if (vector->count == vector->capacity) return handout_vector_add_many(vector, 1);
    return vector->data + vector->count++ * vector->size;
}

/* Leaves: a column could not grow. Memory of the host, not of the script. */
static inline _Noreturn void handout_exhausted(lua_State *L) {
    handout_leave(handout_of(L), HANDOUT_MEMORY, "no memory left for the plan");
}

typedef struct handout_source {
    char *name;        /* chunk name with its "@" or "=" */
    const char *text;  /* NULL: made by load */
    size_t length;
} handout_source;

/* A function class while the script runs. */
typedef struct handout_class_record {
    handout_class public;
    char *names;               /* of the captured variables, each ended by a NUL */
    int ambiguous;             /* another function begins on the same line */
    uint8_t *dump;             /* when ambiguous: what tells this variant */
    size_t dump_length;
    int held;                  /* a closure of it is in the table of held closures */
    uint32_t held_task;        /* its declared row */
    uint32_t held_graph;
    const void **ids;          /* identity of each captured variable of the held closure */
    uint32_t *pools;           /* and its pool index */
} handout_class_record;

/* Whether a set of options can be had by a task of a graph. */
typedef struct handout_checked {
    uint32_t graph; /* + 1 */
    char *problem;  /* NULL: it can */
} handout_checked;

/* A strategy, as far as it is known without a call. */
typedef struct handout_spec {
    int kind;            /* enum handout_allocator_kind */
    int per_task;
    int has[4];          /* filter, score, allocate, on_event */
    uint64_t budget;     /* ns */
    const char *name;    /* of one that is built in, its option that was given, and the value in ns */
    const char *option;
    uint64_t duration;
} handout_spec;

/* One graph being declared. */
typedef struct handout_graph_record {
    char *name;
    size_t name_length;
    uint32_t count;
    handout_option_set defaults;
    handout_vector kinds, options, lines, classes, capture_offsets, captures;
    handout_vector name_offsets, names, reference_offsets, references, outputs;
    handout_vector inputs;     /* rows of kind INPUT, uint32_t */
    handout_vector parts;      /* handout_plan_output: outputs of included graphs */
    handout_vector included;   /* first row and count of each include, uint32_t */
    handout_vector given;      /* rows that includes were given as inputs, uint32_t */
    uint32_t limits;           /* pool index of the pools that the graph has, HANDOUT_NONE: none */
    uint64_t deadline;         /* ns, 0: none */
    double weight;
    int measures;              /* some of the defaults are functions: kept in the registry */
    uint32_t allocator;        /* line and source of g:allocator; 0: none */
    handout_spec strategy;     /* what it was given */
    uint32_t sealed;           /* line and source of the include or map that uses it; 0: none does */
    uint64_t *id_table;        /* open addressing: hash in the high half, row + 1 in the low */
    uint32_t id_capacity;
} handout_graph_record;

typedef struct handout_identity {
    const void *id;
    uint32_t pool, holders;
} handout_identity;

/* What a file that runs is to give. */
enum handout_purpose { HANDOUT_FOR_GRAPH = 0, HANDOUT_FOR_STRATEGY, HANDOUT_FOR_CLUSTER, HANDOUT_FOR_TRACKER };

typedef struct handout_recorder {
    handout_state *state;
    enum handout_purpose purpose;
    void *reads;               /* what a file of another purpose is read into */
    const handout_host *host;
    handout_parameter *parameters;
    size_t parameter_count;
    handout_vector checked;    /* handout_checked, by option set */
    handout_vector interned;   /* pool indices of values that options share */
    handout_vector graphs;     /* handout_graph_record */
    handout_vector classes;    /* handout_class_record */
    handout_vector sources;    /* handout_source */
    handout_vector option_sets, pool, pool_bytes, errors, declared, met, met_variables, known_parameters, code;
    uint32_t *class_table;     /* open addressing over classes, index + 1 */
    uint32_t class_capacity;
    handout_identity *identities;
    uint32_t identity_capacity, identity_count;
    handout_buffer declaration; /* of the parameter at hand */
    handout_vector ats;        /* handout_at */
    handout_vector words;      /* of the function at hand */
    uint32_t declaring;        /* number of the declaration that goes on */
    const handout_parameter *inputs;
    size_t input_count;
    uint32_t reading;          /* number of the reading of captured variables that goes on */
    uint32_t place;            /* line and source that the next refusal is of; 0: the line that runs */
    uint64_t errors_left_out;
    uint32_t returned_graph;
    uint64_t printed;
    handout_vector recordings; /* handout_recording, with texts of its own while planning */
    const handout_recording *given; /* template mode: what planning read */
    size_t given_count;
    const char *run_directory;
    uint32_t last_grant;       /* pool index + 1 of the grant that was recorded last */
    int bad_syntax;            /* the error that ended the script is one of syntax */
    uint64_t unchecked;        /* bytes of columns since memory was looked at */
    uint32_t cached_source;    /* last source looked up */
    int held;                  /* registry: class + 1 → the closure whose captured variables are known; 0: `caller` */
    const void *caller;        /* the function that declared last, its source below */
    uint32_t caller_source;

    /* template mode */
    const handout_tables *tables; /* NULL while planning */
    uint32_t wanted;           /* class; ~0: none */
    uint32_t first_row;        /* no row before this one shows the wanted class */
    int thorough;              /* look into the captured functions of every closure, not of first ones only */
    uint32_t missing;          /* classes not seen yet */
} handout_recorder;

int handout_recorder_init(handout_recorder *recorder, handout_state *state, const handout_host *host);
void handout_recorder_free(handout_recorder *recorder);
/* plan.c: adds an error that ended a script: "file:line: text" is taken apart; without it the place is where the script
 * was. */
void handout_add_script_error(handout_recorder *recorder, const char *code, const char *text, size_t length,
                              const char *chunk_name);
/* A message handler: makes the error a text, and keeps where the script was. */
int handout_script_message(lua_State *L);
/* Opens libraries, `handout` and `require` in the state. Protected context. */
void handout_recorder_open(lua_State *L, handout_recorder *recorder);
/* Pushes the script as a function, its _ENV the globals. Raises on syntax errors. Protected context. */
void handout_recorder_load(lua_State *L, handout_recorder *recorder, const char *source, size_t length,
                           const char *chunk_name);
/* Pushes the table class → template closure of template mode. */
void handout_push_templates(lua_State *L);
/* After the script's end, in template mode: looks into what the kept closures captured by now. Protected context. */
void handout_recorder_finish_templates(lua_State *L, handout_recorder *recorder);

#define HANDOUT_HANDLE_TAG 0x5AULL
static inline void *handout_handle(uint32_t graph, uint32_t row) {
    return (void *)(uintptr_t)(HANDOUT_HANDLE_TAG << 56 | (uint64_t)graph << 32 | row);
}
static inline int handout_is_handle(lua_State *L, int index) { return lua_type(L, index) == LUA_TLIGHTUSERDATA; }
static inline uint32_t handout_handle_graph(const void *handle) { return (uint32_t)((uintptr_t)handle >> 32 & 0xFFFFFF); }
static inline uint32_t handout_handle_row(const void *handle) { return (uint32_t)(uintptr_t)handle; }

/* What handle:at gave. */
typedef struct handout_at {
    void *base;       /* a handle, or the handle of another of these */
    uint32_t graph;
    uint32_t key;     /* pool index; HANDOUT_PICK_OWN; HANDOUT_PICK_FUNCTION: a function, in the table of those */
    uint32_t row;     /* the select made for it, ~0: none */
    uint32_t word, declaration; /* what it is in the map of that declaration */
} handout_at;
#define HANDOUT_AT_TAG 0x5BULL
static inline void *handout_at_handle(uint32_t graph, uint32_t index) {
    return (void *)(uintptr_t)(HANDOUT_AT_TAG << 56 | (uint64_t)graph << 32 | index);
}
static inline int handout_is_at(const void *handle) { return (uintptr_t)handle >> 56 == HANDOUT_AT_TAG; }

/* record.c, used by the calls of plan.c */
__attribute__((format(printf, 4, 5)))
void handout_refuse(lua_State *L, handout_recorder *recorder, const char *code, const char *format, ...);
uint32_t handout_source_index(handout_recorder *recorder, const char *source);
/* The class of the function at `index`, made when new. */
uint32_t handout_class_of(lua_State *L, handout_recorder *recorder, int index);
/* Records what the function at `index` captures as row `row` of `graph`; `name` for messages. */
void handout_record_captures(lua_State *L, handout_recorder *recorder, uint32_t class, int index, uint32_t graph,
                             uint32_t row);
/* Adds the function at `index`, a part of row `row`, to the pool as one that is captured; returns its entry. */
uint32_t handout_record_function(lua_State *L, handout_recorder *recorder, int index, uint32_t graph, uint32_t row);
/* Reads what the closures still held captured. At the end of the script. */
void handout_read_held(lua_State *L, handout_recorder *recorder);
/* Encodes the value at the top to the state's codec. Returns 1; 0 when it is not plain data: that was then refused, as
 * `WHO: PLACE: reason`. */
int handout_encode_or_refuse(lua_State *L, handout_recorder *recorder, const char *code, const char *who, const char *root,
                             const char *verb);
/* Adds an encoded value to the pool. Raises on memory. */
uint32_t handout_pool_add(lua_State *L, handout_recorder *recorder, unsigned kind, const void *bytes, size_t length);
/* Template mode: looks at the function at `index`; 1 when the wanted class is now there. */
int handout_see_template(lua_State *L, handout_recorder *recorder, int index);

/* The first place "file:line" of Lua code in a traceback. Returns 1 when there is one. */
int handout_first_place(const char *traceback, char *file, size_t size, uint32_t *line);
/* Counts bytes that go to columns; above the limit of planning the script is left. */
void handout_count_columns(lua_State *L, handout_recorder *recorder, size_t bytes);

/* options.c */
typedef struct handout_parsed {
    handout_option_set set;
    /* Stack indices of those tables, handles and functions, 0: not given. */
    int needs, after, args, over, when, unless, near, recover;
    int options;      /* stack index of the whole table, 0: none */
    int functions;    /* an amount is a function */
    int measures;     /* stack index of the table that handout_collect_measures made, 0: none */
    uint32_t limits;  /* pool index, HANDOUT_NONE: not given */
    uint64_t deadline;
    double weight;
} handout_parsed;
enum { HANDOUT_CALL_TASK = 1, HANDOUT_CALL_MAP = 2, HANDOUT_CALL_REDUCE = 4, HANDOUT_CALL_GRAPH = 8, HANDOUT_CALL_WHEN = 16,
       HANDOUT_CALL_GRAPHS = 32, HANDOUT_CALL_INCLUDE = 64, HANDOUT_SLOTS = 8 };
/* Reads the option table at `index` for a call of that kind; `who` names the object in messages. Pushes HANDOUT_SLOTS
 * slots. */
void handout_parse_options(lua_State *L, handout_recorder *recorder, int index, int call, const char *who,
                           handout_parsed *parsed);
uint32_t handout_option_set_index(lua_State *L, handout_recorder *recorder, const handout_option_set *set);
/* Lua walks a table in another order in each state: sorts the errors since the `before`th by message. */
void handout_sort_errors(handout_recorder *recorder, size_t before);
/* Refuses the value at the top: `WHO: option 'NAME': expected EXPECTED, got …`. */
void handout_refuse_option(lua_State *L, handout_recorder *recorder, const char *who, const char *name, const char *expected);

/* amounts.c; the value is at the top, `who` and `name` are for messages */
/* A function may stand for an amount: a Lua function. */
int handout_is_amount_function(lua_State *L, int index);
/* An amount in 1/10 000; -1 when it was refused. */
int64_t handout_read_amount(lua_State *L, handout_recorder *recorder, const char *who, const char *name);
/* Bytes, 0 or at least 1 MiB. Returns 0, or -1 when it was refused. */
int handout_read_memory(lua_State *L, handout_recorder *recorder, const char *who, const char *name, uint64_t *bytes);
/* A table from names of resources to amounts; `functions`, when not NULL, is set to 1 where an amount is a function, else
 * functions are refused. Returns 0 when a name was refused: the table cannot be used. `*index`, when not NULL, becomes the
 * pool index of what can be used. */
int handout_read_resources(lua_State *L, handout_recorder *recorder, const char *who, const char *option, int *functions,
                           uint32_t *index);
/* A list of variants; `options` is the stack index of the table that holds it. Pool index, HANDOUT_NONE: refused. */
uint32_t handout_read_variants(lua_State *L, handout_recorder *recorder, const char *who, int options);
uint32_t handout_read_where(lua_State *L, handout_recorder *recorder, const char *who);
void handout_read_paths(lua_State *L, handout_recorder *recorder, const char *who, const char *name);
/* The pool index of the plain value at the top, which is left there; equal values met lately are kept once. */
uint32_t handout_intern(lua_State *L, handout_recorder *recorder, const char *who, const char *name);
/* Refuses what no worker could ever hold. `set` is that of index `set_index`. */
void handout_check_request(lua_State *L, handout_recorder *recorder, uint32_t graph, const handout_option_set *set, uint32_t set_index,
                           const char *who);

/* measures.c: options that are functions of `(inputs, attempt)`. */
/* Gathers those of the options in a table at the top, its index in `parsed->measures`, and sets the flags of the set. */
void handout_collect_measures(lua_State *L, handout_parsed *parsed);
/* Adds those of the graph's defaults that the row does not set. */
void handout_inherit_measures(lua_State *L, handout_recorder *recorder, uint32_t graph, handout_parsed *parsed);
/* Keeps them as the defaults of a graph. */
void handout_keep_measures(lua_State *L, handout_recorder *recorder, uint32_t graph, const handout_parsed *parsed);
/* Records the functions and adds their words to the row, which end it. In template mode: 1 when the wanted class was seen. */
int handout_record_measures(lua_State *L, handout_recorder *recorder, const handout_parsed *parsed, uint32_t graph, uint32_t row,
                            const char *who);

/* The nearest of `names` (NULL-terminated) to `word`, or NULL when none is near. */
const char *handout_nearest(const char *word, size_t length, const char *const *names);

/* grants.c: reads the option `grant`, at the top, into the set. `who` names the object in messages. */
void handout_read_grant(lua_State *L, handout_recorder *recorder, const char *who, handout_option_set *set);

/* reading.c: handout.read and handout.glob. */
int handout_module_read(lua_State *L);
int handout_module_glob(lua_State *L);
void handout_free_recordings(handout_recording *recordings, size_t count);

/* Raises inside a task. */
void handout_only_planning(lua_State *L, const char *call);

/* parameters.c */
int handout_module_param(lua_State *L);

/* strategies.c: handout.allocator */
int handout_module_allocator(lua_State *L);
/* strategy/: handout.cluster, handout.tracker */
int handout_module_cluster(lua_State *L);
int handout_module_tracker(lua_State *L);

/* module tables: object → module name, name → result; measures: graph + 1 → functions among its defaults */
extern char HANDOUT_KEY_MEASURES, HANDOUT_KEY_MODULES, HANDOUT_KEY_MODULE_NAMES, HANDOUT_KEY_TEMPLATES, HANDOUT_KEY_MODULE;
/* For task.c: adds the calls that only tasks have to the `handout` table at the top. */
void handout_add_task_calls(lua_State *L);

static inline handout_recorder *handout_recorder_of(lua_State *L) { return handout_of(L)->plan; }

#endif
