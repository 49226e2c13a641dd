/* The task loop: a state claims the items of its slot's lease one after the other and runs them. */
#include "arguments.h"
#include "remote.h"
#include "task.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char HANDOUT_KEY_INSTANCES;

enum { HANDLER = HANDOUT_HANDLER, INSTANCES = HANDOUT_INSTANCES, MAX_MESSAGE = 65536 };

/* ---- The script, in template mode ---- */

void handout_task_side(handout_state *state, int planning) {
    handout_runner *runner = state->task;
    handout_use_planning_libraries(state, planning);
    handout_open_globals(state, planning);
    state->planning = planning;
    /* Each side goes on with its own sequence of random numbers. */
    uint64_t *leaves = planning ? runner->task_random : runner->script_random;
    const uint64_t *comes = planning ? runner->script_random : runner->task_random;
    memcpy(leaves, state->random, sizeof state->random);
    *(planning ? &runner->task_random_seeded : &runner->script_random_seeded) = state->random_seeded;
    memcpy(state->random, comes, sizeof state->random);
    state->random_seeded = planning ? runner->script_random_seeded : runner->task_random_seeded;
    state->random_stream = 0;
    state->random_seed = runner->program->seed;
}

static void start_script(lua_State *L, handout_runner *runner) {
    const handout_program *program = runner->program;
    lua_State *script = lua_newthread(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, runner); /* anchors the coroutine */
    runner->script = script;
    runner->state->random_seeded = 0; /* it may have run before */
    handout_recorder_load(L, &runner->recorder, program->source, program->source_length, program->chunk_name);
    lua_xmove(L, script, 1);
}

static void drop_script(lua_State *L, handout_runner *runner) {
    runner->script = NULL;
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, runner);
    runner->script_done = 1;
}

static void end_script(lua_State *L, handout_runner *runner) {
    handout_recorder_finish_templates(L, &runner->recorder);
    drop_script(L, runner);
    if (runner->program->user_globals) handout_take_snapshots(L, runner);
}

/* The row whose own function is the first of that class: until there calls of the script need no look. 0 when it is
 * the class of captured functions only, or when several graphs count rows. */
static uint32_t first_row(const handout_runner *runner, uint32_t class) {
    const handout_tables *tables = runner->tables;
    if (class == HANDOUT_NONE || runner->recorder.graphs.count > 1) return 0;
    for (uint32_t row = 0; row < tables->count; row++)
        if (tables->classes[row] == class) return row;
    return 0;
}

/* Runs the script on until it has shown that class, or to its end. Raises what the script raises. */
static void run_script(lua_State *L, handout_runner *runner, uint32_t class) {
    handout_state *state = runner->state;
    int results, first = runner->script == NULL;
    handout_task_side(state, 1);
    if (first) start_script(L, runner);
    runner->recorder.wanted = runner->program->user_globals ? HANDOUT_NONE : class;
    runner->recorder.first_row = first_row(runner, class);
    lua_State *script = runner->script;
    state->running = script;
    state->script = script;
    int status = lua_resume(script, L, first ? 0 : 1, &results);
    state->script = NULL;
    state->running = L;
    handout_check(state);
    if (status != LUA_OK && status != LUA_YIELD) { /* whoever needs it next runs it from its start, and is told the same */
        lua_xmove(script, L, 1);
        drop_script(L, runner);
        runner->script_done = 0;
        handout_task_side(state, 0);
        lua_error(L);
    }
    if (status == LUA_OK) end_script(L, runner);
    else if (runner->recorder.missing == 0) drop_script(L, runner); /* nothing more to see: what it holds can go */
    handout_task_side(state, 0);
}

static int have(lua_State *L, uint32_t class) {
    handout_push_templates(L);
    int there = lua_rawgeti(L, -1, (lua_Integer)class + 1) != LUA_TNIL;
    lua_pop(L, 2);
    return there;
}

