/* Deadlines, cancels and the memory limit: how a state is left, and who asks for it.
 *
 * Only the watchdog decides that a deadline has passed. It writes what it wants to the slot, with the
 * generation of the attempt it means, and signals the thread; the handler believes it only when that
 * generation still runs. Odd generations run, even ones are the time between attempts.
 *
 * Whoever starts a child process from one of these threads must give it an empty signal mask
 * (posix_spawnattr_setsigmask): it would inherit ours, with SIGTERM and SIGINT blocked.
 */
#define _GNU_SOURCE
#include "slot.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <time.h>

static __thread handout_state *volatile current __attribute__((tls_model("initial-exec")));

int handout_polls = HANDOUT_STANDING_HOOK;

int handout_has_standing_hook(void) { return HANDOUT_STANDING_HOOK; }

/* ---- Leaving ---- */

static void write_reason(handout_state *state, int reason, const char *message) {
    if (message != NULL) {
        if (message != state->message) snprintf(state->message, sizeof state->message, "%s", message);
    } else if (reason == HANDOUT_MEMORY) {
        snprintf(state->message, sizeof state->message, "memory limit of %.6g MiB reached",
                 (double)state->limit / (1 << 20));
    } else if (reason == HANDOUT_CANCELLED) {
        snprintf(state->message, sizeof state->message, "cancelled");
    } else if (state->message[0] == '\0') { /* the caller may have put the length of its timeout there */
        snprintf(state->message, sizeof state->message, "timeout reached");
    }
}

/* Some of the innermost levels is in a Lua function: none is in a coroutine that has just begun or ended. */
static int has_line(lua_State *L) {
    lua_Debug ar;
    for (int level = 0; level < 10 && lua_getstack(L, level, &ar); level++)
        if (lua_getinfo(L, "l", &ar) && ar.currentline > 0) return 1;
    return 0;
}

void handout_leave(handout_state *state, int reason, const char *message) {
    if (!state->entered) {
        fputs("handout: a limit was reached outside of a protected call\n", stderr);
        abort();
    }
    write_reason(state, reason, message);
    state->traceback[0] = '\0';
    lua_State *running = state->running;
    if (running != NULL && !has_line(running)) running = state->L;
    if (running != NULL) handout_traceback(running, state->traceback, sizeof state->traceback, 0);
    current = NULL;
    state->running = NULL;
    state->entered = 0;
    state->dead = 1;
    state->collect = 0;
    longjmp(state->entry, reason);
}

static size_t write_frame(lua_State *L, lua_Debug *ar, char *text, size_t size) {
    if (!lua_getinfo(L, "Sln", ar)) return 0;
    int length;
    if (ar->currentline > 0) length = snprintf(text, size, "%s:%d: in ", ar->short_src, ar->currentline);
    else length = snprintf(text, size, "%s: in ", ar->short_src);
    if (length < 0 || (size_t)length >= size) return 0;
    text += length, size -= (size_t)length;
    int more;
    if (*ar->namewhat != '\0') more = snprintf(text, size, "%s '%.100s'\n", ar->namewhat, ar->name);
    else if (*ar->what == 'm') more = snprintf(text, size, "main chunk\n");
    else if (*ar->what == 'C') more = snprintf(text, size, "?\n");
    else more = snprintf(text, size, "function <%s:%d>\n", ar->short_src, ar->linedefined);
    return more < 0 || (size_t)more >= size ? 0 : (size_t)(length + more);
}

/* As luaL_traceback has it: the levels grow by doubling, then by halves. */
static int deepest_level(lua_State *L) {
    lua_Debug ar;
    int low = 0, high = 1;
    while (lua_getstack(L, high, &ar)) low = high, high *= 2;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (lua_getstack(L, middle, &ar)) low = middle;
        else high = middle;
    }
    return low;
}

void handout_traceback(lua_State *L, char *text, size_t size, int level) {
    enum { FIRST = 12, LAST = 8 };
    lua_Debug ar;
    int deepest = deepest_level(L), skip = deepest - level + 1 - FIRST - LAST;
    size_t used = 0;
    text[0] = '\0';
    for (int i = level; i <= deepest && lua_getstack(L, i, &ar); i++) {
        if (skip > 0 && i == level + FIRST) {
            int length = snprintf(text + used, size - used, "... (%d more)\n", skip);
            if (length > 0 && (size_t)length < size - used) used += (size_t)length;
            i += skip - 1;
            continue;
        }
        size_t length = write_frame(L, &ar, text + used, size - used);
        if (length == 0) break;
        used += length;
    }
    text[used > 0 && text[used - 1] == '\n' ? used - 1 : used] = '\0';
}

