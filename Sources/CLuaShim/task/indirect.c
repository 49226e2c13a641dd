/* Values that have no cell of their own: elements of other values, inputs of instantiated graphs, rows that are computed
 * where they are used. */
#include "arguments.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Encodes the key at the top to the codec's buffer; a float of integral value is an integer. 0: no key. */
static int encode_key(lua_State *L) {
    handout_codec *codec = &handout_of(L)->codec;
    int integral;
    lua_Integer n = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &integral) : (integral = 0);
    if (integral) lua_pushinteger(L, n);
    else if (lua_type(L, -1) == LUA_TSTRING) lua_pushvalue(L, -1);
    else return 0;
    codec->out.length = 0;
    handout_encode(L, codec, -1, "key", "cannot be a key");
    lua_pop(L, 1);
    return 1;
}

static void push_pick(lua_State *L, handout_runner *runner, const handout_place *place);
static uint32_t picked_from(const handout_tables *tables, const handout_place *place);

/* Where `base` is a list of picked elements: replaces the key at the top by the key that was picked there, and gives the row
 * that it was picked from. Any other row it gives back: an element of a list is nil where nothing was picked, as that of a map
 * is, though the list itself has false there. */
static uint32_t through_list(lua_State *L, handout_runner *runner, uint32_t base) {
    const handout_tables *tables = runner->tables;
    handout_place place;
    if (base == HANDOUT_NONE || !tables->indirect || tables->results[base].tag != HANDOUT_ABSENT || tables->results[base].missing)
        return base;
    handout_locate(tables, base, &place);
    if (tables->kinds[place.origin] != HANDOUT_ROW_SELECTOR || !place.group) return base;
    luaL_checkstack(L, 12, "handle:at");
    push_pick(L, runner, &place);
    int integral = 0;
    lua_Integer n = lua_type(L, -2) == LUA_TNUMBER ? lua_tointegerx(L, -2, &integral) : 0;
    if (lua_type(L, -1) != LUA_TTABLE) {
        lua_pop(L, 1);
        return base;
    }
    if (integral && n >= 1 && n <= (lua_Integer)lua_rawlen(L, -1)) lua_rawgeti(L, -1, n);
    else lua_pushnil(L);
    lua_replace(L, -3);
    lua_pop(L, 1);
    return picked_from(tables, &place);
}

/* The row of the instance or output that has the key at the top, in the value of `base`; HANDOUT_NONE: it has none, or the
 * value is in a cell: then `*cell` is its row. The key may become another one. */
static uint32_t picked_row(lua_State *L, handout_runner *runner, uint32_t base, uint32_t *cell) {
    const handout_tables *tables = runner->tables;
    const handout_codec *codec = &runner->state->codec;
    *cell = HANDOUT_NONE;
    for (uint32_t from = HANDOUT_NONE; base != from;) {
        from = base = handout_resolve(tables, base);
        base = through_list(L, runner, base);
    }
    if (base == HANDOUT_NONE || !encode_key(L)) return HANDOUT_NONE;
    const handout_value *value = &tables->results[base];
    if (value->tag == HANDOUT_GROUP && tables->groups[value->as.group].is_map)
        return handout_instance_of_key(tables, &tables->groups[value->as.group], codec->out.data, codec->out.length);
    *cell = base;
    return HANDOUT_NONE;
}

