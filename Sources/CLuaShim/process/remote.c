/* A runner's calls: what only the supervisor may do for a task, or knows. */
#include "remote.h"
#include "grants.h"
#include "task.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MILLISECOND = 1000000 };

/* ---- Frames ---- */

void handout_remote_send(handout_remote *remote) {
    if (handout_frame_send(remote->socket, &remote->out, -1)) _exit(0);
}

uint32_t handout_remote_receive(handout_remote *remote, handout_reading *body) {
    uint32_t kind;
    int got;
    while ((got = handout_inbox_next(&remote->inbox, &kind, body)) == 0)
        if (handout_inbox_fill(&remote->inbox, remote->socket) <= 0) _exit(0);
    if (got < 0) _exit(1);
    return kind;
}

/* Waits for the reply to what was asked. */
static handout_reading reply(handout_remote *remote) {
    handout_reading body;
    handout_remote_send(remote);
    if (handout_remote_receive(remote, &body) != HANDOUT_FRAME_REPLY) _exit(1);
    return body;
}

static void end_frame(handout_remote *remote, size_t start, int bad) {
    if (handout_frame_end(&remote->out, start, bad)) _exit(1); /* no memory: nothing can be said any more */
}

/* ---- Completions ---- */

void handout_remote_flush(handout_remote *remote, int is_last) {
    handout_slot *slot = remote->slot;
    uint32_t done = atomic_load_explicit(&slot->done, memory_order_relaxed);
    size_t start = handout_frame_begin(&remote->out, HANDOUT_FRAME_DONE);
    end_frame(remote, start, handout_put_done(&remote->out, slot->completions, remote->flushed, done, is_last));
    for (uint32_t i = remote->flushed; i < done; i++) {
        handout_value_free(&slot->completions[i].value);
        handout_failure_free(slot->completions[i].failure);
    }
    remote->flushed = done;
    handout_remote_send(remote);
}

void handout_remote_begin(handout_slot *slot, uint32_t index, uint64_t now) {
    handout_remote *remote = slot->remote;
    int granted = slot->items[index].grant != HANDOUT_NONE;
    uint32_t done = atomic_load_explicit(&slot->done, memory_order_relaxed);
    if (done > remote->flushed && (granted || remote->granted || now > remote->flushed_at + MILLISECOND)) {
        handout_remote_flush(remote, 0);
        remote->flushed_at = now;
    }
    remote->granted = granted;
    atomic_store_explicit(&remote->page->running, index, memory_order_relaxed);
    atomic_store_explicit(&remote->page->started, now, memory_order_release);
}

/* ---- Callbacks ---- */

static void send_log(void *context, uint32_t task, int level, const char *text, size_t length) {
    handout_remote *remote = context;
    size_t start = handout_frame_begin(&remote->out, HANDOUT_FRAME_LOG);
    int bad = handout_put_u32(&remote->out, task) | handout_put_u32(&remote->out, (uint32_t)level);
    end_frame(remote, start, bad | handout_put_text(&remote->out, text, length));
    handout_remote_send(remote);
}

static void send_progress(void *context, uint32_t task, double fraction, const char *text, size_t length) {
    handout_remote *remote = context;
    size_t start = handout_frame_begin(&remote->out, HANDOUT_FRAME_PROGRESS);
    int bad = handout_put_u32(&remote->out, task) | handout_put(&remote->out, &fraction, sizeof fraction);
    end_frame(remote, start, bad | handout_put_text(&remote->out, text, length));
    handout_remote_send(remote);
}

static size_t ask_name(void *context, uint32_t task, char *text, size_t size) {
    handout_remote *remote = context;
    size_t start = handout_frame_begin(&remote->out, HANDOUT_FRAME_NAME), length;
    end_frame(remote, start, handout_put_u32(&remote->out, task));
    handout_reading body = reply(remote);
    const char *name = handout_get_text(&body, &length);
    if (text) memcpy(text, name, length < size ? length : size);
    return length;
}

static char *copied(const char *text, size_t length) {
    char *to = malloc(length + 1);
    if (!to) _exit(1);
    memcpy(to, text, length);
    to[length] = 0;
    return to;
}

static handout_module *find_module(const handout_remote *remote, const char *name, size_t length) {
    handout_module *module = remote->modules;
    while (module && (module->name_length != length || memcmp(module->name, name, length) != 0)) module = module->next;
    return module;
}

