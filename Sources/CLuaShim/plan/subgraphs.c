/* Graphs in graphs: inputs, included graphs, which are copied row by row, and graphs that a map instantiates. */
#include "graph.h"
#include "sandbox.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The payload of CONSTANT of an input that has no value yet. */
#define UNBOUND 0x0FFFFFFFu
enum { MOST_INPUTS = 200 };

static uint32_t *words_of(const handout_graph_record *graph, uint32_t row, uint32_t *count) {
    const uint32_t *offsets = (const uint32_t *)graph->reference_offsets.data;
    size_t end = row + 1 < graph->reference_offsets.count ? offsets[row + 1] : graph->references.count;
    *count = (uint32_t)(end - offsets[row]);
    return (uint32_t *)graph->references.data + offsets[row];
}

static uint32_t input_count(const handout_graph_record *graph) { return (uint32_t)graph->inputs.count; }
static uint32_t input_row(const handout_graph_record *graph, uint32_t i) { return ((const uint32_t *)graph->inputs.data)[i]; }

static void add_u32(lua_State *L, handout_vector *vector, uint32_t value) {
    vector->size = sizeof value;
    uint32_t *to = handout_vector_add(vector);
    handout_need_memory(L, to);
    *to = value;
}

/* ---- g:input ---- */

int handout_graph_input(lua_State *L) {
    handout_recorder *recorder = handout_recorder_of(L);
    uint32_t graph_index = handout_graph_self(L, "input")->index, slot = 0;
    lua_settop(L, 3);
    if (recorder->tables && !recorder->tables->indirect) return luaL_error(L, "the script is not what it was when it was planned");
    handout_graph_record *graph = handout_graph_at(recorder, graph_index);
    char who[320];
    uint64_t entry = 0;
    handout_drop_unfinished(graph);
    int named = handout_check_new_id(L, recorder, graph, 2, "input", who, sizeof who, &slot, &entry);
    uint32_t constant = UNBOUND, row = graph->count;
    if (!lua_isnil(L, 3)) {
        uint64_t errors = recorder->errors.count + recorder->errors_left_out;
        handout_codec *codec = &handout_of(L)->codec;
        lua_pushvalue(L, 3);
        if (lua_islightuserdata(L, -1)) handout_refuse(L, recorder, "input", "%s: default: expected plain data, got a handle", who);
        else if (handout_encode_or_refuse(L, recorder, "input", who, "default", "cannot be an input"))
            constant = handout_pool_add(L, recorder, HANDOUT_POOL_DATA, codec->out.data, codec->out.length);
        /* One that was refused is not said to be missing as well. */
        if (errors != recorder->errors.count + recorder->errors_left_out)
            constant = handout_pool_add(L, recorder, HANDOUT_POOL_DATA, "\xc0", 1);
        lua_pop(L, 1);
    }
    if (named) {
        size_t length;
        const char *id = lua_tolstring(L, 2, &length);
        handout_begin_row(L, recorder, graph_index, id, length, HANDOUT_ROW_INPUT, handout_plain_options(L, recorder),
                          handout_current_line(L, recorder));
        handout_add_word(L, handout_graph_at(recorder, graph_index), handout_word(HANDOUT_OP_CONSTANT, constant));
        graph = handout_graph_at(recorder, graph_index);
        add_u32(L, &graph->inputs, row);
        graph->id_table[slot] = entry;
        handout_end_row(recorder, graph_index, HANDOUT_NONE);
    }
    lua_pushlightuserdata(L, handout_handle(graph_index, row));
    return 1;
}

static const handout_parameter *given_input(const handout_recorder *recorder, const char *name, size_t length) {
    for (size_t i = 0; i < recorder->input_count; i++)
        if (strlen(recorder->inputs[i].name) == length && memcmp(recorder->inputs[i].name, name, length) == 0) return &recorder->inputs[i];
    return NULL;
}

/* Says of each given value that no input is called so. */
static void refuse_unknown_inputs(lua_State *L, handout_recorder *recorder, const handout_graph_record *graph) {
    const char *names[MOST_INPUTS + 1];
    char texts[MOST_INPUTS][201];
    uint32_t known = input_count(graph) < MOST_INPUTS ? input_count(graph) : MOST_INPUTS;
    for (uint32_t i = 0; i < known; i++) {
        size_t length;
        const char *name = handout_row_name(graph, input_row(graph, i), &length);
        snprintf(texts[i], sizeof texts[i], "%.*s", (int)length, name);
        names[i] = texts[i];
    }
    names[known] = NULL;
    for (size_t g = 0; g < recorder->input_count; g++) {
        const char *name = recorder->inputs[g].name;
        int found = 0;
        for (uint32_t i = 0; i < known; i++) found |= strcmp(names[i], name) == 0;
        if (found) continue;
        const char *near = handout_nearest(name, strlen(name), names);
        char shown[260];
        handout_escape(name, strlen(name), 200, shown, sizeof shown);
        if (near) handout_refuse(L, recorder, "input", "input '%s' is not one of the graph's (did you mean '%s'?)", shown, near);
        else handout_refuse(L, recorder, "input", "input '%s' is not one of the graph's", shown);
    }
}

