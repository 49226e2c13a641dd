/* Files in Lua that are no graph scripts: cluster files here; strategies and trackers in headers of their own. */
#ifndef HANDOUT_FILES_H
#define HANDOUT_FILES_H

#include "handout_lua.h"

/* A file that is to be run in a state of its own. Everything outlives what is made from it. */
typedef struct handout_file_config {
    const handout_program *program; /* source, parameters, seed, and for trackers what is allowed */
    const handout_host *host;       /* `module` and `log`; logs have the task ~0 */
    handout_slot *slot;             /* of the thread that calls, so that deadlines hold; may be NULL */
    uint64_t memory;                /* bytes of the state */
    uint64_t time;                  /* ns for running the file, by the slot's clock; 0: no limit */
} handout_file_config;

/* Why a file is refused; never more than a hundred are kept. */
typedef struct handout_problems {
    handout_plan_error *list;
    uint32_t count;
    uint64_t left_out;
} handout_problems;
void handout_problems_free(handout_problems *problems);

/* ---- Cluster files (cluster.c) ---- */

/* So much of a resource, or its indices by name. */
typedef struct handout_cluster_amount {
    const char *name;
    uint64_t amount;       /* in 1/10 000; of memory bytes */
    uint32_t index_first;  /* in `indices` of the cluster */
    uint32_t index_count;
    int indexed;
} handout_cluster_amount;

/* The price an hour from a time on, ns after the worker has joined. */
typedef struct handout_cluster_price {
    uint64_t at;
    double price;
} handout_cluster_price;

typedef struct handout_cluster_label {
    const char *name, *value;
} handout_cluster_label;

typedef struct handout_cluster_worker {
    const char *name;
    uint32_t count;        /* above 1: NAME-1 to NAME-count */
    uint32_t amount_first, amount_count; /* in `amounts`, and so on */
    uint32_t price_first, price_count;
    uint32_t label_first, label_count;
    double speed;
    uint64_t lifetime;     /* ns, 0: none */
    uint64_t joins;        /* ns */
    const char *trackers;  /* NULL: none */
} handout_cluster_worker;

typedef struct handout_cluster_link {
    const char *from, *to; /* NULL: any */
    uint64_t bandwidth;    /* bytes a second, 0: the network's */
    uint64_t latency;      /* ns */
    int has_latency;       /* else the network's */
} handout_cluster_link;

typedef struct handout_cluster {
    handout_problems problems; /* where there are some, nothing else counts */
    handout_cluster_worker *workers;
    handout_cluster_amount *amounts;
    handout_cluster_price *prices;
    handout_cluster_label *labels;
    const char **indices;
    handout_cluster_amount *shared;
    handout_cluster_link *links;
    uint32_t worker_count, amount_count, price_count, label_count, index_count, shared_count, link_count;
    uint64_t bandwidth;    /* bytes a second, 0: no limit */
    uint64_t latency;      /* ns */
    char **texts;          /* what the names are in */
    uint32_t text_count;
} handout_cluster;

/* Runs a file that returns handout.cluster{ ... }. NULL when memory is exhausted. */
handout_cluster *handout_cluster_read(const handout_file_config *config);
void handout_cluster_free(handout_cluster *cluster);

#endif
