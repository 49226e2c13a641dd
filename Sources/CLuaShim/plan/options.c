/* Option tables of tasks, maps, reduces and graphs. */
#include "plan.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct option {
    const char *name;
    int calls; /* where it may stand */
} option;

enum {
    T = HANDOUT_CALL_TASK, M = HANDOUT_CALL_MAP, R = HANDOUT_CALL_REDUCE, G = HANDOUT_CALL_GRAPH, W = HANDOUT_CALL_WHEN,
    S = HANDOUT_CALL_GRAPHS, I = HANDOUT_CALL_INCLUDE, ALL = T | M | R | W,
};

/* By first letter, so that a name is compared with few. */
static const option options[] = {
    {"after", ALL | S | I}, {"always", ALL},      {"args", ALL},          {"arity", R},         {"backoff", ALL | G},
    {"cache", ALL | G},     {"cpu", ALL | G},     {"deadline", G},        {"estimate", ALL | G}, {"gpu", ALL | G},
    {"grant", ALL | G},     {"inline", ALL},      {"isolation", ALL | G}, {"limits", G},        {"memory", ALL | G},
    {"name", G},            {"near", ALL},        {"needs", ALL | S},     {"optional", ALL | S}, {"over", M | R | S},
    {"priority", ALL | G},  {"reads", ALL},       {"recover", ALL},       {"resources", ALL | G}, {"retries", ALL | G},
    {"timeout", ALL | G},   {"unless", ALL | S | I}, {"variants", ALL},   {"weight", G},        {"when", ALL | S | I},
    {"where", ALL | G},     {"worker", ALL},      {"writes", ALL},        {NULL, 0},
};

/* The option of that name where `call` may have it; NULL: none. */
static const option *find_option(const char *key, int call) {
    static const uint8_t first[26] = {0, 4, 5, 7, 8, 9, 9, 11, 11, 13, 13, 13, 14, 15, 18, 20, 21, 21, 25, 25, 26, 27, 28, 33, 33, 33};
    if (key[0] < 'a' || key[0] > 'z') return NULL;
    for (const option *o = &options[first[key[0] - 'a']]; o->name && o->name[0] == key[0]; o++)
        if ((o->calls & call) && strcmp(key, o->name) == 0) return o;
    return NULL;
}

/* ---- Nearest name ---- */

static int distance(const char *a, size_t la, const char *b, size_t lb) {
    if (la > 40 || lb > 40) return 99;
    int row[41];
    for (size_t j = 0; j <= lb; j++) row[j] = (int)j;
    for (size_t i = 1; i <= la; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= lb; j++) {
            int cost = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < cost) cost = row[j] + 1;
            if (row[j - 1] + 1 < cost) cost = row[j - 1] + 1;
            row[j] = cost;
        }
    }
    return row[lb];
}

const char *handout_nearest(const char *word, size_t length, const char *const *names) {
    const char *best = NULL;
    int best_distance = length < 4 ? 2 : 3;
    for (; *names; names++) {
        size_t n = strlen(*names);
        int d = distance(word, length, *names, n);
        /* `retry` for `retries`: a common beginning is near, whatever follows. */
        if (length >= 4 && n >= 4 && memcmp(word, *names, 4) == 0 && d > 2) d = 2;
        if (d < best_distance) best = *names, best_distance = d;
    }
    return best;
}

static void refuse_unknown(lua_State *L, handout_recorder *recorder, int call, const char *who, int key) {
    if (lua_type(L, key) != LUA_TSTRING) {
        char what[100];
        handout_describe(L, key, what, sizeof what);
        handout_refuse(L, recorder, "option", "%s: option names are strings, got %s", who, what);
        return;
    }
    size_t length;
    const char *word = lua_tolstring(L, key, &length), *names[sizeof options / sizeof *options];
    int n = 0;
    for (const option *o = options; o->name; o++)
        if (o->calls & call) names[n++] = o->name;
    names[n] = NULL;
    const char *near = handout_nearest(word, length, names);
    char shown[100];
    handout_escape(word, length, 40, shown, sizeof shown);
    if (near) handout_refuse(L, recorder, "option", "%s: unknown option '%s' (did you mean '%s'?)", who, shown, near);
    else handout_refuse(L, recorder, "option", "%s: unknown option '%s'", who, shown);
}

/* ---- Single options; the value is at the top ---- */

