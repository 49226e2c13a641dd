/* Functions as class and captured values. */
#define _GNU_SOURCE
#include "plan.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char HANDOUT_KEY_MEASURES, HANDOUT_KEY_MODULES, HANDOUT_KEY_MODULE_NAMES, HANDOUT_KEY_TEMPLATES, HANDOUT_KEY_MODULE;

enum { MAX_ERRORS = 100, MAX_CAPTURE_DEPTH = 150, REMEMBERED = 256 };

/* ---- Vectors ---- */

void *handout_vector_add_many(handout_vector *vector, size_t n) {
    if (vector->capacity - vector->count < n) {
        size_t wanted = vector->count + n;
        size_t capacity = vector->capacity + vector->capacity / 2 + 16;
        if (capacity < wanted) capacity = wanted;
        char *data = realloc(vector->data, capacity * vector->size);
        if (!data) return NULL;
        vector->data = data;
        vector->capacity = capacity;
    }
    void *item = vector->data + vector->count * vector->size;
    vector->count += n;
    return item;
}

/* ---- Refusals ---- */

void handout_refuse(lua_State *L, handout_recorder *recorder, const char *code, const char *format, ...) {
    if (recorder->tables) return; /* template mode: the plan has said it all */
    if (recorder->errors.count >= MAX_ERRORS) {
        recorder->errors_left_out++;
        return;
    }
    char message[1200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    handout_plan_error *error = handout_vector_add(&recorder->errors);
    if (!error) handout_exhausted(L);
    *error = (handout_plan_error){.code = code, .message = strdup(message)};
    if (recorder->place) { /* said of what was declared before */
        error->file = strdup(((handout_source *)recorder->sources.data)[recorder->place >> 24].name + 1);
        error->line = recorder->place & 0xFFFFFF;
        return;
    }
    lua_Debug ar;
    for (int level = 1; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline <= 0) continue;
        error->file = strdup(ar.source[0] == '@' || ar.source[0] == '=' ? ar.source + 1 : ar.short_src);
        error->line = (uint32_t)ar.currentline;
        return;
    }
    /* Of the script as a whole. */
    if (recorder->sources.count) error->file = strdup(((handout_source *)recorder->sources.data)[0].name + 1);
}

/* ---- Identities of captured variables ---- */

static uint32_t identity_slot(const handout_recorder *recorder, const void *id) {
    uint32_t mask = recorder->identity_capacity - 1;
    uint32_t at = (uint32_t)(((uintptr_t)id >> 4) * 0x9E3779B1u) & mask;
    while (recorder->identities[at].id && recorder->identities[at].id != id) at = (at + 1) & mask;
    return at;
}

static handout_identity *identity_find(handout_recorder *recorder, const void *id) {
    if (!recorder->identity_capacity) return NULL;
    handout_identity *found = &recorder->identities[identity_slot(recorder, id)];
    return found->id ? found : NULL;
}

static void identity_add(lua_State *L, handout_recorder *recorder, const void *id, uint32_t pool) {
    if ((recorder->identity_count + 1) * 2 > recorder->identity_capacity) {
        uint32_t old_capacity = recorder->identity_capacity;
        handout_identity *old = recorder->identities;
        recorder->identity_capacity = old_capacity ? old_capacity * 2 : 64;
        recorder->identities = calloc(recorder->identity_capacity, sizeof *recorder->identities);
        if (!recorder->identities) handout_exhausted(L);
        for (uint32_t i = 0; i < old_capacity; i++)
            if (old[i].id) recorder->identities[identity_slot(recorder, old[i].id)] = old[i];
        free(old);
    }
    recorder->identities[identity_slot(recorder, id)] = (handout_identity){id, pool, 1};
    recorder->identity_count++;
}

/* One holder less; the entry goes with the last (backward-shift deletion). */
static void identity_release(handout_recorder *recorder, const void *id) {
    uint32_t mask = recorder->identity_capacity - 1, at = identity_slot(recorder, id);
    if (!recorder->identities[at].id || --recorder->identities[at].holders) return;
    recorder->identity_count--;
    recorder->identities[at].id = NULL;
    for (uint32_t next = (at + 1) & mask; recorder->identities[next].id; next = (next + 1) & mask) {
        handout_identity moved = recorder->identities[next];
        recorder->identities[next].id = NULL;
        recorder->identities[identity_slot(recorder, moved.id)] = moved;
    }
}

/* ---- The pool ---- */

static uint64_t pool_word(unsigned kind, uint64_t payload) { return (uint64_t)kind << 56 | (payload & 0xFFFFFFFFFFFFFFu); }