/* Replaces the key at the top by that element of the value of `base`. */
static void replace_by_element(lua_State *L, handout_runner *runner, uint32_t base) {
    const handout_tables *tables = runner->tables;
    const handout_codec *codec = &runner->state->codec;
    uint32_t cell, row = picked_row(L, runner, base, &cell);
    luaL_checkstack(L, 8, "handle:at");
    if (row != HANDOUT_NONE) {
        handout_push_task(L, runner, row);
    } else if (cell == HANDOUT_NONE) {
        lua_pushnil(L);
    } else {
        const handout_value *value = &tables->results[cell];
        const uint8_t *end, *found = NULL;
        if (value->tag == HANDOUT_BLOB || value->tag == HANDOUT_INLINE) {
            const uint8_t *bytes = value->tag == HANDOUT_BLOB ? value->as.blob : value->as.bytes;
            found = handout_value_find(bytes, value->length, codec->out.data, codec->out.length, &end);
            if (found) handout_decode(L, found, end);
            else lua_pushnil(L);
        } else {
            handout_push_task(L, runner, cell);
            if (lua_type(L, -1) == LUA_TTABLE) {
                lua_pushvalue(L, -2);
                lua_rawget(L, -2);
                lua_remove(L, -2);
            } else {
                lua_pop(L, 1);
                lua_pushnil(L);
            }
        }
    }
    lua_remove(L, -2);
}

/* Pushes what the select or selector at `place` picks: a key, a list of keys, or nil. */
static void push_pick(lua_State *L, handout_runner *runner, const handout_place *place) {
    const handout_tables *tables = runner->tables;
    uint32_t pick = handout_payload(*handout_find_word(tables, place->origin, HANDOUT_OP_PICK));
    if (pick == HANDOUT_PICK_OWN) {
        handout_push_key(L, tables, place->group, place->element);
    } else if (pick & HANDOUT_PICK_FUNCTION) {
        handout_push_pool_function(L, runner, pick & ~HANDOUT_PICK_FUNCTION);
        handout_push_element(L, runner, place->group, place->element);
        handout_push_key(L, tables, place->group, place->element);
        lua_call(L, 2, 1);
        int type = lua_type(L, -1);
        if (type != LUA_TNIL && type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TTABLE)
            luaL_error(L, "the function of handle:at gave a %s, expected a key or a list of keys", luaL_typename(L, -1));
    } else {
        handout_push_pool(L, tables, pick);
    }
}

/* The row that the select or selector at `place` picks from. */
static uint32_t picked_from(const handout_tables *tables, const handout_place *place) {
    const uint32_t *base = handout_find_word(tables, place->origin, HANDOUT_OP_TASK);
    if (base) return handout_payload(*base) + place->shift;
    base = handout_find_word(tables, place->origin, HANDOUT_OP_OWN);
    return base ? handout_own(tables, place, handout_payload(*base)) : HANDOUT_NONE;
}

static void push_selected(lua_State *L, handout_runner *runner, const handout_place *place) {
    uint32_t base = picked_from(runner->tables, place);
    luaL_checkstack(L, 12, "handle:at");
    push_pick(L, runner, place);
    if (base == HANDOUT_NONE) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
    if (lua_isnil(L, -1)) return;
    if (lua_type(L, -1) != LUA_TTABLE) {
        replace_by_element(L, runner, base);
        return;
    }
    lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
    lua_createtable(L, count < 1 << 20 ? (int)count : 0, 0);
    for (lua_Integer i = 1; i <= count; i++) {
        if ((i & 0xFF) == 0) handout_check(handout_of(L));
        lua_rawgeti(L, -2, i);
        replace_by_element(L, runner, base);
        handout_false_for_nil(L);
        lua_rawseti(L, -2, i);
    }
    lua_remove(L, -2);
}

/* Pushes the value of an instance of a graph: of its one output, else a table of them. */
static void push_outputs(lua_State *L, handout_runner *runner, const handout_place *place) {
    const handout_tables *tables = runner->tables;
    const handout_plan_template *template = &tables->templates[place->group->graph];
    if (template->output_count == 1) {
        handout_push_task(L, runner, handout_output_row(tables, place->group, place->element, 0));
        return;
    }
    luaL_checkstack(L, 8, "outputs");
    lua_createtable(L, 0, (int)template->output_count);
    for (uint32_t i = 0; i < template->output_count; i++) {
        const handout_plan_output *output = &tables->template_outputs[template->output_first + i];
        lua_pushlstring(L, (const char *)tables->name_bytes + output->name_offset, output->name_length);
        handout_push_task(L, runner, handout_output_row(tables, place->group, place->element, i));
        lua_rawset(L, -3);
    }
}

