/* handout.fs: files beneath the run directory, opened with openat2 (Linux 5.6) so that no `..`, symbolic link or race
 * leads out of it. */
#define _GNU_SOURCE
#include "sandbox.h"
#include "task.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The part of `path` beneath the run directory, or NULL; a file whose path has a hidden part is refused. */
static const char *beneath(lua_State *L, handout_runner *runner, const char *call, const char *path, size_t length) {
    char shown[300];
    handout_escape(path, length, 200, shown, sizeof shown);
    if (length == 0) luaL_error(L, "%s: the path is empty", call);
    if (strlen(path) != length) luaL_error(L, "%s: '%s': a path has no zero byte", call, shown);
    const char *root = runner->program->run_directory, *rest = path;
    if (path[0] == '/') {
        size_t n = strlen(root);
        while (n > 1 && root[n - 1] == '/') n--;
        if (strncmp(path, root, n) != 0 || (path[n] != '/' && n > 1))
            luaL_error(L, "%s: '%s' is outside of the run directory '%s' (--dir sets it)", call, shown, root);
        rest = path + n;
        while (*rest == '/') rest++;
    }
    for (const char *part = rest; *part; part = strchr(part, '/') ? strchr(part, '/') + 1 : part + strlen(part))
        if (part[0] == '.' && part[1] != '/' && part[1] != 0 && !(part[1] == '.' && (part[2] == '/' || part[2] == 0)))
            luaL_error(L, "%s: '%s': hidden files and folders are not read", call, shown);
    return rest;
}

static int open_beneath(handout_runner *runner, const char *path) {
    int root = open(runner->program->run_directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) return -1;
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    int error = errno;
    close(root);
    errno = error;
    return fd;
}

/* Reads into the state's scratch buffer. Returns NULL, or what went wrong; the descriptor is closed either way: no Lua
 * call happens while it is open. */
