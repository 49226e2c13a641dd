/* The workers of a cluster file. */
#include "cluster.h"
#include "sandbox.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_INDICES = 4096, MOST_PRICES = 100000 };

/* What is read of one worker. */
typedef struct worker_reader {
    lua_State *L;
    handout_recorder *recorder;
    handout_reading *reading;
    handout_cluster_worker worker;
    const char *who;
    int table;
} worker_reader;

static const char *keep(worker_reader *at, const char *text) {
    return handout_keep_text(at->L, &at->reading->texts, text, strlen(text));
}

static handout_cluster_amount *add_amount(worker_reader *at, const char *name, uint64_t amount) {
    handout_cluster_amount *to = handout_cluster_add(at->L, &at->reading->amounts);
    *to = (handout_cluster_amount){.name = keep(at, name), .amount = amount, .index_first = (uint32_t)at->reading->indices.count};
    return to;
}

/* ---- Indices ---- */

/* 1 when one of the indices since the `first`th is this text. */
static int is_taken(const worker_reader *at, size_t first, const char *text) {
    const char **indices = (const char **)at->reading->indices.data;
    for (size_t i = first; i < at->reading->indices.count; i++)
        if (strcmp(indices[i], text) == 0) return 1;
    return 0;
}

/* Adds the resource whose indices are in the list at the top. */
static void read_indices(worker_reader *at, const char *name, const char *path) {
    lua_State *L = at->L;
    int list = lua_gettop(L);
    lua_Integer count = handout_table_shape(L);
    if (count < 0 || count > MOST_INDICES) {
        handout_refuse_field(L, at->recorder, at->who, path, "an amount, or a list of at most 4096 names of indices");
        return;
    }
    size_t first = at->reading->indices.count;
    for (lua_Integer i = 1; i <= count; i++, lua_settop(L, list)) {
        char text[24], place[280];
        const char *index = NULL;
        snprintf(place, sizeof place, "%s[%lld]", path, (long long)i);
        if (lua_rawgeti(L, list, i) == LUA_TNUMBER && lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 0) {
            snprintf(text, sizeof text, "%lld", (long long)lua_tointeger(L, -1));
            index = text;
        } else {
            index = handout_field_text(L, at->recorder, at->who, place, "the name or number of an index");
        }
        if (index && is_taken(at, first, index)) handout_refuse_field(L, at->recorder, at->who, place, "each index once");
        if (index) *(const char **)handout_cluster_add(L, &at->reading->indices) = keep(at, index);
    }
    size_t known = at->reading->indices.count - first;
    handout_cluster_amount *to = add_amount(at, name, (uint64_t)known * 10000);
    to->index_first = (uint32_t)first;
    to->index_count = (uint32_t)known;
    to->indexed = 1;
}

/* ---- Fields; the value is at the top ---- */

static void read_cpu(worker_reader *at) {
    uint64_t amount = 10000;
    if (!lua_isnil(at->L, -1)) handout_field_amount(at->L, at->recorder, at->who, "cpu", &amount);
    add_amount(at, "cpu", amount);
}

static void read_memory(worker_reader *at) {
    uint64_t bytes;
    if (!lua_isnil(at->L, -1) && !handout_field_memory(at->L, at->recorder, at->who, "memory", &bytes))
        add_amount(at, "memory", bytes);
}

/* A number of GPUs stands for the indices 0 to n - 1. */
static void read_gpu(worker_reader *at) {
    lua_State *L = at->L;
    int whole = 0;
    lua_Integer count = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &whole) : 0;
    if (lua_isnil(L, -1)) return;
    if (lua_type(L, -1) == LUA_TTABLE) {
        read_indices(at, "gpu", "gpu");
        return;
    }
    if (!whole || count < 0 || count > MOST_INDICES) {
        handout_refuse_field(L, at->recorder, at->who, "gpu", "a whole number from 0 to 4096, or a list of indices");
        return;
    }
    handout_cluster_amount *to = add_amount(at, "gpu", (uint64_t)count * 10000);
    to->index_count = (uint32_t)count;
    to->indexed = 1;
    for (lua_Integer i = 0; i < count; i++) {
        char text[24];
        snprintf(text, sizeof text, "%lld", (long long)i);
        *(const char **)handout_cluster_add(L, &at->reading->indices) = keep(at, text);
    }
}

static void read_resources(worker_reader *at) {
    lua_State *L = at->L;
    int table = lua_gettop(L);
    if (lua_isnil(L, table)) return;
    if (lua_type(L, table) != LUA_TTABLE) {
        handout_refuse_field(L, at->recorder, at->who, "resources", "a table such as { licence = 1 }");
        return;
    }
    size_t errors = at->recorder->errors.count;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        const char *name = handout_field_resource(L, at->recorder, at->who, "resources");
        char path[240];
        uint64_t amount;
        if (!name) continue;
        snprintf(path, sizeof path, "resources.%s", name);
        if (lua_type(L, -1) == LUA_TTABLE) read_indices(at, name, path);
        else if (!handout_field_amount(L, at->recorder, at->who, path, &amount)) add_amount(at, name, amount);
    }
    handout_sort_errors(at->recorder, errors);
}