/* Calls the function of a row that is computed where it is used. Its result is plain data like any other. */
static void push_computed(lua_State *L, handout_runner *runner, const handout_place *place) {
    handout_codec *codec = &runner->state->codec;
    const uint32_t *function = handout_find_word(runner->tables, place->origin, HANDOUT_OP_FUNCTION);
    if (!function) {
        lua_pushnil(L);
        return;
    }
    luaL_checkstack(L, 12, "inline tasks");
    handout_push_pool_function(L, runner, handout_payload(*function));
    int arguments = handout_push_arguments(L, runner, place->row);
    lua_call(L, arguments, 1);
    if (lua_type(L, -1) <= LUA_TNUMBER && lua_type(L, -1) != LUA_TLIGHTUSERDATA) return;
    codec->out.length = 0;
    codec->out.limit = runner->state->limit;
    handout_encode(L, codec, -1, "result", "cannot leave its task");
    lua_pop(L, 1);
    handout_decode(L, codec->out.data, codec->out.data + codec->out.length);
}

static int is_inline(const handout_tables *tables, uint32_t origin) {
    return (tables->option_flags[tables->options[origin]] & HANDOUT_FLAG_INLINE) != 0;
}

void handout_push_indirect(lua_State *L, handout_runner *runner, uint32_t task) {
    const handout_tables *tables = runner->tables;
    handout_place place, owner;
    handout_locate(tables, task, &place);
    uint32_t kind = tables->kinds[place.origin];
    if (place.group && place.group->graph != HANDOUT_NONE) {
        push_outputs(L, runner, &place);
    } else if (kind == HANDOUT_ROW_SELECT || kind == HANDOUT_ROW_SELECTOR) {
        push_selected(L, runner, &place);
    } else if (kind == HANDOUT_ROW_INPUT) {
        const uint32_t *words = handout_binding(tables, &place, &owner);
        if (!words) {
            const uint32_t *end;
            words = handout_words(tables, place.origin, &end);
            if (words == end) words = NULL;
            owner = place;
        }
        if (words) handout_push_argument(L, runner, &owner, words);
        else lua_pushnil(L);
    } else if (is_inline(tables, place.origin) && (kind != HANDOUT_ROW_MAP || place.group)) { /* no map that has no instances */
        push_computed(L, runner, &place);
    } else {
        lua_pushnil(L);
    }
}

/* ---- What is missing ---- */

static const char *why_missing(lua_State *L, handout_runner *runner, uint32_t row);

/* Why a part of the value of a row is not there: the value has none, or is not there itself. */
static const char *why_part_missing(lua_State *L, handout_runner *runner, uint32_t row) {
    handout_place place;
    handout_locate(runner->tables, row, &place);
    uint32_t kind = runner->tables->kinds[place.origin];
    if (kind != HANDOUT_ROW_SELECT && kind != HANDOUT_ROW_SELECTOR) return "skipped";
    luaL_checkstack(L, 12, "handout.task.missing");
    const char *why = why_missing(L, runner, row);
    return why ? why : "skipped";
}

/* Why the row has no value, or NULL. */
static const char *why_missing(lua_State *L, handout_runner *runner, uint32_t row) {
    const handout_tables *tables = runner->tables;
    uint32_t found = row == HANDOUT_NONE ? row : handout_resolve(tables, row);
    if (found == HANDOUT_NONE) return "skipped";
    const handout_value *cell = &tables->results[found];
    if (cell->missing) return cell->missing == HANDOUT_MISSING_FAILED ? "failed" : "skipped";
    if (cell->tag != HANDOUT_ABSENT) return NULL;
    handout_place place;
    handout_locate(tables, found, &place);
    uint32_t kind = tables->kinds[place.origin];
    if (kind != HANDOUT_ROW_SELECT && kind != HANDOUT_ROW_SELECTOR) return NULL;
    /* An element that is not there; a picked row says why itself. */
    uint32_t base = picked_from(tables, &place), cell_row;
    const char *why = "skipped";
    if (base == HANDOUT_NONE) return why;
    push_pick(L, runner, &place);
    if (lua_type(L, -1) == LUA_TTABLE) {
        why = NULL;
    } else if (!lua_isnil(L, -1)) {
        uint32_t picked = picked_row(L, runner, base, &cell_row);
        if (picked != HANDOUT_NONE) {
            why = why_missing(L, runner, picked);
        } else if (cell_row != HANDOUT_NONE) {
            if (tables->results[cell_row].missing) {
                why = why_missing(L, runner, cell_row);
            } else {
                replace_by_element(L, runner, cell_row);
                if (!lua_isnil(L, -1)) why = NULL;
                else why = why_part_missing(L, runner, cell_row);
            }
        }
    }
    lua_pop(L, 1);
    return why;
}

