/* math.random and randomseed as Lua 5.4 has them (xoshiro256**), but with a state that is seeded for each
 * attempt. */
#include "sandbox.h"

static uint64_t rotate(uint64_t x, int by) { return x << by | x >> (64 - by); }

static uint64_t next_random(uint64_t s[4]) {
    uint64_t result = rotate(s[1] * 5, 7) * 9, shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

static void seed(handout_state *state, uint64_t first, uint64_t second) {
    state->random[0] = first;
    state->random[1] = 0xff;
    state->random[2] = second;
    state->random[3] = 0;
    for (int i = 0; i < 16; i++) next_random(state->random);
    state->random_seeded = 1;
}

/* A uniform number in [0, most], by rejection within the smallest 2^b - 1 that covers it. */
static uint64_t project(uint64_t random, uint64_t most, uint64_t s[4]) {
    if ((most & (most + 1)) == 0) return random & most;
    uint64_t mask = most;
    for (int shift = 1; shift <= 32; shift *= 2) mask |= mask >> shift;
    while ((random &= mask) > most) random = next_random(s);
    return random;
}

/* Of a task the hash of its name: only taken by those that use random numbers. A script that runs again for a task, or a
 * module that it loads, has the numbers that it had when it was planned. */
static uint64_t stream(handout_state *state) {
    return state->task && !state->planning ? handout_task_stream(state) : state->random_stream;
}

static int math_random(lua_State *L) {
    handout_state *state = handout_of(L);
    lua_Integer low = 1, high;
    if (!state->random_seeded) seed(state, state->random_seed, stream(state));
    uint64_t random = next_random(state->random);
    switch (lua_gettop(L)) {
    case 0:
        lua_pushnumber(L, (lua_Number)(random >> 11) * 0x1p-53);
        return 1;
    case 1:
        high = luaL_checkinteger(L, 1);
        if (high != 0) break;
        lua_pushinteger(L, (lua_Integer)random);
        return 1;
    case 2:
        low = luaL_checkinteger(L, 1);
        high = luaL_checkinteger(L, 2);
        break;
    default:
        return luaL_error(L, "wrong number of arguments");
    }
    luaL_argcheck(L, low <= high, lua_gettop(L), "interval is empty");
    random = project(random, (uint64_t)high - (uint64_t)low, state->random);
    lua_pushinteger(L, (lua_Integer)(random + (uint64_t)low));
    return 1;
}

static int math_randomseed(lua_State *L) {
    handout_state *state = handout_of(L);
    lua_Integer first = (lua_Integer)state->random_seed, second = (lua_Integer)stream(state);
    if (!lua_isnone(L, 1)) {
        first = luaL_checkinteger(L, 1);
        second = luaL_optinteger(L, 2, 0);
    }
    seed(state, (uint64_t)first, (uint64_t)second);
    lua_pushinteger(L, first);
    lua_pushinteger(L, second);
    return 2;
}

void handout_fix_math(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"random", math_random}, {"randomseed", math_randomseed}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