/* Protected: argument 1 is the class that is needed (integer). */
static int show_class(lua_State *L) {
    handout_runner *runner = handout_of(L)->task;
    uint32_t class = (uint32_t)lua_tointeger(L, 1);
    if (!runner->opened) {
        handout_recorder_open(L, &runner->recorder);
        handout_use_planning_libraries(runner->state, 0);
        runner->opened = 1;
    }
    if (runner->program->user_globals) /* their values are part of what tasks see: the script runs to its end */
        while (!runner->script_done) run_script(L, runner, HANDOUT_NONE);
    if (class == HANDOUT_NONE || runner->tables->code) return 0;
    while (!have(L, class) && !runner->script_done) run_script(L, runner, class);
    if (!have(L, class)) { /* it was passed over before, or is hidden behind a first closure: look at every one */
        runner->recorder.thorough = 1;
        runner->script_done = 0;
        while (!have(L, class) && !runner->script_done) run_script(L, runner, class);
    }
    return 0;
}

/* ---- One attempt ---- */

static void read_place(lua_State *L, handout_runner *runner) {
    lua_Debug ar;
    runner->file = NULL;
    runner->line = 0;
    for (int level = 1; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline <= 0) continue;
        snprintf(runner->file_text, sizeof runner->file_text, "%s",
                 ar.source[0] == '@' || ar.source[0] == '=' ? ar.source + 1 : ar.short_src);
        runner->file = runner->file_text;
        runner->line = (uint32_t)ar.currentline;
        return;
    }
}

static void keep_message(handout_runner *runner, const char *text, size_t length) {
    runner->message.length = 0;
    if (length > MAX_MESSAGE) length = MAX_MESSAGE;
    handout_buffer_append(&runner->message, text, length);
}

static int may_recover(const handout_runner *runner) {
    const handout_tables *tables = runner->tables;
    return !runner->item->recovers && (tables->option_flags[tables->options[runner->row]] & HANDOUT_FLAG_RECOVERS);
}

/* A raised table, at stack index 1, is handed on where a substitute result may follow. */
static void keep_raised(lua_State *L, handout_runner *runner) {
    if (!may_recover(runner)) return;
    lua_pushcfunction(L, handout_encode_plain);
    lua_pushvalue(L, 1);
    int status = lua_pcall(L, 1, 0, 0);
    const handout_codec *codec = &runner->state->codec;
    runner->raised.length = 0;
    if (status == LUA_OK) handout_buffer_append(&runner->raised, codec->out.data, codec->out.length);
    lua_settop(L, 1);
}

/* The message of an error: a string, a table's `message`, what handout.fail was given. No metamethod runs. */
static int message_handler(lua_State *L) {
    handout_state *state = handout_of(L);
    handout_runner *runner = state->task;
    handout_traceback(L, state->traceback, sizeof state->traceback, 1);
    read_place(L, runner);
    handout_raised *raised = handout_to_raised(L, 1);
    if (raised) {
        runner->never_retry = raised->never_retry;
        runner->has_retry_after = raised->has_after;
        runner->retry_after = raised->after;
        runner->asked_ended = raised->ended;
        lua_getiuservalue(L, 1, 1);
    } else if (lua_type(L, 1) == LUA_TTABLE) {
        keep_raised(L, runner);
        lua_pushliteral(L, "message");
        lua_rawget(L, 1);
    } else {
        lua_pushvalue(L, 1);
    }
    if (lua_type(L, -1) == LUA_TSTRING || lua_type(L, -1) == LUA_TNUMBER) {
        size_t length;
        const char *text = lua_tolstring(L, -1, &length);
        keep_message(runner, text, length);
    } else {
        char what[100], text[140];
        handout_describe(L, 1, what, sizeof what);
        snprintf(text, sizeof text, "raised %s", what);
        keep_message(runner, text, strlen(text));
    }
    return 0;
}

