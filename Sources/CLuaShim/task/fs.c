/* handout.fs: reading. Between a descriptor's opening and its closing nothing calls Lua. */
#define _GNU_SOURCE
#include "fs.h"
#include "grants.h"
#include "remote.h"
#include "sandbox.h"
#include "sha256.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- Options ---- */

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

/* ---- read, lines ---- */

static _Noreturn void raise_text(lua_State *L, const char *call, const char *wrong) {
    size_t length;
    const char *path = lua_tolstring(L, 1, &length);
    char shown[300];
    handout_escape(path, length, 200, shown, sizeof shown);
    luaL_error(L, "%s: '%s': %s", call, shown, wrong);
    __builtin_unreachable();
}

/* Reads a part of the file whose path is argument 1 into the scratch buffer. */
static void read_path(lua_State *L, const char *call, off_t offset, size_t length) {
    handout_reach reach;
    handout_reach_path(L, call, 1, 0, &reach);
    handout_state *state = handout_of(L);
    int fd = handout_open_reach(&reach, O_RDONLY, 0);
    if (fd < 0) handout_raise_file(L, call, 1, fd);
    const char *wrong = handout_read_descriptor(state, fd, offset, length, state->limit);
    handout_check(state);
    if (wrong && strcmp(wrong, "too large") == 0)
        wrong = "is larger than the task's memory limit (read it in parts: offset, length)";
    if (wrong) raise_text(L, call, wrong);
}

static int fs_read(lua_State *L) {
    static const char *const names[] = {"offset", "length", NULL};
    check_options(L, "fs.read", names);
    lua_Integer offset = field_integer(L, "fs.read", "offset", 0);
    lua_Integer length = field_integer(L, "fs.read", "length", LUA_MAXINTEGER);
    read_path(L, "fs.read", (off_t)offset, (size_t)length);
    handout_buffer *scratch = &handout_of(L)->scratch;
    lua_pushlstring(L, scratch->length ? (const char *)scratch->data : "", scratch->length);
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

/* ---- ranges ---- */

/* The first line's start at or after `from`, or the file's size; -1 on an error. */
static off_t next_line(handout_state *state, int fd, off_t from, off_t size) {
    char block[65536];
    while (from < size && !handout_is_stopped(state)) {
        ssize_t got = pread(fd, block, sizeof block, from);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        char *newline = memchr(block, '\n', (size_t)got);
        if (newline) return from + (newline - block) + 1;
        from += got;
    }
    return size;
}

/* Writes the ends of the ranges to the scratch buffer. Closes the descriptor. Returns 0, or an errno. */
static int find_ranges(handout_state *state, int fd, off_t bytes) {
    handout_buffer *ends = &state->scratch;
    struct stat status;
    int error = fstat(fd, &status) ? errno : S_ISDIR(status.st_mode) ? EISDIR : S_ISREG(status.st_mode) ? 0 : EINVAL;
    ends->length = 0;
    ends->limit = state->limit;
    for (off_t at = 0; !error && at < status.st_size && !handout_is_stopped(state);) {
        off_t end = bytes < status.st_size - at ? next_line(state, fd, at + bytes - 1, status.st_size) : status.st_size;
        if (end < 0) error = errno;
        else if (handout_buffer_append(ends, &end, sizeof end)) error = ENOMEM;
        at = end;
    }
    close(fd);
    return error;
}

static int fs_ranges(lua_State *L) {
    static const char *const names[] = {"bytes", NULL};
    check_options(L, "fs.ranges", names);
    uint64_t bytes = 64 << 20;
    char wrong[200];
    if (lua_getfield(L, 2, "bytes") != LUA_TNIL && handout_parse_size(L, -1, &bytes, wrong, sizeof wrong))
        return luaL_error(L, "fs.ranges: bytes: %s", wrong);
    if (bytes == 0) return luaL_error(L, "fs.ranges: bytes: expected at least 1, got 0");
    if (bytes > INT64_MAX) bytes = INT64_MAX;
    handout_reach reach;
    handout_reach_path(L, "fs.ranges", 1, 0, &reach);
    handout_state *state = handout_of(L);
    int fd = handout_open_reach(&reach, O_RDONLY, 0), error = fd < 0 ? fd : find_ranges(state, fd, (off_t)bytes);
    handout_check(state);
    if (error) handout_raise_file(L, "fs.ranges", 1, error);
    size_t count = state->scratch.length / sizeof(off_t);
    off_t start = 0;
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        off_t end = ((const off_t *)(const void *)state->scratch.data)[i];
        lua_createtable(L, 0, 3);
        lua_pushvalue(L, 1);
        lua_setfield(L, -2, "path");
        lua_pushinteger(L, start);
        lua_setfield(L, -2, "offset");
        lua_pushinteger(L, end - start);
        lua_setfield(L, -2, "length");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
        start = end;
    }
    return 1;
}

/* ---- Folders, and what lies there ---- */

static int fs_list(lua_State *L) {
    handout_reach reach;
    lua_settop(L, 1);
    handout_reach_path(L, "fs.list", 1, 0, &reach);
    handout_names names = {0};
    int fd = handout_open_reach(&reach, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) handout_raise_file(L, "fs.list", 1, fd);
    const char *wrong = handout_list_folder(handout_of(L), fd, &names);
    handout_check(handout_of(L));
    if (wrong) raise_text(L, "fs.list", wrong);
    handout_push_names(L, &names, "");
    return 1;
}

static int has_part_above(const char *path) {
    for (; *path; path += strcspn(path, "/"), path += *path == '/')
        if (path[0] == '.' && path[1] == '.' && (path[2] == '/' || path[2] == 0)) return 1;
    return 0;
}

