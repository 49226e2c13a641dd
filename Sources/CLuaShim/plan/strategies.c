/* g:allocator: the strategies that are built in, by name. Those in Lua are not there yet. */
#include "graph.h"
#include "sandbox.h"
#include <stdio.h>
#include <string.h>

/* A built-in strategy and its only option, a duration; NULL: it has none. */
typedef struct strategy {
    const char *name, *option;
} strategy;

static const strategy strategies[] = {
    {"first-available", NULL}, {"load-balanced", NULL}, {"cost", "deadline"}, {"time", "budget"}, {"locality", "slack"}, {NULL, NULL},
};

/* The strategy of the name at stack index 2, or NULL when it was refused. */
static const strategy *find(lua_State *L, handout_recorder *recorder) {
    const char *names[sizeof strategies / sizeof *strategies];
    size_t length, n = 0;
    const char *word = lua_tolstring(L, 2, &length);
    for (const strategy *s = strategies; s->name; s++) {
        if (strcmp(s->name, word) == 0 && strlen(word) == length) return s;
        names[n++] = s->name;
    }
    names[n] = NULL;
    char shown[160];
    handout_escape(word, length, 60, shown, sizeof shown);
    const char *near = handout_nearest(word, length, names);
    if (near) handout_refuse(L, recorder, "allocator", "g:allocator: no strategy '%s' is built in (did you mean '%s'?)", shown, near);
    else handout_refuse(L, recorder, "allocator", "g:allocator: no strategy '%s' is built in", shown);
    return NULL;
}

/* The options at stack index 3. */
static void check_options(lua_State *L, handout_recorder *recorder, const strategy *strategy) {
    char shown[160], error[200];
    uint64_t duration;
    if (lua_type(L, 3) != LUA_TTABLE) {
        handout_describe(L, 3, shown, sizeof shown);
        handout_refuse(L, recorder, "allocator", "allocator '%s': options: expected a table, got %s", strategy->name, shown);
        return;
    }
    size_t errors = recorder->errors.count;
    for (lua_pushnil(L); lua_next(L, 3); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        if (strategy->option && strcmp(key, strategy->option) == 0) {
            if (handout_parse_duration(L, -1, &duration, error, sizeof error))
                handout_refuse(L, recorder, "allocator", "allocator '%s': option '%s': %s", strategy->name, key, error);
            continue;
        }
        handout_describe(L, -2, shown, sizeof shown);
        if (strategy->option)
            handout_refuse(L, recorder, "allocator", "allocator '%s': unknown option %s, it has '%s'", strategy->name, shown,
                           strategy->option);
        else handout_refuse(L, recorder, "allocator", "allocator '%s': unknown option %s, it has none", strategy->name, shown);
    }
    handout_sort_errors(recorder, errors);
}

int handout_graph_allocator(lua_State *L) {
    handout_recorder *recorder = handout_recorder_of(L);
    handout_graph_object *object = handout_graph_self(L, "allocator");
    handout_graph_record *graph = handout_graph_at(recorder, object->index);
    char what[160];
    lua_settop(L, 3);
    if (recorder->tables) return 0;
    if (graph->allocator)
        handout_refuse(L, recorder, "allocator", "g:allocator: graph '%s' has one, given at line %u", graph->name,
                       graph->allocator & 0xFFFFFF);
    else graph->allocator = handout_current_line(L, recorder);
    if (lua_type(L, 2) == LUA_TFUNCTION || lua_type(L, 2) == LUA_TTABLE) {
        handout_refuse(L, recorder, "unavailable", "g:allocator is not available in this version");
    } else if (lua_type(L, 2) != LUA_TSTRING) {
        handout_describe(L, 2, what, sizeof what);
        handout_refuse(L, recorder, "allocator", "g:allocator: expected the name of a strategy, got %s", what);
    } else {
        const strategy *strategy = find(L, recorder);
        if (strategy && !lua_isnil(L, 3)) check_options(L, recorder, strategy);
    }
    return 0;
}
