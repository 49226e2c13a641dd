/* Functions as class and captured values. */
#define _GNU_SOURCE
#include "plan.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char HANDOUT_KEY_MODULES, HANDOUT_KEY_MODULE_NAMES, HANDOUT_KEY_HELD, HANDOUT_KEY_TEMPLATES, HANDOUT_KEY_MODULE;

enum { MAX_ERRORS = 100, MAX_CAPTURE_DEPTH = 150 };
#define NONE 0xFFFFFFFFu

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

void *handout_vector_add(handout_vector *vector) { return handout_vector_add_many(vector, 1); }

/* A vector could not grow: memory of the host, not of the script. */
static _Noreturn void exhausted(lua_State *L) {
    handout_leave(handout_of(L), HANDOUT_MEMORY, "no memory left for the plan");
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
    if (!error) exhausted(L);
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

/* ---- Sources and classes ---- */

uint32_t handout_source_index(handout_recorder *recorder, const char *source) {
    if (source == recorder->cached_source) return recorder->cached_source_index;
    handout_source *sources = (handout_source *)recorder->sources.data;
    uint32_t index = 0;
    while (index < recorder->sources.count && strcmp(sources[index].name, source) != 0) index++;
    if (index == recorder->sources.count) {
        handout_source *added = handout_vector_add(&recorder->sources);
        if (!added) return 0;
        *added = (handout_source){.name = strdup(source)};
    }
    recorder->cached_source = source;
    recorder->cached_source_index = index;
    return index;
}

/* The last "function" before `line`, when no parenthesis follows it there: its own may stand on the line. */
static int begins_before(const char *text, const char *line) {
    for (const char *p = line; p - text >= 8; p--) {
        if (p < line && *p == '(') return 0;
        if (memcmp(p - 8, "function", 8) == 0) return 1;
    }
    return 0;
}

/* Whether two functions may begin on that line, which is the line of the parenthesis after the word `function`.
 * Comments and strings count: saying yes too often only costs a dump a closure. */
static int several_functions_on_line(const handout_source *source, uint32_t line) {
    if (!source->text || memchr(source->text, '\r', source->length)) return 1;
    const char *p = source->text, *end = p + source->length;
    for (uint32_t at = 1; at < line && p < end; at++) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        if (!newline) return 1;
        p = newline + 1;
    }
    const char *stop = memchr(p, '\n', (size_t)(end - p)), *begin = p;
    if (!stop) stop = end;
    int found = 0;
    while (p < stop && found < 2) {
        const char *hit = memmem(p, (size_t)(stop - p), "function", 8);
        if (!hit) break;
        found++;
        p = hit + 8;
    }
    return found != 1 || begins_before(source->text, begin);
}

static int write_dump(lua_State *L, const void *bytes, size_t size, void *context) {
    return handout_buffer_append(context, bytes, size) != 0;
}

static uint32_t class_hash(uint32_t source, uint32_t line, uint32_t last, uint32_t upvalues) {
    uint64_t h = ((uint64_t)source << 40 ^ (uint64_t)line << 20 ^ (uint64_t)last << 4 ^ upvalues) * 0x9E3779B97F4A7C15ull;
    return (uint32_t)(h >> 32);
}

static void class_table_insert(handout_recorder *recorder, uint32_t class) {
    handout_class_record *record = (handout_class_record *)recorder->classes.data + class;
    uint32_t mask = recorder->class_capacity - 1;
    uint32_t at = class_hash(record->public.source, record->public.line, record->public.last_line,
                             record->public.upvalues) & mask;
    while (recorder->class_table[at]) at = (at + 1) & mask;
    recorder->class_table[at] = class + 1;
}

static void class_table_grow(lua_State *L, handout_recorder *recorder) {
    uint32_t capacity = recorder->class_capacity ? recorder->class_capacity * 2 : 64;
    uint32_t *table = calloc(capacity, sizeof *table);
    if (!table) exhausted(L);
    free(recorder->class_table);
    recorder->class_table = table;
    recorder->class_capacity = capacity;
    for (uint32_t i = 0; i < recorder->classes.count; i++) class_table_insert(recorder, i);
}

