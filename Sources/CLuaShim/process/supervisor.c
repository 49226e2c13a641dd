/* The supervisor: a thread of the pool that has a runner process run the leases of its slot. */
#define _GNU_SOURCE
#include "broker.h"
#include "shared.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MOST_SUSPECTS = 64,
    STARTS_WITHOUT_USE = 3,     /* runners that ended before they were of use, one after the other: then the attempt is at fault */
    START_TIME = 10000000,      /* us, for a runner to say that it is ready */
    FRAME_ROOM = 64 << 20,      /* of a frame, beside the memory of a task */
    ADDRESS_ROOM = 512 << 20,   /* of a runner, beside twice the memory of a task */
    MILLISECOND = 1000000,
    FAREWELL = 1000,            /* ms, for a runner to say that its lease is over when all of it has ended */
};

/* Why a wait for the runner ended. */
enum waited { READY, ENDED, LATE, CANCELLED, NO_FRAME };

struct handout_supervisor {
    const handout_runners *runners;
    handout_slot *slot;
    handout_page *page;
    pid_t pid; /* 0: no runner */
    int socket;
    handout_buffer out;
    handout_inbox inbox;
    handout_broker broker;
    uint64_t starts, memory; /* `memory`: the largest that the runner's limit has room for */
    uint64_t heard_at;                 /* ns at which the last completion came, or its lease was sent */
    uint32_t end;                      /* of the items that the runner has now */
    uint32_t unused_starts;
    int used;                          /* the runner has run something */
    uint32_t suspects[MOST_SUSPECTS];  /* tasks that ended a runner: their next attempt is alone in its own */
    uint32_t suspect_count;
    uint64_t wait_until;               /* ns of a control call, 0: of a lease */
    const handout_lease_item *asking;  /* of a control call */
    const char *asker;
    char file[304];                    /* the place of the last call that the attempt made; empty: none */
    uint32_t line;
};

/* ---- What runners are given ---- */

/* The bytes, and a NUL behind them. */
static const char *copy_bytes(handout_shared *shared, const void *bytes, size_t length) {
    char *to = handout_shared_allocate(shared, length + 1);
    if (to) memcpy(to, bytes, length), to[length] = 0;
    return to;
}

static const char *copy_text(handout_shared *shared, const char *text) { return text ? copy_bytes(shared, text, strlen(text)) : NULL; }

static handout_parameter *copy_parameters(handout_shared *shared, const handout_program *program) {
    handout_parameter *to = handout_shared_allocate(shared, program->parameter_count * sizeof *to + 1);
    for (size_t i = 0; to && i < program->parameter_count; i++) {
        to[i] = program->parameters[i];
        to[i].name = copy_text(shared, program->parameters[i].name);
        to[i].text = copy_bytes(shared, program->parameters[i].text, program->parameters[i].length);
    }
    return to;
}

static handout_recording *copy_recordings(handout_shared *shared, const handout_program *program) {
    handout_recording *to = handout_shared_allocate(shared, program->recording_count * sizeof *to + 1);
    for (size_t i = 0; to && i < program->recording_count; i++) {
        to[i] = program->recordings[i];
        to[i].call = copy_text(shared, program->recordings[i].call);
        to[i].argument = copy_text(shared, program->recordings[i].argument);
        to[i].result = handout_shared_copy(shared, program->recordings[i].result, program->recordings[i].length);
    }
    return to;
}

const handout_program *handout_shared_program(handout_shared *shared, const handout_program *program) {
    handout_program *to = handout_shared_copy(shared, program, sizeof *program);
    if (!to) return NULL;
    to->source = copy_bytes(shared, program->source, program->source_length);
    to->chunk_name = copy_text(shared, program->chunk_name);
    to->parameters = copy_parameters(shared, program);
    to->run_directory = copy_text(shared, program->run_directory);
    to->run_id = copy_text(shared, program->run_id);
    to->worker = copy_text(shared, program->worker);
    to->recordings = copy_recordings(shared, program);
    to->allowed = NULL;
    to->secrets = NULL;
    to->secret_count = 0;
    return to->source && to->parameters && to->recordings && to->worker ? to : NULL;
}

/* ---- Making and freeing ---- */

