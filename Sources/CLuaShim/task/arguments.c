/* The arguments of a task, pushed straight from the results of other tasks. */
#include "arguments.h"
#include <stdlib.h>
#include <string.h>

#define INPUTS_ARE_TASKS 0x80000000u

void handout_push_pool(lua_State *L, const handout_tables *tables, uint32_t index) {
    uint64_t entry = tables->pool[index];
    if (handout_pool_kind(entry) == HANDOUT_POOL_INTEGER) lua_pushinteger(L, handout_pool_integer(entry));
    else
        handout_decode(L, tables->pool_bytes + handout_pool_position(entry), tables->pool_bytes + tables->pool_bytes_length);
}

static const handout_group *key_source(const handout_tables *tables, const handout_group *group) {
    while (group->key_group != HANDOUT_NONE) group = &tables->groups[group->key_group];
    return group;
}

void handout_push_key(lua_State *L, const handout_tables *tables, const handout_group *group, uint32_t element) {
    if (!group->keyed) {
        lua_pushinteger(L, (lua_Integer)element + 1);
        return;
    }
    const handout_group *keys = key_source(tables, group);
    size_t length;
    const uint8_t *key = handout_value_string(keys->key_bytes + keys->key_offsets[element],
                                              keys->key_offsets[element + 1] - keys->key_offsets[element], &length);
    lua_pushlstring(L, (const char *)key, key ? length : 0);
}

void handout_push_element(lua_State *L, handout_runner *runner, const handout_group *group, uint32_t i) {
    if (!group->bytes) {
        handout_push_task(L, runner, group->element_task + i);
        return;
    }
    const uint8_t *from = group->bytes + group->offsets[i], *end = group->bytes + group->offsets[i + 1];
    if (group->keyed) from += handout_value_size(from, (size_t)(end - from));
    handout_decode(L, from, end);
}

/* Lists that the system makes hold false where there is nothing. */
void handout_false_for_nil(lua_State *L) {
    if (!lua_isnil(L, -1)) return;
    lua_pop(L, 1);
    lua_pushboolean(L, 0);
}

/* Pushes the value of a map: a list, or a table by the same keys. */
static void push_group(lua_State *L, handout_runner *runner, const handout_group *group) {
    if (!group->is_map) { /* a reduce that has not ended */
        lua_pushnil(L);
        return;
    }
    luaL_checkstack(L, 8, "arguments");
    lua_createtable(L, group->keyed ? 0 : (int)group->count, group->keyed ? (int)group->count : 0);
    for (uint32_t i = 0; i < group->count; i++) {
        if ((i & 0xFFF) == 0xFFF) handout_check(handout_of(L));
        if (!group->keyed) {
            handout_push_task(L, runner, group->first + i);
            handout_false_for_nil(L);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
            continue;
        }
        handout_push_key(L, runner->tables, group, i);
        handout_push_task(L, runner, group->first + i);
        lua_rawset(L, -3); /* nil: no key */
    }
}

void handout_push_task(lua_State *L, handout_runner *runner, uint32_t task) {
    const handout_value *value = &runner->tables->results[task];
    if (value->tag == HANDOUT_INTEGER) lua_pushinteger(L, value->as.integer);
    else if (value->tag == HANDOUT_GROUP) push_group(L, runner, &runner->tables->groups[value->as.group]);
    else if (value->tag == HANDOUT_ABSENT && !value->missing && runner->tables->indirect) handout_push_indirect(L, runner, task);
    else handout_push_value(L, value);
}

