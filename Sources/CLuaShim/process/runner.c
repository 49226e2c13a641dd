/* The runner process: a task state behind a socket. */
#define _GNU_SOURCE
#include "confine.h"
#include "remote.h"
#include "shared.h"
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SOCKET = 0, SHARED = 1 };

/* Exit statuses, for the supervisor's message. */
enum { NO_START = 10, NO_MEMORY, NOT_CONFINED };

typedef struct serving {
    handout_remote remote;
    handout_host host;
    const handout_program *program;
    const handout_tables *tables;
    uint64_t memory; /* bytes of addresses beside those of the start */
    handout_state *state;
    handout_lease_parts parts;
    handout_buffer lease;
} serving;

static handout_state *state_of(serving *now) {
    if (!now->state) now->state = handout_task_state_new(now->program, now->tables, &now->host, now->remote.slot);
    if (!now->state) _exit(NO_MEMORY);
    return now->state;
}

static void drop_state(serving *now) {
    handout_task_state_free(now->state);
    now->state = NULL;
}

/* ---- What the supervisor asks for ---- */

static void run_lease(serving *now, const handout_reading *frame) {
    handout_remote *remote = &now->remote;
    handout_slot *slot = remote->slot;
    uint32_t first, limit;
    now->lease.length = 0; /* texts of the lease stay in a copy: replies to its calls come to where the frame is */
    if (handout_buffer_append(&now->lease, frame->at, (size_t)(frame->end - frame->at))) _exit(NO_MEMORY);
    handout_reading body = {now->lease.data, now->lease.data + now->lease.length, 0};
    handout_lease_parts_free(&now->parts);
    if (handout_get_lease(&body, slot->items, &now->parts, &first, &limit)) _exit(1);
    slot->count = limit;
    slot->lent_at = remote->flushed_at = handout_now();
    atomic_store(&slot->done, first);
    remote->flushed = first;
    remote->granted = 0;
    while (handout_task_state_run(state_of(now))) drop_state(now);
    atomic_store(&remote->page->started, 0);
    handout_remote_flush(remote, 1);
}

static void answer(serving *now, size_t start, int bad) {
    if (handout_frame_end(&now->remote.out, start, bad)) _exit(NO_MEMORY);
    handout_remote_send(&now->remote);
}

static void answer_value(serving *now, handout_reading *body) {
    handout_buffer value = {0}, *out = &now->remote.out;
    char error[1200] = "";
    int status = handout_task_state_value(state_of(now), handout_get_u32(body), &value, error, sizeof error);
    if (status) drop_state(now);
    size_t start = handout_frame_begin(out, HANDOUT_FRAME_ANSWER);
    int bad = handout_put_u8(out, status != 0);
    bad |= status ? handout_put_text(out, error, strlen(error)) : handout_put_text(out, value.data, value.length);
    handout_buffer_free(&value);
    answer(now, start, bad);
}

static void answer_select(serving *now, handout_reading *body) {
    handout_buffer *out = &now->remote.out;
    handout_selection selection = {0};
    char error[1200] = "";
    uint32_t task = handout_get_u32(body), group = handout_get_u32(body), elements = handout_get_u32(body);
    int status = handout_task_state_select(state_of(now), task, group, elements, &selection, error, sizeof error);
    if (status) drop_state(now);
    size_t start = handout_frame_begin(out, HANDOUT_FRAME_ANSWER);
    int bad = handout_put_u8(out, status != 0);
    if (status) {
        bad |= handout_put_text(out, error, strlen(error));
    } else {
        bad |= handout_put(out, selection.offsets, (elements + 1u) * sizeof(uint32_t)) | handout_put(out, selection.verdicts, elements);
        bad |= handout_put(out, selection.rows, selection.offsets[elements] * sizeof(uint32_t));
    }
    handout_selection_free(&selection);
    answer(now, start, bad);
}

