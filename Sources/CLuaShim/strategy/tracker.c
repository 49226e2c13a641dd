/* handout.tracker: what the file of trackers declares. */
#include "tracker.h"
#include "sandbox.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const handout_tracker_functions[4] = {"register", "probe", "request", "release"};

static char key_trackers; /* registry: tables that handout.tracker was given → true */

enum { MOST_TRACKERS = 1000 };
static const uint64_t second = 1000000000u;

/* ---- Fields; the value is at the top ---- */

static void read_provides(lua_State *L, handout_recorder *recorder, handout_trackers *trackers, const char *who,
                          handout_tracker_facts *facts) {
    int list = lua_gettop(L);
    lua_Integer count = lua_type(L, list) == LUA_TTABLE ? handout_table_shape(L) : -2;
    if (count < 0 || count > MOST_TRACKERS) {
        handout_refuse_field(L, recorder, who, "provides", "a list of names of resources");
        return;
    }
    size_t first = trackers->provided.count;
    for (lua_Integer i = 1; i <= count; i++, lua_settop(L, list)) {
        char place[40];
        snprintf(place, sizeof place, "provides[%lld]", (long long)i);
        lua_rawgeti(L, list, i);
        const char *name = handout_field_text(L, recorder, who, place, "the name of a resource");
        if (!name) continue;
        if (!handout_is_resource_name(name, strlen(name))) {
            handout_refuse_field(L, recorder, who, place, "1 to 200 letters, digits, '_', '-' and '/'");
            continue;
        }
        char *const *known = (char *const *)trackers->provided.data;
        int taken = 0;
        for (size_t k = 0; k < trackers->provided.count; k++) taken |= strcmp(known[k], name) == 0;
        if (taken) handout_refuse(L, recorder, "duplicate", "%s: field '%s': resource '%s' is provided before", who, place, name);
        else handout_keep_text(L, &trackers->provided, name, strlen(name));
    }
    facts->provide_count = (uint32_t)(trackers->provided.count - first);
}

static void read_scope(lua_State *L, handout_recorder *recorder, const char *who, handout_tracker_facts *facts) {
    const char *scope = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    facts->of_cluster = strcmp(scope, "cluster") == 0;
    if (!facts->of_cluster && strcmp(scope, "worker") != 0)
        handout_refuse_field(L, recorder, who, "scope", "\"worker\" or \"cluster\"");
}

static void read_every(lua_State *L, handout_recorder *recorder, const char *who, handout_tracker_facts *facts) {
    if (!handout_field_duration(L, recorder, who, "every", &facts->every) && facts->every < second)
        handout_refuse_field(L, recorder, who, "every", "a duration of at least 1 s");
}

static void read_name(lua_State *L, handout_recorder *recorder, handout_trackers *trackers, char *who, size_t size,
                      handout_tracker_facts *facts) {
    char what[160];
    size_t length = 0;
    const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
    const char *wrong = name ? handout_check_id(name, length) : NULL;
    handout_describe(L, -1, what, sizeof what);
    facts->name = "";
    if (!name) handout_refuse(L, recorder, "id", "%s: the name is a string, got %s", who, what);
    else if (wrong) handout_refuse(L, recorder, "id", "tracker %s: not an id: %s", what, wrong);
    if (!name || wrong) return;
    facts->name = handout_keep_text(L, &trackers->texts, name, length);
    snprintf(who, size, "tracker '%s'", name);
    const handout_tracker *others = (const handout_tracker *)trackers->list.data;
    for (size_t i = 0; i < trackers->list.count; i++)
        if (strcmp(others[i].facts.name, name) == 0) handout_refuse(L, recorder, "duplicate", "%s: the name is taken", who);
}

static void read_function(lua_State *L, handout_recorder *recorder, const char *who, handout_tracker *tracker, int function) {
    if (lua_type(L, -1) != LUA_TFUNCTION) {
        handout_refuse_field(L, recorder, who, handout_tracker_functions[function], "a function");
        return;
    }
    lua_pushvalue(L, -1);
    tracker->functions[function] = luaL_ref(L, LUA_REGISTRYINDEX);
    tracker->facts.has[function] = 1;
}

/* Replaces what is at the top by the field, nil where it is not there. */
static int has_field(lua_State *L, int table, int top, const char *name) {
    lua_settop(L, top);
    lua_pushstring(L, name);
    return lua_rawget(L, table) != LUA_TNIL;
}

