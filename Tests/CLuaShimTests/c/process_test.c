/* Tests of runner processes without Swift: what a confined process may call, and supervisors whose runner is hostile. The program is
 * its own runner: with a socket as descriptor 0 it plays one. Build and run: see run_process_test.sh. */
#define _GNU_SOURCE
#include "confine.h"
#include "frames.h"
#include "shared.h"
#include "slot.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int failures, checks;

#define CHECK(condition, ...)                                      \
    do {                                                           \
        checks++;                                                  \
        if (!(condition)) {                                        \
            failures++;                                            \
            printf("%s:%d: %s: ", __FILE__, __LINE__, #condition); \
            printf(__VA_ARGS__);                                   \
            printf("\n");                                          \
        }                                                          \
    } while (0)

/* ---- Confined processes ---- */

static void call_open(void) { open("/etc/passwd", O_RDONLY); }
static void call_openat(void) { syscall(SYS_openat, AT_FDCWD, "/tmp/x", O_CREAT | O_WRONLY, 0600); }
static void call_openat2(void) { syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", NULL, 0); }
static void call_socket(void) { socket(AF_INET, SOCK_STREAM, 0); }
static void call_socketpair(void) { int pair[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, pair); }
static void call_connect(void) { struct sockaddr_in to = {AF_INET, 80, {0}, {0}}; connect(0, (struct sockaddr *)&to, sizeof to); }
static void call_fork(void) { fork(); }
static void call_clone(void) { syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL); }
static void call_thread(void) { syscall(SYS_clone3, NULL, 0); }
static void call_exec(void) { char *none[] = {NULL}; execve("/bin/true", none, none); }
static void call_ptrace(void) { ptrace(PTRACE_ATTACH, getpid() - 1, NULL, NULL); }
static void call_read_other(void) { struct iovec part = {NULL, 0}; process_vm_readv(1, &part, 1, &part, 1, 0); }
static void call_kill(void) { syscall(SYS_kill, 1, 0); }
static void call_signal_other(void) { syscall(SYS_tgkill, 1, 1, 0); }
static void call_pidfd(void) { syscall(SYS_pidfd_open, 1, 0); }
static void call_mount(void) { syscall(SYS_mount, "a", "/", "b", 0, NULL); }
static void call_unshare(void) { unshare(CLONE_NEWUSER); }
static void call_bpf(void) { syscall(SYS_bpf, 0, NULL, 0); }
static void call_keyring(void) { syscall(SYS_keyctl, 0, 0, 0, 0, 0); }
static void call_io_uring(void) { syscall(SYS_io_uring_setup, 1, NULL); }
static void call_memfd(void) { memfd_create("x", 0); }
static void call_limit(void) { syscall(SYS_prlimit64, 0, 0, NULL, NULL); }
static void call_code(void) { mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }
static void call_make_code(void) { mprotect((void *)((uintptr_t)&failures & ~(uintptr_t)4095), 4096, PROT_READ | PROT_EXEC); }
static void call_read_elsewhere(void) { char byte; if (read(5, &byte, 1) < 0) {} }
static void call_write_elsewhere(void) { if (write(5, "x", 1) < 0) {} }
static void call_receive(void) { struct msghdr message = {0}; recvmsg(0, &message, 0); }
static void call_seccomp(void) { syscall(SYS_seccomp, 0, 0, NULL); }
static void call_action(void) { struct sigaction action = {0}; sigaction(SIGUSR1, &action, NULL); }
static void call_stat(void) { struct stat status; stat("/etc/passwd", &status); }
static void call_getdents(void) { syscall(SYS_getdents64, 0, NULL, 0); }
static void call_unlink(void) { unlink("/tmp/none"); }
static void call_ioctl(void) { syscall(SYS_ioctl, 0, 0, NULL); }

static const struct {
    const char *name;
    void (*call)(void);
} forbidden[] = {
    {"open", call_open}, {"openat", call_openat}, {"openat2", call_openat2}, {"socket", call_socket}, {"socketpair", call_socketpair},
    {"connect", call_connect}, {"fork", call_fork}, {"clone", call_clone}, {"clone3", call_thread}, {"execve", call_exec},
    {"ptrace", call_ptrace}, {"process_vm_readv", call_read_other}, {"kill", call_kill}, {"tgkill of another", call_signal_other},
    {"pidfd_open", call_pidfd}, {"mount", call_mount}, {"unshare", call_unshare}, {"bpf", call_bpf}, {"keyctl", call_keyring},
    {"io_uring_setup", call_io_uring}, {"memfd_create", call_memfd}, {"prlimit", call_limit}, {"mmap of code", call_code},
    {"mprotect to code", call_make_code}, {"read of another descriptor", call_read_elsewhere},
    {"write to another descriptor", call_write_elsewhere}, {"recvmsg", call_receive}, {"seccomp", call_seccomp},
    {"sigaction", call_action}, {"stat", call_stat}, {"getdents", call_getdents}, {"unlink", call_unlink}, {"ioctl", call_ioctl},
};

/* What a state needs goes on to work. */
static void call_allowed(void) {
    void *memory = malloc(1 << 22);
    memory = realloc(memory, 1 << 24);
    if (memory) memset(memory, 1, 1 << 24);
    free(memory);
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    nanosleep(&(struct timespec){0, 1000}, NULL);
    syscall(SYS_tgkill, getpid(), gettid(), 0);
}

/* How a confined child ends that calls it: as of waitpid. */
static int confined(void (*call)(void)) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (handout_limit_process(1 << 28) || handout_confine_calls()) _exit(9);
        call();
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

static void test_confined(void) {
    if (!handout_can_confine()) {
        printf("no seccomp here, or a sanitizer: what is confined is not tested\n");
        return;
    }
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        int status = confined(forbidden[i].call);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s: ended with status %d", forbidden[i].name, status);
    }
    int status = confined(call_allowed);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "what is allowed: ended with status %d", status);
}

