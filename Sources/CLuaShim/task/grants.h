/* What a task asked for and its run allows. Internal to the shim. */
#ifndef HANDOUT_GRANTS_H
#define HANDOUT_GRANTS_H

#include "files.h"
#include "task.h"
#include <limits.h>

enum handout_granting { HANDOUT_EXEC, HANDOUT_READ, HANDOUT_WRITE, HANDOUT_ENV, HANDOUT_HOST };

/* Raises, with the place, in a way that is never retried. */
_Noreturn void handout_refuse_call(lua_State *L, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Raises where the task did not ask for `name` or the run does not allow it; `call` is for the message. Of kinds whose
 * entries are names. */
void handout_need_grant(lua_State *L, const char *call, enum handout_granting kind, const char *name);
/* Calls `body` for each entry of that kind that the task asks for and the run allows. */
void handout_each_granted(const handout_runner *runner, enum handout_granting kind, void (*body)(void *context, const char *name),
                          void *context);

/* A path that the running task may read or write. */
typedef struct handout_reach {
    char path[PATH_MAX]; /* absolute, normal */
    size_t root;         /* its first bytes: the folder that nothing may lead out of */
    int writing;
} handout_reach;

/* The path at stack `index`. Raises, as `CALL: 'path': ...`, where the task may not. */
void handout_reach_path(lua_State *L, const char *call, int index, int writing, handout_reach *reach);
/* Opens it. Returns a descriptor or minus an errno (HANDOUT_HIDDEN: a link led to a hidden place). Nothing may call Lua
 * while it is open. */
int handout_open_reach(const handout_reach *reach, int flags, mode_t mode);
/* Opens the folder that it is in, and gives its last part; -ENOENT where that folder is missing. */
int handout_open_parent(const handout_reach *reach, const char **name);
/* Opens the folder that nothing leads out of, or where it does not exist one above it; `*rest` is the path beneath it. */
int handout_open_root(const handout_reach *reach, const char **rest);
enum { HANDOUT_HIDDEN = -10001 };
/* Raises what an error number, or minus one, says of the path at stack `index`. */
_Noreturn void handout_raise_file(lua_State *L, const char *call, int index, int error);

/* grants.c */
int handout_call_env(lua_State *L);
/* exec.c */
int handout_call_exec(lua_State *L);
/* scratch.c: the folder of the attempt, made when first asked for. Raises where it cannot be made. */
const char *handout_scratch(lua_State *L, handout_runner *runner);

#endif
