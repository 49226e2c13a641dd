/* The allocator of one state. Small blocks come from 64 KiB slabs of one size class each, so that an empty
 * slab can serve another class: otherwise a script could hold the limit once for every class. Large blocks
 * come from malloc.
 *
 * Under the address sanitizer every block comes from malloc, so that the sanitizer sees each one's bounds.
 */
#define _GNU_SOURCE
#include "slot.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALL_LARGE HANDOUT_ADDRESS_SANITIZER

enum {
    GRAIN = 16,
    SMALL_MAX = ALL_LARGE ? 0 : 512,
    CLASSES = 512 / GRAIN,
    SLAB = 64 * 1024,
    FIRST_REGION = 16, /* slabs */
    LARGEST_REGION = 64,
    EMPTY_KEPT = 16, /* empty slabs whose pages stay resident */
};

typedef struct block {
    struct block *next;
} block;

/* Lies at the start of its 64 KiB, which are aligned to their size: a block's slab is found by masking. */
typedef struct slab {
    block *free;
    char *fresh, *end; /* never used so far */
    struct slab *next, *previous;
    uint32_t live;
    uint16_t size;
    uint8_t class;
    uint8_t listed; /* in its class's list of slabs that have room, or current */
} slab;

typedef struct region {
    struct region *next;
    void *base;
    size_t size;
} region;

typedef struct large {
    struct large *next, *previous;
} large;

struct handout_arena {
    slab *current[CLASSES];
    slab *room[CLASSES]; /* other slabs with free blocks */
    slab *empty;
    unsigned empty_count;
    char *fresh, *end; /* slabs of the newest region not used so far */
    size_t region_slabs;
    region *regions;
    large larges;
    size_t footprint; /* slabs in use and large blocks */
};

static slab no_slab; /* never has room; never written */

_Static_assert(sizeof(large) % GRAIN == 0, "large blocks stay aligned");

handout_arena *handout_arena_new(void) {
    handout_arena *arena = calloc(1, sizeof *arena);
    if (arena == NULL) return NULL;
    for (int i = 0; i < CLASSES; i++) arena->current[i] = &no_slab;
    arena->larges.next = arena->larges.previous = &arena->larges;
    arena->region_slabs = FIRST_REGION;
    return arena;
}

void handout_arena_free(handout_arena *arena) {
    if (arena == NULL) return;
    for (large *each = arena->larges.next, *next; each != &arena->larges; each = next) {
        next = each->next;
        free(each);
    }
    for (region *each = arena->regions, *next; each != NULL; each = next) {
        next = each->next;
        munmap(each->base, each->size);
        free(each);
    }
    free(arena);
}

/* ---- Slabs ---- */

static size_t hard_limit(size_t limit) {
    size_t more = limit / 4 < ((size_t)32 << 20) ? limit / 4 : (size_t)32 << 20;
    return limit + more + ((size_t)1 << 20);
}

/* What the arena may take from the system: blocks are rounded up, and free blocks of one class do not serve
 * another. */
static size_t footprint_limit(const handout_state *state) {
    size_t limit = state->limit;
    return limit == 0 ? SIZE_MAX : hard_limit(limit) + limit / 8 + ((size_t)16 << 20);
}