/* Makes what the slot shares with its runners, once. Returns 0; -1: the system has no more. */
static int give_page(handout_slot *slot) {
    if (slot->wake < 0) slot->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (slot->page || slot->wake < 0) return slot->page ? 0 : -1;
    int file = memfd_create("handout-page", MFD_CLOEXEC);
    void *page = MAP_FAILED;
    if (file >= 0 && ftruncate(file, HANDOUT_PAGE) == 0) page = mmap(NULL, HANDOUT_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (page == MAP_FAILED) {
        if (file >= 0) close(file);
        return -1;
    }
    slot->page_file = file;
    slot->page = page;
    slot->claim = &((handout_page *)page)->claim;
    return 0;
}

handout_supervisor *handout_supervisor_new(const handout_runners *runners, handout_slot *slot) {
    handout_supervisor *supervisor = calloc(1, sizeof *supervisor);
    if (!supervisor) return NULL;
    supervisor->runners = runners;
    supervisor->slot = slot;
    supervisor->socket = -1;
    supervisor->broker = (handout_broker){.runners = runners, .slot = slot};
    if (give_page(slot)) {
        handout_supervisor_free(supervisor);
        return NULL;
    }
    supervisor->page = slot->page;
    return supervisor;
}

pid_t handout_supervisor_runner(const handout_supervisor *supervisor) { return supervisor->pid; }

uint64_t handout_supervisor_starts(const handout_supervisor *supervisor) { return supervisor->starts; }

/* Ends the runner; `status` (may be NULL) is that of waitpid. */
static void end_runner(handout_supervisor *supervisor, int *status) {
    int ended = 0;
    if (!supervisor->pid) return;
    kill(-supervisor->pid, SIGKILL);
    while (waitpid(supervisor->pid, &ended, 0) < 0 && errno == EINTR) {}
    handout_note_child(supervisor->pid, 0);
    close(supervisor->socket);
    supervisor->pid = 0;
    supervisor->socket = -1;
    supervisor->inbox.bytes.length = supervisor->inbox.at = 0;
    supervisor->out.length = 0;
    if (status) *status = ended;
}

void handout_supervisor_free(handout_supervisor *supervisor) {
    if (!supervisor) return;
    end_runner(supervisor, NULL);
    handout_broker_free(&supervisor->broker);
    handout_buffer_free(&supervisor->out);
    handout_buffer_free(&supervisor->inbox.bytes);
    free(supervisor);
}

/* ---- Waiting ---- */

/* The item that the page says runs, where that can be. */
static uint32_t running_item(handout_supervisor *supervisor) {
    uint32_t done = atomic_load(&supervisor->slot->done), limit = atomic_load(&supervisor->slot->limit);
    uint32_t running = atomic_load(&supervisor->page->running);
    return atomic_load(&supervisor->page->started) && running > done && running < limit ? running : done;
}

/* All that the runner has of the lease has ended. */
static int is_all_done(const handout_supervisor *supervisor) {
    uint32_t limit = handout_slot_limit(supervisor->slot);
    return atomic_load(&supervisor->slot->done) >= (supervisor->end < limit ? supervisor->end : limit);
}

/* When the runner has to be killed, in ns of CLOCK_MONOTONIC; UINT64_MAX: never, as things are now. The page may lie: what was
 * heard last bounds what it can gain. */
static uint64_t kill_at(handout_supervisor *supervisor, uint64_t now) {
    const handout_slot *slot = supervisor->slot;
    uint64_t grace = supervisor->runners->grace, longest = 0;
    if (supervisor->wait_until) return supervisor->wait_until + grace;
    uint32_t done = atomic_load(&slot->done), limit = atomic_load(&slot->limit);
    if (is_all_done(supervisor)) return supervisor->heard_at + FAREWELL * (uint64_t)MILLISECOND;
    int bounded = 1;
    for (uint32_t i = done; i < limit; i++) {
        if (!slot->items[i].timeout) bounded = 0;
        if (slot->items[i].timeout > longest) longest = slot->items[i].timeout;
    }
    if (!longest) return UINT64_MAX;
    if (longest > UINT64_MAX / 8) longest = UINT64_MAX / 8;
    uint64_t started = atomic_load(&supervisor->page->started), timeout = slot->items[running_item(supervisor)].timeout;
    uint64_t at = now + longest + grace;
    if (started && timeout && started <= now) at = started + (timeout < longest ? timeout : longest) + grace;
    uint64_t bound = supervisor->heard_at + 2 * longest + grace + 100 * (uint64_t)MILLISECOND;
    return bounded && bound < at ? bound : at;
}

/* Waits until the socket can be read (or written); looks again now and then whether its time is over. */
static enum waited wait_for(handout_supervisor *supervisor, short events) {
    for (;;) {
        if (atomic_load(&supervisor->slot->cancel)) return CANCELLED;
        uint64_t now = handout_now(), end = kill_at(supervisor, now);
        if (end <= now) return LATE;
        uint64_t left = (end - now) / MILLISECOND + 1;
        struct pollfd waiting[2] = {{supervisor->socket, events, 0}, {supervisor->slot->wake, POLLIN, 0}};
        int count = poll(waiting, 2, end == UINT64_MAX ? -1 : left < 60000 ? (int)left : 60000);
        if (waiting[1].revents) {
            eventfd_t value;
            eventfd_read(supervisor->slot->wake, &value);
        }
        if (count > 0 && waiting[0].revents) return READY;
    }
}

/* The next frame of the runner. */
static enum waited receive(handout_supervisor *supervisor, uint32_t *kind, handout_reading *body) {
    for (;;) {
        int got = handout_inbox_next(&supervisor->inbox, kind, body);
        if (got < 0) return NO_FRAME;
        if (got > 0) return READY;
        enum waited waited = wait_for(supervisor, POLLIN);
        if (waited != READY) return waited;
        if (handout_inbox_fill(&supervisor->inbox, supervisor->socket) <= 0) return ENDED;
    }
}

/* Sends what is in `out`. */
static enum waited send_out(handout_supervisor *supervisor) {
    handout_buffer *out = &supervisor->out;
    size_t at = 0;
    while (at < out->length) {
        ssize_t sent = send(supervisor->socket, out->data + at, out->length - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN) {
            enum waited waited = wait_for(supervisor, POLLOUT);
            if (waited != READY) return waited;
        } else if (sent < 0 && errno != EINTR) {
            return ENDED;
        } else if (sent > 0) {
            at += (size_t)sent;
        }
    }
    out->length = 0;
    return READY;
}

/* ---- Starting ---- */

static int spawn(handout_supervisor *supervisor) {
    int pair[2], nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nothing < 0) return errno;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
        close(nothing);
        return errno;
    }
    const char *path = supervisor->runners->path, *zone = getenv("TZ");
    char zone_text[1024];
    snprintf(zone_text, sizeof zone_text, "TZ=%s", zone && *zone ? zone : ":/etc/localtime");
    char *const arguments[] = {(char *)(uintptr_t)path, NULL}, *const environment[] = {zone_text, NULL};
    const int descriptors[] = {pair[1], handout_shared_file(supervisor->runners->shared), HANDOUT_STANDING_HOOK ? 2 : nothing};
    int error = handout_spawn(&supervisor->pid, path, arguments, environment, descriptors);
    close(pair[1]);
    close(nothing);
    if (error) {
        supervisor->pid = 0;
        close(pair[0]);
        return error;
    }
    handout_note_child(supervisor->pid, 1);
    supervisor->socket = pair[0];
    supervisor->starts++;
    return 0;
}

