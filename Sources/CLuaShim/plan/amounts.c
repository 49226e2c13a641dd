/* Options that say what a task takes of a worker, and where it may run: `resources`, `variants`, `where`, `limits`, and lists
 * of paths. They are kept in the pool of values with amounts in 1/10 000, sizes in bytes, durations in nanoseconds. */
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

uint32_t handout_intern(lua_State *L, handout_recorder *recorder, const char *who, const char *name) {
    enum { LOOK_BACK = 32 };
    const handout_buffer *bytes = &recorder->state->codec.out;
    lua_pushvalue(L, -1);
    if (!handout_encode_or_refuse(L, recorder, "option", who, name, "cannot be an option")) return HANDOUT_NONE;
    lua_pop(L, 1);
    const uint32_t *known = (const uint32_t *)recorder->interned.data;
    const uint64_t *pool = (const uint64_t *)(const void *)recorder->pool.data;
    for (size_t i = recorder->interned.count; i > 0 && i + LOOK_BACK > recorder->interned.count; i--) {
        uint64_t position = handout_pool_position(pool[known[i - 1]]);
        if (position + bytes->length <= recorder->pool_bytes.count &&
            memcmp(recorder->pool_bytes.data + position, bytes->data, bytes->length) == 0)
            return known[i - 1];
    }
    uint32_t index = handout_pool_add(L, recorder, HANDOUT_POOL_DATA, bytes->data, bytes->length);
    recorder->interned.size = sizeof(uint32_t);
    uint32_t *room = handout_vector_add(&recorder->interned);
    handout_need_memory(L, room);
    *room = index;
    return index;
}

/* Puts what the table at the top says into a new table at the top: { name = amount }. Returns 0 when a name was refused. */
static int copy_resources(lua_State *L, handout_recorder *recorder, const char *who, const char *option, int *functions) {
    int good = 1, table = lua_gettop(L);
    luaL_checkstack(L, 8, "resources");
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, table); lua_settop(L, table + 2)) {
        const char *name = resource_name(L, recorder, who, option);
        char path[400];
        if (!name) {
            good = 0;
            continue;
        }
        if (functions && handout_is_amount_function(L, -1)) {
            *functions = 1;
            lua_pushinteger(L, 0); /* the name is known; the amount is not */
            lua_setfield(L, table + 1, name);
            continue;
        }
        snprintf(path, sizeof path, "%s.%s", option, name);
        int64_t amount = handout_read_amount(L, recorder, who, path);
        if (amount < 0) continue;
        lua_pushinteger(L, amount);
        lua_setfield(L, table + 1, name);
    }
    return good;
}

int handout_read_resources(lua_State *L, handout_recorder *recorder, const char *who, const char *option, int *functions,
                           uint32_t *index) {
    int table = lua_gettop(L);
    if (lua_type(L, -1) != LUA_TTABLE) {
        handout_refuse_option(L, recorder, who, option, "a table such as { licence = 1 }");
        return 0;
    }
    int good = copy_resources(L, recorder, who, option, functions);
    if (good && index) *index = handout_intern(L, recorder, who, option);
    lua_settop(L, table);
    return good;
}

/* ---- Whether anything has them ---- */

/* The encoded value at that place of the pool. */
static void pool_value(const handout_recorder *recorder, uint32_t index, const uint8_t **bytes, size_t *length) {
    *bytes = NULL;
    *length = 0;
    if (index == HANDOUT_NONE) return;
    uint64_t position = handout_pool_position(((const uint64_t *)(const void *)recorder->pool.data)[index]);
    *bytes = (const uint8_t *)recorder->pool_bytes.data + position;
    *length = handout_value_size(*bytes, recorder->pool_bytes.count - position);
}

static void ask(const handout_recorder *recorder, const handout_graph_record *graph, const handout_option_set *set, char *problem,
                size_t size) {
    handout_request request = {.cpu = set->cpu, .memory = set->memory, .gpu = set->gpu, .graph = graph->name};
    pool_value(recorder, set->resources, &request.resources, &request.resources_length);
    pool_value(recorder, set->variants, &request.variants, &request.variants_length);
    pool_value(recorder, set->where, &request.where, &request.where_length);
    pool_value(recorder, set->worker, &request.worker, &request.worker_length);
    pool_value(recorder, graph->limits, &request.limits, &request.limits_length);
    if (recorder->host->check(recorder->host->context, &request, problem, size) == 0) problem[0] = 0;
}

void handout_check_request(lua_State *L, handout_recorder *recorder, uint32_t graph, const handout_option_set *set, uint32_t set_index,
                           const char *who) {
    if (!recorder->host->check || recorder->tables || set->flags & HANDOUT_FLAG_INLINE) return;
    recorder->checked.size = sizeof(handout_checked);
    while (recorder->checked.count <= set_index) {
        handout_checked *room = handout_vector_add(&recorder->checked);
        handout_need_memory(L, room);
        *room = (handout_checked){0};
    }
    handout_checked *checked = (handout_checked *)recorder->checked.data + set_index;
    if (checked->graph != graph + 1) {
        char problem[800];
        ask(recorder, handout_graph_at(recorder, graph), set, problem, sizeof problem);
        free(checked->problem);
        checked->graph = graph + 1;
        checked->problem = problem[0] ? strdup(problem) : NULL;
    }
    if (checked->problem) handout_refuse(L, recorder, "resources", "%s: %s", who, checked->problem);
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

static void set_integer(lua_State *L, int table, const char *key, uint64_t value) {
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, table, key);
}