static void store_result(lua_State *L, handout_runner *runner) {
    handout_codec *codec = &runner->state->codec;
    handout_value *result = &runner->result;
    switch (lua_type(L, -1)) {
    case LUA_TNIL: result->tag = HANDOUT_NIL; return;
    case LUA_TBOOLEAN: result->tag = lua_toboolean(L, -1) ? HANDOUT_TRUE : HANDOUT_FALSE; return;
    case LUA_TNUMBER:
        if (lua_isinteger(L, -1)) result->tag = HANDOUT_INTEGER, result->as.integer = lua_tointeger(L, -1);
        else result->tag = HANDOUT_FLOAT, result->as.number = lua_tonumber(L, -1);
        return;
    }
    codec->out.length = 0;
    codec->out.limit = runner->state->limit;
    runner->encoding = 1;
    handout_encode(L, codec, -1, "result", "cannot leave its task");
    runner->encoding = 0;
    if (handout_value_store(result, codec->out.data, codec->out.length)) luaL_error(L, "not enough memory for the result");
}

static void set_text(lua_State *L, const char *field, const void *text, size_t length) {
    lua_pushlstring(L, text, length);
    lua_setfield(L, -2, field);
}

const char *handout_ended_name(int ended) {
    static const char *const names[] = {"", "error", "result", "timeout", "memory", "crash", "lost", "cancelled"};
    return names[ended & 7];
}

/* Pushes the function that makes a substitute result, and what it is told of the failure. */
static void push_substitute(lua_State *L, handout_runner *runner) {
    const handout_failure *failure = runner->item->recovers;
    const uint32_t *word = handout_find_word(runner->tables, runner->row, HANDOUT_OP_FUNCTION);
    handout_begin_functions(runner);
    handout_push_pool_function(L, runner, handout_payload(*word));
    lua_createtable(L, 0, 8);
    set_text(L, "kind", handout_ended_name(failure->ended), strlen(handout_ended_name(failure->ended)));
    set_text(L, "message", failure->message ? failure->message : "", failure->message_length);
    const char *name = handout_runner_name(runner);
    set_text(L, "task", name, strlen(name));
    set_text(L, "worker", runner->program->worker, strlen(runner->program->worker));
    lua_pushinteger(L, runner->item->attempt - 1);
    lua_setfield(L, -2, "attempt");
    if (failure->file) {
        set_text(L, "file", failure->file, strlen(failure->file));
        lua_pushinteger(L, failure->line);
        lua_setfield(L, -2, "line");
    }
    if (failure->value.length) {
        handout_decode(L, failure->value.data, failure->value.data + failure->value.length);
        lua_setfield(L, -2, "value");
    }
}

static int uses_captures(const handout_runner *runner) {
    return runner->used.count || runner->snapshots.count || runner->required;
}

/* Protected: compares captured variables; the table of closures is at index 1. */
static int compare_captures(lua_State *L) {
    handout_runner *runner = handout_of(L)->task;
    char message[200];
    if (handout_captures_changed(L, runner, 1, message, sizeof message)) {
        if (!runner->captures_changed) runner->captures_changed = 1;
        if (!runner->failed) keep_message(runner, message, strlen(message)); /* else its own error says more */
    }
    runner->compared = 1;
    return 0;
}

/* Protected: the whole of an attempt. The only argument is the table of closures. */
static int attempt(lua_State *L) {
    handout_runner *runner = handout_of(L)->task;
    if (runner->item->recovers) push_substitute(L, runner);
    else handout_push_function(L, runner, 1, runner->row);
    int arguments = handout_push_arguments(L, runner, runner->item->task) + (runner->item->recovers != NULL);
    lua_call(L, arguments, LUA_MULTRET);
    int results = lua_gettop(L) - 1;
    if (results > 1) {
        runner->encoding = 1;
        return luaL_error(L, "the task returned %d values, expected one", results);
    }
    if (results == 0) runner->result.tag = HANDOUT_NIL;
    else store_result(L, runner);
    if (runner->tables->kinds[runner->row] == HANDOUT_ROW_WHEN) {
        int is_true = runner->result.tag != HANDOUT_NIL && runner->result.tag != HANDOUT_FALSE;
        handout_value_free(&runner->result);
        runner->result.tag = is_true ? HANDOUT_TRUE : HANDOUT_FALSE;
    }
    if (uses_captures(runner)) { /* here, since another protected call costs as much as all of this */
        lua_settop(L, 1);
        compare_captures(L);
    }
    return 0;
}

