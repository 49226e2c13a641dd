/* What a strategy sees of tasks, classes and workers: userdata that read the caller's structs. */
#define _GNU_SOURCE
#include "strategy.h"
#include "sandbox.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum field {
    NO_FIELD = 0, ID, NAME, KEY, ATTEMPT, PRIORITY, AMOUNTS, VARIANTS, WHERE, NEAR, ESTIMATE, RANK, INPUT_BYTES, CONSUMERS,
    WAITED, RETRIES_LEFT, CLASS, COUNT, TAKE, LABELS, TOTAL, FREE, RUNNING, PRICE, SPEED, REMAINING, IDLE, BANDWIDTH, LOST,
    FITS, HAS, CLASSES, GET, NOW, DEADLINE, RUN, SPENT, SEED, OPTIONS,
};

static const char *const names[] = {
    NULL, "id", "name", "key", "attempt", "priority", "amounts", "variants", "where", "near", "estimate", "rank", "input_bytes",
    "consumers", "waited", "retries_left", "class", "count", "take", "labels", "total", "free", "running", "price", "speed",
    "remaining", "idle", "bandwidth", "lost", "fits", "has", "classes", "get", "now", "deadline", "run", "spent", "seed",
    "options",
};
enum { NAMES = sizeof names / sizeof *names };

/* User values of a worker: amounts and labels; of a task or class: amounts. */
enum { VALUE_TOTAL = 1, VALUE_FREE, VALUE_LABELS };

static char key_metatables; /* registry: kind → metatable */

/* ---- Names ---- */

static uint32_t place_of(const handout_name_map *map, const void *key) {
    uint32_t mask = map->capacity - 1, at = (uint32_t)(((uintptr_t)key >> 3) * 0x9E3779B1u) & mask;
    while (map->keys[at] && map->keys[at] != key) at = (at + 1) & mask;
    return at;
}

/* The value of a name, or HANDOUT_NONE. */
static uint32_t look_up(const handout_name_map *map, const void *key) {
    uint32_t at = place_of(map, key);
    return map->keys[at] ? map->values[at] : HANDOUT_NONE;
}

static int make_map(handout_name_map *map, uint32_t names_to_hold) {
    uint32_t capacity = 16;
    while (capacity < 3 * names_to_hold) capacity *= 2;
    const void **keys = calloc(capacity, sizeof *keys);
    uint32_t *values = calloc(capacity, sizeof *values);
    if (!keys || !values) {
        free(keys);
        free(values);
        return -1;
    }
    free(map->keys);
    free(map->values);
    *map = (handout_name_map){keys, values, capacity};
    return 0;
}

