/* What g:allocator and handout.allocator are given. Internal to the shim. */
#ifndef HANDOUT_STRATEGIES_H
#define HANDOUT_STRATEGIES_H

#include "plan.h"

/* Reads the strategy at stack `index`, and at `options` the options of one that is built in; refuses what is wrong. `who`
 * names the call. */
void handout_read_strategy(lua_State *L, handout_recorder *recorder, const char *who, int index, int options, handout_spec *spec);

/* Registry keys: by graph index + 1, or of the file, { strategy, options } as given last. */
extern char HANDOUT_KEY_STRATEGIES, HANDOUT_KEY_GIVEN;

#endif
