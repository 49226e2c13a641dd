/* Memory that a supervisor writes and its runner processes read, at the same address in all of them. Internal to the shim. */
#ifndef HANDOUT_SHARED_H
#define HANDOUT_SHARED_H

#include "handout_process.h"

/* A descriptor of its file that can only be read, whatever is done with it. */
int handout_shared_file(const handout_shared *shared);
void *handout_shared_base(const handout_shared *shared);
size_t handout_shared_size(const handout_shared *shared);

/* In a runner: maps the file read-only where the supervisor has it. Returns 0, or an errno. */
int handout_shared_attach(int file, void *base, size_t size);

#endif