static int new_region(handout_arena *arena) {
    region *entry = malloc(sizeof *entry);
    if (entry == NULL) return 0;
    entry->size = (arena->region_slabs + 1) * SLAB; /* one more, to align */
    entry->base = mmap(NULL, entry->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (entry->base == MAP_FAILED) {
        free(entry);
        return 0;
    }
    entry->next = arena->regions;
    arena->regions = entry;
    arena->fresh = (char *)(((uintptr_t)entry->base + SLAB - 1) & ~(uintptr_t)(SLAB - 1));
    arena->end = arena->fresh + arena->region_slabs * SLAB;
    if (arena->region_slabs < LARGEST_REGION) arena->region_slabs *= 2;
    return 1;
}

static slab *take_slab(handout_arena *arena) {
    slab *taken = arena->empty;
    if (taken != NULL) {
        arena->empty = taken->next;
        arena->empty_count--;
        return taken;
    }
    if (arena->fresh == arena->end && !new_region(arena)) return NULL;
    taken = (slab *)arena->fresh;
    arena->fresh += SLAB;
    return taken;
}

static void give_slab(handout_arena *arena, slab *given) {
    arena->footprint -= SLAB;
    given->next = arena->empty;
    arena->empty = given;
    /* The first page holds the links. */
    if (++arena->empty_count > EMPTY_KEPT) madvise((char *)given + 4096, SLAB - 4096, MADV_DONTNEED);
}

static void unlist(handout_arena *arena, slab *one) {
    if (one->previous != NULL) one->previous->next = one->next;
    else arena->room[one->class] = one->next;
    if (one->next != NULL) one->next->previous = one->previous;
}

static void list(handout_arena *arena, slab *one) {
    one->previous = NULL;
    one->next = arena->room[one->class];
    if (one->next != NULL) one->next->previous = one;
    arena->room[one->class] = one;
    one->listed = 1;
}

/* Makes another slab the current one of `class`; `limits` NULL: without looking at limits. */
static slab *next_slab(handout_arena *arena, unsigned class, const handout_state *limits) {
    slab *next = arena->room[class];
    if (next != NULL) {
        unlist(arena, next);
    } else {
        if (limits != NULL && arena->footprint + SLAB > footprint_limit(limits)) return NULL;
        next = take_slab(arena);
        if (next == NULL) return NULL;
        arena->footprint += SLAB;
        next->free = NULL;
        next->live = 0;
        next->class = (uint8_t)class;
        next->size = (uint16_t)((class + 1) * GRAIN);
        next->fresh = (char *)next + ((sizeof(slab) + GRAIN - 1) & ~(size_t)(GRAIN - 1));
        next->end = next->fresh + ((char *)next + SLAB - next->fresh) / next->size * next->size;
        next->listed = 1;
    }
    if (arena->current[class] != &no_slab) arena->current[class]->listed = 0; /* it is full */
    arena->current[class] = next;
    return next;
}

static inline void *small_new(handout_arena *arena, size_t size, const handout_state *limits) {
    unsigned class = (unsigned)((size - 1) / GRAIN);
    slab *from = arena->current[class];
    for (;;) {
        block *taken = from->free;
        if (__builtin_expect(taken != NULL, 1)) {
            from->free = taken->next;
            from->live++;
            return taken;
        }
        if (from->fresh != from->end) {
            taken = (block *)from->fresh;
            from->fresh += from->size;
            from->live++;
            return taken;
        }
        from = next_slab(arena, class, limits);
        if (from == NULL) return NULL;
    }
}

static void small_free(handout_arena *arena, void *freed) {
    slab *of = (slab *)((uintptr_t)freed & ~(uintptr_t)(SLAB - 1));
    ((block *)freed)->next = of->free;
    of->free = freed;
    of->live--;
    if (__builtin_expect(of->listed && of->live != 0, 1)) return;
    if (of == arena->current[of->class]) return;
    if (of->live == 0) {
        if (of->listed) unlist(arena, of);
        give_slab(arena, of);
    } else {
        list(arena, of);
    }
}

/* ---- Large blocks ---- */

static void *large_link(handout_arena *arena, large *new) {
    new->next = arena->larges.next;
    new->previous = &arena->larges;
    new->next->previous = new;
    arena->larges.next = new;
    return new + 1;
}

static void *large_new(handout_arena *arena, size_t size) {
    large *new = malloc(sizeof *new + size);
    if (new == NULL) return NULL;
    arena->footprint += size;
    return large_link(arena, new);
}

static void large_unlink(large *old) {
    old->previous->next = old->next;
    old->next->previous = old->previous;
}

static void large_free(handout_arena *arena, void *freed, size_t size) {
    large *old = (large *)freed - 1;
    large_unlink(old);
    arena->footprint -= size;
    free(old);
}

static void *large_resize(handout_arena *arena, void *old, size_t old_size, size_t size) {
    large *moved = (large *)old - 1;
    large_unlink(moved);
    large *new = realloc(moved, sizeof *new + size);
    if (new == NULL) { /* `moved` is still there, and a smaller size fits it */
        large_link(arena, moved);
        return size <= old_size ? old : NULL;
    }
    arena->footprint += size - old_size;
    return large_link(arena, new);
}

/* ---- The limit ---- */

size_t handout_next_threshold(const handout_state *state) {
    size_t half = state->used < state->limit ? (state->limit - state->used) / 2 : 0;
    size_t least = state->limit / 20;
    return state->used + (half > least ? half : least);
}

/* Called when `used` would pass the threshold or the limit. Returns 0 when the growth must be refused. */
static int above_threshold(handout_state *state, size_t used) {
    if (state->limit == 0) return 1;
    if (used > hard_limit(state->limit)) return 0;
    if (state->threshold == 0) state->threshold = handout_next_threshold(state);
    if (used <= state->threshold && used <= state->limit) return 1;
    lua_State *running = state->running;
    if (running == NULL) return 1;
    state->collect = 1;
    if (lua_gethook(running) != handout_stop_hook || lua_gethookcount(running) != 1)
        lua_sethook(running, handout_stop_hook, LUA_MASKCOUNT, 1);
    return 1;
}

/* NULL would make Lua collect in the middle of an operation, which 5.4.4 does not survive everywhere
 * (983bc433). */
static void *out_of_memory(handout_state *state) {
    if (state->entered) handout_leave(state, HANDOUT_MEMORY, NULL);
    return NULL;
}

static void *resize(handout_state *state, void *old, size_t old_size, size_t new_size) {
    handout_arena *arena = state->arena;
    const handout_state *limits = new_size > old_size ? state : NULL; /* a shrinking must not fail */
    if (limits != NULL && new_size > SMALL_MAX &&
        arena->footprint + new_size - old_size > footprint_limit(state))
        return NULL;
    if (old != NULL && old_size > SMALL_MAX && new_size > SMALL_MAX)
        return large_resize(arena, old, old_size, new_size);
    void *new = new_size > SMALL_MAX ? large_new(arena, new_size) : small_new(arena, new_size, limits);
    if (old == NULL || new == NULL) return new;
    memcpy(new, old, old_size < new_size ? old_size : new_size);
    if (old_size > SMALL_MAX) large_free(arena, old, old_size);
    else small_free(arena, old);
    return new;
}

void *handout_allocate(void *ud, void *old, size_t old_size, size_t new_size) {
    handout_state *state = ud;
    if (old == NULL) old_size = 0; /* it names the kind of object */
    if (new_size == 0) {
        if (old == NULL) return NULL;
        state->used -= old_size;
        if (old_size > SMALL_MAX) large_free(state->arena, old, old_size);
        else small_free(state->arena, old);
        return NULL;
    }
    size_t used = state->used + new_size - old_size;
    if (new_size > old_size) {
        int above = used > state->threshold || used > state->limit;
        if (__builtin_expect(above, 0) && !above_threshold(state, used)) return out_of_memory(state);
        if (new_size > SMALL_MAX && state->entered) handout_check(state); /* ends long loops of C functions */
    }
    void *new;
    if (__builtin_expect(old == NULL && new_size <= SMALL_MAX, 1)) {
        new = small_new(state->arena, new_size, state);
    } else if (old != NULL && new_size <= SMALL_MAX && old_size <= SMALL_MAX &&
               (new_size - 1) / GRAIN == (old_size - 1) / GRAIN) {
        new = old;
    } else {
        new = resize(state, old, old_size, new_size);
    }
    if (__builtin_expect(new == NULL, 0)) return out_of_memory(state);
    state->used = used;
    if (used > state->peak) state->peak = used;
    return new;
}