void handout_count_columns(lua_State *L, handout_recorder *recorder, size_t bytes) {
    enum { STEP = 1 << 20 };
    handout_state *state = handout_of(L);
    recorder->unchecked += bytes;
    if (recorder->unchecked < STEP || recorder->tables) return;
    recorder->unchecked = 0;
    size_t total = recorder->pool.count * sizeof(uint64_t) + recorder->pool_bytes.count + 2 * recorder->code.count +
                   recorder->option_sets.count * sizeof(handout_option_set);
    for (size_t i = 0; i < recorder->graphs.count; i++) {
        const handout_graph_record *graph = (handout_graph_record *)recorder->graphs.data + i;
        total += graph->count * 29 + graph->names.count + 4 * (graph->references.count + graph->captures.count) + 8 * graph->id_capacity;
    }
    if (state->limit && total + state->used > state->limit) handout_exhausted(L);
}

/* Whether it is shared is known before its value is, and stays. */
static void set_entry(handout_recorder *recorder, uint32_t index, uint64_t word) {
    uint64_t *entry = (uint64_t *)recorder->pool.data + index;
    *entry = (*entry & 1ull << 63) | word;
}

static uint32_t pool_reserve(lua_State *L, handout_recorder *recorder) {
    uint64_t *entry = handout_vector_add(&recorder->pool);
    if (!entry || recorder->pool.count >= 1u << 28) handout_exhausted(L);
    *entry = pool_word(HANDOUT_POOL_PENDING, 0);
    return (uint32_t)(recorder->pool.count - 1);
}

static void pool_set(lua_State *L, handout_recorder *recorder, uint32_t index, unsigned kind, const void *bytes,
                     size_t length) {
    handout_count_columns(L, recorder, length);
    uint64_t position = recorder->pool_bytes.count;
    void *to = handout_vector_add_many(&recorder->pool_bytes, length);
    if (!to && length) handout_exhausted(L);
    if (length) memcpy(to, bytes, length);
    set_entry(recorder, index, pool_word(kind, position));
}

uint32_t handout_pool_add(lua_State *L, handout_recorder *recorder, unsigned kind, const void *bytes, size_t length) {
    uint32_t index = pool_reserve(L, recorder);
    pool_set(L, recorder, index, kind, bytes, length);
    return index;
}

static void pool_set_string(lua_State *L, handout_recorder *recorder, uint32_t index, unsigned kind, const char *text) {
    handout_codec *codec = &handout_of(L)->codec;
    codec->out.length = 0;
    lua_pushstring(L, text);
    handout_encode(L, codec, -1, "name", "");
    lua_pop(L, 1);
    pool_set(L, recorder, index, kind, codec->out.data, codec->out.length);
}

/* ---- Reading captured values ---- */

/* What is being read, for messages, and the functions met on the way, so that mutual recursion ends. */
typedef struct reading {
    handout_recorder *recorder;
    uint32_t graph, row; /* the task */
    int depth;
} reading;

/* A captured function, or a variable that it captures, and its pool entry. They are remembered from one reading to the
 * next, so that what several closures reach keeps its entry; `owner` is the function that the variable was met in. */
typedef struct met_item {
    const void *identity, *owner;
    uint32_t pool, reading;
} met_item;

static char HANDOUT_KEY_ANCHORS; /* table of the functions met: their addresses, and their variables', stay taken */

static met_item *find_met(const handout_vector *met, const void *identity) {
    for (size_t i = 0; i < met->count; i++)
        if (((met_item *)met->data)[i].identity == identity) return (met_item *)met->data + i;
    return NULL;
}

static void add_met(lua_State *L, handout_vector *met, met_item item) {
    met_item *to = handout_vector_add(met);
    if (!to) handout_exhausted(L);
    *to = item;
}

static void forget_met(lua_State *L, handout_recorder *recorder) {
    recorder->met.count = recorder->met_variables.count = 0;
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_ANCHORS);
}

/* Notes the function at the top as met in this reading, with that entry. */
static void meet_function(lua_State *L, handout_recorder *recorder, uint32_t pool) {
    const void *identity = lua_topointer(L, -1);
    met_item *met = find_met(&recorder->met, identity);
    if (met) {
        met->pool = pool;
        met->reading = recorder->reading;
        return;
    }
    add_met(L, &recorder->met, (met_item){identity, NULL, pool, recorder->reading});
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_ANCHORS);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (lua_Integer)recorder->met.count);
    lua_pop(L, 1);
}

static void read_value(lua_State *L, reading *reading, uint32_t pool, const char *variable);