/* ---- Completions ---- */

int handout_runner_compare(lua_State *L, handout_runner *runner) {
    if (runner->compared || !uses_captures(runner)) return runner->captures_changed != 0;
    lua_pushcfunction(L, compare_captures);
    lua_pushvalue(L, INSTANCES);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) { /* no memory left: nobody knows what the task changed */
        static const char message[] = "no memory is left to compare the captured variables of the task";
        lua_settop(L, INSTANCES);
        runner->captures_changed = 2;
        if (!runner->failed) keep_message(runner, message, sizeof message - 1);
    }
    return runner->captures_changed != 0;
}

static char *copy(const void *bytes, size_t length) {
    char *to = malloc(length + 1);
    if (!to) return NULL;
    if (length) memcpy(to, bytes, length);
    to[length] = 0;
    return to;
}

handout_failure *handout_runner_failure(handout_runner *runner) {
    handout_failure *failure = calloc(1, sizeof *failure);
    if (!failure) return NULL;
    const char *traceback = runner->state->traceback;
    failure->message = copy(runner->message.data, runner->message.length);
    failure->message_length = failure->message ? (uint32_t)runner->message.length : 0;
    failure->traceback = copy(traceback, strlen(traceback));
    failure->traceback_length = failure->traceback ? (uint32_t)strlen(traceback) : 0;
    if (runner->file) failure->file = copy(runner->file, strlen(runner->file));
    failure->line = runner->line;
    if (runner->raised.length) handout_buffer_append(&failure->value, runner->raised.data, runner->raised.length);
    failure->never_retry = runner->never_retry;
    failure->has_retry_after = runner->has_retry_after;
    failure->retry_after = runner->retry_after;
    return failure;
}

handout_failure *handout_failure_new(int ended, const void *message, size_t length, const char *file, uint32_t line,
                                     const void *value, size_t value_length) {
    handout_failure *failure = calloc(1, sizeof *failure);
    if (!failure) return NULL;
    failure->ended = (uint8_t)ended;
    failure->message = copy(message, length);
    failure->message_length = failure->message ? (uint32_t)length : 0;
    if (file) failure->file = copy(file, strlen(file));
    failure->line = line;
    if (value_length) handout_buffer_append(&failure->value, value, value_length);
    return failure;
}

void handout_failure_free(handout_failure *failure) {
    if (!failure) return;
    free(failure->message);
    free(failure->traceback);
    free(failure->file);
    handout_buffer_free(&failure->value);
    free(failure);
}

/* Writes the completion of the current item and publishes it. */
static void complete(handout_runner *runner, int ended) {
    handout_slot *slot = runner->slot;
    handout_attempt_end(runner);
    uint32_t index = atomic_load_explicit(&slot->done, memory_order_relaxed);
    handout_completion *completion = &slot->completions[index];
    uint64_t now = handout_now();
    completion->task = runner->item->task;
    completion->attempt = runner->item->attempt;
    completion->ended = (uint8_t)ended;
    completion->nanoseconds = now - runner->started;
    completion->failure = ended == HANDOUT_OK ? NULL : handout_runner_failure(runner);
    if (completion->failure) completion->failure->ended = (uint8_t)ended;
    if (ended == HANDOUT_OK) completion->value = runner->result;
    else {
        handout_value_free(&runner->result);
        completion->value = (handout_value){0};
    }
    runner->result = (handout_value){0};
    runner->started = now;
    handout_slot_complete(slot);
}