static int send_start(handout_supervisor *supervisor) {
    const handout_runners *runners = supervisor->runners;
    handout_buffer *out = &supervisor->out;
    size_t start = handout_frame_begin(out, HANDOUT_FRAME_START);
    int bad = handout_put_u64(out, (uintptr_t)handout_shared_base(runners->shared));
    bad |= handout_put_u64(out, handout_shared_size(runners->shared));
    bad |= handout_put_u64(out, (uintptr_t)runners->copied) | handout_put_u64(out, (uintptr_t)runners->tables);
    bad |= handout_put_u64(out, 2 * supervisor->memory + ADDRESS_ROOM);
    if (handout_frame_end(out, start, bad)) return -1;
    return handout_frame_send(supervisor->socket, out, supervisor->slot->page_file);
}

/* Starts a runner where there is none. Returns 0; -1, and `error` says why not. */
static int ensure_runner(handout_supervisor *supervisor, char *error, size_t size) {
    if (supervisor->pid) return 0;
    uint32_t kind;
    handout_reading body;
    uint64_t other = supervisor->wait_until;
    atomic_store(&supervisor->page->started, 0);
    supervisor->memory = supervisor->runners->program->default_memory;
    supervisor->inbox.most = supervisor->memory + FRAME_ROOM;
    supervisor->used = 0;
    int failed = spawn(supervisor);
    if (failed) {
        snprintf(error, size, "the runner '%s' cannot be started: %s", supervisor->runners->path, strerror(failed));
        return -1;
    }
    supervisor->wait_until = handout_now() + (uint64_t)START_TIME * 1000;
    enum waited waited = send_start(supervisor) ? ENDED : receive(supervisor, &kind, &body);
    supervisor->wait_until = other;
    if (waited == READY && kind == HANDOUT_FRAME_READY) return 0;
    int status = 0;
    end_runner(supervisor, &status);
    if (waited == CANCELLED) snprintf(error, size, "cancelled");
    else if (waited == LATE) snprintf(error, size, "the runner '%s' did not say that it is ready", supervisor->runners->path);
    else snprintf(error, size, "the runner '%s' ended when it was started (status %d)", supervisor->runners->path,
                  WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return -1;
}

/* Makes room for a task that may use more memory than those before. */
static void make_room(handout_supervisor *supervisor, uint64_t memory) {
    if (memory <= supervisor->memory || memory > UINT64_MAX / 8) return;
    struct rlimit now;
    if (prlimit(supervisor->pid, RLIMIT_AS, NULL, &now) || now.rlim_cur == RLIM_INFINITY) return;
    now.rlim_cur += 2 * (memory - supervisor->memory);
    if (now.rlim_cur > now.rlim_max) now.rlim_cur = now.rlim_max;
    prlimit(supervisor->pid, RLIMIT_AS, &now, NULL);
    supervisor->memory = memory;
    supervisor->inbox.most = memory + FRAME_ROOM;
}

/* ---- Ends of attempts ---- */

/* Sets the next item, and the limit where it is not UINT32_MAX; what others take back meanwhile stays so. */
static void set_claim(handout_supervisor *supervisor, uint32_t next, uint32_t limit) {
    handout_slot *slot = supervisor->slot;
    handout_slot_hold(slot);
    uint32_t known = atomic_load(&slot->limit), end = limit < known ? limit : known;
    atomic_store(slot->claim, (uint64_t)end << 32 | (next < end ? next : end)); /* no runner, or one that waits or is to be killed */
    handout_slot_let_go(slot);
}

/* Writes the completion of the item at `done`, as failed. */
static void fail_next(handout_supervisor *supervisor, int ended, const char *message, int never_retry) {
    handout_slot *slot = supervisor->slot;
    uint32_t done = atomic_load(&slot->done);
    handout_completion *completion = &slot->completions[done];
    uint64_t started = atomic_load(&supervisor->page->started), now = handout_now();
    memset(completion, 0, sizeof *completion);
    completion->task = slot->items[done].task;
    completion->attempt = slot->items[done].attempt;
    completion->ended = (uint8_t)ended;
    completion->nanoseconds = started && started < now ? now - started : 0;
    const char *file = supervisor->file[0] ? supervisor->file : NULL;
    completion->failure = handout_failure_new(ended, message, strlen(message), file, supervisor->line, NULL, 0);
    if (completion->failure) completion->failure->never_retry = (uint8_t)never_retry;
    supervisor->file[0] = 0;
    handout_slot_complete(slot);
}

static void suspect(handout_supervisor *supervisor, uint32_t task) {
    if (supervisor->suspect_count == MOST_SUSPECTS)
        memmove(supervisor->suspects, supervisor->suspects + 1, --supervisor->suspect_count * sizeof(uint32_t));
    supervisor->suspects[supervisor->suspect_count++] = task;
}

static int is_suspect(const handout_supervisor *supervisor, uint32_t task) {
    for (uint32_t i = 0; i < supervisor->suspect_count; i++)
        if (supervisor->suspects[i] == task) return 1;
    return 0;
}

static void clear_suspect(handout_supervisor *supervisor, uint32_t task) {
    for (uint32_t i = 0; i < supervisor->suspect_count; i++)
        if (supervisor->suspects[i] == task) supervisor->suspects[i] = supervisor->suspects[--supervisor->suspect_count];
}

/* The runner is gone, or has to go: the attempt that ran is to blame, and only that. What had ended in it and was not sent, and what
 * had not begun, goes on in another. `message` NULL: how the process ended. */
static void blame(handout_supervisor *supervisor, int ended, const char *message) {
    handout_slot *slot = supervisor->slot;
    int status = 0;
    char text[200];
    end_runner(supervisor, &status);
    handout_broker_attempt_end(&supervisor->broker);
    if (is_all_done(supervisor)) return;
    uint32_t done = atomic_load(&slot->done);
    int idle = !supervisor->used && !atomic_load(&supervisor->page->started);
    if (!message && idle && ++supervisor->unused_starts < STARTS_WITHOUT_USE) return; /* nothing of the lease had begun */
    supervisor->unused_starts = 0;
    uint32_t running = running_item(supervisor);
    handout_lease_item item = slot->items[running];
    memmove(&slot->items[done + 1], &slot->items[done], (running - done) * sizeof item);
    slot->items[done] = item;
    if (!message && WIFSIGNALED(status))
        snprintf(text, sizeof text, "the runner process was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (!message) snprintf(text, sizeof text, "the runner process ended with status %d", WEXITSTATUS(status));
    else snprintf(text, sizeof text, "%s", message);
    if (ended == HANDOUT_CRASH || ended == HANDOUT_TIMEOUT) suspect(supervisor, item.task);
    fail_next(supervisor, ended, text, 0);
}

static void blame_late(handout_supervisor *supervisor) {
    char text[100];
    if (is_all_done(supervisor)) { /* it only did not say so */
        end_runner(supervisor, NULL);
        return;
    }
    uint64_t timeout = supervisor->slot->items[running_item(supervisor)].timeout;
    snprintf(text, sizeof text, "timeout of %g s reached", (double)timeout / 1e9);
    blame(supervisor, HANDOUT_TIMEOUT, text);
}

/* All that is left ends as cancelled. */
static void cancel_rest(handout_supervisor *supervisor) {
    handout_slot *slot = supervisor->slot;
    set_claim(supervisor, UINT32_MAX, UINT32_MAX); /* none can be taken back from here on */
    if (supervisor->used) end_runner(supervisor, NULL);
    handout_broker_attempt_end(&supervisor->broker);
    while (atomic_load(&slot->done) < atomic_load(&slot->limit)) fail_next(supervisor, HANDOUT_CANCELLED, "cancelled", 0);
}

/* ---- Frames of the runner ---- */

/* Of the attempt that runs, whatever was asked. */
static void send_name(handout_supervisor *supervisor, uint32_t task, handout_buffer *out) {
    const handout_host *host = supervisor->runners->host;
    size_t length = host->task_name(host->context, task, NULL, 0);
    size_t at = out->length;
    if (handout_put_u64(out, length) || !handout_buffer_reserve(out, length + 1)) return;
    host->task_name(host->context, task, (char *)out->data + at + sizeof(uint64_t), length);
    out->length += length;
    handout_put_u8(out, 0);
}

static void send_module(handout_supervisor *supervisor, handout_reading *body, handout_buffer *out) {
    const handout_host *host = supervisor->runners->host;
    const char *source = "", *chunk = "";
    size_t length, size = 0;
    uint32_t index = 0;
    char error[1000] = "";
    const char *name = handout_get_text(body, &length);
    int status = host->module(host->context, name, length, &source, &size, &chunk, &index, error, sizeof error);
    handout_put_u8(out, status != 0);
    handout_put_u32(out, index);
    handout_put_text(out, status ? "" : chunk, status ? 0 : strlen(chunk));
    handout_put_text(out, status ? error : source, status ? strlen(error) : size);
}

static void pass_log(handout_supervisor *supervisor, const handout_lease_item *item, handout_reading *body) {
    enum { MOST_LOG = 1 << 20 };
    const handout_host *host = supervisor->runners->host;
    size_t length;
    (void)handout_get_u32(body);
    int level = (int)(handout_get_u32(body) & 3);
    const char *text = handout_get_text(body, &length);
    if (!body->bad) host->log(host->context, item->task, level, text, length < MOST_LOG ? length : MOST_LOG);
}

static void pass_progress(handout_supervisor *supervisor, const handout_lease_item *item, handout_reading *body) {
    const handout_host *host = supervisor->runners->host;
    double fraction = 0;
    size_t length;
    (void)handout_get_u32(body);
    const uint8_t *at = handout_get(body, sizeof fraction);
    if (at) memcpy(&fraction, at, sizeof fraction);
    const char *text = handout_get_text(body, &length);
    if (!body->bad && fraction >= 0 && fraction <= 1)
        host->progress(host->context, item->task, fraction, text, length < 1000 ? length : 1000);
}

/* Performs what the runner's attempt asks for. Returns 0, or the enum handout_ended of the attempt. */
static int perform(handout_supervisor *supervisor, const handout_lease_item *item, handout_reading *body, char *message, size_t size) {
    uint64_t started = atomic_load(&supervisor->page->started), deadline = supervisor->wait_until;
    snprintf(supervisor->file, sizeof supervisor->file, "%s", handout_get_text(body, NULL));
    supervisor->line = handout_get_u32(body);
    if (!deadline && item->timeout) deadline = (started ? started : handout_now()) + item->timeout;
    int ended = handout_broker_call(&supervisor->broker, item, deadline, supervisor->asker, body, &supervisor->out, message, size);
    if (ended == HANDOUT_TIMEOUT) snprintf(message, size, "timeout of %g s reached", (double)item->timeout / 1e9);
    if (!ended) supervisor->file[0] = 0;
    return ended;
}

/* What any frame but that which is waited for asks for; `ended` is set where the attempt has to end, and `message` says why. */
static enum waited serve(handout_supervisor *supervisor, uint32_t kind, handout_reading *body, int *ended, char *message, size_t size) {
    handout_buffer *out = &supervisor->out;
    const handout_lease_item *item = supervisor->asking;
    if (!item) {
        uint32_t running = running_item(supervisor), done = atomic_load(&supervisor->slot->done);
        if (running >= atomic_load(&supervisor->slot->limit)) return NO_FRAME;
        item = &supervisor->slot->items[running];
        /* What has grants runs only when all before it was heard of: no other can ask in its name. */
        if (item->grant != HANDOUT_NONE && running != done) return NO_FRAME;
    }
    if (kind == HANDOUT_FRAME_LOG) return pass_log(supervisor, item, body), body->bad ? NO_FRAME : READY;
    if (kind == HANDOUT_FRAME_PROGRESS) return pass_progress(supervisor, item, body), body->bad ? NO_FRAME : READY;
    out->length = 0;
    out->limit = UINT32_MAX;
    size_t start = handout_frame_begin(out, HANDOUT_FRAME_REPLY);
    switch (kind) {
    case HANDOUT_FRAME_NAME: send_name(supervisor, item->task, out); break;
    case HANDOUT_FRAME_MODULE: send_module(supervisor, body, out); break;
    case HANDOUT_FRAME_CALL: *ended = perform(supervisor, item, body, message, size); break;
    default: return NO_FRAME;
    }
    if (*ended) out->length = 0;
    else if (body->bad || handout_frame_end(out, start, 0)) return NO_FRAME;
    return *ended ? READY : send_out(supervisor);
}

/* Takes completions; returns 1 when they were the lease's last, 0, or -1: they cannot be true. */
static int take_done(handout_supervisor *supervisor, handout_reading *body) {
    handout_slot *slot = supervisor->slot;
    int is_last;
    uint32_t before = atomic_load_explicit(&slot->done, memory_order_relaxed);
    for (uint32_t left = handout_get_done(body, &is_last); left > 0 && !body->bad; left--) {
        uint32_t done = atomic_load_explicit(&slot->done, memory_order_relaxed);
        if (done >= atomic_load(&slot->limit)) return -1;
        handout_completion *completion = &slot->completions[done];
        if (handout_get_completion(body, supervisor->runners->shared, completion)) return -1;
        if (completion->task != slot->items[done].task || completion->attempt != slot->items[done].attempt) {
            handout_failure_free(completion->failure);
            return -1;
        }
        handout_broker_attempt_end(&supervisor->broker);
        if (supervisor->suspect_count) clear_suspect(supervisor, completion->task);
        handout_slot_complete(slot);
    }
    if (atomic_load_explicit(&slot->done, memory_order_relaxed) > before) supervisor->heard_at = handout_now();
    return body->bad ? -1 : is_last;
}

/* ---- Leases ---- */

/* Where the items end that one runner may have: those before a suspect, or the suspect alone. */
static uint32_t segment_end(const handout_supervisor *supervisor, uint32_t from, uint32_t limit) {
    if (!supervisor->suspect_count) return limit;
    if (is_suspect(supervisor, supervisor->slot->items[from].task)) return from + 1;
    while (from < limit && !is_suspect(supervisor, supervisor->slot->items[from].task)) from++;
    return from;
}

static int begin_lease(handout_supervisor *supervisor, uint32_t from, uint32_t end) {
    handout_slot *slot = supervisor->slot;
    for (uint32_t i = from; i < end; i++) make_room(supervisor, slot->items[i].memory);
    supervisor->out.length = 0;
    size_t start = handout_frame_begin(&supervisor->out, HANDOUT_FRAME_LEASE);
    int bad = handout_put_lease(&supervisor->out, slot->items, from, end);
    return handout_frame_end(&supervisor->out, start, bad);
}

/* What a runner that did not go on as it should costs. */
static void settle(handout_supervisor *supervisor, enum waited waited) {
    switch (waited) {
    case LATE: blame_late(supervisor); break;
    case CANCELLED: supervisor->used = 1; cancel_rest(supervisor); break;
    case NO_FRAME: blame(supervisor, HANDOUT_CRASH, "the runner process sent what it must not"); break;
    default: blame(supervisor, HANDOUT_CRASH, NULL); break;
    }
}

static void run_segment(handout_supervisor *supervisor, uint32_t from, uint32_t end) {
    char message[1200];
    supervisor->end = end;
    if (begin_lease(supervisor, from, end)) {
        fail_next(supervisor, HANDOUT_MEMORY, "no memory left for the lease", 0);
        return;
    }
    supervisor->heard_at = handout_now();
    enum waited waited = send_out(supervisor);
    while (waited == READY) {
        uint32_t kind;
        handout_reading body;
        int ended = 0;
        if ((waited = receive(supervisor, &kind, &body)) != READY) break;
        supervisor->used = 1;
        supervisor->unused_starts = 0;
        if (kind != HANDOUT_FRAME_DONE) {
            waited = serve(supervisor, kind, &body, &ended, message, sizeof message);
            if (ended == HANDOUT_CANCELLED) waited = CANCELLED;
            else if (ended) {
                blame(supervisor, ended, message);
                return;
            }
            continue;
        }
        int last = take_done(supervisor, &body);
        if (last < 0 || (last && !is_all_done(supervisor))) waited = NO_FRAME;
        else if (last) return;
    }
    settle(supervisor, waited);
}

void handout_supervisor_run(handout_supervisor *supervisor) {
    handout_slot *slot = supervisor->slot;
    char error[600];
    for (;;) {
        uint32_t done = atomic_load(&slot->done), limit = atomic_load(&slot->limit);
        if (done >= limit) return;
        if (atomic_load(&slot->cancel)) {
            cancel_rest(supervisor);
            return;
        }
        uint32_t end = segment_end(supervisor, done, limit);
        int alone = supervisor->suspect_count && is_suspect(supervisor, slot->items[done].task);
        if (alone && supervisor->used) end_runner(supervisor, NULL);
        if (done > 0 || end < limit) set_claim(supervisor, done, end);
        if (ensure_runner(supervisor, error, sizeof error)) {
            if (atomic_load(&slot->cancel)) continue;
            set_claim(supervisor, UINT32_MAX, UINT32_MAX);
            fail_next(supervisor, HANDOUT_CRASH, error, 1);
            continue;
        }
        uint32_t task = slot->items[done].task;
        run_segment(supervisor, done, end);
        if (alone) {
            if (slot->completions[done].ended == HANDOUT_OK) clear_suspect(supervisor, task);
            end_runner(supervisor, NULL); /* whatever it left behind is nobody else's */
        }
    }
}

/* ---- Control ---- */

/* Sends what is in `out`, and waits for the answer. Returns 0 and its body; or -1, and the runner is gone. */
static int ask(handout_supervisor *supervisor, const handout_lease_item *item, const char *asker, handout_reading *body, char *error,
               size_t size) {
    uint32_t kind = 0;
    int ended = 0;
    char message[1200] = "";
    supervisor->wait_until = handout_now() + supervisor->runners->program->plan_time;
    supervisor->asking = item;
    supervisor->asker = asker;
    enum waited waited = send_out(supervisor);
    while (waited == READY && !ended) {
        waited = receive(supervisor, &kind, body);
        if (waited != READY || kind == HANDOUT_FRAME_ANSWER) break;
        waited = serve(supervisor, kind, body, &ended, message, sizeof message);
    }
    supervisor->wait_until = 0;
    supervisor->asking = NULL;
    supervisor->asker = NULL;
    supervisor->used = 1;
    if (waited == READY && !ended) return 0;
    int status = 0;
    end_runner(supervisor, &status);
    if (waited == CANCELLED) snprintf(error, size, "cancelled");
    else if (waited == LATE) snprintf(error, size, "it took too long");
    else if (ended) snprintf(error, size, "%s", message);
    else if (WIFSIGNALED(status) && waited == ENDED) snprintf(error, size, "the runner process was ended by signal %d", WTERMSIG(status));
    else snprintf(error, size, "the runner process sent what it must not");
    return -1;
}

static const handout_lease_item nobody = {.attempt = 1, .grant = HANDOUT_NONE};

int handout_supervisor_value(handout_supervisor *supervisor, uint32_t task, handout_buffer *out, char *error, size_t size) {
    handout_reading body;
    handout_lease_item item = nobody;
    item.task = task;
    if (ensure_runner(supervisor, error, size)) return -1;
    supervisor->out.length = 0;
    size_t start = handout_frame_begin(&supervisor->out, HANDOUT_FRAME_VALUE), length;
    if (handout_frame_end(&supervisor->out, start, handout_put_u32(&supervisor->out, task))) return -1;
    if (ask(supervisor, &item, NULL, &body, error, size)) return -1;
    int status = handout_get_u8(&body);
    const char *bytes = handout_get_text(&body, &length);
    if (status == 0 && handout_value_size((const uint8_t *)bytes, length) == length && length > 0)
        return handout_buffer_append(out, bytes, length);
    snprintf(error, size, "%s", status ? bytes : "the runner process sent no value");
    return -1;
}

/* Numbers of the selection, checked: positions that grow, and as many rows. */
static int read_selection(handout_reading *body, uint32_t elements, handout_selection *selection) {
    const uint8_t *offsets = handout_get(body, (elements + (size_t)1) * sizeof(uint32_t)), *verdicts = handout_get(body, elements);
    if (!offsets || (elements && !verdicts)) return -1;
    memcpy(selection->offsets, offsets, (elements + (size_t)1) * sizeof(uint32_t));
    if (elements) memcpy(selection->verdicts, verdicts, elements);
    if (selection->offsets[0] != 0) return -1;
    for (uint32_t i = 0; i < elements; i++)
        if (selection->offsets[i] > selection->offsets[i + 1] || selection->verdicts[i] > HANDOUT_PICKED_LIST) return -1;
    size_t size = selection->offsets[elements] * sizeof(uint32_t);
    const uint8_t *rows = handout_get(body, size);
    if (!rows) return -1;
    selection->rows = malloc(size + 1);
    if (!selection->rows) return -1;
    memcpy(selection->rows, rows, size);
    return 0;
}

int handout_supervisor_select(handout_supervisor *supervisor, uint32_t task, uint32_t group, uint32_t elements,
                              handout_selection *selection, char *error, size_t size) {
    handout_reading body;
    handout_lease_item item = nobody;
    item.task = task;
    selection->count = elements;
    selection->offsets = calloc(elements + (size_t)1, sizeof(uint32_t));
    selection->verdicts = calloc(elements + (size_t)1, 1);
    if (!selection->offsets || !selection->verdicts) {
        snprintf(error, size, "not enough memory");
        return -1;
    }
    if (ensure_runner(supervisor, error, size)) return -1;
    supervisor->out.length = 0;
    size_t start = handout_frame_begin(&supervisor->out, HANDOUT_FRAME_SELECT);
    int bad = handout_put_u32(&supervisor->out, task) | handout_put_u32(&supervisor->out, group);
    if (handout_frame_end(&supervisor->out, start, bad | handout_put_u32(&supervisor->out, elements))) return -1;
    if (ask(supervisor, &item, NULL, &body, error, size)) return -1;
    if (handout_get_u8(&body)) {
        snprintf(error, size, "%s", handout_get_text(&body, NULL));
        return -1;
    }
    if (read_selection(&body, elements, selection) == 0) return 0;
    snprintf(error, size, "the runner process sent no selection");
    return -1;
}

int handout_supervisor_measure(handout_supervisor *supervisor, uint32_t task, const handout_attempt *attempt, handout_buffer *out,
                               handout_failure **failure) {
    handout_reading body;
    char error[600] = "not enough memory";
    handout_lease_item item = nobody;
    item.task = task;
    item.attempt = (uint16_t)attempt->number;
    supervisor->out.length = 0;
    int asked = -1;
    if (ensure_runner(supervisor, error, sizeof error) == 0) {
        size_t start = handout_frame_begin(&supervisor->out, HANDOUT_FRAME_MEASURE);
        int bad = handout_put_u32(&supervisor->out, task) | handout_put_attempt(&supervisor->out, attempt);
        if (handout_frame_end(&supervisor->out, start, bad) == 0)
            asked = ask(supervisor, &item, "the function of an option", &body, error, sizeof error);
    }
    if (asked) {
        *failure = handout_failure_new(strcmp(error, "cancelled") == 0 ? HANDOUT_CANCELLED : HANDOUT_ERROR, error, strlen(error), NULL, 0,
                                       NULL, 0);
        return 1;
    }
    int status = (int8_t)handout_get_u8(&body);
    size_t length;
    const char *bytes = handout_get_text(&body, &length);
    if (handout_get_u8(&body)) *failure = handout_get_failure(&body);
    if (status == 0 && length && handout_value_size((const uint8_t *)bytes, length) == length)
        return handout_buffer_append(out, bytes, length);
    return status ? status : 1;
}