/* ---- The hook ---- */

void handout_reset_hook(lua_State *L) {
    if (HANDOUT_STANDING_HOOK || handout_of(L)->counted) lua_sethook(L, handout_stop_hook, LUA_MASKCOUNT, HANDOUT_STANDING_COUNT);
    else lua_sethook(L, NULL, 0, 0);
}

void handout_spend(handout_state *state, int64_t instructions) {
    if (!state->counted) return;
    state->instructions -= instructions;
    if (state->instructions < 0) handout_leave(state, HANDOUT_TIMEOUT, "no instructions left");
}

void handout_install_hook(handout_state *state) {
    if (HANDOUT_STANDING_HOOK) handout_reset_hook(state->L);
}

/* Disarmed before `stop` is looked at: a signal that comes between the two arms it again. */
void handout_stop_hook(lua_State *L, lua_Debug *ar) {
    handout_state *state = handout_of(L);
    (void)ar;
    if (lua_gethookcount(L) == HANDOUT_STANDING_COUNT) handout_spend(state, HANDOUT_STANDING_COUNT);
    else handout_reset_hook(L);
    /* Nobody watches the slot of a state whose calls are made on any thread. */
    if (state->counted && state->slot != NULL && atomic_load_explicit(&state->slot->cancel, memory_order_relaxed))
        state->stop = HANDOUT_CANCELLED;
    handout_check(state);
    if (!state->collect) return;
    state->collect = 0;
    lua_gc(L, LUA_GCCOLLECT);
    handout_check(state);
    if (state->limit != 0 && state->used > state->limit) handout_leave(state, HANDOUT_MEMORY, NULL);
    state->threshold = handout_next_threshold(state);
}

void handout_codec_check(lua_State *L) { handout_check(handout_of(L)); }

/* What the slot asks of the attempt that runs, or 0. Safe in a signal handler. */
static int requested(handout_slot *slot) {
    uint64_t request = atomic_load_explicit(&slot->request, memory_order_acquire);
    uint64_t generation = atomic_load_explicit(&slot->generation, memory_order_relaxed);
    return (generation & 1) != 0 && request >> 8 == generation ? (int)(request & 0xff) : 0;
}

void handout_poll(handout_state *state) {
    handout_slot *slot = state->slot;
    if (slot == NULL || !state->entered || state->stop) return;
    int reason = requested(slot);
    if (reason != 0) state->stop = reason;
}

void handout_enter(handout_state *state) {
    state->entered = 1;
    state->running = state->L;
    atomic_signal_fence(memory_order_seq_cst);
    current = state;
}

void handout_exit(handout_state *state) {
    current = NULL;
    atomic_signal_fence(memory_order_seq_cst);
    state->running = NULL;
    state->entered = 0;
    state->stop = 0;
}

/* ---- Clocks ---- */

static uint64_t read_clock(clockid_t clock) {
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) return 0;
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t handout_now(void) { return read_clock(CLOCK_MONOTONIC); }

/* ---- The watchdog ---- */

enum { TICK = 5 * 1000 * 1000, IDLE_TICKS = 10 };

typedef struct watched {
    handout_slot *slot;
    uint64_t asked_generation, asked_at; /* what was last asked for, and since when */
} watched;

static struct {
    pthread_mutex_t lock; /* holds `slots`: no thread ends, and is signalled, while it is held */
    pthread_cond_t wake;
    watched *slots;
    size_t count, capacity;
    int started;
    _Atomic int awake;
    _Atomic uint64_t ticks, grace;
    _Atomic int signal;
} watchdog = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .wake = PTHREAD_COND_INITIALIZER,
    .grace = 500000000u,
    .signal = SIGURG,
};

void handout_set_grace(uint64_t nanoseconds) { atomic_store(&watchdog.grace, nanoseconds); }

uint64_t handout_watchdog_ticks(void) { return atomic_load(&watchdog.ticks); }

void handout_use_signal(int signal_number) {
    atomic_store(&watchdog.signal, signal_number);
    handout_polls = HANDOUT_STANDING_HOOK || signal_number == 0;
}

static int used_signal(void) { return HANDOUT_STANDING_HOOK ? 0 : atomic_load(&watchdog.signal); }

