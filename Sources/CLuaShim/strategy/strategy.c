/* Strategies in Lua: how one is made, and the three calls. */
#include "strategy.h"
#include "graph.h"
#include "sandbox.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILTER, SCORE, ALLOCATE, ON_EVENT, FUNCTIONS };
static const char *const function_names[] = {"filter", "score", "allocate", "on_event"};

enum { MOST_REASON = 200, MOST_REASONS = 65536 };
enum { LOADING = 1000000000 }; /* instructions that a file may take where they are counted */

/* ---- Making ---- */

/* Keeps functions and options of the strategy at stack `index`. */
static void keep_parts(lua_State *L, handout_strategy *strategy, const handout_spec *spec, int index) {
    int table = lua_type(L, index) == LUA_TTABLE;
    size_t length;
    for (int i = 0; i < FUNCTIONS; i++) {
        if (!spec->has[i]) continue;
        if (table) {
            lua_pushstring(L, function_names[i]);
            lua_rawget(L, index);
        } else {
            lua_pushvalue(L, index);
        }
        strategy->functions[i] = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    if (table) {
        lua_pushliteral(L, "name");
        const char *name = lua_rawget(L, index) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
        if (name && !(strategy->name = strndup(name, length))) handout_exhausted(L);
        lua_pop(L, 1);
        lua_pushliteral(L, "options");
        lua_rawget(L, index);
    } else {
        lua_pushnil(L);
    }
    handout_make_options(L, strategy, lua_gettop(L));
    strategy->options = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pop(L, 1);
}

static void take_spec(handout_strategy *strategy, const handout_spec *spec) {
    handout_strategy_facts *facts = &strategy->facts;
    facts->kind = spec->kind == HANDOUT_ALLOCATOR_BUILT_IN ? HANDOUT_STRATEGY_BUILT_IN
                  : spec->has[ALLOCATE]                   ? HANDOUT_STRATEGY_ALLOCATE
                                                          : HANDOUT_STRATEGY_SCORE;
    facts->name = spec->name ? spec->name : strategy->name;
    facts->option = spec->option;
    facts->option_duration = spec->duration;
    facts->budget = spec->budget;
    facts->per_task = spec->per_task;
    facts->has_filter = spec->has[FILTER];
    facts->has_score = spec->has[SCORE];
    facts->has_event = spec->has[ON_EVENT];
}

/* Pushes what g:allocator of the graph at the top was given, and its options; or refuses, and returns 0. */
static int push_of_graph(lua_State *L, handout_recorder *recorder) {
    handout_graph_object *graph = handout_to_graph(L, -1);
    char what[160];
    if (!graph) {
        handout_describe(L, -1, what, sizeof what);
        handout_refuse(L, recorder, "script", "the script returned %s, expected a graph (end it with: return g)", what);
        return 0;
    }
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_STRATEGIES) == LUA_TTABLE &&
        lua_rawgeti(L, -1, (lua_Integer)graph->index + 1) == LUA_TTABLE) {
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        return 1;
    }
    handout_refuse(L, recorder, "allocator", "g:allocator was not called for the graph that the script returned");
    return 0;
}

/* The same of the file, which returned the value at the top. */
static int push_of_file(lua_State *L, handout_recorder *recorder) {
    char what[160];
    int value = lua_gettop(L);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_GIVEN) == LUA_TTABLE) {
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        if (lua_rawequal(L, -2, value)) return 1;
    }
    handout_describe(L, value, what, sizeof what);
    handout_refuse(L, recorder, "script", "the file returned %s, expected a strategy (return handout.allocator{ ... })", what);
    return 0;
}

/* The file has been run, and returned the value at the top. */
static void make(lua_State *L, handout_file *file, void *data) {
    handout_strategy *strategy = data;
    handout_recorder *recorder = &file->recorder;
    handout_spec spec;
    recorder->tables = NULL; /* from here on refusals count */
    luaL_checkstack(L, 20, "strategy");
    if (recorder->errors.count > 0) return;
    if (!(strategy->config.from_graph ? push_of_graph(L, recorder) : push_of_file(L, recorder))) return;
    int options = lua_gettop(L), given = options - 1;
    handout_read_strategy(L, recorder, strategy->config.from_graph ? "g:allocator" : "handout.allocator", given, options, &spec);
    if (recorder->errors.count > 0) return;
    if (spec.kind == HANDOUT_ALLOCATOR_LUA) keep_parts(L, strategy, &spec, given);
    if (recorder->errors.count > 0) return;
    handout_open_views(L, strategy);
    lua_newtable(L);
    strategy->views = luaL_ref(L, LUA_REGISTRYINDEX);
    take_spec(strategy, &spec);
    file->state->template_mode = 0; /* from here on it prints */
}

