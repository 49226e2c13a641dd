/* Limits and the system calls of a runner, by seccomp's filter mode (Linux kernel documentation, userspace-api/seccomp_filter):
 * a list of what is allowed, by number and where it matters by argument; all else ends the process. */
#define _GNU_SOURCE
#include "confine.h"
#include "slot.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "no list of system calls for this architecture"
#endif

/* ---- Limits ---- */

/* Bytes of addresses in use; 0: it cannot be told. */
static uint64_t addresses_in_use(void) {
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file) return 0;
    if (fscanf(file, "%llu", &pages) != 1) pages = 0;
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int limit(int resource, rlim_t most) {
    struct rlimit now;
    if (getrlimit(resource, &now)) return errno;
    now.rlim_cur = most < now.rlim_max ? most : now.rlim_max;
    if (resource != RLIMIT_AS) now.rlim_max = now.rlim_cur; /* the supervisor may lend a task more memory later */
    return setrlimit(resource, &now) ? errno : 0;
}

int handout_limit_process(uint64_t bytes) {
    int error = limit(RLIMIT_CORE, 0);
    if (HANDOUT_STANDING_HOOK) return error;
    if (!error) error = limit(RLIMIT_FSIZE, 0);
    uint64_t used = bytes ? addresses_in_use() : 0;
    if (!error && used && used < UINT64_MAX - bytes) error = limit(RLIMIT_AS, used + bytes);
    return error;
}

/* ---- System calls ---- */

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
/* The low half of an argument: descriptors, ids and protections have no other. */
#define LOAD_ARGUMENT(n) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + (n) * sizeof(uint64_t))
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, what)
#define UNLESS_EQUAL(value, skipped) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), 0, skipped)
#define ALLOW(name) UNLESS_EQUAL(SYS_##name, 1), ANSWER(SECCOMP_RET_ALLOW)
/* A call whose argument `n` has to be `value`. */
#define ALLOW_WITH(name, n, value) \
    UNLESS_EQUAL(SYS_##name, 4), LOAD_ARGUMENT(n), UNLESS_EQUAL(value, 1), ANSWER(SECCOMP_RET_ALLOW), ANSWER(SECCOMP_RET_KILL_PROCESS)
/* A call whose argument `n` has to lack the bits. */
#define ALLOW_WITHOUT(name, n, bits) \
    UNLESS_EQUAL(SYS_##name, 4), LOAD_ARGUMENT(n), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 1, 0), ANSWER(SECCOMP_RET_ALLOW), \
        ANSWER(SECCOMP_RET_KILL_PROCESS)

int handout_confine_calls(void) {
    const struct sock_filter filter[] = {
        LOAD(arch),
        UNLESS_EQUAL(ARCHITECTURE, 1),
        BPF_STMT(BPF_JMP | BPF_JA, 1),
        ANSWER(SECCOMP_RET_KILL_PROCESS),
        LOAD(nr),
        /* The socket. */
        ALLOW_WITH(read, 0, 0),
        ALLOW_WITH(sendmsg, 0, 0),
        UNLESS_EQUAL(SYS_write, 5), LOAD_ARGUMENT(0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), UNLESS_EQUAL(2, 1),
        ANSWER(SECCOMP_RET_ALLOW), ANSWER(SECCOMP_RET_KILL_PROCESS),
        /* Memory, none of it code. */
        ALLOW_WITHOUT(mmap, 2, PROT_EXEC),
        ALLOW_WITHOUT(mprotect, 2, PROT_EXEC),
        ALLOW(munmap), ALLOW(mremap), ALLOW(madvise), ALLOW(brk),
        /* Waiting, the time, and the signal of deadlines. */
        ALLOW(futex), ALLOW(clock_gettime), ALLOW(clock_nanosleep), ALLOW(nanosleep), ALLOW(gettimeofday), ALLOW(getrandom),
        ALLOW(sched_yield), ALLOW(restart_syscall), ALLOW(rt_sigreturn), ALLOW(rt_sigprocmask), ALLOW(gettid), ALLOW(getpid),
        ALLOW(sysinfo), /* how much memory there is: qsort asks */
        ALLOW_WITH(tgkill, 0, getpid()),
        /* What the watchdog's thread, which may be about to start, does first. */
        ALLOW(rseq), ALLOW(set_robust_list),
        ALLOW(exit), ALLOW(exit_group),
        ANSWER(SECCOMP_RET_KILL_PROCESS),
    };
    const struct sock_fprog program = {sizeof filter / sizeof *filter, (struct sock_filter *)(uintptr_t)filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return errno;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) ? errno : 0;
}

int handout_can_confine(void) {
    uint32_t action = SECCOMP_RET_KILL_PROCESS;
    return !HANDOUT_STANDING_HOOK && syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}
