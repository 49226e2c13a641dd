/* g:allocator and handout.allocator: names of strategies that are built in, and tables and functions of strategies in Lua. */
#include "strategies.h"
#include "graph.h"
#include "sandbox.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char HANDOUT_KEY_STRATEGIES, HANDOUT_KEY_GIVEN;

enum { DEFAULT_BUDGET = 50 * 1000 * 1000 };

/* A built-in strategy and its only option, a duration; NULL: it has none. */
typedef struct strategy {
    const char *name, *option;
} strategy;

static const strategy strategies[] = {
    {"first-available", NULL}, {"load-balanced", NULL}, {"cost", "deadline"}, {"time", "budget"}, {"locality", "slack"}, {NULL, NULL},
};

/* ---- Built in ---- */

/* The strategy of the name at stack `index`, or NULL when it was refused. */
static const strategy *find(lua_State *L, handout_recorder *recorder, const char *who, int index) {
    const char *names[sizeof strategies / sizeof *strategies];
    size_t length, n = 0;
    const char *word = lua_tolstring(L, index, &length);
    for (const strategy *s = strategies; s->name; s++) {
        if (strcmp(s->name, word) == 0 && strlen(word) == length) return s;
        names[n++] = s->name;
    }
    names[n] = NULL;
    char shown[160];
    handout_escape(word, length, 60, shown, sizeof shown);
    const char *near = handout_nearest(word, length, names);
    if (near) handout_refuse(L, recorder, "allocator", "%s: no strategy '%s' is built in (did you mean '%s'?)", who, shown, near);
    else handout_refuse(L, recorder, "allocator", "%s: no strategy '%s' is built in", who, shown);
    return NULL;
}

/* The options at stack `index`. */
static void read_options(lua_State *L, handout_recorder *recorder, int index, const strategy *strategy, handout_spec *spec) {
    char shown[160], error[200];
    if (lua_type(L, index) != LUA_TTABLE) {
        handout_describe(L, index, shown, sizeof shown);
        handout_refuse(L, recorder, "allocator", "allocator '%s': options: expected a table, got %s", strategy->name, shown);
        return;
    }
    size_t errors = recorder->errors.count;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        if (strategy->option && strcmp(key, strategy->option) == 0) {
            if (handout_parse_duration(L, -1, &spec->duration, error, sizeof error))
                handout_refuse(L, recorder, "allocator", "allocator '%s': option '%s': %s", strategy->name, key, error);
            else spec->option = strategy->option;
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

/* ---- In Lua ---- */

enum field { NAME, OPTIONS, PER_TASK, BUDGET, FILTER, SCORE, ALLOCATE, ON_EVENT };
static const char *const fields[] = {"name", "options", "per_task", "budget", "filter", "score", "allocate", "on_event", NULL};

static void refuse_field(lua_State *L, handout_recorder *recorder, const char *who, const char *field, const char *expected) {
    char what[160];
    handout_describe(L, -1, what, sizeof what);
    handout_refuse(L, recorder, "allocator", "%s: field '%s': expected %s, got %s", who, field, expected, what);
}

/* A default of an option: plain data under a name that can be given as name=value. */
static void read_default(lua_State *L, handout_recorder *recorder, const char *who) {
    char shown[160], path[200];
    size_t length = 0;
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : "";
    if (length == 0 || length > 100 || strlen(name) != length || strpbrk(name, "=, ")) {
        handout_describe(L, -2, shown, sizeof shown);
        handout_refuse(L, recorder, "allocator", "%s: field 'options': names are strings without '=', ',' and spaces, got %s", who, shown);
        return;
    }
    handout_escape(name, length, 60, shown, sizeof shown);
    snprintf(path, sizeof path, "options.%s", shown);
    handout_encode_or_refuse(L, recorder, "allocator", who, path, "cannot be an option");
}

static void read_defaults(lua_State *L, handout_recorder *recorder, const char *who) {
    int table = lua_gettop(L);
    if (lua_type(L, table) != LUA_TTABLE) {
        refuse_field(L, recorder, who, "options", "a table such as { patience = \"20m\" }");
        return;
    }
    size_t errors = recorder->errors.count;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) read_default(L, recorder, who);
    handout_sort_errors(recorder, errors);
}

/* The field at the top, which is not nil. */
static void read_field(lua_State *L, handout_recorder *recorder, const char *who, enum field field, handout_spec *spec) {
    char error[200];
    switch (field) {
    case NAME:
        if (lua_type(L, -1) != LUA_TSTRING || lua_rawlen(L, -1) == 0 || lua_rawlen(L, -1) > 200)
            refuse_field(L, recorder, who, "name", "a string of 1 to 200 bytes");
        return;
    case OPTIONS:
        read_defaults(L, recorder, who);
        return;
    case PER_TASK:
        if (lua_type(L, -1) != LUA_TBOOLEAN) refuse_field(L, recorder, who, "per_task", "true or false");
        else spec->per_task = lua_toboolean(L, -1);
        return;
    case BUDGET:
        if (handout_parse_duration(L, -1, &spec->budget, error, sizeof error))
            handout_refuse(L, recorder, "allocator", "%s: field 'budget': %s", who, error);
        else if (spec->budget == 0) refuse_field(L, recorder, who, "budget", "a duration above 0");
        return;
    default:
        if (lua_type(L, -1) != LUA_TFUNCTION) refuse_field(L, recorder, who, fields[field], "a function");
        else spec->has[field - FILTER] = 1;
    }
}

static void refuse_unknown(lua_State *L, handout_recorder *recorder, const char *who, int table) {
    char shown[160];
    size_t errors = recorder->errors.count;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        size_t length = 0;
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : "";
        int known = 0;
        for (int i = 0; fields[i]; i++) known |= strlen(fields[i]) == length && memcmp(fields[i], key, length) == 0;
        if (known) continue;
        const char *near = handout_nearest(key, length, fields);
        handout_describe(L, -2, shown, sizeof shown);
        if (near) handout_refuse(L, recorder, "allocator", "%s: unknown field %s (did you mean '%s'?)", who, shown, near);
        else handout_refuse(L, recorder, "allocator", "%s: unknown field %s", who, shown);
    }
    handout_sort_errors(recorder, errors);
}