static int ended_by_error(handout_runner *runner, int status) {
    if (status == LUA_ERRERR) {
        static const char text[] = "an error in error handling";
        keep_message(runner, text, sizeof text - 1);
    }
    if (runner->encoding) {
        runner->encoding = 0;
        /* The place is the task's declaration: the value is to blame, not a line that ran. */
        return HANDOUT_RESULT;
    }
    return runner->asked_ended ? runner->asked_ended : HANDOUT_ERROR;
}

/* Before the limit becomes `limit`: what others left behind is no memory of the next attempt, which would end at its first
 * allocation under a much smaller one. Not after: a collection allocates when it shrinks the stack. */
static void collect_before(handout_state *state, uint64_t limit) {
    if (limit && state->used > limit / 2) lua_gc(state->L, LUA_GCCOLLECT);
}

void handout_runner_begin(handout_runner *runner, const handout_lease_item *item) {
    handout_state *state = runner->state;
    runner->item = item;
    if (item->task < runner->tables->count) {
        runner->row = item->task;
    } else {
        handout_place place;
        handout_locate(runner->tables, item->task, &place);
        runner->row = place.origin;
    }
    runner->raised.length = 0;
    runner->name = NULL;
    runner->logged = 0;
    runner->never_retry = runner->has_retry_after = runner->asked_ended = 0;
    runner->encoding = runner->captures_changed = runner->compared = runner->failed = runner->required = 0;
    runner->file = NULL;
    runner->line = 0;
    runner->last_progress = 0;
    state->random_seeded = 0;
    uint64_t memory = item->memory ? item->memory : runner->program->default_memory;
    if (state->limit != memory) {
        collect_before(state, memory);
        state->limit = memory;
        state->threshold = handout_next_threshold(state);
    }
}

static int is_opened(const handout_runner *runner) {
    return runner->opened && (runner->script_done || !runner->program->user_globals);
}

static int knows_all_classes(const handout_runner *runner) { return runner->tables->code || !runner->recorder.missing; }

/* The task failed before its function ran: the script could not show it. */
int handout_runner_prepare(lua_State *L, handout_runner *runner) {
    handout_state *state = runner->state;
    for (uint32_t missing = HANDOUT_NONE;;) {
        if (is_opened(runner)) {
            if (knows_all_classes(runner)) return LUA_OK;
            uint32_t next = handout_missing_class(L, runner, runner->row);
            if (next == HANDOUT_NONE || next == missing) return LUA_OK;
            missing = next;
        }
        size_t limit = state->limit;
        state->limit = limit > 1u << 30 ? limit : 1u << 30; /* the script has the limits of planning, not of a task */
        state->threshold = handout_next_threshold(state);
        handout_deadline_begin(runner->slot, state, runner->program->plan_time);
        lua_pushcfunction(L, show_class);
        lua_pushinteger(L, missing);
        int status = lua_pcall(L, 1, 0, HANDLER);
        handout_deadline_end(runner->slot);
        if (status == LUA_OK && missing != HANDOUT_NONE) lua_gc(L, LUA_GCCOLLECT);
        else collect_before(state, limit);
        state->limit = limit;
        state->threshold = handout_next_threshold(state);
        if (status != LUA_OK) {
            lua_settop(L, INSTANCES);
            return status;
        }
    }
}

int handout_runner_open(lua_State *L, handout_runner *runner) {
    if (runner->opened) return LUA_OK;
    lua_pushcfunction(L, show_class);
    lua_pushinteger(L, HANDOUT_NONE);
    return lua_pcall(L, 1, 0, HANDLER);
}