void handout_bind_inputs(lua_State *L, handout_recorder *recorder) {
    if (recorder->returned_graph == HANDOUT_NONE) return;
    handout_graph_record *graph = handout_graph_at(recorder, recorder->returned_graph);
    for (uint32_t i = 0; i < input_count(graph); i++) {
        uint32_t row = input_row(graph, i), count;
        size_t length;
        const char *name = handout_row_name(graph, row, &length);
        uint32_t *words = words_of(graph, row, &count);
        const handout_parameter *given = given_input(recorder, name, length);
        if (given) {
            words[0] = handout_word(HANDOUT_OP_CONSTANT,
                                    handout_pool_add(L, recorder, HANDOUT_POOL_DATA, given->text, given->length));
        } else if (handout_payload(words[0]) == UNBOUND) {
            recorder->place = ((const uint32_t *)graph->lines.data)[row];
            handout_refuse(L, recorder, "input", "input '%.*s' is not given and has no default (--input %.*s=JSON gives it)", (int)length,
                           name, (int)length, name);
            recorder->place = 0;
        }
    }
    refuse_unknown_inputs(L, recorder, graph);
}

/* ---- What uses what ---- */

int handout_graph_uses(handout_recorder *recorder, uint32_t graph, uint32_t other) {
    if (graph == other) return 1;
    const handout_graph_record *record = handout_graph_at(recorder, graph);
    const uint32_t *words = (const uint32_t *)record->references.data;
    for (size_t i = 0; i < record->references.count; i++)
        if (handout_operation(words[i]) == HANDOUT_OP_GRAPH && handout_graph_uses(recorder, handout_payload(words[i]), other)) return 1;
    return 0;
}

static void seal(lua_State *L, handout_recorder *recorder, uint32_t graph) {
    handout_graph_record *record = handout_graph_at(recorder, graph);
    handout_drop_unfinished(record);
    uint32_t line = handout_current_line(L, recorder);
    if (!record->sealed) record->sealed = line ? line : 1;
}

/* ---- Outputs ---- */

static int by_name(const void *a, const void *b, const char *names) {
    const handout_plan_output *x = a, *y = b;
    uint32_t least = x->name_length < y->name_length ? x->name_length : y->name_length;
    int order = memcmp(names + x->name_offset, names + y->name_offset, least);
    return order ? order : (x->name_length > y->name_length) - (x->name_length < y->name_length);
}

static char *name_of_output(handout_recorder *recorder, const handout_plan_output *output) {
    return ((char **)recorder->declared.data)[output->name_offset];
}

static void add_output(lua_State *L, handout_recorder *recorder, handout_vector *outputs, const char *name, size_t length, uint32_t row) {
    char *copy = malloc(length + 1);
    handout_need_memory(L, copy);
    memcpy(copy, name, length);
    copy[length] = 0;
    char **kept = handout_vector_add(&recorder->declared);
    handout_need_memory(L, kept);
    *kept = copy;
    outputs->size = sizeof(handout_plan_output);
    handout_plan_output *to = handout_vector_add(outputs);
    handout_need_memory(L, to);
    *to = (handout_plan_output){(uint32_t)(recorder->declared.count - 1), (uint32_t)length, row};
}

/* Marks rows that others refer to with 1; with 4 where that is a row outside of the include that the row came with. */
static void mark_references(const handout_graph_record *graph, uint8_t *marks) {
    const uint32_t *included = (const uint32_t *)graph->included.data;
    size_t include = 0;
    for (size_t i = 0; i < graph->given.count; i++) marks[((const uint32_t *)graph->given.data)[i]] |= 1 | 4;
    for (uint32_t row = 0; row < graph->count; row++) {
        while (include + 1 < graph->included.count && row >= included[include] + included[include + 1]) include += 2;
        int inside = include + 1 < graph->included.count && row >= included[include];
        uint32_t count;
        const uint32_t *words = words_of(graph, row, &count);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t operation = handout_operation(words[i]), to = handout_payload(words[i]);
            if (operation != HANDOUT_OP_TASK && operation != HANDOUT_OP_OVER && operation != HANDOUT_OP_OWN) continue;
            marks[to] |= 1;
            if (!inside || to < included[include]) marks[to] |= 4;
        }
    }
}