static int ask_module(void *context, const char *name, size_t length, const char **source, size_t *size, const char **chunk_name,
                      uint32_t *index, char *error, size_t error_size) {
    handout_remote *remote = context;
    handout_module *module = find_module(remote, name, length);
    if (!module) {
        size_t start = handout_frame_begin(&remote->out, HANDOUT_FRAME_MODULE), text_length;
        end_frame(remote, start, handout_put_text(&remote->out, name, length));
        handout_reading body = reply(remote);
        int status = handout_get_u8(&body);
        uint32_t number = handout_get_u32(&body);
        const char *chunk = handout_get_text(&body, NULL), *text = handout_get_text(&body, &text_length);
        if (status) {
            snprintf(error, error_size, "%s", text);
            return -1;
        }
        module = calloc(1, sizeof *module);
        if (!module) _exit(1);
        *module = (handout_module){remote->modules, copied(name, length), copied(chunk, strlen(chunk)),
                                   copied(text, text_length), length, text_length, number};
        remote->modules = module;
    }
    *source = module->source;
    *size = module->size;
    *chunk_name = module->chunk_name;
    *index = module->index;
    return 0;
}

void handout_remote_host(handout_remote *remote, handout_host *host) {
    *host = (handout_host){.context = remote, .log = send_log, .progress = send_progress, .module = ask_module, .task_name = ask_name};
}

/* ---- Calls ---- */

/* Appends all that is on the stack to the state's codec. */
static void encode_arguments(lua_State *L, const char *call) {
    handout_codec *codec = &handout_of(L)->codec;
    char root[100];
    codec->out.length = 0;
    codec->out.limit = handout_of(L)->limit;
    for (int i = 1, count = lua_gettop(L); i <= count; i++) {
        snprintf(root, sizeof root, "%.60s: argument %d", call, i);
        handout_encode(L, codec, i, root, "cannot leave its task");
    }
}

/* `bad argument #1 to '?'`: who raised it was called by no Lua code, and does not know its name. */
static void push_message(lua_State *L, const char *call, const char *text, size_t length) {
    static const char unnamed[] = "to '?' (";
    const char *at = length > 20 && strncmp(text, "bad argument #", 14) == 0 ? strstr(text, unnamed) : NULL;
    if (!at) {
        lua_pushlstring(L, text, length);
        return;
    }
    const char *last = strrchr(call, '.');
    lua_pushlstring(L, text, (size_t)(at - text));
    lua_pushfstring(L, "to '%s' (", last ? last + 1 : call);
    at += sizeof unnamed - 1;
    lua_pushlstring(L, at, length - (size_t)(at - text));
    lua_concat(L, 3);
}

/* The line that calls, for what is said when the call does not come back. */
static int put_place(lua_State *L, handout_buffer *out) {
    lua_Debug ar = {0};
    const char *file = "";
    for (int level = 0; level < 10 && lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline <= 0) continue;
        file = ar.source[0] == '@' || ar.source[0] == '=' ? ar.source + 1 : ar.short_src;
        break;
    }
    int line = *file ? ar.currentline : 0;
    return handout_put_text(out, file, strnlen(file, 300)) | handout_put_u32(out, (uint32_t)line);
}

int handout_remote_perform(lua_State *L, const char *name, const char *call) {
    handout_state *state = handout_of(L);
    handout_remote *remote = handout_remote_of(L);
    if (!handout_runner_of(L) || state->planning) return luaL_error(L, "handout.%s is only there inside a task", call);
    encode_arguments(L, call);
    size_t start = handout_frame_begin(&remote->out, HANDOUT_FRAME_CALL), length;
    int bad = put_place(L, &remote->out) | handout_put_text(&remote->out, name, strlen(name));
    bad |= handout_put_u32(&remote->out, (uint32_t)lua_gettop(L));
    bad |= handout_put_text(&remote->out, state->codec.out.data, state->codec.out.length);
    if (handout_frame_end(&remote->out, start, bad)) handout_leave(state, HANDOUT_MEMORY, "no memory left for the arguments of a call");
    handout_reading body = reply(remote);
    int status = handout_get_u8(&body);
    const char *bytes = handout_get_text(&body, &length);
    handout_check(state);
    if (status == HANDOUT_REPLY_VALUE) {
        handout_decode(L, (const uint8_t *)bytes, (const uint8_t *)bytes + length);
        return 1;
    }
    if (status == HANDOUT_REPLY_REFUSED) handout_refuse_call(L, "%.*s", (int)length, bytes);
    luaL_where(L, 1);
    push_message(L, call, bytes, length);
    lua_concat(L, 2);
    return lua_error(L);
}

/* Upvalues: the name beneath `handout`, and what messages call it. */
static int perform(lua_State *L) {
    return handout_remote_perform(L, lua_tostring(L, lua_upvalueindex(1)), lua_tostring(L, lua_upvalueindex(2)));
}

void handout_set_functions(lua_State *L, const luaL_Reg *functions, const char *prefix) {
    if (!handout_remote_of(L)) {
        luaL_setfuncs(L, functions, 0);
        return;
    }
    for (; functions->name; functions++) {
        lua_pushfstring(L, "handout.%s%s", prefix, functions->name);
        lua_pushfstring(L, "%s%s", prefix, functions->name);
        lua_pushcclosure(L, perform, 2);
        lua_setfield(L, -2, functions->name);
    }
}