/* Notes the string at the top, which is kept in Lua for good. */
static void note_name(lua_State *L, handout_name_map *map, uint32_t value) {
    const void *key = lua_tostring(L, -1);
    uint32_t at = place_of(map, key);
    map->keys[at] = key;
    map->values[at] = value;
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

static int by_name(const void *a, const void *b, void *context) {
    char *const *texts = context;
    return strcmp(texts[*(const uint32_t *)a], texts[*(const uint32_t *)b]);
}

void handout_learn_resources(lua_State *L, handout_strategy *strategy) {
    const handout_strategy_view *view = strategy->view;
    if (view->resource_count <= strategy->resource_count) return;
    for (uint32_t i = strategy->resource_count; i < view->resource_count; i++)
        handout_keep_text(L, &strategy->resource_names, view->resources[i].bytes, view->resources[i].length);
    if (make_map(&strategy->resources, view->resource_count)) handout_exhausted(L);
    char **texts = (char **)strategy->resource_names.data;
    for (uint32_t i = 0; i < view->resource_count; i++) {
        lua_pushstring(L, texts[i]);
        note_name(L, &strategy->resources, i);
        if (strcmp(texts[i], "memory") == 0) strategy->memory_resource = i;
        if (i < strategy->resource_count) continue;
        uint32_t *to = handout_vector_add(&strategy->order);
        if (!to) handout_exhausted(L);
        *to = i;
    }
    strategy->resource_count = view->resource_count;
    qsort_r(strategy->order.data, strategy->order.count, sizeof(uint32_t), by_name, texts);
}

/* The resource of that name at stack `index`. Long strings are not one object each. */
static uint32_t resource_at(lua_State *L, const handout_strategy *strategy, int index) {
    enum { LONGEST_INTERNED = 40 };
    size_t length;
    if (lua_type(L, index) != LUA_TSTRING || strategy->resource_count == 0) return HANDOUT_NONE;
    const char *name = lua_tolstring(L, index, &length);
    if (length <= LONGEST_INTERNED) return look_up(&strategy->resources, name);
    char *const *texts = (char *const *)strategy->resource_names.data;
    for (uint32_t i = 0; i < strategy->resource_count; i++)
        if (strlen(texts[i]) == length && memcmp(texts[i], name, length) == 0) return i;
    return HANDOUT_NONE;
}

static enum field field_at(lua_State *L, const handout_strategy *strategy, int index) {
    if (lua_type(L, index) != LUA_TSTRING) return NO_FIELD;
    uint32_t field = look_up(&strategy->fields, lua_tostring(L, index));
    return field == HANDOUT_NONE ? NO_FIELD : (enum field)field;
}

/* ---- Views ---- */

handout_view *handout_to_view(lua_State *L, int index, enum handout_view_kind kind) {
    handout_view *view = lua_type(L, index) == LUA_TUSERDATA ? lua_touserdata(L, index) : NULL;
    return view && lua_rawlen(L, index) >= sizeof *view && view->kind == kind ? view : NULL;
}

void handout_raise_old_view(lua_State *L, const char *what) {
    luaL_error(L, "a view of %s was kept from an earlier call: views are valid during a call only", what);
    abort(); /* luaL_error does not return */
}

static void *new_view(lua_State *L, handout_strategy *strategy, enum handout_view_kind kind, size_t size, int values) {
    handout_view *view = lua_newuserdatauv(L, size, values);
    *view = (handout_view){.kind = kind, .round = strategy->round};
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_metatables);
    lua_rawgeti(L, -1, (lua_Integer)kind - HANDOUT_VIEW_TASK + 1);
    lua_setmetatable(L, -3);
    lua_pop(L, 1);
    return view;
}

void handout_push_worker(lua_State *L, handout_strategy *strategy, int views, uint32_t index) {
    lua_Integer key = (lua_Integer)strategy->view->workers[index].worker + 1;
    handout_view *view;
    if (lua_rawgeti(L, views, key) == LUA_TUSERDATA) {
        view = lua_touserdata(L, -1);
    } else {
        lua_pop(L, 1);
        view = new_view(L, strategy, HANDOUT_VIEW_WORKER, sizeof *view, 3);
        lua_pushvalue(L, -1);
        lua_rawseti(L, views, key);
    }
    view->index = index;
    view->round = strategy->round;
}

void handout_push_task_view(lua_State *L, handout_strategy *strategy, const handout_task_view *task) {
    handout_task_object *object = new_view(L, strategy, HANDOUT_VIEW_TASK, sizeof *object, 1);
    object->view.index = task->class_index;
    object->task = *task;
}

void handout_push_simple_view(lua_State *L, handout_strategy *strategy, enum handout_view_kind kind) {
    handout_view *view = new_view(L, strategy, kind, sizeof *view, 1);
    view->index = 0;
}

/* ---- Values ---- */

static void push_text(lua_State *L, handout_text text) {
    if (text.bytes) lua_pushlstring(L, text.bytes, text.length);
    else lua_pushnil(L);
}

static void push_known(lua_State *L, double value) {
    if (isnan(value)) lua_pushnil(L);
    else lua_pushnumber(L, value);
}

/* Amounts of cores and the like are whole numbers in Lua too where they are whole. */
static void push_amount(lua_State *L, const handout_strategy *strategy, uint32_t resource, uint64_t amount) {
    if (resource == strategy->memory_resource) lua_pushinteger(L, (lua_Integer)amount);
    else if (amount % 10000 == 0) lua_pushinteger(L, (lua_Integer)(amount / 10000));
    else lua_pushnumber(L, (lua_Number)amount / 10000);
}

