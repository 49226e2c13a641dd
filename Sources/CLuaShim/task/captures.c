/* Captured variables of tasks: set before an attempt, compared after it. */
#include "task.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEEP_INSTANCES = 64, ALWAYS_COMPARED = 4096, SAMPLE = 16 };

static handout_instance *instance_at(handout_runner *runner, uint32_t index) {
    return (handout_instance *)runner->instances.data + index;
}

static const uint8_t *pool_bytes(const handout_tables *tables, uint32_t pool) {
    return tables->pool_bytes + handout_pool_position(tables->pool[pool]);
}

/* A FUNCTION entry: its class, and a pool index each captured variable. The bytes may be unaligned. */
static uint32_t function_word(const handout_tables *tables, uint32_t pool, uint32_t n) {
    uint32_t value;
    memcpy(&value, pool_bytes(tables, pool) + 4 * n, 4);
    return value;
}

/* ---- What is missing ---- */

static int have_class(lua_State *L, handout_runner *runner, uint32_t class) {
    if (runner->own[class] || runner->tables->code) return 1;
    handout_push_templates(L);
    int there = lua_rawgeti(L, -1, (lua_Integer)class + 1) != LUA_TNIL;
    lua_pop(L, 2);
    return there;
}

/* Looks through captured functions; `met` holds those on the way. */
static uint32_t missing_in(lua_State *L, handout_runner *runner, uint32_t pool) {
    const handout_tables *tables = runner->tables;
    if (handout_pool_kind(tables->pool[pool]) != HANDOUT_POOL_FUNCTION) return HANDOUT_NONE;
    uint32_t *met = (uint32_t *)runner->used.data;
    for (size_t i = 0; i < runner->used.count; i++)
        if (met[i] == pool) return HANDOUT_NONE;
    uint32_t *added = handout_vector_add(&runner->used);
    if (!added) return HANDOUT_NONE;
    *added = pool;
    uint32_t class = function_word(tables, pool, 0);
    if (!have_class(L, runner, class)) return class;
    for (uint32_t u = 0; u < tables->class_list[class].upvalues; u++) {
        uint32_t missing = missing_in(L, runner, function_word(tables, pool, u + 1));
        if (missing != HANDOUT_NONE) return missing;
    }
    return HANDOUT_NONE;
}

uint32_t handout_missing_class(lua_State *L, handout_runner *runner, uint32_t row) {
    const handout_tables *tables = runner->tables;
    uint32_t class = tables->classes[row];
    if (tables->indirect) /* which functions a task meets is not seen from its row alone */
        for (class = 0; class < tables->class_count; class++)
            if (!have_class(L, runner, class)) return class;
    if (tables->indirect || class == HANDOUT_NONE) return HANDOUT_NONE;
    if (!have_class(L, runner, class)) return class;
    runner->used.count = 0;
    const uint32_t *captures = tables->captures + tables->capture_offsets[row];
    for (uint32_t u = 0; u < tables->class_list[class].upvalues; u++) {
        uint32_t missing = missing_in(L, runner, captures[u]);
        if (missing != HANDOUT_NONE) return missing;
    }
    return HANDOUT_NONE;
}

/* ---- Instances ---- */

static int write_dump(lua_State *L, const void *bytes, size_t size, void *context) {
    return handout_buffer_append(context, bytes, size) != 0;
}

/* Pushes a copy of the class's function whose captured variables are shared with nothing: from the compiled form that
 * planning in this process kept, or from the template that this state's own run of the script has shown. */