/* Pushes one argument and returns the word after it. */
const uint32_t *handout_push_argument(lua_State *L, handout_runner *runner, const handout_place *place, const uint32_t *words) {
    const handout_tables *tables = runner->tables;
    uint32_t word = *words++, n = handout_payload(word), own;
    switch (handout_operation(word)) {
    case HANDOUT_OP_TASK:
        handout_push_task(L, runner, n + place->shift);
        return words;
    case HANDOUT_OP_OWN:
        own = handout_own(tables, place, n);
        if (own == HANDOUT_NONE) lua_pushnil(L);
        else handout_push_task(L, runner, own);
        return words;
    case HANDOUT_OP_CONSTANT:
        handout_push_pool(L, tables, n);
        return words;
    case HANDOUT_OP_SELF:
        if (n == 0) handout_push_element(L, runner, place->group, place->element);
        else handout_push_key(L, tables, place->group, place->element);
        return words;
    case HANDOUT_OP_LIST:
        luaL_checkstack(L, 8, "arguments");
        lua_createtable(L, (int)n, 0);
        for (uint32_t i = 1; i <= n; i++) {
            if ((i & 0xFFF) == 0) handout_check(handout_of(L));
            words = handout_push_argument(L, runner, place, words);
            handout_false_for_nil(L);
            lua_rawseti(L, -2, (lua_Integer)i);
        }
        return words;
    default: /* HANDOUT_OP_KEYED */
        n = handout_entries(word);
        luaL_checkstack(L, 8, "arguments");
        lua_createtable(L, 0, (int)n);
        for (uint32_t i = 0; i < n; i++) {
            handout_push_pool(L, tables, handout_payload(*words++));
            words = handout_push_argument(L, runner, place, words);
            lua_rawset(L, -3);
        }
        return words;
    }
}

/* Pushes the inputs of a node of a reduce as a list. */
static void push_inputs(lua_State *L, handout_runner *runner, const handout_group *group, uint32_t first, uint32_t count) {
    int tasks = (count & INPUTS_ARE_TASKS) != 0;
    count &= ~INPUTS_ARE_TASKS;
    lua_createtable(L, (int)count, 0);
    for (uint32_t i = 0; i < count; i++) {
        if ((i & 0xFFF) == 0xFFF) handout_check(handout_of(L));
        if (tasks) handout_push_task(L, runner, first + i);
        else handout_push_element(L, runner, group, first + i);
        handout_false_for_nil(L);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static int ends_arguments(uint32_t word) {
    uint32_t operation = handout_operation(word);
    return operation == HANDOUT_OP_AFTER || (operation >= HANDOUT_OP_WHEN && operation <= HANDOUT_OP_FUNCTION);
}

const uint32_t *handout_arguments_of(const handout_tables *tables, uint32_t origin, const uint32_t **end) {
    const uint32_t *words = handout_words(tables, origin, end);
    if (words < *end && (handout_operation(*words) == HANDOUT_OP_OVER || handout_operation(*words) == HANDOUT_OP_OVER_LITERAL)) words++;
    for (const uint32_t *at = words; at < *end; at = handout_skip_argument(at))
        if (ends_arguments(*at)) *end = at;
    return words;
}

int handout_push_reduced(lua_State *L, handout_runner *runner, const handout_place *place) {
    const handout_tables *tables = runner->tables;
    if (place->group) {
        if (place->group->is_map) return 0;
        const handout_dynamic_row *dynamic = &tables->dynamic[place->row - tables->count];
        push_inputs(L, runner, place->group, dynamic->first, dynamic->count);
        return 1;
    }
    if (tables->kinds[place->origin] != HANDOUT_ROW_REDUCE) return 0;
    const handout_group *group = &tables->groups[tables->results[place->row].as.group];
    push_inputs(L, runner, group, group->root_first, group->root_count);
    return 1;
}

int handout_push_arguments(lua_State *L, handout_runner *runner, uint32_t task) {
    const handout_tables *tables = runner->tables;
    handout_place place;
    handout_locate(tables, task, &place);
    int top = lua_gettop(L);
    const uint32_t *end, *words = handout_words(tables, place.origin, &end);
    if (words < end && (handout_operation(*words) == HANDOUT_OP_OVER || handout_operation(*words) == HANDOUT_OP_OVER_LITERAL)) words++;
    int is_map = place.group && place.group->is_map;
    if (words < end || !is_map) luaL_checkstack(L, 420, "arguments"); /* two values have room in any C function */
    if (is_map) {
        const handout_dynamic_row *dynamic = &tables->dynamic[task - tables->count];
        handout_push_element(L, runner, place.group, dynamic->first);
        handout_push_key(L, tables, place.group, dynamic->first);
    } else {
        handout_push_reduced(L, runner, &place);
    }
    while (words < end && !ends_arguments(*words)) words = handout_push_argument(L, runner, &place, words);
    return lua_gettop(L) - top;
}