static const char *read_range(handout_state *state, int fd, off_t offset, size_t length) {
    handout_buffer *to = &state->scratch;
    const char *wrong = NULL;
    struct stat status;
    to->length = 0;
    to->limit = state->limit;
    if (fstat(fd, &status)) wrong = strerror(errno);
    else if (!S_ISREG(status.st_mode)) wrong = S_ISDIR(status.st_mode) ? "is a directory" : "is not a regular file";
    while (!wrong && length > 0 && !state->stop) {
        size_t step = length < 1 << 20 ? length : 1 << 20;
        if ((off_t)step > status.st_size - offset && status.st_size > offset) step = (size_t)(status.st_size - offset) + 1;
        if (step > length) step = length;
        uint8_t *room = handout_buffer_reserve(to, step);
        if (!room) {
            wrong = "is larger than the task's memory limit (read it in parts: offset, length)";
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

static const char *why_not_opened(int error) {
    if (error == EXDEV) return "leads out of the run directory";
    return strerror(error);
}

static void read_path(lua_State *L, const char *call, off_t offset, size_t length) {
    handout_runner *runner = handout_runner_of(L);
    if (!runner) luaL_error(L, "handout.%s is only there inside a task (while planning: handout.read)", call);
    if (runner->program->no_files) {
        lua_pushfstring(L, "%s: reading files is not allowed in this run", call);
        handout_raise_final(L);
    }
    size_t path_length;
    const char *path = luaL_checklstring(L, 1, &path_length), *rest = beneath(L, runner, call, path, path_length);
    int fd = open_beneath(runner, *rest ? rest : ".");
    const char *wrong = fd < 0 ? why_not_opened(errno) : read_range(runner->state, fd, offset, length);
    handout_check(runner->state);
    char shown[300];
    handout_escape(path, path_length, 200, shown, sizeof shown);
    if (wrong) luaL_error(L, "%s: '%s': %s", call, shown, wrong);
}

static lua_Integer field_integer(lua_State *L, const char *call, const char *name, lua_Integer otherwise) {
    if (lua_getfield(L, 2, name) == LUA_TNIL) {
        lua_pop(L, 1);
        return otherwise;
    }
    int good;
    lua_Integer n = lua_tointegerx(L, -1, &good);
    if (!good || n < 0) luaL_error(L, "%s: %s: expected a whole number, at least 0", call, name);
    lua_pop(L, 1);
    return n;
}

static void check_options(lua_State *L, const char *call, const char *const *names) {
    if (lua_isnoneornil(L, 2)) {
        lua_settop(L, 1);
        lua_newtable(L);
        return;
    }
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
        size_t length = 0;
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : "";
        int found = 0;
        for (int i = 0; names[i]; i++) found |= strcmp(key, names[i]) == 0;
        if (found) continue;
        char shown[100];
        handout_describe(L, -2, shown, sizeof shown);
        const char *near = handout_nearest(key, length, names);
        if (near) luaL_error(L, "%s: unknown option %s (did you mean '%s'?)", call, shown, near);
        luaL_error(L, "%s: unknown option %s", call, shown);
    }
}

static int fs_read(lua_State *L) {
    static const char *const names[] = {"offset", "length", NULL};
    check_options(L, "fs.read", names);
    lua_Integer offset = field_integer(L, "fs.read", "offset", 0);
    lua_Integer length = field_integer(L, "fs.read", "length", LUA_MAXINTEGER);
    read_path(L, "fs.read", (off_t)offset, (size_t)length);
    handout_buffer *scratch = &handout_of(L)->scratch;
    lua_pushlstring(L, (const char *)scratch->data, scratch->length);
    return 1;
}

/* The end of the line that starts at `from`: after its newline, or the end of the text. */
static const char *line_end(const char *from, const char *end) {
    const char *newline = memchr(from, '\n', (size_t)(end - from));
    return newline ? newline + 1 : end;
}

static int fs_lines(lua_State *L) {
    static const char *const names[] = {"chunk", NULL};
    check_options(L, "fs.lines", names);
    lua_Integer chunk = field_integer(L, "fs.lines", "chunk", 0);
    if (chunk == 0 && lua_getfield(L, 2, "chunk") != LUA_TNIL) return luaL_error(L, "fs.lines: chunk: expected at least 1, got 0");
    read_path(L, "fs.lines", 0, (size_t)LUA_MAXINTEGER);
    handout_state *state = handout_of(L);
    const char *from = (const char *)state->scratch.data, *end = from + state->scratch.length;
    lua_newtable(L);
    for (lua_Integer i = 1; from < end; i++) {
        if ((i & 0xFFF) == 0) handout_check(state);
        const char *stop = line_end(from, end), *cut = stop;
        if (chunk == 0 && stop[-1] == '\n') cut--;
        for (lua_Integer n = 1; n < chunk && stop < end; n++) cut = stop = line_end(stop, end);
        lua_pushlstring(L, from, (size_t)(cut - from));
        lua_rawseti(L, -2, i);
        from = stop;
    }
    return 1;
}

static int fs_unavailable(lua_State *L) {
    return luaL_error(L, "handout.fs.%s is not available in this version", lua_tostring(L, lua_upvalueindex(1)));
}

void handout_add_fs(lua_State *L) {
    static const luaL_Reg functions[] = {{"read", fs_read}, {"lines", fs_lines}, {NULL, NULL}};
    static const char *const later[] = {"write", "append", "ranges", "glob", "list", "stat", "exists", "mkdir", "remove",
                                        "rename", "copy", "hash", NULL};
    luaL_newlib(L, functions);
    for (int i = 0; later[i]; i++) {
        lua_pushstring(L, later[i]);
        lua_pushcclosure(L, fs_unavailable, 1);
        lua_setfield(L, -2, later[i]);
    }
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        char name[60];
        snprintf(name, sizeof name, "handout.fs.%s", lua_tostring(L, -2));
        handout_name_object(L, -1, name);
    }
    handout_protect(L, "handout.fs");
    lua_setfield(L, -2, "fs");
}
