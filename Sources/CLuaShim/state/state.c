/* A Lua state with its arena, made and freed. */
#include "state.h"
#include <stdio.h>
#include <stdlib.h>

/* An error outside of every protected call: a mistake of ours, and nothing can be trusted after it. */
static int panic(lua_State *L) {
    const char *message = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "?";
    fprintf(stderr, "handout: Lua error outside of a protected call: %s\n", message);
    abort();
}

handout_state *handout_state_new(size_t memory, const handout_host *host, struct handout_slot *slot) {
    handout_state *state = calloc(1, sizeof *state);
    if (!state) return NULL;
    state->limit = memory;
    state->threshold = memory / 10 * 7;
    state->host = host;
    state->slot = slot;
    state->arena = handout_arena_new();
    state->L = state->arena ? lua_newstate(handout_allocate, state) : NULL;
    if (!state->L) {
        handout_state_free(state);
        return NULL;
    }
    *(handout_state **)lua_getextraspace(state->L) = state;
    lua_atpanic(state->L, panic);
    handout_install_hook(state);
    return state;
}

/* The arena goes as a whole: scripts cannot have finalizers, and an abandoned state must not be walked. */
void handout_state_free(handout_state *state) {
    if (!state) return;
    if (state->arena) handout_arena_free(state->arena);
    handout_codec_free(&state->codec);
    handout_buffer_free(&state->scratch);
    free(state);
}

const char *handout_lua_version(void) { return LUA_VERSION; }

const char *handout_lua_release(void) { return LUA_RELEASE; }

handout_lease_item *handout_slot_items(handout_slot *slot) { return slot->items; }

const handout_completion *handout_slot_completions(const handout_slot *slot) { return slot->completions; }