/* Notes under the key at the top why the entry at `words` is missing, where it is a task. Pops the key. */
static void note_missing(lua_State *L, handout_runner *runner, const handout_place *place, const uint32_t *words) {
    uint32_t operation = handout_operation(*words), row = HANDOUT_NONE;
    if (operation == HANDOUT_OP_TASK) row = handout_payload(*words) + place->shift;
    else if (operation == HANDOUT_OP_OWN) row = handout_own(runner->tables, place, handout_payload(*words));
    const char *why = operation == HANDOUT_OP_TASK || operation == HANDOUT_OP_OWN ? why_missing(L, runner, row) : NULL;
    if (why) {
        lua_pushstring(L, why);
        lua_rawset(L, -3);
    } else {
        lua_pop(L, 1);
    }
}

void handout_push_missing(lua_State *L, handout_runner *runner, uint32_t task) {
    const handout_tables *tables = runner->tables;
    handout_place place;
    handout_locate(tables, task, &place);
    const uint32_t *end, *words = handout_words(tables, place.origin, &end);
    if (words < end && (handout_operation(*words) == HANDOUT_OP_OVER || handout_operation(*words) == HANDOUT_OP_OVER_LITERAL)) words++;
    luaL_checkstack(L, 12, "handout.task.missing");
    lua_newtable(L);
    if (words < end && handout_operation(*words) == HANDOUT_OP_KEYED && (*words & HANDOUT_NAMED_NEEDS)) {
        uint32_t count = handout_entries(*words++);
        while (count--) {
            handout_push_pool(L, tables, handout_payload(*words));
            note_missing(L, runner, &place, words + 1);
            words = handout_skip_argument(words + 1);
        }
        return;
    }
    for (lua_Integer i = 1; words < end; i++, words = handout_skip_argument(words)) {
        uint32_t operation = handout_operation(*words);
        if (operation == HANDOUT_OP_AFTER || (operation >= HANDOUT_OP_WHEN && operation <= HANDOUT_OP_FUNCTION)) return;
        lua_pushinteger(L, i);
        note_missing(L, runner, &place, words);
    }
}

/* ---- For the scheduler ---- */

typedef struct selecting {
    handout_runner *runner;
    uint32_t task, group, elements;
    handout_selection *selection;
    handout_vector rows;
} selecting;

static void add_row(lua_State *L, selecting *now, uint32_t row) {
    uint32_t *to = handout_vector_add(&now->rows);
    if (!to) luaL_error(L, "not enough memory");
    *to = row;
}

static int verdict_of_top(lua_State *L) {
    int verdict = lua_isnil(L, -1) ? HANDOUT_NO_ELEMENT : lua_toboolean(L, -1) ? HANDOUT_TRUTHY : HANDOUT_FALSY;
    lua_pop(L, 1);
    return verdict;
}

/* What one key, at the top, picks; pops it. With `ended`, all that it can pick has. */
static int select_one(lua_State *L, selecting *now, uint32_t base, int ended) {
    uint32_t cell, row = ended ? HANDOUT_NONE : picked_row(L, now->runner, base, &cell);
    if (row != HANDOUT_NONE) {
        add_row(L, now, row);
        lua_pop(L, 1);
        return HANDOUT_TRUTHY;
    }
    replace_by_element(L, now->runner, base);
    return verdict_of_top(L);
}

