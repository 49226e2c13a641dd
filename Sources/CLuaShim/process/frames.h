/* What a supervisor and its runner say to each other: frames over a socket pair, each a length, a kind and a body. Integers in
 * host byte order (both are on this machine), texts as a length and bytes and a NUL. Internal to the shim. */
#ifndef HANDOUT_FRAMES_H
#define HANDOUT_FRAMES_H

#include "handout_process.h"
#include <string.h>

enum handout_frame_kind {
    /* From the supervisor. */
    HANDOUT_FRAME_START = 1, /* addresses; with it comes the descriptor of the page */
    HANDOUT_FRAME_LEASE,     /* items */
    HANDOUT_FRAME_REPLY,     /* to a CALL, NAME or MODULE */
    HANDOUT_FRAME_VALUE, HANDOUT_FRAME_SELECT, HANDOUT_FRAME_MEASURE,
    /* From the runner. */
    HANDOUT_FRAME_READY,
    HANDOUT_FRAME_DONE,      /* completions, in the order of the items; the last of a lease says so */
    HANDOUT_FRAME_LOG, HANDOUT_FRAME_PROGRESS,
    HANDOUT_FRAME_CALL,      /* of a function that only the supervisor may perform */
    HANDOUT_FRAME_NAME,      /* of a task */
    HANDOUT_FRAME_MODULE,    /* its source */
    HANDOUT_FRAME_ANSWER,    /* to VALUE, SELECT, MEASURE */
};

/* How a CALL ended: first byte of its reply. */
enum handout_reply { HANDOUT_REPLY_VALUE = 0, HANDOUT_REPLY_ERROR, HANDOUT_REPLY_REFUSED };

typedef struct handout_frame_head {
    uint32_t length; /* of the body */
    uint32_t kind;
} handout_frame_head;

/* The page that both write: the runner says what it runs, both claim items of the lease. A supervisor believes nothing of it. */
typedef struct handout_page {
    _Atomic uint64_t claim;   /* as of a handout_slot */
    _Atomic uint64_t started; /* CLOCK_MONOTONIC ns at which the running attempt began; 0: none runs */
    _Atomic uint32_t running; /* its item */
} handout_page;

/* ---- Writing: all of a frame goes into a buffer, whose length says at its end whether there was memory ---- */

size_t handout_frame_begin(handout_buffer *to, uint32_t kind);
/* 0; -1: no memory for some part, or more than 4 GiB, and the buffer is as before the frame. */
int handout_frame_end(handout_buffer *to, size_t start, int bad);

static inline int handout_put(handout_buffer *to, const void *bytes, size_t length) { return handout_buffer_append(to, bytes, length); }
static inline int handout_put_u8(handout_buffer *to, uint8_t value) { return handout_put(to, &value, 1); }
static inline int handout_put_u32(handout_buffer *to, uint32_t value) { return handout_put(to, &value, sizeof value); }
static inline int handout_put_u64(handout_buffer *to, uint64_t value) { return handout_put(to, &value, sizeof value); }
int handout_put_text(handout_buffer *to, const void *text, size_t length);

/* ---- Reading: what is missing reads as zero and sets `bad` ---- */

typedef struct handout_reading {
    const uint8_t *at, *end;
    int bad;
} handout_reading;

const uint8_t *handout_get(handout_reading *from, size_t length);
static inline uint8_t handout_get_u8(handout_reading *from) {
    const uint8_t *at = handout_get(from, 1);
    return at ? *at : 0;
}
static inline uint32_t handout_get_u32(handout_reading *from) {
    uint32_t value = 0;
    const uint8_t *at = handout_get(from, sizeof value);
    if (at) memcpy(&value, at, sizeof value);
    return value;
}
static inline uint64_t handout_get_u64(handout_reading *from) {
    uint64_t value = 0;
    const uint8_t *at = handout_get(from, sizeof value);
    if (at) memcpy(&value, at, sizeof value);
    return value;
}
/* The text where it lies, with a NUL behind it; "" where it is missing. `length` may be NULL. */
const char *handout_get_text(handout_reading *from, size_t *length);

/* ---- Parts of frames ---- */

/* Items `first` to `limit` of a lease. Returns 0, or -1. */
int handout_put_lease(handout_buffer *to, const handout_lease_item *items, uint32_t first, uint32_t limit);
/* What a runner keeps of a lease's parts that items point to; freed by handout_lease_parts_free. */
typedef struct handout_lease_parts {
    handout_claim claim;
    handout_amount *amounts;
    handout_index *indices;
    handout_failure *failures; /* what items recover from, one after the other */
    uint32_t failure_count;
} handout_lease_parts;
void handout_lease_parts_free(handout_lease_parts *parts);
/* Reads them into `items`, of which there are HANDOUT_LEASE_CAPACITY, and `parts`; texts stay where `from` is. Sets the first
 * and the limit. Returns 0, or -1. */
int handout_get_lease(handout_reading *from, handout_lease_item *items, handout_lease_parts *parts, uint32_t *first, uint32_t *limit);

/* Completions `first` to `limit`. Returns 0, or -1. */
int handout_put_done(handout_buffer *to, const handout_completion *completions, uint32_t first, uint32_t limit, int is_last);
/* How many follow, and whether they are the lease's last. */
uint32_t handout_get_done(handout_reading *from, int *is_last);
/* Reads one; its value's bytes are copied to `shared`. Returns 0; -1: it is malformed, or there is no memory. */
int handout_get_completion(handout_reading *from, handout_shared *shared, handout_completion *completion);

int handout_put_failure(handout_buffer *to, const handout_failure *failure);
handout_failure *handout_get_failure(handout_reading *from);
int handout_put_attempt(handout_buffer *to, const handout_attempt *attempt);
/* `amounts`: from malloc, or NULL; texts stay where `from` is. */
void handout_get_attempt(handout_reading *from, handout_attempt *attempt, handout_amount **amounts);

/* ---- The socket ---- */

/* Writes all of the buffer and empties it; with a descriptor where it is not -1. Returns 0, or -1: nobody reads. */
int handout_frame_send(int socket, handout_buffer *out, int descriptor);

/* Bytes that came, and where the next frame begins in them. */
typedef struct handout_inbox {
    handout_buffer bytes;
    size_t at;
    size_t most; /* of a body */
} handout_inbox;
/* The next whole frame, valid until the next call for the inbox. Returns 1; 0: more bytes are needed; -1: no frame is that long. */
int handout_inbox_next(handout_inbox *inbox, uint32_t *kind, handout_reading *body);
/* Waits for bytes, and takes what is there. Returns 1; 0: nobody writes any more; -1: an error. */
int handout_inbox_fill(handout_inbox *inbox, int socket);

#endif
