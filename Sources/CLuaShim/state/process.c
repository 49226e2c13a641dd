/* Facts and signals of this process that Swift cannot have by itself. */
#define _GNU_SOURCE
#include "handout_lua.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int interrupts, paused, patience = 1;

/* ---- Folders that go with the process ---- */

enum { MOST_FOLDERS = 256, FOLDER_SIZE = 256 };
enum { FREE, CHANGING, KEPT };
static struct {
    atomic_int state;
    char path[FOLDER_SIZE];
} folders[MOST_FOLDERS];

void handout_note_folder(const char *path, int on) {
    size_t length = strlen(path);
    if (length >= FOLDER_SIZE) return; /* it stays behind then */
    for (int i = 0; i < MOST_FOLDERS; i++) {
        int expected = on ? FREE : KEPT;
        if (!on && (atomic_load(&folders[i].state) != KEPT || strcmp(folders[i].path, path) != 0)) continue;
        if (!atomic_compare_exchange_strong(&folders[i].state, &expected, CHANGING)) continue;
        if (on) memcpy(folders[i].path, path, length + 1);
        atomic_store(&folders[i].state, on ? KEPT : FREE);
        return;
    }
}

/* In a signal handler: by a program of its own, which goes on when this process has ended. */
static void remove_folders(void) {
    static char program[] = "/bin/rm", flags[] = "-rf", end[] = "--";
    static char *words[MOST_FOLDERS + 4], *none[] = {NULL};
    int count = 0;
    words[count++] = program;
    words[count++] = flags;
    words[count++] = end;
    for (int i = 0; i < MOST_FOLDERS; i++)
        if (atomic_load(&folders[i].state) == KEPT) words[count++] = folders[i].path;
    if (count == 3 || _Fork() != 0) return;
    setpgid(0, 0); /* the terminal's interrupts are not for it */
    execve(program, words, none);
    _exit(1);
}

/* When patience is at its end the process ends as it would have without us, and with it what it started. */
static void on_interrupt(int signal_number) {
    if (atomic_fetch_add(&interrupts, 1) + 1 >= atomic_load(&patience)) {
        handout_end_children();
        remove_folders();
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
}

static void on_pause(int signal_number) { atomic_store(&paused, signal_number == SIGUSR1); }

void handout_watch_interrupts(int most) {
    atomic_store(&patience, most);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = on_pause;
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
}

int handout_is_paused(void) { return atomic_load(&paused); }

int handout_interrupts(void) { return atomic_load(&interrupts); }

int handout_cores(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

int handout_has_openat2(void) {
    return syscall(SYS_openat2, -1, NULL, NULL, 0) != -1 || errno != ENOSYS;
}

/* ---- Children ---- */

enum { MOST_CHILDREN = 4096 };
static _Atomic pid_t children[MOST_CHILDREN]; /* 0: free */

void handout_note_child(pid_t child, int on) {
    for (int i = 0; i < MOST_CHILDREN; i++) {
        pid_t expected = on ? 0 : child;
        if (atomic_compare_exchange_strong(&children[i], &expected, on ? child : 0)) return;
    }
}

void handout_end_children(void) {
    for (int i = 0; i < MOST_CHILDREN; i++) {
        pid_t child = atomic_load(&children[i]);
        if (child) kill(-child, SIGKILL);
    }
}

int handout_spawn(pid_t *child, const char *path, char *const arguments[], char *const environment[], const int descriptors[3]) {
    return handout_spawn_in(child, path, arguments, environment, descriptors, NULL);
}

int handout_spawn_in(pid_t *child, const char *path, char *const arguments[], char *const environment[], const int descriptors[3],
                     const char *directory) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int error = posix_spawn_file_actions_init(&actions);
    if (error) return error;
    if ((error = posix_spawnattr_init(&attributes))) {
        posix_spawn_file_actions_destroy(&actions);
        return error;
    }
    for (int i = 0; i < 3 && !error; i++) error = posix_spawn_file_actions_adddup2(&actions, descriptors[i], i);
    if (!error && directory) error = posix_spawn_file_actions_addchdir_np(&actions, directory);
    if (!error) error = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    if (!error) error = posix_spawnattr_setsigmask(&attributes, &none);
    if (!error) error = posix_spawnattr_setsigdefault(&attributes, &all);
    if (!error) error = posix_spawnattr_setpgroup(&attributes, 0);
    if (!error)
        error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    if (!error) error = posix_spawn(child, path, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}