/* Gives a graph that names no outputs those that it has: rows that nothing refers to, and outputs of included graphs. */
static void default_outputs(lua_State *L, handout_recorder *recorder, uint32_t graph_index) {
    handout_graph_record *graph = handout_graph_at(recorder, graph_index);
    if (graph->outputs.count || !graph->count) return;
    uint8_t *marks = calloc(graph->count, 1);
    handout_need_memory(L, marks);
    const uint32_t *included = (const uint32_t *)graph->included.data;
    for (size_t i = 0; i + 1 < graph->included.count; i += 2)
        for (uint32_t row = 0; row < included[i + 1]; row++) marks[included[i] + row] |= 2;
    mark_references(graph, marks);
    for (uint32_t row = 0; row < graph->count; row++) {
        if (marks[row] || ((const uint8_t *)graph->kinds.data)[row] > HANDOUT_ROW_WHEN) continue;
        size_t length;
        char name[700];
        const char *id = handout_row_name(graph, row, &length);
        if (length > sizeof name) length = sizeof name;
        memcpy(name, id, length);
        add_output(L, recorder, &graph->outputs, name, length, row);
    }
    for (size_t i = 0; i < graph->parts.count; i++) {
        handout_plan_output part = ((handout_plan_output *)graph->parts.data)[i];
        if (!(marks[part.task] & 4))
            add_output(L, recorder, &graph->outputs, name_of_output(recorder, &part), part.name_length, part.task);
    }
    free(marks);
}

/* ---- g:include ---- */

/* A row of the included graph in the including one. */
typedef struct copying {
    lua_State *L;
    handout_recorder *recorder;
    uint32_t from, to;     /* graphs */
    const char *prefix;
    uint32_t *rows;        /* by row of the included graph */
    const handout_parsed *options;
    const char *who;
} copying;

static uint32_t mapped(const copying *now, uint32_t word) {
    uint32_t operation = handout_operation(word);
    if (operation != HANDOUT_OP_TASK && operation != HANDOUT_OP_OVER && operation != HANDOUT_OP_OWN) return word;
    return handout_word(operation, now->rows[handout_payload(word)]);
}

static int is_section(uint32_t word) {
    uint32_t operation = handout_operation(word);
    return operation == HANDOUT_OP_AFTER || (operation >= HANDOUT_OP_WHEN && operation <= HANDOUT_OP_FUNCTION);
}

static void copy_words(const copying *now, uint32_t row, uint32_t kind) {
    lua_State *L = now->L;
    uint32_t count;
    uint32_t *from = words_of(handout_graph_at(now->recorder, now->from), row, &count);
    /* Adding to the other graph does not move these, but a graph may not be copied into itself. */
    uint32_t i = 0;
    for (; i < count && !is_section(from[i]); i++)
        handout_add_word(L, handout_graph_at(now->recorder, now->to), mapped(now, from[i]));
    /* What stands for another row, or for an element of one, may be an output of the included graph, absent with it. */
    int runs = kind <= HANDOUT_ROW_WHEN || kind == HANDOUT_ROW_SELECT ||
               (kind == HANDOUT_ROW_INPUT && count && handout_operation(from[0]) == HANDOUT_OP_TASK);
    const handout_parsed *options = now->options;
    const struct { uint32_t operation; int index; const char *name; } sections[] = {
        {HANDOUT_OP_AFTER, runs ? options->after : 0, "after"}, {HANDOUT_OP_WHEN, runs ? options->when : 0, "when"},
        {HANDOUT_OP_UNLESS, runs ? options->unless : 0, "unless"}, {HANDOUT_OP_NEAR, 0, "near"}};
    for (size_t s = 0; s < sizeof sections / sizeof *sections; s++) {
        uint32_t at = i;
        while (at < count && handout_operation(from[at]) != sections[s].operation) at++;
        int extra = sections[s].index && !lua_isnil(L, sections[s].index);
        if (at == count && !extra) continue;
        size_t head = handout_graph_at(now->recorder, now->to)->references.count;
        if (extra) handout_add_section(L, now->recorder, now->to, sections[s].index, sections[s].operation, sections[s].name, now->who);
        else handout_add_word(L, handout_graph_at(now->recorder, now->to), 0);
        for (uint32_t e = 0; at < count && e < handout_payload(from[at]); e++)
            handout_add_word(L, handout_graph_at(now->recorder, now->to), mapped(now, from[at + 1 + e]));
        handout_graph_record *to = handout_graph_at(now->recorder, now->to);
        ((uint32_t *)to->references.data)[head] = handout_word(sections[s].operation, (uint32_t)(to->references.count - head - 1));
    }
    while (i < count && handout_operation(from[i]) != HANDOUT_OP_FUNCTION) i++;
    for (; i < count; i++) handout_add_word(L, handout_graph_at(now->recorder, now->to), from[i]);
}

