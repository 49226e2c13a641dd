/* Options that say what a task takes of a worker, and where it may run: `resources`, `variants`, `where`, `limits`, and lists
 * of paths. Checked and held; nothing but the local worker is there to be chosen yet. */
#include "graph.h"
#include "sandbox.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_VARIANTS = 100 };

int handout_is_amount_function(lua_State *L, int index) {
    return lua_type(L, index) == LUA_TFUNCTION && !lua_iscfunction(L, index);
}

void handout_refuse_option(lua_State *L, handout_recorder *recorder, const char *who, const char *name, const char *expected) {
    char what[160];
    handout_describe(L, -1, what, sizeof what);
    handout_refuse(L, recorder, "option", "%s: option '%s': expected %s, got %s", who, name, expected, what);
}

int64_t handout_read_amount(lua_State *L, handout_recorder *recorder, const char *who, const char *name) {
    lua_Number n = lua_tonumber(L, -1);
    if (lua_type(L, -1) == LUA_TNUMBER && n >= 0 && n <= 1e9) return (int64_t)llround(n * 10000);
    handout_refuse_option(L, recorder, who, name, "a number from 0 to 1000000000");
    return -1;
}

int handout_read_memory(lua_State *L, handout_recorder *recorder, const char *who, const char *name, uint64_t *bytes) {
    char error[200];
    if (handout_parse_size(L, -1, bytes, error, sizeof error)) {
        handout_refuse(L, recorder, "option", "%s: option '%s': %s", who, name, error);
        return -1;
    }
    if (*bytes == 0 || *bytes >= 1u << 20) return 0;
    handout_refuse(L, recorder, "option", "%s: option '%s': expected 0 or at least 1MiB, got %llu bytes", who, name,
                   (unsigned long long)*bytes);
    return -1;
}

/* ---- Names of resources ---- */

static int is_resource_name(const char *name, size_t length) {
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '/')) return 0;
    }
    return length > 0 && length <= 200;
}

static int is_reserved(const char *name) {
    return strcmp(name, "cpu") == 0 || strcmp(name, "memory") == 0 || strcmp(name, "gpu") == 0;
}

/* The name of a resource under the value at the top, or NULL when it was refused. `option` is that of the table. */
static const char *resource_name(lua_State *L, handout_recorder *recorder, const char *who, const char *option) {
    char shown[160];
    size_t length = 0;
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : "";
    if (!is_resource_name(name, length)) {
        handout_describe(L, -2, shown, sizeof shown);
        handout_refuse(L, recorder, "option", "%s: option '%s': a name is 1 to 200 letters, digits, '_', '-' and '/', got %s", who,
                       option, shown);
        return NULL;
    }
    if (!is_reserved(name)) return name;
    handout_refuse(L, recorder, "option", "%s: option '%s': '%s' is an option of its own", who, option, name);
    return NULL;
}

int handout_read_resources(lua_State *L, handout_recorder *recorder, const char *who, const char *option, int *functions) {
    int good = 1, table = lua_gettop(L);
    if (lua_type(L, -1) != LUA_TTABLE) {
        handout_refuse_option(L, recorder, who, option, "a table such as { licence = 1 }");
        return 0;
    }
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        const char *name = resource_name(L, recorder, who, option);
        char path[400];
        if (!name) {
            good = 0;
        } else if (functions && handout_is_amount_function(L, -1)) {
            *functions = 1;
        } else {
            snprintf(path, sizeof path, "%s.%s", option, name);
            handout_read_amount(L, recorder, who, path);
        }
    }
    return good;
}

/* ---- Whether anything has them ---- */

static const handout_resource *find_resource(const handout_vector *list, const char *name) {
    const handout_resource *items = (const handout_resource *)list->data;
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(items[i].name, name) == 0) return &items[i];
    return NULL;
}

static void check_resource(lua_State *L, handout_recorder *recorder, const handout_graph_record *graph, const char *who,
                           const char *name, int64_t amount) {
    const handout_resource *limit = find_resource(&graph->limits, name);
    if (amount <= 0 || (limit && amount <= limit->amount)) return;
    if (limit)
        handout_refuse(L, recorder, "resources", "%s: needs %g %s, more than the limit of graph '%s': %g", who, (double)amount / 10000,
                       name, graph->name, (double)limit->amount / 10000);
    else
        handout_refuse(L, recorder, "resources", "%s: needs %g %s, more than any worker has: worker 'local' has 0", who,
                       (double)amount / 10000, name);
}

/* Calls `each` with the names and amounts of the table at `index`, by name in bytewise order; what is no number is left out. */
static void each_amount(lua_State *L, int index, void (*each)(lua_State *L, void *context, const char *name, int64_t amount),
                        void *context) {
    int top = lua_gettop(L);
    luaL_checkstack(L, 12, "resources");
    handout_push_ordered(L, index, "resources", "");
    for (;;) {
        lua_pushvalue(L, top + 1);
        lua_pushvalue(L, top + 2);
        lua_pushvalue(L, top + 3);
        lua_call(L, 2, 2);
        if (lua_isnil(L, -2)) break;
        lua_Number n = lua_tonumber(L, -1);
        if (lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TNUMBER && n >= 0 && n <= 1e9)
            each(L, context, lua_tostring(L, -2), (int64_t)llround(n * 10000));
        lua_pop(L, 1);
        lua_replace(L, top + 3); /* the key goes where the iterator wants it */
    }
    lua_settop(L, top);
}