static int select_element(lua_State *L, selecting *now, const handout_place *place) {
    uint32_t base = picked_from(now->runner->tables, place);
    if (base == HANDOUT_NONE) return HANDOUT_NO_ELEMENT;
    int ended = !handout_find_word(now->runner->tables, place->origin, HANDOUT_OP_TASK); /* a part of an element */
    push_pick(L, now->runner, place);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return HANDOUT_NO_ELEMENT;
    }
    if (lua_type(L, -1) != LUA_TTABLE) return select_one(L, now, base, ended);
    for (lua_Integer i = 1, count = (lua_Integer)lua_rawlen(L, -1); i <= count; i++) {
        lua_rawgeti(L, -1, i);
        select_one(L, now, base, ended);
    }
    lua_pop(L, 1);
    return HANDOUT_PICKED_LIST;
}

/* Protected: argument 1 is the `selecting`. */
static int select_protected(lua_State *L) {
    selecting *now = lua_touserdata(L, 1);
    const handout_tables *tables = now->runner->tables;
    handout_selection *selection = now->selection;
    handout_place place;
    handout_locate(tables, now->task, &place);
    handout_begin_functions(now->runner);
    if (tables->kinds[place.origin] == HANDOUT_ROW_INPUT) {
        handout_push_task(L, now->runner, now->task);
        selection->verdicts[0] = (uint8_t)verdict_of_top(L);
        return 0;
    }
    int many = tables->kinds[place.origin] == HANDOUT_ROW_SELECTOR;
    if (many) place.group = &tables->groups[now->group];
    for (uint32_t i = 0; i < now->elements; i++) {
        if ((i & 0xFF) == 0xFF) handout_check(now->runner->state);
        place.element = i;
        selection->verdicts[i] = (uint8_t)select_element(L, now, &place);
        selection->offsets[i + 1] = (uint32_t)now->rows.count;
    }
    return 0;
}

int handout_task_state_select(handout_state *state, uint32_t task, uint32_t group, uint32_t elements,
                              handout_selection *selection, char *error, size_t size) {
    selecting now = {.runner = state->task_runner, .task = task, .group = group, .elements = elements, .selection = selection};
    now.rows.size = sizeof(uint32_t);
    selection->count = elements;
    selection->offsets = calloc(elements + 1u, sizeof(uint32_t));
    selection->verdicts = calloc(elements + 1u, 1);
    int status = -1;
    if (selection->offsets && selection->verdicts)
        status = handout_task_state_call(state, task, select_protected, &now, error, size);
    else snprintf(error, size, "not enough memory");
    selection->rows = (uint32_t *)now.rows.data;
    return status;
}

void handout_selection_free(handout_selection *selection) {
    free(selection->offsets);
    free(selection->rows);
    free(selection->verdicts);
    memset(selection, 0, sizeof *selection);
}

typedef struct valuing {
    handout_runner *runner;
    uint32_t task;
} valuing;

/* Protected: leaves the encoded value in the codec. */
static int value_protected(lua_State *L) {
    valuing *now = lua_touserdata(L, 1);
    handout_codec *codec = &now->runner->state->codec;
    handout_begin_functions(now->runner);
    handout_push_task(L, now->runner, now->task);
    codec->out.length = 0;
    codec->out.limit = now->runner->state->limit;
    handout_encode(L, codec, -1, "result", "cannot leave its task");
    return 0;
}

int handout_task_state_value(handout_state *state, uint32_t task, handout_buffer *out, char *error, size_t size) {
    valuing now = {state->task_runner, task};
    if (handout_task_state_call(state, task, value_protected, &now, error, size)) return -1;
    if (handout_buffer_append(out, state->codec.out.data, state->codec.out.length) == 0) return 0;
    snprintf(error, size, "not enough memory");
    return -1;
}