/* What to ask of the slot's running attempt, and its generation. */
static int wanted(handout_slot *slot, uint64_t now, uint64_t *generation) {
    *generation = atomic_load_explicit(&slot->generation, memory_order_acquire);
    if ((*generation & 1) == 0) return 0;
    if (atomic_load_explicit(&slot->cancel, memory_order_relaxed)) return HANDOUT_CANCELLED;
    uint64_t deadline = atomic_load_explicit(&slot->deadline, memory_order_acquire);
    if (deadline == 0 || (slot->cpu_clock ? read_clock(slot->clock) : now) < deadline) return 0;
    /* The deadline read may belong to a later attempt. */
    return atomic_load_explicit(&slot->generation, memory_order_acquire) == *generation ? HANDOUT_TIMEOUT : 0;
}

void handout_go_away(handout_state *state) {
    if (state->slot != NULL) atomic_store(&state->slot->away, 1);
}

/* Looks itself: the watchdog's next tick may be to come. */
void handout_come_back(handout_state *state) {
    handout_slot *slot = state->slot;
    if (slot == NULL) return;
    atomic_store(&slot->away, 0);
    uint64_t generation;
    int reason = wanted(slot, handout_now(), &generation);
    if (reason != 0) state->stop = reason;
    handout_check(state);
}

static void look_at(watched *each, uint64_t now) {
    uint64_t generation;
    int reason = wanted(each->slot, now, &generation);
    if (reason == 0) return;
    if (each->asked_generation != generation) {
        each->asked_generation = generation;
        each->asked_at = now;
    }
    atomic_store_explicit(&each->slot->request, generation << 8 | (uint64_t)reason, memory_order_release);
    if (atomic_load(&each->slot->away)) { /* its system calls are not ours to interrupt; it looks when it comes back */
        each->asked_at = now;
        return;
    }
    if (used_signal() != 0) pthread_kill(each->slot->thread, used_signal());
    if (now - each->asked_at > atomic_load(&watchdog.grace)) atomic_store(&each->slot->stuck, 1);
}

static int anything_to_watch(void) {
    for (size_t i = 0; i < watchdog.count; i++) {
        handout_slot *slot = watchdog.slots[i].slot;
        if (atomic_load(&slot->deadline) != 0 || atomic_load(&slot->cancel)) return 1;
    }
    return 0;
}

/* Waits, with the lock held, until something has a deadline. `awake` is lowered before the last look:
 * whoever sets a deadline after that look sees it lowered. */
static void sleep_until_needed(void) {
    for (;;) {
        atomic_store(&watchdog.awake, 0);
        if (anything_to_watch()) break;
        pthread_cond_wait(&watchdog.wake, &watchdog.lock);
        if (anything_to_watch()) break;
    }
    atomic_store(&watchdog.awake, 1);
}

static void *watch(void *unused) {
    int idle = 0;
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&watchdog.lock);
        idle = anything_to_watch() ? 0 : idle + 1;
        if (idle > IDLE_TICKS) sleep_until_needed(), idle = 0;
        uint64_t now = handout_now();
        for (size_t i = 0; i < watchdog.count; i++) look_at(&watchdog.slots[i], now);
        pthread_mutex_unlock(&watchdog.lock);
        atomic_fetch_add(&watchdog.ticks, 1);
        struct timespec tick = {0, TICK};
        nanosleep(&tick, NULL);
    }
    return NULL;
}

