/* What a strategy asks of the views: tasks that are ready, classes, and what fits where. */
#include "strategy.h"
#include "sandbox.h"
#include <string.h>

static handout_view *valid(lua_State *L, int index, enum handout_view_kind kind, const char *what) {
    handout_view *view = handout_to_view(L, index, kind);
    char shown[160];
    if (!view) {
        handout_describe(L, index, shown, sizeof shown);
        luaL_error(L, "expected %s, got %s", what, shown);
    }
    if (view->round != handout_strategy_of(L)->round) handout_raise_old_view(L, what);
    return view;
}

/* Pushes the view of a task that the round has one of already, or a new one. */
static void push_known_task(lua_State *L, handout_strategy *strategy, const handout_task_view *task) {
    if (strategy->tasks == LUA_NOREF) {
        handout_push_task_view(L, strategy, task);
        return;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, strategy->tasks);
    if (lua_rawgeti(L, -1, (lua_Integer)task->task + 1) != LUA_TUSERDATA) {
        lua_pop(L, 1);
        handout_push_task_view(L, strategy, task);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, (lua_Integer)task->task + 1);
    }
    lua_remove(L, -2);
}

void handout_push_class(lua_State *L, handout_strategy *strategy, uint32_t index) {
    if (strategy->classes == LUA_NOREF) {
        lua_newtable(L);
        strategy->classes = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, strategy->classes);
    if (lua_rawgeti(L, -1, (lua_Integer)index + 1) != LUA_TUSERDATA) {
        lua_pop(L, 1);
        handout_push_simple_view(L, strategy, HANDOUT_VIEW_CLASS);
        ((handout_view *)lua_touserdata(L, -1))->index = index;
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, (lua_Integer)index + 1);
    }
    lua_remove(L, -2);
}

/* ---- Lists ---- */

/* The view at stack index 1, of what is ready or of the workers. */
static handout_view *list_at(lua_State *L) {
    if (handout_to_view(L, 1, HANDOUT_VIEW_READY)) return valid(L, 1, HANDOUT_VIEW_READY, "what is ready");
    return valid(L, 1, HANDOUT_VIEW_WORKERS, "the workers");
}

static lua_Integer length_of(const handout_view *list, const handout_strategy *strategy) {
    return list->kind == HANDOUT_VIEW_READY ? (lua_Integer)strategy->view->ready_count : strategy->view->worker_count;
}

/* Pushes the element, which is there. Returns 0 where the caller has none after all. */
static int push_element(lua_State *L, handout_strategy *strategy, const handout_view *list, lua_Integer place) {
    handout_task_view task;
    if (list->kind == HANDOUT_VIEW_WORKERS) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, strategy->views);
        handout_push_worker(L, strategy, lua_gettop(L), (uint32_t)place);
        return 1;
    }
    memset(&task, 0, sizeof task);
    if (strategy->view->ready(strategy->view->caller, (uint64_t)place, &task)) return 0;
    push_known_task(L, strategy, &task);
    return 1;
}

int handout_list_index(lua_State *L) {
    handout_strategy *strategy = handout_strategy_of(L);
    const handout_view *list = list_at(L);
    int whole;
    lua_Integer place = lua_type(L, 2) == LUA_TNUMBER ? lua_tointegerx(L, 2, &whole) : 0;
    if (place < 1 || place > length_of(list, strategy)) return 0;
    return push_element(L, strategy, list, place - 1);
}

int handout_list_length(lua_State *L) {
    lua_pushinteger(L, length_of(list_at(L), handout_strategy_of(L)));
    return 1;
}

static int list_next(lua_State *L) {
    handout_strategy *strategy = handout_strategy_of(L);
    const handout_view *list = list_at(L);
    lua_Integer place = lua_tointeger(L, 2);
    if (place < 0 || place >= length_of(list, strategy)) return 0;
    lua_pushinteger(L, place + 1);
    return push_element(L, strategy, list, place) ? 2 : 0;
}

int handout_list_pairs(lua_State *L) {
    lua_pushcfunction(L, list_next);
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 0);
    return 3;
}