static void copy_row(const copying *now, uint32_t row) {
    lua_State *L = now->L;
    handout_graph_record *from = handout_graph_at(now->recorder, now->from);
    uint32_t kind = ((const uint8_t *)from->kinds.data)[row];
    size_t length, prefix = strlen(now->prefix);
    const char *id = handout_row_name(from, row, &length);
    char *name = lua_newuserdatauv(L, prefix + length + 1, 0); /* may raise, and the row is not begun */
    memcpy(name, now->prefix, prefix);
    memcpy(name + prefix, id, length);
    handout_count_columns(L, now->recorder, 64);
    now->rows[row] = handout_graph_at(now->recorder, now->to)->count;
    handout_begin_row(L, now->recorder, now->to, name, prefix + length, kind, ((const uint32_t *)from->options.data)[row],
                      ((const uint32_t *)from->lines.data)[row]);
    copy_words(now, row, kind);
    from = handout_graph_at(now->recorder, now->from);
    const uint32_t *offsets = (const uint32_t *)from->capture_offsets.data;
    size_t first = offsets[row], last = row + 1 < from->capture_offsets.count ? offsets[row + 1] : from->captures.count;
    uint32_t *captures = handout_vector_add_many(&handout_graph_at(now->recorder, now->to)->captures, last - first);
    if (last > first) {
        handout_need_memory(L, captures);
        memcpy(captures, (const uint32_t *)from->captures.data + first, (last - first) * sizeof(uint32_t));
    }
    handout_end_row(now->recorder, now->to, ((const uint32_t *)from->classes.data)[row]);
    lua_pop(L, 1);
}

/* Makes an INPUT row with that constant. */
static uint32_t constant_row(const copying *now, const char *name, size_t length, uint32_t constant) {
    lua_State *L = now->L;
    handout_begin_row(L, now->recorder, now->to, name, length, HANDOUT_ROW_INPUT, handout_plain_options(L, now->recorder),
                      handout_current_line(L, now->recorder));
    handout_add_word(L, handout_graph_at(now->recorder, now->to), handout_word(HANDOUT_OP_CONSTANT, constant));
    return handout_end_row(now->recorder, now->to, HANDOUT_NONE);
}

/* What input `i` of the included graph is in the including one; `given` is the table of inputs, 0: none. */
static uint32_t bind_input(const copying *now, uint32_t i, int given) {
    lua_State *L = now->L;
    handout_codec *codec = &handout_of(L)->codec;
    handout_graph_record *from = handout_graph_at(now->recorder, now->from);
    uint32_t row = input_row(from, i), count, result = 0, constant = handout_payload(words_of(from, row, &count)[0]);
    size_t length;
    const char *id = handout_row_name(from, row, &length);
    char name[420], path[260];
    snprintf(path, sizeof path, "inputs[\"%.*s\"]", (int)length, id);
    size_t full = (size_t)snprintf(name, sizeof name, "%.200s%.*s", now->prefix, (int)length, id);
    lua_pushlstring(L, id, length);
    if (given) lua_rawget(L, given);
    else lua_pop(L, 1), lua_pushnil(L);
    if (lua_islightuserdata(L, -1)) {
        const void *handle = lua_touserdata(L, -1);
        if (handout_handle_graph(handle) != now->to) {
            handout_refuse(L, now->recorder, "needs", "%s: %s: handle of another graph '%.100s', expected one of '%.100s'", now->who, path,
                           handout_graph_at(now->recorder, handout_handle_graph(handle))->name,
                           handout_graph_at(now->recorder, now->to)->name);
        } else {
            result = handout_handle_row_of(L, now->recorder, now->to, handle, now->who, path);
            if (result == HANDOUT_NONE) result = 0;
            add_u32(L, &handout_graph_at(now->recorder, now->to)->given, result);
        }
    } else if (!lua_isnil(L, -1)) {
        if (handout_encode_or_refuse(L, now->recorder, "input", now->who, path, "cannot be an input"))
            result = constant_row(now, name, full, handout_pool_add(L, now->recorder, HANDOUT_POOL_DATA, codec->out.data, codec->out.length));
    } else if (constant != UNBOUND) {
        result = constant_row(now, name, full, constant);
    } else {
        handout_refuse(L, now->recorder, "input", "%s: input '%.*s' is not given and has no default", now->who, (int)length, id);
    }
    lua_pop(L, 1);
    return result;
}