static void init(handout_strategy *strategy) {
    for (int i = 0; i < FUNCTIONS; i++) strategy->functions[i] = LUA_NOREF;
    strategy->views = strategy->options = strategy->tasks = strategy->classes = LUA_NOREF;
    strategy->resource_names.size = sizeof(char *);
    strategy->order.size = sizeof(uint32_t);
    strategy->cursors.size = sizeof(uint64_t);
    strategy->placements.size = sizeof(handout_placement);
    strategy->memory_resource = HANDOUT_NONE;
}

handout_strategy *handout_strategy_new(const handout_strategy_config *config) {
    static const handout_tables no_tables = {.indirect = 1}; /* everything is declared: handles have ids */
    handout_strategy *strategy = calloc(1, sizeof *strategy);
    if (!strategy) return NULL;
    strategy->config = *config;
    init(strategy);
    if (handout_file_open(&strategy->file, config->file, HANDOUT_FOR_STRATEGY)) {
        free(strategy);
        return NULL;
    }
    handout_state *state = strategy->file.state;
    strategy->file.recorder.reads = strategy;
    if (config->from_graph) { /* declaring calls are not looked at */
        strategy->file.recorder.tables = &no_tables;
        state->template_mode = 1;
    }
    state->counted = config->instructions > 0;
    state->instructions = LOADING;
    handout_reset_hook(state->L);
    handout_file_run(&strategy->file, make, strategy);
    if (strategy->file.ended > HANDOUT_ERROR) strategy->ended = strategy->file.ended;
    handout_file_problems(&strategy->file, &strategy->facts.problems);
    strategy->budget = state->counted ? config->instructions : strategy->facts.budget;
    return strategy;
}

const handout_strategy_facts *handout_strategy_facts_of(const handout_strategy *strategy) { return &strategy->facts; }

void handout_strategy_set_budget(handout_strategy *strategy, uint64_t nanoseconds, uint64_t instructions) {
    strategy->file.state->counted = instructions > 0;
    strategy->budget = instructions ? instructions : nanoseconds;
    if (!strategy->ended) handout_reset_hook(strategy->file.state->L);
}

static void free_map(handout_name_map *map) {
    free(map->keys);
    free(map->values);
}

void handout_strategy_free(handout_strategy *strategy) {
    if (!strategy) return;
    for (size_t i = 0; i < strategy->resource_names.count; i++) free(((char **)strategy->resource_names.data)[i]);
    void *blocks[] = {strategy->name, strategy->resource_names.data, strategy->order.data, strategy->cursors.data,
                      strategy->placements.data};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    free_map(&strategy->fields);
    free_map(&strategy->resources);
    handout_buffer_free(&strategy->reasons);
    handout_problems_free(&strategy->facts.problems);
    handout_file_close(&strategy->file);
    free(strategy);
}

int handout_strategy_is_dead(const handout_strategy *strategy) { return strategy->ended != 0; }

size_t handout_strategy_memory(const handout_strategy *strategy) { return strategy->file.state->used; }

/* ---- Problems ---- */

static void clear_problems(handout_strategy *strategy) {
    handout_vector *errors = &strategy->file.recorder.errors;
    for (size_t i = 0; i < errors->count; i++) {
        handout_plan_error *error = (handout_plan_error *)errors->data + i;
        free(error->message);
        free(error->file);
    }
    errors->count = 0;
    strategy->file.recorder.errors_left_out = 0;
    strategy->has_problem = 0;
}

const handout_plan_error *handout_strategy_problem(const handout_strategy *strategy) {
    const handout_vector *errors = &strategy->file.recorder.errors;
    return strategy->has_problem && errors->count ? (const handout_plan_error *)errors->data + errors->count - 1 : NULL;
}

