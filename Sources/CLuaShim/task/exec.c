/* handout.exec: its arguments, and what it gives. */
#define _GNU_SOURCE
#include "exec.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_TEXT = 2 << 20, SHOWN_ERRORS = 2048 };

/* ---- Words and variables ---- */

/* Adds a text; returns its position. */
static uint32_t add_text(lua_State *L, handout_job *job, const char *a, size_t a_length, const char *b, size_t b_length) {
    uint32_t position = (uint32_t)job->text.length;
    if (job->text.length + a_length + b_length + 1 > MOST_TEXT)
        luaL_error(L, "exec: words and variables are larger than 2 MiB: use stdin or a file");
    if (handout_buffer_append(&job->text, a, a_length) || handout_buffer_append(&job->text, b, b_length) ||
        handout_buffer_append(&job->text, "", 1))
        handout_leave(handout_of(L), HANDOUT_MEMORY, "no memory left for the words of a program");
    return position;
}

static void add_position(lua_State *L, handout_buffer *list, uint32_t position) {
    if (handout_buffer_append(list, &position, sizeof position))
        handout_leave(handout_of(L), HANDOUT_MEMORY, "no memory left for the words of a program");
}

/* The string or number at the top, without zero bytes. `what` is for the message. */
static const char *checked_text(lua_State *L, const char *what, size_t *length) {
    int type = lua_type(L, -1);
    if (type != LUA_TSTRING && type != LUA_TNUMBER) {
        char shown[100];
        handout_describe(L, -1, shown, sizeof shown);
        luaL_error(L, "exec: %s: expected a string or a number, got %s", what, shown);
    }
    if (type == LUA_TNUMBER) lua_pushvalue(L, -1), lua_tolstring(L, -1, NULL), lua_replace(L, -2);
    const char *text = lua_tolstring(L, -1, length);
    if (strlen(text) != *length) luaL_error(L, "exec: %s: a zero byte", what);
    return text;
}

static void set_variable(lua_State *L, handout_job *job, const char *name, const char *value, size_t value_length) {
    size_t n = strlen(name);
    char start[300];
    if (n + 2 > sizeof start) luaL_error(L, "exec: env: a name of more than 298 bytes");
    snprintf(start, sizeof start, "%s=", name);
    uint32_t position = add_text(L, job, start, n + 1, value, value_length);
    uint32_t *all = (uint32_t *)(void *)job->variables.data;
    for (size_t i = 0; i < job->variables.length / sizeof *all; i++)
        if (strncmp((const char *)job->text.data + all[i], start, n + 1) == 0) {
            all[i] = position;
            return;
        }
    add_position(L, &job->variables, position);
}

static void inherit(lua_State *L, handout_job *job, const char *name) {
    const char *value = getenv(name);
    if (value) set_variable(L, job, name, value, strlen(value));
}

typedef struct granting {
    lua_State *L;
    handout_job *job;
    const handout_program *program;
} granting;

static void give_variable(void *context, const char *name) {
    granting *to = context;
    for (size_t i = 0; i < to->program->secret_count; i++)
        if (strcmp(to->program->secrets[i].name, name) == 0) {
            const handout_secret *secret = &to->program->secrets[i];
            set_variable(to->L, to->job, name, secret->value, strnlen(secret->value, secret->length));
            return;
        }
    inherit(to->L, to->job, name);
}

/* CUDA_VISIBLE_DEVICES: the GPUs that the attempt holds, and no others. */
static void show_devices(lua_State *L, handout_runner *runner, handout_job *job) {
    const handout_claim *claim = runner->item->claim;
    char devices[1024];
    size_t used = 0;
    for (uint32_t i = 0; claim && i < claim->index_count; i++) {
        if (strcmp(claim->indices[i].resource, "gpu") != 0) continue;
        int n = snprintf(devices + used, sizeof devices - used, "%s%s", used ? "," : "", claim->indices[i].name);
        if (n < 0 || used + (size_t)n >= sizeof devices) luaL_error(L, "exec: too many GPUs to be named");
        used += (size_t)n;
    }
    if (used) set_variable(L, job, "CUDA_VISIBLE_DEVICES", devices, used);
}

