/* Cluster files: handout.cluster{ ... }, checked as a whole and given as columns. */
#include "cluster.h"
#include "sandbox.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char key_given, key_names; /* registry: the table that was given; name → number of the worker that has it */

/* ---- Columns ---- */

void *handout_cluster_add(lua_State *L, handout_vector *vector) {
    void *item = handout_vector_add(vector);
    if (!item) handout_exhausted(L);
    memset(item, 0, vector->size);
    return item;
}

static void init(handout_reading *reading) {
    reading->workers.size = sizeof(handout_cluster_worker);
    reading->amounts.size = reading->shared.size = sizeof(handout_cluster_amount);
    reading->prices.size = sizeof(handout_cluster_price);
    reading->labels.size = sizeof(handout_cluster_label);
    reading->links.size = sizeof(handout_cluster_link);
    reading->indices.size = reading->texts.size = sizeof(char *);
}

static void fill(handout_cluster *cluster, handout_reading *reading) {
    *cluster = (handout_cluster){
        .workers = (handout_cluster_worker *)reading->workers.data, .worker_count = (uint32_t)reading->workers.count,
        .amounts = (handout_cluster_amount *)reading->amounts.data, .amount_count = (uint32_t)reading->amounts.count,
        .prices = (handout_cluster_price *)reading->prices.data, .price_count = (uint32_t)reading->prices.count,
        .labels = (handout_cluster_label *)reading->labels.data, .label_count = (uint32_t)reading->labels.count,
        .indices = (const char **)reading->indices.data, .index_count = (uint32_t)reading->indices.count,
        .shared = (handout_cluster_amount *)reading->shared.data, .shared_count = (uint32_t)reading->shared.count,
        .links = (handout_cluster_link *)reading->links.data, .link_count = (uint32_t)reading->links.count,
        .texts = (char **)reading->texts.data, .text_count = (uint32_t)reading->texts.count,
        .bandwidth = reading->bandwidth, .latency = reading->latency};
}

/* ---- The parts ---- */

/* The shared pools at the top. */
static void read_shared(lua_State *L, handout_recorder *recorder, handout_reading *reading) {
    int table = lua_gettop(L);
    if (lua_type(L, table) != LUA_TTABLE) {
        handout_refuse_field(L, recorder, "cluster", "shared", "a table such as { licence = 5 }");
        return;
    }
    size_t errors = recorder->errors.count;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        const char *name = handout_field_resource(L, recorder, "cluster", "shared");
        char path[240];
        uint64_t amount;
        if (!name) continue;
        snprintf(path, sizeof path, "shared.%s", name);
        if (handout_field_amount(L, recorder, "cluster", path, &amount)) continue;
        handout_cluster_amount *to = handout_cluster_add(L, &reading->shared);
        to->name = handout_keep_text(L, &reading->texts, name, strlen(name));
        to->amount = amount;
    }
    handout_sort_errors(recorder, errors);
}

/* A pool may not be a worker's own resource too. */
static void check_shared(lua_State *L, handout_recorder *recorder, const handout_reading *reading) {
    const handout_cluster_worker *workers = (const handout_cluster_worker *)reading->workers.data;
    const handout_cluster_amount *amounts = (const handout_cluster_amount *)reading->amounts.data;
    const handout_cluster_amount *shared = (const handout_cluster_amount *)reading->shared.data;
    for (size_t w = 0; w < reading->workers.count; w++)
        for (uint32_t a = 0; a < workers[w].amount_count; a++)
            for (size_t s = 0; s < reading->shared.count; s++)
                if (strcmp(shared[s].name, amounts[workers[w].amount_first + a].name) == 0)
                    handout_refuse(L, recorder, "field", "cluster: field 'shared.%s': worker '%s' has a resource of this name",
                                   shared[s].name, workers[w].name);
}