void handout_wrong_answer(lua_State *L, handout_strategy *strategy, int reference, const char *format, ...) {
    char text[800], message[900];
    lua_Debug ar;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    int which = 0;
    while (which < FUNCTIONS - 1 && strategy->functions[which] != reference) which++;
    snprintf(message, sizeof message, "%s: %s", function_names[which], text);
    lua_rawgeti(L, LUA_REGISTRYINDEX, reference);
    lua_getinfo(L, ">S", &ar);
    handout_plan_error *error = handout_vector_add(&strategy->file.recorder.errors);
    if (!error) handout_exhausted(L);
    *error = (handout_plan_error){.code = "answer", .message = strdup(message)};
    if (ar.linedefined > 0) {
        error->file = strdup(ar.source[0] == '@' || ar.source[0] == '=' ? ar.source + 1 : ar.short_src);
        error->line = (uint32_t)ar.linedefined;
    }
    strategy->has_problem = 1;
    lua_pushnil(L);
    lua_error(L);
    __builtin_unreachable();
}

static void add_limit(handout_strategy *strategy, int reason) {
    const handout_state *state = strategy->file.state;
    const char *code = reason == HANDOUT_TIMEOUT ? "timeout" : reason == HANDOUT_MEMORY ? "memory" : "cancelled";
    char text[200];
    if (reason == HANDOUT_TIMEOUT && state->counted)
        snprintf(text, sizeof text, "its budget of %llu instructions was used up", (unsigned long long)strategy->budget);
    else if (reason == HANDOUT_TIMEOUT) snprintf(text, sizeof text, "it ran longer than its budget of %g s", (double)strategy->budget / 1e9);
    else if (reason == HANDOUT_MEMORY)
        snprintf(text, sizeof text, "it needed more than %g MiB of memory", (double)state->limit / 1048576);
    else snprintf(text, sizeof text, "it was stopped");
    handout_add_script_error(&strategy->file.recorder, code, text, strlen(text), strategy->config.file->program->chunk_name);
    strategy->has_problem = 1;
}

/* ---- One call ---- */

typedef struct call {
    handout_strategy *strategy;
    const handout_task_view *task;
    handout_choice *choices;
    uint64_t wait;
    const uint8_t *event;
    size_t length;
    int again;
} call;

static void release(lua_State *L, int *reference) {
    if (*reference != LUA_NOREF) luaL_unref(L, LUA_REGISTRYINDEX, *reference);
    *reference = LUA_NOREF;
}

static int ended_by_error(lua_State *L, handout_strategy *strategy) {
    if (strategy->has_problem) return HANDOUT_STRATEGY_WRONG;
    size_t length = 5;
    const char *text = lua_tolstring(L, -1, &length);
    clear_problems(strategy);
    handout_add_script_error(&strategy->file.recorder, "script", text ? text : "error", length,
                             strategy->config.file->program->chunk_name);
    strategy->has_problem = 1;
    return HANDOUT_STRATEGY_RAISED;
}

static void begin(handout_strategy *strategy, const handout_strategy_view *view) {
    handout_state *state = strategy->file.state;
    clear_problems(strategy);
    strategy->view = view;
    strategy->round++;
    strategy->reasons.length = 0;
    strategy->placements.count = 0;
    state->traceback[0] = 0;
    state->instructions = strategy->budget ? (int64_t)strategy->budget : INT64_MAX;
    handout_enter(state);
    handout_deadline_begin(strategy->config.file->slot, state, state->counted ? 0 : strategy->budget);
}

static void end(handout_strategy *strategy) {
    handout_deadline_end(strategy->config.file->slot);
    strategy->view = NULL;
    strategy->round++; /* views are old now */
}

