/* Results of tasks in encoded form, for outputs. */
#include "handout_lua.h"
#include "wire.h"
#include <string.h>

static int is_nothing(const handout_value *value) { return value->tag == HANDOUT_ABSENT || value->tag == HANDOUT_NIL; }

static int append_header(handout_buffer *out, uint32_t count, int keyed) {
    uint8_t bytes[5];
    size_t length;
    if (count < 16) bytes[0] = (uint8_t)((keyed ? 0x80 : 0x90) | count), length = 1;
    else if (count < 65536) bytes[0] = keyed ? 0xde : 0xdc, bytes[1] = (uint8_t)(count >> 8), bytes[2] = (uint8_t)count, length = 3;
    else {
        bytes[0] = keyed ? 0xdf : 0xdd;
        for (int i = 0; i < 4; i++) bytes[1 + i] = (uint8_t)(count >> (24 - 8 * i));
        length = 5;
    }
    return handout_buffer_append(out, bytes, length);
}

static const handout_group *key_source(const handout_tables *tables, const handout_group *group) {
    while (group->key_group != HANDOUT_NONE) group = &tables->groups[group->key_group];
    return group;
}

int handout_append_key(const handout_tables *tables, uint32_t index, uint32_t element, handout_buffer *out) {
    const handout_group *group = &tables->groups[index];
    if (!group->keyed) {
        handout_value key = {.as.integer = (int64_t)element + 1, .tag = HANDOUT_INTEGER};
        return handout_value_append(&key, out);
    }
    const handout_group *keys = key_source(tables, group);
    return handout_buffer_append(out, keys->key_bytes + keys->key_offsets[element],
                                 keys->key_offsets[element + 1] - keys->key_offsets[element]);
}

static int append_group(const handout_tables *tables, uint32_t index, handout_buffer *out) {
    static const handout_value no = {.tag = HANDOUT_FALSE};
    const handout_group *group = &tables->groups[index];
    uint32_t count = group->count;
    for (uint32_t i = 0; group->keyed && i < group->count; i++) count -= (uint32_t)is_nothing(&tables->results[group->first + i]);
    /* An empty table is a list. */
    int wrong = append_header(out, count, group->keyed && count > 0);
    for (uint32_t i = 0; i < group->count && !wrong; i++) {
        const handout_value *value = &tables->results[group->first + i];
        if (!group->keyed) wrong = handout_value_append(is_nothing(value) ? &no : value, out);
        else if (!is_nothing(value)) wrong = handout_append_key(tables, index, i, out) || handout_value_append(value, out);
    }
    return wrong ? -1 : 0;
}

int handout_append_result(const handout_tables *tables, uint32_t task, handout_buffer *out) {
    const handout_value *value = &tables->results[task];
    if (value->tag == HANDOUT_GROUP && !tables->groups[value->as.group].is_map) return -1; /* a reduce that never ended */
    if (value->tag == HANDOUT_GROUP) return append_group(tables, value->as.group, out);
    return handout_value_append(value, out);
}
