/* Frames between a supervisor and its runner, written and read. */
#define _GNU_SOURCE
#include "frames.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- Frames ---- */

size_t handout_frame_begin(handout_buffer *to, uint32_t kind) {
    size_t start = to->length;
    handout_frame_head head = {0, kind};
    if (handout_put(to, &head, sizeof head)) return SIZE_MAX;
    return start;
}

int handout_frame_end(handout_buffer *to, size_t start, int bad) {
    if (start == SIZE_MAX) return -1;
    size_t length = to->length - start - sizeof(handout_frame_head);
    if (bad || length > UINT32_MAX) {
        to->length = start;
        return -1;
    }
    uint32_t body = (uint32_t)length;
    memcpy(to->data + start, &body, sizeof body);
    return 0;
}

int handout_put_text(handout_buffer *to, const void *text, size_t length) {
    return handout_put_u64(to, length) | handout_put(to, text, length) | handout_put_u8(to, 0);
}

const uint8_t *handout_get(handout_reading *from, size_t length) {
    if (from->bad || length > (size_t)(from->end - from->at)) {
        from->bad = 1;
        return NULL;
    }
    const uint8_t *at = from->at;
    from->at += length;
    return at;
}

const char *handout_get_text(handout_reading *from, size_t *length) {
    uint64_t size = handout_get_u64(from);
    const uint8_t *text = size < SIZE_MAX ? handout_get(from, (size_t)size + 1) : NULL;
    if (text && text[size] != 0) from->bad = 1;
    if (!text || from->bad) {
        from->bad = 1;
        if (length) *length = 0;
        return "";
    }
    if (length) *length = (size_t)size;
    return (const char *)text;
}

/* ---- Failures and histories ---- */

int handout_put_failure(handout_buffer *to, const handout_failure *failure) {
    int bad = handout_put_u8(to, failure->ended) | handout_put_u8(to, failure->never_retry);
    bad |= handout_put_u8(to, failure->has_retry_after) | handout_put_u64(to, failure->retry_after);
    bad |= handout_put_u32(to, failure->line) | handout_put_u8(to, failure->file != NULL);
    if (failure->file) bad |= handout_put_text(to, failure->file, strlen(failure->file));
    bad |= handout_put_text(to, failure->message ? failure->message : "", failure->message_length);
    bad |= handout_put_text(to, failure->traceback ? failure->traceback : "", failure->traceback_length);
    return bad | handout_put_text(to, failure->value.data, failure->value.length);
}

static char *copy_text(const char *text, size_t length) {
    char *to = malloc(length + 1);
    if (to) memcpy(to, text, length), to[length] = 0;
    return to;
}

handout_failure *handout_get_failure(handout_reading *from) {
    size_t message_length, traceback_length, value_length, file_length = 0;
    uint8_t ended = handout_get_u8(from), never = handout_get_u8(from), has_after = handout_get_u8(from);
    uint64_t after = handout_get_u64(from);
    uint32_t line = handout_get_u32(from);
    const char *file = handout_get_u8(from) ? handout_get_text(from, &file_length) : NULL;
    const char *message = handout_get_text(from, &message_length), *traceback = handout_get_text(from, &traceback_length);
    const char *value = handout_get_text(from, &value_length);
    if (from->bad || (file && strlen(file) != file_length)) return NULL;
    if (value_length && handout_value_size((const uint8_t *)value, value_length) != value_length) return NULL;
    handout_failure *failure = handout_failure_new(ended, message, message_length, file, line, value, value_length);
    if (!failure) return NULL;
    failure->traceback = copy_text(traceback, traceback_length);
    failure->traceback_length = failure->traceback ? (uint32_t)traceback_length : 0;
    failure->never_retry = never != 0;
    failure->has_retry_after = has_after != 0;
    failure->retry_after = after;
    return failure;
}

int handout_put_attempt(handout_buffer *to, const handout_attempt *attempt) {
    int bad = handout_put_u32(to, attempt->number) | handout_put_u32(to, (uint32_t)attempt->ended);
    bad |= handout_put(to, attempt->counts, sizeof attempt->counts);
    bad |= handout_put_text(to, attempt->message, attempt->message_length);
    bad |= handout_put_u8(to, attempt->worker != NULL);
    if (attempt->worker) bad |= handout_put_text(to, attempt->worker, strlen(attempt->worker));
    bad |= handout_put_u32(to, attempt->amount_count);
    for (uint32_t i = 0; i < attempt->amount_count; i++)
        bad |= handout_put_text(to, attempt->amounts[i].name, strlen(attempt->amounts[i].name)) |
               handout_put_u64(to, attempt->amounts[i].amount);
    return bad;
}