/* An integer, or a float of integral value. */
static int integer_in(lua_State *L, lua_Integer low, lua_Integer high, lua_Integer *n) {
    int is_integer;
    if (lua_type(L, -1) != LUA_TNUMBER) return 0;
    *n = lua_tointegerx(L, -1, &is_integer);
    return is_integer && *n >= low && *n <= high;
}

static uint64_t read_duration(lua_State *L, handout_recorder *recorder, const char *who, const char *name, int index) {
    char error[200];
    uint64_t nanoseconds = 0;
    if (handout_parse_duration(L, index, &nanoseconds, error, sizeof error))
        handout_refuse(L, recorder, "option", "%s: option '%s': %s", who, name, error);
    return nanoseconds;
}

static void read_backoff(lua_State *L, handout_recorder *recorder, const char *who, handout_option_set *set) {
    set->backoff_factor = 2;
    set->backoff_max = 300000000000ull;
    if (lua_type(L, -1) != LUA_TTABLE) {
        set->backoff_first = read_duration(L, recorder, who, "backoff", -1);
        set->backoff_factor = 1;
        set->backoff_max = set->backoff_first;
        return;
    }
    set->backoff_first = 1000000000ull;
    int table = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        if (strcmp(key, "first") == 0) set->backoff_first = read_duration(L, recorder, who, "backoff.first", -1);
        else if (strcmp(key, "max") == 0) set->backoff_max = read_duration(L, recorder, who, "backoff.max", -1);
        else if (strcmp(key, "factor") == 0) {
            lua_Number factor = lua_tonumber(L, -1);
            if (lua_type(L, -1) != LUA_TNUMBER || !(factor >= 1 && factor <= 1e6))
                handout_refuse_option(L, recorder, who, "backoff.factor", "a number from 1 to 1000000");
            else set->backoff_factor = factor;
        } else {
            static const char *const names[] = {"first", "factor", "max", NULL};
            char shown[100];
            handout_describe(L, -2, shown, sizeof shown);
            const char *near = handout_nearest(key, strlen(key), names);
            if (near) handout_refuse(L, recorder, "option", "%s: option 'backoff': unknown key %s (did you mean '%s'?)", who, shown, near);
            else handout_refuse(L, recorder, "option", "%s: option 'backoff': unknown key %s", who, shown);
        }
    }
}

/* A function of `(inputs, attempt)` in place of an amount: asked before each attempt. */
static int is_function(lua_State *L, handout_parsed *parsed) {
    if (!handout_is_amount_function(L, -1)) return 0;
    parsed->functions = 1;
    return 1;
}

static void read_cpu(lua_State *L, handout_recorder *recorder, const char *who, handout_parsed *parsed) {
    int64_t amount = handout_read_amount(L, recorder, who, "cpu");
    if (amount >= 0) parsed->set.cpu = (uint64_t)amount;
}

static void read_gpu(lua_State *L, handout_recorder *recorder, const char *who, handout_parsed *parsed) {
    int64_t amount = handout_read_amount(L, recorder, who, "gpu");
    if (amount > 10000 && amount % 10000)
        handout_refuse(L, recorder, "option", "%s: option 'gpu': above 1 it is a whole number, got %g", who, (double)amount / 10000);
    else if (amount >= 0) parsed->set.gpu = (uint64_t)amount;
}

static void read_memory(lua_State *L, handout_recorder *recorder, const char *who, handout_option_set *set) {
    uint64_t bytes;
    if (handout_read_memory(L, recorder, who, "memory", &bytes) == 0) set->memory = bytes;
}

static void read_weight(lua_State *L, handout_recorder *recorder, const char *who, handout_parsed *parsed) {
    lua_Number n = lua_tonumber(L, -1);
    if (lua_type(L, -1) == LUA_TNUMBER && n > 0 && n <= 1e9) parsed->weight = n;
    else handout_refuse_option(L, recorder, who, "weight", "a number above 0, at most 1000000000");
}

static void read_isolation(lua_State *L, handout_recorder *recorder, const char *who, handout_option_set *set) {
    const char *value = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    if (strcmp(value, "process") == 0) set->flags |= HANDOUT_FLAG_PROCESS;
    else if (strcmp(value, "thread") == 0) set->flags &= (uint8_t)~HANDOUT_FLAG_PROCESS; /* what the graph may have said */
    else handout_refuse_option(L, recorder, who, "isolation", "\"thread\" or \"process\"");
}

