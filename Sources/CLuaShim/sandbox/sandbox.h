/* What the files of the library sandbox share. Internal to them. */
#ifndef HANDOUT_SANDBOX_H
#define HANDOUT_SANDBOX_H

#include "slot.h"

/* Larger lengths and counts are refused by the table functions. */
enum { HANDOUT_MOST_ELEMENTS = 100 * 1000 * 1000 };

/* Registry keys. */
extern char HANDOUT_KEY_BASELINE, HANDOUT_KEY_PLANNING_SET, HANDOUT_KEY_TASK_SET;

/* proxy.c: when the value at `index` is a proxy, replaces it by the table behind it and returns 1. Uses 2
 * stack slots. */
int handout_unwrap(lua_State *L, int index);
/* Raises that `name` cannot be assigned at the key at stack index `key`. */
int handout_refuse_assignment(lua_State *L, const char *name, int key);
/* 1 while the table at `index` is the proxy of the globals and they are open. */
int handout_globals_are_open(lua_State *L, int index);

/* names.c: adds the functions in the table at the top, and the table itself, under `prefix` ("" for
 * globals) to the names; its proxy, when it gets one, is added by handout_name_object. */
void handout_name_functions(lua_State *L, const char *prefix);
void handout_name_object(lua_State *L, int index, const char *name);

/* ordered.c: pushes iterator, table and nil for the table at `index`; keys without order raise as `who`. */
int handout_push_ordered(lua_State *L, int index, const char *who, const char *when);
int handout_planning_pairs(lua_State *L);
int handout_planning_next(lua_State *L);
int handout_sorted(lua_State *L);

/* Each adds or replaces functions in the library table at the top. */
void handout_fix_base(lua_State *L);      /* base.c */
void handout_fix_coroutine(lua_State *L); /* coroutine.c */
void handout_fix_string(lua_State *L);    /* strings.c */
void handout_fix_table(lua_State *L);     /* tables.c */
void handout_fix_math(lua_State *L);      /* random.c */

/* withheld.c: adds the planning stand-ins of os, io, debug, package, dofile and loadfile to the set at the
 * top. */
void handout_add_withheld(lua_State *L);
/* Adds the task's os to the set at the top. */
void handout_add_task_os(lua_State *L, int planning);
/* Adds to the set at the top what is withheld in tasks too, from the planning set. */
void handout_add_task_withheld(lua_State *L, int planning);

/* task.c: a line of the running task's log. */
void handout_task_log(handout_state *state, int level, const char *text, size_t length);
/* calls.c: what random numbers of the task that runs are seeded from, beside the seed of the run. */
uint64_t handout_task_stream(handout_state *state);

/* text.c: the size of the character at `text` when an id may hold it, else 0. */
size_t handout_id_character(const char *text, size_t length);

/* base.c: Lua's own next, which also looks into proxies. */
int handout_next(lua_State *L);

#endif
