/* Options that are functions of `(inputs, attempt)`: asked before each attempt of their task. */
#include "arguments.h"
#include "sandbox.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An input larger than this is nil. A function has so much CPU time, and all of them that memory. */
enum { MOST_BYTES = 64 << 10, MOST_TIME = 100000000, MOST_MEMORY = 1 << 30 };

typedef struct measuring {
    handout_runner *runner;
    uint32_t task;
    const handout_attempt *attempt;
    const uint32_t *word; /* KEY of the option that is asked for; NULL: none is */
    char name[220];
    char place[360];      /* `the function at FILE:LINE` */
    char file[300];
    uint32_t line;
    int refused;          /* the function gave something else than is expected */
} measuring;

/* ---- What functions are given ---- */

enum { INPUTS = 2, BYTES }; /* on the stack of push_inputs */

static void add_spared(lua_State *L, lua_Integer *n, size_t size) {
    lua_pushinteger(L, (lua_Integer)size);
    lua_rawseti(L, BYTES, ++*n);
}

/* The value at the top is the next input. */
static void add_input(lua_State *L, handout_runner *runner, lua_Integer *n) {
    handout_codec *codec = &runner->state->codec;
    codec->out.length = 0;
    codec->out.limit = runner->state->limit;
    handout_encode(L, codec, -1, "inputs", "cannot be an input");
    size_t size = codec->out.length;
    if (size > MOST_BYTES) lua_pop(L, 1);
    else lua_rawseti(L, INPUTS, *n + 1);
    add_spared(L, n, size);
}

/* The size of the value of a row that is not worth to be read; 0: it is. */
static size_t spared(const handout_runner *runner, uint32_t task) {
    const handout_value *value = &runner->tables->results[task];
    return value->tag == HANDOUT_BLOB && value->length > MOST_BYTES ? value->length : 0;
}

static void add_element(lua_State *L, handout_runner *runner, const handout_group *group, uint32_t i, lua_Integer *n) {
    size_t size = 0;
    if (!group->bytes) {
        size = spared(runner, group->element_task + i);
    } else {
        const uint8_t *from = group->bytes + group->offsets[i];
        size = group->offsets[i + 1] - group->offsets[i];
        if (group->keyed) size -= handout_value_size(from, size);
        if (size <= MOST_BYTES) size = 0;
    }
    if (size) {
        add_spared(L, n, size);
        return;
    }
    handout_push_element(L, runner, group, i);
    add_input(L, runner, n);
}

/* What a map or reduce gives its function before what that needs. */
static void add_elements(lua_State *L, handout_runner *runner, const handout_place *place, lua_Integer *n) {
    if (place->group && place->group->is_map) {
        uint32_t element = runner->tables->dynamic[place->row - runner->tables->count].first;
        add_element(L, runner, place->group, element, n);
        handout_push_key(L, runner->tables, place->group, element);
        add_input(L, runner, n);
    } else if (handout_push_reduced(L, runner, place)) {
        add_input(L, runner, n);
    }
}

static const uint32_t *add_argument(lua_State *L, handout_runner *runner, const handout_place *place, const uint32_t *words,
                                    lua_Integer *n) {
    uint32_t row = HANDOUT_NONE;
    if (handout_operation(*words) == HANDOUT_OP_TASK) row = handout_payload(*words) + place->shift;
    else if (handout_operation(*words) == HANDOUT_OP_OWN) row = handout_own(runner->tables, place, handout_payload(*words));
    size_t size = row == HANDOUT_NONE ? 0 : spared(runner, row);
    if (size) {
        add_spared(L, n, size);
        return words + 1;
    }
    words = handout_push_argument(L, runner, place, words);
    add_input(L, runner, n);
    return words;
}

