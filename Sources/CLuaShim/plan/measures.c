/* Options that are functions of `(inputs, attempt)`: gathered by name, inherited from the graph, recorded as the last words of
 * their row. A resource is called `resources.NAME`. */
#include "graph.h"
#include "sandbox.h"
#include <stdio.h>
#include <string.h>

static const char *const names[] = {"cpu", "estimate", "gpu", "memory", "priority", "timeout", "reads", "writes", NULL};
static const char resources[] = "resources";
enum { PREFIX = sizeof resources }; /* of `resources.`: the point takes the place of the zero */

/* Files are declared, not measured: their functions are kept, and asked for nothing. */
static int is_measure(const char *name) { return strcmp(name, "reads") != 0 && strcmp(name, "writes") != 0; }

/* Pushes the table of functions, made when there was none. */
static int gathered(lua_State *L, handout_parsed *parsed) {
    luaL_checkstack(L, 16, "options");
    if (!parsed->measures) {
        lua_newtable(L);
        parsed->measures = lua_gettop(L);
    }
    return parsed->measures;
}

static void gather_resources(lua_State *L, const handout_parsed *parsed) {
    int top = lua_gettop(L);
    lua_pushstring(L, resources);
    if (lua_rawget(L, parsed->options) == LUA_TTABLE)
        for (lua_pushnil(L); lua_next(L, top + 1); lua_settop(L, top + 2)) {
            if (lua_type(L, top + 2) != LUA_TSTRING || !handout_is_amount_function(L, top + 3)) continue;
            lua_pushfstring(L, "%s.%s", resources, lua_tostring(L, top + 2));
            lua_insert(L, top + 3);
            lua_rawset(L, parsed->measures);
        }
    lua_settop(L, top);
}

/* Says in the set of options what is measured. */
static void set_flags(lua_State *L, handout_parsed *parsed) {
    int top = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, parsed->measures); lua_pop(L, 1)) {
        const char *name = lua_tostring(L, top + 1);
        if (is_measure(name)) parsed->set.flags |= HANDOUT_FLAG_MEASURED;
        if (strcmp(name, "memory") == 0) parsed->set.flags |= HANDOUT_FLAG_MEASURES_MEMORY;
        if (strcmp(name, "priority") == 0) parsed->set.flags |= HANDOUT_FLAG_MEASURES_PRIORITY;
    }
}

void handout_collect_measures(lua_State *L, handout_parsed *parsed) {
    if (!parsed->functions) return;
    gathered(L, parsed);
    for (const char *const *name = names; *name; name++) {
        lua_pushstring(L, *name);
        lua_rawget(L, parsed->options);
        if (handout_is_amount_function(L, -1)) lua_setfield(L, parsed->measures, *name);
        else lua_pop(L, 1);
    }
    gather_resources(L, parsed);
    set_flags(L, parsed);
}

/* Whether the table at the top, options or a variant, sets what is measured under that name. Pops it. */
static int sets(lua_State *L, const char *name, int whole) {
    int top = lua_gettop(L), is_resource = strncmp(name, resources, PREFIX - 1) == 0, set = 0;
    if (lua_type(L, top) == LUA_TTABLE) {
        lua_pushstring(L, is_resource ? resources : name);
        set = lua_rawget(L, top) != LUA_TNIL;
        if (set && is_resource && !whole && lua_type(L, -1) == LUA_TTABLE) {
            lua_pushstring(L, name + PREFIX);
            set = lua_rawget(L, -2) != LUA_TNIL;
        }
    }
    lua_settop(L, top - 1);
    return set;
}

/* The row says itself what the graph's default would: a table of resources takes the place of the whole table. */
static int is_own(lua_State *L, const handout_parsed *parsed, const char *name) {
    int top = lua_gettop(L), own = 0;
    if (!parsed->options) return 0;
    lua_pushvalue(L, parsed->options);
    if (sets(L, name, 1)) return 1;
    lua_pushliteral(L, "variants");
    if (lua_rawget(L, parsed->options) == LUA_TTABLE)
        for (lua_Integer i = 1; !own && lua_rawgeti(L, top + 1, i) != LUA_TNIL; i++) own = sets(L, name, 0);
    lua_settop(L, top);
    return own;
}

void handout_inherit_measures(lua_State *L, handout_recorder *recorder, uint32_t graph, handout_parsed *parsed) {
    if (!handout_graph_at(recorder, graph)->measures || parsed->set.flags & HANDOUT_FLAG_INLINE) return;
    gathered(L, parsed);
    int top = lua_gettop(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_MEASURES);
    lua_rawgeti(L, top + 1, (lua_Integer)graph + 1);
    for (lua_pushnil(L); lua_next(L, top + 2); lua_settop(L, top + 3)) {
        if (is_own(L, parsed, lua_tostring(L, top + 3))) continue;
        lua_pushvalue(L, top + 3);
        lua_insert(L, top + 4);
        lua_rawset(L, parsed->measures);
    }
    lua_settop(L, top);
    set_flags(L, parsed);
}

void handout_keep_measures(lua_State *L, handout_recorder *recorder, uint32_t graph, const handout_parsed *parsed) {
    if (!parsed->measures) return;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_MEASURES) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_MEASURES);
    }
    lua_pushvalue(L, parsed->measures);
    lua_rawseti(L, -2, (lua_Integer)graph + 1);
    lua_pop(L, 1);
    handout_graph_at(recorder, graph)->measures = 1;
}

/* ---- Words ---- */

static uint32_t count_measures(lua_State *L, int table) {
    uint32_t count = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) count += (uint32_t)is_measure(lua_tostring(L, -2));
    return count;
}

/* The function at the top, its name below it. */
static int record_measure(lua_State *L, handout_recorder *recorder, uint32_t graph, uint32_t row, const char *who) {
    int function = lua_gettop(L);
    uint32_t entry = handout_record_function(L, recorder, function, graph, row);
    if (entry >= HANDOUT_MEASURES) luaL_error(L, "%s: the graph has more than %d functions and constants", who, HANDOUT_MEASURES - 1);
    if (is_measure(lua_tostring(L, function - 1))) {
        lua_pushvalue(L, function - 1);
        uint32_t key = handout_intern(L, recorder, who, "options");
        handout_add_word(L, handout_graph_at(recorder, graph), handout_word(HANDOUT_OP_KEY, key));
        handout_add_word(L, handout_graph_at(recorder, graph), handout_word(HANDOUT_OP_FUNCTION, entry));
        lua_settop(L, function);
    }
    return recorder->tables ? handout_see_template(L, recorder, function) : 0;
}

int handout_record_measures(lua_State *L, handout_recorder *recorder, const handout_parsed *parsed, uint32_t graph, uint32_t row,
                            const char *who) {
    if (!parsed->measures) return 0;
    int top = lua_gettop(L), found = 0;
    uint32_t count = count_measures(L, parsed->measures);
    if (count) handout_add_word(L, handout_graph_at(recorder, graph), handout_word(HANDOUT_OP_FUNCTION, HANDOUT_MEASURES | count));
    handout_push_ordered(L, parsed->measures, "options", "");
    for (;;) { /* top + 1 … 3: iterator, table, name */
        lua_pushvalue(L, top + 1);
        lua_pushvalue(L, top + 2);
        lua_pushvalue(L, top + 3);
        lua_call(L, 2, 2);
        if (lua_isnil(L, top + 4)) break;
        found |= record_measure(L, recorder, graph, row, who);
        lua_pop(L, 1);
        lua_replace(L, top + 3);
    }
    lua_settop(L, top);
    return found;
}