/* Runs `body` protected, its argument is `now`. */
static int enter(handout_strategy *strategy, const handout_strategy_view *view, lua_CFunction body, call *now) {
    handout_state *state = strategy->file.state;
    if (strategy->ended) return strategy->ended;
    int reason = setjmp(state->entry);
    if (reason != 0) {
        end(strategy);
        strategy->ended = reason;
        clear_problems(strategy);
        add_limit(strategy, reason);
        return reason;
    }
    begin(strategy, view);
    lua_State *L = state->L;
    int ended = HANDOUT_STRATEGY_DONE;
    lua_pushcfunction(L, handout_script_message);
    lua_pushcfunction(L, body);
    lua_pushlightuserdata(L, now);
    if (lua_pcall(L, 1, 0, 1) != LUA_OK) ended = ended_by_error(L, strategy);
    lua_settop(L, 0);
    handout_check(state); /* what was asked for during a last call into C has met no instruction since */
    end(strategy);
    handout_exit(state);
    return ended;
}

/* ---- Filter and score ---- */

/* Keeps the reason at the top, cut. What it is in may move: the choice has its position, from 1. Mostly it is that of the
 * worker before. */
static void keep_reason(lua_State *L, handout_strategy *strategy, handout_choice *choice, handout_text *last) {
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    handout_buffer *reasons = &strategy->reasons;
    if (length > MOST_REASON) length = MOST_REASON;
    if (last->bytes && last->length == length && memcmp(reasons->data + (uintptr_t)last->bytes - 1, text, length) == 0) {
        choice->reason = *last;
        return;
    }
    if (reasons->length + length > MOST_REASONS) return;
    size_t position = reasons->length;
    if (handout_buffer_append(reasons, length ? text : "", length)) handout_exhausted(L);
    choice->reason = *last = (handout_text){(const char *)(uintptr_t)(position + 1), length};
}

static void place_reasons(const handout_strategy *strategy, handout_choice *choices, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (choices[i].reason.bytes) choices[i].reason.bytes = (const char *)strategy->reasons.data + (uintptr_t)choices[i].reason.bytes - 1;
}

enum { NOW = 1, FILTER_AT, SCORE_AT, VIEWS_AT, TASK_AT, WORKER_AT }; /* stack slots */

static void read_score(lua_State *L, handout_strategy *strategy, handout_choice *choice) {
    char what[160];
    choice->score = lua_tonumber(L, -1);
    if (lua_type(L, -1) == LUA_TNUMBER && isfinite(choice->score)) return;
    handout_describe(L, -1, what, sizeof what);
    handout_wrong_answer(L, strategy, strategy->functions[SCORE], "expected a finite number, got %s", what);
}

static void refuse_filter(lua_State *L, handout_strategy *strategy, int index, const char *expected) {
    char what[160];
    handout_describe(L, index, what, sizeof what);
    handout_wrong_answer(L, strategy, strategy->functions[FILTER], "expected %s, got %s", expected, what);
}

/* Protected: asks about each worker. */
static int score_all(lua_State *L) {
    call *now = lua_touserdata(L, NOW);
    handout_strategy *strategy = now->strategy;
    const handout_strategy_view *view = strategy->view;
    handout_text reason = {0};
    luaL_checkstack(L, 30, "strategy");
    handout_learn_resources(L, strategy);
    lua_rawgeti(L, LUA_REGISTRYINDEX, strategy->functions[FILTER]);
    lua_rawgeti(L, LUA_REGISTRYINDEX, strategy->functions[SCORE]);
    lua_rawgeti(L, LUA_REGISTRYINDEX, strategy->views);
    handout_push_task_view(L, strategy, now->task);
    for (uint32_t i = 0; i < view->worker_count; i++, lua_settop(L, TASK_AT)) {
        handout_choice *choice = &now->choices[i];
        handout_push_worker(L, strategy, VIEWS_AT, i);
        if (strategy->functions[FILTER] != LUA_NOREF) {
            lua_pushvalue(L, FILTER_AT);
            lua_pushvalue(L, TASK_AT);
            lua_pushvalue(L, WORKER_AT);
            lua_call(L, 2, 2);
            if (lua_type(L, -2) != LUA_TBOOLEAN) refuse_filter(L, strategy, -2, "true, or false and a reason");
            choice->filtered = !lua_toboolean(L, -2);
            if (choice->filtered && lua_type(L, -1) == LUA_TSTRING) keep_reason(L, strategy, choice, &reason);
            else if (choice->filtered && !lua_isnil(L, -1)) refuse_filter(L, strategy, -1, "a reason, a string, after false");
            if (choice->filtered) continue;
        }
        if (strategy->functions[SCORE] == LUA_NOREF) continue;
        lua_pushvalue(L, SCORE_AT);
        lua_pushvalue(L, TASK_AT);
        lua_pushvalue(L, WORKER_AT);
        lua_call(L, 2, 1);
        read_score(L, strategy, choice);
    }
    return 0;
}

