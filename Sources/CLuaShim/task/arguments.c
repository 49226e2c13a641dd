/* The arguments of a task, pushed straight from the results of other tasks. */
#include "graph.h"
#include "task.h"
#include <stdlib.h>

#define INPUTS_ARE_TASKS 0x80000000u

static void push_pool(lua_State *L, const handout_tables *tables, uint32_t index) {
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

static void push_task(lua_State *L, const handout_tables *tables, uint32_t task);

/* Pushes element `i` of what a group runs over. */
static void push_element(lua_State *L, const handout_tables *tables, const handout_group *group, uint32_t i) {
    if (!group->bytes) {
        push_task(L, tables, group->element_task + i);
        return;
    }
    const uint8_t *from = group->bytes + group->offsets[i], *end = group->bytes + group->offsets[i + 1];
    if (group->keyed) from += handout_value_size(from, (size_t)(end - from));
    handout_decode(L, from, end);
}

/* Lists that the system makes hold false where there is nothing. */
static void false_for_nil(lua_State *L) {
    if (!lua_isnil(L, -1)) return;
    lua_pop(L, 1);
    lua_pushboolean(L, 0);
}

/* Pushes the value of a map: a list, or a table by the same keys. */
static void push_group(lua_State *L, const handout_tables *tables, uint32_t index) {
    const handout_group *group = &tables->groups[index];
    lua_createtable(L, group->keyed ? 0 : (int)group->count, group->keyed ? (int)group->count : 0);
    for (uint32_t i = 0; i < group->count; i++) {
        if ((i & 0xFFF) == 0xFFF) handout_check(handout_of(L));
        if (!group->keyed) {
            push_task(L, tables, group->first + i);
            false_for_nil(L);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
            continue;
        }
        handout_push_key(L, tables, group, i);
        push_task(L, tables, group->first + i);
        lua_rawset(L, -3); /* nil: no key */
    }
}

static void push_task(lua_State *L, const handout_tables *tables, uint32_t task) {
    const handout_value *value = &tables->results[task];
    if (value->tag == HANDOUT_INTEGER) lua_pushinteger(L, value->as.integer);
    else if (value->tag == HANDOUT_GROUP) push_group(L, tables, value->as.group);
    else handout_push_value(L, value);
}

/* Pushes one argument and returns the word after it. */
static const uint32_t *push_argument(lua_State *L, const handout_tables *tables, const uint32_t *words) {
    uint32_t word = *words++, n = handout_payload(word);
    switch (handout_operation(word)) {
    case HANDOUT_OP_TASK:
        push_task(L, tables, n);
        return words;
    case HANDOUT_OP_CONSTANT:
        push_pool(L, tables, n);
        return words;
    case HANDOUT_OP_LIST:
        luaL_checkstack(L, 8, "arguments");
        lua_createtable(L, (int)n, 0);
        for (uint32_t i = 1; i <= n; i++) {
            if ((i & 0xFFF) == 0) handout_check(handout_of(L));
            words = push_argument(L, tables, words);
            false_for_nil(L);
            lua_rawseti(L, -2, (lua_Integer)i);
        }
        return words;
    default: /* HANDOUT_OP_KEYED */
        luaL_checkstack(L, 8, "arguments");
        lua_createtable(L, 0, (int)n);
        for (uint32_t i = 0; i < n; i++) {
            push_pool(L, tables, handout_payload(*words++));
            words = push_argument(L, tables, words);
            lua_rawset(L, -3);
        }
        return words;
    }
}

/* Pushes the inputs of a node of a reduce as a list. */
static void push_inputs(lua_State *L, const handout_tables *tables, const handout_group *group, uint32_t first,
                        uint32_t count) {
    int tasks = (count & INPUTS_ARE_TASKS) != 0;
    count &= ~INPUTS_ARE_TASKS;
    lua_createtable(L, (int)count, 0);
    for (uint32_t i = 0; i < count; i++) {
        if ((i & 0xFFF) == 0xFFF) handout_check(handout_of(L));
        if (tasks) push_task(L, tables, first + i);
        else push_element(L, tables, group, first + i);
        false_for_nil(L);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

int handout_push_arguments(lua_State *L, handout_runner *runner, uint32_t task, uint32_t row) {
    const handout_tables *tables = runner->tables;
    const uint32_t *words = tables->references + tables->reference_offsets[row];
    const uint32_t *end = tables->references + tables->reference_offsets[row + 1];
    int top = lua_gettop(L);
    luaL_checkstack(L, 420, "arguments");
    if (task >= tables->count) {
        const handout_dynamic_row *dynamic = &tables->dynamic[task - tables->count];
        const handout_group *group = &tables->groups[dynamic->group];
        if (group->is_map) {
            push_element(L, tables, group, dynamic->first);
            handout_push_key(L, tables, group, dynamic->first);
        } else {
            push_inputs(L, tables, group, dynamic->first, dynamic->count);
        }
    } else if (tables->kinds[row] == 2) {
        const handout_group *group = &tables->groups[tables->group_of[row]];
        push_inputs(L, tables, group, group->root_first, group->root_count);
    }
    if (words < end && (handout_operation(*words) == HANDOUT_OP_OVER || handout_operation(*words) == HANDOUT_OP_OVER_LITERAL)) words++;
    while (words < end && handout_operation(*words) != HANDOUT_OP_AFTER) words = push_argument(L, tables, words);
    return lua_gettop(L) - top;
}
