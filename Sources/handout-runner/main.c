/* The process in which tasks run that must be killable: started by a supervisor, never by hand. */
#include "handout_process.h"

int main(void) { return handout_runner_main(); }
