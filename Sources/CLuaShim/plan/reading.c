/* What a script reads while it is planned: handout.read and handout.glob.
 *
 * Each call is recorded with what it gave, and gives the same again: later in the same plan, and wherever the script is
 * run once more. */
#include "files.h"
#include "plan.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_READ = 16 << 20, MOST_RECORDED = 64 << 20 };

void handout_free_recordings(handout_recording *recordings, size_t count) {
    for (size_t i = 0; i < count; i++) {
        free((char *)recordings[i].argument);
        free((uint8_t *)recordings[i].result);
    }
    free(recordings);
}

/* ---- Recordings ---- */

static const handout_recording *find(const handout_recorder *recorder, const char *call, const char *argument) {
    int again = recorder->tables != NULL;
    const handout_recording *all = again ? recorder->given : (const handout_recording *)(void *)recorder->recordings.data;
    size_t count = again ? recorder->given_count : recorder->recordings.count;
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].argument, argument) == 0 && strcmp(all[i].call, call) == 0) return &all[i];
    return NULL;
}

static void record(lua_State *L, handout_recorder *recorder, const char *call, const char *argument) {
    handout_codec *codec = &recorder->state->codec;
    codec->out.length = 0;
    codec->out.limit = 0;
    handout_encode(L, codec, -1, call, "cannot be recorded");
    size_t bytes = 0;
    for (size_t i = 0; i < recorder->recordings.count; i++)
        bytes += ((handout_recording *)(void *)recorder->recordings.data)[i].length;
    if (bytes + codec->out.length > MOST_RECORDED)
        luaL_error(L, "%s: more than 64 MiB were read while planning: read them in tasks", call);
    handout_count_columns(L, recorder, codec->out.length + strlen(argument) + sizeof(handout_recording));
    handout_recording *added = handout_vector_add(&recorder->recordings);
    if (!added) handout_exhausted(L);
    *added = (handout_recording){.call = call, .argument = strdup(argument), .result = malloc(codec->out.length + 1)};
    if (!added->argument || !added->result) {
        free((char *)added->argument);
        free((uint8_t *)added->result);
        recorder->recordings.count--;
        handout_exhausted(L);
    }
    memcpy((uint8_t *)added->result, codec->out.data, codec->out.length);
    added->length = codec->out.length;
}

/* Gives what was recorded; 0 when nothing was. Raises what the call raised. */
static int replay(lua_State *L, const handout_recorder *recorder, const char *call, const char *argument) {
    const handout_recording *found = find(recorder, call, argument);
    if (!found) return 0;
    handout_decode(L, found->result, found->result + found->length);
    if (lua_type(L, -1) == LUA_TTABLE && lua_getfield(L, -1, "error") == LUA_TSTRING) luaL_error(L, "%s", lua_tostring(L, -1));
    if (lua_type(L, -1) == LUA_TNIL && lua_type(L, -2) == LUA_TTABLE) lua_pop(L, 1);
    return 1;
}

/* Records that the call raised, and raises. */
static int fail(lua_State *L, handout_recorder *recorder, const char *call, const char *argument, const char *why) {
    char shown[300];
    handout_escape(argument, strlen(argument), 200, shown, sizeof shown);
    lua_createtable(L, 0, 1);
    lua_pushfstring(L, "%s: '%s': %s", call, shown, why);
    lua_setfield(L, -2, "error");
    record(L, recorder, call, argument);
    lua_getfield(L, -1, "error");
    return luaL_error(L, "%s", lua_tostring(L, -1));
}

/* ---- The calls ---- */

/* Checks the argument, and gives what was recorded for it: then 1, with the result at the top. `path` gets what lies
 * beneath the run directory. */
static int begin(lua_State *L, handout_recorder *recorder, const char *call, char *path, size_t size) {
    char full[40];
    snprintf(full, sizeof full, "handout.%s", call);
    handout_only_planning(L, full);
    size_t length;
    const char *argument = luaL_checklstring(L, 1, &length);
    luaL_argcheck(L, length > 0 && strlen(argument) == length, 1, "expected a path: not empty, without zero bytes");
    lua_settop(L, 1);
    if (replay(L, recorder, call, argument)) return 1;
    if (recorder->tables) luaL_error(L, "%s: '%s' was not read when the script was planned", call, argument);
    if (!recorder->run_directory) luaL_error(L, "%s: there is no run directory", call);
    char whole[PATH_MAX];
    const char *root = recorder->run_directory;
    size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);
    ssize_t all = handout_normal_path(root, argument, whole, sizeof whole);
    if (all < 0) fail(L, recorder, call, argument, "the path is too long");
    if (strncmp(whole, root, n) != 0 || (whole[n] != '/' && whole[n] != 0))
        fail(L, recorder, call, argument, "is outside of the run directory");
    const char *rest = whole + n + (whole[n] == '/');
    if (handout_has_hidden_part(rest)) fail(L, recorder, call, argument, "hidden files and folders are not read");
    snprintf(path, size, "%s", rest);
    return 0;
}

int handout_module_read(lua_State *L) {
    handout_recorder *recorder = handout_recorder_of(L);
    char path[PATH_MAX];
    if (begin(L, recorder, "read", path, sizeof path)) return 1;
    handout_state *state = recorder->state;
    const char *argument = lua_tostring(L, 1), *wrong = NULL;
    int root = handout_open_folder(recorder->run_directory), fd = root < 0 ? root : handout_open_beneath(root, path, O_RDONLY, 0, 1);
    if (fd < 0) {
        wrong = handout_file_error(-fd);
    } else if (handout_is_at_hidden_place(root, fd)) {
        wrong = "hidden files and folders are not read";
        close(fd);
    } else {
        wrong = handout_read_descriptor(state, fd, 0, MOST_READ + 1, MOST_READ + 1);
        if (!wrong && state->scratch.length > MOST_READ) wrong = "is larger than 16 MiB: read it in a task";
    }
    if (root >= 0) close(root);
    handout_check(state);
    if (wrong) return fail(L, recorder, "read", argument, wrong);
    lua_pushlstring(L, state->scratch.length ? (const char *)state->scratch.data : "", state->scratch.length);
    record(L, recorder, "read", argument);
    return 1;
}

int handout_module_glob(lua_State *L) {
    handout_recorder *recorder = handout_recorder_of(L);
    char pattern[PATH_MAX];
    if (begin(L, recorder, "glob", pattern, sizeof pattern)) return 1;
    handout_state *state = recorder->state;
    const char *argument = lua_tostring(L, 1), *wrong = NULL;
    handout_names names = {0};
    int root = handout_open_folder(recorder->run_directory);
    if (root < 0) wrong = handout_file_error(-root);
    else {
        wrong = handout_glob(state, root, pattern, &names);
        close(root);
    }
    handout_check(state);
    if (wrong) return fail(L, recorder, "glob", argument, wrong);
    handout_push_names(L, &names, "");
    record(L, recorder, "glob", argument);
    return 1;
}
