/* Grants: what the task that runs asked for, against what its run allows. */
#define _GNU_SOURCE
#include "grants.h"
#include "wire.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const kinds[] = {"exec", "read", "write", "env", "host"};

/* ---- What was asked for ---- */

/* The entries of one kind, one after the other, in the encoded table of the task's grant. */
typedef struct entries {
    const uint8_t *at, *end;
    uint32_t left;
} entries;

static entries asked(const handout_runner *runner, enum handout_granting kind) {
    const handout_tables *tables = runner->tables;
    uint32_t grant = runner->item->grant;
    handout_item item;
    entries none = {0};
    if (grant >= tables->pool_count || handout_pool_kind(tables->pool[grant]) != HANDOUT_POOL_DATA) return none;
    const uint8_t *end = tables->pool_bytes + tables->pool_bytes_length;
    const uint8_t *at = handout_item_read(tables->pool_bytes + handout_pool_position(tables->pool[grant]), end, &item);
    if (!at || item.kind != HANDOUT_KIND_MAP) return none;
    for (uint32_t left = item.count; left > 0; left--) {
        if (!(at = handout_item_read(at, end, &item)) || item.kind != HANDOUT_KIND_STRING) return none;
        int found = item.count == strlen(kinds[kind]) && memcmp(item.as.text, kinds[kind], item.count) == 0;
        const uint8_t *list = at;
        if (found && (at = handout_item_read(list, end, &item)) && item.kind == HANDOUT_KIND_LIST) return (entries){at, end, item.count};
        size_t size = handout_value_size(list, (size_t)(end - list));
        if (size == 0) return none;
        at = list + size;
    }
    return none;
}

static int next_entry(entries *list, char *text, size_t size) {
    handout_item item;
    if (list->left == 0) return 0;
    list->left--;
    list->at = handout_item_read(list->at, list->end, &item);
    if (!list->at || item.kind != HANDOUT_KIND_STRING) {
        list->left = 0;
        return 0;
    }
    snprintf(text, size, "%.*s", (int)item.count, (const char *)item.as.text);
    return 1;
}

/* ---- What is allowed ---- */

static const char *const *allowed_list(const handout_allowed *allowed, enum handout_granting kind) {
    const char *const *lists[] = {allowed->exec, allowed->read, allowed->write, allowed->env, allowed->host};
    return lists[kind];
}

static int list_has(const char *const *list, const char *name) {
    for (; list && *list; list++)
        if (strcmp(*list, name) == 0) return 1;
    return 0;
}

static int is_allowed(const handout_runner *runner, enum handout_granting kind, const char *name) {
    const handout_program *program = runner->program;
    for (size_t i = 0; kind == HANDOUT_ENV && i < program->secret_count; i++)
        if (strcmp(program->secrets[i].name, name) == 0) return 1;
    const handout_allowed *allowed = program->allowed;
    return allowed && (allowed->all || list_has(allowed_list(allowed, kind), name));
}

static int is_asked(const handout_runner *runner, enum handout_granting kind, const char *name) {
    char text[PATH_MAX];
    for (entries list = asked(runner, kind); next_entry(&list, text, sizeof text);)
        if (strcmp(text, name) == 0) return 1;
    return 0;
}

static const char *asker(const handout_runner *runner) { return runner->asker ? runner->asker : "the task"; }

void handout_need_grant(lua_State *L, const char *call, enum handout_granting kind, const char *name) {
    handout_runner *runner = handout_runner_of(L);
    int is = is_asked(runner, kind, name);
    if (is && is_allowed(runner, kind, name)) return;
    char shown[300];
    handout_escape(name, strlen(name), 200, shown, sizeof shown);
    if (!is)
        handout_refuse_call(L, "%s: '%s' is not granted: %s asks for it with grant = { %s = { \"%s\" } }", call, shown,
                            asker(runner), kinds[kind], shown);
    handout_refuse_call(L, "%s: '%s' is not allowed by this run: allow it with --allow %s=%s", call, shown, kinds[kind], shown);
}

void handout_each_granted(const handout_runner *runner, enum handout_granting kind, void (*body)(void *context, const char *name),
                          void *context) {
    char text[PATH_MAX];
    for (entries list = asked(runner, kind); next_entry(&list, text, sizeof text);)
        if (is_allowed(runner, kind, text)) body(context, text);
}

