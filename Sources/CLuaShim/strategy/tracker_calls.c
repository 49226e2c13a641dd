/* The functions of trackers: what they are told, what they give, and the call. */
#include "tracker.h"
#include "sandbox.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- What they are told ---- */

static void push_amount(lua_State *L, const char *name, uint64_t amount) {
    if (strcmp(name, "memory") == 0) lua_pushinteger(L, (lua_Integer)amount);
    else if (amount % 10000 == 0) lua_pushinteger(L, (lua_Integer)(amount / 10000));
    else lua_pushnumber(L, (lua_Number)amount / 10000);
}

/* Pushes the amounts; where `all`, those provided that nothing is claimed of as 0. */
static void push_amounts(lua_State *L, const handout_tracker *tracker, const handout_tracker_call *call, int all) {
    lua_createtable(L, 0, (int)call->amount_count);
    for (uint32_t i = 0; all && i < tracker->facts.provide_count; i++) {
        lua_pushinteger(L, 0);
        lua_setfield(L, -2, tracker->facts.provides[i]);
    }
    for (uint32_t i = 0; i < call->amount_count; i++) {
        push_amount(L, call->amounts[i].name, call->amounts[i].amount);
        lua_setfield(L, -2, call->amounts[i].name);
    }
}

int handout_push_tracker_call(lua_State *L, handout_trackers *trackers, const handout_tracker *tracker, int function,
                              const handout_tracker_call *call) {
    if (function == HANDOUT_TRACKER_REGISTER) return 0;
    lua_createtable(L, 0, 3);
    if (function == HANDOUT_TRACKER_PROBE) {
        push_amounts(L, tracker, call, 1);
        lua_setfield(L, -2, "claimed");
        lua_pushstring(L, trackers->file.config->program->worker);
        lua_setfield(L, -2, "worker");
        lua_pushnumber(L, call->now);
        lua_setfield(L, -2, "now");
        return 1;
    }
    push_amounts(L, tracker, call, 0);
    lua_setfield(L, -2, "amounts");
    lua_pushstring(L, call->task);
    lua_setfield(L, -2, "task");
    lua_pushinteger(L, call->attempt);
    lua_setfield(L, -2, "attempt");
    return 1;
}

/* ---- What they give ---- */

typedef struct reading {
    lua_State *L;
    handout_trackers *trackers;
    const handout_tracker *tracker;
    int function;
    handout_tracker_answer *answer;
} reading;

static _Noreturn void wrong(const reading *at, const char *name, const char *expected) {
    char what[160];
    handout_describe(at->L, -1, what, sizeof what);
    handout_wrong_tracker(at->L, at->trackers, at->tracker, at->function, "%s: expected %s, got %s", name, expected, what);
}

static int provides(const handout_tracker_facts *facts, const char *name) {
    for (uint32_t i = 0; i < facts->provide_count; i++)
        if (strcmp(facts->provides[i], name) == 0) return 1;
    return 0;
}

static void read_total(const reading *at, const char *name) {
    lua_State *L = at->L;
    char error[200];
    uint64_t amount = 0;
    lua_Number n = lua_tonumber(L, -1);
    if (strcmp(name, "memory") == 0) {
        if (handout_parse_size(L, -1, &amount, error, sizeof error)) wrong(at, name, "a size such as \"512MiB\"");
    } else if (lua_type(L, -1) == LUA_TNUMBER && n >= 0 && n <= 1e9) {
        amount = (uint64_t)llround(n * 10000);
    } else {
        wrong(at, name, "a number from 0 to 1000000000");
    }
    handout_cluster_amount *to = handout_cluster_add(L, &at->trackers->amounts);
    to->name = handout_keep_text(L, &at->trackers->answer_texts, name, strlen(name));
    to->amount = amount;
}

static void read_labels(const reading *at) {
    lua_State *L = at->L;
    if (lua_type(L, -1) != LUA_TTABLE) wrong(at, "labels", "a table of strings");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        size_t length = 0, size = 0;
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : "";
        const char *value = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : NULL;
        if (!length || strlen(name) != length || !value || strlen(value) != size) wrong(at, "labels", "names and strings");
        handout_cluster_label *to = handout_cluster_add(L, &at->trackers->labels);
        to->name = handout_keep_text(L, &at->trackers->answer_texts, name, length);
        to->value = handout_keep_text(L, &at->trackers->answer_texts, value, size);
    }
    at->answer->has_labels = 1;
}

