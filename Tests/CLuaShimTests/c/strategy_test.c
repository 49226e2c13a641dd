/* Tests of strategies in Lua without Swift. Build and run: see run_strategy_test.sh; `bench` gives the cost of a call. */
#define _GNU_SOURCE
#include "handout_strategy.h"
#include "handout_trackers.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int failures, checks;

#define CHECK(condition, ...)                                                                                \
    do {                                                                                                     \
        checks++;                                                                                            \
        if (!(condition)) {                                                                                  \
            failures++;                                                                                      \
            printf("%s:%d: %s: ", __FILE__, __LINE__, #condition);                                           \
            printf(__VA_ARGS__);                                                                             \
            printf("\n");                                                                                    \
        }                                                                                                    \
    } while (0)

/* ---- A cluster and a queue ---- */

enum { WORKERS = 1000, RESOURCES = 4, CLASSES = 2, TASKS = 10 };

static char logged[4096];

static void host_log(void *context, uint32_t task, int level, const char *text, size_t length) {
    (void)context;
    snprintf(logged, sizeof logged, "%s%d: %.*s", task == ~(uint32_t)0 ? "" : "task ", level, (int)length, text);
}

static int host_module(void *context, const char *name, size_t length, const char **source, size_t *size, const char **chunk_name,
                       uint32_t *index, char *error, size_t error_size) {
    (void)context, (void)source, (void)size, (void)chunk_name, (void)index;
    snprintf(error, error_size, "module '%.*s' not found", (int)length, name);
    return -1;
}

static const handout_host host = {.log = host_log, .module = host_module};

static handout_text text(const char *bytes) { return (handout_text){bytes, bytes ? strlen(bytes) : 0}; }

static handout_text resources[RESOURCES];
static uint64_t totals[WORKERS][RESOURCES], frees[WORKERS][RESOURCES], asked[2][RESOURCES];
static const uint64_t *variants[CLASSES][2];
static handout_worker_view workers[WORKERS];
static handout_class_view classes[CLASSES];
static handout_task_view tasks[TASKS];
static char ids[WORKERS][24], task_ids[TASKS][24];
static handout_label_view labels[2];

static uint64_t fits(void *caller, uint32_t class_index, uint32_t worker) {
    (void)caller;
    return class_index == 0 ? worker + 1 : 0;
}

static uint64_t has(void *caller, uint32_t task, uint32_t worker) {
    (void)caller;
    return 1000 * worker + task;
}

static int ready(void *caller, uint64_t place, handout_task_view *task) {
    (void)caller;
    if (place >= TASKS) return -1;
    *task = tasks[place];
    return 0;
}

static int take(void *caller, uint32_t class_index, uint64_t place, handout_task_view *task) {
    (void)caller;
    for (int i = 0; i < TASKS; i++) {
        if (tasks[i].class_index != class_index || place-- > 0) continue;
        *task = tasks[i];
        return 0;
    }
    return -1;
}

static int find(void *caller, const char *id, size_t length, handout_task_view *task) {
    (void)caller;
    for (int i = 0; i < TASKS; i++) {
        if (strlen(task_ids[i]) != length || memcmp(task_ids[i], id, length) != 0) continue;
        *task = tasks[i];
        return 0;
    }
    return -1;
}

static handout_strategy_view view;

static void make_view(void) {
    static const char *const names[] = {"cpu", "memory", "gpu", "licence"};
    static const handout_text near[] = {{"w2", 2}}, zones[] = {{"eu", 2}, {"us", 2}};
    static const handout_where_view where[] = {{{"zone", 4}, zones, 2}, {{"role", 4}, zones, 1}};
    for (int r = 0; r < RESOURCES; r++) resources[r] = text(names[r]);
    labels[0] = (handout_label_view){text("zone"), text("eu")};
    labels[1] = (handout_label_view){text("empty"), text("")};
    for (uint32_t w = 0; w < WORKERS; w++) {
        snprintf(ids[w], sizeof ids[w], "w%u", w + 1);
        totals[w][0] = 80000, frees[w][0] = 40000 + 10000 * (w % 3);
        totals[w][1] = frees[w][1] = 64ull << 30;
        totals[w][2] = w % 4 == 3 ? 20000 : 0, frees[w][2] = w % 4 == 3 ? 5000 : 0;
        workers[w] = (handout_worker_view){.id = text(ids[w]), .labels = labels, .total = totals[w], .free = frees[w], .price = w % 5,
                                           .speed = 1.5, .idle = 0, .remaining = HANDOUT_UNKNOWN, .bandwidth = 1e9, .label_count = 2,
                                           .running = w % 7, .lost = 1, .worker = w};
    }
    asked[0][0] = 15000, asked[0][1] = 1 << 30;
    asked[1][2] = 10000;
    variants[0][0] = variants[1][0] = asked[0], variants[0][1] = asked[1];
    classes[0] = (handout_class_view){.next = {.name = text("align"), .near = near, .near_count = 1, .priority = 3, .consumers = 2,
                                               .retries_left = 4, .estimate = HANDOUT_UNKNOWN, .rank = 12.5},
                                      .variants = variants[0], .variant_count = 2, .fitting = 0, .where = where, .where_count = 2,
                                      .count = 6};
    classes[1] = (handout_class_view){.next = {.name = text("merge"), .estimate = 60, .rank = 1}, .variants = variants[1],
                                      .variant_count = 1, .count = 4};
    for (uint32_t t = 0; t < TASKS; t++) {
        snprintf(task_ids[t], sizeof task_ids[t], "t%u", t + 1);
        tasks[t] = (handout_task_view){.own = classes[t >= 6].next, .id = text(task_ids[t]), .key_index = t == 1 ? 7 : 0,
                                       .key = text(t == 2 ? "B 1" : NULL), .input_bytes = t == 0 ? -1 : 500, .waited = 2.5,
                                       .task = t + 100, .class_index = t >= 6, .attempt = 1};
    }
    view = (handout_strategy_view){.resources = resources, .classes = classes, .workers = workers, .resource_count = RESOURCES,
                                   .class_count = CLASSES, .worker_count = 4, .ready_count = TASKS,
                                   .context = {.now = 1.5, .deadline = HANDOUT_UNKNOWN, .spent = 0.25, .run = text("r"), .seed = 5},
                                   .fits = fits, .has = has, .ready = ready, .take = take, .find = find};
}

/* ---- Making and calling strategies ---- */

static handout_program program;
static handout_file_config file;
static handout_strategy_config config;
static handout_choice choices[WORKERS];
static handout_slot *slot;

static handout_strategy *load(const char *source) {
    program = (handout_program){.source = source, .source_length = strlen(source), .chunk_name = "@s.lua", .seed = 9};
    file = (handout_file_config){.program = &program, .host = &host, .slot = slot, .memory = 64 << 20, .time = 2000000000};
    config.file = &file;
    return handout_strategy_new(&config);
}

/* The strategy whose spec is that. */
static handout_strategy *spec(const char *format) {
    static char source[20000];
    snprintf(source, sizeof source, "local handout = require 'handout'\nreturn handout.allocator(%s)", format);
    return load(source);
}

static const char *shown(const handout_plan_error *error) {
    static char line[2000];
    if (!error) return "no problem";
    if (error->file && !error->line) snprintf(line, sizeof line, "%s: %s", error->file, error->message);
    else if (!error->file) snprintf(line, sizeof line, "%s", error->message);
    else snprintf(line, sizeof line, "%s:%u: %s", error->file, error->line, error->message);
    return line;
}

static void refused(const char *source, const char *said) {
    handout_strategy *strategy = load(source);
    const handout_strategy_facts *facts = handout_strategy_facts_of(strategy);
    const char *got = facts->problems.count ? shown(&facts->problems.list[0]) : "accepted";
    CHECK(strcmp(got, said) == 0, "%s", got);
    CHECK(facts->kind == HANDOUT_STRATEGY_REFUSED || strcmp(said, "accepted") == 0, "%d", facts->kind);
    handout_strategy_free(strategy);
}

static handout_strategy *good(handout_strategy *strategy) {
    const handout_strategy_facts *facts = handout_strategy_facts_of(strategy);
    CHECK(facts->problems.count == 0, "%s", shown(&facts->problems.list[0]));
    return strategy;
}

/* One score call of a body; what is wrong with it, or "". */
static const char *score(const char *body, int ended) {
    char source[4000];
    snprintf(source, sizeof source, "{ score = function(task, worker)\n%s\nend }", body);
    handout_strategy *strategy = good(spec(source));
    int status = handout_strategy_score(strategy, &view, &tasks[0], choices);
    static char said[2000];
    snprintf(said, sizeof said, "%s", status ? shown(handout_strategy_problem(strategy)) : "");
    CHECK(status == ended, "%s: %d %s", body, status, said);
    handout_strategy_free(strategy);
    return said;
}

/* An assertion about views, in a call of score. */
static void holds(const char *condition) {
    char body[2000];
    snprintf(body, sizeof body, "if worker.id ~= 'w4' then return 0 end\nreturn (%s) and 1 or 0", condition);
    const char *said = score(body, 0);
    CHECK(choices[3].score == 1, "%s: %s", condition, said);
}

/* The same in a call of allocate. */
static void round_holds(const char *condition) {
    char source[4000];
    snprintf(source, sizeof source, "function(ready, workers, context) assert(%s) return {} end", condition);
    handout_strategy *strategy = good(spec(source));
    const handout_placement *placements;
    uint32_t count;
    uint64_t wait;
    int status = handout_strategy_allocate(strategy, &view, &placements, &count, &wait);
    CHECK(status == 0, "%s: %s", condition, shown(handout_strategy_problem(strategy)));
    handout_strategy_free(strategy);
}

static void answered(const char *body, const char *said) {
    char source[4000];
    snprintf(source, sizeof source, "function(ready, workers, context)\n%s\nend", body);
    handout_strategy *strategy = good(spec(source));
    const handout_placement *placements;
    uint32_t count;
    uint64_t wait;
    int status = handout_strategy_allocate(strategy, &view, &placements, &count, &wait);
    const char *got = status ? shown(handout_strategy_problem(strategy)) : "done";
    CHECK(strcmp(got, said) == 0, "%s", got);
    CHECK(status == 0 || count == 0, "%u placements", count);
    handout_strategy_free(strategy);
}

/* ---- Tests ---- */

static void test_files(void) {
    refused("return {}", "s.lua: the file returned a table, expected a strategy (return handout.allocator{ ... })");
    refused("return require 'handout'.allocator { score = print, filters = 1 }",
            "s.lua:1: handout.allocator: unknown field \"filters\" (did you mean 'filter'?)");
    refused("return require 'handout'.allocator 'cots'",
            "s.lua:1: handout.allocator: no strategy 'cots' is built in (did you mean 'cost'?)");
    refused("error 'no'", "s.lua:1: no");
    refused("return require 'nothing'", "s.lua:1: module 'nothing' not found");
    refused("return require 'handout'.allocator(", "s.lua:1: unexpected symbol near <eof>");
    refused("local h = require 'handout'\nh.fs.read 'x'", "s.lua:2: handout.fs.read is only there inside a task (while planning: handout.read)");
    refused("local h = require 'handout'\nh.read 'x'", "s.lua:2: read: there is no run directory");
    refused("return require 'handout'.allocator(function() end)", "accepted");
    handout_strategy *strategy = good(spec("'cost', { deadline = '2h' }"));
    const handout_strategy_facts *facts = handout_strategy_facts_of(strategy);
    CHECK(facts->kind == HANDOUT_STRATEGY_BUILT_IN && strcmp(facts->name, "cost") == 0, "%d", facts->kind);
    CHECK(strcmp(facts->option, "deadline") == 0 && facts->option_duration == 7200000000000, "%s", facts->option);
    handout_strategy_free(strategy);
    strategy = good(spec("{ name = 'n', per_task = true, budget = '1s', filter = print, on_event = print }"));
    facts = handout_strategy_facts_of(strategy);
    CHECK(facts->kind == HANDOUT_STRATEGY_SCORE && facts->per_task && facts->budget == 1000000000, "%d", facts->kind);
    CHECK(facts->has_filter && !facts->has_score && facts->has_event && strcmp(facts->name, "n") == 0, "%s", facts->name);
    handout_strategy_free(strategy);
}

static void test_graph_script(void) {
    static const char source[] =
        "local h = require 'handout'\nlocal other = h.graph 'other'\nother:allocator('cost')\nlocal g = h.graph 'g'\n"
        "local a = g:task('a', { cpu = 'wrong' }, function() end)\nprint 'not shown'\n"
        "g:allocator { options = { at = a.id }, allocate = function(ready, workers, context)\n"
        "  print(context.options.at, a.id) return {} end }\nreturn g";
    const handout_placement *placements;
    uint32_t count;
    uint64_t wait;
    config.from_graph = 1;
    logged[0] = 0;
    handout_strategy *strategy = good(load(source));
    CHECK(logged[0] == 0, "%s", logged);
    CHECK(handout_strategy_allocate(strategy, &view, &placements, &count, &wait) == 0, "%s", shown(handout_strategy_problem(strategy)));
    CHECK(strcmp(logged, "1: a\ta") == 0, "%s", logged);
    handout_strategy_free(strategy);
    refused("return require 'handout'.graph 'g'", "s.lua: g:allocator was not called for the graph that the script returned");
    refused("return 5", "s.lua: the script returned 5, expected a graph (end it with: return g)");
    config.from_graph = 0;
}

static void test_views(void) {
    holds("task.id == 't1' and task.name == 'align' and task.key == nil and task.attempt == 1 and task.priority == 3");
    holds("task.amounts.cpu == 1.5 and task.amounts.memory == 1 << 30 and task.amounts.gpu == nil and task.amounts.x == nil");
    holds("math.type(task.amounts.memory) == 'integer' and math.type(worker.total.cpu) == 'integer'");
    holds("#task.variants == 2 and task.variants[2].gpu == 1 and task.variants[2].cpu == nil");
    holds("task.where.zone[2] == 'us' and task.where.role == 'eu' and task.near[1] == 'w2'");
    holds("task.estimate == nil and task.rank == 12.5 and task.input_bytes == nil and task.consumers == 2");
    holds("task.waited == 2.5 and task.retries_left == 4 and task.class.count == 6 and task.class.name == 'align'");
    holds("task.class == task.class and task.class.class == task.class and task.class.id == nil");
    holds("worker.total.cpu == 8 and worker.free.cpu == 4 and worker.total.gpu == 2 and worker.free.gpu == 0.5");
    holds("worker.total.licence == nil and worker.free.licence == nil and worker.total[5] == nil");
    holds("worker.labels.zone == 'eu' and worker.labels.empty == '' and worker.labels.other == nil");
    holds("worker.running == 3 and worker.price == 3 and worker.speed == 1.5 and worker.remaining == nil");
    holds("worker.idle == 0 and worker.bandwidth == 1e9 and worker.lost == 1 and worker.nothing == nil");
    holds("worker:fits(task) == 4 and worker:fits(task.class) == 4 and worker:has(task) == 3100");
    holds("(function() local s = '' for k, v in pairs(worker.free) do s = s .. k .. v .. ' ' end return s end)() == "
          "'cpu4 gpu0.5 memory68719476736 '");
    holds("(function() local s = '' for k, v in pairs(worker.labels) do s = s .. k .. v .. ' ' end return s end)() == 'empty zoneeu '");
    holds("tostring(task) == 'a task' and getmetatable(task) == false");
    round_holds("#ready == 10 and ready[1].id == 't1' and ready[11] == nil and ready[0] == nil and ready.x == nil");
    round_holds("ready[2].key == 7 and ready[3].key == 'B 1' and ready[2].input_bytes == 500 and ready[7].estimate == 60");
    round_holds("#workers == 4 and workers[4].id == 'w4' and workers[5] == nil and workers:get('w2').id == 'w2'");
    round_holds("workers:get('x') == nil and workers:get('w2') == workers[2] and ready[1] == ready[1]");
    round_holds("context.now == 1.5 and context.deadline == nil and context.run == 'r' and context.spent == 0.25 and context.seed == 5");
    round_holds("(function() local n = 0 for _, w in ipairs(workers) do n = n + 1 end for _, t in pairs(ready) do n = n + 1 end return n "
                "end)() == 14");
    round_holds("(function() local s = '' for c in ready:classes() do for t in c:take(4) do s = s .. t.id end for t in c:take(4) do s = s "
                ".. t.id end end return s end)() == 't1t2t3t4t5t6t7t8t9t10'");
    round_holds("workers[1]:fits(ready[7]) == 0 and context.options.x == nil");
}

static void test_misuse(void) {
    static const char *const cases[][2] = {
        {"worker.id = 'x'", "s.lua:3: a view is read-only: \"id\" cannot be assigned"},
        {"worker.free.cpu = 5", "s.lua:3: a view is read-only: \"cpu\" cannot be assigned"},
        {"return worker.fits(5, task)", "s.lua:3: expected a worker, got 5"},
        {"return worker:fits(worker)", "s.lua:3: expected a task or a class, got a handle"},
        {"return worker:has(task.class)", "s.lua:3: expected a task, got a handle"},
        {"for t in task.class:take(1) do end", "s.lua:3: take: only allocate takes tasks"},
        {"return 0/0", "s.lua:2: score: expected a finite number, got nan"},
        {"return '1'", "s.lua:2: score: expected a finite number, got \"1\""},
        {"", "s.lua:2: score: expected a finite number, got nil"},
        {"error { message = 'no' }", "s.lua:3: no"},
        {"coroutine.yield(1)", "s.lua:3: attempt to yield from outside a coroutine"},
        {"require 'handout'.exec { 'ls' }", "s.lua:3: handout.exec is only there inside a task"},
        {"require 'handout'.task.id()", "s.lua:3: handout.task is only there inside a task"},
        {"return os.time()", "s.lua:3: os.time is not available in this file"},
        {"return string.rep('x', 1 << 40)", NULL},
        {"return table.move({}, 1, math.maxinteger - 1, 2)", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int wrong = cases[i][1] && strstr(cases[i][1], "score: ");
        const char *said = score(cases[i][0], wrong ? HANDOUT_STRATEGY_WRONG : HANDOUT_STRATEGY_RAISED);
        CHECK(!cases[i][1] || strcmp(said, cases[i][1]) == 0, "%s", said);
    }
}

static void test_filters(void) {
    handout_strategy *strategy = good(spec("{ filter = function(task, worker) if worker.total.gpu then return false, 'kept for GPU tasks' end "
                                           "if worker.id == 'w1' then return false end return true end }"));
    view.worker_count = 8;
    CHECK(handout_strategy_score(strategy, &view, &tasks[0], choices) == 0, "%s", shown(handout_strategy_problem(strategy)));
    CHECK(choices[0].filtered && !choices[0].reason.bytes && !choices[1].filtered && choices[1].score == 0, "w1, w2");
    for (int i = 3; i < 8; i += 4)
        CHECK(choices[i].filtered && choices[i].reason.length == 18 && memcmp(choices[i].reason.bytes, "kept for GPU tasks", 18) == 0,
              "%.*s", (int)choices[i].reason.length, choices[i].reason.bytes);
    view.worker_count = 4;
    handout_strategy_free(strategy);
    static const char *const bodies[][2] = {
        {"return nil", "s.lua:2: filter: expected true, or false and a reason, got nil"},
        {"return 1", "s.lua:2: filter: expected true, or false and a reason, got 1"},
        {"return false, 5", "s.lua:2: filter: expected a reason, a string, after false, got 5"}};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        char source[300];
        snprintf(source, sizeof source, "{ filter = function() %s end }", bodies[i][0]);
        strategy = good(spec(source));
        CHECK(handout_strategy_score(strategy, &view, &tasks[0], choices) == HANDOUT_STRATEGY_WRONG, "%s", bodies[i][0]);
        CHECK(strcmp(shown(handout_strategy_problem(strategy)), bodies[i][1]) == 0, "%s", shown(handout_strategy_problem(strategy)));
        handout_strategy_free(strategy);
    }
}

static void test_rounds(void) {
    const handout_placement *placements;
    uint32_t count;
    uint64_t wait;
    handout_strategy *strategy = good(spec("function(ready, workers) return { { task = ready[2], worker = workers[3], variant = 2 }, "
                                           "{ task = 't9', worker = 'w1' } }, { wait = '30s' } end"));
    CHECK(handout_strategy_allocate(strategy, &view, &placements, &count, &wait) == 0, "%s", shown(handout_strategy_problem(strategy)));
    CHECK(count == 2 && placements[0].task == 101 && placements[0].worker == 2 && placements[0].variant == 1, "%u", count);
    CHECK(placements[1].task == 108 && placements[1].worker == 0 && placements[1].variant == HANDOUT_NONE, "%u", placements[1].task);
    CHECK(wait == 30000000000, "%llu", (unsigned long long)wait);
    handout_strategy_free(strategy);
    static const char *const cases[][2] = {
        {"return nil", "s.lua:2: allocate: result: expected a list of { task =, worker = }, got nil"},
        {"return function() end", "s.lua:2: allocate: result: expected a list of { task =, worker = }, got a function"},
        {"local r = {} for i = 1, 100000 do r['t' .. i] = workers[1].id end return r",
         "s.lua:2: allocate: result: expected a list with keys 1 to n, got a table"},
        {"return { [ready[1].id] = 0/0, ['a\\0'] = 'w\\0' }", "s.lua:2: allocate: result: expected a list with keys 1 to n, got a table"},
        {"local r = {} for i = 1, 11 do r[i] = { task = ready[1], worker = workers[1] } end return r",
         "s.lua:2: allocate: result: 11 placements, but 10 tasks are ready"},
        {"return { 5 }", "s.lua:2: allocate: placement 1: expected a table { task =, worker = }, got 5"},
        {"return { { task = 'x\\0', worker = 'w1' } }",
         "s.lua:2: allocate: placement 1: expected task = the id of a ready task, got \"x\\x00\""},
        {"return { { task = 't1', worker = 'w9' } }", "s.lua:2: allocate: placement 1: expected worker = the id of a worker, got \"w9\""},
        {"return { { task = workers[1], worker = 'w1' } }",
         "s.lua:2: allocate: placement 1: expected task = a task or its id, got a handle"},
        {"return { { worker = 'w1' } }", "s.lua:2: allocate: placement 1: expected task = a task or its id, got nil"},
        {"return { { task = 't1' } }", "s.lua:2: allocate: placement 1: expected worker = a worker or its id, got nil"},
        {"return { { task = 't1', worker = 'w1', variant = 3 } }",
         "s.lua:2: allocate: placement 1: expected variant = the number of a variant of the task, got 3"},
        {"return { { task = 't1', worker = 'w1', variant = 1.5 } }",
         "s.lua:2: allocate: placement 1: expected variant = a whole number from 1, got 1.5"},
        {"return { { task = 't1', wroker = 'w1' } }",
         "s.lua:2: allocate: placement 1: unknown key \"wroker\" (did you mean 'worker'?)"},
        {"return {}, { wait = '61m' }", "s.lua:2: allocate: wait: expected at most 1h, got \"61m\""},
        {"return {}, { wait = 'x' }", "s.lua:2: allocate: wait: expected a duration such as \"1h30m\" or seconds, got \"x\""},
        {"return {}, { wiat = 1 }", "s.lua:2: allocate: second result: unknown key \"wiat\" (did you mean 'wait'?)"},
        {"return {}, 5", "s.lua:2: allocate: second result: expected a table { wait = duration }, got 5"},
        {"return {}, nil, 5", "done"},
        {"return { { task = ready[1], worker = workers[1] }, { task = ready[1], worker = workers[1] } }", "done"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) answered(cases[i][0], cases[i][1]);
}

static void test_old_views(void) {
    const handout_placement *placements;
    uint32_t count;
    uint64_t wait;
    handout_strategy *strategy = good(spec(
        "(function() local kept, first\nreturn { allocate = function(ready, workers, context)\nlocal t = kept and kept() or nil\n"
        "local task, free, iterator = ready[1], workers[1].free, ready:classes()\n"
        "local cases = { function() return task.id end, function() return free.cpu end, iterator, function() return #ready end,\n"
        "function() return context.now end, function() return workers[1] end }\n"
        "first = (first or 0) + 1 kept = cases[first]\nreturn {} end } end)()"));
    static const char *const said[] = {"no problem", "a task", "amounts", "what is ready", "what is ready", "the context", "the workers"};
    for (int i = 0; i < 6; i++) {
        int status = handout_strategy_allocate(strategy, &view, &placements, &count, &wait);
        const char *got = shown(handout_strategy_problem(strategy));
        char expected[200];
        if (i == 0) snprintf(expected, sizeof expected, "%s", said[0]);
        else snprintf(expected, sizeof expected, "a view of %s was kept from an earlier call: views are valid during a call only", said[i]);
        CHECK(strstr(got, expected) && (status != 0) == (i > 0), "%d: %s", i, got);
        /* a call that fails before it keeps another: make it keep the next */
        if (i > 0) {
            handout_strategy_free(strategy);
            char source[2000];
            snprintf(source, sizeof source,
                     "(function() local kept\nreturn { allocate = function(ready, workers, context)\nif kept then kept() end\n"
                     "local task, free, iterator = ready[1], workers[1].free, ready:classes()\n"
                     "local cases = { function() return task.id end, function() return free.cpu end, iterator, function() return #ready end,\n"
                     "function() return context.now end, function() return workers[1] end }\nkept = cases[%d]\nreturn {} end } end)()", i + 1);
            strategy = good(spec(source));
            handout_strategy_allocate(strategy, &view, &placements, &count, &wait);
        }
    }
    handout_strategy_free(strategy);
}

static void test_worker_views_follow_their_worker(void) {
    const handout_placement *placements;
    uint32_t count;
    uint64_t wait;
    handout_strategy *strategy = good(spec("(function() local kept\nreturn function(ready, workers)\nlocal last = kept kept = workers[2]\n"
                                           "return { { task = 't1', worker = last or 'w1' } } end end)()"));
    handout_worker_view both[2] = {workers[0], workers[1]}, swapped[2] = {workers[1], workers[0]};
    handout_strategy_view seen = view;
    seen.workers = both, seen.worker_count = 2;
    handout_strategy_allocate(strategy, &seen, &placements, &count, &wait);
    seen.workers = swapped; /* w2 is the first now, and is what was kept: but it was not looked at yet in this call */
    int status = handout_strategy_allocate(strategy, &seen, &placements, &count, &wait);
    CHECK(status == HANDOUT_STRATEGY_WRONG, "%d", status);
    CHECK(strstr(shown(handout_strategy_problem(strategy)), "worker = a worker of this round"), "%s", shown(handout_strategy_problem(strategy)));
    handout_strategy_free(strategy);
}

static void test_options(void) {
    static const handout_parameter given[] = {{"below", "0.8", 3, 0, 0}, {"patience", "2m", 2, 0, 0}, {"on", "false", 5, 0, 0},
                                              {"word", "5m", 2, 0, 0}, {"list", "[1,2]", 5, 0, 0}};
    const char *table = "{ options = { below = 1, patience = '20m', on = true, word = 'x', list = {}, size = '1KiB', left = 'y' }, "
                        "allocate = function(_, _, c) local o = c.options print(o.below, o.patience, o.on, o.word, #o.list, o.size, o.left) "
                        "return {} end }";
    const handout_placement *placements;
    uint32_t count;
    uint64_t wait;
    for (size_t n = 0; n <= 5; n += 5) {
        config.options = given, config.option_count = n;
        handout_strategy *strategy = good(spec(table));
        handout_strategy_allocate(strategy, &view, &placements, &count, &wait);
        CHECK(strcmp(logged, n ? "1: 0.8\t120.0\tfalse\t5m\t2\t1024\ty" : "1: 1\t1200.0\ttrue\tx\t0\t1024\ty") == 0, "%s", logged);
        handout_strategy_free(strategy);
    }
    static const handout_parameter wrong[] = {{"below", "many", 4, 0, 0}, {"on", "yes", 3, 0, 0}, {"list", "[", 1, 0, 0}, {"patienc", "1", 1, 0, 0}};
    static const char *const said[] = {"s.lua: option 'below': expected a number, a duration or a size, got 'many'",
                                       "s.lua: option 'on': expected true or false, got 'yes'", "s.lua: option 'list': expected JSON, got '['",
                                       "s.lua: the strategy has no option 'patienc' (did you mean 'patience'?)"};
    for (size_t i = 0; i < 4; i++) {
        config.options = &wrong[i], config.option_count = 1;
        handout_strategy *strategy = spec(table);
        const handout_strategy_facts *facts = handout_strategy_facts_of(strategy);
        CHECK(facts->problems.count == 1 && strcmp(shown(&facts->problems.list[0]), said[i]) == 0, "%s",
              facts->problems.count ? shown(&facts->problems.list[0]) : "accepted");
        handout_strategy_free(strategy);
    }
    config.options = NULL, config.option_count = 0;
}

static void test_events(void) {
    static const uint8_t event[] = {0x81, 0xA4, 'k', 'i', 'n', 'd', 0xA1, 'x'};
    int again;
    handout_strategy *strategy = good(spec("{ score = function() return 0 end, on_event = function(e) if e.kind == 'x' then return true end end }"));
    CHECK(handout_strategy_event(strategy, event, sizeof event, &again) == 0 && again == 1, "%d", again);
    handout_strategy_free(strategy);
    strategy = good(spec("{ score = function() return 0 end, on_event = function(e) return 5 end }"));
    CHECK(handout_strategy_event(strategy, event, sizeof event, &again) == HANDOUT_STRATEGY_WRONG && again == 0, "%d", again);
    CHECK(strcmp(shown(handout_strategy_problem(strategy)), "s.lua:2: on_event: expected true, false or nothing, got 5") == 0, "%s",
          shown(handout_strategy_problem(strategy)));
    handout_strategy_free(strategy);
}

static void late(const char *body, uint64_t nanoseconds, uint64_t instructions, int ended, const char *said) {
    char source[1000];
    snprintf(source, sizeof source, "{ score = function(task, worker)\n%s\nend }", body);
    config.instructions = instructions;
    handout_strategy *strategy = good(spec(source));
    if (!instructions) handout_strategy_set_budget(strategy, nanoseconds, 0);
    int status = handout_strategy_score(strategy, &view, &tasks[0], choices);
    CHECK(status == ended && strcmp(shown(handout_strategy_problem(strategy)), said) == 0, "%d %s", status,
          shown(handout_strategy_problem(strategy)));
    CHECK(handout_strategy_is_dead(strategy), "alive");
    CHECK(handout_strategy_score(strategy, &view, &tasks[0], choices) == ended, "called again");
    handout_strategy_free(strategy);
    config.instructions = 0;
}

static void test_limits(void *unused) {
    (void)unused;
    const char *swallows = "while true do pcall(function() while true do end end) end";
    late(swallows, 30000000, 0, HANDOUT_STRATEGY_LATE, "s.lua:3: it ran longer than its budget of 0.03 s");
    late(swallows, 0, 1000000, HANDOUT_STRATEGY_LATE, "s.lua:3: its budget of 1000000 instructions was used up");
    late("while true do coroutine.wrap(function() local x = 1 end)() end", 0, 1000000, HANDOUT_STRATEGY_LATE,
         "s.lua:3: its budget of 1000000 instructions was used up");
    late("local t = {} while true do t[#t + 1] = {} end", 5000000000, 0, HANDOUT_STRATEGY_MEMORY, "s.lua:3: it needed more than 64 MiB of memory");
    config.instructions = 100000; /* what fits goes on, call after call */
    handout_strategy *strategy = good(spec("{ score = function() local x = 0 for i = 1, 5000 do x = x + i end return x end }"));
    for (int i = 0; i < 20; i++)
        CHECK(handout_strategy_score(strategy, &view, &tasks[0], choices) == 0, "%s", shown(handout_strategy_problem(strategy)));
    handout_strategy_free(strategy);
    config.instructions = 0;
}

/* ---- Cluster files and trackers: their messages are tested in Swift; here for the sanitizers ---- */

static void set_file(const char *source) {
    program = (handout_program){.source = source, .source_length = strlen(source), .chunk_name = "@c.lua", .run_directory = "/",
                                .run_id = "r", .worker = "w"};
    file = (handout_file_config){.program = &program, .host = &host, .slot = slot, .memory = 16 << 20, .time = 200000000};
}

static void test_clusters(void) {
    static const struct {
        const char *source;
        uint32_t problems, workers;
    } cases[] = {
        {"return require 'handout'.cluster { { name = 'a', count = 3, gpu = 2, resources = { f = { 'x', 'y' } }, price = { { 0, 1 }, { '1h', 2 } }, "
         "labels = { z = 'eu' }, trackers = 't.lua' }, shared = { m = 5 }, network = { links = { { from = 'a-1', to = '*' } } } }", 0, 1},
        {"return require 'handout'.cluster { { name = 'a', cpu = {}, gpu = { 1, 1 }, price = { 1 }, labels = 5, x = 1 }, 5, share = 1 }", 7, 1},
        {"return require 'handout'.cluster(setmetatable({}, { __index = function() error 'x' end, __len = function() return 5 end }))", 1, 0},
        {"return require 'handout'.cluster { { name = ('x'):rep(300) } }", 1, 0},
        {"return 5", 1, 0},
        {"local t = {} for i = 1, 1e9 do t[i] = {} end return require 'handout'.cluster(t)", 1, 0},
        {"while true do end", 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        set_file(cases[i].source);
        handout_cluster *cluster = handout_cluster_read(&file);
        CHECK(cluster->problems.count == cases[i].problems && cluster->worker_count == cases[i].workers, "%s: %u problems, %u workers: %s",
              cases[i].source, cluster->problems.count, cluster->worker_count,
              cluster->problems.count ? shown(&cluster->problems.list[0]) : "");
        handout_cluster_free(cluster);
    }
}

static void test_trackers(void) {
    static const handout_allowed everything = {.all = 1};
    static const handout_cluster_amount claimed[] = {{.name = "x", .amount = 15000}};
    set_file("return require 'handout'.tracker { name = 'n', provides = { 'x' }, grant = { exec = { 'echo' } }, every = '1s',\n"
             "probe = function(s) local h = require 'handout' return { x = s.claimed.x + h.exec { 'echo', '2' }.stdout, labels = { a = 'b' } } end,\n"
             "request = function(c) if c.attempt == 2 then while true do end end return false, c.task end,\n"
             "release = function(c) error { message = 'no' } end }");
    program.allowed = &everything;
    handout_trackers *trackers = handout_trackers_new(&file);
    CHECK(handout_trackers_problems(trackers)->count == 0 && handout_trackers_count(trackers) == 1, "%u", handout_trackers_count(trackers));
    handout_tracker_call call = {.amounts = claimed, .amount_count = 1, .now = 5, .task = "t", .attempt = 1, .time = 2000000000};
    handout_tracker_answer answer;
    for (int i = 0; i < 2; i++) {
        int status = handout_trackers_call(trackers, 0, HANDOUT_TRACKER_PROBE, &call, &answer);
        CHECK(status == 0 && answer.given && answer.amount_count == 1 && answer.amounts[0].amount == 35000 && answer.label_count == 1, "%d: %s",
              status, shown(handout_trackers_problem(trackers)));
    }
    CHECK(handout_trackers_call(trackers, 0, HANDOUT_TRACKER_REQUEST, &call, &answer) == 0 && !answer.given, "request");
    CHECK(strcmp(answer.reason, "t") == 0, "%s", answer.reason);
    CHECK(handout_trackers_call(trackers, 0, HANDOUT_TRACKER_RELEASE, &call, &answer) == HANDOUT_ERROR, "release");
    CHECK(strcmp(shown(handout_trackers_problem(trackers)), "c.lua:4: tracker 'n': release: no") == 0, "%s", shown(handout_trackers_problem(trackers)));
    call.attempt = 2, call.time = 50000000;
    CHECK(handout_trackers_call(trackers, 0, HANDOUT_TRACKER_REQUEST, &call, &answer) == HANDOUT_TIMEOUT, "late");
    CHECK(handout_trackers_are_dead(trackers) && handout_trackers_call(trackers, 0, HANDOUT_TRACKER_REQUEST, &call, &answer) == HANDOUT_TIMEOUT, "dead");
    handout_trackers_free(trackers);
}

static void test_other_files(void *unused) {
    (void)unused;
    test_clusters();
    test_trackers();
}

/* ---- Cost ---- */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void cost(const char *what, const char *source) {
    enum { ROUNDS = 300 };
    double best = 1e9;
    handout_strategy *strategy = good(spec(source));
    view.worker_count = WORKERS;
    handout_strategy_set_budget(strategy, 10000000000, 0);
    for (int i = 0; i < ROUNDS; i++) {
        double begun = now();
        int status = handout_strategy_score(strategy, &view, &tasks[0], choices);
        double seconds = now() - begun;
        if (status) printf("%s\n", shown(handout_strategy_problem(strategy)));
        if (seconds < best) best = seconds;
    }
    printf("%-60s %7.0f ns a worker, best of %d calls with %d workers\n", what, best * 1e9 / WORKERS, ROUNDS, WORKERS);
    view.worker_count = 4;
    handout_strategy_free(strategy);
}

static void bench(void *unused) {
    (void)unused;
    cost("score: a constant", "{ score = function(task, worker) return 1 end }");
    cost("score: one field", "{ score = function(task, worker) return -worker.running end }");
    cost("score: free of a resource", "{ score = function(task, worker) return worker.free.cpu - task.amounts.cpu end }");
    cost("score: price, speed and a label", "{ score = function(task, worker) if worker.labels.zone ~= 'eu' then return -1e9 end "
                                            "return -worker.price / worker.speed end }");
    cost("filter and score of a best fit, pairs over amounts",
         "{ filter = function(task, worker) if not task.amounts.gpu and worker.total.gpu and worker.labels.role ~= 'mixed' then return false, "
         "'a GPU worker is kept for GPU tasks' end return true end, score = function(task, worker) local left = 0 for name, amount in "
         "pairs(task.amounts) do if worker.total[name] and worker.total[name] > 0 then left = left + (worker.free[name] - amount) / "
         "worker.total[name] end end return -left end }");
}

static void run_with_slot(void (*body)(void *)) {
    pthread_t thread;
    slot = handout_slot_new();
    handout_thread_start(&thread, slot, body, NULL);
    handout_thread_join(thread);
    handout_slot_free(slot);
    slot = NULL;
}

int main(int count, char **arguments) {
    make_view();
    if (count > 1 && strcmp(arguments[1], "bench") == 0) {
        run_with_slot(bench);
        return 0;
    }
    test_files();
    test_graph_script();
    test_views();
    test_misuse();
    test_filters();
    test_rounds();
    test_old_views();
    test_worker_views_follow_their_worker();
    test_options();
    test_events();
    run_with_slot(test_limits);
    run_with_slot(test_other_files);
    printf("%d checks, %d failures\n", checks, failures);
    return failures > 0;
}
