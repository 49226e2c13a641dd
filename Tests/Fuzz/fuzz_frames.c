/* Fuzzing of what a supervisor and a runner read of each other: frames and all their parts.
 *
 *   S=Sources/CLuaShim; F="-g -O1 -I $S/include -I $S/state -I $S/values -I $S/process $(pkg-config --cflags lua5.4)
 *       Tests/Fuzz/fuzz_frames.c $S/process/frames.c $S/process/shared.c $S/values/value.c"
 *   clang -fsanitize=fuzzer,address,undefined $F -o /tmp/fuzz_frames -lpthread
 *   /tmp/fuzz_frames -max_total_time=60
 * Without libFuzzer, random and mutated frames:
 *   gcc -DSTANDALONE -fsanitize=address,undefined $F -o /tmp/fuzz_frames -lpthread
 *   /tmp/fuzz_frames [runs] [seed]
 */
#include "frames.h"
#include "shared.h"
#include <stdio.h>
#include <stdlib.h>

#define MUST(condition)                                             \
    do {                                                            \
        if (!(condition)) {                                         \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
            abort();                                                \
        }                                                           \
    } while (0)

/* As in task.c, which needs Lua. */
static char *copy(const void *bytes, size_t length) {
    char *to = malloc(length + 1);
    if (length) memcpy(to, bytes, length);
    to[length] = 0;
    return to;
}

handout_failure *handout_failure_new(int ended, const void *message, size_t length, const char *file, uint32_t line, const void *value,
                                     size_t value_length) {
    handout_failure *failure = calloc(1, sizeof *failure);
    failure->ended = (uint8_t)ended;
    failure->message = copy(message, length);
    failure->message_length = (uint32_t)length;
    if (file) failure->file = copy(file, strlen(file));
    failure->line = line;
    if (value_length) handout_buffer_append(&failure->value, value, value_length);
    return failure;
}

void handout_failure_free(handout_failure *failure) {
    if (!failure) return;
    free(failure->message);
    free(failure->traceback);
    free(failure->file);
    handout_buffer_free(&failure->value);
    free(failure);
}

static handout_shared *shared;

/* What was read is written, and reads the same. */
static void fuzz_failure(handout_reading body) {
    handout_failure *failure = handout_get_failure(&body);
    if (!failure) return;
    handout_buffer once = {0}, twice = {0};
    MUST(handout_put_failure(&once, failure) == 0);
    handout_reading again = {once.data, once.data + once.length, 0};
    handout_failure *same = handout_get_failure(&again);
    MUST(same && again.at == again.end && !again.bad);
    MUST(handout_put_failure(&twice, same) == 0);
    MUST(once.length == twice.length && memcmp(once.data, twice.data, once.length) == 0);
    handout_buffer_free(&once);
    handout_buffer_free(&twice);
    handout_failure_free(failure);
    handout_failure_free(same);
}

static void fuzz_done(handout_reading body) {
    int is_last;
    for (uint32_t left = handout_get_done(&body, &is_last); left > 0 && !body.bad; left--) {
        handout_completion completion;
        int status = handout_get_completion(&body, shared, &completion);
        if (status == 0) {
            MUST(completion.ended <= HANDOUT_CANCELLED && (completion.ended == HANDOUT_OK || completion.failure));
            int is_bytes = completion.value.tag == HANDOUT_BLOB || completion.value.tag == HANDOUT_INLINE;
            const uint8_t *bytes = completion.value.tag == HANDOUT_BLOB ? completion.value.as.blob : completion.value.as.bytes;
            if (is_bytes) MUST(handout_value_size(bytes, completion.value.length) == completion.value.length);
            MUST(completion.value.tag < HANDOUT_GROUP);
            if (completion.value.tag == HANDOUT_BLOB) handout_shared_release(shared, bytes, completion.value.length);
        }
        handout_failure_free(completion.failure);
        if (status) break;
    }
}