static void push_copy(lua_State *L, handout_runner *runner, uint32_t class) {
    handout_buffer *scratch = &runner->state->scratch;
    const handout_class *known = &runner->tables->class_list[class];
    if (runner->tables->code) {
        const char *code = (const char *)runner->tables->code + known->code;
        if (luaL_loadbufferx(L, code, known->code_length, "=function", "b") != LUA_OK) lua_error(L);
        return;
    }
    handout_push_templates(L);
    if (lua_rawgeti(L, -1, (lua_Integer)class + 1) != LUA_TFUNCTION)
        luaL_error(L, "the script did not show the function of line %d again: is it the same each time?",
                   (int)runner->tables->class_list[class].line);
    scratch->length = 0;
    scratch->limit = 0;
    if (lua_dump(L, write_dump, scratch, 0)) luaL_error(L, "not enough memory");
    if (luaL_loadbufferx(L, (const char *)scratch->data, scratch->length, "=function", "b") != LUA_OK) lua_error(L);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

static uint32_t new_instance(lua_State *L, handout_runner *runner, int instances, uint32_t class, uint32_t pool) {
    uint32_t n = runner->tables->class_list[class].upvalues;
    push_copy(L, runner, class);
    if (!runner->tables->code && runner->own[class] == 0 && pool == HANDOUT_NONE) { /* the copy is template enough: let the original's captures go */
        handout_push_templates(L);
        lua_pushvalue(L, -2);
        lua_rawseti(L, -2, (lua_Integer)class + 1);
        lua_pop(L, 1);
    }
    uint32_t *words = malloc(4u * (n + 1u) * sizeof(uint32_t));
    handout_instance *instance = words ? handout_vector_add(&runner->instances) : NULL;
    if (!instance) free(words), luaL_error(L, "not enough memory");
    memset(words, 0xFF, 3u * (n + 1u) * sizeof(uint32_t));
    memset(words + 3 * (n + 1u), 0, (n + 1u) * sizeof(uint32_t));
    *instance = (handout_instance){.class = class, .pool = pool, .count = n, .current = words,
                                   .inner = words + n + 1, .size = words + 2 * (n + 1),
                                   .joined = (uint8_t *)(words + 3 * (n + 1))};
    lua_rawseti(L, instances, (lua_Integer)runner->instances.count);
    return (uint32_t)(runner->instances.count - 1);
}

static uint32_t instance_for(lua_State *L, handout_runner *runner, int instances, uint32_t pool);

/* Gives captured variable `u` of the closure a place of its own again. */
static void separate(lua_State *L, int closure, uint32_t u) {
    if (luaL_loadstring(L, "local a return function() return a end") != LUA_OK) lua_error(L);
    lua_call(L, 0, 1);
    lua_upvaluejoin(L, closure, (int)u + 1, -1, 1);
    lua_pop(L, 1);
}

static void set_variable(lua_State *L, handout_runner *runner, int instances, uint32_t index, int closure, uint32_t u,
                         uint32_t pool) {
    const handout_tables *tables = runner->tables;
    uint64_t entry = tables->pool[pool];
    unsigned kind = handout_pool_kind(entry);
    if (handout_pool_is_shared(entry)) runner->has_shared = 1;
    if (instance_at(runner, index)->joined[u] && instance_at(runner, index)->current[u] != pool) {
        separate(L, closure, u);
        instance_at(runner, index)->joined[u] = 0;
    }
    if (kind == HANDOUT_POOL_FUNCTION) {
        uint32_t inner = instance_at(runner, index)->inner[u];
        if (instance_at(runner, index)->current[u] == pool && instance_at(runner, inner)->pool == pool) {
            if (instance_at(runner, inner)->epoch != runner->epoch) instance_for(L, runner, instances, pool);
            return;
        }
        inner = instance_for(L, runner, instances, pool);
        instance_at(runner, index)->inner[u] = inner;
        lua_rawgeti(L, instances, (lua_Integer)inner + 1);
    } else {
        if (instance_at(runner, index)->current[u] == pool) return;
        const uint8_t *from = tables->pool_bytes + handout_pool_position(entry), *end = from;
        switch (kind) {
        case HANDOUT_POOL_INTEGER:
            lua_pushinteger(L, handout_pool_integer(entry));
            break;
        case HANDOUT_POOL_GLOBALS:
            lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_GLOBALS);
            break;
        default:
            end = handout_decode(L, from, tables->pool_bytes + tables->pool_bytes_length);
            if (kind == HANDOUT_POOL_LIBRARY) {
                handout_push_captured_library(L, lua_tostring(L, -1));
                lua_remove(L, -2);
            } else if (kind == HANDOUT_POOL_MODULE) {
                handout_push_library(L, "require");
                lua_pushvalue(L, -2);
                lua_call(L, 1, 1);
                runner->required = 0; /* that was ours: the slot says which module */
                handout_note_module(L, lua_tostring(L, -2));
                lua_remove(L, -2);
            }
        }
        instance_at(runner, index)->size[u] = (uint32_t)(end - from);
    }
    lua_setupvalue(L, closure, (int)u + 1);
    instance_at(runner, index)->current[u] = pool;
}