/* `count` amounts, from malloc; NULL where there are none, or not so many. */
static handout_amount *get_amounts(handout_reading *from, uint32_t count) {
    if (count == 0) return NULL;
    handout_amount *amounts = count <= (size_t)(from->end - from->at) ? calloc(count, sizeof *amounts) : NULL;
    if (!amounts) {
        from->bad = 1;
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        amounts[i].name = handout_get_text(from, NULL);
        amounts[i].amount = handout_get_u64(from);
    }
    return amounts;
}

void handout_get_attempt(handout_reading *from, handout_attempt *attempt, handout_amount **amounts) {
    memset(attempt, 0, sizeof *attempt);
    attempt->number = handout_get_u32(from);
    attempt->ended = (int)handout_get_u32(from);
    const uint8_t *counts = handout_get(from, sizeof attempt->counts);
    if (counts) memcpy(attempt->counts, counts, sizeof attempt->counts);
    attempt->message = handout_get_text(from, &attempt->message_length);
    if (handout_get_u8(from)) attempt->worker = handout_get_text(from, NULL);
    uint32_t count = handout_get_u32(from);
    attempt->amounts = *amounts = get_amounts(from, count);
    attempt->amount_count = *amounts ? count : 0;
}

/* ---- Leases ---- */

static int put_claim(handout_buffer *to, const handout_claim *claim) {
    int bad = handout_put_u32(to, claim->variant) | handout_put_u32(to, claim->amount_count);
    for (uint32_t i = 0; i < claim->amount_count; i++)
        bad |= handout_put_text(to, claim->amounts[i].name, strlen(claim->amounts[i].name)) |
               handout_put_u64(to, claim->amounts[i].amount);
    bad |= handout_put_u32(to, claim->index_count);
    for (uint32_t i = 0; i < claim->index_count; i++)
        bad |= handout_put_text(to, claim->indices[i].resource, strlen(claim->indices[i].resource)) |
               handout_put_text(to, claim->indices[i].name, strlen(claim->indices[i].name));
    return bad;
}

/* The numbers of an item, as they are in the frame. */
typedef struct wire_item {
    uint64_t timeout, memory, cpu;
    uint32_t task, grant;
    uint16_t attempt, retries_left;
    uint32_t recovers; /* its place among the failures, from 1; 0: none */
} wire_item;

int handout_put_lease(handout_buffer *to, const handout_lease_item *items, uint32_t first, uint32_t limit) {
    const handout_claim *claim = items[first].claim; /* all items of a lease have one */
    int bad = handout_put_u32(to, first) | handout_put_u32(to, limit) | handout_put_u8(to, claim != NULL);
    if (claim) bad |= put_claim(to, claim);
    uint32_t failures = 0;
    size_t at = to->length;
    wire_item *wire = (wire_item *)(void *)handout_buffer_reserve(to, (limit - first) * sizeof *wire + sizeof *wire);
    if (!wire || bad) return -1;
    for (uint32_t i = first; i < limit; i++) {
        const handout_lease_item *item = &items[i];
        wire_item one = {item->timeout, item->memory, item->cpu, item->task, item->grant, item->attempt, item->retries_left, 0};
        if (item->recovers) one.recovers = ++failures;
        memcpy(to->data + at + (i - first) * sizeof one, &one, sizeof one);
    }
    to->length = at + (limit - first) * sizeof *wire;
    bad |= handout_put_u32(to, failures);
    for (uint32_t i = first; failures && i < limit; i++)
        if (items[i].recovers) bad |= handout_put_failure(to, items[i].recovers);
    return bad;
}

void handout_lease_parts_free(handout_lease_parts *parts) {
    free(parts->amounts);
    free(parts->indices);
    for (uint32_t i = 0; i < parts->failure_count; i++) {
        handout_failure *failure = &parts->failures[i];
        free(failure->message);
        free(failure->traceback);
        free(failure->file);
        handout_buffer_free(&failure->value);
    }
    free(parts->failures);
    memset(parts, 0, sizeof *parts);
}