typedef struct checking {
    handout_recorder *recorder;
    uint32_t graph;
    const char *who;
} checking;

static void check_amount(lua_State *L, void *context, const char *name, int64_t amount) {
    const checking *now = context;
    check_resource(L, now->recorder, handout_graph_at(now->recorder, now->graph), now->who, name, amount);
}

void handout_check_resources(lua_State *L, handout_recorder *recorder, uint32_t graph, const handout_parsed *parsed, const char *who) {
    if (parsed->set.flags & HANDOUT_FLAG_INLINE) return; /* it claims nothing */
    if (parsed->has_variants) return; /* any of them will do, and workers may come that have it */
    if (parsed->resources) {
        checking now = {recorder, graph, who};
        each_amount(L, parsed->resources, check_amount, &now);
        return;
    }
    const handout_graph_record *record = handout_graph_at(recorder, graph);
    for (size_t i = 0; i < record->resources.count; i++) {
        const handout_resource *resource = (const handout_resource *)record->resources.data + i;
        check_resource(L, recorder, record, who, resource->name, resource->amount);
    }
}

static void keep_amount(lua_State *L, void *context, const char *name, int64_t amount) {
    handout_resource *to = handout_vector_add(context);
    handout_need_memory(L, to);
    *to = (handout_resource){.name = strdup(name), .amount = amount};
    handout_need_memory(L, to->name);
}

void handout_keep_resources(lua_State *L, handout_graph_record *graph, const handout_parsed *parsed) {
    graph->limits.size = graph->resources.size = sizeof(handout_resource);
    if (parsed->limits) each_amount(L, parsed->limits, keep_amount, &graph->limits);
    if (parsed->resources) each_amount(L, parsed->resources, keep_amount, &graph->resources);
}

/* ---- Variants ---- */

static void refuse_unknown_key(lua_State *L, handout_recorder *recorder, const char *who, const char *option,
                               const char *const *names) {
    char shown[160];
    size_t length = 0;
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : "";
    handout_describe(L, -2, shown, sizeof shown);
    const char *near = handout_nearest(key, length, names);
    if (near) handout_refuse(L, recorder, "option", "%s: option '%s': unknown key %s (did you mean '%s'?)", who, option, shown, near);
    else handout_refuse(L, recorder, "option", "%s: option '%s': unknown key %s", who, option, shown);
}

/* Refuses what the option table at `options` sets beside the key of a variant under the value at the top. */
static void refuse_set_outside(lua_State *L, handout_recorder *recorder, const char *who, const char *path, const char *key,
                               int options) {
    lua_pushstring(L, key);
    int set = lua_rawget(L, options) != LUA_TNIL;
    if (set && strcmp(key, "resources") == 0 && lua_type(L, -1) == LUA_TTABLE && lua_type(L, -2) == LUA_TTABLE) {
        int outside = lua_gettop(L), inside = outside - 1;
        for (lua_pushnil(L); lua_next(L, inside); lua_pop(L, 1)) {
            lua_pushvalue(L, -2);
            size_t length = 0;
            const char *name = lua_type(L, -3) == LUA_TSTRING ? lua_tolstring(L, -3, &length) : "";
            if (is_resource_name(name, length) && lua_rawget(L, outside) != LUA_TNIL)
                handout_refuse(L, recorder, "option", "%s: option '%s.%s': it is set outside of variants too", who, path, name);
            lua_pop(L, 1);
        }
    } else if (set) {
        handout_refuse(L, recorder, "option", "%s: option '%s': it is set outside of variants too", who, path);
    }
    lua_pop(L, 1);
}

/* The variant at the top, a table. */
static void read_variant(lua_State *L, handout_recorder *recorder, const char *who, const char *option, int options) {
    static const char *const names[] = {"cpu", "memory", "gpu", "resources", "estimate", NULL};
    int table = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, table); lua_settop(L, table + 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        char path[120], error[200];
        uint64_t value;
        snprintf(path, sizeof path, "%s.%.40s", option, key);
        if (strcmp(key, "cpu") == 0 || strcmp(key, "gpu") == 0) handout_read_amount(L, recorder, who, path);
        else if (strcmp(key, "memory") == 0) handout_read_memory(L, recorder, who, path, &value);
        else if (strcmp(key, "resources") == 0) handout_read_resources(L, recorder, who, path, NULL);
        else if (strcmp(key, "estimate") == 0) {
            if (handout_parse_duration(L, -1, &value, error, sizeof error))
                handout_refuse(L, recorder, "option", "%s: option '%s': %s", who, path, error);
        } else {
            refuse_unknown_key(L, recorder, who, option, names);
            continue;
        }
        refuse_set_outside(L, recorder, who, path, key, options);
    }
}