static void use_instance(lua_State *L, handout_runner *runner, uint32_t index) {
    instance_at(runner, index)->epoch = runner->epoch;
    uint32_t *used = handout_vector_add(&runner->used);
    if (!used) luaL_error(L, "not enough memory");
    *used = index;
}

/* An instance that stands for the FUNCTION entry, its variables set. */
static uint32_t instance_for(lua_State *L, handout_runner *runner, int instances, uint32_t pool) {
    const handout_tables *tables = runner->tables;
    uint32_t class = function_word(tables, pool, 0), found = HANDOUT_NONE;
    for (uint32_t i = 0; i < runner->instances.count && found == HANDOUT_NONE; i++)
        if (instance_at(runner, i)->pool == pool) found = i;
    if (found != HANDOUT_NONE && instance_at(runner, found)->epoch == runner->epoch) return found; /* recursion, or used twice */
    for (uint32_t i = 0; found == HANDOUT_NONE && runner->instances.count >= KEEP_INSTANCES && i < runner->instances.count; i++) {
        handout_instance *other = instance_at(runner, i);
        if (other->class == class && other->pool != HANDOUT_NONE && other->epoch != runner->epoch) found = i;
    }
    luaL_checkstack(L, 12, "captured functions");
    if (found == HANDOUT_NONE) found = new_instance(L, runner, instances, class, pool);
    instance_at(runner, found)->pool = pool;
    use_instance(L, runner, found);
    lua_rawgeti(L, instances, (lua_Integer)found + 1);
    int closure = lua_gettop(L);
    for (uint32_t u = 0; u < instance_at(runner, found)->count; u++)
        set_variable(L, runner, instances, found, closure, u, function_word(tables, pool, u + 1));
    lua_pop(L, 1);
    return found;
}

/* Lets functions of the attempt that capture one variable share it. */
static void join_shared(lua_State *L, handout_runner *runner, int instances) {
    const uint32_t *used = (const uint32_t *)runner->used.data;
    int top = lua_gettop(L);
    luaL_checkstack(L, 8, "captured functions");
    for (size_t i = 1; i < runner->used.count; i++) {
        handout_instance *later = instance_at(runner, used[i]);
        lua_rawgeti(L, instances, (lua_Integer)used[i] + 1);
        for (uint32_t u = 0; u < later->count; u++) {
            uint32_t pool = later->current[u];
            unsigned kind = pool == HANDOUT_NONE ? HANDOUT_POOL_GLOBALS : handout_pool_kind(runner->tables->pool[pool]);
            if (kind > HANDOUT_POOL_INTEGER || !handout_pool_is_shared(runner->tables->pool[pool])) continue;
            for (size_t j = 0; j < i; j++) {
                handout_instance *earlier = instance_at(runner, used[j]);
                uint32_t v = 0;
                while (v < earlier->count && earlier->current[v] != pool) v++;
                if (v == earlier->count) continue;
                lua_rawgeti(L, instances, (lua_Integer)used[j] + 1);
                if (lua_upvalueid(L, top + 1, (int)u + 1) != lua_upvalueid(L, top + 2, (int)v + 1)) {
                    lua_upvaluejoin(L, top + 1, (int)u + 1, top + 2, (int)v + 1);
                    later->joined[u] = earlier->joined[v] = 1;
                }
                lua_pop(L, 1);
                break;
            }
        }
        lua_settop(L, top);
    }
}

void handout_begin_functions(handout_runner *runner) {
    runner->epoch++;
    runner->used.count = 0;
}

void handout_push_pool_function(lua_State *L, handout_runner *runner, uint32_t pool) {
    luaL_checkstack(L, 8, "functions");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_INSTANCES);
    uint32_t index = instance_for(L, runner, lua_gettop(L), pool);
    lua_rawgeti(L, -1, (lua_Integer)index + 1);
    lua_remove(L, -2);
}