/* The tracker at stack index `table`, the `place`th. */
static void read_tracker(lua_State *L, handout_trackers *trackers, int table, lua_Integer place) {
    static const char *const names[] = {"name", "provides", "scope", "every", "grant", "register", "probe", "request", "release", NULL};
    handout_recorder *recorder = &trackers->file.recorder;
    handout_tracker tracker = {.grant = HANDOUT_NONE, .facts.every = 30 * second};
    handout_option_set set = {.grant = HANDOUT_NONE};
    char who[300];
    int top = lua_gettop(L);
    snprintf(who, sizeof who, "tracker %lld", (long long)place);
    for (int i = 0; i < 4; i++) tracker.functions[i] = LUA_NOREF;
    has_field(L, table, top, "name");
    read_name(L, recorder, trackers, who, sizeof who, &tracker.facts);
    if (has_field(L, table, top, "provides")) read_provides(L, recorder, trackers, who, &tracker.facts);
    if (has_field(L, table, top, "scope")) read_scope(L, recorder, who, &tracker.facts);
    if (has_field(L, table, top, "every")) read_every(L, recorder, who, &tracker.facts);
    if (has_field(L, table, top, "grant")) handout_read_grant(L, recorder, who, &set);
    tracker.grant = set.grant;
    for (int i = 0; i < 4; i++)
        if (has_field(L, table, top, handout_tracker_functions[i])) read_function(L, recorder, who, &tracker, i);
    lua_settop(L, top);
    handout_refuse_unknown_fields(L, recorder, who, table, names, 0);
    if (!tracker.facts.has[HANDOUT_TRACKER_PROBE] && !tracker.facts.has[HANDOUT_TRACKER_REGISTER])
        handout_refuse(L, recorder, "field", "%s: expected a function probe or register, got none", who);
    handout_tracker *to = handout_vector_add(&trackers->list);
    if (!to) handout_exhausted(L);
    *to = tracker;
}

void handout_read_trackers(lua_State *L, handout_trackers *trackers, int index) {
    lua_Integer count = (lua_Integer)lua_rawlen(L, index);
    luaL_checkstack(L, 30, "trackers");
    if (count > MOST_TRACKERS) luaL_error(L, "more than 1000 trackers");
    if (count == 0) read_tracker(L, trackers, index, 1);
    for (lua_Integer i = 1; i <= count; i++) {
        char what[160];
        if (lua_rawgeti(L, index, i) == LUA_TTABLE) {
            read_tracker(L, trackers, lua_gettop(L), i);
        } else {
            handout_describe(L, -1, what, sizeof what);
            handout_refuse(L, &trackers->file.recorder, "field", "tracker %lld: expected a table, got %s", (long long)i, what);
        }
        lua_pop(L, 1);
    }
}

/* ---- The call ---- */

/* Notes that the table at stack index 1 was given, and those in it where it is a list. */
static void note_given(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key_trackers) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &key_trackers);
    }
    lua_pushvalue(L, 1);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
}

/* Whether the table at `index` was given to handout.tracker. */
static int is_given(lua_State *L, int index) {
    index = lua_absindex(L, index);
    int given = 0;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key_trackers) == LUA_TTABLE) {
        lua_pushvalue(L, index);
        given = lua_rawget(L, -2) == LUA_TBOOLEAN;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return given;
}

int handout_module_tracker(lua_State *L) {
    handout_recorder *recorder = handout_recorder_of(L);
    handout_only_planning(L, "handout.tracker");
    lua_settop(L, 1);
    if (recorder->purpose != HANDOUT_FOR_TRACKER) {
        handout_refuse(L, recorder, "script", "handout.tracker is for a file of trackers (worker --tracker FILE)");
        return 1;
    }
    if (lua_type(L, 1) != LUA_TTABLE) {
        char what[160];
        handout_describe(L, 1, what, sizeof what);
        handout_refuse(L, recorder, "field", "tracker: expected a table, or a list of them, got %s", what);
        return 1;
    }
    note_given(L);
    lua_settop(L, 1);
    handout_read_trackers(L, recorder->reads, 1);
    return 1;
}

/* Each thing in the list at `index` was given; a list that was given as a whole counts too. */
static int all_given(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TTABLE) return 0;
    if (is_given(L, index)) return 1;
    lua_Integer count = (lua_Integer)lua_rawlen(L, index);
    for (lua_Integer i = 1; i <= count; i++) {
        int good = lua_rawgeti(L, index, i) == LUA_TTABLE && is_given(L, -1);
        lua_pop(L, 1);
        if (!good) return 0;
    }
    return count > 0;
}

