/* What allocate returned: placements, and how long to wait. */
#include "strategy.h"
#include "graph.h"
#include "sandbox.h"
#include <stdio.h>
#include <string.h>

enum { ALLOCATE = 2 };
static const uint64_t longest_wait = 3600ull * 1000000000u;

static _Noreturn void wrong(lua_State *L, handout_strategy *strategy, int index, const char *place, const char *expected) {
    char what[160];
    handout_describe(L, index, what, sizeof what);
    handout_wrong_answer(L, strategy, strategy->functions[ALLOCATE], "%s: expected %s, got %s", place, expected, what);
}

/* Refuses the key under the value at the top, which is none of `names`. */
static _Noreturn void unknown_key(lua_State *L, handout_strategy *strategy, const char *place, const char *const *names) {
    char what[160];
    size_t length = 0;
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : "";
    const char *near = handout_nearest(key, length, names);
    handout_describe(L, -2, what, sizeof what);
    if (near)
        handout_wrong_answer(L, strategy, strategy->functions[ALLOCATE], "%s: unknown key %s (did you mean '%s'?)", place, what, near);
    handout_wrong_answer(L, strategy, strategy->functions[ALLOCATE], "%s: unknown key %s", place, what);
}

/* The task at the top, a view or an id. */
static void read_task(lua_State *L, handout_strategy *strategy, const char *place, handout_task_view *task) {
    const handout_view *view = handout_to_view(L, -1, HANDOUT_VIEW_TASK);
    const handout_strategy_view *seen = strategy->view;
    size_t length;
    if (view && view->round == strategy->round) {
        *task = ((const handout_task_object *)view)->task;
        return;
    }
    if (view) wrong(L, strategy, -1, place, "task = a task of this round");
    if (lua_type(L, -1) != LUA_TSTRING) wrong(L, strategy, -1, place, "task = a task or its id");
    const char *id = lua_tolstring(L, -1, &length);
    if (seen->find(seen->caller, id, length, task)) wrong(L, strategy, -1, place, "task = the id of a ready task");
}

static uint32_t read_worker(lua_State *L, handout_strategy *strategy, const char *place) {
    const handout_view *view = handout_to_view(L, -1, HANDOUT_VIEW_WORKER);
    const handout_strategy_view *seen = strategy->view;
    size_t length;
    if (view && view->round == strategy->round) return view->index;
    if (view) wrong(L, strategy, -1, place, "worker = a worker of this round");
    if (lua_type(L, -1) != LUA_TSTRING) wrong(L, strategy, -1, place, "worker = a worker or its id");
    const char *id = lua_tolstring(L, -1, &length);
    for (uint32_t i = 0; i < seen->worker_count; i++)
        if (seen->workers[i].id.length == length && memcmp(seen->workers[i].id.bytes, id, length) == 0) return i;
    wrong(L, strategy, -1, place, "worker = the id of a worker");
}

/* The placement at the top. */
static void read_placement(lua_State *L, handout_strategy *strategy, const char *place) {
    static const char *const names[] = {"task", "worker", "variant", NULL};
    handout_placement placement = {.worker = HANDOUT_NONE, .variant = HANDOUT_NONE};
    handout_task_view task = {0};
    int has_task = 0, entry = lua_gettop(L), whole;
    lua_Integer variant = 0;
    if (lua_type(L, entry) != LUA_TTABLE) wrong(L, strategy, entry, place, "a table { task =, worker = }");
    for (lua_pushnil(L); lua_next(L, entry); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        if (strcmp(key, "task") == 0) read_task(L, strategy, place, &task), has_task = 1;
        else if (strcmp(key, "worker") == 0) placement.worker = read_worker(L, strategy, place);
        else if (strcmp(key, "variant") == 0) {
            variant = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &whole) : 0;
            if (variant < 1 || !whole) wrong(L, strategy, -1, place, "variant = a whole number from 1");
        } else {
            unknown_key(L, strategy, place, names);
        }
    }
    lua_pushnil(L);
    if (!has_task) wrong(L, strategy, -1, place, "task = a task or its id");
    if (placement.worker == HANDOUT_NONE) wrong(L, strategy, -1, place, "worker = a worker or its id");
    if (variant > strategy->view->classes[task.class_index].variant_count) {
        lua_pushinteger(L, variant);
        wrong(L, strategy, -1, place, "variant = the number of a variant of the task");
    }
    placement.task = task.task;
    if (variant) placement.variant = (uint32_t)variant - 1;
    handout_placement *to = handout_vector_add(&strategy->placements);
    if (!to) handout_exhausted(L);
    *to = placement;
}

/* The second result at the top. */
static uint64_t read_wait(lua_State *L, handout_strategy *strategy) {
    static const char *const names[] = {"wait", NULL};
    uint64_t wait = 0;
    char error[200];
    if (lua_isnil(L, -1)) return 0;
    if (lua_type(L, -1) != LUA_TTABLE) wrong(L, strategy, -1, "second result", "a table { wait = duration }");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || strcmp(lua_tostring(L, -2), "wait") != 0)
            unknown_key(L, strategy, "second result", names);
        if (handout_parse_duration(L, -1, &wait, error, sizeof error))
            handout_wrong_answer(L, strategy, strategy->functions[ALLOCATE], "wait: %s", error);
        if (wait > longest_wait) wrong(L, strategy, -1, "wait", "at most 1h");
    }
    return wait;
}

void handout_read_placements(lua_State *L, handout_strategy *strategy, int index, uint64_t *wait) {
    static const char list[] = "a list of { task =, worker = }";
    lua_settop(L, index + 1);
    *wait = read_wait(L, strategy);
    lua_settop(L, index);
    if (lua_type(L, index) != LUA_TTABLE) wrong(L, strategy, index, "result", list);
    lua_Integer count = handout_table_shape(L);
    if (count < 0) wrong(L, strategy, index, "result", "a list with keys 1 to n");
    if ((uint64_t)count > strategy->view->ready_count)
        handout_wrong_answer(L, strategy, strategy->functions[ALLOCATE], "result: %lld placements, but %llu tasks are ready",
                             (long long)count, (unsigned long long)strategy->view->ready_count);
    for (lua_Integer i = 1; i <= count; i++, lua_settop(L, index)) {
        char place[40];
        if ((i & 0xFF) == 0) handout_check(handout_of(L));
        snprintf(place, sizeof place, "placement %lld", (long long)i);
        lua_rawgeti(L, index, i);
        read_placement(L, strategy, place);
    }
}