/* The end of a link at the top, field `field` of the table beneath: a worker's name, or "*" for any. */
static const char *read_end(lua_State *L, handout_recorder *recorder, handout_reading *reading, const char *who, const char *field,
                            int *good) {
    char shown[160];
    const char *name = handout_field_text(L, recorder, who, field, "a worker's name, or \"*\" for any");
    *good &= name != NULL;
    if (!name || strcmp(name, "*") == 0) return NULL;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_names);
    lua_pushvalue(L, -2);
    int known = lua_rawget(L, -2) != LUA_TNIL;
    lua_pop(L, 2);
    if (known) return handout_keep_text(L, &reading->texts, name, strlen(name));
    *good = 0;
    handout_escape(name, strlen(name), 60, shown, sizeof shown);
    handout_refuse(L, recorder, "field", "%s: field '%s': no worker '%s' is declared (of one with a count: NAME-1 and so on)", who,
                   field, shown);
    return NULL;
}

/* The link at the top. */
static void read_link(lua_State *L, handout_recorder *recorder, handout_reading *reading, const char *who) {
    static const char *const names[] = {"from", "to", "bandwidth", "latency", NULL};
    int table = lua_gettop(L), good = 1;
    handout_cluster_link link = {0};
    lua_pushliteral(L, "from");
    lua_rawget(L, table);
    link.from = read_end(L, recorder, reading, who, "from", &good);
    lua_pushliteral(L, "to");
    lua_rawget(L, table);
    link.to = read_end(L, recorder, reading, who, "to", &good);
    lua_pushliteral(L, "bandwidth");
    if (lua_rawget(L, table) != LUA_TNIL) handout_field_rate(L, recorder, who, "bandwidth", &link.bandwidth);
    lua_pushliteral(L, "latency");
    if (lua_rawget(L, table) != LUA_TNIL)
        link.has_latency = handout_field_duration(L, recorder, who, "latency", &link.latency) == 0;
    lua_settop(L, table);
    handout_refuse_unknown_fields(L, recorder, who, table, names, 0);
    if (good) *(handout_cluster_link *)handout_cluster_add(L, &reading->links) = link;
}

static void read_links(lua_State *L, handout_recorder *recorder, handout_reading *reading) {
    int table = lua_gettop(L);
    lua_Integer count = lua_type(L, table) == LUA_TTABLE ? handout_table_shape(L) : -2;
    if (count < 0 || count > HANDOUT_MOST_WORKERS) {
        handout_refuse_field(L, recorder, "network", "links", "a list of at most 100000 tables such as { from = \"a\", to = \"*\" }");
        return;
    }
    for (lua_Integer i = 1; i <= count; i++, lua_settop(L, table)) {
        char who[40];
        snprintf(who, sizeof who, "links[%lld]", (long long)i);
        if (lua_rawgeti(L, table, i) == LUA_TTABLE) read_link(L, recorder, reading, who);
        else handout_refuse_field(L, recorder, "network", who, "a table such as { from = \"a\", to = \"*\" }");
    }
}

/* The network at the top. */
static void read_network(lua_State *L, handout_recorder *recorder, handout_reading *reading) {
    static const char *const names[] = {"bandwidth", "latency", "links", NULL};
    int table = lua_gettop(L);
    if (lua_type(L, table) != LUA_TTABLE) {
        handout_refuse_field(L, recorder, "cluster", "network", "a table such as { bandwidth = \"1GB/s\" }");
        return;
    }
    lua_pushliteral(L, "bandwidth");
    if (lua_rawget(L, table) != LUA_TNIL) handout_field_rate(L, recorder, "network", "bandwidth", &reading->bandwidth);
    lua_pushliteral(L, "latency");
    if (lua_rawget(L, table) != LUA_TNIL) handout_field_duration(L, recorder, "network", "latency", &reading->latency);
    lua_pushliteral(L, "links");
    if (lua_rawget(L, table) != LUA_TNIL) read_links(L, recorder, reading);
    lua_settop(L, table);
    handout_refuse_unknown_fields(L, recorder, "network", table, names, 0);
}

/* ---- The whole ---- */