/* Writes the function at `index` to the scratch buffer, with its debug information: names of captured variables tell
 * two functions on one line apart as well. */
static void dump(lua_State *L, int index) {
    handout_buffer *scratch = &handout_of(L)->scratch;
    scratch->length = 0;
    lua_pushvalue(L, index);
    if (lua_dump(L, write_dump, scratch, 0)) exhausted(L);
    lua_pop(L, 1);
}

static int same_dump(const handout_class_record *record, const handout_buffer *dumped) {
    return record->dump_length == dumped->length && memcmp(record->dump, dumped->data, dumped->length) == 0;
}

/* The names of the captured variables of the function at `index`, each ended by a NUL. */
static char *captured_names(lua_State *L, int index) {
    handout_buffer names = {0};
    const char *name;
    for (int u = 1; (name = lua_getupvalue(L, index, u)); u++) {
        lua_pop(L, 1);
        if (handout_buffer_append(&names, name, strlen(name) + 1)) exhausted(L);
    }
    if (handout_buffer_append(&names, "", 1)) exhausted(L);
    return (char *)names.data;
}

/* Keeps the compiled form: this process has compiled it, and only states of this process load it. */
static void keep_code(lua_State *L, handout_recorder *recorder, handout_class_record *record, int index) {
    handout_buffer *scratch = &handout_of(L)->scratch;
    dump(L, index);
    record->public.code = recorder->code.count;
    record->public.code_length = (uint32_t)scratch->length;
    void *to = handout_vector_add_many(&recorder->code, scratch->length);
    if (!to) exhausted(L);
    memcpy(to, scratch->data, scratch->length);
}

static uint32_t add_class(lua_State *L, handout_recorder *recorder, const lua_Debug *ar, int index, uint32_t source,
                          int ambiguous, uint32_t variant) {
    if ((recorder->classes.count + 1) * 2 > recorder->class_capacity) class_table_grow(L, recorder);
    handout_class_record *record = handout_vector_add(&recorder->classes);
    if (!record) exhausted(L);
    uint32_t class = (uint32_t)(recorder->classes.count - 1);
    *record = (handout_class_record){
        .public = {.source = source, .line = (uint32_t)ar->linedefined, .last_line = (uint32_t)ar->lastlinedefined,
                   .variant = variant, .upvalues = ar->nups},
        .source = ar->source,
        .ambiguous = ambiguous,
        .names = captured_names(L, index),
        .ids = calloc(ar->nups + 1u, sizeof(void *)),
        .pools = calloc(ar->nups + 1u, sizeof(uint32_t)),
    };
    if (!record->ids || !record->pools) exhausted(L);
    if (!recorder->tables) keep_code(L, recorder, record, index);
    if (ambiguous) {
        handout_buffer *scratch = &handout_of(L)->scratch;
        record->dump = malloc(scratch->length);
        if (!record->dump) exhausted(L);
        memcpy(record->dump, scratch->data, scratch->length);
        record->dump_length = scratch->length;
    }
    class_table_insert(recorder, class);
    return class;
}