void handout_push_function(lua_State *L, handout_runner *runner, int instances, uint32_t row) {
    const handout_tables *tables = runner->tables;
    uint32_t class = tables->classes[row];
    handout_begin_functions(runner);
    if (!runner->own[class]) runner->own[class] = new_instance(L, runner, instances, class, HANDOUT_NONE) + 1;
    uint32_t index = runner->own[class] - 1;
    lua_rawgeti(L, instances, (lua_Integer)index + 1);
    uint32_t n = instance_at(runner, index)->count;
    if (n == 0) return;
    use_instance(L, runner, index);
    int closure = lua_gettop(L);
    const uint32_t *captures = tables->captures + tables->capture_offsets[row];
    runner->has_shared = 0;
    for (uint32_t u = 0; u < n; u++) set_variable(L, runner, instances, index, closure, u, captures[u]);
    if (runner->has_shared && runner->used.count > 1) join_shared(L, runner, instances);
}

/* ---- Changes ---- */

static char HANDOUT_KEY_NOTED; /* module name → { table, key, value, … } of its tables, and by table the number of entries */

enum { NOTED_MOST = 4096 };

void handout_note_module(lua_State *L, const char *name) {
    luaL_checkstack(L, 16, "modules");
    int value = lua_gettop(L);
    if (lua_type(L, value) != LUA_TTABLE || handout_library_name(L, value)) return;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_NOTED) == LUA_TNIL) {
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_NOTED);
        lua_replace(L, value + 1);
    }
    int known = lua_getfield(L, value + 1, name) != LUA_TNIL;
    lua_settop(L, known ? value : value + 1);
    if (known) return;
    lua_newtable(L); /* value + 2: triples; value + 3: table → count, and the queue of tables */
    lua_newtable(L);
    lua_newtable(L); /* value + 4: queue */
    lua_pushvalue(L, value);
    lua_rawseti(L, value + 4, 1);
    lua_Integer triples = 0, queued = 1;
    for (lua_Integer at = 1; at <= queued && triples < NOTED_MOST; at++) {
        lua_rawgeti(L, value + 4, at);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, value + 3) != LUA_TNIL) {
            lua_settop(L, value + 4);
            continue;
        }
        lua_pop(L, 1);
        lua_Integer count = 0;
        for (lua_pushnil(L); lua_next(L, value + 5); lua_pop(L, 1)) {
            lua_pushvalue(L, value + 5);
            lua_rawseti(L, value + 2, triples * 3 + 1);
            lua_pushvalue(L, -2);
            lua_rawseti(L, value + 2, triples * 3 + 2);
            lua_pushvalue(L, -1);
            lua_rawseti(L, value + 2, triples * 3 + 3);
            triples++;
            count++;
            if (lua_type(L, -1) != LUA_TTABLE) continue;
            lua_pushvalue(L, -1);
            lua_rawseti(L, value + 4, ++queued);
        }
        lua_pushinteger(L, count);
        lua_rawset(L, value + 3);
        lua_settop(L, value + 4);
    }
    lua_pop(L, 1);
    lua_setfield(L, value + 2, "counts");
    lua_setfield(L, value + 1, name);
    lua_settop(L, value);
}

/* Whether the two values at the top are the same; a NaN is itself. */
static int same_value(lua_State *L) {
    if (lua_rawequal(L, -1, -2)) return 1;
    if (lua_type(L, -1) != LUA_TNUMBER || lua_type(L, -2) != LUA_TNUMBER) return 0;
    lua_Number a = lua_tonumber(L, -1), b = lua_tonumber(L, -2);
    return a != a && b != b;
}