/* The id of the task whose captured variables are read; the next refusal is of its place. */
static const char *task_name(const reading *reading, char *name, size_t size) {
    const handout_graph_record *graph = (handout_graph_record *)reading->recorder->graphs.data + reading->graph;
    const uint32_t *offsets = (const uint32_t *)graph->name_offsets.data;
    size_t start = offsets[reading->row];
    size_t end = reading->row + 1 < graph->name_offsets.count ? offsets[reading->row + 1] : graph->names.count;
    handout_escape(graph->names.data + start, end - start, 200, name, size);
    reading->recorder->place = ((const uint32_t *)graph->lines.data)[reading->row];
    return name;
}

static void refuse_capture(lua_State *L, reading *reading, const char *variable, const char *what) {
    char name[100], task[256];
    handout_escape(variable, strlen(variable), 60, name, sizeof name);
    handout_refuse(L, reading->recorder, "capture", "task '%s': captured variable '%s': %s",
                   task_name(reading, task, sizeof task), name, what);
    reading->recorder->place = 0;
}

/* The pool index for a captured variable of a captured function: one a variable, wherever it is met. */
static uint32_t nested_pool(lua_State *L, reading *reading, int function, int n, int *known) {
    handout_recorder *recorder = reading->recorder;
    const void *id = lua_upvalueid(L, function, n), *owner = lua_topointer(L, function);
    handout_identity *identity = identity_find(recorder, id);
    met_item *variable = identity ? NULL : find_met(&recorder->met_variables, id);
    uint64_t *pool = (uint64_t *)recorder->pool.data;
    if (identity) { /* of a held closure: it is read when that lets go, and nothing else can read a later value */
        *known = handout_pool_kind(pool[identity->pool]) != HANDOUT_POOL_PENDING;
        pool[identity->pool] |= 1ull << 63;
        return identity->pool;
    }
    if (variable) {
        *known = variable->reading == recorder->reading;
        variable->reading = recorder->reading;
        if (variable->owner != owner) pool[variable->pool] |= 1ull << 63;
        return variable->pool;
    }
    *known = 0;
    uint32_t added = pool_reserve(L, recorder);
    add_met(L, &recorder->met_variables, (met_item){id, owner, added, recorder->reading});
    return added;
}

static void read_function(lua_State *L, reading *reading, uint32_t pool, const char *variable) {
    handout_recorder *recorder = reading->recorder;
    int function = lua_gettop(L);
    if (reading->depth >= MAX_CAPTURE_DEPTH) {
        refuse_capture(L, reading, variable, "captured functions nested deeper than 150");
        pool_set(L, recorder, pool, HANDOUT_POOL_DATA, "\xc0", 1);
        return;
    }
    reading->depth++;
    meet_function(L, recorder, pool);
    uint32_t class = handout_class_of(L, recorder, function);
    uint32_t n = ((handout_class_record *)recorder->classes.data)[class].public.upvalues;
    uint32_t *words = lua_newuserdatauv(L, (n + 1u) * sizeof(uint32_t), 0);
    words[0] = class;
    luaL_checkstack(L, 8, "captured functions");
    for (uint32_t u = 1; u <= n; u++) {
        const char *name = lua_getupvalue(L, function, (int)u);
        const void *value = lua_type(L, -1) == LUA_TFUNCTION ? lua_topointer(L, -1) : NULL;
        words[u] = HANDOUT_NONE;
        met_item *met = value ? find_met(&recorder->met, value) : NULL;
        if (met && met->reading == recorder->reading) words[u] = met->pool;
        if (words[u] == HANDOUT_NONE) {
            int known;
            words[u] = nested_pool(L, reading, function, (int)u, &known);
            if (!known) read_value(L, reading, words[u], name);
        }
        lua_pop(L, 1);
    }
    pool_set(L, recorder, pool, HANDOUT_POOL_FUNCTION, words, (n + 1u) * sizeof(uint32_t));
    reading->depth--;
    lua_settop(L, function);
}

/* A module's name when the value at the top is what its `require` gave, else NULL. */
static const char *module_name(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_MODULE_NAMES);
    lua_pushvalue(L, -2);
    lua_rawget(L, -2);
    const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    lua_pop(L, 2); /* the registry keeps the string alive */
    return name;
}

static int is_globals(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_GLOBALS);
    int same = lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    return same;
}

static int encode_protected(lua_State *L) {
    handout_codec *codec = &handout_of(L)->codec;
    codec->out.length = 0;
    handout_encode(L, codec, 1, lua_touserdata(L, 2), lua_touserdata(L, 3));
    return 0;
}