/* Protected: gives the table of inputs. Argument 1 is the `measuring`. */
static int push_inputs(lua_State *L) {
    const measuring *now = lua_touserdata(L, 1);
    handout_runner *runner = now->runner;
    handout_begin_functions(runner);
    handout_place place;
    handout_locate(runner->tables, now->task, &place);
    luaL_checkstack(L, 20, "inputs");
    lua_newtable(L);
    lua_newtable(L);
    lua_Integer n = 0;
    add_elements(L, runner, &place, &n);
    const uint32_t *end, *words = handout_arguments_of(runner->tables, place.origin, &end);
    while (words < end) words = add_argument(L, runner, &place, words, &n);
    lua_setfield(L, INPUTS, "bytes");
    lua_pushinteger(L, n);
    lua_setfield(L, INPUTS, "n");
    return 1;
}

static void set_integer(lua_State *L, const char *field, lua_Integer n) {
    lua_pushinteger(L, n);
    lua_setfield(L, -2, field);
}

/* Protected: gives the table of the attempt. Argument 1 is the `measuring`. */
static int push_attempt(lua_State *L) {
    const measuring *now = lua_touserdata(L, 1);
    const handout_attempt *attempt = now->attempt;
    lua_createtable(L, 0, 6);
    set_integer(L, "number", attempt->number);
    if (attempt->ended) {
        lua_pushstring(L, handout_ended_name(attempt->ended));
        lua_setfield(L, -2, "ended");
        lua_pushlstring(L, attempt->message, attempt->message_length);
        lua_setfield(L, -2, "message");
    }
    if (attempt->worker) {
        lua_pushstring(L, attempt->worker);
        lua_setfield(L, -2, "worker");
        lua_newtable(L);
        handout_set_amount(L, "cpu", 0);
        for (uint32_t i = 0; i < attempt->amount_count; i++)
            handout_set_amount(L, attempt->amounts[i].name, attempt->amounts[i].amount);
        lua_setfield(L, -2, "amounts");
    }
    lua_createtable(L, 0, 8);
    for (int ended = HANDOUT_ERROR; ended <= HANDOUT_CANCELLED; ended++)
        set_integer(L, handout_ended_name(ended), attempt->counts[ended]);
    lua_setfield(L, -2, "counts");
    return 1;
}

/* ---- What they give ---- */

static void refuse(lua_State *L, measuring *now, const char *what) {
    now->refused = 1;
    lua_pushfstring(L, "%s: %s", now->place, what);
    lua_error(L);
}

static void expect(lua_State *L, measuring *now, const char *expected) {
    char got[160], what[300];
    handout_describe(L, -1, got, sizeof got);
    snprintf(what, sizeof what, "expected %s, got %s", expected, got);
    refuse(L, now, what);
}

static lua_Integer to_amount(lua_State *L, measuring *now) {
    char what[100];
    lua_Number n = lua_tonumber(L, -1);
    if (lua_type(L, -1) != LUA_TNUMBER || !(n >= 0 && n <= 1e9)) expect(L, now, "a number from 0 to 1000000000");
    lua_Integer amount = llround(n * 10000);
    if (strcmp(now->name, "gpu") != 0 || amount <= 10000 || amount % 10000 == 0) return amount;
    snprintf(what, sizeof what, "above 1 it is a whole number, got %g", (double)amount / 10000);
    refuse(L, now, what);
    return 0;
}

static lua_Integer to_memory(lua_State *L, measuring *now) {
    char what[300];
    uint64_t bytes = 0;
    if (handout_parse_size(L, -1, &bytes, what, sizeof what)) refuse(L, now, what);
    if (bytes == 0 || bytes >= 1u << 20) return (lua_Integer)bytes;
    snprintf(what, sizeof what, "expected 0 or at least 1MiB, got %llu bytes", (unsigned long long)bytes);
    refuse(L, now, what);
    return 0;
}

static lua_Integer to_duration(lua_State *L, measuring *now) {
    char what[300];
    uint64_t nanoseconds = 0;
    if (handout_parse_duration(L, -1, &nanoseconds, what, sizeof what)) refuse(L, now, what);
    return (lua_Integer)nanoseconds;
}

static lua_Integer to_priority(lua_State *L, measuring *now) {
    int is_integer = 0;
    lua_Integer n = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &is_integer) : 0;
    if (!is_integer || n < INT32_MIN || n > INT32_MAX) expect(L, now, "a whole number");
    return n;
}