static int is_price(lua_State *L) {
    return lua_type(L, -1) == LUA_TNUMBER && lua_tonumber(L, -1) >= 0 && lua_tonumber(L, -1) <= 1e12;
}

/* Adds the step { time, price } at the top, the `i`th of its list. */
static void read_step(worker_reader *at, lua_Integer i) {
    lua_State *L = at->L;
    int step = lua_gettop(L);
    char place[60];
    const handout_cluster_price *prices = (const handout_cluster_price *)at->reading->prices.data;
    size_t count = at->reading->prices.count;
    uint64_t time = 0, before = count > at->worker.price_first ? prices[count - 1].at : 0;
    snprintf(place, sizeof place, "price[%lld]", (long long)i);
    if (lua_type(L, step) != LUA_TTABLE || handout_table_shape(L) != 2) {
        handout_refuse_field(L, at->recorder, at->who, place, "a time and a price, such as { \"1h\", 0.5 }");
        return;
    }
    lua_rawgeti(L, step, 1);
    snprintf(place, sizeof place, "price[%lld][1]", (long long)i);
    if (handout_field_duration(L, at->recorder, at->who, place, &time)) return;
    if (i == 1 ? time != 0 : time <= before) {
        handout_refuse_field(L, at->recorder, at->who, place, i == 1 ? "the time 0" : "a later time than the one before");
        return;
    }
    lua_rawgeti(L, step, 2);
    snprintf(place, sizeof place, "price[%lld][2]", (long long)i);
    if (!is_price(L)) {
        handout_refuse_field(L, at->recorder, at->who, place, "a number from 0 to 1e12");
        return;
    }
    handout_cluster_price *to = handout_cluster_add(L, &at->reading->prices);
    *to = (handout_cluster_price){time, lua_tonumber(L, -1)};
}

static void read_price(worker_reader *at) {
    lua_State *L = at->L;
    int list = lua_gettop(L);
    lua_Integer count = lua_type(L, list) == LUA_TTABLE ? handout_table_shape(L) : 0;
    at->worker.price_first = (uint32_t)at->reading->prices.count;
    if (lua_isnil(L, list)) return;
    if (is_price(L)) {
        handout_cluster_price *to = handout_cluster_add(L, &at->reading->prices);
        to->price = lua_tonumber(L, -1);
    } else if (count < 1 || count > MOST_PRICES) {
        handout_refuse_field(L, at->recorder, at->who, "price", "a number from 0 to 1e12, or a list such as { { 0, 0.9 }, { \"1h\", 1.6 } }");
    }
    for (lua_Integer i = 1; i <= count; i++, lua_settop(L, list)) {
        lua_rawgeti(L, list, i);
        read_step(at, i);
    }
    at->worker.price_count = (uint32_t)at->reading->prices.count - at->worker.price_first;
}

static void read_speed(worker_reader *at) {
    lua_Number n = lua_tonumber(at->L, -1);
    at->worker.speed = 1;
    if (lua_isnil(at->L, -1)) return;
    if (lua_type(at->L, -1) == LUA_TNUMBER && n > 0 && n <= 1e9) at->worker.speed = n;
    else handout_refuse_field(at->L, at->recorder, at->who, "speed", "a number above 0, at most 1000000000");
}

static void read_labels(worker_reader *at) {
    lua_State *L = at->L;
    int table = lua_gettop(L);
    at->worker.label_first = (uint32_t)at->reading->labels.count;
    if (lua_isnil(L, table)) return;
    if (lua_type(L, table) != LUA_TTABLE) {
        handout_refuse_field(L, at->recorder, at->who, "labels", "a table such as { zone = \"eu\" }");
        return;
    }
    size_t errors = at->recorder->errors.count;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        size_t length = 0;
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : "";
        char path[100], shown[80];
        if (length == 0 || strlen(name) != length) {
            handout_describe(L, -2, shown, sizeof shown);
            handout_refuse(L, at->recorder, "field", "%s: field 'labels': labels are strings, got %s", at->who, shown);
            continue;
        }
        handout_escape(name, length, 40, shown, sizeof shown);
        snprintf(path, sizeof path, "labels.%s", shown);
        const char *value = lua_type(L, -1) == LUA_TSTRING && lua_rawlen(L, -1) == 0
                                ? "" : handout_field_text(L, at->recorder, at->who, path, "a string");
        if (!value) continue;
        handout_cluster_label *to = handout_cluster_add(L, &at->reading->labels);
        to->name = keep(at, name);
        to->value = keep(at, value);
    }
    handout_sort_errors(at->recorder, errors);
    at->worker.label_count = (uint32_t)at->reading->labels.count - at->worker.label_first;
}