/* The file gave the value at the top. */
static void check_returned(lua_State *L, handout_file *file, void *data) {
    (void)data;
    char what[160];
    if (!all_given(L, lua_gettop(L)) && file->recorder.errors.count == 0) {
        handout_describe(L, -1, what, sizeof what);
        handout_refuse(L, &file->recorder, "script",
                       "the file returned %s, expected trackers (return handout.tracker{ ... }, or a list of them)", what);
    }
    handout_use_planning_libraries(file->state, 0);
    file->state->planning = 0;
}

/* ---- Making ---- */

/* The lists of what is provided, and the grants, which moved while the file ran. */
static void finish(handout_trackers *trackers) {
    handout_recorder *recorder = &trackers->file.recorder;
    handout_tracker *list = (handout_tracker *)trackers->list.data;
    size_t first = 0;
    for (size_t i = 0; i < trackers->list.count; i++) {
        handout_tracker_facts *facts = &list[i].facts;
        facts->provides = facts->provide_count ? (const char **)trackers->provided.data + first : NULL;
        first += facts->provide_count;
        if (list[i].grant == HANDOUT_NONE) continue;
        uint64_t position = handout_pool_position(((uint64_t *)(void *)recorder->pool.data)[list[i].grant]);
        facts->grant = (const uint8_t *)recorder->pool_bytes.data + position;
        facts->grant_length = handout_value_size(facts->grant, recorder->pool_bytes.count - position);
    }
    trackers->tables = (handout_tables){.pool = (const uint64_t *)(void *)recorder->pool.data,
                                        .pool_count = (uint32_t)recorder->pool.count,
                                        .pool_bytes = (const uint8_t *)recorder->pool_bytes.data,
                                        .pool_bytes_length = recorder->pool_bytes.count};
    trackers->runner.state = trackers->file.state;
    trackers->runner.program = trackers->file.config->program;
    trackers->runner.tables = &trackers->tables;
    trackers->runner.item = &trackers->item;
    trackers->item = (handout_lease_item){.task = ~(uint32_t)0, .attempt = 1, .cpu = 10000, .grant = HANDOUT_NONE};
}

handout_trackers *handout_trackers_new(const handout_file_config *config) {
    handout_trackers *trackers = calloc(1, sizeof *trackers);
    if (!trackers) return NULL;
    trackers->list.size = sizeof(handout_tracker);
    trackers->provided.size = trackers->texts.size = trackers->answer_texts.size = sizeof(char *);
    trackers->amounts.size = sizeof(handout_cluster_amount);
    trackers->labels.size = sizeof(handout_cluster_label);
    trackers->runner.asker = "the tracker";
    if (handout_file_open(&trackers->file, config, HANDOUT_FOR_TRACKER)) {
        free(trackers);
        return NULL;
    }
    trackers->file.recorder.reads = trackers;
    handout_file_run(&trackers->file, check_returned, trackers);
    if (trackers->file.ended > HANDOUT_ERROR) trackers->ended = trackers->file.ended;
    handout_file_problems(&trackers->file, &trackers->problems);
    finish(trackers);
    return trackers;
}

const handout_problems *handout_trackers_problems(const handout_trackers *trackers) { return &trackers->problems; }
uint32_t handout_trackers_count(const handout_trackers *trackers) { return (uint32_t)trackers->list.count; }

const handout_tracker_facts *handout_trackers_facts(const handout_trackers *trackers, uint32_t index) {
    return &((const handout_tracker *)trackers->list.data)[index].facts;
}

int handout_trackers_are_dead(const handout_trackers *trackers) { return trackers->ended != 0; }

static void free_texts(handout_vector *texts) {
    for (size_t i = 0; i < texts->count; i++) free(((char **)texts->data)[i]);
    free(texts->data);
}

void handout_trackers_free(handout_trackers *trackers) {
    if (!trackers) return;
    handout_job_free(&trackers->runner);
    free_texts(&trackers->provided);
    free_texts(&trackers->texts);
    free_texts(&trackers->answer_texts);
    free(trackers->list.data);
    free(trackers->amounts.data);
    free(trackers->labels.data);
    handout_problems_free(&trackers->problems);
    handout_file_close(&trackers->file);
    free(trackers);
}