/* Encodes the value at the top; NULL, or what is wrong with it: a string at the top. */
static const char *encode_top(lua_State *L, const char *root, const char *verb) {
    lua_pushcfunction(L, encode_protected);
    lua_pushvalue(L, -2);
    lua_pushlightuserdata(L, (void *)(uintptr_t)root);
    lua_pushlightuserdata(L, (void *)(uintptr_t)verb);
    if (lua_pcall(L, 3, 0, 0) == LUA_OK) return NULL;
    const char *message = lua_tostring(L, -1);
    return message ? message : "too large";
}

int handout_encode_or_refuse(lua_State *L, handout_recorder *recorder, const char *code, const char *who, const char *root,
                             const char *verb) {
    const char *wrong = encode_top(L, root, verb);
    if (!wrong) return 1;
    handout_refuse(L, recorder, code, "%s: %s", who, wrong);
    lua_pop(L, 1);
    return 0;
}

static void read_data(lua_State *L, reading *reading, uint32_t pool, const char *variable) {
    handout_state *state = handout_of(L);
    const char *message = encode_top(L, variable, "cannot be captured by a task");
    if (!message) {
        pool_set(L, reading->recorder, pool, HANDOUT_POOL_DATA, state->codec.out.data, state->codec.out.length);
        return;
    }
    /* "variable.path: reason": the path goes between the quotes. */
    char task[256];
    const char *reason = strstr(message, ": ");
    int path = reason ? (int)(reason - message) : 0;
    handout_refuse(L, reading->recorder, "capture", "task '%s': captured variable '%.*s': %s",
                   task_name(reading, task, sizeof task), path, message, reason ? reason + 2 : message);
    reading->recorder->place = 0;
    lua_pop(L, 1);
    pool_set(L, reading->recorder, pool, HANDOUT_POOL_DATA, "\xc0", 1);
}

/* Reads the value at the top, the value of `variable`, into a pool entry. Leaves the stack as it was. */
static void read_value(lua_State *L, reading *reading, uint32_t pool, const char *variable) {
    handout_recorder *recorder = reading->recorder;
    const char *named;
    switch (lua_type(L, -1)) {
    case LUA_TNUMBER:
        if (lua_isinteger(L, -1)) {
            lua_Integer n = lua_tointeger(L, -1);
            if (n >= -(1ll << 54) && n < 1ll << 54) {
                set_entry(recorder, pool, pool_word(HANDOUT_POOL_INTEGER, (uint64_t)n));
                return;
            }
        }
        break;
    case LUA_TTABLE:
        if (is_globals(L) && strcmp(variable, "_ENV") == 0) {
            set_entry(recorder, pool, pool_word(HANDOUT_POOL_GLOBALS, 0));
            return;
        }
        if (strcmp(variable, "_ENV") == 0) {
            refuse_capture(L, reading, variable, "a function whose _ENV is not the global table cannot be a task");
            set_entry(recorder, pool, pool_word(HANDOUT_POOL_GLOBALS, 0));
            return;
        }
        /* fall through */
    case LUA_TFUNCTION:
        if ((named = handout_library_name(L, -1))) {
            pool_set_string(L, recorder, pool, HANDOUT_POOL_LIBRARY, named);
            return;
        }
        if ((named = module_name(L))) {
            pool_set_string(L, recorder, pool, HANDOUT_POOL_MODULE, named);
            return;
        }
        if (lua_type(L, -1) == LUA_TTABLE) break;
        if (!lua_iscfunction(L, -1)) {
            read_function(L, reading, pool, variable);
            return;
        }
        refuse_capture(L, reading, variable, "a function made in C cannot be captured by a task");
        pool_set(L, recorder, pool, HANDOUT_POOL_DATA, "\xc0", 1);
        return;
    case LUA_TLIGHTUSERDATA:
        refuse_capture(L, reading, variable, "a handle cannot be captured by a task (pass its value through needs)");
        pool_set(L, recorder, pool, HANDOUT_POOL_DATA, "\xc0", 1);
        return;
    case LUA_TUSERDATA:
        refuse_capture(L, reading, variable, "a graph cannot be captured by a task");
        pool_set(L, recorder, pool, HANDOUT_POOL_DATA, "\xc0", 1);
        return;
    default:
        break;
    }
    read_data(L, reading, pool, variable);
}

static void begin_reading(lua_State *L, reading *reading, handout_recorder *recorder, uint32_t graph, uint32_t row) {
    reading->recorder = recorder;
    reading->depth = 0;
    recorder->reading++;
    if (recorder->reading == 1 || recorder->met.count + recorder->met_variables.count > REMEMBERED) forget_met(L, recorder);
    reading->graph = graph;
    reading->row = row;
}

