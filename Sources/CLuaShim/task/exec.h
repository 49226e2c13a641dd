/* One call of handout.exec: what it is to start, and what came of it. Internal to the shim. */
#ifndef HANDOUT_EXEC_H
#define HANDOUT_EXEC_H

#include "grants.h"

enum { HANDOUT_MOST_PARTS = 16 };

typedef struct handout_part {
    uint32_t first, count; /* its words */
    char path[PATH_MAX];   /* of the program */
    pid_t pid;
    int pidfd;
    int ended;             /* it has, and was not waited for */
    int status;            /* as waitpid gives it */
} handout_part;

/* Kept by the runner from call to call, so that nothing is lost when one is left. */
typedef struct handout_job {
    handout_buffer text;    /* words, and variables as NAME=value, each ended by a NUL */
    handout_buffer words;   /* uint32_t: position in `text` */
    handout_buffer variables;
    handout_buffer out, err;
    handout_buffer pointers; /* char *: argument and environment lists */
    char scratch[PATH_MAX]; /* the attempt's folder, empty: not made */
    /* of the call that goes on */
    handout_part parts[HANDOUT_MOST_PARTS];
    uint32_t part_count;
    const char *input;      /* bytes for the first part; a string on the stack of the call, or NULL */
    size_t input_length;
    handout_reach input_file, out_file, err_file; /* an empty path: none */
    char directory[PATH_MAX];
    uint64_t timeout;       /* ns, 0: none */
    int check;
    double seconds;
    uint64_t next_scan;     /* when all processes are looked at again */
} handout_job;

/* The runner's, made when first needed. */
handout_job *handout_job_of(lua_State *L, handout_runner *runner);

enum handout_job_end { HANDOUT_JOB_DONE, HANDOUT_JOB_STOPPED, HANDOUT_JOB_LATE, HANDOUT_JOB_FULL, HANDOUT_JOB_FAILED };

/* footprint.c: the bytes that the parts hold, and now and then those of what they started. */
size_t handout_job_bytes(handout_job *job);

/* children.c: starts the parts and waits until all have ended; when the state is asked to stop, the time is over or they and
 * what was captured hold more than `room` bytes, ends them. Nothing is left running or open. Calls no Lua. `*error` is an errno, and
 * `*what` what it is of, when it failed. */
enum handout_job_end handout_run_job(handout_state *state, handout_job *job, size_t room, const char **what, int *error);

#endif