static void read_table(lua_State *L, handout_recorder *recorder, const char *who, int table, handout_spec *spec) {
    char named[300], shown[240];
    int top = lua_gettop(L);
    size_t length;
    lua_pushliteral(L, "name");
    if (lua_rawget(L, table) == LUA_TSTRING) {
        const char *name = lua_tolstring(L, -1, &length);
        handout_escape(name, length, 200, shown, sizeof shown);
        snprintf(named, sizeof named, "allocator '%s'", shown);
        who = named;
    }
    for (int i = 0; fields[i]; i++) {
        size_t errors = recorder->errors.count;
        lua_settop(L, top);
        lua_pushstring(L, fields[i]);
        if (lua_rawget(L, table) == LUA_TNIL) continue;
        read_field(L, recorder, who, (enum field)i, spec);
        if (i >= FILTER && recorder->errors.count > errors) spec->has[i - FILTER] = 1; /* it is meant to be there */
    }
    lua_settop(L, top);
    refuse_unknown(L, recorder, who, table);
    int scores = spec->has[0] || spec->has[1], allocates = spec->has[2];
    if (scores == allocates)
        handout_refuse(L, recorder, "allocator", "%s: expected filter or score, or allocate, got %s", who, scores ? "both" : "none");
    else if (spec->per_task && allocates)
        handout_refuse(L, recorder, "allocator", "%s: field 'per_task': it is for filter and score", who);
}

void handout_read_strategy(lua_State *L, handout_recorder *recorder, const char *who, int index, int options, handout_spec *spec) {
    char what[160];
    int type = lua_type(L, index);
    *spec = (handout_spec){.budget = DEFAULT_BUDGET};
    luaL_checkstack(L, 16, "allocator");
    if (type == LUA_TSTRING) {
        const strategy *strategy = find(L, recorder, who, index);
        if (!strategy) return;
        spec->kind = HANDOUT_ALLOCATOR_BUILT_IN;
        spec->name = strategy->name;
        if (!lua_isnoneornil(L, options)) read_options(L, recorder, options, strategy, spec);
        return;
    }
    if (type != LUA_TFUNCTION && type != LUA_TTABLE) {
        handout_describe(L, index, what, sizeof what);
        handout_refuse(L, recorder, "allocator", "%s: expected the name of a strategy, a function or a table, got %s", who, what);
        return;
    }
    spec->kind = HANDOUT_ALLOCATOR_LUA;
    if (!lua_isnoneornil(L, options))
        handout_refuse(L, recorder, "allocator", "%s: options beside a name only: a table has them in its field 'options'", who);
    if (type == LUA_TFUNCTION) spec->has[2] = 1;
    else read_table(L, recorder, who, index, spec);
}

/* ---- The calls ---- */

/* A state that runs the script for its strategy keeps what each graph was given. */
static void keep_for_graph(lua_State *L, uint32_t graph) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_STRATEGIES) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_STRATEGIES);
    }
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, 3);
    lua_rawseti(L, -2, 2);
    lua_rawseti(L, -2, (lua_Integer)graph + 1);
}

int handout_graph_allocator(lua_State *L) {
    handout_recorder *recorder = handout_recorder_of(L);
    handout_graph_object *object = handout_graph_self(L, "allocator");
    handout_graph_record *graph = handout_graph_at(recorder, object->index);
    handout_spec spec;
    lua_settop(L, 3);
    if (recorder->purpose == HANDOUT_FOR_STRATEGY) keep_for_graph(L, object->index);
    if (recorder->tables) return 0;
    if (graph->allocator)
        handout_refuse(L, recorder, "allocator", "g:allocator: graph '%s' has one, given at line %u", graph->name,
                       graph->allocator & 0xFFFFFF);
    uint32_t place = handout_current_line(L, recorder);
    handout_read_strategy(L, recorder, "g:allocator", 2, 3, &spec);
    if (graph->allocator) return 0;
    graph->allocator = place;
    graph->strategy = spec;
    return 0;
}

int handout_module_allocator(lua_State *L) {
    handout_recorder *recorder = handout_recorder_of(L);
    handout_only_planning(L, "handout.allocator");
    lua_settop(L, 2);
    if (recorder->purpose != HANDOUT_FOR_STRATEGY || recorder->tables) { /* g:allocator looks at it */
        lua_settop(L, 1);
        return 1;
    }
    handout_spec spec;
    handout_read_strategy(L, recorder, "handout.allocator", 1, 2, &spec);
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_GIVEN);
    lua_settop(L, 1);
    return 1;
}
