/* Sources, and functions as classes: a function is known by its place in the source. */
#define _GNU_SOURCE
#include "plan.h"
#include <stdlib.h>
#include <string.h>

uint32_t handout_source_index(handout_recorder *recorder, const char *source) {
    handout_source *sources = (handout_source *)recorder->sources.data;
    uint32_t index = recorder->cached_source;
    /* By name: Lua may give the memory of a collected chunk's name to another. */
    if (index < recorder->sources.count && strcmp(sources[index].name, source) == 0) return index;
    index = 0;
    while (index < recorder->sources.count && strcmp(sources[index].name, source) != 0) index++;
    if (index == recorder->sources.count) {
        handout_source *added = handout_vector_add(&recorder->sources);
        if (!added) return 0;
        *added = (handout_source){.name = strdup(source)};
    }
    return recorder->cached_source = index;
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
    if (!table) handout_exhausted(L);
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
    if (lua_dump(L, write_dump, scratch, 0)) handout_exhausted(L);
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
        if (handout_buffer_append(&names, name, strlen(name) + 1)) handout_exhausted(L);
    }
    if (handout_buffer_append(&names, "", 1)) handout_exhausted(L);
    return (char *)names.data;
}

/* Keeps the compiled form: this process has compiled it, and only states of this process load it. */
static void keep_code(lua_State *L, handout_recorder *recorder, handout_class_record *record, int index) {
    handout_buffer *scratch = &handout_of(L)->scratch;
    dump(L, index);
    record->public.code = recorder->code.count;
    record->public.code_length = (uint32_t)scratch->length;
    void *to = handout_vector_add_many(&recorder->code, scratch->length);
    if (!to) handout_exhausted(L);
    memcpy(to, scratch->data, scratch->length);
    handout_count_columns(L, recorder, 2 * scratch->length); /* the record may hold another copy */
}

static uint32_t add_class(lua_State *L, handout_recorder *recorder, const lua_Debug *ar, int index, uint32_t source,
                          int ambiguous, uint32_t variant) {
    if ((recorder->classes.count + 1) * 2 > recorder->class_capacity) class_table_grow(L, recorder);
    handout_class_record *record = handout_vector_add(&recorder->classes);
    if (!record) handout_exhausted(L);
    uint32_t class = (uint32_t)(recorder->classes.count - 1);
    *record = (handout_class_record){
        .public = {.source = source, .line = (uint32_t)ar->linedefined, .last_line = (uint32_t)ar->lastlinedefined,
                   .variant = variant, .upvalues = ar->nups},
        .ambiguous = ambiguous,
        .names = captured_names(L, index),
        .ids = calloc(ar->nups + 1u, sizeof(void *)),
        .pools = calloc(ar->nups + 1u, sizeof(uint32_t)),
    };
    if (!record->ids || !record->pools) handout_exhausted(L);
    if (!recorder->tables) keep_code(L, recorder, record, index);
    if (ambiguous) {
        handout_buffer *scratch = &handout_of(L)->scratch;
        record->dump = malloc(scratch->length);
        if (!record->dump) handout_exhausted(L);
        memcpy(record->dump, scratch->data, scratch->length);
        record->dump_length = scratch->length;
    }
    record->public.identity = handout_hash(HANDOUT_HASH, ar->source, strlen(ar->source));
    if (ambiguous) record->public.identity = handout_hash(record->public.identity, record->dump, record->dump_length);
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