static void run_item(lua_State *L, handout_runner *runner) {
    handout_state *state = runner->state;
    handout_slot *slot = runner->slot;
    int ended = HANDOUT_OK, status = LUA_OK;
    if (!is_opened(runner) || !knows_all_classes(runner)) status = handout_runner_prepare(L, runner);
    runner->started = status == LUA_OK && runner->started ? runner->started : handout_now();
    uint64_t timeout = runner->item->timeout;
    runner->deadline = timeout ? handout_now() + timeout : 0;
    if (status == LUA_OK) {
        handout_deadline_begin(slot, state, timeout);
        lua_pushcfunction(L, attempt);
        lua_pushvalue(L, INSTANCES);
        status = lua_pcall(L, 1, 0, HANDLER);
        if (status != LUA_OK) {
            ended = ended_by_error(runner, status);
            runner->failed = 1;
            lua_settop(L, INSTANCES);
        }
        int changed = runner->compared || !uses_captures(runner) ? runner->captures_changed : handout_runner_compare(L, runner);
        if (changed && ended == HANDOUT_OK) {
            ended = HANDOUT_ERROR;
            state->traceback[0] = 0;
        }
        handout_check(state); /* what was asked for during a last call into C has met no instruction since */
        handout_deadline_end(slot);
    } else {
        ended = ended_by_error(runner, status);
        runner->never_retry = 1;
    }
    complete(runner, ended);
}

/* After a limit: the attempt that ran is over, and so is the state. */
static void complete_left(handout_runner *runner, int reason) {
    handout_state *state = runner->state;
    char text[200];
    if (reason == HANDOUT_TIMEOUT)
        snprintf(text, sizeof text, "timeout of %g s reached", (double)runner->item->timeout / 1e9);
    else snprintf(text, sizeof text, "%s", state->message);
    keep_message(runner, text, strlen(text));
    if (handout_first_place(state->traceback, runner->file_text, sizeof runner->file_text, &runner->line))
        runner->file = runner->file_text;
    complete(runner, reason);
}

int handout_task_state_run(handout_state *state) {
    handout_runner *runner = state->task_runner;
    lua_State *L = state->L;
    int reason = setjmp(state->entry);
    if (reason != 0) {
        handout_deadline_end(runner->slot);
        complete_left(runner, reason);
        state->task = NULL;
        atomic_store_explicit(&runner->slot->started, 0, memory_order_relaxed);
        return 1;
    }
    handout_enter(state);
    state->task = runner;
    uint32_t index;
    /* A lease that goes on after a limit starts its clock anew: making this state is no task's time. */
    runner->started = atomic_load_explicit(&runner->slot->done, memory_order_relaxed) ? handout_now() : runner->slot->lent_at;
    int spoiled = 0;
    while (!spoiled && handout_slot_claim(runner->slot, &index)) {
        atomic_store_explicit(&runner->slot->started, runner->started, memory_order_relaxed);
        if (runner->slot->remote) handout_remote_begin(runner->slot, index, runner->started);
        handout_runner_begin(runner, &runner->slot->items[index]);
        run_item(L, runner);
        spoiled = runner->captures_changed == 2;
    }
    atomic_store_explicit(&runner->slot->started, 0, memory_order_relaxed);
    state->task = NULL;
    handout_exit(state);
    return spoiled;
}

/* ---- Outside of attempts ---- */

int handout_task_state_call(handout_state *state, uint32_t task, lua_CFunction body, void *data, char *error, size_t size) {
    handout_runner *runner = state->task_runner;
    lua_State *L = state->L;
    handout_lease_item item = {.task = task, .attempt = 1, .grant = HANDOUT_NONE};
    int reason = setjmp(state->entry);
    if (reason != 0) {
        if (runner->slot) handout_deadline_end(runner->slot);
        state->task = NULL;
        snprintf(error, size, "%s", reason == HANDOUT_TIMEOUT ? "it took too long" : state->message);
        return -1;
    }
    handout_enter(state);
    state->task = runner;
    handout_runner_begin(runner, &item);
    int status = handout_runner_prepare(L, runner);
    if (status == LUA_OK) {
        if (runner->slot) handout_deadline_begin(runner->slot, state, runner->program->plan_time);
        lua_pushcfunction(L, body);
        lua_pushlightuserdata(L, data);
        status = lua_pcall(L, 1, 0, HANDLER);
        if (runner->slot) handout_deadline_end(runner->slot);
    }
    lua_settop(L, INSTANCES);
    if (status != LUA_OK)
        snprintf(error, size, "%.*s", (int)runner->message.length, runner->message.data ? (const char *)runner->message.data : "error");
    state->task = NULL;
    runner->item = NULL;
    handout_exit(state);
    return status == LUA_OK ? 0 : -1;
}

