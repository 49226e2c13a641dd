/* A range of addresses that is a file in memory: ranges that grow are at its start, blocks that come and go behind them.
 *
 * Pointers into it hold in every process that maps it, so a runner reads plans, results and lists as a thread does. */
#define _GNU_SOURCE
#include "shared.h"
#include "slot.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Where programs, libraries, stacks and the tables of sanitizers are not; as many ranges as runs may be beside each other. */
#if HANDOUT_THREAD_SANITIZER
#define FIRST_ADDRESS 0x550000000000u
enum { RANGES = 20 };
#define RANGE_SIZE ((size_t)1 << 37)
#else
#define FIRST_ADDRESS 0x200000000000u
enum { RANGES = 256 };
#define RANGE_SIZE ((size_t)1 << 38)
#endif

enum { SMALLEST = 16, SMALL_CLASSES = 32, CLASSES = SMALL_CLASSES + 4 * 32, PAGE = 4096, GIVEN_BACK = 1 << 18 };

typedef struct free_list {
    uint32_t count, capacity;
    uint8_t **blocks;
} free_list;

struct handout_shared {
    int file, reading; /* the second can only be read: what runners get */
    uint8_t *base;
    size_t used; /* bytes from the start that were handed out once */
    pthread_mutex_t lock;
    free_list lists[CLASSES];
};

/* ---- Sizes ---- */

/* Multiples of 16 up to 512, then four steps for each doubling. */
static size_t class_of(size_t size, size_t *rounded) {
    if (size <= SMALLEST * SMALL_CLASSES) {
        size_t class = size ? (size - 1) / SMALLEST : 0;
        *rounded = (class + 1) * SMALLEST;
        return class;
    }
    int top = 63 - __builtin_clzll((unsigned long long)(size - 1));
    size_t step = (size_t)1 << (top - 2), quarter = (size - 1 - ((size_t)1 << top)) / step;
    *rounded = ((size_t)1 << top) + (quarter + 1) * step;
    return SMALL_CLASSES + (size_t)(top - 9) * 4 + quarter;
}

/* ---- Making it ---- */

static uint8_t *map_range(int file) {
    for (int i = 0; i < RANGES; i++) {
        void *wanted = (void *)(FIRST_ADDRESS + (uintptr_t)i * RANGE_SIZE);
        void *got = mmap(wanted, RANGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, file, 0);
        if (got == wanted) return got;
        if (got != MAP_FAILED) munmap(got, RANGE_SIZE);
        else if (errno != EEXIST) return NULL;
    }
    return NULL;
}

handout_shared *handout_shared_new(void) {
    handout_shared *shared = calloc(1, sizeof *shared);
    if (!shared) return NULL;
    char path[40];
    shared->file = memfd_create("handout", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", shared->file);
    shared->reading = shared->file >= 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (shared->reading >= 0 && ftruncate(shared->file, (off_t)RANGE_SIZE) == 0) shared->base = map_range(shared->file);
    if (!shared->base) {
        if (shared->file >= 0) close(shared->file);
        if (shared->reading >= 0) close(shared->reading);
        free(shared);
        return NULL;
    }
    pthread_mutex_init(&shared->lock, NULL);
    return shared;
}

void handout_shared_free(handout_shared *shared) {
    if (!shared) return;
    munmap(shared->base, RANGE_SIZE);
    close(shared->file);
    close(shared->reading);
    for (size_t i = 0; i < CLASSES; i++) free(shared->lists[i].blocks);
    pthread_mutex_destroy(&shared->lock);
    free(shared);
}

int handout_shared_file(const handout_shared *shared) { return shared->reading; }

void *handout_shared_base(const handout_shared *shared) { return shared->base; }

size_t handout_shared_size(const handout_shared *shared) {
    (void)shared;
    return RANGE_SIZE;
}

int handout_shared_attach(int file, void *base, size_t size) {
    void *got = mmap(base, size, PROT_READ, MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, file, 0);
    if (got == base) return 0;
    return got == MAP_FAILED ? errno : EEXIST;
}

/* ---- Memory of it ---- */

static void *extend(handout_shared *shared, size_t size, size_t alignment) {
    size_t start = (shared->used + alignment - 1) & ~(alignment - 1);
    if (start > RANGE_SIZE || size > RANGE_SIZE - start) return NULL;
    shared->used = start + size;
    return shared->base + start;
}

void *handout_shared_reserve(handout_shared *shared, size_t size) {
    pthread_mutex_lock(&shared->lock);
    void *found = extend(shared, size, PAGE);
    pthread_mutex_unlock(&shared->lock);
    return found;
}

void *handout_shared_allocate(handout_shared *shared, size_t size) {
    size_t rounded;
    free_list *list = &shared->lists[class_of(size, &rounded)];
    pthread_mutex_lock(&shared->lock);
    void *found = list->count ? list->blocks[--list->count] : extend(shared, rounded, rounded < PAGE ? SMALLEST : PAGE);
    pthread_mutex_unlock(&shared->lock);
    return found;
}

void handout_shared_release(handout_shared *shared, const void *block, size_t size) {
    if (!block) return;
    size_t rounded;
    free_list *list = &shared->lists[class_of(size, &rounded)];
    if (rounded >= GIVEN_BACK) madvise((void *)(uintptr_t)block, rounded & ~(size_t)(PAGE - 1), MADV_REMOVE);
    pthread_mutex_lock(&shared->lock);
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity ? list->capacity * 2 : 16;
        uint8_t **blocks = realloc(list->blocks, capacity * sizeof *blocks);
        if (blocks) list->blocks = blocks, list->capacity = capacity;
    }
    /* Without memory for the list the block is lost, and nothing else. */
    if (list->count < list->capacity) list->blocks[list->count++] = (uint8_t *)(uintptr_t)block;
    pthread_mutex_unlock(&shared->lock);
}

void *handout_shared_copy(handout_shared *shared, const void *bytes, size_t size) {
    void *to = handout_shared_allocate(shared, size);
    if (to && size) memcpy(to, bytes, size);
    return to;
}