/* Refuses names in the table at `index` that are no inputs of the graph. */
static void check_names(lua_State *L, handout_recorder *recorder, uint32_t graph, int index, const char *who) {
    const char *names[MOST_INPUTS + 1];
    char (*texts)[201] = lua_newuserdatauv(L, sizeof(char[MOST_INPUTS][201]), 0);
    const handout_graph_record *record = handout_graph_at(recorder, graph);
    uint32_t known = input_count(record) < MOST_INPUTS ? input_count(record) : MOST_INPUTS;
    for (uint32_t i = 0; i < known; i++) {
        size_t length;
        const char *name = handout_row_name(record, input_row(record, i), &length);
        snprintf(texts[i], 201, "%.*s", (int)length, name);
        names[i] = texts[i];
    }
    names[known] = NULL;
    size_t errors = recorder->errors.count;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        char shown[120];
        handout_describe(L, -2, shown, sizeof shown);
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        int found = 0;
        for (uint32_t i = 0; i < known; i++) found |= *key && strcmp(names[i], key) == 0;
        if (found) continue;
        const char *near = handout_nearest(key, strlen(key), names);
        if (near) handout_refuse(L, recorder, "input", "%s: unknown input %s (did you mean '%s'?)", who, shown, near);
        else handout_refuse(L, recorder, "input", "%s: unknown input %s", who, shown);
    }
    handout_sort_errors(recorder, errors);
    lua_pop(L, 1);
}

static void copy_graph(copying *now, int given) {
    lua_State *L = now->L;
    uint32_t inputs = input_count(handout_graph_at(now->recorder, now->from));
    uint32_t *bound = lua_newuserdatauv(L, (inputs + 1u) * sizeof(uint32_t), 0);
    for (uint32_t i = 0; i < inputs; i++) bound[i] = bind_input(now, i, given);
    uint32_t first = handout_graph_at(now->recorder, now->to)->count;
    uint32_t count = handout_graph_at(now->recorder, now->from)->count, next = 0;
    for (uint32_t row = 0; row < count; row++) {
        const handout_graph_record *from = handout_graph_at(now->recorder, now->from);
        if (next < inputs && input_row(from, next) == row) now->rows[row] = bound[next++];
        else copy_row(now, row);
    }
    handout_graph_record *to = handout_graph_at(now->recorder, now->to);
    add_u32(L, &to->included, first);
    add_u32(L, &to->included, to->count - first);
    lua_pop(L, 1);
}

/* An output that is an input: a row of its own, so that it is known whether the output is used. */
static uint32_t alias_row(copying *now, const char *name, size_t length, uint32_t row) {
    handout_begin_row(now->L, now->recorder, now->to, name, length, HANDOUT_ROW_INPUT, handout_plain_options(now->L, now->recorder),
                      handout_current_line(now->L, now->recorder));
    handout_add_word(now->L, handout_graph_at(now->recorder, now->to), handout_word(HANDOUT_OP_TASK, row));
    handout_add_section(now->L, now->recorder, now->to, now->options->after, HANDOUT_OP_AFTER, "after", now->who);
    handout_add_section(now->L, now->recorder, now->to, now->options->when, HANDOUT_OP_WHEN, "when", now->who);
    handout_add_section(now->L, now->recorder, now->to, now->options->unless, HANDOUT_OP_UNLESS, "unless", now->who);
    handout_graph_record *to = handout_graph_at(now->recorder, now->to);
    ((uint32_t *)to->included.data)[to->included.count - 1]++;
    return handout_end_row(now->recorder, now->to, HANDOUT_NONE);
}

/* Pushes the table of handles by output name, and notes what may be an output of the including graph. */
static void push_handles(copying *now, uint32_t first) {
    lua_State *L = now->L;
    handout_graph_record *from = handout_graph_at(now->recorder, now->from);
    uint32_t *aliases = lua_newuserdatauv(L, (from->outputs.count + 1) * sizeof(uint32_t), 0);
    lua_createtable(L, 0, (int)from->outputs.count);
    for (size_t i = 0; i < from->outputs.count; i++) {
        handout_plan_output output = ((handout_plan_output *)from->outputs.data)[i];
        const char *name = name_of_output(now->recorder, &output);
        uint32_t row = now->rows[output.task];
        if (row < first) { /* one for all outputs that are the same input */
            size_t earlier = 0;
            const handout_plan_output *outputs = (const handout_plan_output *)from->outputs.data;
            while (outputs[earlier].task != output.task) earlier++;
            if (earlier == i) aliases[i] = alias_row(now, name, output.name_length, row);
            else aliases[i] = aliases[earlier];
            row = aliases[i];
        }
        lua_pushlstring(L, name, output.name_length);
        lua_pushlightuserdata(L, handout_handle(now->to, row));
        lua_rawset(L, -3);
        char full[900];
        int length = snprintf(full, sizeof full, "%s%.*s", now->prefix, (int)output.name_length, name);
        add_output(L, now->recorder, &handout_graph_at(now->recorder, now->to)->parts, full, (size_t)length, row);
        from = handout_graph_at(now->recorder, now->from);
    }
}