int handout_strategy_score(handout_strategy *strategy, const handout_strategy_view *view, const handout_task_view *task,
                           handout_choice *choices) {
    call now = {.strategy = strategy, .task = task, .choices = choices};
    memset(choices, 0, view->worker_count * sizeof *choices);
    int ended = enter(strategy, view, score_all, &now);
    if (ended == HANDOUT_STRATEGY_DONE) place_reasons(strategy, choices, view->worker_count);
    else memset(choices, 0, view->worker_count * sizeof *choices);
    if (!strategy->ended) release(strategy->file.state->L, &strategy->classes);
    return ended;
}

/* ---- Rounds ---- */

static void make_cursors(lua_State *L, handout_strategy *strategy) {
    strategy->cursors.count = 0;
    uint64_t *cursors = handout_vector_add_many(&strategy->cursors, strategy->view->class_count + 1u);
    if (!cursors) handout_exhausted(L);
    memset(cursors, 0, (strategy->view->class_count + 1u) * sizeof *cursors);
}

static int allocate_round(lua_State *L) {
    call *now = lua_touserdata(L, 1);
    handout_strategy *strategy = now->strategy;
    luaL_checkstack(L, 30, "strategy");
    handout_learn_resources(L, strategy);
    make_cursors(L, strategy);
    lua_newtable(L);
    strategy->tasks = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_rawgeti(L, LUA_REGISTRYINDEX, strategy->functions[ALLOCATE]);
    handout_push_simple_view(L, strategy, HANDOUT_VIEW_READY);
    handout_push_simple_view(L, strategy, HANDOUT_VIEW_WORKERS);
    handout_push_simple_view(L, strategy, HANDOUT_VIEW_CONTEXT);
    lua_call(L, 3, 2);
    handout_read_placements(L, strategy, 2, &now->wait);
    return 0;
}

int handout_strategy_allocate(handout_strategy *strategy, const handout_strategy_view *view,
                              const handout_placement **placements, uint32_t *count, uint64_t *wait) {
    call now = {.strategy = strategy};
    int ended = enter(strategy, view, allocate_round, &now);
    if (!strategy->ended) {
        release(strategy->file.state->L, &strategy->tasks);
        release(strategy->file.state->L, &strategy->classes);
    }
    if (ended != HANDOUT_STRATEGY_DONE) strategy->placements.count = 0;
    *placements = (const handout_placement *)strategy->placements.data;
    *count = (uint32_t)strategy->placements.count;
    *wait = ended == HANDOUT_STRATEGY_DONE ? now.wait : 0;
    return ended;
}

/* ---- Events ---- */

static int tell_event(lua_State *L) {
    call *now = lua_touserdata(L, 1);
    handout_strategy *strategy = now->strategy;
    char what[160];
    luaL_checkstack(L, 30, "strategy");
    lua_rawgeti(L, LUA_REGISTRYINDEX, strategy->functions[ON_EVENT]);
    handout_decode(L, now->event, now->event + now->length);
    lua_call(L, 1, 1);
    if (lua_type(L, -1) == LUA_TBOOLEAN || lua_isnil(L, -1)) {
        now->again = lua_toboolean(L, -1);
        return 0;
    }
    handout_describe(L, -1, what, sizeof what);
    handout_wrong_answer(L, strategy, strategy->functions[ON_EVENT], "expected true, false or nothing, got %s", what);
}

int handout_strategy_event(handout_strategy *strategy, const uint8_t *event, size_t length, int *again) {
    static const handout_strategy_view nothing;
    call now = {.strategy = strategy, .event = event, .length = length};
    *again = 0;
    if (strategy->functions[ON_EVENT] == LUA_NOREF) return HANDOUT_STRATEGY_DONE;
    int ended = enter(strategy, &nothing, tell_event, &now);
    if (ended == HANDOUT_STRATEGY_DONE) *again = now.again;
    return ended;
}
