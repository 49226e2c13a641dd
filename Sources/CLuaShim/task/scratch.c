/* The folder of an attempt, and the end of what it started. */
#define _GNU_SOURCE
#include "exec.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

handout_job *handout_job_of(lua_State *L, handout_runner *runner) {
    if (!runner->job && !(runner->job = calloc(1, sizeof *runner->job)))
        handout_leave(runner->state, HANDOUT_MEMORY, "no memory left to start programs");
    return runner->job;
}

const char *handout_scratch(lua_State *L, handout_runner *runner) {
    handout_job *job = handout_job_of(L, runner);
    if (job->scratch[0]) return job->scratch;
    const char *above = getenv("TMPDIR");
    if (!above || above[0] != '/') above = "/tmp";
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/handout-%s-XXXXXX", above, runner->program->run_id);
    if (length < 0 || (size_t)length >= sizeof path || !mkdtemp(path))
        luaL_error(L, "a folder for the attempt cannot be made beneath '%s': %s", above, strerror(errno));
    memcpy(job->scratch, path, (size_t)length + 1);
    handout_note_folder(path, 1);
    return job->scratch;
}

static void trim(handout_buffer *buffer) {
    if (buffer->capacity > 65536) handout_buffer_free(buffer);
    buffer->length = 0;
}

void handout_attempt_end(handout_runner *runner) {
    handout_job *job = runner->job;
    if (!job) return;
    if (job->scratch[0]) {
        handout_remove_tree(job->scratch);
        handout_note_folder(job->scratch, 0);
    }
    job->scratch[0] = 0;
    trim(&job->out);
    trim(&job->err);
    trim(&job->text);
}

void handout_job_free(handout_runner *runner) {
    handout_job *job = runner->job;
    if (!job) return;
    handout_attempt_end(runner);
    handout_buffer *buffers[] = {&job->text, &job->words, &job->variables, &job->out, &job->err, &job->pointers};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) handout_buffer_free(buffers[i]);
    free(job);
    runner->job = NULL;
}