uint32_t handout_class_of(lua_State *L, handout_recorder *recorder, int index) {
    lua_Debug ar;
    index = lua_absindex(L, index);
    lua_pushvalue(L, index);
    lua_getinfo(L, ">Su", &ar);
    uint32_t source = handout_source_index(recorder, ar.source), variant = 0;
    int ambiguous = -1;
    if (recorder->class_capacity) {
        uint32_t mask = recorder->class_capacity - 1;
        uint32_t at = class_hash(source, (uint32_t)ar.linedefined, (uint32_t)ar.lastlinedefined, ar.nups) & mask;
        for (; recorder->class_table[at]; at = (at + 1) & mask) {
            uint32_t class = recorder->class_table[at] - 1;
            handout_class_record *record = (handout_class_record *)recorder->classes.data + class;
            if (record->public.source != source || record->public.line != (uint32_t)ar.linedefined ||
                record->public.last_line != (uint32_t)ar.lastlinedefined || record->public.upvalues != ar.nups)
                continue;
            if (!record->ambiguous) return class;
            if (ambiguous < 0) dump(L, index);
            ambiguous = 1;
            if (same_dump(record, &handout_of(L)->scratch)) return class;
            variant++;
        }
    }
    if (ambiguous < 0) {
        handout_source *sources = (handout_source *)recorder->sources.data;
        ambiguous = several_functions_on_line(&sources[source], (uint32_t)ar.linedefined);
        if (ambiguous) dump(L, index);
    }
    return add_class(L, recorder, &ar, index, source, ambiguous, variant);
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
        if (!recorder->identities) exhausted(L);
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
    size_t total = recorder->pool.count * sizeof(uint64_t) + recorder->pool_bytes.count;
    for (size_t i = 0; i < recorder->graphs.count; i++) {
        const handout_graph_record *graph = (handout_graph_record *)recorder->graphs.data + i;
        total += graph->count * 29 + graph->names.count + 4 * (graph->references.count + graph->captures.count) + 8 * graph->id_capacity;
    }
    if (state->limit && total + state->used > state->limit) exhausted(L);
}

static uint32_t pool_reserve(lua_State *L, handout_recorder *recorder) {
    uint64_t *entry = handout_vector_add(&recorder->pool);
    if (!entry || recorder->pool.count >= 1u << 28) exhausted(L);
    *entry = pool_word(HANDOUT_POOL_PENDING, 0);
    return (uint32_t)(recorder->pool.count - 1);
}

static void pool_set(lua_State *L, handout_recorder *recorder, uint32_t index, unsigned kind, const void *bytes,
                     size_t length) {
    handout_count_columns(L, recorder, length);
    uint64_t position = recorder->pool_bytes.count;
    void *to = handout_vector_add_many(&recorder->pool_bytes, length);
    if (!to && length) exhausted(L);
    if (length) memcpy(to, bytes, length);
    ((uint64_t *)recorder->pool.data)[index] = pool_word(kind, position);
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

/* A function met in this reading, and its pool entry. */
typedef struct met_function {
    const void *identity;
    uint32_t pool;
} met_function;

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
    handout_identity *identity = identity_find(reading->recorder, lua_upvalueid(L, function, n));
    if (identity) {
        /* A held closure will have it read when it lets go; until then nothing else can read a later value. */
        *known = 1;
        return identity->pool;
    }
    *known = 0;
    return pool_reserve(L, reading->recorder);
}

