/* Runner processes: tasks run where the kernel holds them, and what runs can be killed.
 *
 * A supervisor is a thread of the pool; it has a runner, a process of the small program `handout-runner`, and feeds it the
 * leases of its slot over a socket pair. What runners only read (the plan, results, lists that maps run over) is memory that
 * they map read-only; what they send is checked. */
#ifndef HANDOUT_PROCESS_H
#define HANDOUT_PROCESS_H

#include "handout_lua.h"

typedef struct handout_shared handout_shared;
typedef struct handout_supervisor handout_supervisor;

/* ---- Shared memory (shared.c) ---- */

/* NULL: no memory or address space for it. */
handout_shared *handout_shared_new(void);
void handout_shared_free(handout_shared *shared);
/* Zeroed room for a range that grows in place; memory is used as it is written. Never given back. NULL: no room. */
void *handout_shared_reserve(handout_shared *shared, size_t size);
/* A block, of undefined content, and its end; from any thread. NULL: no room. */
void *handout_shared_allocate(handout_shared *shared, size_t size);
void *handout_shared_copy(handout_shared *shared, const void *bytes, size_t size);
void handout_shared_release(handout_shared *shared, const void *block, size_t size);

/* ---- Supervisors (supervisor.c) ---- */

/* What the runners of one run have in common. */
typedef struct handout_runners {
    const char *path;                /* of the program handout-runner */
    handout_shared *shared;
    const handout_program *program;  /* what tasks may do, for calls on their behalf */
    const handout_program *copied;   /* for runners, in shared memory: nothing that only a supervisor may know */
    const handout_tables *tables;    /* in shared memory, with all that they point to */
    const handout_host *host;
    uint64_t grace;                  /* ns after a deadline, after which a runner is killed */
} handout_runners;

/* A copy of what runners need of a program; or NULL. Ends with `shared`. */
const handout_program *handout_shared_program(handout_shared *shared, const handout_program *program);

/* `runners` must outlive it. NULL: no memory. Its calls are made from one thread, the slot's. */
handout_supervisor *handout_supervisor_new(const handout_runners *runners, handout_slot *slot);
/* Has the slot's lease run, and writes the completions. A runner that ends before its time, or has to be killed, costs the
 * attempt that ran; the rest of the lease goes on in another. */
void handout_supervisor_run(handout_supervisor *supervisor);
/* As the functions of the same names for task states, in the runner. They return 0, or not 0 with what they say there; what
 * the runner was is no matter afterwards. */
int handout_supervisor_value(handout_supervisor *supervisor, uint32_t task, handout_buffer *out, char *error, size_t size);
int handout_supervisor_select(handout_supervisor *supervisor, uint32_t task, uint32_t group, uint32_t elements,
                              handout_selection *selection, char *error, size_t size);
int handout_supervisor_measure(handout_supervisor *supervisor, uint32_t task, const handout_attempt *attempt, handout_buffer *out,
                               handout_failure **failure);
/* The process id of its runner, 0: none now. */
pid_t handout_supervisor_runner(const handout_supervisor *supervisor);
/* Runners started so far. */
uint64_t handout_supervisor_starts(const handout_supervisor *supervisor);
/* Ends the runner, and waits for it. */
void handout_supervisor_free(handout_supervisor *supervisor);

/* ---- The runner (runner.c) ---- */

/* 1 where the kernel has what confines a runner (seccomp), and the build no sanitizer, which needs other calls. */
int handout_can_confine(void);

/* What handout-runner does: serves the supervisor at descriptor 0 until that closes. Returns an exit status. */
int handout_runner_main(void);

#endif