static void read_worker(lua_State *L, handout_recorder *recorder, const char *who, handout_option_set *set) {
    if (lua_type(L, -1) == LUA_TSTRING) set->worker = handout_intern(L, recorder, who, "worker");
    else handout_refuse_option(L, recorder, who, "worker", "the name of a worker");
}

static void read_flag(lua_State *L, handout_recorder *recorder, const char *who, const char *name, handout_option_set *set,
                      uint8_t flag) {
    if (lua_type(L, -1) != LUA_TBOOLEAN) handout_refuse_option(L, recorder, who, name, "true or false");
    else if (lua_toboolean(L, -1)) set->flags |= flag;
    else set->flags &= (uint8_t)~flag;
}

static void read_boolean(lua_State *L, handout_recorder *recorder, const char *who, const char *name) {
    if (lua_type(L, -1) != LUA_TBOOLEAN) handout_refuse_option(L, recorder, who, name, "true or false");
}

static void read_priority(lua_State *L, handout_recorder *recorder, const char *who, handout_option_set *set) {
    lua_Integer n;
    if (integer_in(L, INT32_MIN, INT32_MAX, &n)) set->priority = (int32_t)n;
    else handout_refuse_option(L, recorder, who, "priority", "a whole number");
}

/* Keeps the value at the top for later. */
static void keep(lua_State *L, int *slot, int index) {
    lua_pushvalue(L, -1);
    lua_replace(L, *slot = index);
}

/* Those that begin with r: retries, recover, resources, reads. */
static void read_r(lua_State *L, handout_recorder *recorder, const char *name, const char *who, handout_parsed *parsed, int slots) {
    lua_Integer n;
    switch (name[2]) {
    case 'c':
        if (handout_is_amount_function(L, -1)) keep(L, &parsed->recover, slots + 7);
        else handout_refuse_option(L, recorder, who, name, "a Lua function");
        return;
    case 's':
        handout_read_resources(L, recorder, who, name, &parsed->functions, &parsed->set.resources);
        return;
    case 'a':
        if (!is_function(L, parsed)) handout_read_paths(L, recorder, who, name);
        return;
    default:
        if (integer_in(L, 0, 100, &n)) parsed->set.retries = (uint8_t)n;
        else handout_refuse_option(L, recorder, who, "retries", "a whole number from 0 to 100");
    }
}

/* Those that begin with w: when, where, worker, writes, weight. */
static void read_w(lua_State *L, handout_recorder *recorder, const char *name, const char *who, handout_parsed *parsed, int slots) {
    if (name[1] == 'h' && name[3] == 'n') keep(L, &parsed->when, slots + 4);
    else if (name[1] == 'h') parsed->set.where = handout_read_where(L, recorder, who);
    else if (name[1] == 'o') read_worker(L, recorder, who, &parsed->set);
    else if (name[1] == 'e') read_weight(L, recorder, who, parsed);
    else if (!is_function(L, parsed)) handout_read_paths(L, recorder, who, name);
}

/* The option `o`; its value is at the top, its table at stack index `options`. */
static void read_option(lua_State *L, handout_recorder *recorder, const option *o, const char *who,
                        handout_parsed *parsed, int slots, int options) {
    handout_option_set *set = &parsed->set;
    const char *name = o->name;
    lua_Integer n;
    switch (name[0]) {
    case 'n':
        if (o->calls & G) return; /* name: read by graph() */
        if (name[2] == 'a') keep(L, &parsed->near, slots + 6);
        else keep(L, &parsed->needs, slots);
        return;
    case 'a':
        if (name[1] == 'f') keep(L, &parsed->after, slots + 1);
        else if (name[1] == 'l') read_flag(L, recorder, who, name, set, HANDOUT_FLAG_ALWAYS);
        else if (name[2] == 'g') keep(L, &parsed->args, slots + 2);
        else if (integer_in(L, 2, 1 << 24, &n)) set->arity = (uint32_t)n;
        else handout_refuse_option(L, recorder, who, "arity", "a whole number, at least 2");
        return;
    case 'o':
        if (name[1] == 'p') read_flag(L, recorder, who, name, set, HANDOUT_FLAG_OPTIONAL);
        else keep(L, &parsed->over, slots + 3);
        return;
    case 'u':
        keep(L, &parsed->unless, slots + 5);
        return;
    case 'r':
        read_r(L, recorder, name, who, parsed, slots);
        return;
    case 'b':
        read_backoff(L, recorder, who, set);
        return;
    case 't':
        if (!is_function(L, parsed)) set->timeout = read_duration(L, recorder, who, "timeout", -1);
        return;
    case 'e':
        if (!is_function(L, parsed)) set->estimate = read_duration(L, recorder, who, "estimate", -1);
        return;
    case 'p':
        if (!is_function(L, parsed)) read_priority(L, recorder, who, set);
        return;
    case 'c':
        if (name[1] == 'a') read_boolean(L, recorder, who, name);
        else if (!is_function(L, parsed)) read_cpu(L, recorder, who, parsed);
        return;
    case 'm':
        if (!is_function(L, parsed)) read_memory(L, recorder, who, set);
        return;
    case 'i':
        if (name[1] == 'n') read_flag(L, recorder, who, name, set, HANDOUT_FLAG_INLINE);
        else read_isolation(L, recorder, who, set);
        return;
    case 'w':
        read_w(L, recorder, name, who, parsed, slots);
        return;
    case 'g':
        if (name[1] == 'r') handout_read_grant(L, recorder, who, set);
        else if (!is_function(L, parsed)) read_gpu(L, recorder, who, parsed);
        return;
    case 'v':
        parsed->set.variants = handout_read_variants(L, recorder, who, options);
        return;
    case 'l':
        handout_read_resources(L, recorder, who, name, NULL, &parsed->limits);
        return;
    case 'd':
        parsed->deadline = read_duration(L, recorder, who, name, -1);
        return;
    }
}

