/* What a supervisor does for the tasks of its runner: files, programs, the environment, functions of the embedding program, by the
 * same functions that tasks of threads call, in a state in which no script ever runs. Internal to the shim. */
#ifndef HANDOUT_BROKER_H
#define HANDOUT_BROKER_H

#include "frames.h"
#include "slot.h"

typedef struct handout_broker {
    const handout_runners *runners;
    handout_slot *slot;
    handout_program program; /* without a script to run */
    handout_state *state;    /* NULL: none so far, or none since a limit was met */
} handout_broker;

/* Calls `name` with `count` encoded values for the attempt `item`, and appends the body of the reply to `reply`. `deadline`: ns of
 * CLOCK_MONOTONIC, 0: none; `asker`: no task, but what asks, for messages, or NULL. Returns 0; else the enum handout_ended with which
 * the attempt has to end, which `message` explains. */
int handout_broker_call(handout_broker *broker, const handout_lease_item *item, uint64_t deadline, const char *asker,
                        handout_reading *call, handout_buffer *reply, char *message, size_t size);
/* The attempt has ended: its folder goes. */
void handout_broker_attempt_end(handout_broker *broker);
void handout_broker_free(handout_broker *broker);

#endif
