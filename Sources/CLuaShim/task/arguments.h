/* Values of rows on the Lua stack. Internal to the shim; all of it may raise. */
#ifndef HANDOUT_ARGUMENTS_H
#define HANDOUT_ARGUMENTS_H

#include "rows.h"
#include "task.h"

void handout_push_pool(lua_State *L, const handout_tables *tables, uint32_t index);
/* Pushes the value of a row; nil where it has none. */
void handout_push_task(lua_State *L, handout_runner *runner, uint32_t task);
/* Pushes element `i` of what a group runs over. */
void handout_push_element(lua_State *L, handout_runner *runner, const handout_group *group, uint32_t i);
/* Pushes one argument of the row at `place` and returns the word after it. */
const uint32_t *handout_push_argument(lua_State *L, handout_runner *runner, const handout_place *place, const uint32_t *words);
/* The first argument word of the row, and the word after the last. */
const uint32_t *handout_arguments_of(const handout_tables *tables, uint32_t origin, const uint32_t **end);
/* Of a node of a reduce: pushes what it reduces, a list, and gives 1; else 0. */
int handout_push_reduced(lua_State *L, handout_runner *runner, const handout_place *place);
void handout_false_for_nil(lua_State *L);

/* indirect.c: pushes the value of a row that has no cell of its own: found by way of others, or computed here. */
void handout_push_indirect(lua_State *L, handout_runner *runner, uint32_t task);
/* Pushes the table of what is missing among the arguments of the row: position or name to "skipped" or "failed". */
void handout_push_missing(lua_State *L, handout_runner *runner, uint32_t task);

#endif