static void get_claim(handout_reading *from, handout_lease_parts *parts) {
    parts->claim.variant = handout_get_u32(from);
    uint32_t count = handout_get_u32(from);
    parts->claim.amounts = parts->amounts = get_amounts(from, count);
    parts->claim.amount_count = parts->amounts ? count : 0;
    count = handout_get_u32(from);
    if (count == 0) return;
    parts->indices = count <= (size_t)(from->end - from->at) ? calloc(count, sizeof *parts->indices) : NULL;
    if (!parts->indices) {
        from->bad = 1;
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        parts->indices[i].resource = handout_get_text(from, NULL);
        parts->indices[i].name = handout_get_text(from, NULL);
    }
    parts->claim.indices = parts->indices;
    parts->claim.index_count = count;
}

static void get_failures(handout_reading *from, handout_lease_parts *parts) {
    uint32_t count = handout_get_u32(from);
    if (count > HANDOUT_LEASE_CAPACITY) from->bad = 1;
    if (from->bad || count == 0) return;
    parts->failures = calloc(count, sizeof *parts->failures);
    if (!parts->failures) {
        from->bad = 1;
        return;
    }
    for (; parts->failure_count < count; parts->failure_count++) {
        handout_failure *failure = handout_get_failure(from);
        if (!failure) {
            from->bad = 1;
            return;
        }
        parts->failures[parts->failure_count] = *failure;
        free(failure);
    }
}

int handout_get_lease(handout_reading *from, handout_lease_item *items, handout_lease_parts *parts, uint32_t *first, uint32_t *limit) {
    *first = handout_get_u32(from);
    *limit = handout_get_u32(from);
    if (*first > *limit || *limit > HANDOUT_LEASE_CAPACITY) return -1;
    int has_claim = handout_get_u8(from);
    if (has_claim) get_claim(from, parts);
    const uint8_t *wire = handout_get(from, (*limit - *first) * sizeof(wire_item));
    get_failures(from, parts);
    if (from->bad) return -1;
    for (uint32_t i = *first; i < *limit; i++, wire += sizeof(wire_item)) {
        wire_item one;
        memcpy(&one, wire, sizeof one);
        if (one.recovers > parts->failure_count) return -1;
        items[i] = (handout_lease_item){
            .task = one.task, .attempt = one.attempt, .retries_left = one.retries_left, .timeout = one.timeout,
            .memory = one.memory, .cpu = one.cpu, .grant = one.grant, .claim = has_claim ? &parts->claim : NULL,
            .recovers = one.recovers ? &parts->failures[one.recovers - 1] : NULL};
    }
    return 0;
}

/* ---- Completions ---- */

typedef struct wire_completion {
    uint64_t nanoseconds, value;
    uint32_t task, length;
    uint16_t attempt;
    uint8_t ended, tag;
} wire_completion;

static int put_completion(handout_buffer *to, const handout_completion *completion) {
    wire_completion wire = {.nanoseconds = completion->nanoseconds, .task = completion->task, .length = completion->value.length,
                            .attempt = completion->attempt, .ended = completion->ended, .tag = completion->value.tag};
    int is_blob = wire.tag == HANDOUT_BLOB;
    if (!is_blob) memcpy(&wire.value, &completion->value.as, sizeof wire.value);
    int bad = handout_put(to, &wire, sizeof wire);
    if (is_blob) bad |= handout_put(to, completion->value.as.blob, wire.length);
    if (wire.ended == HANDOUT_OK) return bad;
    bad |= handout_put_u8(to, completion->failure != NULL);
    return completion->failure ? bad | handout_put_failure(to, completion->failure) : bad;
}

int handout_put_done(handout_buffer *to, const handout_completion *completions, uint32_t first, uint32_t limit, int is_last) {
    int bad = handout_put_u32(to, limit - first) | handout_put_u8(to, is_last != 0);
    for (uint32_t i = first; i < limit; i++) bad |= put_completion(to, &completions[i]);
    return bad;
}

uint32_t handout_get_done(handout_reading *from, int *is_last) {
    uint32_t count = handout_get_u32(from);
    *is_last = handout_get_u8(from);
    return count;
}

