/* Trackers while they live. Internal to the shim. */
#ifndef HANDOUT_TRACKER_H
#define HANDOUT_TRACKER_H

#include "cluster.h"
#include "handout_trackers.h"
#include "task.h"

typedef struct handout_tracker {
    handout_tracker_facts facts;
    int functions[4]; /* registry references */
    uint32_t grant;   /* pool index, or HANDOUT_NONE */
} handout_tracker;

struct handout_trackers {
    handout_file file;
    handout_vector list;     /* handout_tracker */
    handout_vector provided; /* char *: of all trackers; facts point into it */
    handout_vector texts;
    handout_problems problems;
    int ended;               /* how the state died, 0: it lives */
    int has_problem;

    /* what the code of tasks wants of one that runs */
    handout_runner runner;
    handout_tables tables;
    handout_lease_item item;
    handout_slot *slot;

    /* the answer */
    handout_vector amounts, labels, answer_texts;
};

/* tracker.c: reads the tracker, or the list of them, at stack `index`. */
void handout_read_trackers(lua_State *L, handout_trackers *trackers, int index);
/* tracker_answers.c: pushes what a function is told; returns how many values. */
int handout_push_tracker_call(lua_State *L, handout_trackers *trackers, const handout_tracker *tracker, int function,
                              const handout_tracker_call *call);
/* Reads what it gave, at stack `index` and `index` + 1. */
void handout_read_tracker_answer(lua_State *L, handout_trackers *trackers, const handout_tracker *tracker, int function, int index,
                                 handout_tracker_answer *answer);
extern const char *const handout_tracker_functions[4];
/* Ends the call: the answer is of another shape. */
_Noreturn void handout_wrong_tracker(lua_State *L, handout_trackers *trackers, const handout_tracker *tracker, int function,
                                     const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