static void read_function(lua_State *L, reading *reading, uint32_t pool, const char *variable) {
    handout_recorder *recorder = reading->recorder;
    int function = lua_gettop(L);
    const void *identity = lua_topointer(L, function);
    if (reading->depth >= MAX_CAPTURE_DEPTH) {
        refuse_capture(L, reading, variable, "captured functions nested deeper than 150");
        pool_set(L, recorder, pool, HANDOUT_POOL_DATA, "\xc0", 1);
        return;
    }
    reading->depth++;
    met_function *met = handout_vector_add(&recorder->met);
    if (!met) exhausted(L);
    *met = (met_function){identity, pool};
    uint32_t class = handout_class_of(L, recorder, function);
    uint32_t n = ((handout_class_record *)recorder->classes.data)[class].public.upvalues;
    uint32_t *words = lua_newuserdatauv(L, (n + 1u) * sizeof(uint32_t), 0);
    words[0] = class;
    luaL_checkstack(L, 8, "captured functions");
    for (uint32_t u = 1; u <= n; u++) {
        const char *name = lua_getupvalue(L, function, (int)u);
        const void *value = lua_type(L, -1) == LUA_TFUNCTION ? lua_topointer(L, -1) : NULL;
        words[u] = NONE;
        for (size_t i = 0; value && i < recorder->met.count; i++) {
            met_function *seen = (met_function *)recorder->met.data + i;
            if (seen->identity == value) words[u] = seen->pool;
        }
        if (words[u] == NONE) {
            int known;
            words[u] = nested_pool(L, reading, function, (int)u, &known);
            uint64_t entry = ((uint64_t *)recorder->pool.data)[words[u]];
            if (!known || handout_pool_kind(entry) == HANDOUT_POOL_PENDING) read_value(L, reading, words[u], name);
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
    char task[256];
    handout_refuse(L, reading->recorder, "capture", "task '%s': captured variable '%s': %s",
                   task_name(reading, task, sizeof task), variable, message);
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
                ((uint64_t *)recorder->pool.data)[pool] = pool_word(HANDOUT_POOL_INTEGER, (uint64_t)n);
                return;
            }
        }
        break;
    case LUA_TTABLE:
        if (is_globals(L) && strcmp(variable, "_ENV") == 0) {
            ((uint64_t *)recorder->pool.data)[pool] = pool_word(HANDOUT_POOL_GLOBALS, 0);
            return;
        }
        if (strcmp(variable, "_ENV") == 0) {
            refuse_capture(L, reading, variable, "a function whose _ENV is not the global table cannot be a task");
            ((uint64_t *)recorder->pool.data)[pool] = pool_word(HANDOUT_POOL_GLOBALS, 0);
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

static void begin_reading(reading *reading, handout_recorder *recorder, uint32_t graph, uint32_t row) {
    reading->recorder = recorder;
    reading->depth = 0;
    recorder->met.count = 0;
    reading->graph = graph;
    reading->row = row;
}

static void push_held(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_HELD); }

/* Reads captured variable `u` of the closure at `index`, held by `record`, and lets its identity go. */
static void let_go(lua_State *L, handout_recorder *recorder, uint32_t class, int index, uint32_t u) {
    handout_class_record *record = (handout_class_record *)recorder->classes.data + class;
    uint32_t pool = record->pools[u];
    const void *id = record->ids[u];
    const char *name = lua_getupvalue(L, index, (int)u + 1);
    reading now;
    begin_reading(&now, recorder, record->held_graph, record->held_task);
    read_value(L, &now, pool, name);
    lua_pop(L, 1);
    identity_release(recorder, id);
}

void handout_record_captures(lua_State *L, handout_recorder *recorder, uint32_t class, int index, uint32_t graph,
                             uint32_t row) {
    handout_class_record *record = (handout_class_record *)recorder->classes.data + class;
    handout_vector *captures = &((handout_graph_record *)recorder->graphs.data + graph)->captures;
    uint32_t n = record->public.upvalues;
    size_t first = captures->count;
    if (n && !handout_vector_add_many(captures, n)) exhausted(L);
    index = lua_absindex(L, index);
    luaL_checkstack(L, 12, "captures");
    push_held(L);
    int held = lua_gettop(L);
    if (record->held) lua_rawgeti(L, held, (lua_Integer)class + 1);
    else lua_pushnil(L);
    int previous = lua_gettop(L);
    for (uint32_t u = 0; u < n; u++) {
        const void *id = lua_upvalueid(L, index, (int)u + 1);
        record = (handout_class_record *)recorder->classes.data + class; /* reading may add classes */
        uint32_t pool;
        if (record->held && record->ids[u] == id) {
            pool = record->pools[u];
        } else {
            if (record->held) let_go(L, recorder, class, previous, u);
            handout_identity *identity = identity_find(recorder, id);
            if (identity) {
                identity->holders++;
                pool = identity->pool;
            } else {
                pool = pool_reserve(L, recorder);
                identity_add(L, recorder, id, pool);
            }
            record = (handout_class_record *)recorder->classes.data + class;
            record->ids[u] = id;
            record->pools[u] = pool;
        }
        captures = &((handout_graph_record *)recorder->graphs.data + graph)->captures;
        ((uint32_t *)captures->data)[first + u] = pool;
    }
    record->held = 1;
    record->held_graph = graph;
    record->held_task = row;
    lua_pushvalue(L, index);
    lua_rawseti(L, held, (lua_Integer)class + 1);
    lua_settop(L, held - 1);
}

void handout_read_held(lua_State *L, handout_recorder *recorder) {
    push_held(L);
    int held = lua_gettop(L);
    for (uint32_t class = 0; class < recorder->classes.count; class++) {
        handout_class_record *record = (handout_class_record *)recorder->classes.data + class;
        if (!record->held) continue;
        lua_rawgeti(L, held, (lua_Integer)class + 1);
        uint32_t n = record->public.upvalues;
        for (uint32_t u = 0; u < n; u++) let_go(L, recorder, class, held + 1, u);
        ((handout_class_record *)recorder->classes.data + class)->held = 0;
        lua_settop(L, held);
    }
    lua_pop(L, 1);
}

/* ---- Template mode ---- */

void handout_push_templates(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_TEMPLATES); }