/* The totals at the top, with price and labels. */
static void read_totals(const reading *at) {
    lua_State *L = at->L;
    if (lua_type(L, -1) != LUA_TTABLE) wrong(at, "result", "a table such as { licence = 5 }, or nil and a reason");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        size_t length = 0;
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : "";
        char shown[160];
        if (strlen(name) == length && length > 0 && provides(&at->tracker->facts, name)) {
            read_total(at, name);
        } else if (strcmp(name, "price") == 0) {
            at->answer->price = lua_tonumber(L, -1);
            at->answer->has_price = lua_type(L, -1) == LUA_TNUMBER && at->answer->price >= 0 && at->answer->price <= 1e12;
            if (!at->answer->has_price) wrong(at, "price", "a number from 0 to 1e12");
        } else if (strcmp(name, "labels") == 0) {
            read_labels(at);
        } else {
            handout_describe(L, -2, shown, sizeof shown);
            handout_wrong_tracker(L, at->trackers, at->tracker, at->function, "%s is not in its provides, nor price or labels", shown);
        }
    }
    at->answer->given = 1;
}

/* The reason at the top. */
static void read_reason(const reading *at) {
    char shown[400];
    size_t length;
    if (lua_isnil(at->L, -1)) return;
    if (lua_type(at->L, -1) != LUA_TSTRING) wrong(at, "reason", "a string");
    const char *text = lua_tolstring(at->L, -1, &length);
    handout_escape(text, length, 200, shown, sizeof shown);
    at->answer->reason = handout_keep_text(at->L, &at->trackers->answer_texts, shown, strlen(shown));
}

void handout_read_tracker_answer(lua_State *L, handout_trackers *trackers, const handout_tracker *tracker, int function, int index,
                                 handout_tracker_answer *answer) {
    reading at = {L, trackers, tracker, function, answer};
    lua_settop(L, index + 1);
    int yes = function >= HANDOUT_TRACKER_REQUEST ? lua_toboolean(L, index) || lua_isnil(L, index) : !lua_isnil(L, index);
    if (!yes) read_reason(&at);
    lua_settop(L, index);
    if (function >= HANDOUT_TRACKER_REQUEST) {
        if (function == HANDOUT_TRACKER_REQUEST && !lua_isnil(L, index) && lua_type(L, index) != LUA_TBOOLEAN)
            wrong(&at, "result", "true, or false and a reason");
        answer->given = yes;
    } else if (yes) {
        read_totals(&at);
    }
    answer->amounts = (const handout_cluster_amount *)trackers->amounts.data;
    answer->amount_count = (uint32_t)trackers->amounts.count;
    answer->labels = (const handout_cluster_label *)trackers->labels.data;
    answer->label_count = (uint32_t)trackers->labels.count;
}

/* ---- The call ---- */

static void clear(handout_trackers *trackers) {
    handout_vector *errors = &trackers->file.recorder.errors;
    for (size_t i = 0; i < errors->count; i++)
        free(((handout_plan_error *)errors->data)[i].message), free(((handout_plan_error *)errors->data)[i].file);
    for (size_t i = 0; i < trackers->answer_texts.count; i++) free(((char **)trackers->answer_texts.data)[i]);
    errors->count = trackers->answer_texts.count = trackers->amounts.count = trackers->labels.count = 0;
    trackers->has_problem = 0;
}

const handout_plan_error *handout_trackers_problem(const handout_trackers *trackers) {
    const handout_vector *errors = &trackers->file.recorder.errors;
    return trackers->has_problem && errors->count ? (const handout_plan_error *)errors->data + errors->count - 1 : NULL;
}

/* Adds the problem of a call with the name of the tracker before it. */
static void add_problem(handout_trackers *trackers, const handout_tracker *tracker, int function, const char *code, const char *text,
                        size_t length) {
    char message[1400];
    handout_recorder *recorder = &trackers->file.recorder;
    handout_add_script_error(recorder, code, text, length, trackers->file.config->program->chunk_name);
    if (recorder->errors.count == 0) return;
    handout_plan_error *error = (handout_plan_error *)recorder->errors.data + recorder->errors.count - 1;
    snprintf(message, sizeof message, "tracker '%s': %s: %s", tracker->facts.name, handout_tracker_functions[function],
             error->message ? error->message : "error");
    free(error->message);
    error->message = strdup(message);
    trackers->has_problem = 1;
}

