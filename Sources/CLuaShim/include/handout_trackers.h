/* Trackers in Lua: functions of a file that say how much of a resource there is.
 *
 * The trackers of a file share a state. One thread uses them at a time. */
#ifndef HANDOUT_TRACKERS_H
#define HANDOUT_TRACKERS_H

#include "handout_files.h"

typedef struct handout_trackers handout_trackers;

enum handout_tracker_function { HANDOUT_TRACKER_REGISTER = 0, HANDOUT_TRACKER_PROBE, HANDOUT_TRACKER_REQUEST, HANDOUT_TRACKER_RELEASE };

typedef struct handout_tracker_facts {
    const char *name;
    const char **provides;
    uint32_t provide_count;
    int of_cluster;      /* scope = "cluster" */
    uint64_t every;      /* ns */
    int has[4];          /* by enum handout_tracker_function */
    const uint8_t *grant; /* what it asks for, an encoded table; NULL: nothing */
    size_t grant_length;
} handout_tracker_facts;

/* Runs a file that returns handout.tracker{ ... } or a list of them. The program of `config` says what is allowed. NULL when
 * memory is exhausted. */
handout_trackers *handout_trackers_new(const handout_file_config *config);
const handout_problems *handout_trackers_problems(const handout_trackers *trackers);
uint32_t handout_trackers_count(const handout_trackers *trackers);
const handout_tracker_facts *handout_trackers_facts(const handout_trackers *trackers, uint32_t index);
void handout_trackers_free(handout_trackers *trackers);

/* What a function is told: of probe `amounts` is what is claimed, and `now` in seconds; of request and release it is what the
 * attempt holds. */
typedef struct handout_tracker_call {
    const handout_cluster_amount *amounts;
    uint32_t amount_count;
    double now;
    const char *task;
    uint32_t attempt;
    uint64_t time; /* ns that the call may take */
} handout_tracker_call;

/* What it gave; until the next call. */
typedef struct handout_tracker_answer {
    int given;    /* register, probe: a table; else the last one holds. request: not false */
    const handout_cluster_amount *amounts;
    const handout_cluster_label *labels;
    uint32_t amount_count, label_count;
    int has_price, has_labels;
    double price;
    const char *reason; /* NULL: not said */
} handout_tracker_answer;

/* Calls a function that the tracker has. Returns 0, or enum handout_ended, and then handout_trackers_problem says what was
 * wrong; after a limit the trackers are dead. */
int handout_trackers_call(handout_trackers *trackers, uint32_t index, int function, const handout_tracker_call *call,
                          handout_tracker_answer *answer);
const handout_plan_error *handout_trackers_problem(const handout_trackers *trackers);
int handout_trackers_are_dead(const handout_trackers *trackers);

#endif