/* The plan's class for a class of this state, or NONE. Sources are compared by name, variants by order of appearance. */
static uint32_t plan_class(handout_recorder *recorder, uint32_t class) {
    const handout_class *mine = &((handout_class_record *)recorder->classes.data + class)->public;
    const handout_tables *tables = recorder->tables;
    if (class < tables->class_count) {
        const handout_class *same = &tables->class_list[class]; /* seen in the same order: the usual case */
        if (same->source == mine->source && same->line == mine->line && same->last_line == mine->last_line &&
            same->variant == mine->variant && same->upvalues == mine->upvalues)
            return class;
    }
    for (uint32_t i = 0; i < tables->class_count; i++) {
        const handout_class *other = &tables->class_list[i];
        if (other->source == mine->source && other->line == mine->line && other->last_line == mine->last_line &&
            other->variant == mine->variant && other->upvalues == mine->upvalues)
            return i;
    }
    return NONE;
}

static void see_captured(lua_State *L, handout_recorder *recorder, int index, int depth);

/* Keeps the function at `index` as its class's template when it is the first. */
static void see_function(lua_State *L, handout_recorder *recorder, int index, int depth) {
    uint32_t class = plan_class(recorder, handout_class_of(L, recorder, index));
    if (class == NONE) return;
    luaL_checkstack(L, 8, "templates");
    handout_push_templates(L);
    int known = lua_rawgeti(L, -1, (lua_Integer)class + 1) != LUA_TNIL;
    lua_pop(L, 1);
    if (!known) {
        lua_pushvalue(L, index);
        lua_rawseti(L, -2, (lua_Integer)class + 1);
        recorder->missing--;
    }
    lua_pop(L, 1);
    if (!known || (recorder->thorough && depth < MAX_CAPTURE_DEPTH)) see_captured(L, recorder, index, depth);
}

static void see_captured(lua_State *L, handout_recorder *recorder, int index, int depth) {
    if (recorder->missing == 0) return;
    for (int u = 1; lua_getupvalue(L, index, u); u++) {
        if (lua_type(L, -1) == LUA_TFUNCTION && !lua_iscfunction(L, -1))
            see_function(L, recorder, lua_gettop(L), depth + 1);
        lua_pop(L, 1);
    }
}

int handout_see_template(lua_State *L, handout_recorder *recorder, int index) {
    if (recorder->missing == 0) return 0;
    see_function(L, recorder, lua_absindex(L, index), 0);
    if (recorder->wanted == NONE) return 0;
    handout_push_templates(L);
    int there = lua_rawgeti(L, -1, (lua_Integer)recorder->wanted + 1) != LUA_TNIL;
    lua_pop(L, 2);
    return there;
}

void handout_recorder_finish_templates(lua_State *L, handout_recorder *recorder) {
    handout_push_templates(L);
    int templates = lua_gettop(L);
    /* Captured variables may have been assigned after the function was declared. New templates are looked into as they
     * are found, so one pass over those of before is enough. */
    for (uint32_t class = 0; class < recorder->tables->class_count && recorder->missing; class++) {
        if (lua_rawgeti(L, templates, (lua_Integer)class + 1) == LUA_TFUNCTION)
            see_captured(L, recorder, lua_gettop(L), 0);
        lua_settop(L, templates);
    }
    lua_pop(L, 1);
}