/* ---- Making and freeing ---- */

handout_state *handout_task_state_new(const handout_program *program, const handout_tables *tables,
                                      const handout_host *host, handout_slot *slot) {
    handout_state *state = handout_state_new(program->default_memory, host, slot);
    handout_runner *runner = calloc(1, sizeof *runner);
    if (!state || !runner) {
        free(runner);
        handout_state_free(state);
        return NULL;
    }
    handout_recorder_init(&runner->recorder, state, host);
    runner->recorder.tables = tables;
    runner->recorder.missing = tables->class_count;
    runner->recorder.parameters = program->parameters;
    runner->recorder.parameter_count = program->parameter_count;
    runner->recorder.given = program->recordings;
    runner->recorder.given_count = program->recording_count;
    runner->state = state;
    runner->program = program;
    runner->tables = tables;
    runner->slot = slot;
    runner->instances.size = sizeof(handout_instance);
    runner->used.size = sizeof(uint32_t);
    runner->own = calloc(tables->class_count + 1u, sizeof(uint32_t));
    state->task_runner = runner;
    state->template_mode = 1;
    state->random_seed = program->seed;
    if (!runner->own) {
        handout_task_state_free(state);
        return NULL;
    }
    lua_pushcfunction(state->L, message_handler); /* HANDLER and INSTANCES: a new state has 20 free slots */
    lua_createtable(state->L, 0, 0);
    lua_pushvalue(state->L, -1);
    lua_rawsetp(state->L, LUA_REGISTRYINDEX, &HANDOUT_KEY_INSTANCES);
    return state;
}

void handout_task_state_free(handout_state *state) {
    if (!state) return;
    handout_runner *runner = state->task_runner;
    handout_recorder_free(&runner->recorder);
    handout_captures_free(runner);
    handout_job_free(runner);
    handout_buffer_free(&runner->message);
    handout_buffer_free(&runner->raised);
    handout_buffer_free(&runner->name_text);
    handout_value_free(&runner->result);
    free(runner);
    handout_state_free(state);
}

/* Protected: makes an instance of every class. Argument 1 is the table of closures. */
static int instantiate_all(lua_State *L) {
    handout_runner *runner = handout_of(L)->task;
    for (uint32_t row = 0; row < runner->tables->count; row++) {
        if (runner->tables->classes[row] == HANDOUT_NONE || runner->own[runner->tables->classes[row]]) continue;
        handout_push_function(L, runner, 1, row);
        lua_settop(L, 1);
    }
    return 0;
}

size_t handout_task_state_prepare(handout_state *state) {
    handout_runner *runner = state->task_runner;
    handout_lease_item none = {0};
    if (setjmp(state->entry) != 0) return 0;
    handout_enter(state);
    state->task = runner;
    runner->item = &none;
    for (uint32_t row = 0; row < runner->tables->count && (runner->recorder.missing || !runner->opened); row++) {
        runner->row = row;
        handout_runner_prepare(state->L, runner);
    }
    lua_pushcfunction(state->L, instantiate_all);
    lua_pushvalue(state->L, INSTANCES);
    int status = lua_pcall(state->L, 1, 0, HANDLER);
    lua_gc(state->L, LUA_GCCOLLECT);
    state->task = NULL;
    handout_exit(state);
    return status == LUA_OK ? state->used : 0;
}
