/* Calls of a runner's tasks, performed in the supervisor. */
#include "broker.h"
#include "grants.h"
#include "remote.h"
#include "task.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct calling {
    const char *name;
    uint32_t count;
    const uint8_t *arguments;
    size_t length;
} calling;

/* Pushes what a task may have called: functions of the module, and those of the embedding program by their names. */
static void push_called(lua_State *L, const calling *call) {
    static const char *const prefixes[] = {"handout.fs.", "handout.host.", NULL};
    int known = strcmp(call->name, "handout.exec") == 0 || strcmp(call->name, "handout.env") == 0;
    for (int i = 0; prefixes[i]; i++) known |= strncmp(call->name, prefixes[i], strlen(prefixes[i])) == 0;
    if (known) handout_push_captured_library(L, call->name);
    if (!known || lua_type(L, -1) != LUA_TFUNCTION) luaL_error(L, "a task called what there is not");
}

/* Protected: argument 1 is the `calling`. Leaves the encoded result in the codec. */
static int perform_protected(lua_State *L) {
    const calling *call = lua_touserdata(L, 1);
    handout_state *state = handout_of(L);
    handout_codec *codec = &state->codec;
    if (strcmp(call->name, HANDOUT_CALL_SCRATCH) == 0) {
        lua_pushstring(L, handout_scratch(L, state->task));
    } else {
        push_called(L, call);
        luaL_checkstack(L, (int)(call->count < 200 ? call->count : 200) + 10, "too many arguments");
        if (call->count > 200) luaL_error(L, "%d arguments, expected at most 200", (int)call->count);
        const uint8_t *at = call->arguments, *end = at + call->length;
        for (uint32_t i = 0; i < call->count; i++) at = handout_decode(L, at, end);
        lua_call(L, (int)call->count, 1);
    }
    codec->out.length = 0;
    codec->out.limit = state->limit;
    handout_encode(L, codec, -1, "result", "cannot reach its task");
    return 0;
}

/* What was raised, at the top, as a body of a reply. */
static void append_error(lua_State *L, handout_buffer *reply) {
    handout_raised *raised = handout_to_raised(L, -1);
    size_t length;
    if (raised) lua_getiuservalue(L, -1, 1);
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : (length = 5, "error");
    handout_put_u8(reply, raised && raised->never_retry ? HANDOUT_REPLY_REFUSED : HANDOUT_REPLY_ERROR);
    handout_put_text(reply, text, length);
}

/* The state for calls, with the libraries open; or NULL. */
static handout_state *state_of(handout_broker *broker) {
    if (broker->state) return broker->state;
    broker->program = *broker->runners->program;
    broker->program.user_globals = 0; /* the script has nothing to do here */
    broker->state = handout_task_state_new(&broker->program, broker->runners->tables, broker->runners->host, broker->slot);
    return broker->state;
}

static void drop(handout_broker *broker) {
    handout_task_state_free(broker->state);
    broker->state = NULL;
}

int handout_broker_call(handout_broker *broker, const handout_lease_item *item, uint64_t deadline, const char *asker,
                        handout_reading *from, handout_buffer *reply, char *message, size_t size) {
    calling call = {.name = handout_get_text(from, NULL), .count = handout_get_u32(from)};
    call.arguments = (const uint8_t *)handout_get_text(from, &call.length);
    handout_state *state = state_of(broker);
    if (!state || from->bad) {
        snprintf(message, size, state ? "the runner sent what is no call" : "no memory left for a Lua state");
        return HANDOUT_CRASH;
    }
    handout_runner *runner = state->task_runner;
    lua_State *L = state->L;
    size_t before = reply->length;
    state->message[0] = 0;
    int reason = setjmp(state->entry);
    if (reason != 0) {
        handout_deadline_end(broker->slot);
        reply->length = before;
        snprintf(message, size, "%s", reason == HANDOUT_TIMEOUT ? "" : state->message);
        drop(broker);
        return reason;
    }
    handout_enter(state);
    state->task = runner;
    handout_runner_begin(runner, item);
    runner->asker = asker;
    uint64_t now = handout_now();
    int status = handout_runner_open(L, runner);
    handout_deadline_begin(broker->slot, state, deadline == 0 ? 0 : deadline > now ? deadline - now : 1);
    if (status == LUA_OK) {
        lua_pushcfunction(L, perform_protected);
        lua_pushlightuserdata(L, &call);
        status = lua_pcall(L, 1, 0, 0);
    }
    handout_check(state);
    handout_deadline_end(broker->slot);
    if (status == LUA_OK) {
        handout_put_u8(reply, HANDOUT_REPLY_VALUE);
        handout_put_text(reply, state->codec.out.data, state->codec.out.length);
    } else {
        append_error(L, reply);
    }
    lua_settop(L, HANDOUT_INSTANCES);
    state->task = NULL;
    runner->item = NULL;
    handout_exit(state);
    return 0;
}

void handout_broker_attempt_end(handout_broker *broker) {
    if (broker->state) handout_attempt_end(broker->state->task_runner);
}

void handout_broker_free(handout_broker *broker) { drop(broker); }
