/* A strategy in Lua while it lives. Internal to the shim. */
#ifndef HANDOUT_STRATEGY_INTERNAL_H
#define HANDOUT_STRATEGY_INTERNAL_H

#include "file.h"
#include "handout_strategy.h"
#include "strategies.h"

/* Names of fields, and of resources by index: short strings of Lua are one object each, so a name is known by its address. */
typedef struct handout_name_map {
    const void **keys;
    uint32_t *values;
    uint32_t capacity; /* a power of two, at least twice the names */
} handout_name_map;

struct handout_strategy {
    handout_file file;
    handout_strategy_config config;
    handout_strategy_facts facts;
    char *name;
    int functions[4];           /* registry references of filter, score, allocate, on_event; LUA_NOREF */
    int views, options;         /* references: worker number + 1 → view; the options */
    uint64_t budget;            /* ns, or instructions where the state counts them; 0: no limit */
    int ended;                  /* how it died, 0: it lives */

    handout_name_map fields, resources;
    uint32_t resource_count;
    handout_vector resource_names; /* char * */
    handout_vector order;       /* uint32_t: resources by name, bytewise */
    uint32_t memory_resource;   /* its index, or HANDOUT_NONE */

    /* the call that goes on */
    uint64_t round;             /* views of another one are too old */
    const handout_strategy_view *view;
    int tasks, classes;         /* references: number → view, of an allocate round; LUA_NOREF */
    handout_vector cursors;     /* uint64_t by class: tasks taken */
    handout_vector placements;
    handout_buffer reasons;     /* texts; placed in the choices at the end */
    int has_problem;
};

static inline handout_strategy *handout_strategy_of(lua_State *L) { return handout_recorder_of(L)->reads; }

/* ---- Views (views.c) ---- */

enum handout_view_kind {
    HANDOUT_VIEW_TASK = 0x48565701, HANDOUT_VIEW_CLASS, HANDOUT_VIEW_WORKER, HANDOUT_VIEW_AMOUNTS, HANDOUT_VIEW_LABELS,
    HANDOUT_VIEW_READY, HANDOUT_VIEW_WORKERS, HANDOUT_VIEW_CONTEXT,
};

/* What every view begins with. Valid while `round` is that of the strategy. */
typedef struct handout_view {
    uint32_t kind, index;
    uint64_t round;
} handout_view;

typedef struct handout_task_object {
    handout_view view; /* index: of the class */
    handout_task_view task;
} handout_task_object;

enum { HANDOUT_TOTAL = 0, HANDOUT_FREE = 1 };
/* Amounts of a worker (HANDOUT_TOTAL, HANDOUT_FREE) or of a variant of a task or class. Its user value holds the owner. */
typedef struct handout_amounts_object {
    handout_view view; /* index: which; the round is the owner's */
    const handout_view *owner;
} handout_amounts_object;

/* Makes the metatables, and interns the names of fields. */
void handout_open_views(lua_State *L, handout_strategy *strategy);
/* Takes in the names of new resources. */
void handout_learn_resources(lua_State *L, handout_strategy *strategy);
/* The view at `index` when it is one of that kind, of whatever call; else NULL. */
handout_view *handout_to_view(lua_State *L, int index, enum handout_view_kind kind);
/* Pushes the view of a worker, from the table of them at stack `views`. */
void handout_push_worker(lua_State *L, handout_strategy *strategy, int views, uint32_t index);
void handout_push_task_view(lua_State *L, handout_strategy *strategy, const handout_task_view *task);
void handout_push_simple_view(lua_State *L, handout_strategy *strategy, enum handout_view_kind kind);
/* queue.c: pushes the value of a field that is a method, or of an index. */
void handout_push_class(lua_State *L, handout_strategy *strategy, uint32_t index);
int handout_class_take(lua_State *L);
int handout_ready_classes(lua_State *L);
int handout_workers_get(lua_State *L);
int handout_worker_fits(lua_State *L);
int handout_worker_has(lua_State *L);
int handout_list_index(lua_State *L);
int handout_list_length(lua_State *L);
int handout_list_pairs(lua_State *L);
/* Raises that the view was kept beyond its call. */
_Noreturn void handout_raise_old_view(lua_State *L, const char *what);

/* ---- Answers ---- */

/* strategy.c: ends the call: the answer of the function at the reference is of another shape. `format` goes on `WHO: `. */
_Noreturn void handout_wrong_answer(lua_State *L, handout_strategy *strategy, int reference, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* answers.c: reads what allocate returned, at stack `index` and `index` + 1. */
void handout_read_placements(lua_State *L, handout_strategy *strategy, int index, uint64_t *wait);
/* options.c of this folder: makes the table of options; refuses what was given wrongly. */
void handout_make_options(lua_State *L, handout_strategy *strategy, int table);

#endif