void handout_read_variants(lua_State *L, handout_recorder *recorder, const char *who, int options) {
    lua_Integer count = lua_type(L, -1) == LUA_TTABLE ? handout_table_shape(L) : -2;
    if (count < 1 || count > MAX_VARIANTS) {
        handout_refuse_option(L, recorder, who, "variants", "a list of 1 to 100 tables");
        return;
    }
    luaL_checkstack(L, 16, "variants");
    for (lua_Integer i = 1; i <= count; i++, lua_pop(L, 1)) {
        char path[40];
        snprintf(path, sizeof path, "variants[%lld]", (long long)i);
        if (lua_rawgeti(L, -1, i) == LUA_TTABLE) read_variant(L, recorder, who, path, options);
        else handout_refuse_option(L, recorder, who, path, "a table such as { gpu = 1 }");
    }
}

/* ---- Labels and paths ---- */

/* Whether the value at the top is a list of strings that are not empty. */
static int is_string_list(lua_State *L) {
    lua_Integer count = lua_type(L, -1) == LUA_TTABLE ? handout_table_shape(L) : -2;
    int good = count >= 0;
    for (lua_Integer i = 1; good && i <= count; i++, lua_pop(L, 1)) {
        if ((i & 0xFFF) == 0) handout_check(handout_of(L));
        good = lua_rawgeti(L, -1, i) == LUA_TSTRING && lua_rawlen(L, -1) > 0;
    }
    return good;
}

void handout_read_where(lua_State *L, handout_recorder *recorder, const char *who) {
    int table = lua_gettop(L);
    char shown[160], path[200];
    if (lua_type(L, -1) != LUA_TTABLE) {
        handout_refuse_option(L, recorder, who, "where", "a table such as { zone = \"eu\" }");
        return;
    }
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        size_t length = 0;
        const char *label = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : NULL;
        if (!label) {
            handout_describe(L, -2, shown, sizeof shown);
            handout_refuse(L, recorder, "option", "%s: option 'where': labels are strings, got %s", who, shown);
            continue;
        }
        if (lua_type(L, -1) == LUA_TSTRING || (is_string_list(L) && lua_rawlen(L, -1) > 0)) continue;
        handout_escape(label, length, 60, shown, sizeof shown);
        snprintf(path, sizeof path, "where.%s", shown);
        handout_refuse_option(L, recorder, who, path, "a string or a list of strings");
    }
}

void handout_read_paths(lua_State *L, handout_recorder *recorder, const char *who, const char *name) {
    lua_Integer count = lua_type(L, -1) == LUA_TTABLE ? handout_table_shape(L) : -2;
    if (count < 0) {
        handout_refuse_option(L, recorder, who, name, "a list of paths or a function");
        return;
    }
    for (lua_Integer i = 1; i <= count; i++, lua_pop(L, 1)) {
        char path[40];
        size_t length = 0;
        if ((i & 0xFFF) == 0) handout_check(handout_of(L));
        const char *text = lua_rawgeti(L, -1, i) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
        if (text && length > 0 && !memchr(text, 0, length)) continue;
        snprintf(path, sizeof path, "%s[%lld]", name, (long long)i);
        handout_refuse_option(L, recorder, who, path, "a path");
    }
}

/* ---- Amounts as functions ---- */

/* Records the function at the top, when it is one. */
static void record_function(lua_State *L, handout_recorder *recorder, uint32_t graph, uint32_t row) {
    if (!handout_is_amount_function(L, -1)) return;
    handout_record_function(L, recorder, lua_gettop(L), graph, row);
    if (recorder->tables) handout_see_template(L, recorder, lua_gettop(L));
}

void handout_record_amounts(lua_State *L, handout_recorder *recorder, const handout_parsed *parsed, uint32_t graph, uint32_t row) {
    static const char *const names[] = {"cpu", "memory", "gpu", "timeout", "priority", "estimate", "reads", "writes", NULL};
    int top = lua_gettop(L);
    if (!parsed->functions) return;
    luaL_checkstack(L, 16, "amounts");
    for (const char *const *name = names; *name; name++) { /* in one order: it decides the numbers of classes */
        lua_pushstring(L, *name);
        lua_rawget(L, parsed->options);
        record_function(L, recorder, graph, row);
        lua_settop(L, top);
    }
    if (!parsed->resources) return;
    handout_push_ordered(L, parsed->resources, "resources", "");
    for (;;) {
        lua_pushvalue(L, top + 1);
        lua_pushvalue(L, top + 2);
        lua_pushvalue(L, top + 3);
        lua_call(L, 2, 2);
        if (lua_isnil(L, -2)) break;
        record_function(L, recorder, graph, row);
        lua_pop(L, 1);
        lua_replace(L, top + 3);
    }
    lua_settop(L, top);
}