/* ---- Shared memory ---- */

static void test_shared(void) {
    handout_shared *shared = handout_shared_new();
    CHECK(shared != NULL, "no shared memory");
    if (!shared) return;
    uint8_t *blocks[400];
    for (size_t i = 0; i < 400; i++) {
        blocks[i] = handout_shared_allocate(shared, i * i * 7);
        memset(blocks[i], (int)i, i * i * 7);
    }
    for (size_t i = 0; i < 400; i += 3) handout_shared_release(shared, blocks[i], i * i * 7);
    for (size_t i = 0; i < 400; i += 3) {
        blocks[i] = handout_shared_allocate(shared, i * i * 7);
        memset(blocks[i], (int)i, i * i * 7);
    }
    int wrong = 0;
    for (size_t i = 0; i < 400; i++)
        for (size_t at = 0; at < i * i * 7; at++) wrong += blocks[i][at] != (uint8_t)i;
    CHECK(wrong == 0, "%d bytes were overwritten", wrong);
    /* Who has only the descriptor for reading cannot make it writable. */
    int file = handout_shared_file(shared);
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) == MAP_FAILED, "mapped for writing");
    void *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    CHECK(page != MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_WRITE) != 0, "made writable");
    CHECK(write(file, "x", 1) < 0, "written");
    munmap(page, 4096);
    handout_shared *other = handout_shared_new();
    CHECK(other && handout_shared_base(other) != handout_shared_base(shared), "two at one place");
    handout_shared_free(other);
    handout_shared_free(shared);
}

/* ---- Hostile runners ---- */

static uint64_t random_state;

static uint32_t random_below(uint32_t most) {
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % most;
}

static void random_bytes(handout_buffer *to, size_t count) {
    for (size_t i = 0; i < count; i++) handout_put_u8(to, random_below(4) ? (uint8_t)random_below(256) : 0);
}

/* Some completions of the lease, right or wrong. */
static void play_done(handout_buffer *out, const handout_lease_item *items, uint32_t first, uint32_t limit, int truthful) {
    handout_completion list[8];
    memset(list, 0, sizeof list);
    uint32_t count = truthful ? limit - first : random_below(9);
    if (count > 8) count = 8;
    if (!truthful && random_below(3)) limit += random_below(4);
    for (uint32_t i = 0; i < count; i++) {
        handout_completion *one = &list[i];
        one->task = !truthful && random_below(6) == 0 ? random_below(100) : items[(first + i) % HANDOUT_LEASE_CAPACITY].task;
        one->attempt = items[(first + i) % HANDOUT_LEASE_CAPACITY].attempt;
        one->value.tag = truthful ? HANDOUT_INTEGER : (uint8_t)random_below(12);
        one->value.as.integer = one->task;
        one->value.length = one->value.tag == HANDOUT_BLOB ? 0 : random_below(12);
        if (!truthful && random_below(8) == 0) one->ended = (uint8_t)random_below(10);
    }
    handout_put_done(out, list, 0, count, truthful || random_below(2));
}