/* What an inline row has no use for. */
static void refuse_beside_inline(lua_State *L, handout_recorder *recorder, int index, const char *who) {
    static const char *const taken[] = {"needs", "after", "args", "over", "arity", "when", "unless", "inline", NULL};
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        int known = 0, fine = 0;
        for (const option *o = options; o->name; o++) known |= strcmp(o->name, key) == 0;
        for (int i = 0; taken[i]; i++) fine |= strcmp(taken[i], key) == 0;
        if (known && !fine)
            handout_refuse(L, recorder, "option", "%s: option '%s' cannot be combined with inline: it is computed in each consumer", who, key);
    }
}

static int by_message(const void *a, const void *b) {
    return strcmp(((const handout_plan_error *)a)->message, ((const handout_plan_error *)b)->message);
}

void handout_sort_errors(handout_recorder *recorder, size_t before) {
    handout_plan_error *errors = (handout_plan_error *)recorder->errors.data;
    if (recorder->errors.count > before + 1)
        qsort(errors + before, recorder->errors.count - before, sizeof *errors, by_message);
}

void handout_parse_options(lua_State *L, handout_recorder *recorder, int index, int call, const char *who,
                           handout_parsed *parsed) {
    parsed->needs = parsed->after = parsed->args = parsed->over = 0;
    parsed->when = parsed->unless = parsed->near = parsed->recover = parsed->measures = 0;
    parsed->options = index;
    parsed->functions = 0;
    parsed->limits = HANDOUT_NONE;
    parsed->deadline = 0;
    parsed->weight = 1;
    if (index == 0) return;
    int slots = lua_gettop(L) + 1;
    luaL_checkstack(L, 40, "options");
    lua_settop(L, slots + HANDOUT_SLOTS - 1);
    size_t errors = recorder->errors.count;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        const option *found = NULL;
        if (lua_type(L, -2) == LUA_TSTRING) found = find_option(lua_tostring(L, -2), call);
        if (!found) refuse_unknown(L, recorder, call, who, -2);
        else read_option(L, recorder, found, who, parsed, slots, index);
        lua_settop(L, slots + HANDOUT_SLOTS + 1); /* key and value: readers may leave things behind */
    }
    if (parsed->set.flags & HANDOUT_FLAG_INLINE) refuse_beside_inline(L, recorder, index, who);
    handout_sort_errors(recorder, errors);
}

uint32_t handout_option_set_index(lua_State *L, handout_recorder *recorder, const handout_option_set *set) {
    enum { LOOK_BACK = 64 };
    size_t count = recorder->option_sets.count;
    handout_option_set *sets = (handout_option_set *)recorder->option_sets.data;
    for (size_t i = count; i > 0 && i + LOOK_BACK > count; i--)
        if (memcmp(&sets[i - 1], set, sizeof *set) == 0) return (uint32_t)(i - 1);
    handout_option_set *added = handout_vector_add(&recorder->option_sets);
    if (!added) luaL_error(L, "not enough memory");
    memcpy(added, set, sizeof *set);
    return (uint32_t)count;
}