void handout_wrong_tracker(lua_State *L, handout_trackers *trackers, const handout_tracker *tracker, int function, const char *format,
                           ...) {
    char text[600], place[360], message[1000];
    lua_Debug ar;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    lua_rawgeti(L, LUA_REGISTRYINDEX, tracker->functions[function]);
    lua_getinfo(L, ">S", &ar);
    snprintf(place, sizeof place, "%s:%d: ", ar.source[0] == '@' ? ar.source + 1 : ar.short_src, ar.linedefined);
    snprintf(message, sizeof message, "%s%s", ar.linedefined > 0 ? place : "", text);
    handout_of(L)->traceback[0] = 0;
    add_problem(trackers, tracker, function, "answer", message, strlen(message));
    lua_pushnil(L);
    lua_error(L);
    __builtin_unreachable();
}

typedef struct call {
    handout_trackers *trackers;
    const handout_tracker *tracker;
    int function;
    const handout_tracker_call *told;
    handout_tracker_answer *answer;
} call;

static int call_protected(lua_State *L) {
    call *now = lua_touserdata(L, 1);
    luaL_checkstack(L, 30, "tracker");
    lua_rawgeti(L, LUA_REGISTRYINDEX, now->tracker->functions[now->function]);
    int arguments = handout_push_tracker_call(L, now->trackers, now->tracker, now->function, now->told);
    lua_call(L, arguments, 2);
    handout_read_tracker_answer(L, now->trackers, now->tracker, now->function, 2, now->answer);
    return 0;
}

static void begin(const call *now) {
    handout_trackers *trackers = now->trackers;
    handout_state *state = trackers->file.state;
    trackers->item.grant = now->tracker->grant;
    trackers->runner.name = now->tracker->facts.name;
    trackers->runner.logged = 0;
    state->traceback[0] = 0;
    state->message[0] = 0;
    state->task = &trackers->runner;
    handout_enter(state);
    handout_deadline_begin(trackers->file.config->slot, state, now->told->time);
}

static void end(handout_trackers *trackers) {
    handout_deadline_end(trackers->file.config->slot);
    trackers->file.state->task = NULL;
    handout_attempt_end(&trackers->runner);
}

static void add_limit(const call *now, int reason) {
    const handout_state *state = now->trackers->file.state;
    char text[200];
    if (reason == HANDOUT_TIMEOUT) snprintf(text, sizeof text, "it ran longer than %g s", (double)now->told->time / 1e9);
    else if (reason == HANDOUT_MEMORY)
        snprintf(text, sizeof text, "it needed more than %g MiB of memory", (double)state->limit / 1048576);
    else snprintf(text, sizeof text, "it was stopped");
    add_problem(now->trackers, now->tracker, now->function,
                reason == HANDOUT_TIMEOUT ? "timeout" : reason == HANDOUT_MEMORY ? "memory" : "cancelled", text, strlen(text));
}

int handout_trackers_call(handout_trackers *trackers, uint32_t index, int function, const handout_tracker_call *told,
                          handout_tracker_answer *answer) {
    call now = {trackers, (const handout_tracker *)trackers->list.data + index, function, told, answer};
    handout_state *state = trackers->file.state;
    *answer = (handout_tracker_answer){0};
    if (trackers->ended) return trackers->ended;
    clear(trackers);
    int reason = setjmp(state->entry);
    if (reason != 0) {
        end(trackers);
        trackers->ended = reason;
        clear(trackers);
        add_limit(&now, reason);
        return reason;
    }
    begin(&now);
    lua_State *L = state->L;
    int ended = HANDOUT_OK;
    lua_pushcfunction(L, handout_script_message);
    lua_pushcfunction(L, call_protected);
    lua_pushlightuserdata(L, &now);
    if (lua_pcall(L, 1, 0, 1) != LUA_OK) {
        size_t length = 5;
        const char *text = lua_tolstring(L, -1, &length);
        ended = trackers->has_problem ? HANDOUT_RESULT : HANDOUT_ERROR;
        if (!trackers->has_problem) add_problem(trackers, now.tracker, function, "script", text ? text : "error", length);
        *answer = (handout_tracker_answer){0};
    }
    lua_settop(L, 0);
    handout_check(state);
    end(trackers);
    handout_exit(state);
    return ended;
}