/* ---- Paths ---- */

/* The bytes of `folder`, which covers `path`; or 0. Of the root folder 1. */
static size_t covers(const char *folder, const char *path) {
    size_t n = strlen(folder);
    if (n == 1) return 1;
    return strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/') ? n : 0;
}

static const char *beneath(const char *path, size_t root) {
    const char *rest = path + (root == 1 ? 0 : root);
    while (*rest == '/') rest++;
    return rest;
}

/* The longest entry that the task asks for and that covers the path: its length, 0: none does. */
static size_t asked_folder(const handout_runner *runner, int writing, const char *path) {
    char text[PATH_MAX], folder[PATH_MAX];
    size_t longest = 0;
    for (entries list = asked(runner, writing ? HANDOUT_WRITE : HANDOUT_READ); next_entry(&list, text, sizeof text);) {
        if (handout_normal_path(runner->program->run_directory, text, folder, sizeof folder) < 0) continue;
        size_t n = covers(folder, path);
        if (n > longest) longest = n;
    }
    return longest;
}

static size_t allowed_folder(const handout_allowed *allowed, int writing, const char *path) {
    size_t longest = 0;
    if (!allowed) return 0;
    for (const char *const *list = allowed_list(allowed, writing ? HANDOUT_WRITE : HANDOUT_READ); list && *list; list++) {
        size_t n = covers(*list, path);
        if (n > longest) longest = n;
    }
    return longest;
}

static int is_kept(const handout_allowed *allowed, const char *path) {
    for (const char *const *list = allowed ? allowed->kept : NULL; list && *list; list++)
        if (covers(*list, path) || covers(path, *list)) return 1;
    return 0;
}

/* The root for the path, or 0: the run allows none. `asked` is the folder that the task asks for. */
static size_t reach_root(const handout_runner *runner, const handout_reach *reach, size_t asked) {
    const handout_allowed *allowed = runner->program->allowed;
    const char *directory = runner->program->run_directory;
    size_t here = covers(directory, reach->path);
    int by_default = allowed && (reach->writing ? asked && allowed->writes_run_directory : allowed->reads_run_directory);
    if (here && by_default && !handout_has_hidden_part(beneath(reach->path, here))) return here;
    size_t folder = asked ? allowed_folder(allowed, reach->writing, reach->path) : 0;
    if (asked && allowed && allowed->all) folder = 1;
    if (!folder) return 0;
    size_t root = folder > asked ? folder : asked;
    return handout_has_hidden_part(beneath(reach->path, root)) ? 0 : root;
}

static _Noreturn void refuse_path(lua_State *L, const char *call, const char *shown, const handout_reach *reach, size_t asked) {
    const char *directory = handout_runner_of(L)->program->run_directory, *verb = reach->writing ? "write" : "read";
    size_t here = covers(directory, reach->path);
    char where[300];
    handout_escape(directory, strlen(directory), 200, where, sizeof where);
    if (here && !asked && handout_has_hidden_part(beneath(reach->path, here)))
        handout_refuse_call(L, "%s: '%s': hidden files and folders are not %s", call, shown, reach->writing ? "written" : "read");
    if (!asked && (reach->writing || here))
        handout_refuse_call(L, "%s: '%s' is not granted: %s asks for it with grant = { %s = { \"%s\" } }", call, shown,
                            asker(handout_runner_of(L)), verb, shown);
    if (!asked)
        handout_refuse_call(L, "%s: '%s' is outside of the run directory '%s' and not granted: %s asks for it with grant = "
                            "{ read = { \"%s\" } }", call, shown, where, asker(handout_runner_of(L)), shown);
    if (handout_has_hidden_part(beneath(reach->path, asked)))
        handout_refuse_call(L, "%s: '%s': hidden files and folders are not %s", call, shown, reach->writing ? "written" : "read");
    handout_refuse_call(L, "%s: '%s' is not allowed by this run: allow it with --allow %s=%s", call, shown, verb, shown);
}

