/* Runs files that give something other than a graph: the sandbox of planning, with a purpose of its own. */
#include "file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int handout_file_open(handout_file *file, const handout_file_config *config, enum handout_purpose purpose) {
    const handout_program *program = config->program;
    file->config = config;
    file->ended = HANDOUT_OK;
    file->state = handout_state_new(config->memory, config->host, config->slot);
    if (!file->state) return -1;
    handout_recorder_init(&file->recorder, file->state, config->host);
    file->recorder.purpose = purpose;
    file->recorder.parameters = program->parameters;
    file->recorder.parameter_count = program->parameter_count;
    file->recorder.given = program->recordings;
    file->recorder.given_count = program->recording_count;
    file->state->planning = 1;
    file->state->no_script = 1;
    file->state->random_seed = program->seed;
    return 0;
}

typedef struct running {
    handout_file *file;
    void (*body)(lua_State *L, handout_file *file, void *data);
    void *data;
} running;

static int run_protected(lua_State *L) {
    running *now = lua_touserdata(L, 1);
    handout_file *file = now->file;
    const handout_program *program = file->config->program;
    handout_recorder_open(L, &file->recorder);
    handout_use_planning_libraries(file->state, 1);
    handout_open_globals(file->state, 1);
    handout_recorder_load(L, &file->recorder, program->source, program->source_length, program->chunk_name);
    lua_call(L, 0, 1);
    now->body(L, file, now->data);
    return 0;
}

static void add_limit_error(handout_file *file) {
    const handout_file_config *config = file->config;
    const char *code = file->ended == HANDOUT_TIMEOUT ? "timeout" : file->ended == HANDOUT_MEMORY ? "memory" : "cancelled";
    char text[200];
    if (file->ended == HANDOUT_TIMEOUT) snprintf(text, sizeof text, "the file ran longer than %g s", (double)config->time / 1e9);
    else if (file->ended == HANDOUT_MEMORY)
        snprintf(text, sizeof text, "the file needed more than %g MiB of memory", (double)config->memory / 1048576);
    else snprintf(text, sizeof text, "the file was interrupted");
    handout_add_script_error(&file->recorder, code, text, strlen(text), config->program->chunk_name);
}

static void add_error(lua_State *L, handout_file *file) {
    size_t length = 5;
    const char *text = lua_tolstring(L, -1, &length);
    file->ended = HANDOUT_ERROR;
    handout_add_script_error(&file->recorder, file->recorder.bad_syntax ? "syntax" : "script", text ? text : "error", length,
                             file->config->program->chunk_name);
}

void handout_file_run(handout_file *file, void (*body)(lua_State *L, handout_file *file, void *data), void *data) {
    handout_state *state = file->state;
    running now = {file, body, data};
    int reason = setjmp(state->entry);
    if (reason != 0) {
        file->ended = reason;
        add_limit_error(file);
        handout_deadline_end(file->config->slot);
        return;
    }
    handout_enter(state);
    handout_deadline_begin(file->config->slot, state, file->config->time);
    lua_State *L = state->L;
    lua_pushcfunction(L, handout_script_message);
    lua_pushcfunction(L, run_protected);
    lua_pushlightuserdata(L, &now);
    if (lua_pcall(L, 1, 0, 1) != LUA_OK) add_error(L, file);
    lua_settop(L, 0);
    handout_deadline_end(file->config->slot);
    handout_exit(state);
}

void handout_file_problems(handout_file *file, handout_problems *problems) {
    handout_vector *errors = &file->recorder.errors;
    *problems = (handout_problems){(handout_plan_error *)errors->data, (uint32_t)errors->count, file->recorder.errors_left_out};
    *errors = (handout_vector){.size = errors->size};
}

void handout_problems_free(handout_problems *problems) {
    for (uint32_t i = 0; i < problems->count; i++) free(problems->list[i].message), free(problems->list[i].file);
    free(problems->list);
    *problems = (handout_problems){0};
}

void handout_file_close(handout_file *file) {
    if (!file->state) return;
    handout_recorder_free(&file->recorder);
    handout_state_free(file->state);
    file->state = NULL;
}
