/* What rows are made of, and which rows only stand for others. Without Lua. */
#include "rows.h"
#include <string.h>

enum { MOST_STEPS = 1000 };

const uint32_t *handout_skip_argument(const uint32_t *words) {
    uint32_t n = handout_payload(*words);
    switch (handout_operation(*words++)) {
    case HANDOUT_OP_LIST:
        while (n--) words = handout_skip_argument(words);
        return words;
    case HANDOUT_OP_KEYED:
        n &= ~HANDOUT_NAMED_NEEDS;
        while (n--) words = handout_skip_argument(words + 1);
        return words;
    default: return words;
    }
}

const uint32_t *handout_find_word(const handout_tables *tables, uint32_t origin, uint32_t operation) {
    const uint32_t *end, *words = handout_words(tables, origin, &end);
    for (; words < end; words++)
        if (handout_operation(*words) == operation) return words;
    return NULL;
}

const uint32_t *handout_binding(const handout_tables *tables, const handout_place *place, handout_place *owner) {
    const handout_group *group = place->graph;
    if (!group || group->graph == HANDOUT_NONE) return NULL;
    const handout_plan_template *template = &tables->templates[group->graph];
    handout_locate(tables, group->task, owner);
    owner->group = group;
    owner->element = place->element;
    const uint32_t *end, *words = handout_words(tables, owner->origin, &end);
    while (words < end && handout_operation(*words) != HANDOUT_OP_GRAPH) words++;
    if (words++ == end) return NULL;
    for (uint32_t i = 0; i < template->input_count; i++, words = handout_skip_argument(words))
        if (tables->template_inputs[template->input_first + i] == place->origin) return words;
    return NULL;
}

uint32_t handout_own(const handout_tables *tables, const handout_place *place, uint32_t selector) {
    const handout_value *cell = &tables->results[selector + place->shift];
    if (cell->tag != HANDOUT_GROUP) return HANDOUT_NONE;
    return tables->groups[cell->as.group].first + place->element;
}

static const handout_group *key_source(const handout_tables *tables, const handout_group *group) {
    while (group->key_group != HANDOUT_NONE) group = &tables->groups[group->key_group];
    return group;
}

uint32_t handout_instance_of_key(const handout_tables *tables, const handout_group *group, const uint8_t *key, size_t length) {
    if (!group->keyed) {
        handout_value cell;
        if (handout_value_store(&cell, key, length) || cell.tag != HANDOUT_INTEGER) return handout_value_free(&cell), HANDOUT_NONE;
        return cell.as.integer >= 1 && cell.as.integer <= group->count ? group->first + (uint32_t)cell.as.integer - 1 : HANDOUT_NONE;
    }
    const handout_group *keys = key_source(tables, group);
    for (uint32_t i = 0; i < group->count; i++) {
        size_t size = keys->key_offsets[i + 1] - keys->key_offsets[i];
        if (size == length && memcmp(keys->key_bytes + keys->key_offsets[i], key, size) == 0) return group->first + i;
    }
    return HANDOUT_NONE;
}

uint32_t handout_only_output(const handout_tables *tables, const handout_place *place) {
    const handout_group *group = place->group;
    if (!group || group->graph == HANDOUT_NONE) return HANDOUT_NONE;
    const handout_plan_template *template = &tables->templates[group->graph];
    if (template->output_count != 1) return HANDOUT_NONE;
    return handout_output_row(tables, group, place->element, 0);
}

uint32_t handout_output_row(const handout_tables *tables, const handout_group *group, uint32_t element, uint32_t output) {
    const handout_plan_template *template = &tables->templates[group->graph];
    uint32_t base = group->first + group->count + element * template->count;
    return base + tables->template_outputs[template->output_first + output].task - template->first;
}

/* One step; the row itself when it stands for no other. */
static uint32_t stands_for(const handout_tables *tables, uint32_t row) {
    handout_place place, owner;
    handout_locate(tables, row, &place);
    uint32_t kind = tables->kinds[place.origin];
    if (place.group) {
        if (kind == HANDOUT_ROW_SELECTOR || !place.group->is_map) return row;
        uint32_t output = handout_only_output(tables, &place);
        return output == HANDOUT_NONE ? row : output;
    }
    if (kind == HANDOUT_ROW_INPUT) {
        const uint32_t *binding = handout_binding(tables, &place, &owner);
        if (!binding) { /* an output of an included graph that was an input of it */
            const uint32_t *end, *words = handout_words(tables, place.origin, &end);
            return words < end && handout_operation(*words) == HANDOUT_OP_TASK ? handout_payload(*words) + place.shift : row;
        }
        if (handout_operation(*binding) == HANDOUT_OP_TASK) return handout_payload(*binding) + owner.shift;
        if (handout_operation(*binding) == HANDOUT_OP_OWN) return handout_own(tables, &owner, handout_payload(*binding));
        if (handout_operation(*binding) == HANDOUT_OP_SELF && handout_payload(*binding) == 0 && !owner.group->bytes)
            return owner.group->element_task + owner.element;
        return row;
    }
    if (kind != HANDOUT_ROW_SELECT) return row;
    const uint32_t *base = handout_find_word(tables, place.origin, HANDOUT_OP_TASK);
    const uint32_t *pick = handout_find_word(tables, place.origin, HANDOUT_OP_PICK);
    if (!base || !pick) return row;
    uint32_t from = handout_resolve(tables, handout_payload(*base) + place.shift);
    if (from == HANDOUT_NONE) return HANDOUT_NONE;
    const handout_value *cell = &tables->results[from];
    if (cell->tag != HANDOUT_GROUP) return row;
    handout_buffer key = {0};
    uint32_t found = HANDOUT_NONE;
    if (handout_pool_bytes(tables, handout_payload(*pick), &key) == 0)
        found = handout_instance_of_key(tables, &tables->groups[cell->as.group], key.data, key.length);
    handout_buffer_free(&key);
    return found;
}

uint32_t handout_resolve(const handout_tables *tables, uint32_t row) {
    for (int step = 0; step < MOST_STEPS; step++) {
        if (row == HANDOUT_NONE || tables->results[row].tag != HANDOUT_ABSENT || tables->results[row].missing) return row;
        uint32_t next = stands_for(tables, row);
        if (next == row) return row;
        row = next;
    }
    return HANDOUT_NONE;
}

int handout_pool_bytes(const handout_tables *tables, uint32_t index, handout_buffer *out) {
    uint64_t entry = tables->pool[index];
    if (handout_pool_kind(entry) == HANDOUT_POOL_INTEGER) {
        handout_value cell = {.as.integer = handout_pool_integer(entry), .tag = HANDOUT_INTEGER};
        return handout_value_append(&cell, out);
    }
    const uint8_t *from = tables->pool_bytes + handout_pool_position(entry);
    return handout_buffer_append(out, from, handout_value_size(from, (size_t)(tables->pool_bytes + tables->pool_bytes_length - from)));
}