/* Notes where the function at the top is. */
static void note_place(lua_State *L, measuring *now) {
    lua_Debug ar;
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">S", &ar);
    snprintf(now->file, sizeof now->file, "%s", ar.source[0] == '@' || ar.source[0] == '=' ? ar.source + 1 : ar.short_src);
    now->line = (uint32_t)ar.linedefined;
    snprintf(now->place, sizeof now->place, "the function at %s:%d", now->file, ar.linedefined);
}

/* Protected: asks one function. Arguments: the `measuring`, inputs, attempt, and the table that gets what it gives. */
static int ask(lua_State *L) {
    measuring *now = lua_touserdata(L, 1);
    lua_Integer given;
    lua_settop(L, 4);
    handout_push_pool_function(L, now->runner, handout_payload(now->word[1]));
    note_place(L, now);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_call(L, 2, 1);
    switch (now->name[0]) {
    case 'm': given = to_memory(L, now); break;
    case 'p': given = to_priority(L, now); break;
    case 't':
    case 'e': given = to_duration(L, now); break;
    default: given = to_amount(L, now);
    }
    lua_pushinteger(L, given);
    lua_setfield(L, 4, now->name);
    return 0;
}

/* Protected: leaves what was given in the codec. */
static int encode_given(lua_State *L) {
    handout_codec *codec = &handout_of(L)->codec;
    codec->out.length = 0;
    handout_encode(L, codec, 1, "options", "cannot be an option");
    return 0;
}

/* ---- One attempt ---- */

/* Reads the name of the option at `now->word`. */
static void read_name(measuring *now) {
    const handout_tables *tables = now->runner->tables;
    size_t length = 0;
    const uint8_t *from = tables->pool_bytes + handout_pool_position(tables->pool[handout_payload(now->word[0])]);
    const uint8_t *name = handout_value_string(from, (size_t)(tables->pool_bytes + tables->pool_bytes_length - from), &length);
    snprintf(now->name, sizeof now->name, "%.*s", name ? (int)length : 0, name ? (const char *)name : "");
}

/* The first pair of words of the row's functions; `*count`: how many there are. */
static const uint32_t *find_measures(const handout_tables *tables, uint32_t row, uint32_t *count) {
    const uint32_t *end, *words = handout_words(tables, row, &end);
    *count = 0;
    for (; words < end; words++)
        if (handout_operation(*words) == HANDOUT_OP_FUNCTION && handout_payload(*words) & HANDOUT_MEASURES) {
            *count = handout_payload(*words) & ~HANDOUT_MEASURES;
            return words + 1;
        }
    return words;
}

/* Calls `body` protected with the time of planning; 1: it gave a result. */
static int prepare(lua_State *L, measuring *now, lua_CFunction body) {
    handout_deadline_begin(now->runner->slot, now->runner->state, now->runner->program->plan_time);
    lua_pushcfunction(L, body);
    lua_pushlightuserdata(L, now);
    int status = lua_pcall(L, 1, 1, HANDOUT_HANDLER);
    handout_deadline_end(now->runner->slot);
    return status == LUA_OK;
}

/* Asks the function at `now->word`, in its own time. Inputs, attempt and what was given are at stack index `at` on. */
static int ask_one(lua_State *L, measuring *now, int at) {
    handout_slot *slot = now->runner->slot;
    read_name(now);
    atomic_store(&slot->cpu_clock, 1);
    handout_deadline_begin(slot, now->runner->state, MOST_TIME);
    lua_pushcfunction(L, ask);
    lua_pushlightuserdata(L, now);
    for (int i = 0; i < 3; i++) lua_pushvalue(L, at + i);
    int status = lua_pcall(L, 4, 0, HANDOUT_HANDLER);
    handout_check(now->runner->state); /* what was asked for during a last call into C has met no instruction since */
    handout_deadline_end(slot);
    atomic_store(&slot->cpu_clock, 0);
    if (now->refused) now->runner->state->traceback[0] = 0; /* no line of the script's is to blame */
    return status == LUA_OK;
}