/* The environment: little of ours, what the task was granted, what it sets itself (a table at `index`, or none). */
static void fill_environment(lua_State *L, handout_runner *runner, handout_job *job, int index) {
    const char *scratch = handout_scratch(L, runner);
    char threads[24];
    uint64_t cores = runner->item->cpu / 10000;
    snprintf(threads, sizeof threads, "%llu", (unsigned long long)(cores ? cores : 1));
    inherit(L, job, "PATH");
    inherit(L, job, "HOME");
    inherit(L, job, "LANG");
    set_variable(L, job, "TMPDIR", scratch, strlen(scratch));
    set_variable(L, job, "OMP_NUM_THREADS", threads, strlen(threads));
    show_devices(L, runner, job);
    granting to = {L, job, runner->program};
    handout_each_granted(runner, HANDOUT_ENV, give_variable, &to);
    if (!index) return;
    if (lua_type(L, index) != LUA_TTABLE) luaL_error(L, "exec: env: expected a table of names and values");
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        size_t length;
        handout_check(runner->state); /* each is compared with those before it */
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : "";
        if (!*name || strlen(name) != length || strchr(name, '=')) luaL_error(L, "exec: env: expected names of variables as keys");
        const char *value = checked_text(L, "env", &length);
        set_variable(L, job, name, value, length);
    }
}

/* ---- Programs ---- */

static int is_program(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

/* Finds the program of a word. Returns 0; -1 when there is none. */
static int find_program(const handout_runner *runner, const char *word, char *path, size_t size) {
    if (strchr(word, '/'))
        return handout_normal_path(runner->program->run_directory, word, path, size) >= 0 && is_program(path) ? 0 : -1;
    const char *folders = getenv("PATH");
    if (!folders || !*folders) folders = "/usr/local/bin:/usr/bin:/bin";
    for (const char *folder = folders; *folder;) {
        size_t n = strcspn(folder, ":");
        /* A relative folder would be another one for each task. */
        if (folder[0] == '/' && snprintf(path, size, "%.*s/%s", (int)n, folder, word) < (int)size && is_program(path)) return 0;
        folder += n + (folder[n] == ':');
    }
    return -1;
}

/* Adds the part whose words are in the table at `index`, from 1. */
static void add_part(lua_State *L, handout_runner *runner, handout_job *job, int index) {
    if (job->part_count == HANDOUT_MOST_PARTS) luaL_error(L, "exec: a pipeline has at most %d parts", HANDOUT_MOST_PARTS);
    handout_part *part = &job->parts[job->part_count];
    part->first = (uint32_t)(job->words.length / sizeof(uint32_t));
    part->count = (uint32_t)lua_rawlen(L, index);
    if (part->count == 0) luaL_error(L, "exec: expected a program and its arguments, got none");
    for (uint32_t i = 1; i <= part->count; i++) {
        char what[40];
        size_t length;
        if ((i & 0xFFF) == 0) handout_check(runner->state);
        snprintf(what, sizeof what, "argument %u", i - 1);
        lua_rawgeti(L, index, i);
        const char *word = checked_text(L, i == 1 ? "program" : what, &length);
        add_position(L, &job->words, add_text(L, job, word, length, "", 0));
        lua_pop(L, 1);
    }
    const char *name = (const char *)job->text.data + ((uint32_t *)(void *)job->words.data)[part->first];
    if (!*name) luaL_error(L, "exec: the program's name is empty");
    handout_need_grant(L, "exec", HANDOUT_EXEC, name);
    if (find_program(runner, name, part->path, sizeof part->path)) {
        char shown[300];
        handout_escape(name, strlen(name), 200, shown, sizeof shown);
        if (strchr(name, '/')) luaL_error(L, "exec: '%s' is no program", shown);
        luaL_error(L, "exec: '%s' was not found in PATH", shown);
    }
    job->part_count++;
}

static void add_parts(lua_State *L, handout_runner *runner, handout_job *job) {
    if (lua_rawgeti(L, 1, 1) != LUA_TTABLE) {
        lua_pop(L, 1);
        add_part(L, runner, job, 1);
        return;
    }
    lua_pop(L, 1);
    lua_Integer count = (lua_Integer)lua_rawlen(L, 1);
    for (lua_Integer i = 1; i <= count; i++) {
        if (lua_rawgeti(L, 1, i) != LUA_TTABLE) luaL_error(L, "exec: part %d of the pipeline: expected a table of words", (int)i);
        add_part(L, runner, job, lua_gettop(L));
        lua_pop(L, 1);
    }
}

/* ---- Options ---- */

static const char *const names[] = {"stdin", "stdin_file", "stdout", "stderr", "env", "cwd", "timeout", "check", NULL};
enum { STDIN = 2, STDIN_FILE, STDOUT, STDERR, ENV, CWD, TIMEOUT, CHECK }; /* stack slots of their values */

/* Puts the values of the options to their slots; the list part stays in the table. */
static void take_options(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, CHECK);
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        if (lua_isinteger(L, -2)) continue;
        size_t length = 0;
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : "";
        int slot = 0;
        for (int i = 0; names[i]; i++)
            if (strcmp(names[i], key) == 0) slot = STDIN + i;
        if (slot) {
            lua_pushvalue(L, -1);
            lua_replace(L, slot);
            continue;
        }
        char shown[100];
        handout_describe(L, -2, shown, sizeof shown);
        const char *near = handout_nearest(key, length, names);
        if (near) luaL_error(L, "exec: unknown option %s (did you mean '%s'?)", shown, near);
        luaL_error(L, "exec: unknown option %s", shown);
    }
}