/* One entry of a variant, its value at the top: goes into the table at `to`. Returns 0 when its key is none of a variant's. */
static int read_variant_entry(lua_State *L, handout_recorder *recorder, const char *who, const char *key, const char *path, int to) {
    char error[200];
    uint64_t value;
    if (strcmp(key, "cpu") == 0 || strcmp(key, "gpu") == 0) {
        int64_t amount = handout_read_amount(L, recorder, who, path);
        if (key[0] == 'g' && amount > 10000 && amount % 10000)
            handout_refuse(L, recorder, "option", "%s: option '%s': above 1 it is a whole number, got %g", who, path, (double)amount / 10000);
        if (amount >= 0) set_integer(L, to, key, (uint64_t)amount);
    } else if (strcmp(key, "memory") == 0) {
        if (handout_read_memory(L, recorder, who, path, &value) == 0) set_integer(L, to, key, value);
    } else if (strcmp(key, "resources") == 0) {
        if (lua_type(L, -1) != LUA_TTABLE) {
            handout_refuse_option(L, recorder, who, path, "a table such as { licence = 1 }");
        } else {
            copy_resources(L, recorder, who, path, NULL);
            lua_setfield(L, to, key);
        }
    } else if (strcmp(key, "estimate") == 0) {
        if (handout_parse_duration(L, -1, &value, error, sizeof error))
            handout_refuse(L, recorder, "option", "%s: option '%s': %s", who, path, error);
        else set_integer(L, to, key, value);
    } else {
        return 0;
    }
    return 1;
}

/* The variant at the top, a table: puts what it says into the table at `to`. */
static void read_variant(lua_State *L, handout_recorder *recorder, const char *who, const char *option, int options, int to) {
    static const char *const names[] = {"cpu", "memory", "gpu", "resources", "estimate", NULL};
    int table = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, table); lua_settop(L, table + 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        char path[120];
        snprintf(path, sizeof path, "%s.%.40s", option, key);
        if (!read_variant_entry(L, recorder, who, key, path, to)) {
            refuse_unknown_key(L, recorder, who, option, names);
            continue;
        }
        lua_settop(L, table + 2);
        refuse_set_outside(L, recorder, who, path, key, options);
    }
}

uint32_t handout_read_variants(lua_State *L, handout_recorder *recorder, const char *who, int options) {
    int table = lua_gettop(L);
    lua_Integer count = lua_type(L, -1) == LUA_TTABLE ? handout_table_shape(L) : -2;
    if (count < 1 || count > MAX_VARIANTS) {
        handout_refuse_option(L, recorder, who, "variants", "a list of 1 to 100 tables");
        return HANDOUT_NONE;
    }
    luaL_checkstack(L, 20, "variants");
    lua_createtable(L, (int)count, 0);
    for (lua_Integer i = 1; i <= count; i++, lua_settop(L, table + 1)) {
        char path[40];
        snprintf(path, sizeof path, "variants[%lld]", (long long)i);
        lua_createtable(L, 0, 4);
        if (lua_rawgeti(L, table, i) == LUA_TTABLE) read_variant(L, recorder, who, path, options, table + 2);
        else handout_refuse_option(L, recorder, who, path, "a table such as { gpu = 1 }");
        lua_settop(L, table + 2);
        lua_rawseti(L, table + 1, i);
    }
    uint32_t index = handout_intern(L, recorder, who, "variants");
    lua_settop(L, table);
    return index;
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

/* Puts the value at the top, a string or a list of strings, as a list under `label` into the table at `to`. */
static void keep_label(lua_State *L, const char *label, int to) {
    if (lua_type(L, -1) == LUA_TSTRING) {
        lua_createtable(L, 1, 0);
        lua_pushvalue(L, -2);
        lua_rawseti(L, -2, 1);
    } else {
        lua_pushvalue(L, -1);
    }
    lua_setfield(L, to, label);
}

uint32_t handout_read_where(lua_State *L, handout_recorder *recorder, const char *who) {
    int table = lua_gettop(L), good = 1;
    char shown[160], path[200];
    if (lua_type(L, -1) != LUA_TTABLE) {
        handout_refuse_option(L, recorder, who, "where", "a table such as { zone = \"eu\" }");
        return HANDOUT_NONE;
    }
    luaL_checkstack(L, 8, "where");
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, table); lua_settop(L, table + 2)) {
        size_t length = 0;
        const char *label = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : NULL;
        if (label && (lua_type(L, -1) == LUA_TSTRING || (is_string_list(L) && lua_rawlen(L, -1) > 0))) {
            keep_label(L, label, table + 1);
            continue;
        }
        good = 0;
        if (!label) {
            handout_describe(L, -2, shown, sizeof shown);
            handout_refuse(L, recorder, "option", "%s: option 'where': labels are strings, got %s", who, shown);
            continue;
        }
        handout_escape(label, length, 60, shown, sizeof shown);
        snprintf(path, sizeof path, "where.%s", shown);
        handout_refuse_option(L, recorder, who, path, "a string or a list of strings");
    }
    uint32_t index = good ? handout_intern(L, recorder, who, "where") : HANDOUT_NONE;
    lua_settop(L, table);
    return index;
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