static const uint32_t kinds[] = {HANDOUT_FRAME_DONE, HANDOUT_FRAME_DONE, HANDOUT_FRAME_CALL, HANDOUT_FRAME_LOG, HANDOUT_FRAME_PROGRESS,
                                 HANDOUT_FRAME_NAME, HANDOUT_FRAME_MODULE, HANDOUT_FRAME_ANSWER, HANDOUT_FRAME_READY, 77};

static const char *const called[] = {"handout.fs.read", "handout.fs.list", "handout.exec", "handout.env", "handout.host.x", "scratch",
                                     "handout.task", "string.rep", "handout.fs.", ""};

static void play_frame(handout_buffer *out, const handout_lease_item *items, uint32_t first, uint32_t limit) {
    uint32_t kind = kinds[random_below(sizeof kinds / sizeof *kinds)];
    size_t start = handout_frame_begin(out, kind);
    if (kind == HANDOUT_FRAME_DONE && random_below(4)) {
        play_done(out, items, first, limit, 0);
    } else if (kind == HANDOUT_FRAME_CALL && random_below(3)) {
        const char *name = called[random_below(sizeof called / sizeof *called)];
        handout_put_text(out, "s.lua", 5);
        handout_put_u32(out, random_below(100));
        handout_put_text(out, name, strlen(name));
        handout_put_u32(out, random_below(4));
        handout_put_text(out, "\xa1.\xa1.\xa1.", random_below(7));
    } else {
        random_bytes(out, random_below(60));
    }
    handout_frame_end(out, start, 0);
    if (random_below(30) == 0 && out->length > 3) out->length -= random_below(3);
}

