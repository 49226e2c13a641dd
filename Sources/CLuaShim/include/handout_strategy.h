/* Strategies in Lua: what they see, and what they answer.
 *
 * A strategy is used by one thread at a time. It sees structs that its caller owns; they are read during a call only. Every
 * mistake of the strategy, a limit too, ends the call with one problem; what then decides is the caller's.
 */
#ifndef HANDOUT_STRATEGY_H
#define HANDOUT_STRATEGY_H

#include "handout_files.h"

typedef struct handout_strategy handout_strategy;

/* ---- What a strategy is ---- */

enum handout_strategy_kind {
    HANDOUT_STRATEGY_REFUSED = 0, /* see the problems */
    HANDOUT_STRATEGY_BUILT_IN,    /* the file names one that is built in */
    HANDOUT_STRATEGY_SCORE,       /* it has filter or score */
    HANDOUT_STRATEGY_ALLOCATE,
};

typedef struct handout_strategy_config {
    const handout_file_config *file;
    int from_graph;                   /* the file is a graph script: the strategy is what g:allocator of its graph was given */
    const handout_parameter *options; /* given by the user, as text: name=text */
    size_t option_count;
    uint64_t instructions;            /* the budget of a call in Lua instructions, so that it can be repeated; 0: in time */
} handout_strategy_config;

typedef struct handout_strategy_facts {
    int kind;                 /* enum handout_strategy_kind */
    const char *name;         /* as the strategy has it, or of the built-in one; NULL: none */
    const char *option;       /* of a built-in one, a duration; NULL: none was given */
    uint64_t option_duration; /* ns */
    uint64_t budget;          /* ns a call */
    int per_task, has_filter, has_score, has_event;
    handout_problems problems;
} handout_strategy_facts;

/* Runs the file; NULL when memory is exhausted. */
handout_strategy *handout_strategy_new(const handout_strategy_config *config);
const handout_strategy_facts *handout_strategy_facts_of(const handout_strategy *strategy);
/* The same, with ns or instructions (or neither, then without limit) from now on. */
void handout_strategy_set_budget(handout_strategy *strategy, uint64_t nanoseconds, uint64_t instructions);
void handout_strategy_free(handout_strategy *strategy);

/* ---- What it sees ---- */

/* Not known. */
#define HANDOUT_UNKNOWN __builtin_nan("")

typedef struct handout_text {
    const char *bytes; /* NULL: nil */
    size_t length;
} handout_text;

typedef struct handout_label_view {
    handout_text name, value;
} handout_label_view;

/* A label that a worker must have, with one of these values. */
typedef struct handout_where_view {
    handout_text label;
    const handout_text *values;
    uint32_t count;
} handout_where_view;

/* What a task has, and a class by its next task. Amounts: one number a resource, by its index, in 1/10 000 (of memory bytes). */
typedef struct handout_request_view {
    handout_text name;        /* declared id */
    const handout_text *near; /* ids of workers */
    uint32_t near_count;
    int32_t priority;
    uint32_t consumers, retries_left;
    double estimate, rank;    /* seconds, or HANDOUT_UNKNOWN */
} handout_request_view;

typedef struct handout_class_view {
    handout_request_view next;
    const uint64_t *const *variants; /* amounts of each */
    uint32_t variant_count, fitting; /* `fitting`: the first that fits */
    const handout_where_view *where;
    uint32_t where_count;
    uint64_t count;                  /* ready tasks */
} handout_class_view;

typedef struct handout_task_view {
    handout_request_view own;
    handout_text id, key; /* `key` of bytes; else `key_index`, from 1; 0: none */
    int64_t key_index, input_bytes; /* below 0: not known */
    double waited;
    uint32_t task;        /* the caller's number of it */
    uint32_t class_index; /* in `classes` */
    uint32_t attempt;     /* from 1 */
} handout_task_view;

typedef struct handout_worker_view {
    handout_text id;
    const handout_label_view *labels;
    const uint64_t *total, *free; /* amounts; what is 0 in `total` it has not */
    double price, speed, idle, remaining, bandwidth; /* the last two may be HANDOUT_UNKNOWN */
    uint32_t label_count, running, lost;
    uint32_t worker; /* the caller's number of it, of no other worker ever: views are kept by it */
} handout_worker_view;

typedef struct handout_context_view {
    double now, deadline, spent; /* deadline may be HANDOUT_UNKNOWN */
    handout_text run;
    int64_t seed;
} handout_context_view;

typedef struct handout_strategy_view {
    const handout_text *resources; /* names by index: from call to call more may come at the end, none changes */
    const handout_class_view *classes;
    const handout_worker_view *workers;
    uint32_t resource_count, class_count, worker_count;
    uint64_t ready_count;
    handout_context_view context;

    /* Asked when the strategy asks. They raise nothing and call no strategy. */
    void *caller;
    /* How many tasks of the class fit on the worker (index) now. */
    uint64_t (*fits)(void *caller, uint32_t class_index, uint32_t worker);
    /* Bytes of the task's inputs there. */
    uint64_t (*has)(void *caller, uint32_t task, uint32_t worker);
    /* The ready task at that place by priority, from 0; of all, or of a class. Return 0, or -1: there is none. */
    int (*ready)(void *caller, uint64_t place, handout_task_view *task);
    int (*take)(void *caller, uint32_t class_index, uint64_t place, handout_task_view *task);
    /* The ready task of that id. */
    int (*find)(void *caller, const char *id, size_t length, handout_task_view *task);
} handout_strategy_view;

/* ---- What it answers ---- */

typedef struct handout_choice {
    double score;
    int filtered;
    handout_text reason; /* why filtered, bytes NULL: not said; until the next call */
} handout_choice;

typedef struct handout_placement {
    uint32_t task;    /* the caller's number */
    uint32_t worker;  /* index */
    uint32_t variant; /* from 0; HANDOUT_NONE: not said, the first that fits */
} handout_placement;

/* What a call returned: 0, or which end it had. */
enum handout_strategy_end {
    HANDOUT_STRATEGY_DONE = 0,
    HANDOUT_STRATEGY_RAISED = HANDOUT_ERROR,
    HANDOUT_STRATEGY_WRONG = HANDOUT_RESULT,   /* an answer of another shape */
    HANDOUT_STRATEGY_LATE = HANDOUT_TIMEOUT,   /* the budget; the strategy is dead */
    HANDOUT_STRATEGY_MEMORY = HANDOUT_MEMORY,  /* it is dead */
    HANDOUT_STRATEGY_STOPPED = HANDOUT_CANCELLED,
};

/* Asks filter and score about the task and each worker of the view; `choices` has a place a worker. The task stands for its
 * class, or with `per_task` for itself. */
int handout_strategy_score(handout_strategy *strategy, const handout_strategy_view *view, const handout_task_view *task,
                           handout_choice *choices);
/* Asks for a round. The placements hold until the next call; `wait` in ns, 0: none. */
int handout_strategy_allocate(handout_strategy *strategy, const handout_strategy_view *view,
                              const handout_placement **placements, uint32_t *count, uint64_t *wait);
/* Tells of an event, an encoded table; `*again` = 1: what was scored is asked again. */
int handout_strategy_event(handout_strategy *strategy, const uint8_t *event, size_t length, int *again);
/* What was wrong with the last call that was not done. */
const handout_plan_error *handout_strategy_problem(const handout_strategy *strategy);
/* 1 after a limit: every call ends as it did. Make another. */
int handout_strategy_is_dead(const handout_strategy *strategy);
/* Bytes that its state has in use. */
size_t handout_strategy_memory(const handout_strategy *strategy);

#endif
