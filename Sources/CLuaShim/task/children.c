/* Children of a task: started, fed, read and ended, without Lua. */
#define _GNU_SOURCE
#include "exec.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TICK = 20 }; /* ms between two looks at whether to stop, should no signal come */

/* What is open while a job runs. */
typedef struct ends {
    int input, out, err; /* our ends of pipes, or -1 */
    size_t fed;
} ends;

static void shut(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static int make_pipe(int *read_end, int *write_end) {
    int pair[2];
    if (pipe2(pair, O_CLOEXEC)) return errno;
    *read_end = pair[0];
    *write_end = pair[1];
    return 0;
}

/* The descriptor of a file, or of a pipe whose other end goes to `*ours`. Returns 0 or an errno. */
static int open_output(const handout_reach *file, int *theirs, int *ours) {
    if (!file->path[0]) return make_pipe(ours, theirs);
    *theirs = handout_open_reach(file, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (*theirs < 0) return -*theirs;
    fcntl(*theirs, F_SETFL, fcntl(*theirs, F_GETFL) & ~O_NONBLOCK); /* as of what it reads */
    return 0;
}

static int open_input(const handout_job *job, int *theirs, int *ours) {
    if (job->input) return make_pipe(theirs, ours);
    *theirs = job->input_file.path[0] ? handout_open_reach(&job->input_file, O_RDONLY, 0) : open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (*theirs < 0) return job->input_file.path[0] ? -*theirs : errno;
    /* What we open does not block; a program expects that it does. */
    fcntl(*theirs, F_SETFL, fcntl(*theirs, F_GETFL) & ~O_NONBLOCK);
    return 0;
}

static char **pointers(handout_job *job, const handout_buffer *positions, uint32_t first, uint32_t count, uint32_t at) {
    char **list = (char **)(void *)job->pointers.data + at;
    for (uint32_t i = 0; i < count; i++)
        list[i] = (char *)job->text.data + ((const uint32_t *)(const void *)positions->data)[first + i];
    list[count] = NULL;
    return list;
}

static int start_part(handout_job *job, handout_part *part, const int descriptors[3]) {
    uint32_t variables = (uint32_t)(job->variables.length / sizeof(uint32_t));
    job->pointers.length = 0;
    job->pointers.limit = 0;
    if (!handout_buffer_reserve(&job->pointers, (part->count + variables + 2) * sizeof(char *))) return ENOMEM;
    char **words = pointers(job, &job->words, part->first, part->count, 0);
    char **environment = pointers(job, &job->variables, 0, variables, part->count + 1);
    int error = handout_spawn_in(&part->pid, part->path, words, environment, descriptors, job->directory);
    if (error) return error;
    handout_note_child(part->pid, 1);
    part->pidfd = (int)syscall(SYS_pidfd_open, part->pid, 0);
    if (part->pidfd >= 0) fcntl(part->pidfd, F_SETFD, FD_CLOEXEC);
    return 0;
}

/* Starts all parts, one's output the next one's input. On an error those that run are left to be ended. */
static int start(handout_job *job, ends *ours, const char **what) {
    int input = -1, err = -1, out = -1, error;
    *what = "stdin";
    error = open_input(job, &input, &ours->input);
    if (!error) *what = "stderr", error = open_output(&job->err_file, &err, &ours->err);
    for (uint32_t i = 0; i < job->part_count && !error; i++) {
        int next = -1;
        handout_part *part = &job->parts[i];
        *what = "stdout";
        if (i + 1 < job->part_count) error = make_pipe(&next, &out);
        else if (job->out_file.path[0] && strcmp(job->out_file.path, job->err_file.path) == 0) error = (out = fcntl(err, F_DUPFD_CLOEXEC, 3)) < 0 ? errno : 0;
        else error = open_output(&job->out_file, &out, &ours->out);
        if (!error && (error = start_part(job, part, (const int[]){input, out, err})))
            *what = (const char *)job->text.data + ((const uint32_t *)(const void *)job->words.data)[part->first];
        shut(&input);
        shut(&out);
        input = next;
    }
    shut(&input);
    shut(&out);
    shut(&err);
    int *mine[] = {&ours->input, &ours->out, &ours->err};
    for (int i = 0; i < 3; i++)
        if (*mine[i] >= 0) fcntl(*mine[i], F_SETFL, fcntl(*mine[i], F_GETFL) | O_NONBLOCK);
    return error;
}

/* ---- While they run ---- */

static void feed(const handout_job *job, ends *ours) {
    while (ours->fed < job->input_length) {
        ssize_t put = write(ours->input, job->input + ours->fed, job->input_length - ours->fed);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0 && errno == EAGAIN) return;
        if (put < 0) break; /* it does not read to the end */
        ours->fed += (size_t)put;
    }
    shut(&ours->input);
}

/* Reads what is there. Returns 0, or -1 when there is no room for it. */
static int drain(handout_job *job, int *fd, handout_buffer *to, size_t room) {
    for (int blocks = 0; *fd >= 0 && blocks < 16; blocks++) {
        if (job->out.length + job->err.length > room) return -1;
        uint8_t *bytes = handout_buffer_reserve(to, 65536);
        if (!bytes) return -1;
        ssize_t got = read(*fd, bytes, 65536);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return 0;
        if (got <= 0) shut(fd);
        else to->length += (size_t)got;
    }
    return job->out.length + job->err.length > room ? -1 : 0;
}

/* Notes which parts have ended; they stay to be waited for, so that their numbers are no one else's. */
static int any_runs(handout_job *job) {
    int runs = 0;
    for (uint32_t i = 0; i < job->part_count; i++) {
        handout_part *part = &job->parts[i];
        siginfo_t info = {0};
        if (part->pid && !part->ended && waitid(P_PID, (id_t)part->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
            part->ended = info.si_pid == part->pid;
        runs |= part->pid && !part->ended;
    }
    return runs;
}

static void wait_for_something(handout_job *job, const ends *ours, int milliseconds) {
    struct pollfd polled[3 + HANDOUT_MOST_PARTS];
    nfds_t count = 0;
    if (ours->input >= 0) polled[count++] = (struct pollfd){.fd = ours->input, .events = POLLOUT};
    if (ours->out >= 0) polled[count++] = (struct pollfd){.fd = ours->out, .events = POLLIN};
    if (ours->err >= 0) polled[count++] = (struct pollfd){.fd = ours->err, .events = POLLIN};
    for (uint32_t i = 0; i < job->part_count; i++)
        if (!job->parts[i].ended && job->parts[i].pidfd >= 0)
            polled[count++] = (struct pollfd){.fd = job->parts[i].pidfd, .events = POLLIN};
    poll(polled, count, milliseconds);
}

/* Ends every process of the parts, and waits for the parts. */
static void end_all(handout_job *job) {
    for (uint32_t i = 0; i < job->part_count; i++)
        if (job->parts[i].pid) kill(-job->parts[i].pid, SIGKILL);
    for (uint32_t i = 0; i < job->part_count; i++) {
        handout_part *part = &job->parts[i];
        if (!part->pid) continue;
        handout_note_child(part->pid, 0); /* while the number is still its own */
        while (waitpid(part->pid, &part->status, 0) < 0 && errno == EINTR) {}
        shut(&part->pidfd);
    }
}

/* Once a tick, however often something is written. */
static int now_is_time(uint64_t *next) {
    uint64_t now = handout_now();
    if (now < *next) return 0;
    *next = now + TICK * 1000000u;
    return 1;
}

static enum handout_job_end attend(handout_state *state, handout_job *job, ends *ours, size_t room, uint64_t until) {
    uint64_t look = 0;
    for (;;) {
        int runs = any_runs(job); /* before the pipes are read: then everything that was written is seen */
        if (ours->input >= 0) feed(job, ours);
        if (drain(job, &ours->out, &job->out, room) || drain(job, &ours->err, &job->err, room)) return HANDOUT_JOB_FULL;
        if (handout_is_stopped(state)) return HANDOUT_JOB_STOPPED;
        if (!runs) return HANDOUT_JOB_DONE;
        size_t held = job->out.length + job->err.length;
        if (room != SIZE_MAX && now_is_time(&look) && handout_job_bytes(job) > (room > held ? room - held : 0)) return HANDOUT_JOB_FULL;
        uint64_t now = until ? handout_now() : 0;
        if (until && now >= until) return HANDOUT_JOB_LATE;
        int left = until && until - now < TICK * 1000000u ? (int)((until - now) / 1000000) + 1 : TICK;
        wait_for_something(job, ours, left);
    }
}

/* What was written before the end, and is still in the pipes. A process that left its group may hold them open. */
static int drain_rest(handout_job *job, ends *ours, size_t room) {
    size_t before;
    do {
        before = job->out.length + job->err.length;
        if (drain(job, &ours->out, &job->out, room) || drain(job, &ours->err, &job->err, room)) return -1;
    } while (job->out.length + job->err.length > before);
    return 0;
}

enum handout_job_end handout_run_job(handout_state *state, handout_job *job, size_t room, const char **what, int *error) {
    ends ours = {-1, -1, -1, 0};
    uint64_t begun = handout_now();
    for (uint32_t i = 0; i < job->part_count; i++) job->parts[i].pid = 0, job->parts[i].ended = 0, job->parts[i].pidfd = -1;
    job->out.length = job->err.length = 0;
    job->out.limit = job->err.limit = 0;
    job->next_scan = begun + 20000000u;
    enum handout_job_end end = HANDOUT_JOB_FAILED;
    *error = start(job, &ours, what);
    uint64_t until = job->timeout < UINT64_MAX - begun ? begun + job->timeout : UINT64_MAX;
    if (!*error) end = attend(state, job, &ours, room, job->timeout ? until : 0);
    end_all(job);
    if (end == HANDOUT_JOB_DONE && drain_rest(job, &ours, room)) end = HANDOUT_JOB_FULL;
    shut(&ours.input);
    shut(&ours.out);
    shut(&ours.err);
    job->seconds = (double)(handout_now() - begun) / 1e9;
    return end;
}