/* Does what no runner of ours would: the process id decides. */
static int play(void) {
    static handout_lease_item items[HANDOUT_LEASE_CAPACITY];
    handout_inbox inbox = {0};
    handout_buffer out = {0};
    handout_lease_parts parts = {0};
    handout_page *page = NULL;
    handout_reading body;
    uint32_t kind, first = 0, limit = 0;
    int file = -1;
    random_state = (uint64_t)getpid() * 7919 + handout_now();
    char room[CMSG_SPACE(sizeof(int))] __attribute__((aligned(16))), bytes[256];
    struct iovec part = {bytes, sizeof bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    if (recvmsg(0, &message, 0) > 0 && CMSG_FIRSTHDR(&message)) memcpy(&file, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof file);
    if (file >= 0) page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (random_below(20) == 0) return (int)random_below(30);
    size_t start = handout_frame_begin(&out, HANDOUT_FRAME_READY);
    handout_frame_end(&out, start, handout_put_u8(&out, 1));
    if (random_below(20) == 0) random_bytes(&out, 40);
    for (;;) {
        if (handout_frame_send(0, &out, -1)) return 0;
        int got;
        while ((got = handout_inbox_next(&inbox, &kind, &body)) == 0)
            if (handout_inbox_fill(&inbox, 0) <= 0) return 0;
        if (kind == HANDOUT_FRAME_LEASE) {
            handout_lease_parts_free(&parts);
            handout_get_lease(&body, items, &parts, &first, &limit);
        }
        switch (random_below(10)) {
        case 0: return (int)random_below(3);
        case 1: raise(SIGKILL); break;
        case 2: if (random_below(3) == 0) for (;;) pause(); break;
        case 3: case 4:
            for (size_t at = 0; page && at < 4; at++)
                ((volatile uint32_t *)page)[random_below(8)] = random_below(2) ? random_below(40) : (uint32_t)random_state;
            break;
        default: break;
        }
        if (random_below(3) == 0) {
            start = handout_frame_begin(&out, HANDOUT_FRAME_DONE);
            play_done(&out, items, first, limit, 1);
            handout_frame_end(&out, start, 0);
        } else {
            for (uint32_t left = 1 + random_below(3); left > 0; left--) play_frame(&out, items, first, limit);
        }
    }
}

static void host_log(void *context, uint32_t task, int level, const char *text, size_t length) {
    (void)context;
    CHECK(task < 100 && level >= 0 && level < 4 && (length == 0 || text), "a log of task %u", task);
}
static void host_progress(void *context, uint32_t task, double fraction, const char *text, size_t length) {
    (void)context, (void)text, (void)length;
    CHECK(task < 100 && fraction >= 0 && fraction <= 1, "progress of task %u: %f", task, fraction);
}
static int host_module(void *context, const char *name, size_t length, const char **source, size_t *size, const char **chunk_name,
                       uint32_t *index, char *error, size_t error_size) {
    (void)context, (void)name, (void)length, (void)source, (void)size, (void)chunk_name, (void)index;
    snprintf(error, error_size, "no module");
    return -1;
}
static size_t host_name(void *context, uint32_t task, char *text, size_t size) {
    (void)context;
    CHECK(task < 100, "the name of task %u", task);
    if (text && size) text[0] = 't';
    return 1;
}

/* Descriptors that are open. */
static int descriptors(void) {
    int count = 0;
    for (int i = 0; i < 200; i++) count += fcntl(i, F_GETFD) >= 0;
    return count;
}

static void run_hostile(handout_supervisor *supervisor, handout_slot *slot, handout_shared *shared, int round) {
    uint32_t count = 1 + (uint32_t)round % 8;
    for (uint32_t i = 0; i < count; i++)
        slot->items[i] = (handout_lease_item){.task = i, .attempt = 1, .timeout = 40000000, .grant = HANDOUT_NONE, .cpu = 10000};
    handout_slot_lend(slot, count, handout_now());
    handout_supervisor_run(supervisor);
    CHECK(handout_slot_done(slot) == count, "round %d: %u of %u ended", round, handout_slot_done(slot), count);
    uint32_t seen = 0;
    for (uint32_t i = 0; i < handout_slot_done(slot); i++) {
        handout_completion *one = &slot->completions[i];
        CHECK(one->task < count && !(seen & 1u << one->task), "round %d: task %u twice", round, one->task);
        seen |= 1u << one->task;
        CHECK(one->ended == HANDOUT_OK || one->failure, "round %d: task %u failed with %d and nothing is said", round, one->task, one->ended);
        CHECK(one->ended <= HANDOUT_CANCELLED, "round %d: ended %d", round, one->ended);
        if (one->value.tag == HANDOUT_BLOB) handout_shared_release(shared, one->value.as.blob, one->value.length);
        handout_failure_free(one->failure);
    }
}

static void test_hostile(const char *self, int rounds) {
    static const uint32_t lines[100], classes[100], offsets[101], options[100];
    static const uint8_t kinds_of_rows[100], flags[1], bytes[1];
    static const handout_allowed allowed = {.reads_run_directory = 1};
    handout_shared *shared = handout_shared_new();
    handout_tables tables = {.count = 100, .lines = lines, .classes = classes, .capture_offsets = offsets, .captures = lines,
                             .reference_offsets = offsets, .references = lines, .name_offsets = offsets, .name_bytes = bytes,
                             .kinds = kinds_of_rows, .code = bytes, .pool_bytes = bytes, .options = options, .option_flags = flags};
    handout_program program = {.source = "", .chunk_name = "@s.lua", .run_directory = "/usr", .run_id = "r", .worker = "w",
                               .default_memory = 16 << 20, .plan_time = 200000000, .allowed = &allowed};
    const handout_host host = {.log = host_log, .progress = host_progress, .module = host_module, .task_name = host_name};
    const handout_runners runners = {self, shared, &program, handout_shared_program(shared, &program), &tables, &host, 20000000};
    int before = descriptors();
    handout_slot *slot = handout_slot_new();
    handout_supervisor *supervisor = handout_supervisor_new(&runners, slot);
    CHECK(supervisor != NULL, "no supervisor");
    for (int round = 0; supervisor && round < rounds; round++) {
        run_hostile(supervisor, slot, shared, round);
        if (round % 5) continue;
        handout_buffer out = {0};
        handout_failure *failure = NULL;
        handout_selection selection = {0};
        handout_attempt attempt = {.number = 1, .message = ""};
        char error[200];
        handout_supervisor_value(supervisor, 3, &out, error, sizeof error);
        handout_supervisor_select(supervisor, 3, 0, (uint32_t)round % 7, &selection, error, sizeof error);
        handout_supervisor_measure(supervisor, 3, &attempt, &out, &failure);
        handout_selection_free(&selection);
        handout_failure_free(failure);
        handout_buffer_free(&out);
    }
    printf("%llu runners for %d leases\n", (unsigned long long)(supervisor ? handout_supervisor_starts(supervisor) : 0), rounds);
    handout_supervisor_free(supervisor);
    handout_slot_free(slot);
    handout_shared_free(shared);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "a child was not waited for");
    CHECK(descriptors() == before - 2, "%d descriptors, before %d", descriptors(), before); /* those of the shared memory are gone too */
}

int main(int argc, char **argv) {
    struct stat status;
    char self[4096];
    if (fstat(0, &status) == 0 && S_ISSOCK(status.st_mode)) _exit(play());
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0) return 1;
    self[length] = 0;
    test_confined();
    test_shared();
    test_hostile(self, argc > 1 ? atoi(argv[1]) : 100);
    printf("%d checks, %d failures\n", checks, failures);
    return failures != 0;
}