/* The bytes of a value: exactly one, as our own encoder could have made it. */
static int get_bytes(handout_reading *from, handout_shared *shared, const wire_completion *wire, handout_value *value) {
    if (wire->tag == HANDOUT_INLINE) {
        const uint8_t *bytes = (const uint8_t *)&wire->value;
        if (wire->length > sizeof wire->value || handout_value_size(bytes, wire->length) != wire->length) return -1;
        memcpy(&value->as, &wire->value, sizeof wire->value);
    } else {
        const uint8_t *bytes = handout_get(from, wire->length);
        if (!bytes || wire->length == 0 || handout_value_size(bytes, wire->length) != wire->length) return -1;
        value->as.blob = handout_shared_copy(shared, bytes, wire->length);
        if (!value->as.blob) return -1;
    }
    value->length = wire->length;
    value->tag = wire->tag;
    return 0;
}

int handout_get_completion(handout_reading *from, handout_shared *shared, handout_completion *completion) {
    wire_completion wire;
    const uint8_t *at = handout_get(from, sizeof wire);
    memset(completion, 0, sizeof *completion);
    if (!at) return -1;
    memcpy(&wire, at, sizeof wire);
    completion->task = wire.task;
    completion->attempt = wire.attempt;
    completion->ended = wire.ended;
    completion->nanoseconds = wire.nanoseconds;
    if (wire.ended != HANDOUT_OK) {
        if (wire.ended > HANDOUT_CANCELLED) return -1;
        completion->failure = handout_get_u8(from) ? handout_get_failure(from) : NULL;
        if (completion->failure) completion->failure->ended = wire.ended;
        return completion->failure ? 0 : -1;
    }
    switch (wire.tag) {
    case HANDOUT_NIL: case HANDOUT_FALSE: case HANDOUT_TRUE: break;
    case HANDOUT_INTEGER: case HANDOUT_FLOAT: memcpy(&completion->value.as, &wire.value, sizeof wire.value); break;
    case HANDOUT_INLINE: case HANDOUT_BLOB: return get_bytes(from, shared, &wire, &completion->value);
    default: return -1;
    }
    completion->value.tag = wire.tag;
    return 0;
}

/* ---- The socket ---- */

int handout_frame_send(int socket, handout_buffer *out, int descriptor) {
    size_t at = 0;
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    while (at < out->length) {
        struct iovec part = {out->data + at, out->length - at};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        if (descriptor >= 0) {
            memset(&control, 0, sizeof control);
            message.msg_control = control.room;
            message.msg_controllen = sizeof control.room;
            struct cmsghdr *head = CMSG_FIRSTHDR(&message);
            head->cmsg_level = SOL_SOCKET;
            head->cmsg_type = SCM_RIGHTS;
            head->cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
        }
        ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) {
            out->length = 0;
            return -1;
        }
        descriptor = -1;
        at += (size_t)sent;
    }
    out->length = 0;
    return 0;
}

int handout_inbox_next(handout_inbox *inbox, uint32_t *kind, handout_reading *body) {
    handout_frame_head head;
    size_t there = inbox->bytes.length - inbox->at;
    if (there < sizeof head) return 0;
    const uint8_t *at = inbox->bytes.data + inbox->at;
    memcpy(&head, at, sizeof head);
    if (inbox->most && head.length > inbox->most) return -1;
    if (there - sizeof head < head.length) return 0;
    *kind = head.kind;
    *body = (handout_reading){at + sizeof head, at + sizeof head + head.length, 0};
    inbox->at += sizeof head + head.length;
    return 1;
}

int handout_inbox_fill(handout_inbox *inbox, int socket) {
    enum { CHUNK = 1 << 17 };
    handout_buffer *bytes = &inbox->bytes;
    if (inbox->at) {
        size_t left = bytes->length - inbox->at;
        if (left) memmove(bytes->data, bytes->data + inbox->at, left);
        bytes->length = left;
        inbox->at = 0;
        if (left == 0 && bytes->capacity > (1u << 22)) handout_buffer_free(bytes);
    }
    for (;;) {
        uint8_t *to = handout_buffer_reserve(bytes, CHUNK);
        if (!to) return -1;
        ssize_t got = read(socket, to, CHUNK);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return (int)got;
        bytes->length += (size_t)got;
        return 1;
    }
}