static void read_lifetime(worker_reader *at) {
    if (lua_isnil(at->L, -1)) return;
    if (!handout_field_duration(at->L, at->recorder, at->who, "lifetime", &at->worker.lifetime) && at->worker.lifetime == 0)
        handout_refuse_field(at->L, at->recorder, at->who, "lifetime", "a duration above 0");
}

static void read_joins(worker_reader *at) {
    if (!lua_isnil(at->L, -1)) handout_field_duration(at->L, at->recorder, at->who, "joins", &at->worker.joins);
}

static void read_trackers(worker_reader *at) {
    const char *path = lua_isnil(at->L, -1) ? NULL : handout_field_text(at->L, at->recorder, at->who, "trackers", "a path");
    if (path) at->worker.trackers = keep(at, path);
}

/* ---- Names ---- */

static void take_name(worker_reader *at, int names, const char *name, size_t length) {
    lua_State *L = at->L;
    lua_pushlstring(L, name, length);
    if (lua_rawget(L, names) != LUA_TNIL) {
        handout_refuse(L, at->recorder, "duplicate", "worker '%s': the name is taken by worker %lld", name, (long long)lua_tointeger(L, -1));
    } else {
        lua_pushlstring(L, name, length);
        lua_pushinteger(L, at->reading->position);
        lua_rawset(L, names);
    }
    lua_pop(L, 1);
}

/* Notes the names of all that the worker stands for. */
static void take_names(worker_reader *at, int names) {
    const handout_cluster_worker *worker = &at->worker;
    at->reading->declared += worker->count;
    if (at->reading->declared > HANDOUT_MOST_WORKERS) {
        handout_refuse(at->L, at->recorder, "field", "%s: more than 100000 workers, counts included", at->who);
        return;
    }
    if (worker->count == 1) take_name(at, names, worker->name, strlen(worker->name));
    for (uint32_t i = 1; worker->count > 1 && i <= worker->count; i++) {
        char name[240];
        int length = snprintf(name, sizeof name, "%s-%u", worker->name, i);
        take_name(at, names, name, (size_t)length);
    }
}

/* Reads name and count, and says who the worker is. Returns 0, or -1 when there is no name. */
static int read_name(worker_reader *at, char *who, size_t size) {
    lua_State *L = at->L;
    char what[160];
    int whole = 0;
    lua_pushliteral(L, "name");
    lua_rawget(L, at->table);
    size_t length = 0;
    const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
    const char *wrong = name ? handout_check_id(name, length) : NULL;
    handout_describe(L, -1, what, sizeof what);
    if (!name) handout_refuse(L, at->recorder, "id", "%s: the name is a string, got %s", at->who, what);
    else if (wrong) handout_refuse(L, at->recorder, "id", "worker %s: not an id: %s", what, wrong);
    at->worker.name = name && !wrong ? keep(at, name) : NULL;
    if (at->worker.name) snprintf(who, size, "worker '%s'", at->worker.name), at->who = who;
    lua_pop(L, 1);
    lua_pushliteral(L, "count");
    at->worker.count = 1;
    if (lua_rawget(L, at->table) != LUA_TNIL) {
        lua_Integer count = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &whole) : 0;
        if (whole && count >= 1 && count <= HANDOUT_MOST_WORKERS) at->worker.count = (uint32_t)count;
        else handout_refuse_field(L, at->recorder, at->who, "count", "a whole number from 1 to 100000");
        if (at->worker.name && at->worker.count > 1 && length > 190)
            handout_refuse(L, at->recorder, "id", "%s: longer than 190 bytes, and NAME-1 and so on are ids too", at->who);
    }
    lua_pop(L, 1);
    return at->worker.name ? 0 : -1;
}

void handout_cluster_read_worker(lua_State *L, handout_recorder *recorder, handout_reading *reading, int table, int names,
                                 const char *who) {
    static const char *const fields[] = {"name", "count", "cpu", "memory", "gpu", "resources", "price", "speed", "labels",
                                         "lifetime", "joins", "trackers", NULL};
    static void (*const readers[])(worker_reader *) = {NULL, NULL, read_cpu, read_memory, read_gpu, read_resources, read_price,
                                                       read_speed, read_labels, read_lifetime, read_joins, read_trackers};
    worker_reader at = {L, recorder, reading, {0}, who, table};
    char text[300];
    int top = lua_gettop(L);
    int named = read_name(&at, text, sizeof text) == 0;
    at.worker.amount_first = (uint32_t)reading->amounts.count;
    for (int i = 2; fields[i]; i++) {
        lua_pushstring(L, fields[i]);
        lua_rawget(L, table);
        readers[i](&at);
        lua_settop(L, top);
    }
    at.worker.amount_count = (uint32_t)reading->amounts.count - at.worker.amount_first;
    handout_refuse_unknown_fields(L, recorder, at.who, table, fields, 0);
    if (!named) return;
    take_names(&at, names);
    *(handout_cluster_worker *)handout_cluster_add(L, &reading->workers) = at.worker;
}