static void push_held(lua_State *L, const handout_recorder *recorder) { lua_rawgeti(L, LUA_REGISTRYINDEX, recorder->held); }

/* Reads captured variable `u` of the closure at `index`, held for `class`. */
static void read_held(lua_State *L, reading *reading, uint32_t class, int index, uint32_t u) {
    uint32_t pool = ((handout_class_record *)reading->recorder->classes.data)[class].pools[u];
    const char *name = lua_getupvalue(L, index, (int)u + 1);
    read_value(L, reading, pool, name);
    lua_pop(L, 1);
}

/* Reads those variables of the closure held for `class`, at `previous`, that the one at `index` does not share. Nothing
 * is let go before all are read: captured functions may refer to any of them. */
static void read_replaced(lua_State *L, handout_recorder *recorder, uint32_t class, int previous, int index) {
    handout_class_record *record = (handout_class_record *)recorder->classes.data + class;
    uint32_t n = record->public.upvalues;
    reading now;
    begin_reading(L, &now, recorder, record->held_graph, record->held_task);
    for (uint32_t u = 0; u < n; u++) {
        record = (handout_class_record *)recorder->classes.data + class; /* reading may add classes */
        if (record->ids[u] != lua_upvalueid(L, index, (int)u + 1)) read_held(L, &now, class, previous, u);
    }
}

/* Appends the pool index of each captured variable to `captures`, which is no vector that reading may add to. */
static void record_captures(lua_State *L, handout_recorder *recorder, uint32_t class, int index, uint32_t graph,
                            uint32_t row, handout_vector *captures) {
    handout_class_record *record = (handout_class_record *)recorder->classes.data + class;
    uint32_t n = record->public.upvalues;
    size_t first = captures->count;
    handout_count_columns(L, recorder, 4 * (size_t)n);
    if (n && !handout_vector_add_many(captures, n)) handout_exhausted(L);
    index = lua_absindex(L, index);
    luaL_checkstack(L, 12, "captures");
    push_held(L, recorder);
    int held = lua_gettop(L);
    if (record->held) {
        lua_rawgeti(L, held, (lua_Integer)class + 1);
        read_replaced(L, recorder, class, held + 1, index);
        record = (handout_class_record *)recorder->classes.data + class;
    }
    for (uint32_t u = 0; u < n; u++) {
        const void *id = lua_upvalueid(L, index, (int)u + 1);
        uint32_t pool;
        if (record->held && record->ids[u] == id) {
            pool = record->pools[u];
        } else {
            if (record->held) identity_release(recorder, record->ids[u]);
            handout_identity *identity = identity_find(recorder, id);
            if (identity) {
                identity->holders++;
                pool = identity->pool;
            } else {
                pool = pool_reserve(L, recorder);
                identity_add(L, recorder, id, pool);
            }
            record->ids[u] = id;
            record->pools[u] = pool;
        }
        ((uint32_t *)captures->data)[first + u] = pool;
    }
    record->held = 1;
    record->held_graph = graph;
    record->held_task = row;
    lua_pushvalue(L, index);
    lua_rawseti(L, held, (lua_Integer)class + 1);
    lua_settop(L, held - 1);
}

void handout_record_captures(lua_State *L, handout_recorder *recorder, uint32_t class, int index, uint32_t graph,
                             uint32_t row) {
    record_captures(L, recorder, class, index, graph, row, &((handout_graph_record *)recorder->graphs.data + graph)->captures);
}

uint32_t handout_record_function(lua_State *L, handout_recorder *recorder, int index, uint32_t graph, uint32_t row) {
    uint32_t class = handout_class_of(L, recorder, index);
    recorder->words.count = 0;
    uint32_t *word = handout_vector_add(&recorder->words);
    if (!word) handout_exhausted(L);
    *word = class;
    record_captures(L, recorder, class, index, graph, row, &recorder->words);
    return handout_pool_add(L, recorder, HANDOUT_POOL_FUNCTION, recorder->words.data, recorder->words.count * sizeof(uint32_t));
}

void handout_read_held(lua_State *L, handout_recorder *recorder) {
    push_held(L, recorder);
    int held = lua_gettop(L);
    for (uint32_t class = 0; class < recorder->classes.count; class++) {
        handout_class_record *record = (handout_class_record *)recorder->classes.data + class;
        if (!record->held) continue;
        lua_rawgeti(L, held, (lua_Integer)class + 1);
        reading now;
        begin_reading(L, &now, recorder, record->held_graph, record->held_task);
        for (uint32_t u = 0, n = record->public.upvalues; u < n; u++) read_held(L, &now, class, held + 1, u);
        lua_settop(L, held);
    }
    lua_pop(L, 1);
}