static void answer_measure(serving *now, handout_reading *body) {
    handout_buffer given = {0}, *out = &now->remote.out;
    handout_failure *failure = NULL;
    handout_attempt attempt;
    handout_amount *amounts;
    uint32_t task = handout_get_u32(body);
    handout_buffer copy = {0}; /* calls of the functions make the inbox move */
    if (handout_buffer_append(&copy, body->at, (size_t)(body->end - body->at))) _exit(NO_MEMORY);
    handout_reading rest = {copy.data, copy.data + copy.length, 0};
    handout_get_attempt(&rest, &attempt, &amounts);
    int status = handout_task_state_measure(state_of(now), task, &attempt, &given, &failure);
    if (status < 0) drop_state(now);
    size_t start = handout_frame_begin(out, HANDOUT_FRAME_ANSWER);
    int bad = handout_put_u8(out, (uint8_t)(int8_t)status) | handout_put_text(out, given.data, given.length);
    bad |= handout_put_u8(out, failure != NULL);
    if (failure) bad |= handout_put_failure(out, failure);
    handout_failure_free(failure);
    handout_buffer_free(&given);
    handout_buffer_free(&copy);
    free(amounts);
    answer(now, start, bad);
}

static void serve(void *context) {
    serving *now = context;
    handout_watchdog_start(); /* no thread can be made later */
    tzset(); /* while its file can be read: it is not looked for again as long as TZ is the same */
    if (handout_limit_process(now->memory)) _exit(NOT_CONFINED);
    int confined = handout_can_confine();
    if (confined && handout_confine_calls()) _exit(NOT_CONFINED);
    size_t start = handout_frame_begin(&now->remote.out, HANDOUT_FRAME_READY);
    answer(now, start, handout_put_u8(&now->remote.out, (uint8_t)confined));
    for (;;) {
        handout_reading body;
        switch (handout_remote_receive(&now->remote, &body)) {
        case HANDOUT_FRAME_LEASE: run_lease(now, &body); break;
        case HANDOUT_FRAME_VALUE: answer_value(now, &body); break;
        case HANDOUT_FRAME_SELECT: answer_select(now, &body); break;
        case HANDOUT_FRAME_MEASURE: answer_measure(now, &body); break;
        default: _exit(1);
        }
    }
}

/* ---- The start ---- */

/* Receives the first frame, and the descriptor that comes with it. */
static int receive_start(handout_inbox *inbox, handout_reading *body) {
    int file = -1;
    uint32_t kind;
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    while (handout_inbox_next(inbox, &kind, body) == 0) {
        uint8_t *to = handout_buffer_reserve(&inbox->bytes, 256);
        if (!to) return -1;
        struct iovec part = {to, 256};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
        ssize_t got = recvmsg(SOCKET, &message, MSG_CMSG_CLOEXEC);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return -1;
        inbox->bytes.length += (size_t)got;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) memcpy(&file, CMSG_DATA(head), sizeof file);
    }
    return kind == HANDOUT_FRAME_START ? file : -1;
}

static int start(serving *now) {
    handout_reading body;
    handout_remote *remote = &now->remote;
    int file = receive_start(&remote->inbox, &body);
    void *base = (void *)(uintptr_t)handout_get_u64(&body);
    size_t size = (size_t)handout_get_u64(&body);
    now->program = (const handout_program *)(uintptr_t)handout_get_u64(&body);
    now->tables = (const handout_tables *)(uintptr_t)handout_get_u64(&body);
    now->memory = handout_get_u64(&body);
    if (file < 0 || body.bad || handout_shared_attach(SHARED, base, size)) return -1;
    void *page = mmap(NULL, sizeof(handout_page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    remote->slot = handout_slot_new();
    if (page == MAP_FAILED || !remote->slot) return -1;
    close(file);
    close(SHARED);
    remote->page = page;
    remote->slot->claim = &remote->page->claim;
    remote->slot->remote = remote;
    handout_remote_host(remote, &now->host);
    return 0;
}

int handout_runner_main(void) {
    static serving now;
    pthread_t thread;
    mallopt(M_ARENA_MAX, 1); /* that of another thread looks into /proc when it shrinks */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL)) return NO_START;
    now.remote.socket = SOCKET;
    if (start(&now)) return NO_START;
    if (handout_thread_start(&thread, now.remote.slot, serve, &now)) return NO_START;
    handout_thread_join(thread);
    return 0;
}