/* Pushes the amounts `which` of the view at stack index 1, kept as its user value. */
static void push_amounts(lua_State *L, handout_strategy *strategy, const handout_view *owner, uint32_t which, int value) {
    if (value && lua_getiuservalue(L, 1, value) == LUA_TUSERDATA) {
        ((handout_view *)lua_touserdata(L, -1))->index = which;
        return;
    }
    handout_amounts_object *amounts = new_view(L, strategy, HANDOUT_VIEW_AMOUNTS, sizeof *amounts, 1);
    amounts->view.index = which;
    amounts->owner = owner;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    if (!value) return;
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, value);
}

static void push_where(lua_State *L, const handout_class_view *class) {
    if (class->where_count == 0) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, 0, (int)class->where_count);
    for (uint32_t i = 0; i < class->where_count; i++) {
        const handout_where_view *where = &class->where[i];
        push_text(L, where->label);
        if (where->count == 1) push_text(L, where->values[0]);
        else lua_createtable(L, (int)where->count, 0);
        for (uint32_t v = 0; where->count != 1 && v < where->count; v++) {
            push_text(L, where->values[v]);
            lua_rawseti(L, -2, (lua_Integer)v + 1);
        }
        lua_rawset(L, -3);
    }
}

static void push_near(lua_State *L, const handout_request_view *request) {
    if (request->near_count == 0) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, (int)request->near_count, 0);
    for (uint32_t i = 0; i < request->near_count; i++) {
        push_text(L, request->near[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_variants(lua_State *L, handout_strategy *strategy, const handout_view *owner, const handout_class_view *class) {
    lua_createtable(L, (int)class->variant_count, 0);
    for (uint32_t i = 0; i < class->variant_count; i++) {
        push_amounts(L, strategy, owner, i, 0);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

/* A field that tasks and classes have alike. Returns 0 where it is none of these. */
static int push_request(lua_State *L, handout_strategy *strategy, enum field field, const handout_view *owner,
                        const handout_request_view *request) {
    const handout_class_view *class = &strategy->view->classes[owner->index];
    switch (field) {
    case NAME: push_text(L, request->name); return 1;
    case PRIORITY: lua_pushinteger(L, request->priority); return 1;
    case AMOUNTS: push_amounts(L, strategy, owner, class->fitting, VALUE_TOTAL); return 1;
    case VARIANTS: push_variants(L, strategy, owner, class); return 1;
    case WHERE: push_where(L, class); return 1;
    case NEAR: push_near(L, request); return 1;
    case ESTIMATE: push_known(L, request->estimate); return 1;
    case RANK: push_known(L, request->rank); return 1;
    case CONSUMERS: lua_pushinteger(L, request->consumers); return 1;
    case RETRIES_LEFT: lua_pushinteger(L, request->retries_left); return 1;
    case CLASS: handout_push_class(L, strategy, owner->index); return 1;
    default: return 0;
    }
}

static int task_index(lua_State *L) {
    handout_strategy *strategy = handout_strategy_of(L);
    const handout_task_object *object = lua_touserdata(L, 1);
    const handout_task_view *task = &object->task;
    if (object->view.round != strategy->round) handout_raise_old_view(L, "a task");
    enum field field = field_at(L, strategy, 2);
    if (push_request(L, strategy, field, &object->view, &task->own)) return 1;
    switch (field) {
    case ID: push_text(L, task->id); return 1;
    case KEY:
        if (task->key_index > 0) lua_pushinteger(L, task->key_index);
        else push_text(L, task->key);
        return 1;
    case ATTEMPT: lua_pushinteger(L, task->attempt); return 1;
    case INPUT_BYTES:
        if (task->input_bytes < 0) return 0;
        lua_pushinteger(L, task->input_bytes);
        return 1;
    case WAITED: lua_pushnumber(L, task->waited); return 1;
    default: return 0;
    }
}

static int class_index(lua_State *L) {
    handout_strategy *strategy = handout_strategy_of(L);
    const handout_view *view = lua_touserdata(L, 1);
    if (view->round != strategy->round) handout_raise_old_view(L, "a class");
    const handout_class_view *class = &strategy->view->classes[view->index];
    enum field field = field_at(L, strategy, 2);
    if (push_request(L, strategy, field, view, &class->next)) return 1;
    if (field == COUNT) lua_pushinteger(L, (lua_Integer)class->count);
    else if (field == TAKE) lua_pushcfunction(L, handout_class_take);
    else return 0;
    return 1;
}

static void push_labels(lua_State *L, handout_strategy *strategy, const handout_view *owner) {
    if (lua_getiuservalue(L, 1, VALUE_LABELS) == LUA_TUSERDATA) return;
    handout_amounts_object *labels = new_view(L, strategy, HANDOUT_VIEW_LABELS, sizeof *labels, 1);
    labels->owner = owner;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, VALUE_LABELS);
}

static int worker_index(lua_State *L) {
    handout_strategy *strategy = handout_strategy_of(L);
    const handout_view *view = lua_touserdata(L, 1);
    if (view->round != strategy->round) handout_raise_old_view(L, "a worker");
    const handout_worker_view *worker = &strategy->view->workers[view->index];
    switch (field_at(L, strategy, 2)) {
    case ID: push_text(L, worker->id); return 1;
    case LABELS: push_labels(L, strategy, view); return 1;
    case TOTAL: push_amounts(L, strategy, view, HANDOUT_TOTAL, VALUE_TOTAL); return 1;
    case FREE: push_amounts(L, strategy, view, HANDOUT_FREE, VALUE_FREE); return 1;
    case RUNNING: lua_pushinteger(L, worker->running); return 1;
    case PRICE: lua_pushnumber(L, worker->price); return 1;
    case SPEED: lua_pushnumber(L, worker->speed); return 1;
    case REMAINING: push_known(L, worker->remaining); return 1;
    case IDLE: lua_pushnumber(L, worker->idle); return 1;
    case BANDWIDTH: push_known(L, worker->bandwidth); return 1;
    case LOST: lua_pushinteger(L, worker->lost); return 1;
    case FITS: lua_pushcfunction(L, handout_worker_fits); return 1;
    case HAS: lua_pushcfunction(L, handout_worker_has); return 1;
    default: return 0;
    }
}

static int context_index(lua_State *L) {
    handout_strategy *strategy = handout_strategy_of(L);
    const handout_view *view = lua_touserdata(L, 1);
    if (view->round != strategy->round) handout_raise_old_view(L, "the context");
    const handout_context_view *context = &strategy->view->context;
    switch (field_at(L, strategy, 2)) {
    case NOW: lua_pushnumber(L, context->now); return 1;
    case DEADLINE: push_known(L, context->deadline); return 1;
    case RUN: push_text(L, context->run); return 1;
    case SPENT: lua_pushnumber(L, context->spent); return 1;
    case SEED: lua_pushinteger(L, context->seed); return 1;
    case OPTIONS: lua_rawgeti(L, LUA_REGISTRYINDEX, strategy->options); return 1;
    default: return 0;
    }
}

/* ---- Amounts and labels ---- */

/* The amounts of the view at stack index 1; `had` says which count. */
static const uint64_t *amounts_of(lua_State *L, const handout_strategy *strategy, const uint64_t **had) {
    const handout_amounts_object *amounts = lua_touserdata(L, 1);
    const handout_view *owner = amounts->owner;
    if (owner->round != strategy->round) handout_raise_old_view(L, "amounts");
    if (owner->kind == HANDOUT_VIEW_WORKER) {
        const handout_worker_view *worker = &strategy->view->workers[owner->index];
        *had = worker->total;
        return amounts->view.index == HANDOUT_FREE ? worker->free : worker->total;
    }
    return *had = strategy->view->classes[owner->index].variants[amounts->view.index];
}

static int amounts_index(lua_State *L) {
    const handout_strategy *strategy = handout_strategy_of(L);
    const uint64_t *had, *amounts = amounts_of(L, strategy, &had);
    uint32_t resource = resource_at(L, strategy, 2);
    if (resource == HANDOUT_NONE || had[resource] == 0) return 0;
    push_amount(L, strategy, resource, amounts[resource]);
    return 1;
}

/* The next resource by name after the key at stack index 2. */
static int amounts_next(lua_State *L) {
    const handout_strategy *strategy = handout_strategy_of(L);
    if (!handout_to_view(L, 1, HANDOUT_VIEW_AMOUNTS)) return luaL_error(L, "next: expected amounts of a view");
    const uint64_t *had, *amounts = amounts_of(L, strategy, &had);
    const uint32_t *order = (const uint32_t *)strategy->order.data;
    uint32_t at = 0;
    if (!lua_isnil(L, 2)) {
        uint32_t resource = resource_at(L, strategy, 2);
        while (at < strategy->resource_count && order[at] != resource) at++;
        at++;
    }
    while (at < strategy->resource_count && had[order[at]] == 0) at++;
    if (at >= strategy->resource_count) return 0;
    lua_pushstring(L, ((char *const *)strategy->resource_names.data)[order[at]]);
    push_amount(L, strategy, order[at], amounts[order[at]]);
    return 2;
}

static int amounts_pairs(lua_State *L) {
    lua_pushcfunction(L, amounts_next);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static const handout_worker_view *labelled(lua_State *L, const handout_strategy *strategy) {
    const handout_amounts_object *labels = lua_touserdata(L, 1);
    if (labels->owner->round != strategy->round) handout_raise_old_view(L, "labels");
    return &strategy->view->workers[labels->owner->index];
}

static int labels_index(lua_State *L) {
    const handout_worker_view *worker = labelled(L, handout_strategy_of(L));
    size_t length = 0;
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tolstring(L, 2, &length) : NULL;
    for (uint32_t i = 0; name && i < worker->label_count; i++) {
        const handout_label_view *label = &worker->labels[i];
        if (label->name.length != length || memcmp(label->name.bytes, name, length) != 0) continue;
        push_text(L, label->value);
        return 1;
    }
    return 0;
}

static int labels_pairs(lua_State *L) {
    const handout_worker_view *worker = labelled(L, handout_strategy_of(L));
    lua_createtable(L, 0, (int)worker->label_count);
    for (uint32_t i = 0; i < worker->label_count; i++) {
        push_text(L, worker->labels[i].name);
        push_text(L, worker->labels[i].value);
        lua_rawset(L, -3);
    }
    return handout_push_ordered(L, -1, "pairs", "");
}

/* ---- Metatables ---- */

static int refuse_assignment(lua_State *L) {
    char shown[160];
    handout_describe(L, 2, shown, sizeof shown);
    return luaL_error(L, "a view is read-only: %s cannot be assigned", shown);
}

static int view_tostring(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    return 1;
}

typedef struct view_type {
    const char *name;
    lua_CFunction index, length, pairs;
} view_type;

/* Adds the metatable of a kind to the table at the top. */
static void add_metatable(lua_State *L, const view_type *type, lua_Integer place) {
    const luaL_Reg functions[] = {{"__index", type->index}, {"__len", type->length}, {"__pairs", type->pairs},
                                  {"__newindex", refuse_assignment}, {NULL, NULL}};
    lua_createtable(L, 0, 8);
    for (const luaL_Reg *f = functions; f->name; f++) {
        if (!f->func) continue;
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
    lua_pushstring(L, type->name);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__name");
    lua_pushcclosure(L, view_tostring, 1);
    lua_setfield(L, -2, "__tostring");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_rawseti(L, -2, place);
}

static int ready_index(lua_State *L) {
    handout_strategy *strategy = handout_strategy_of(L);
    if (field_at(L, strategy, 2) != CLASSES) return handout_list_index(L);
    lua_pushcfunction(L, handout_ready_classes);
    return 1;
}

static int workers_index(lua_State *L) {
    handout_strategy *strategy = handout_strategy_of(L);
    if (field_at(L, strategy, 2) != GET) return handout_list_index(L);
    lua_pushcfunction(L, handout_workers_get);
    return 1;
}

void handout_open_views(lua_State *L, handout_strategy *strategy) {
    static const view_type types[] = {
        {"a task", task_index, NULL, NULL}, {"a class", class_index, NULL, NULL}, {"a worker", worker_index, NULL, NULL},
        {"amounts", amounts_index, NULL, amounts_pairs}, {"labels", labels_index, NULL, labels_pairs},
        {"what is ready", ready_index, handout_list_length, handout_list_pairs},
        {"the workers", workers_index, handout_list_length, handout_list_pairs}, {"the context", context_index, NULL, NULL}};
    lua_createtable(L, 8, 0);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) add_metatable(L, &types[i], (lua_Integer)i + 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_metatables);
    if (make_map(&strategy->fields, NAMES)) handout_exhausted(L);
    for (uint32_t i = 1; i < NAMES; i++) {
        lua_pushstring(L, names[i]);
        note_name(L, &strategy->fields, i);
    }
}