static void start_watchdog(void) {
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    watchdog.started = pthread_create(&thread, &attributes, watch, NULL) == 0;
    atomic_store(&watchdog.awake, watchdog.started);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void wake_watchdog(void) {
    pthread_mutex_lock(&watchdog.lock);
    if (!watchdog.started) start_watchdog();
    else pthread_cond_signal(&watchdog.wake);
    pthread_mutex_unlock(&watchdog.lock);
}

void handout_watchdog_start(void) { wake_watchdog(); }

/* ---- Deadlines ---- */

void handout_deadline_begin(handout_slot *slot, handout_state *state, uint64_t ns_from_now) {
    if (slot == NULL) {
        state->stop = 0;
        return;
    }
    uint64_t generation = atomic_load_explicit(&slot->generation, memory_order_relaxed);
    if ((generation & 1) != 0) handout_deadline_end(slot), generation++;
    atomic_store_explicit(&slot->generation, generation + 1, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    int cancelled = atomic_load_explicit(&slot->cancel, memory_order_relaxed);
    state->stop = cancelled ? HANDOUT_CANCELLED : 0;
    /* The slot may be younger than the cancel. */
    if (cancelled && !atomic_load(&watchdog.awake)) wake_watchdog();
    if (ns_from_now == 0) return;
    uint64_t now = slot->cpu_clock ? read_clock(CLOCK_THREAD_CPUTIME_ID) : handout_now();
    atomic_store(&slot->deadline, ns_from_now < UINT64_MAX - now ? now + ns_from_now : UINT64_MAX);
    if (!atomic_load(&watchdog.awake)) wake_watchdog();
}

void handout_deadline_end(handout_slot *slot) {
    if (slot == NULL) return;
    uint64_t generation = atomic_load_explicit(&slot->generation, memory_order_relaxed);
    if ((generation & 1) != 0)
        atomic_store_explicit(&slot->generation, generation + 1, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    if (current != NULL) current->stop = 0; /* it came too late, and must not end the next attempt */
    if (atomic_load_explicit(&slot->deadline, memory_order_relaxed) != 0)
        atomic_store_explicit(&slot->deadline, 0, memory_order_release);
    if (atomic_load_explicit(&slot->stuck, memory_order_relaxed)) atomic_store(&slot->stuck, 0);
}

void handout_slot_cancel(handout_slot *slot, int on) {
    atomic_store(&slot->cancel, on);
    if (on && slot->wake >= 0) eventfd_write(slot->wake, 1);
    if (on && !atomic_load(&watchdog.awake)) wake_watchdog();
}

/* ---- Slots ---- */

handout_slot *handout_slot_new(void) {
    handout_slot *slot = calloc(1, sizeof *slot);
    if (!slot) return NULL;
    slot->claim = &slot->own_claim;
    slot->wake = -1;
    return slot;
}

/* What a supervisor gave it goes with it, and not before: others may look at it, and wake it, at any time. */
void handout_slot_free(handout_slot *slot) {
    if (!slot) return;
    if (slot->page) {
        munmap(slot->page, HANDOUT_PAGE);
        close(slot->page_file);
    }
    if (slot->wake >= 0) close(slot->wake);
    free(slot);
}

void handout_slot_hold(handout_slot *slot) {
    while (atomic_exchange_explicit(&slot->taking, 1, memory_order_acquire)) sched_yield();
}

void handout_slot_let_go(handout_slot *slot) { atomic_store_explicit(&slot->taking, 0, memory_order_release); }

uint32_t handout_slot_limit(handout_slot *slot) {
    handout_slot_hold(slot);
    uint32_t limit = atomic_load_explicit(&slot->limit, memory_order_relaxed);
    handout_slot_let_go(slot);
    return limit;
}

void handout_slot_lend(handout_slot *slot, uint32_t count, uint64_t time) {
    slot->count = count;
    slot->lent_at = time;
    slot->drained = 0;
    atomic_store_explicit(&slot->done, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->limit, count, memory_order_relaxed);
    atomic_store_explicit(slot->claim, (uint64_t)count << 32, memory_order_release);
}

/* Unstarted items, as far as a runner process can be believed. */
static uint32_t left_of(const handout_slot *slot, uint64_t claim) {
    uint32_t next = (uint32_t)claim, limit = (uint32_t)(claim >> 32);
    return next < limit && limit <= slot->count ? limit - next : 0;
}

static uint32_t take_back(handout_slot *slot, uint32_t most, uint32_t *first) {
    uint64_t claim = atomic_load(slot->claim);
    for (;;) {
        uint32_t next = (uint32_t)claim, limit = (uint32_t)(claim >> 32), left = left_of(slot, claim);
        uint32_t taken = left < most ? left : most;
        *first = limit - taken;
        if (taken == 0 || limit != atomic_load_explicit(&slot->limit, memory_order_relaxed)) return 0;
        uint64_t lowered = (uint64_t)(limit - taken) << 32 | next;
        if (!atomic_compare_exchange_weak(slot->claim, &claim, lowered)) continue;
        atomic_store_explicit(&slot->limit, limit - taken, memory_order_relaxed);
        return taken;
    }
}

uint32_t handout_slot_reclaim(handout_slot *slot, uint32_t most, uint32_t *first) {
    handout_slot_hold(slot);
    uint32_t taken = take_back(slot, most, first);
    handout_slot_let_go(slot);
    return taken;
}

uint32_t handout_slot_unstarted(handout_slot *slot) {
    return left_of(slot, atomic_load(slot->claim));
}

uint32_t handout_slot_done(handout_slot *slot) {
    return atomic_load_explicit(&slot->done, memory_order_acquire);
}

uint64_t handout_slot_started(handout_slot *slot) { return atomic_load(&slot->started); }

int handout_slot_stuck(handout_slot *slot) { return atomic_load(&slot->stuck); }

/* ---- Threads ---- */

static struct sigaction previous_action;

/* Async-signal-safe: lua_sethook is made for this, see its source. */
static void on_signal(int number, siginfo_t *info, void *context) {
    handout_state *state = current;
    if (state != NULL && state->slot != NULL) {
        int reason = requested(state->slot);
        lua_State *running = state->running;
        if (reason != 0) {
            state->stop = reason;
            if (running != NULL) lua_sethook(running, handout_stop_hook, LUA_MASKCOUNT, 1);
        }
        return;
    }
    if (previous_action.sa_flags & SA_SIGINFO) {
        if (previous_action.sa_sigaction != NULL) previous_action.sa_sigaction(number, info, context);
    } else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
        previous_action.sa_handler(number);
    }
}

static pthread_mutex_t signal_lock = PTHREAD_MUTEX_INITIALIZER; /* holds the choice of the signal */
static int signal_in_use;

static void install_handler(void) {
    struct sigaction action = {.sa_flags = SA_RESTART | SA_SIGINFO | SA_ONSTACK};
    pthread_mutex_lock(&signal_lock);
    signal_in_use = 1;
    if (used_signal() != 0) {
        action.sa_sigaction = on_signal;
        sigemptyset(&action.sa_mask);
        sigaction(used_signal(), &action, &previous_action);
    }
    pthread_mutex_unlock(&signal_lock);
}

int handout_choose_signal(int signal_number) {
    pthread_mutex_lock(&signal_lock);
    int refused = signal_in_use && signal_number != atomic_load(&watchdog.signal);
    if (!signal_in_use) handout_use_signal(signal_number); /* else threads read it */
    pthread_mutex_unlock(&signal_lock);
    return refused ? -1 : 0;
}

static void set_mask(void) {
    static const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGPROF};
    sigset_t mask;
    sigfillset(&mask);
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) sigdelset(&mask, open[i]);
    if (used_signal() != 0) sigdelset(&mask, used_signal());
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

static void watch_slot(handout_slot *slot) {
    pthread_mutex_lock(&watchdog.lock); /* the slot may be watched already, for a thread that hangs */
    slot->thread = pthread_self();
    pthread_getcpuclockid(slot->thread, &slot->clock);
    if (watchdog.count == watchdog.capacity) {
        size_t capacity = watchdog.capacity == 0 ? 16 : watchdog.capacity * 2;
        watched *grown = realloc(watchdog.slots, capacity * sizeof *grown);
        if (grown == NULL) abort();
        watchdog.slots = grown;
        watchdog.capacity = capacity;
    }
    watchdog.slots[watchdog.count++] = (watched){.slot = slot};
    slot->registered = 1;
    pthread_mutex_unlock(&watchdog.lock);
}

static void unwatch_slot(handout_slot *slot) {
    pthread_mutex_lock(&watchdog.lock);
    for (size_t i = 0; i < watchdog.count; i++) {
        if (watchdog.slots[i].slot != slot) continue;
        watchdog.slots[i] = watchdog.slots[--watchdog.count];
        break;
    }
    slot->registered = 0;
    pthread_mutex_unlock(&watchdog.lock);
}

typedef struct start {
    handout_slot *slot;
    void (*body)(void *context);
    void *context;
} start;

static void *run_thread(void *argument) {
    start begun = *(start *)argument;
    free(argument);
    set_mask();
    if (begun.slot != NULL) watch_slot(begun.slot);
    begun.body(begun.context);
    if (begun.slot != NULL) unwatch_slot(begun.slot);
    return NULL;
}

int handout_thread_start(pthread_t *thread, handout_slot *slot, void (*body)(void *context), void *context) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_handler);
    start *argument = malloc(sizeof *argument);
    if (argument == NULL) return ENOMEM;
    *argument = (start){slot, body, context};
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 8 * 1024 * 1024);
    int result = pthread_create(thread, &attributes, run_thread, argument);
    pthread_attr_destroy(&attributes);
    if (result != 0) free(argument);
    return result;
}

void handout_thread_join(pthread_t thread) { pthread_join(thread, NULL); }

int handout_thread_join_within(pthread_t thread, uint64_t nanoseconds) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until); /* the clock of pthread_timedjoin_np */
    uint64_t end = (uint64_t)until.tv_nsec + nanoseconds;
    until.tv_sec += (time_t)(end / 1000000000u);
    until.tv_nsec = (long)(end % 1000000000u);
    return pthread_timedjoin_np(thread, NULL, &until);
}