/* Checks the entries that every copied row will get, once; those with a problem are left out. */
static void check_section(lua_State *L, handout_recorder *recorder, uint32_t graph, int *index, uint32_t operation, const char *name,
                          const char *who) {
    if (!*index) return;
    uint64_t errors = recorder->errors.count + recorder->errors_left_out;
    handout_prepare_selections(L, recorder, graph, *index, HANDOUT_NONE, who, name);
    size_t words = handout_graph_at(recorder, graph)->references.count; /* with those of hidden rows made just now */
    if (errors == recorder->errors.count + recorder->errors_left_out)
        handout_add_section(L, recorder, graph, *index, operation, name, who);
    handout_graph_at(recorder, graph)->references.count = words;
    if (errors != recorder->errors.count + recorder->errors_left_out) *index = 0;
}

/* g:include(id?, other, inputs?, options?) */
int handout_graph_include(lua_State *L) {
    handout_recorder *recorder = handout_recorder_of(L);
    uint32_t graph = handout_graph_self(L, "include")->index, slot = 0;
    if (recorder->tables && !recorder->tables->indirect) return luaL_error(L, "the script is not what it was when it was planned");
    if (handout_to_graph(L, 2)) { /* the id is left out: it is the graph's name */
        lua_pushstring(L, handout_graph_at(recorder, handout_to_graph(L, 2)->index)->name);
        lua_insert(L, 2);
    }
    lua_settop(L, 5);
    recorder->declaring++;
    char who[320], what[100];
    uint64_t entry = 0;
    handout_drop_unfinished(handout_graph_at(recorder, graph));
    int named = handout_check_new_id(L, recorder, handout_graph_at(recorder, graph), 2, "include", who, sizeof who, &slot, &entry);
    handout_graph_object *other = handout_to_graph(L, 3);
    handout_describe(L, 3, what, sizeof what);
    if (!other) return luaL_error(L, "%s: expected a graph, got %s", who, what);
    if (handout_graph_uses(recorder, other->index, graph)) return luaL_error(L, "%s: a graph cannot include itself", who);
    for (int i = 4; i <= 5; i++) {
        handout_describe(L, i, what, sizeof what);
        if (!lua_isnil(L, i) && lua_type(L, i) != LUA_TTABLE)
            return luaL_error(L, "%s: %s: expected a table, got %s", who, i == 4 ? "inputs" : "options", what);
    }
    handout_parsed parsed;
    memset(&parsed.set, 0, sizeof parsed.set);
    handout_parse_options(L, recorder, lua_isnil(L, 5) ? 0 : 5, HANDOUT_CALL_INCLUDE, who, &parsed);
    if (!lua_isnil(L, 4)) check_names(L, recorder, other->index, 4, who);
    check_section(L, recorder, graph, &parsed.after, HANDOUT_OP_AFTER, "after", who);
    check_section(L, recorder, graph, &parsed.when, HANDOUT_OP_WHEN, "when", who);
    check_section(L, recorder, graph, &parsed.unless, HANDOUT_OP_UNLESS, "unless", who);
    default_outputs(L, recorder, other->index);
    uint32_t count = handout_graph_at(recorder, other->index)->count;
    char prefix[210];
    size_t length = 0;
    const char *id = named ? lua_tolstring(L, 2, &length) : "include";
    if (named) {
        entry = (entry & 0xFFFFFFFF00000000u) | (handout_graph_at(recorder, graph)->count + 1);
        handout_begin_row(L, recorder, graph, id, length, HANDOUT_ROW_MARK, handout_plain_options(L, recorder),
                          handout_current_line(L, recorder));
        handout_graph_at(recorder, graph)->id_table[slot] = entry;
        handout_end_row(recorder, graph, HANDOUT_NONE);
    }
    snprintf(prefix, sizeof prefix, "%s/", id);
    copying now = {L, recorder, other->index, graph, prefix, lua_newuserdatauv(L, (count + 1u) * sizeof(uint32_t), 0), &parsed, who};
    seal(L, recorder, other->index);
    copy_graph(&now, lua_isnil(L, 4) ? 0 : 4);
    const handout_vector *included = &handout_graph_at(recorder, graph)->included;
    push_handles(&now, ((const uint32_t *)included->data)[included->count - 2]);
    return 1;
}

/* ---- Maps over graphs ---- */