/* Whether a table of the module is not what it was when the module was loaded. */
static int module_changed(lua_State *L, const char *name) {
    luaL_checkstack(L, 12, "modules");
    int top = lua_gettop(L), changed = 0;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_NOTED) == LUA_TNIL || lua_getfield(L, -1, name) == LUA_TNIL) {
        lua_settop(L, top);
        return 0;
    }
    for (lua_Integer i = 1; !changed && lua_rawgeti(L, top + 2, i) != LUA_TNIL; i += 3) {
        lua_rawgeti(L, top + 2, i + 1);
        lua_rawget(L, top + 3);
        lua_rawgeti(L, top + 2, i + 2);
        changed = !same_value(L);
        lua_settop(L, top + 2);
    }
    lua_settop(L, top + 2);
    lua_getfield(L, top + 2, "counts");
    for (lua_pushnil(L); !changed && lua_next(L, top + 3); lua_settop(L, top + 4)) {
        lua_Integer count = 0;
        for (lua_pushnil(L); lua_next(L, top + 4); lua_pop(L, 1)) count++;
        changed = count != lua_tointeger(L, top + 5);
    }
    lua_settop(L, top);
    return changed;
}

/* After a task that called require itself: any module may have been changed. */
static int any_module_changed(lua_State *L, char *message, size_t size) {
    int top = lua_gettop(L), changed = 0;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_NOTED) != LUA_TNIL)
        for (lua_pushnil(L); !changed && lua_next(L, top + 1); lua_settop(L, top + 2)) {
            changed = module_changed(L, lua_tostring(L, top + 2));
            if (changed) snprintf(message, size, "the task changed module '%.60s': modules are constants in a task", lua_tostring(L, top + 2));
        }
    lua_settop(L, top);
    return changed;
}

/* Whether the captured variable at the top still is what was set. */
static int unchanged(lua_State *L, handout_runner *runner, int instances, const handout_instance *instance, uint32_t u) {
    const handout_tables *tables = runner->tables;
    uint64_t entry = tables->pool[instance->current[u]];
    const uint8_t *from = tables->pool_bytes + handout_pool_position(entry);
    int same;
    switch (handout_pool_kind(entry)) {
    case HANDOUT_POOL_INTEGER:
        return lua_isinteger(L, -1) && lua_tointeger(L, -1) == handout_pool_integer(entry);
    case HANDOUT_POOL_DATA:
        if (lua_type(L, -1) == LUA_TTABLE && instance->size[u] > ALWAYS_COMPARED && !runner->program->verify &&
            runner->epoch % SAMPLE != 0)
            return 1;
        return handout_equal(L, -1, from, instance->size[u]);
    case HANDOUT_POOL_GLOBALS:
        lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_GLOBALS);
        break;
    case HANDOUT_POOL_FUNCTION:
        lua_rawgeti(L, instances, (lua_Integer)instance->inner[u] + 1);
        break;
    case HANDOUT_POOL_LIBRARY:
        handout_decode(L, from, tables->pool_bytes + tables->pool_bytes_length);
        handout_push_captured_library(L, lua_tostring(L, -1));
        lua_remove(L, -2);
        break;
    default: /* MODULE */
        handout_decode(L, from, tables->pool_bytes + tables->pool_bytes_length);
        if (module_changed(L, lua_tostring(L, -1))) {
            runner->captures_changed = 2;
            return 0;
        }
        lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_MODULES);
        lua_insert(L, -2);
        lua_rawget(L, -2);
        lua_remove(L, -2);
        break;
    }
    same = lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    return same;
}

