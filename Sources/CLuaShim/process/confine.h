/* What a runner gives up before it runs a line of a script. Internal to the shim. */
#ifndef HANDOUT_CONFINE_H
#define HANDOUT_CONFINE_H

#include "handout_process.h"

/* Limits of the process: no core files, no files written, and so many bytes of addresses beside those in use now; 0: as many as
 * there are. Where sanitizers hold addresses themselves nothing is limited. Returns 0, or an errno. */
int handout_limit_process(uint64_t bytes);
/* From now on every thread of the process may read and write descriptor 0, write 2, wait, tell the time, signal itself and have
 * memory; any other system call ends the process. Cannot be undone. Returns 0, or an errno. */
int handout_confine_calls(void);

#endif