void handout_add_bindings(lua_State *L, handout_recorder *recorder, uint32_t graph, int graph_at, int needs, const char *who) {
    uint32_t other = handout_to_graph(L, graph_at)->index;
    handout_add_word(L, handout_graph_at(recorder, graph), handout_word(HANDOUT_OP_GRAPH, other));
    default_outputs(L, recorder, other);
    lua_Integer shape = -3, next = 0; /* -3: a handle, or nothing */
    if (needs && lua_type(L, needs) == LUA_TTABLE) {
        lua_pushvalue(L, needs);
        shape = handout_table_shape(L);
        lua_pop(L, 1);
    }
    if (shape == -2) {
        handout_refuse(L, recorder, "needs", "%s: needs: expected either positions 1 to n or names, not both and no gaps", who);
        return;
    }
    if (shape == -3 && needs && !lua_islightuserdata(L, needs)) {
        char path[] = "needs";
        lua_pushvalue(L, needs);
        handout_add_entry(L, recorder, graph, who, path); /* refuses it */
        lua_pop(L, 1);
        return;
    }
    if (shape == -1) check_names(L, recorder, other, needs, who);
    lua_Integer given = 2 + (shape > 0 ? shape : shape == -3 && needs ? 1 : 0);
    for (uint32_t i = 0, count = input_count(handout_graph_at(recorder, other)); i < count; i++) {
        handout_graph_record *from = handout_graph_at(recorder, other);
        uint32_t row = input_row(from, i), n, constant = handout_payload(words_of(from, row, &n)[0]);
        size_t length;
        const char *id = handout_row_name(from, row, &length);
        char path[260];
        snprintf(path, sizeof path, "needs[\"%.*s\"]", (int)length, id);
        if (shape == -1) {
            lua_pushlstring(L, id, length);
            if (lua_rawget(L, needs) != LUA_TNIL) {
                handout_add_entry(L, recorder, graph, who, path);
                lua_pop(L, 1);
                continue;
            }
            lua_pop(L, 1);
        }
        lua_Integer number = next < given ? next++ : -1;
        if (number == 0 || number == 1) {
            handout_add_word(L, handout_graph_at(recorder, graph), handout_word(HANDOUT_OP_SELF, (uint32_t)number));
        } else if (number >= 2) {
            if (shape == -3) lua_pushvalue(L, needs);
            else lua_rawgeti(L, needs, number - 1);
            snprintf(path, sizeof path, shape == -3 ? "needs" : "needs[%lld]", (long long)(number - 1));
            handout_add_entry(L, recorder, graph, who, path);
            lua_pop(L, 1);
        } else if (constant != UNBOUND) {
            handout_add_word(L, handout_graph_at(recorder, graph), handout_word(HANDOUT_OP_CONSTANT, constant));
        } else {
            handout_refuse(L, recorder, "input", "%s: input '%.*s' of graph '%.100s' is not given and has no default", who, (int)length, id,
                           from->name);
        }
    }
    seal(L, recorder, other);
}

/* ---- The plan's graphs ---- */

typedef struct filling {
    handout_plan *plan;
    handout_recorder *recorder;
    handout_vector templates, inputs, outputs;
    uint32_t *number_of; /* by graph: number of its template + 1 */
    uint32_t *graphs;    /* by template */
} filling;

/* Numbers the graphs that maps of this one are over, and theirs. */
static void number_graphs(filling *now, uint32_t graph, uint32_t *count) {
    const handout_graph_record *record = handout_graph_at(now->recorder, graph);
    const uint32_t *words = (const uint32_t *)record->references.data;
    for (size_t i = 0; i < record->references.count; i++) {
        if (handout_operation(words[i]) != HANDOUT_OP_GRAPH) continue;
        uint32_t other = handout_payload(words[i]);
        if (now->number_of[other]) continue;
        now->graphs[*count] = other;
        now->number_of[other] = ++*count;
        number_graphs(now, other, count);
    }
}

static int append(handout_vector *to, const handout_vector *from) {
    void *room = handout_vector_add_many(to, from->count);
    if (!room && from->count) return -1;
    if (from->count) memcpy(room, from->data, from->count * to->size);
    return 0;
}

static int append_offsets(handout_vector *to, const handout_vector *from, size_t base) {
    size_t first = to->count;
    if (append(to, from)) return -1;
    for (size_t i = first; i < to->count; i++) ((uint32_t *)to->data)[i] += (uint32_t)base;
    return 0;
}

/* Brings the columns of a graph behind those of the first. */
static int append_graph(filling *now, handout_graph_record *top, uint32_t graph) {
    handout_graph_record *from = handout_graph_at(now->recorder, graph);
    handout_drop_unfinished(from);
    uint32_t base = top->count;
    size_t words = top->references.count;
    int wrong = append(&top->kinds, &from->kinds) || append(&top->options, &from->options) || append(&top->lines, &from->lines) ||
                append(&top->classes, &from->classes) || append_offsets(&top->capture_offsets, &from->capture_offsets, top->captures.count) ||
                append(&top->captures, &from->captures) || append_offsets(&top->name_offsets, &from->name_offsets, top->names.count) ||
                append(&top->names, &from->names) ||
                append_offsets(&top->reference_offsets, &from->reference_offsets, top->references.count) ||
                append(&top->references, &from->references);
    if (wrong) return -1;
    for (size_t i = words; i < top->references.count; i++) {
        uint32_t *word = (uint32_t *)top->references.data + i, operation = handout_operation(*word);
        if (operation == HANDOUT_OP_TASK || operation == HANDOUT_OP_OVER || operation == HANDOUT_OP_OWN) *word += base;
    }
    top->count += from->count;
    return 0;
}