static int snapshot_changed(lua_State *L, handout_runner *runner, char *message, size_t size) {
    int changed = 0;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_REAL);
    for (size_t i = 0; i < runner->snapshots.count && !changed; i++) {
        handout_snapshot *snapshot = (handout_snapshot *)runner->snapshots.data + i;
        if (snapshot->bytes.length > ALWAYS_COMPARED && !runner->program->verify && runner->epoch % SAMPLE != 0) continue;
        lua_pushlstring(L, (const char *)snapshot->name.data, snapshot->name.length - 1);
        lua_rawget(L, -2);
        if (!handout_equal(L, -1, snapshot->bytes.data, snapshot->bytes.length)) {
            snprintf(message, size, "the task changed the table of global '%.60s': globals are read-only in a task",
                     (const char *)snapshot->name.data);
            changed = 1;
            runner->captures_changed = 2; /* the state is spoiled */
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return changed;
}

/* Captured variable `u` of the instance whose closure is at `closure` is to be set again, and where other instances share
 * it, theirs: this attempt may not have used them. */
static void forget_variable(lua_State *L, handout_runner *runner, int instances, handout_instance *instance, int closure,
                            uint32_t u) {
    instance->current[u] = HANDOUT_NONE;
    if (!instance->joined[u]) return;
    const void *id = lua_upvalueid(L, closure, (int)u + 1);
    for (uint32_t i = 0; i < runner->instances.count; i++) {
        handout_instance *other = instance_at(runner, i);
        for (uint32_t v = 0; v < other->count; v++) {
            if (!other->joined[v]) continue;
            lua_rawgeti(L, instances, (lua_Integer)i + 1);
            if (lua_upvalueid(L, -1, (int)v + 1) == id) other->current[v] = HANDOUT_NONE;
            lua_pop(L, 1);
        }
    }
}

int handout_captures_changed(lua_State *L, handout_runner *runner, int instances, char *message, size_t size) {
    int changed = 0;
    for (size_t i = 0; i < runner->used.count; i++) {
        handout_instance *instance = instance_at(runner, ((uint32_t *)runner->used.data)[i]);
        lua_rawgeti(L, instances, (lua_Integer)((uint32_t *)runner->used.data)[i] + 1);
        int closure = lua_gettop(L);
        for (uint32_t u = 0; u < instance->count; u++) {
            if (instance->current[u] == HANDOUT_NONE) continue;
            const char *name = lua_getupvalue(L, closure, (int)u + 1);
            if (!unchanged(L, runner, instances, instance, u)) {
                if (!changed)
                    snprintf(message, size, "the task changed captured variable '%.60s': captured values are constants in a task", name);
                changed = 1;
                forget_variable(L, runner, instances, instance, closure, u);
            }
            lua_settop(L, closure);
        }
        lua_settop(L, closure - 1);
    }
    if (!changed && runner->required && (changed = any_module_changed(L, message, size))) runner->captures_changed = 2;
    if (!changed && runner->snapshots.count) changed = snapshot_changed(L, runner, message, size);
    return changed;
}

/* Remembers the script's own globals that hold tables of plain data. Others are functions, or cannot be changed. */
void handout_take_snapshots(lua_State *L, handout_runner *runner) {
    handout_codec *codec = &runner->state->codec;
    handout_push_user_globals(L);
    runner->snapshots.size = sizeof(handout_snapshot);
    int table = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, table); lua_settop(L, table + 1)) {
        if (lua_type(L, -1) != LUA_TTABLE || lua_type(L, -2) != LUA_TSTRING) continue;
        lua_pushcfunction(L, handout_encode_plain);
        lua_pushvalue(L, -2);
        if (lua_pcall(L, 1, 0, 0) != LUA_OK) continue;
        handout_snapshot *snapshot = handout_vector_add(&runner->snapshots);
        if (!snapshot) luaL_error(L, "not enough memory");
        *snapshot = (handout_snapshot){0};
        size_t length;
        const char *name = lua_tolstring(L, table + 1, &length);
        if (handout_buffer_append(&snapshot->name, name, length + 1) ||
            handout_buffer_append(&snapshot->bytes, codec->out.data, codec->out.length)) {
            runner->snapshots.count--; /* neither is left half written */
            handout_buffer_free(&snapshot->name);
            luaL_error(L, "not enough memory");
        }
    }
    lua_settop(L, table - 1);
}

int handout_encode_plain(lua_State *L) {
    handout_codec *codec = &handout_of(L)->codec;
    codec->out.length = 0;
    handout_encode(L, codec, 1, "value", "");
    return 0;
}

void handout_captures_free(handout_runner *runner) {
    for (size_t i = 0; i < runner->instances.count; i++) free(instance_at(runner, (uint32_t)i)->current);
    for (size_t i = 0; i < runner->snapshots.count; i++) {
        handout_snapshot *snapshot = (handout_snapshot *)runner->snapshots.data + i;
        handout_buffer_free(&snapshot->name);
        handout_buffer_free(&snapshot->bytes);
    }
    free(runner->instances.data);
    free(runner->used.data);
    free(runner->snapshots.data);
    free(runner->own);
}
