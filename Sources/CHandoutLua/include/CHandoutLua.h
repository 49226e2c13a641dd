/* Lua files that are part of the program. They lie in the folder lua/ and are embedded when this is compiled. */
#ifndef C_HANDOUT_LUA_H
#define C_HANDOUT_LUA_H

#include <stddef.h>

typedef struct handout_embedded {
    const char *name; /* where a new project has it, or the module's name */
    const char *text; /* not ended by a zero byte */
    size_t length;
} handout_embedded;

/* The modules of the pure-Lua edition: "handout", "handout.test". NULL past the end. */
const handout_embedded *handout_embedded_module(size_t index);

/* The files of a new project, by path. NULL past the end. */
const handout_embedded *handout_embedded_project_file(size_t index);

#endif