/* The bytes of the pattern in front of its first part with * ? [ in it, without the slash at their end. */
static size_t fixed_length(const char *pattern) {
    const char *part = pattern;
    while (*part) {
        size_t n = strcspn(part, "/");
        if (handout_is_pattern(part, n)) break;
        part += n;
        while (*part == '/') part++;
    }
    if (!*part) while (part > pattern && part[-1] != '/') part--; /* no pattern at all: the last part is what may be there */
    size_t length = (size_t)(part - pattern);
    while (length > 1 && pattern[length - 1] == '/') length--;
    return length;
}

static int fs_glob(lua_State *L) {
    size_t length;
    const char *pattern = luaL_checklstring(L, 1, &length);
    if (strlen(pattern) != length) return luaL_error(L, "fs.glob: a pattern has no zero byte");
    lua_settop(L, 1);
    size_t fixed = fixed_length(pattern);
    const char *rest = pattern + fixed;
    while (*rest == '/') rest++;
    char shown[300];
    handout_escape(pattern, length, 200, shown, sizeof shown);
    if (handout_has_hidden_part(rest)) handout_refuse_call(L, "fs.glob: '%s': hidden files and folders are not read", shown);
    if (has_part_above(rest)) return luaL_error(L, "fs.glob: '%s': '..' after a part with * ? [", shown);
    handout_reach reach;
    if (fixed) lua_pushlstring(L, pattern, fixed);
    else lua_pushliteral(L, ".");
    handout_reach_path(L, "fs.glob", 2, 0, &reach);
    handout_state *state = handout_of(L);
    handout_names names = {0};
    int fd = handout_open_reach(&reach, O_PATH | O_DIRECTORY, 0);
    if (fd < 0 && fd != -ENOENT && fd != -ENOTDIR) handout_raise_file(L, "fs.glob", 1, fd);
    const char *wrong = NULL;
    if (fd >= 0) {
        wrong = handout_glob(state, fd, rest, &names);
        close(fd);
    }
    handout_check(state);
    if (wrong) raise_text(L, "fs.glob", wrong);
    lua_pushlstring(L, pattern, (size_t)(rest - pattern));
    handout_push_names(L, &names, lua_tostring(L, -1));
    return 1;
}

static const char *kind_of(mode_t mode) { return S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "directory" : "other"; }

/* Fills `status`; 0 when there is nothing. */
static int look_at(lua_State *L, const char *call, struct stat *status) {
    handout_reach reach;
    lua_settop(L, 1);
    handout_reach_path(L, call, 1, 0, &reach);
    int fd = handout_open_reach(&reach, O_PATH, 0);
    int error = fd >= 0 && fstat(fd, status) ? errno : 0;
    if (fd >= 0) close(fd);
    if (fd == -ENOENT || fd == -ENOTDIR) return 0;
    if (fd < 0 || error) handout_raise_file(L, call, 1, fd < 0 ? fd : error);
    return 1;
}

static int fs_stat(lua_State *L) {
    struct stat status;
    if (!look_at(L, "fs.stat", &status)) return 0;
    lua_createtable(L, 0, 3);
    lua_pushstring(L, kind_of(status.st_mode));
    lua_setfield(L, -2, "kind");
    lua_pushinteger(L, (lua_Integer)status.st_size);
    lua_setfield(L, -2, "size");
    lua_pushnumber(L, (lua_Number)status.st_mtim.tv_sec + (lua_Number)status.st_mtim.tv_nsec / 1e9);
    lua_setfield(L, -2, "mtime");
    return 1;
}

static int fs_exists(lua_State *L) {
    struct stat status;
    lua_pushboolean(L, look_at(L, "fs.exists", &status));
    return 1;
}

/* Hashes the file and closes it. Returns 0, or an errno. */
static int hash_descriptor(handout_state *state, int fd, char hex[65]) {
    handout_sha256 hash;
    char block[65536];
    struct stat status;
    int error = fstat(fd, &status) ? errno : S_ISDIR(status.st_mode) ? EISDIR : S_ISREG(status.st_mode) ? 0 : EINVAL;
    handout_sha256_begin(&hash);
    while (!error && !handout_is_stopped(state)) {
        ssize_t got = read(fd, block, sizeof block);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) error = errno;
        if (got <= 0) break;
        handout_sha256_add(&hash, block, (size_t)got);
    }
    close(fd);
    handout_sha256_end(&hash, hex);
    return error;
}

static int fs_hash(lua_State *L) {
    handout_reach reach;
    char hex[65];
    lua_settop(L, 1);
    handout_reach_path(L, "fs.hash", 1, 0, &reach);
    int fd = handout_open_reach(&reach, O_RDONLY, 0), error = fd < 0 ? fd : hash_descriptor(handout_of(L), fd, hex);
    handout_check(handout_of(L));
    if (error) handout_raise_file(L, "fs.hash", 1, error);
    lua_pushstring(L, hex);
    return 1;
}

void handout_add_fs(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"read", fs_read},        {"lines", fs_lines},         {"ranges", fs_ranges},       {"glob", fs_glob},
        {"list", fs_list},        {"stat", fs_stat},           {"exists", fs_exists},       {"hash", fs_hash},
        {"write", handout_fs_write}, {"append", handout_fs_append}, {"mkdir", handout_fs_mkdir}, {"remove", handout_fs_remove},
        {"rename", handout_fs_rename}, {"copy", handout_fs_copy}, {NULL, NULL}};
    lua_createtable(L, 0, (int)(sizeof functions / sizeof *functions));
    handout_set_functions(L, functions, "fs.");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        char name[60];
        snprintf(name, sizeof name, "handout.fs.%s", lua_tostring(L, -2));
        handout_name_object(L, -1, name);
    }
    handout_protect(L, "handout.fs");
    lua_setfield(L, -2, "fs");
}