static void read_workers(lua_State *L, handout_recorder *recorder, handout_reading *reading, lua_Integer count) {
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_names);
    for (lua_Integer i = 1; i <= count; i++, lua_settop(L, 1)) {
        handout_check(handout_of(L));
        char who[40];
        snprintf(who, sizeof who, "worker %lld", (long long)i);
        reading->position = i;
        if (lua_rawgeti(L, 1, i) != LUA_TTABLE) {
            char what[160];
            handout_describe(L, -1, what, sizeof what);
            handout_refuse(L, recorder, "field", "%s: expected a table such as { name = \"a\", cpu = 8 }, got %s", who, what);
            continue;
        }
        lua_rawgetp(L, LUA_REGISTRYINDEX, &key_names);
        handout_cluster_read_worker(L, recorder, reading, 2, 3, who);
    }
    if (count == 0) handout_refuse(L, recorder, "field", "cluster: no worker is declared");
}

static void read_cluster(lua_State *L, handout_recorder *recorder, handout_reading *reading) {
    static const char *const names[] = {"shared", "network", NULL};
    lua_Integer count = (lua_Integer)lua_rawlen(L, 1);
    if (count > HANDOUT_MOST_WORKERS) {
        handout_refuse(L, recorder, "field", "cluster: at most 100000 workers, got %lld", (long long)count);
        return;
    }
    luaL_checkstack(L, 20, "cluster");
    read_workers(L, recorder, reading, count);
    lua_pushliteral(L, "shared");
    if (lua_rawget(L, 1) != LUA_TNIL) read_shared(L, recorder, reading);
    check_shared(L, recorder, reading);
    lua_pushliteral(L, "network");
    if (lua_rawget(L, 1) != LUA_TNIL) read_network(L, recorder, reading);
    lua_settop(L, 1);
    handout_refuse_unknown_fields(L, recorder, "cluster", 1, names, count);
}

int handout_module_cluster(lua_State *L) {
    handout_recorder *recorder = handout_recorder_of(L);
    handout_only_planning(L, "handout.cluster");
    lua_settop(L, 1);
    if (recorder->purpose != HANDOUT_FOR_CLUSTER) {
        handout_refuse(L, recorder, "script", "handout.cluster is for a cluster file (--cluster FILE)");
        return 1;
    }
    if (lua_type(L, 1) != LUA_TTABLE) {
        char what[160];
        handout_describe(L, 1, what, sizeof what);
        handout_refuse(L, recorder, "field", "cluster: expected a table of workers, got %s", what);
        return 1;
    }
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key_given) != LUA_TNIL)
        return luaL_error(L, "handout.cluster was called before: a file gives one cluster");
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_given);
    read_cluster(L, recorder, recorder->reads);
    return 1;
}

/* The file gave the value at the top. */
static void check_returned(lua_State *L, handout_file *file, void *data) {
    (void)data;
    char what[160];
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key_given) != LUA_TNIL && lua_rawequal(L, -1, -2)) return;
    if (file->recorder.errors.count > 0 && lua_isnil(L, -1)) return; /* what it gave was refused */
    handout_describe(L, -2, what, sizeof what);
    handout_refuse(L, &file->recorder, "script", "the file returned %s, expected a cluster (return handout.cluster{ ... })", what);
}

handout_cluster *handout_cluster_read(const handout_file_config *config) {
    handout_cluster *cluster = calloc(1, sizeof *cluster);
    handout_reading *reading = calloc(1, sizeof *reading);
    handout_file *file = malloc(sizeof *file);
    if (!cluster || !reading || !file || handout_file_open(file, config, HANDOUT_FOR_CLUSTER)) {
        free(cluster);
        free(reading);
        free(file);
        return NULL;
    }
    init(reading);
    file->recorder.reads = reading;
    handout_file_run(file, check_returned, NULL);
    fill(cluster, reading);
    handout_file_problems(file, &cluster->problems);
    handout_file_close(file);
    free(reading);
    free(file);
    return cluster;
}

void handout_cluster_free(handout_cluster *cluster) {
    if (!cluster) return;
    handout_problems_free(&cluster->problems);
    for (uint32_t i = 0; i < cluster->text_count; i++) free(cluster->texts[i]);
    void *columns[] = {cluster->workers, cluster->amounts, cluster->prices, cluster->labels, (void *)cluster->indices,
                       cluster->shared, cluster->links, cluster->texts, cluster};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) free(columns[i]);
}