static void take_file(lua_State *L, const char *call, int slot, int writing, handout_reach *reach) {
    reach->path[0] = 0;
    if (lua_isnil(L, slot)) return;
    if (lua_type(L, slot) != LUA_TSTRING) luaL_error(L, "%s: expected a path", call);
    handout_reach_path(L, call, slot, writing, reach);
}

static void read_options(lua_State *L, handout_runner *runner, handout_job *job) {
    char error[200];
    if (!lua_isnil(L, STDIN) && lua_type(L, STDIN) != LUA_TSTRING) luaL_error(L, "exec: stdin: expected a string");
    if (!lua_isnil(L, STDIN) && !lua_isnil(L, STDIN_FILE)) luaL_error(L, "exec: stdin and stdin_file: expected one of them");
    job->input = lua_tolstring(L, STDIN, &job->input_length);
    take_file(L, "exec: stdin_file", STDIN_FILE, 0, &job->input_file);
    take_file(L, "exec: stdout", STDOUT, 1, &job->out_file);
    take_file(L, "exec: stderr", STDERR, 1, &job->err_file);
    job->timeout = 0;
    if (!lua_isnil(L, TIMEOUT) && handout_parse_duration(L, TIMEOUT, &job->timeout, error, sizeof error))
        luaL_error(L, "exec: timeout: %s", error);
    if (!lua_isnil(L, CHECK) && lua_type(L, CHECK) != LUA_TBOOLEAN) luaL_error(L, "exec: check: expected true or false");
    job->check = lua_isnil(L, CHECK) || lua_toboolean(L, CHECK);
    const char *directory = ".";
    if (!lua_isnil(L, CWD)) {
        size_t length;
        lua_pushvalue(L, CWD);
        directory = checked_text(L, "cwd", &length);
        lua_pop(L, 1);
    }
    if (handout_normal_path(runner->program->run_directory, directory, job->directory, sizeof job->directory) < 0)
        luaL_error(L, "exec: cwd: the path is too long");
}

/* ---- What came of it ---- */

static const char *part_name(const handout_job *job, const handout_part *part) {
    return (const char *)job->text.data + ((const uint32_t *)(const void *)job->words.data)[part->first];
}

/* As a shell has it: 128 and the signal where one ended it. */
static int code_of(const handout_part *part) {
    return WIFSIGNALED(part->status) ? 128 + WTERMSIG(part->status) : WEXITSTATUS(part->status);
}

/* The part that decides: the last one that failed, else the last. */
static const handout_part *deciding(const handout_job *job) {
    for (uint32_t i = job->part_count; i > 0; i--)
        if (job->parts[i - 1].status != 0) return &job->parts[i - 1];
    return &job->parts[job->part_count - 1];
}