int handout_workers_get(lua_State *L) {
    handout_strategy *strategy = handout_strategy_of(L);
    valid(L, 1, HANDOUT_VIEW_WORKERS, "the workers");
    size_t length;
    const char *id = luaL_checklstring(L, 2, &length);
    const handout_strategy_view *view = strategy->view;
    for (uint32_t i = 0; i < view->worker_count; i++) {
        if (view->workers[i].id.length != length || memcmp(view->workers[i].id.bytes, id, length) != 0) continue;
        lua_rawgeti(L, LUA_REGISTRYINDEX, strategy->views);
        handout_push_worker(L, strategy, lua_gettop(L), i);
        return 1;
    }
    return 0;
}

/* ---- Classes ---- */

/* Upvalues: the view of what is ready, the place. */
static int next_class(lua_State *L) {
    handout_strategy *strategy = handout_strategy_of(L);
    const handout_view *ready = lua_touserdata(L, lua_upvalueindex(1));
    lua_Integer place = lua_tointeger(L, lua_upvalueindex(2));
    if (ready->round != strategy->round) handout_raise_old_view(L, "what is ready");
    if (place >= strategy->view->class_count) return 0;
    lua_pushinteger(L, place + 1);
    lua_replace(L, lua_upvalueindex(2));
    handout_push_class(L, strategy, (uint32_t)place);
    return 1;
}

int handout_ready_classes(lua_State *L) {
    valid(L, 1, HANDOUT_VIEW_READY, "what is ready");
    lua_settop(L, 1);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_class, 2);
    return 1;
}

/* Upvalues: the view of the class, how many are left. */
static int next_task(lua_State *L) {
    handout_strategy *strategy = handout_strategy_of(L);
    const handout_view *class = lua_touserdata(L, lua_upvalueindex(1));
    lua_Integer left = lua_tointeger(L, lua_upvalueindex(2));
    if (class->round != strategy->round) handout_raise_old_view(L, "a class");
    if (left <= 0) return 0;
    uint64_t *taken = (uint64_t *)(void *)strategy->cursors.data + class->index;
    handout_task_view task;
    memset(&task, 0, sizeof task);
    if (strategy->view->take(strategy->view->caller, class->index, *taken, &task)) return 0;
    ++*taken;
    lua_pushinteger(L, left - 1);
    lua_replace(L, lua_upvalueindex(2));
    push_known_task(L, strategy, &task);
    return 1;
}

int handout_class_take(lua_State *L) {
    handout_strategy *strategy = handout_strategy_of(L);
    valid(L, 1, HANDOUT_VIEW_CLASS, "a class");
    lua_Integer count = luaL_checkinteger(L, 2);
    if (strategy->tasks == LUA_NOREF) return luaL_error(L, "take: only allocate takes tasks");
    lua_settop(L, 1);
    lua_pushinteger(L, count);
    lua_pushcclosure(L, next_task, 2);
    return 1;
}

/* ---- Workers ---- */

int handout_worker_fits(lua_State *L) {
    const handout_strategy_view *view = handout_strategy_of(L)->view;
    const handout_view *worker = valid(L, 1, HANDOUT_VIEW_WORKER, "a worker");
    const handout_view *what = handout_to_view(L, 2, HANDOUT_VIEW_CLASS);
    what = what ? valid(L, 2, HANDOUT_VIEW_CLASS, "a class") : valid(L, 2, HANDOUT_VIEW_TASK, "a task or a class");
    lua_pushinteger(L, (lua_Integer)view->fits(view->caller, what->index, worker->index));
    return 1;
}

int handout_worker_has(lua_State *L) {
    const handout_strategy_view *view = handout_strategy_of(L)->view;
    const handout_view *worker = valid(L, 1, HANDOUT_VIEW_WORKER, "a worker");
    const handout_view *task = valid(L, 2, HANDOUT_VIEW_TASK, "a task");
    lua_pushinteger(L, (lua_Integer)view->has(view->caller, ((const handout_task_object *)task)->task.task, worker->index));
    return 1;
}
