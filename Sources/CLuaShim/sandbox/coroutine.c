/* The coroutine library, keeping track of the coroutine that runs: a deadline's hook goes there. */
#include "sandbox.h"

enum { RESUMING = 100 }; /* instructions that a resume counts as: the hook's own count begins anew in each coroutine */
enum { CLOSE_DEPTH = 16 }; /* a longer chain overflows the C stack in 5.4.4 (1e64c139) */

static lua_State *check_coroutine(lua_State *L) {
    lua_State *coroutine = lua_tothread(L, 1);
    luaL_argexpected(L, coroutine != NULL, 1, "coroutine");
    return coroutine;
}

/* lua_resume with `running` kept. A deadline's signal that comes just before `running` changes arms the
 * wrong hook; it is repeated at the next tick. */
static int tracked_resume(lua_State *L, lua_State *coroutine, int arguments, int *results) {
    handout_state *state = handout_of(L);
    handout_check(state);
    handout_spend(state, RESUMING);
    state->running = coroutine;
    int status = lua_resume(coroutine, L, arguments, results);
    state->running = L;
    handout_check(state);
    return status;
}

static int tracked_reset(lua_State *L, lua_State *coroutine) {
    handout_state *state = handout_of(L);
    if (state->close_depth >= CLOSE_DEPTH) return luaL_error(L, "coroutines closed in each other too deeply");
    state->close_depth++;
    handout_check(state);
    state->running = coroutine;
    int status = lua_resetthread(coroutine);
    state->running = L;
    state->close_depth--;
    handout_check(state);
    return status;
}

/* Moves `arguments` values over and the results back. Returns their number, or -1 with an error value
 * pushed. */
static int resume(lua_State *L, lua_State *coroutine, int arguments) {
    int results;
    if (!lua_checkstack(coroutine, arguments)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    lua_xmove(L, coroutine, arguments);
    int status = tracked_resume(L, coroutine, arguments, &results);
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(coroutine, L, 1);
        return -1;
    }
    if (!lua_checkstack(L, results + 1)) {
        lua_pop(coroutine, results);
        lua_pushliteral(L, "too many results to resume");
        return -1;
    }
    lua_xmove(coroutine, L, results);
    return results;
}

static int coroutine_resume(lua_State *L) {
    lua_State *coroutine = check_coroutine(L);
    int results = resume(L, coroutine, lua_gettop(L) - 1);
    lua_pushboolean(L, results >= 0);
    if (results < 0) results = 1;
    lua_insert(L, -(results + 1));
    return results + 1;
}

static int wrapped(lua_State *L) {
    lua_State *coroutine = lua_tothread(L, lua_upvalueindex(1));
    int results = resume(L, coroutine, lua_gettop(L));
    if (results >= 0) return results;
    int status = lua_status(coroutine);
    if (status != LUA_OK && status != LUA_YIELD) { /* it raised, rather than could not be resumed */
        status = tracked_reset(L, coroutine);
        lua_xmove(coroutine, L, 1);
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int coroutine_wrap(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    handout_check(handout_of(L));
    lua_State *coroutine = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, coroutine, 1);
    lua_pushcclosure(L, wrapped, 1);
    return 1;
}

/* What cannot be closed, or NULL. */
static const char *busy(lua_State *L, lua_State *coroutine) {
    lua_Debug ar;
    if (L == coroutine) return "running";
    if (lua_status(coroutine) == LUA_OK && lua_getstack(coroutine, 0, &ar)) return "normal";
    return NULL;
}

static int coroutine_close(lua_State *L) {
    lua_State *coroutine = check_coroutine(L);
    const char *status = busy(L, coroutine);
    if (status != NULL) return luaL_error(L, "cannot close a %s coroutine", status);
    if (tracked_reset(L, coroutine) == LUA_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushboolean(L, 0);
    lua_xmove(coroutine, L, 1);
    return 2;
}

/* A script that runs again does so in a coroutine, so that it can be suspended. It must not see that: planning ran it on the
 * main thread. */
static int is_script(lua_State *L) { return handout_of(L)->script == L; }

/* It is left by a jump each time: the thread sanitizer must not count it as entered. */
#if defined(__clang__)
__attribute__((disable_sanitizer_instrumentation))
#endif
static int coroutine_yield(lua_State *L) {
    if (is_script(L)) return luaL_error(L, "attempt to yield from outside a coroutine");
    return lua_yield(L, lua_gettop(L));
}

static int coroutine_isyieldable(lua_State *L) {
    lua_State *coroutine = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
    lua_pushboolean(L, !is_script(coroutine) && lua_isyieldable(coroutine));
    return 1;
}

static int coroutine_running(lua_State *L) {
    int main = lua_pushthread(L);
    lua_pushboolean(L, main || is_script(L));
    return 2;
}

void handout_fix_coroutine(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"resume", coroutine_resume},   {"wrap", coroutine_wrap},
        {"close", coroutine_close},     {"yield", coroutine_yield},
        {"isyieldable", coroutine_isyieldable}, {"running", coroutine_running},
        {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