static int raise_failed(lua_State *L, const handout_job *job, const handout_part *part) {
    const char *text = job->err.length ? (const char *)job->err.data : "";
    size_t length = job->err.length;
    char shown[300];
    handout_escape(part_name(job, part), strlen(part_name(job, part)), 200, shown, sizeof shown);
    while (length > 0 && text[length - 1] == '\n') length--;
    if (length > SHOWN_ERRORS) text += length - SHOWN_ERRORS, length = SHOWN_ERRORS;
    luaL_where(L, 1);
    if (WIFSIGNALED(part->status)) lua_pushfstring(L, "exec: '%s' was ended by signal %d", shown, WTERMSIG(part->status));
    else lua_pushfstring(L, "exec: '%s' exited %d", shown, WEXITSTATUS(part->status));
    lua_pushstring(L, length ? ": " : "");
    lua_pushlstring(L, text, length);
    lua_concat(L, 4);
    return lua_error(L);
}

static void set_output(lua_State *L, const char *field, const handout_buffer *bytes, const handout_reach *file) {
    if (file->path[0]) return;
    lua_pushlstring(L, bytes->length ? (const char *)bytes->data : "", bytes->length);
    lua_setfield(L, -2, field);
}

static int push_result(lua_State *L, const handout_job *job) {
    const handout_part *part = deciding(job);
    lua_createtable(L, 0, 6);
    lua_pushinteger(L, code_of(part));
    lua_setfield(L, -2, "code");
    if (WIFSIGNALED(part->status)) {
        lua_pushinteger(L, WTERMSIG(part->status));
        lua_setfield(L, -2, "signal");
    }
    set_output(L, "stdout", &job->out, &job->out_file);
    set_output(L, "stderr", &job->err, &job->err_file);
    lua_pushnumber(L, job->seconds);
    lua_setfield(L, -2, "seconds");
    if (job->part_count == 1) return 1;
    lua_createtable(L, (int)job->part_count, 0);
    for (uint32_t i = 0; i < job->part_count; i++) {
        lua_pushinteger(L, code_of(&job->parts[i]));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "codes");
    return 1;
}

static int raise_not_run(lua_State *L, const handout_job *job, enum handout_job_end end, const char *what, int error) {
    char shown[300];
    const char *name = part_name(job, &job->parts[0]);
    handout_escape(name, strlen(name), 200, shown, sizeof shown);
    if (end == HANDOUT_JOB_LATE) return luaL_error(L, "exec: '%s' ran longer than %f s (timeout)", shown, (double)job->timeout / 1e9);
    if (what && (strcmp(what, "stdin") == 0 || strcmp(what, "stdout") == 0 || strcmp(what, "stderr") == 0))
        return luaL_error(L, "exec: %s: %s", what, handout_file_error(error));
    handout_escape(what ? what : name, strlen(what ? what : name), 200, shown, sizeof shown);
    return luaL_error(L, "exec: '%s' cannot be started in '%s': %s", shown, job->directory, strerror(error));
}

int handout_call_exec(lua_State *L) {
    handout_runner *runner = handout_runner_of(L);
    if (!runner) return luaL_error(L, "handout.exec is only there inside a task");
    handout_state *state = runner->state;
    handout_job *job = handout_job_of(L, runner);
    take_options(L);
    job->text.length = job->words.length = job->variables.length = 0;
    job->part_count = 0;
    add_parts(L, runner, job);
    read_options(L, runner, job);
    fill_environment(L, runner, job, lua_isnil(L, ENV) ? 0 : ENV);
    const char *what = NULL;
    int error = 0;
    size_t room = state->limit > state->used ? state->limit - state->used : 0;
    enum handout_job_end end = handout_run_job(state, job, state->limit ? room : SIZE_MAX, &what, &error);
    handout_check(state);
    if (end == HANDOUT_JOB_FULL) handout_leave(state, HANDOUT_MEMORY, NULL);
    if (end != HANDOUT_JOB_DONE) return raise_not_run(L, job, end, what, error);
    if (job->check && deciding(job)->status != 0) return raise_failed(L, job, deciding(job));
    return push_result(L, job);
}
