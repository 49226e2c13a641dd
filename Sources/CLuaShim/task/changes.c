/* handout.fs: writing. No link is followed on the way, and nothing calls Lua while a descriptor is open. */
#define _GNU_SOURCE
#include "fs.h"
#include "grants.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- write, append, copy ---- */

/* Writes all of it. Returns 0, or an errno; EINTR: the state was asked to stop. */
static int write_all(handout_state *state, int fd, const char *bytes, size_t length) {
    while (length > 0) {
        if (handout_is_stopped(state)) return EINTR;
        ssize_t put = write(fd, bytes, length < 1 << 20 ? length : 1 << 20);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return errno;
        bytes += put;
        length -= (size_t)put;
    }
    return 0;
}

static int copy_all(handout_state *state, int to, int from) {
    char block[65536];
    for (;;) {
        ssize_t got = read(from, block, sizeof block);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return got < 0 ? errno : 0;
        int error = write_all(state, to, block, (size_t)got);
        if (error) return error;
    }
}

/* The permissions of the file that will be replaced, or those of a new one. */
static mode_t mode_of(int folder, const char *name) {
    struct stat status;
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode)) return status.st_mode & 0777;
    return 0666;
}

/* Makes a new file with a hidden name in the folder. Returns its descriptor, or minus an errno. */
static int make_temporary(int folder, const char *name, mode_t mode, char *temporary, size_t size) {
    static _Atomic unsigned counter;
    for (int tries = 0; tries < 100; tries++) {
        snprintf(temporary, size, ".handout-%.60s-%d-%u", name, (int)getpid(), atomic_fetch_add(&counter, 1));
        int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        if (fd >= 0 || errno != EEXIST) return fd < 0 ? -errno : fd;
    }
    return -EEXIST;
}

/* Whole or not at all: a file beside it, with the bytes or with what `from` holds (>= 0), takes its name. Closes `from`. */
static int replace(handout_state *state, const handout_reach *reach, const char *bytes, size_t length, int from) {
    const char *name;
    char temporary[128];
    int folder = handout_open_parent(reach, &name), error = folder < 0 ? -folder : 0;
    if (!error) {
        mode_t mode = mode_of(folder, name);
        int fd = make_temporary(folder, name, mode, temporary, sizeof temporary);
        error = fd < 0 ? -fd : from >= 0 ? copy_all(state, fd, from) : write_all(state, fd, bytes, length);
        if (fd >= 0 && mode != 0666) fchmod(fd, mode);
        if (fd >= 0 && close(fd) && !error) error = errno;
        if (!error && renameat(folder, temporary, folder, name)) error = errno;
        if (error && fd >= 0) unlinkat(folder, temporary, 0);
        close(folder);
    }
    if (from >= 0) close(from);
    return error;
}

int handout_fs_write(lua_State *L) {
    handout_reach reach;
    size_t length;
    lua_settop(L, 2);
    const char *bytes = luaL_checklstring(L, 2, &length);
    handout_reach_path(L, "fs.write", 1, 1, &reach);
    int error = replace(handout_of(L), &reach, bytes, length, -1);
    handout_check(handout_of(L));
    if (error) handout_raise_file(L, "fs.write", 1, error);
    return 0;
}

int handout_fs_append(lua_State *L) {
    handout_reach reach;
    size_t length;
    struct stat status;
    lua_settop(L, 2);
    const char *bytes = luaL_checklstring(L, 2, &length);
    handout_reach_path(L, "fs.append", 1, 1, &reach);
    int fd = handout_open_reach(&reach, O_WRONLY | O_APPEND | O_CREAT, 0666), error = fd < 0 ? -fd : 0;
    if (!error && (fstat(fd, &status) || !S_ISREG(status.st_mode))) error = EINVAL;
    if (!error) error = write_all(handout_of(L), fd, bytes, length);
    if (fd >= 0) close(fd);
    handout_check(handout_of(L));
    if (error) handout_raise_file(L, "fs.append", 1, error);
    return 0;
}

int handout_fs_copy(lua_State *L) {
    handout_reach from, to;
    struct stat status;
    lua_settop(L, 2);
    luaL_checkstring(L, 2);
    handout_reach_path(L, "fs.copy", 1, 0, &from);
    handout_reach_path(L, "fs.copy", 2, 1, &to);
    int fd = handout_open_reach(&from, O_RDONLY, 0), error = 0;
    if (fd >= 0 && (fstat(fd, &status) || !S_ISREG(status.st_mode))) {
        error = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
        close(fd);
    }
    if (fd < 0 || error) handout_raise_file(L, "fs.copy", 1, fd < 0 ? fd : error);
    error = replace(handout_of(L), &to, NULL, 0, fd);
    handout_check(handout_of(L));
    if (error) handout_raise_file(L, "fs.copy", 2, error);
    return 0;
}

/* ---- mkdir, remove, rename ---- */

/* Makes the folders of the path that are missing. Returns 0, or an errno. */
static int make_folders(const handout_reach *reach) {
    const char *rest;
    int fd = handout_open_root(reach, &rest);
    if (fd < 0) return -fd;
    for (int error = 0; *rest;) {
        char part[PATH_MAX];
        size_t n = strcspn(rest, "/");
        snprintf(part, sizeof part, "%.*s", (int)n, rest);
        if (mkdirat(fd, part, 0777) && errno != EEXIST) error = errno;
        int next = error ? -1 : openat(fd, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (!error && next < 0) error = errno;
        close(fd);
        if (error) return error;
        fd = next;
        rest += n + (rest[n] == '/');
    }
    close(fd);
    return 0;
}

int handout_fs_mkdir(lua_State *L) {
    handout_reach reach;
    lua_settop(L, 1);
    handout_reach_path(L, "fs.mkdir", 1, 1, &reach);
    int error = make_folders(&reach);
    if (error) handout_raise_file(L, "fs.mkdir", 1, error);
    return 0;
}

int handout_fs_remove(lua_State *L) {
    handout_reach reach;
    const char *name;
    lua_settop(L, 1);
    handout_reach_path(L, "fs.remove", 1, 1, &reach);
    int folder = handout_open_parent(&reach, &name), error = folder < 0 ? -folder : 0;
    if (!error && unlinkat(folder, name, 0)) {
        error = errno;
        if (error == EISDIR || error == EPERM) error = unlinkat(folder, name, AT_REMOVEDIR) ? errno : 0;
    }
    if (folder >= 0) close(folder);
    if (error) handout_raise_file(L, "fs.remove", 1, error);
    return 0;
}

int handout_fs_rename(lua_State *L) {
    handout_reach reach[2];
    const char *names[2];
    lua_settop(L, 2);
    luaL_checkstring(L, 2);
    for (int i = 0; i < 2; i++) handout_reach_path(L, "fs.rename", i + 1, 1, &reach[i]);
    int from = handout_open_parent(&reach[0], &names[0]), to = from < 0 ? -1 : handout_open_parent(&reach[1], &names[1]);
    int error = from >= 0 && to >= 0 && renameat(from, names[0], to, names[1]) ? errno : 0;
    if (from >= 0) close(from);
    if (to >= 0) close(to);
    if (from < 0) handout_raise_file(L, "fs.rename", 1, from);
    if (to < 0) handout_raise_file(L, "fs.rename", 2, to);
    if (error == EXDEV) return luaL_error(L, "fs.rename: the two paths are on different file systems: use copy and remove");
    int is_of_target = error == EISDIR || error == ENOTDIR || error == ENOTEMPTY || error == EEXIST;
    if (error) handout_raise_file(L, "fs.rename", is_of_target ? 2 : 1, error);
    return 0;
}