/* 1 when all functions have given something: it is in the codec then. */
static int ask_all(lua_State *L, measuring *now) {
    uint32_t count;
    const uint32_t *word = find_measures(now->runner->tables, now->runner->row, &count);
    int at = lua_gettop(L) + 1;
    if (!prepare(L, now, push_inputs) || !prepare(L, now, push_attempt)) return 0;
    lua_createtable(L, 0, (int)count);
    for (; count; count--, word += 2) {
        now->word = word;
        if (!ask_one(L, now, at)) return 0;
    }
    now->word = NULL;
    lua_pushcfunction(L, encode_given);
    lua_pushvalue(L, at + 2);
    return lua_pcall(L, 1, 0, HANDOUT_HANDLER) == LUA_OK;
}

/* Says in the message which option it is about, and in the place where its function is, when nothing was raised. */
static void name_option(measuring *now) {
    handout_runner *runner = now->runner;
    if (!now->word) return;
    handout_buffer text = {0};
    char prefix[260];
    int length = snprintf(prefix, sizeof prefix, "option '%s': ", now->name);
    if (handout_buffer_append(&text, prefix, (size_t)length) == 0 &&
        handout_buffer_append(&text, runner->message.data, runner->message.length) == 0) {
        runner->message.length = 0;
        handout_buffer_append(&runner->message, text.data, text.length);
    }
    handout_buffer_free(&text);
    if (now->refused || !runner->file) {
        runner->file = now->file[0] ? now->file : NULL;
        runner->line = now->line;
    }
}

/* A limit was met. */
static void describe_limit(measuring *now, int reason) {
    char text[900];
    const char *place = now->word && now->place[0] ? now->place : "the inputs of its functions";
    if (reason == HANDOUT_TIMEOUT && now->word) snprintf(text, sizeof text, "%s took longer than %d ms", place, MOST_TIME / 1000000);
    else snprintf(text, sizeof text, "%s: %s", place, reason == HANDOUT_TIMEOUT ? "reading them took too long" : now->runner->state->message);
    now->runner->message.length = 0;
    handout_buffer_append(&now->runner->message, text, strlen(text));
    now->refused = 1;
}

static int failed(measuring *now, int ended, handout_failure **failure) {
    name_option(now);
    *failure = handout_runner_failure(now->runner);
    if (*failure) (*failure)->ended = (uint8_t)ended;
    return 1;
}

static void leave(handout_runner *runner) {
    runner->state->task = NULL;
    runner->asker = NULL;
    runner->item = NULL;
}

int handout_task_state_measure(handout_state *state, uint32_t task, const handout_attempt *attempt, handout_buffer *out,
                               handout_failure **failure) {
    handout_runner *runner = state->task_runner;
    lua_State *L = state->L;
    handout_lease_item item = {.task = task, .attempt = (uint16_t)attempt->number, .memory = MOST_MEMORY, .grant = HANDOUT_NONE};
    measuring now = {.runner = runner, .task = task, .attempt = attempt};
    int reason = setjmp(state->entry);
    if (reason != 0) {
        handout_deadline_end(runner->slot);
        atomic_store(&runner->slot->cpu_clock, 0);
        describe_limit(&now, reason);
        failed(&now, reason == HANDOUT_CANCELLED ? HANDOUT_CANCELLED : HANDOUT_ERROR, failure);
        leave(runner);
        return -1;
    }
    handout_enter(state);
    state->task = runner;
    runner->asker = "the function of an option";
    state->traceback[0] = 0;
    handout_runner_begin(runner, &item);
    int top = lua_gettop(L), status = 0;
    if (handout_runner_prepare(L, runner) != LUA_OK) status = failed(&now, HANDOUT_ERROR, failure);
    else if (!ask_all(L, &now)) status = failed(&now, HANDOUT_ERROR, failure);
    else if (handout_buffer_append(out, state->codec.out.data, state->codec.out.length)) status = failed(&now, HANDOUT_ERROR, failure);
    lua_settop(L, top);
    if (handout_runner_compare(L, runner) && status == 0) status = failed(&now, HANDOUT_ERROR, failure);
    int spoiled = runner->captures_changed == 2;
    leave(runner);
    handout_exit(state);
    return spoiled ? -1 : status;
}
