/* The side of a slot that its own thread uses, and the entry to a state. Internal to the shim.
 *
 * Entering a state (the jump buffer must belong to a frame that outlives the call):
 *
 *     int reason = setjmp(state->entry);
 *     if (reason == 0) {
 *         handout_enter(state);
 *         handout_deadline_begin(slot, state, nanoseconds);
 *         status = lua_pcall(...);
 *         handout_deadline_end(slot);
 *         handout_exit(state);
 *     } else {
 *         handout_deadline_end(slot);      the state is dead: `state->message` and `traceback` say why
 *     }
 *
 * Several attempts may run within one entry. A cancel or a deadline that comes between two attempts is not
 * lost: the next handout_deadline_begin looks at the cancel flag, and the request of an earlier generation
 * is ignored.
 */
#ifndef HANDOUT_SLOT_H
#define HANDOUT_SLOT_H

#include "state.h"

#if defined(__SANITIZE_ADDRESS__)
#define HANDOUT_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HANDOUT_ADDRESS_SANITIZER 1
#endif
#endif
#ifndef HANDOUT_ADDRESS_SANITIZER
#define HANDOUT_ADDRESS_SANITIZER 0
#endif

#if defined(__SANITIZE_THREAD__)
#define HANDOUT_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HANDOUT_THREAD_SANITIZER 1
#endif
#endif
#ifndef HANDOUT_THREAD_SANITIZER
#define HANDOUT_THREAD_SANITIZER 0
#endif

/* Sanitizers delay signals; there a count hook is set all the time and looks at the slot. */
#define HANDOUT_STANDING_HOOK (HANDOUT_ADDRESS_SANITIZER || HANDOUT_THREAD_SANITIZER)
enum { HANDOUT_STANDING_COUNT = 1000 };

enum { HANDOUT_PAGE = 4096 }; /* bytes of what a slot shares with a runner process */

/* Claims the next item of the lease. Returns 1 and its index, or 0 when none is left. For the owner only. */
static inline int handout_slot_claim(handout_slot *slot, uint32_t *index) {
    uint64_t claim = atomic_load_explicit(slot->claim, memory_order_acquire);
    for (;;) {
        uint32_t next = (uint32_t)claim;
        if (next >= (uint32_t)(claim >> 32)) return 0;
        if (atomic_compare_exchange_weak_explicit(slot->claim, &claim, claim + 1, memory_order_acq_rel,
                                                  memory_order_acquire)) {
            *index = next;
            return 1;
        }
    }
}

/* Around a change of `claim` and `limit` that belong together: some instructions long. */
void handout_slot_hold(handout_slot *slot);
void handout_slot_let_go(handout_slot *slot);
/* Items that were not taken back, when nobody is taking some. */
uint32_t handout_slot_limit(handout_slot *slot);

/* Publishes the completion at index `done`, already written. For the owner only. */
static inline void handout_slot_complete(handout_slot *slot) {
    uint32_t done = atomic_load_explicit(&slot->done, memory_order_relaxed);
    atomic_store_explicit(&slot->done, done + 1, memory_order_release);
}

/* The state that this thread runs: what the deadline signal stops. Sets `entered` and `running`. */
void handout_enter(handout_state *state);
void handout_exit(handout_state *state);

/* Starts and ends the time of one attempt. `ns_from_now` 0: no deadline, but a cancel still holds. `slot`
 * may be NULL. Clears `state->stop`. */
void handout_deadline_begin(handout_slot *slot, handout_state *state, uint64_t ns_from_now);
void handout_deadline_end(handout_slot *slot);

/* Around a function of the embedding program, which may block: meanwhile the thread is not signalled, and not called stuck.
 * handout_come_back leaves when a deadline passed or a cancel came. */
void handout_go_away(handout_state *state);
void handout_come_back(handout_state *state);

/* Sets the hook that `L` has while nothing was asked for: the standing hook in sanitizer builds and where instructions
 * are counted, otherwise none. */
void handout_reset_hook(lua_State *L);

/* Where the next full collection is due, given what is in use now. */
size_t handout_next_threshold(const handout_state *state);

/* Starts the watchdog's thread, which otherwise waits for the first deadline. */
void handout_watchdog_start(void);

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t handout_now(void);

#endif
