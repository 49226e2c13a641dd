/* Template mode: on a host that was sent the source, the functions of tasks are found by running the script again. */
#include "plan.h"

enum { MAX_DEPTH = 150 };

void handout_push_templates(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_TEMPLATES); }

static int same_class(const handout_class *a, const handout_class *b) {
    return a->identity == b->identity && a->line == b->line && a->last_line == b->last_line && a->upvalues == b->upvalues;
}

/* The plan's class for a class of this state, or HANDOUT_NONE. Indices of sources and numbers of variants say nothing here:
 * this state may meet them in another order, since calls of the script are not looked at, and tasks require modules. */
static uint32_t plan_class(handout_recorder *recorder, uint32_t class) {
    const handout_class *mine = &((handout_class_record *)recorder->classes.data + class)->public;
    const handout_tables *tables = recorder->tables;
    /* Seen in the same order: the usual case. */
    if (class < tables->class_count && same_class(&tables->class_list[class], mine)) return class;
    for (uint32_t i = 0; i < tables->class_count; i++)
        if (same_class(&tables->class_list[i], mine)) return i;
    return HANDOUT_NONE;
}

static void see_captured(lua_State *L, handout_recorder *recorder, int index, int depth);

/* Keeps the function at `index` as its class's template when it is the first. */
static void see_function(lua_State *L, handout_recorder *recorder, int index, int depth) {
    uint32_t class = plan_class(recorder, handout_class_of(L, recorder, index));
    if (class == HANDOUT_NONE) return;
    luaL_checkstack(L, 8, "templates");
    handout_push_templates(L);
    int known = lua_rawgeti(L, -1, (lua_Integer)class + 1) != LUA_TNIL;
    lua_pop(L, 1);
    if (!known) {
        lua_pushvalue(L, index);
        lua_rawseti(L, -2, (lua_Integer)class + 1);
        recorder->missing--;
    }
    lua_pop(L, 1);
    if (!known || (recorder->thorough && depth < MAX_DEPTH)) see_captured(L, recorder, index, depth);
}

static void see_captured(lua_State *L, handout_recorder *recorder, int index, int depth) {
    if (recorder->missing == 0) return;
    for (int u = 1; lua_getupvalue(L, index, u); u++) {
        if (lua_type(L, -1) == LUA_TFUNCTION && !lua_iscfunction(L, -1))
            see_function(L, recorder, lua_gettop(L), depth + 1);
        lua_pop(L, 1);
    }
}

int handout_see_template(lua_State *L, handout_recorder *recorder, int index) {
    if (recorder->missing == 0) return 0;
    see_function(L, recorder, lua_absindex(L, index), 0);
    if (recorder->wanted == HANDOUT_NONE) return 0;
    handout_push_templates(L);
    int there = lua_rawgeti(L, -1, (lua_Integer)recorder->wanted + 1) != LUA_TNIL;
    lua_pop(L, 2);
    return there;
}

void handout_recorder_finish_templates(lua_State *L, handout_recorder *recorder) {
    handout_push_templates(L);
    int templates = lua_gettop(L);
    /* Captured variables may have been assigned after the function was declared. New templates are looked into as they
     * are found, so one pass over those of before is enough. */
    for (uint32_t class = 0; class < recorder->tables->class_count && recorder->missing; class++) {
        if (lua_rawgeti(L, templates, (lua_Integer)class + 1) == LUA_TFUNCTION)
            see_captured(L, recorder, lua_gettop(L), 0);
        lua_settop(L, templates);
    }
    lua_pop(L, 1);
}