void handout_reach_path(lua_State *L, const char *call, int index, int writing, handout_reach *reach) {
    handout_runner *runner = handout_runner_of(L);
    if (!runner) luaL_error(L, "handout.%s is only there inside a task (while planning: handout.read)", call);
    size_t length;
    const char *path = luaL_checklstring(L, index, &length);
    char shown[300];
    handout_escape(path, length, 200, shown, sizeof shown);
    if (length == 0) luaL_error(L, "%s: the path is empty", call);
    if (strlen(path) != length) luaL_error(L, "%s: '%s': a path has no zero byte", call, shown);
    if (handout_normal_path(runner->program->run_directory, path, reach->path, sizeof reach->path) < 0)
        luaL_error(L, "%s: '%s': the path is too long", call, shown);
    reach->writing = writing;
    size_t asked = asked_folder(runner, writing, reach->path);
    reach->root = reach_root(runner, reach, asked);
    if (!reach->root) refuse_path(L, call, shown, reach, asked);
    if (writing && is_kept(runner->program->allowed, reach->path))
        handout_refuse_call(L, "%s: '%s' is the program's own, or the store's: it is never written", call, shown);
}

/* ---- Opening ---- */

int handout_open_root(const handout_reach *reach, const char **rest) {
    char folder[PATH_MAX];
    size_t n = reach->root;
    memcpy(folder, reach->path, n);
    for (;;) {
        folder[n] = 0;
        int fd = handout_open_folder(folder);
        if (fd >= 0 || n == 1 || (fd != -ENOENT && fd != -ENOTDIR)) {
            *rest = beneath(reach->path, n);
            return fd;
        }
        while (n > 1 && folder[--n] != '/') {} /* a file is what was granted, or it is not there yet */
        if (n == 0) n = 1;
    }
}

int handout_open_reach(const handout_reach *reach, int flags, mode_t mode) {
    const char *rest;
    int root = handout_open_root(reach, &rest);
    if (root < 0) return root;
    int fd = handout_open_beneath(root, rest, flags, mode, !reach->writing);
    if (fd >= 0 && !reach->writing && handout_is_at_hidden_place(root, fd)) {
        close(fd);
        fd = HANDOUT_HIDDEN;
    }
    close(root);
    return fd;
}

int handout_open_parent(const handout_reach *reach, const char **name) {
    const char *rest;
    int root = handout_open_root(reach, &rest);
    if (root < 0) return root;
    const char *slash = strrchr(rest, '/');
    *name = slash ? slash + 1 : rest;
    if (!slash && *rest) return root;
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - rest) : 0, rest);
    int fd = *rest ? handout_open_beneath(root, folder, O_PATH | O_DIRECTORY, 0, 0) : -EISDIR;
    close(root);
    return fd;
}

void handout_raise_file(lua_State *L, const char *call, int index, int error) {
    size_t length;
    const char *path = lua_tolstring(L, index, &length);
    char shown[300];
    handout_escape(path, length, 200, shown, sizeof shown);
    if (error == HANDOUT_HIDDEN) handout_refuse_call(L, "%s: '%s': hidden files and folders are not read", call, shown);
    if (error < 0) error = -error;
    if (error == EXDEV) handout_refuse_call(L, "%s: '%s': %s", call, shown, handout_file_error(error));
    luaL_error(L, "%s: '%s': %s", call, shown, handout_file_error(error));
    abort(); /* luaL_error does not return */
}

/* ---- handout.env ---- */

int handout_call_env(lua_State *L) {
    handout_runner *runner = handout_runner_of(L);
    if (!runner) return luaL_error(L, "handout.env is only there inside a task");
    size_t length;
    const char *name = luaL_checklstring(L, 1, &length);
    luaL_argcheck(L, length > 0 && strlen(name) == length && !strchr(name, '='), 1, "expected the name of a variable");
    handout_need_grant(L, "env", HANDOUT_ENV, name);
    for (size_t i = 0; i < runner->program->secret_count; i++) {
        const handout_secret *secret = &runner->program->secrets[i];
        if (strcmp(secret->name, name) != 0) continue;
        lua_pushlstring(L, secret->value, secret->length);
        return 1;
    }
    lua_pushstring(L, getenv(name)); /* nil where there is none */
    return 1;
}