static void fuzz_lease(handout_reading body) {
    static handout_lease_item items[HANDOUT_LEASE_CAPACITY];
    handout_lease_parts parts = {0};
    uint32_t first, limit;
    if (handout_get_lease(&body, items, &parts, &first, &limit) == 0 && first < limit) {
        handout_buffer again = {0};
        MUST(limit <= HANDOUT_LEASE_CAPACITY && handout_put_lease(&again, items, first, limit) == 0);
        handout_buffer_free(&again);
    }
    handout_lease_parts_free(&parts);
}

static void fuzz_attempt(handout_reading body) {
    handout_attempt attempt;
    handout_amount *amounts;
    handout_get_attempt(&body, &attempt, &amounts);
    for (uint32_t i = 0; !body.bad && i < attempt.amount_count; i++) MUST(strlen(attempt.amounts[i].name) < SIZE_MAX);
    free(amounts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!shared) shared = handout_shared_new();
    uint8_t *exact = malloc(size ? size : 1); /* so that the sanitizer sees every byte read beyond */
    if (size) memcpy(exact, data, size);
    const handout_reading body = {exact, exact + size, 0};
    fuzz_failure(body);
    fuzz_done(body);
    fuzz_lease(body);
    fuzz_attempt(body);
    handout_inbox inbox = {.most = 1 << 16};
    handout_buffer_append(&inbox.bytes, data, size);
    uint32_t kind;
    handout_reading frame;
    while (handout_inbox_next(&inbox, &kind, &frame) == 1) fuzz_done(frame);
    handout_buffer_free(&inbox.bytes);
    free(exact);
    return 0;
}

#ifdef STANDALONE
static uint64_t state;

static uint32_t next(uint32_t below) {
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

/* A right part, some of whose bytes are then changed. */
static void make(handout_buffer *out) {
    handout_failure failure = {.message = "wrong", .message_length = 5, .traceback = "t:1", .traceback_length = 3, .file = "s.lua", .ended = 1};
    handout_completion done[2] = {{.task = 1, .attempt = 1, .value = {.tag = HANDOUT_INTEGER}}, {.task = 2, .ended = 1, .failure = &failure}};
    const handout_amount amounts[] = {{"cpu", 10000}, {"gpu", 1}};
    const handout_index indices[] = {{"gpu", "0"}};
    const handout_claim claim = {1, 2, 1, amounts, indices};
    const handout_lease_item items[2] = {{.task = 1, .attempt = 1, .claim = &claim}, {.task = 2, .attempt = 2, .claim = &claim, .recovers = &failure}};
    const handout_attempt attempt = {.number = 2, .ended = 1, .message = "m", .message_length = 1, .worker = "w", .amounts = amounts, .amount_count = 2};
    static uint8_t blob[] = "\x93\x01\x02\xaaxxxxxxxxxx";
    done[0].value.tag = next(2) ? HANDOUT_BLOB : HANDOUT_INTEGER;
    done[0].value.as.blob = blob;
    done[0].value.length = done[0].value.tag == HANDOUT_BLOB ? sizeof blob - 1 : 0;
    size_t start = next(2) ? handout_frame_begin(out, HANDOUT_FRAME_DONE) : SIZE_MAX;
    switch (next(4)) {
    case 0: handout_put_failure(out, &failure); break;
    case 1: handout_put_done(out, done, 0, 2, 1); break;
    case 2: handout_put_lease(out, items, 0, 2); break;
    default: handout_put_attempt(out, &attempt); break;
    }
    if (start != SIZE_MAX) handout_frame_end(out, start, 0);
    for (uint32_t changes = next(6); changes > 0 && out->length > 1; changes--) {
        size_t at = next((uint32_t)out->length);
        if (next(5) == 0) out->length = at;
        else out->data[at] = next(3) ? (uint8_t)next(256) : (uint8_t)next(3);
    }
}

int main(int argc, char **argv) {
    long runs = argc > 1 ? atol(argv[1]) : 1000000;
    handout_buffer bytes = {0};
    state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    for (long i = 0; i < runs; i++) {
        bytes.length = 0;
        make(&bytes);
        LLVMFuzzerTestOneInput(bytes.data, bytes.length);
    }
    handout_buffer_free(&bytes);
    handout_shared_free(shared);
    printf("%ld runs\n", runs);
    return 0;
}
#endif
