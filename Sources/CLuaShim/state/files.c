/* Files beneath a folder: opened with openat2 (Linux 5.6), so that no `..`, link or race leads out of it. */
#define _GNU_SOURCE
#include "files.h"
#include "slot.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int handout_open_beneath(int root, const char *path, int flags, mode_t mode, int links) {
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC | (flags & O_PATH ? 0 : O_NONBLOCK | O_NOCTTY)),
                           .mode = flags & O_CREAT ? mode : 0,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | (links ? 0 : RESOLVE_NO_SYMLINKS)};
    for (int tries = 0;; tries++) {
        int fd = (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);
        if (fd >= 0) return fd;
        if (errno != EINTR && !(errno == EAGAIN && tries < 100)) return -errno; /* EAGAIN: a rename came in between */
    }
}

int handout_open_folder(const char *path) {
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int handout_is_stopped(handout_state *state) {
    if (handout_polls) handout_poll(state);
    return state->stop != 0;
}

const char *handout_file_error(int error) {
    switch (error) {
    case EXDEV: return "leads out of the run directory";
    case ELOOP: return "is or passes through a symbolic link";
    default: return strerror(error);
    }
}

const char *handout_read_descriptor(handout_state *state, int fd, off_t offset, size_t length, size_t most) {
    handout_buffer *to = &state->scratch;
    const char *wrong = NULL;
    struct stat status;
    to->length = 0;
    to->limit = most;
    if (fstat(fd, &status)) wrong = strerror(errno);
    else if (!S_ISREG(status.st_mode)) wrong = S_ISDIR(status.st_mode) ? "is a directory" : "is not a regular file";
    while (!wrong && length > 0 && offset < INT64_MAX - (1 << 20) && !handout_is_stopped(state)) { /* no file is that long */
        size_t step = length < 1 << 20 ? length : 1 << 20;
        if ((off_t)step > status.st_size - offset && status.st_size > offset) step = (size_t)(status.st_size - offset) + 1;
        if (step > length) step = length;
        /* The last byte asked for is one more than the file has: it may be one more than the limit, too. */
        if (most && to->length < most && step > most - to->length) step = most - to->length;
        uint8_t *room = handout_buffer_reserve(to, step);
        if (!room) {
            wrong = "too large";
            break;
        }
        ssize_t got = pread(fd, room, step, offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) wrong = strerror(errno);
        if (got <= 0) break;
        to->length += (size_t)got;
        offset += got;
        length -= (size_t)got;
    }
    close(fd);
    return wrong;
}

int handout_has_hidden_part(const char *path) {
    for (const char *part = path; *part;) {
        size_t n = strcspn(part, "/");
        if (part[0] == '.' && n > 1 && !(n == 2 && part[1] == '.')) return 1;
        part += n;
        while (*part == '/') part++;
    }
    return 0;
}

static ssize_t place_of(int fd, char *to, size_t size) {
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, to, size - 1);
    if (n >= 0) to[n] = 0;
    return n;
}

int handout_is_at_hidden_place(int root, int fd) {
    char above[PATH_MAX], place[PATH_MAX];
    ssize_t n = place_of(root, above, sizeof above);
    if (n < 0 || place_of(fd, place, sizeof place) < 0) return 0; /* no /proc: only names are looked at */
    while (n > 0 && above[n - 1] == '/') n--;
    return strncmp(place, above, (size_t)n) == 0 && handout_has_hidden_part(place + n);
}

static int append_part(char *to, size_t size, size_t *length, const char *part, size_t n) {
    if (n == 0 || (n == 1 && part[0] == '.')) return 0;
    if (n == 2 && part[0] == '.' && part[1] == '.') {
        while (*length > 0 && to[--*length] != '/') {}
        return 0;
    }
    if (*length + n + 2 > size) return -1;
    to[(*length)++] = '/';
    memcpy(to + *length, part, n);
    *length += n;
    return 0;
}

ssize_t handout_normal_path(const char *directory, const char *path, char *to, size_t size) {
    const char *texts[] = {path[0] == '/' ? "" : directory, path};
    size_t length = 0;
    for (int i = 0; i < 2; i++)
        for (const char *part = texts[i]; *part;) {
            size_t n = strcspn(part, "/");
            if (append_part(to, size, &length, part, n)) return -1;
            part += n + (part[n] == '/');
        }
    if (length == 0) to[length++] = '/';
    to[length] = 0;
    return (ssize_t)length;
}

static void remove_entries(int fd) {
    DIR *folder = fdopendir(fd);
    if (!folder) {
        close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (unlinkat(dirfd(folder), entry->d_name, 0) == 0) continue;
        int inner = openat(dirfd(folder), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner >= 0) {
            fchmod(inner, 0700);
            remove_entries(inner);
        }
        unlinkat(dirfd(folder), entry->d_name, AT_REMOVEDIR);
    }
    closedir(folder);
}

void handout_remove_tree(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) remove_entries(fd);
    rmdir(path);
}