static int add_template(filling *now, uint32_t graph, uint32_t base) {
    handout_graph_record *from = handout_graph_at(now->recorder, graph);
    handout_plan_template template = {.first = base, .count = from->count, .input_first = (uint32_t)now->inputs.count,
                                      .input_count = input_count(from), .output_first = (uint32_t)now->outputs.count};
    for (uint32_t i = 0; i < template.input_count; i++) {
        uint32_t *to = handout_vector_add(&now->inputs);
        if (!to) return -1;
        *to = base + input_row(from, i);
    }
    if (base > 0) { /* not of the returned graph */
        template.output_count = (uint32_t)from->outputs.count;
        if (append(&now->outputs, &from->outputs)) return -1;
        for (uint32_t i = template.output_first; i < now->outputs.count; i++) ((handout_plan_output *)now->outputs.data)[i].task += base;
    }
    handout_plan_template *to = handout_vector_add(&now->templates);
    if (!to) return -1;
    *to = template;
    return 0;
}

/* Renumbers the graphs in GRAPH words by template. */
static void renumber(const filling *now, handout_graph_record *top) {
    for (size_t i = 0; i < top->references.count; i++) {
        uint32_t *word = (uint32_t *)top->references.data + i;
        if (handout_operation(*word) == HANDOUT_OP_GRAPH)
            *word = handout_word(HANDOUT_OP_GRAPH, now->number_of[handout_payload(*word)] - 1);
    }
}

/* The names of the outputs of templates follow all others; sorted within each. */
static void name_outputs(filling *now, handout_graph_record *top) {
    handout_plan_output *outputs = (handout_plan_output *)now->outputs.data;
    for (size_t i = 0; i < now->outputs.count; i++) {
        char *to = handout_vector_add_many(&top->names, outputs[i].name_length);
        if (!to) return;
        memcpy(to, name_of_output(now->recorder, &outputs[i]), outputs[i].name_length);
        outputs[i].name_offset = (uint32_t)(top->names.count - outputs[i].name_length);
    }
    for (size_t t = 1; t < now->templates.count; t++) { /* few a graph: by insertion */
        const handout_plan_template *template = (const handout_plan_template *)now->templates.data + t;
        handout_plan_output *first = outputs + template->output_first;
        for (uint32_t i = 1; i < template->output_count; i++)
            for (uint32_t j = i; j > 0 && by_name(&first[j], &first[j - 1], top->names.data) < 0; j--) {
                handout_plan_output other = first[j];
                first[j] = first[j - 1];
                first[j - 1] = other;
            }
    }
}

void handout_fill_graphs(handout_plan *plan, handout_recorder *recorder) {
    filling now = {.plan = plan, .recorder = recorder};
    now.templates.size = sizeof(handout_plan_template);
    now.inputs.size = sizeof(uint32_t);
    now.outputs.size = sizeof(handout_plan_output);
    now.number_of = calloc(recorder->graphs.count + 1, sizeof(uint32_t));
    now.graphs = calloc(recorder->graphs.count + 1, sizeof(uint32_t));
    handout_graph_record *top = handout_graph_at(recorder, recorder->returned_graph);
    uint32_t count = 1;
    if (now.number_of && now.graphs) {
        now.graphs[0] = recorder->returned_graph;
        now.number_of[recorder->returned_graph] = 1;
        number_graphs(&now, recorder->returned_graph, &count);
        int wrong = add_template(&now, recorder->returned_graph, 0);
        for (uint32_t t = 1; t < count && !wrong; t++) {
            uint32_t base = top->count;
            wrong = append_graph(&now, top, now.graphs[t]) || add_template(&now, now.graphs[t], base);
        }
        if (wrong) plan->ended = HANDOUT_MEMORY;
        renumber(&now, top);
    }
    plan->template_count = (uint32_t)now.templates.count;
    plan->templates = (handout_plan_template *)now.templates.data;
    plan->template_input_count = (uint32_t)now.inputs.count;
    plan->template_inputs = (uint32_t *)now.inputs.data;
    name_outputs(&now, top);
    plan->template_output_count = (uint32_t)now.outputs.count;
    plan->template_outputs = (handout_plan_output *)now.outputs.data;
    free(now.number_of);
    free(now.graphs);
}

void handout_finish_outputs(lua_State *L, handout_recorder *recorder) {
    if (recorder->returned_graph == HANDOUT_NONE) return;
    const handout_graph_record *graph = handout_graph_at(recorder, recorder->returned_graph);
    for (uint32_t row = 0; row < graph->count; row++)
        if (((const uint8_t *)graph->kinds.data)[row] > HANDOUT_ROW_WHEN) {
            default_outputs(L, recorder, recorder->returned_graph);
            return;
        }
}
