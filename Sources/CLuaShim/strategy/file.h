/* A file that is run for something other than a graph. Internal to the shim. */
#ifndef HANDOUT_FILE_H
#define HANDOUT_FILE_H

#include "handout_files.h"
#include "plan.h"

typedef struct handout_file {
    const handout_file_config *config;
    handout_state *state;
    handout_recorder recorder;
    int ended; /* enum handout_ended */
} handout_file;

/* Makes the state; nothing runs yet. Returns 0, or -1 when memory is exhausted. */
int handout_file_open(handout_file *file, const handout_file_config *config, enum handout_purpose purpose);
/* Runs the file, then `body`, in one protected entry; the value that the file returned is at the top then. Problems are
 * in the recorder. Where `ended` is a limit, the state is dead. */
void handout_file_run(handout_file *file, void (*body)(lua_State *L, handout_file *file, void *data), void *data);
/* Takes what was refused. */
void handout_file_problems(handout_file *file, handout_problems *problems);
/* Frees state and recorder. */
void handout_file_close(handout_file *file);

/* ---- Fields of tables (fields.c) ----
 *
 * `who` names the table in messages: "worker 'gpu'". Each refuses, as `WHO: field 'NAME': expected ..., got ...`, and returns
 * 0 or -1; the value is at the top, and stays there. */

void handout_refuse_field(lua_State *L, handout_recorder *recorder, const char *who, const char *name, const char *expected);
/* A number from 0 to 1e9, in 1/10 000. */
int handout_field_amount(lua_State *L, handout_recorder *recorder, const char *who, const char *name, uint64_t *amount);
/* 0 bytes or at least 1 MiB. */
int handout_field_memory(lua_State *L, handout_recorder *recorder, const char *who, const char *name, uint64_t *bytes);
int handout_field_duration(lua_State *L, handout_recorder *recorder, const char *who, const char *name, uint64_t *nanoseconds);
/* A size with "/s" behind it, or bytes a second; above 0. */
int handout_field_rate(lua_State *L, handout_recorder *recorder, const char *who, const char *name, uint64_t *rate);
/* A string without zero bytes that is not empty; `expected` says what it is. Returns NULL when it was refused. */
const char *handout_field_text(lua_State *L, handout_recorder *recorder, const char *who, const char *name, const char *expected);
int handout_is_resource_name(const char *name, size_t length);
/* Whether the key under the value at the top is a resource's name that is no field of its own; else it is refused. */
const char *handout_field_resource(lua_State *L, handout_recorder *recorder, const char *who, const char *name);
/* Refuses the keys of the table at `table` that are none of `names`, in one order; keys 1 to `positions` are known too. */
void handout_refuse_unknown_fields(lua_State *L, handout_recorder *recorder, const char *who, int table,
                                   const char *const *names, lua_Integer positions);
/* A copy of the text that is freed with the list. */
char *handout_keep_text(lua_State *L, handout_vector *texts, const char *text, size_t length);

#endif
