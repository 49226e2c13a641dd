/* Rows of a run: what each is made of, and which only stand for others. Internal to the shim. */
#ifndef HANDOUT_ROWS_H
#define HANDOUT_ROWS_H

#include "graph.h"

/* What a row is made of. */
typedef struct handout_place {
    uint32_t row;
    uint32_t origin; /* the declared row that has its words and function */
    uint32_t shift;  /* from the declared rows of its graph to its rows */
    uint32_t element;
    const handout_group *group; /* an instance or inner node: of this map or reduce; else NULL */
    const handout_group *graph; /* a row of a graph that this map instantiates; else NULL */
} handout_place;

/* Here, as it is done for every task. */
static inline void handout_locate(const handout_tables *tables, uint32_t row, handout_place *place) {
    *place = (handout_place){.row = row, .origin = row};
    if (row < tables->count) return;
    const handout_dynamic_row *dynamic = &tables->dynamic[row - tables->count];
    const handout_group *group = &tables->groups[dynamic->group & ~HANDOUT_OF_GRAPH];
    place->element = dynamic->first;
    if (dynamic->group & HANDOUT_OF_GRAPH) {
        place->origin = dynamic->first;
        place->shift = row - place->origin;
        place->graph = group;
        place->element = dynamic->count;
        return;
    }
    place->group = group;
    place->origin = group->declared;
    place->shift = group->task - group->declared;
}

static inline const uint32_t *handout_words(const handout_tables *tables, uint32_t origin, const uint32_t **end) {
    *end = tables->references + tables->reference_offsets[origin + 1];
    return tables->references + tables->reference_offsets[origin];
}

/* The first word of that operation among the row's, or NULL. */
const uint32_t *handout_find_word(const handout_tables *tables, uint32_t origin, uint32_t operation);
/* The word after an argument. */
const uint32_t *handout_skip_argument(const uint32_t *words);
/* For an input of an instantiated graph: what the map binds it to, and the map with the element; or NULL. */
const uint32_t *handout_binding(const handout_tables *tables, const handout_place *place, handout_place *owner);
/* The instance of that selector for the element of `place`, or HANDOUT_NONE. */
uint32_t handout_own(const handout_tables *tables, const handout_place *place, uint32_t selector);
/* The instance with that encoded key, or HANDOUT_NONE. O(instances) where keys are strings. */
uint32_t handout_instance_of_key(const handout_tables *tables, const handout_group *group, const uint8_t *key, size_t length);
/* For an instance of a graph with one output: its row; else HANDOUT_NONE. */
uint32_t handout_only_output(const handout_tables *tables, const handout_place *place);
uint32_t handout_output_row(const handout_tables *tables, const handout_group *group, uint32_t element, uint32_t output);
/* Appends the encoded value of a pool entry that is data. Returns 0, or -1. */
int handout_pool_bytes(const handout_tables *tables, uint32_t index, handout_buffer *out);

#endif
