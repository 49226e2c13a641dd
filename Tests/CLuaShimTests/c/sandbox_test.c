/* Tests of the sandbox layer without Swift. Build and run: see Tests/CLuaShimTests/c/run_sandbox_test.sh. */
#define _GNU_SOURCE
#include "slot.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

static char logged[4096];

__attribute__((weak)) uint64_t handout_task_stream(handout_state *state) { return state->random_stream; }

__attribute__((weak)) void handout_task_log(handout_state *state, int level, const char *text,
    size_t length) {
    (void)state, (void)level;
    snprintf(logged, sizeof logged, "%.*s", (int)length, text);
}

static void host_log(void *context, uint32_t task, int level, const char *text, size_t length) {
    (void)context, (void)level;
    snprintf(logged, sizeof logged, "%s%.*s", task == ~(uint32_t)0 ? "plan: " : "", (int)length, text);
}

static const handout_host host = {.log = host_log};

/* ---- Running a chunk ---- */

typedef struct job {
    const char *source;
    int planning, open;
    size_t limit;
    uint64_t timeout;
    handout_slot *slot;
    int ended; /* HANDOUT_OK, HANDOUT_ERROR or the limit's reason */
    int user_globals;
    char text[1024]; /* result or message */
    char traceback[2048];
    double seconds;
    size_t peak, left;
    _Atomic int running, done;
} job;

typedef struct call {
    handout_state *state;
    job *job;
} call;

static int open_state(lua_State *L) {
    call *of = lua_touserdata(L, 1);
    of->state->planning = of->job->planning;
    handout_open_libraries(of->state);
    lua_newtable(L);
    handout_add_common(L);
    handout_protect(L, "handout");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &HANDOUT_KEY_REAL);
    lua_insert(L, -2);
    lua_setfield(L, -2, "handout");
    if (of->job->open) handout_open_globals(of->state, 1);
    return 0;
}

static int run_source(lua_State *L) {
    call *of = lua_touserdata(L, 1);
    if (luaL_loadbufferx(L, of->job->source, strlen(of->job->source), "=test",
        "t") != LUA_OK) return lua_error(L);
    lua_call(L, 0, 1);
    luaL_tolstring(L, -1, NULL);
    if (of->job->open) {
        of->job->user_globals = handout_user_globals(of->state);
        handout_open_globals(of->state, 0);
    }
    return 1;
}

static int protected_call(call *of, lua_CFunction function) {
    lua_State *L = of->state->L;
    lua_pushcfunction(L, function);
    lua_pushlightuserdata(L, of);
    int status = lua_pcall(L, 1, 1, 0);
    const char *text = lua_tostring(L, -1);
    snprintf(of->job->text, sizeof of->job->text, "%s", text != NULL ? text : "nil");
    lua_pop(L, 1);
    return status;
}

static void run_in_state(job *given, handout_state *state) {
    call of = {state, given};
    volatile uint64_t begun = handout_now();
    int reason = setjmp(state->entry);
    if (reason != 0) {
        handout_deadline_end(given->slot);
        given->ended = reason;
        snprintf(given->text, sizeof given->text, "%s", state->message);
        snprintf(given->traceback, sizeof given->traceback, "%s", state->traceback);
    } else {
        handout_enter(state);
        given->ended = HANDOUT_ERROR;
        handout_deadline_begin(given->slot, state, given->timeout);
        atomic_store(&given->running, 1);
        if (protected_call(&of, run_source) == LUA_OK) given->ended = HANDOUT_OK;
        handout_check(state); /* a C function may have held the thread until after the deadline */
        handout_deadline_end(given->slot);
        handout_exit(state);
    }
    given->seconds = (double)(handout_now() - begun) / 1e9;
    given->peak = state->peak;
}

static void run_job(void *context) {
    job *given = context;
    handout_state *state = handout_state_new(given->limit, &host, given->slot);
    call of = {state, given};
    CHECK(protected_call(&of, open_state) == LUA_OK, "%s", given->text);
    run_in_state(given, state);
    handout_state_free(state);
    atomic_store(&given->done, 1);
}

static void run_on_thread(job *given) {
    pthread_t thread;
    int own = given->slot == NULL;
    if (own) given->slot = handout_slot_new();
    CHECK(handout_thread_start(&thread, given->slot, run_job, given) == 0, "thread");
    handout_thread_join(thread);
    if (own) {
        CHECK(!given->slot->registered, "still registered");
        handout_slot_free(given->slot);
    }
}

static void expect(int line, int planning, const char *source, int ended, const char *text) {
    job given = {.source = source, .planning = planning, .open = planning, .limit = (size_t)64 << 20,
                 .timeout = 100000000000u};
    run_on_thread(&given);
    checks++;
    const char *got = given.text, position[] = "test:1: "; /* left out of most expectations */
    if (strncmp(text, position, strlen(position)) != 0 && strncmp(got, position, strlen(position)) == 0)
        got += strlen(position);
    if (given.ended == ended && strcmp(got, text) == 0) return;
    failures++;
    printf("line %d: %s\n  expected %d %s\n  got      %d %s\n", line, source, ended, text, given.ended,
        given.text);
}

#define GIVES(source, text) expect(__LINE__, 0, source, HANDOUT_OK, text)
#define RAISES(source, text) expect(__LINE__, 0, source, HANDOUT_ERROR, text)
#define PLAN_GIVES(source, text) expect(__LINE__, 1, source, HANDOUT_OK, text)
#define PLAN_RAISES(source, text) expect(__LINE__, 1, source, HANDOUT_ERROR, text)

/* ---- Libraries ---- */

static void test_allow_list(void) {
    const char *all = "local t = {} for k in handout.sorted(_G) do t[#t + 1] = k end return table.concat(t, "
        "' ')";
    GIVES(all, "_G _VERSION assert collectgarbage coroutine debug dofile error getmetatable handout io "
        "ipairs load "
                    "loadfile math next os package pairs pcall print rawequal rawget rawlen rawset select "
                    "setmetatable "
                    "string table tonumber tostring type utf8 xpcall");
    PLAN_GIVES(all, "_G _VERSION assert collectgarbage coroutine debug dofile error getmetatable handout io "
        "ipairs load "
                    "loadfile math next os package pairs pcall print rawequal rawget rawlen rawset select "
                    "setmetatable "
                    "string table tonumber tostring type utf8 xpcall");
    const char *of = "local t = {} for k in handout.sorted(%s) do t[#t + 1] = k end return table.concat(t, "
        "' ')";
    static const char *const libraries[][2] = {
        {"string", "byte char find format gmatch gsub len lower match pack packsize rep reverse sub unpack "
            "upper"},
        {"table", "concat insert move pack remove sort unpack"},
        {"coroutine", "close create isyieldable resume running status wrap yield"},
        {"utf8", "char charpattern codepoint codes len offset"},
        {"os", "clock date difftime execute exit getenv remove rename setlocale time tmpname"},
    };
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        char source[200];
        snprintf(source, sizeof source, of, libraries[i][0]);
        GIVES(source, libraries[i][1]);
    }
    GIVES("return ('').dump", "nil");
    GIVES("for _, f in ipairs { io.open, debug.sethook, package.loadlib, dofile, loadfile, os.execute } do "
          "local ok, e = pcall(f, 'x') if ok or not e:find 'is not available' then return false end end return true",
        "true");
}

static void test_proxies(void) {
    RAISES("string.rep = 1", "test:1: string is read-only: 'rep' cannot be assigned");
    RAISES("x = 1", "test:1: globals are read-only in a task: 'x' cannot be assigned");
    RAISES("rawset(_G, 'x', 1)", "globals are read-only in a task: 'x' cannot be assigned");
    RAISES("rawset(math, 'x', 1)", "math is read-only: 'x' cannot be assigned");
    RAISES("table.insert(string, 1)", "string is read-only: '1' cannot be assigned");
    RAISES("setmetatable(string, {})", "cannot change a protected metatable");
    RAISES("setmetatable({}, { __gc = print })", "a metatable with __gc is not available: use a <close> "
        "variable");
    GIVES("return tostring(getmetatable(string)) .. tostring(getmetatable('')) .. tostring(getmetatable(_G))",
          "falsefalsefalse");
    GIVES("return rawget(_G, 'print') == print and _G._G == _G and rawlen(string) == 0 and #string == 0",
        "true");
    GIVES("local n = 0 for k, v in pairs(string) do n = n + 1 end return n", "16");
    GIVES("return type(next(string))", "string");
    GIVES("return pcall(string.rep) == false and ('x'):rep(3)", "xxx");
    PLAN_GIVES("x = 1 rawset(_G, 'y', 2) return x + y", "3");
    PLAN_RAISES("string.rep = 1", "test:1: string is read-only: 'rep' cannot be assigned");
}

static void test_user_globals(void) {
    static const struct {
        const char *source;
        int found;
    } cases[] = {{"return 1", 0},     {"local x = 1", 0}, {"x = 1", 1},       {"x = 1 x = nil", 0},
                 {"print = nil", 1},  {"pairs = next", 1}, {"_G[1] = true", 1}, {"rawset(_G, 'f', 1)", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        job given = {.source = cases[i].source, .planning = 1, .open = 1, .limit = (size_t)64 << 20};
        run_on_thread(&given);
        CHECK(given.ended == HANDOUT_OK && given.user_globals == cases[i].found, "%s: %s", given.source,
            given.text);
    }
}

static void test_base(void) {
    GIVES("return load('return 1 + 1')()", "2");
    GIVES("return load('return x', 'n', 't', { x = 5 })()", "5");
    GIVES("return load('return print')() == print", "true");
    GIVES("local f, m = load('x = = 1') return tostring(f) .. m", "nil[string \"x = = 1\"]:1: unexpected "
        "symbol near '='");
    GIVES("return select(2, load('\\27Lua'))", "attempt to load a binary chunk (mode is 't')");
    GIVES("return select(2, load('\\27Lua', 'x', 'b'))", "attempt to load a text chunk (mode is 'b')");
    RAISES("load(function() end)", "load takes the whole source as one string, not a function that gives it "
        "in pieces");
    RAISES("load((' '):rep(2^20 + 1))", "load: the source is larger than 1 MiB");
    RAISES("collectgarbage('stop')", "collectgarbage 'stop' is not available: only 'collect' and 'count' "
        "are");
    GIVES("local w = setmetatable({ {} }, { __mode = 'v' }) collectgarbage() return #w", "0");
    GIVES("return collectgarbage('count') > 10", "true");
    GIVES("print('a', 1, nil, setmetatable({}, { __tostring = function() return 'T' end }))", "nil");
    CHECK(strcmp(logged, "a\t1\tnil\tT") == 0, "%s", logged);
    PLAN_GIVES("print('hello')", "nil");
    CHECK(strcmp(logged, "plan: hello") == 0, "%s", logged);
    RAISES("error({})", "nil");
}

static void test_planning(void) {
    PLAN_GIVES("local s = '' for k, v in pairs({ [true] = 1, b = 2, a = 3, [2.5] = 4, [2] = 5, [-1] = 6, "
        "[false] = 7,"
               " [3] = 8, ['a\\0'] = 9, [1e300] = 10, [math.mininteger] = 11 }) do s = s .. tostring(v) .. "
               "' ' end return s",
               "11 6 5 4 8 10 3 9 2 7 1 ");
    PLAN_GIVES("local t, s = {}, 0 for i = 1, 1000 do t[(i * 7919) % 1009] = i end local last = -1 "
               "for k in pairs(t) do assert(k > last) last = k s = s + 1 end return s", "1000");
    PLAN_GIVES("local t, n = { a = 1, b = 2, c = 3 }, 0 for k in pairs(t) do t[k] = nil t.b = nil n = n + 1 "
        "end return n",
               "2");
    PLAN_RAISES("for k in pairs({ [{}] = 1 }) do end", "pairs: a table as key has no defined order while "
        "planning");
    PLAN_GIVES("local p = setmetatable({}, { __pairs = function(t) return function(_, k) if not k then "
        "return 1, 2 end "
               "end, t, nil end }) local s = 0 for k, v in pairs(p) do s = s + k + v end return s", "3");
    PLAN_GIVES("return tostring(next({})) .. next({ b = 1, a = 2 }) .. select(2, next({ 7 }))", "nila7");
    PLAN_RAISES("next({ 1 }, 1)", "next with a key has no defined order while planning: use pairs");
    PLAN_RAISES("os.time()", "os.time is not available while planning: the plan must be the same each time "
        "it is made");
    PLAN_RAISES("io.open('x')", "io.open is not available: use handout.read while planning, handout.fs in a "
        "task");
    PLAN_RAISES("os.execute('x')", "os.execute is not available: use handout.exec in a task");
    PLAN_RAISES("dofile('x')", "dofile is not available: use require");
    PLAN_GIVES("local t = {} for k in pairs(string) do t[#t + 1] = k end return t[1] .. t[#t]", "byteupper");
    GIVES("local t = {} for k in handout.sorted({ b = 1, a = 2, 3 }) do t[#t + 1] = k end return "
        "table.concat(t, ' ')",
          "1 a b");
}

static void test_strings_and_tables(void) {
    RAISES("('x'):rep(1 << 40)", "resulting string too large");
    RAISES("('xxxx'):rep(math.maxinteger // 2)", "resulting string too large");
    GIVES("return ('').rep('', math.maxinteger)", "");
    GIVES("return ('ab'):rep(3, ',') .. ('x'):rep(0) .. ('x'):rep(1, '--') .. (''):rep(3, '.') .. "
        "('abc'):rep(5)",
          "ab,ab,abx..abcabcabcabcabc");
    RAISES("string.pack('c3000000000', '')", "resulting string too large");
    GIVES("return #string.pack('<i4c10s1', 1, 'x', 'yz')", "17");
    GIVES("local s = '' for k, v in ('k = v'):gmatch('(%w+)%s*=%s*(%w+)') do s = s .. k .. v end return s",
        "kv");
    GIVES("local s = '' for w in ('a b c'):gmatch('%a', 2) do s = s .. w end return s", "bc");
    GIVES("local f = ('x'):rep(9):gmatch('(') local a, b = pcall(f) local c, d = pcall(f) return d",
          "gmatch iterator failed before");
    GIVES("return #string.format('%99.99f', -1.7976931348623157e308) > 400", "true");
    GIVES("local t = { 1, 2, 3 } table.insert(t, 4) table.insert(t, 1, 0) return table.concat(t, ',') .. "
        "table.remove(t)"
          " .. table.remove(t, 1) .. #t .. tostring(table.remove({}))", "0,1,2,3,4403nil");
    GIVES("return table.concat(table.move({ 1, 2, 3 }, 1, 3, 2), ',') .. table.concat(table.move({ 1, 2, 3 "
        "}, 2, 3, 1))"
          " .. #table.move({ 1, 2 }, 1, 2, 1, {})", "1,1,2,32332");
    RAISES("table.move({}, 1, math.maxinteger - 1, 2)",
           "bad argument #3 to 'move' (too many elements to move)");
    RAISES("table.move({}, math.mininteger, math.maxinteger, 2)",
           "bad argument #3 to 'move' (too many elements to move)");
    RAISES("table.unpack({}, 1, 1e7)", "too many results to unpack");
    RAISES("table.unpack({}, math.mininteger, math.maxinteger)", "too many results to unpack");
    GIVES("return select('#', table.unpack({}, 1, 200000))", "200000");
    RAISES("table.sort(setmetatable({}, { __len = function() return (1 << 31) - 2 end }), math.type)",
           "sort: a length of 2147483646 is too large");
    GIVES("local n = 0 local t = setmetatable({}, { __len = function() n = n + 1 return n > 1 and 1 << 30 "
        "or 3 end, "
          "__index = function(_, i) return 9 - i end }) table.sort(t) return t[1] .. t[2] .. t[3]", "678");
    GIVES("local t = {} for i = 1, 999 do t[i] = (i * 7919) % 10007 end table.sort(t, function(a, b) return "
        "a > b end) "
          "for i = 2, #t do assert(t[i - 1] >= t[i]) end return #t", "999");
    RAISES("return table.concat(setmetatable({}, { __len = function() return 'many' end }))",
           "object length is not an integer");
    RAISES("table.concat({ 1, {}, 3 })", "invalid value (at index 2) in table for 'concat'");
    RAISES("table.concat({}, '', 1, 1 << 62)", "bad argument #4 to 'concat' (too many elements)");
}

static void test_coroutines(void) {
    GIVES("local f = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) return "
        "f(1) + f(10)",
          "22");
    RAISES("coroutine.wrap(function() error('x') end)()", "test:1: test:1: x");
    GIVES("local c = coroutine.create(function() error('x', 0) end) local a, b = coroutine.resume(c) "
          "return tostring(a) .. b .. coroutine.status(c) .. select(2, coroutine.resume(c))",
          "falsexdeadcannot resume dead coroutine");
    GIVES("local log = '' local c = coroutine.create(function() local x <close> = setmetatable({}, { "
        "__close = function() "
          "log = log .. 'closed' end }) coroutine.yield() end) coroutine.resume(c) "
          "return tostring(coroutine.close(c)) .. log", "trueclosed");
    GIVES("local function n(d) if d == 0 then return 'deep' end return coroutine.wrap(n)(d - 1) end return "
        "n(100)", "deep");
    GIVES("return select(2, pcall(coroutine.close, coroutine.running()))", "cannot close a running "
        "coroutine");
    /* A chain of coroutines that each close the next: an overflow of the C stack in stock 5.4.4. */
    GIVES("local last for i = 1, 2000 do local inner = last last = coroutine.create(function() local x "
        "<close> = "
          "setmetatable({}, { __close = function() if inner then coroutine.close(inner) end end }) "
          "coroutine.yield() end) "
          "coroutine.resume(last) end local ok, m = coroutine.close(last) return tostring(ok)", "true");
    GIVES("local c = coroutine.wrap(function() return pcall(coroutine.yield, 1) end) c() return "
        "tostring(c(5))", "true");
}

static void test_random(void) {
    /* What lua5.4 gives for: math.randomseed(42, 7) print(math.random(100), math.random(1 << 40), ...) */
    const char *draw = "local a, b = math.randomseed(42, 7) return string.format('%d %d %d %d %d %.17g %d', "
        "a, b, "
                       "math.random(100), math.random(1 << 40), math.random(-5, 5), math.random(), "
                       "math.random(0))";
    char expected[200] = "";
    char command[600];
    snprintf(command, sizeof command, "lua5.4 -e \"print((function() %s end)())\"", draw);
    FILE *stock = popen(command, "r");
    if (stock == NULL || fgets(expected, sizeof expected, stock) == NULL) printf("no lua5.4: random not "
        "compared\n");
    if (stock != NULL) pclose(stock);
    expected[strcspn(expected, "\n")] = '\0';
    if (*expected != '\0') GIVES(draw, expected);
    GIVES("local a = math.random(1 << 50) math.randomseed() return a == math.random(1 << 50)", "true");
    RAISES("math.random(2, 1)", "bad argument #2 to 'random' (interval is empty)");
    RAISES("math.random(-1)", "bad argument #1 to 'random' (interval is empty)");
}

static void test_module(void) {
    static const char *const sizes[][2] = {{"\"512MiB\"", "536870912"}, {"\"1.5GiB\"", "1610612736"},
        {"\"1kB\"", "1000"},
                                           {"\"0B\"", "0"}, {"64", "64"}, {"64.0", "64"},
                                               {"\"8388607TiB\"", "9223370937343148032"}};
    char source[200], message[300];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        snprintf(source, sizeof source, "return math.type(handout.bytes(%s)) .. handout.bytes(%s)",
            sizes[i][0], sizes[i][0]);
        snprintf(message, sizeof message, "integer%s", sizes[i][1]);
        GIVES(source, message);
    }
    static const char *const bad[][2] = {
        {"\"64 XiB\"", "\"64 XiB\""}, {"\"64mib\"", "\"64mib\""}, {"\"1,5GiB\"", "\"1,5GiB\""}, {"-1",
            "-1"}, {"1.5", "1.5"},
        {"1e300", "1e+300"}, {"{}", "a table"}, {"nil", "nil"}, {"\"17179869185GiB\"", "\"17179869185GiB\""},
        {"\"12\"", "\"12\""}, {"\"1MiB\\0\"", "\"1MiB\\x00\""}, {"\"\"", "\"\""}, {"0/0", "nan"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(source, sizeof source, "return handout.bytes(%s)", bad[i][0]);
        snprintf(message, sizeof message, "bytes: expected a size such as \"512MiB\", got %s", bad[i][1]);
        RAISES(source, message);
    }
    GIVES("return handout.seconds('1h30m') + handout.seconds('250ms') + handout.seconds(2) + "
        "handout.seconds('1.5s')",
          "5403.75");
    RAISES("handout.seconds('30m1h')", "seconds: expected a duration such as \"1h30m\" or seconds, got "
        "\"30m1h\"");
    RAISES("handout.seconds(-1)", "seconds: expected a duration such as \"1h30m\" or seconds, got -1");
    RAISES("handout.seconds('')", "seconds: expected a duration such as \"1h30m\" or seconds, got \"\"");
    GIVES("return handout.id('B 1') .. ' ' .. handout.id('-x/y') .. ' ' .. handout.id('50%') .. ' ' .. "
        "handout.id('')",
          "B%201 _%2Dx%2Fy 50%25 _");
    GIVES("return handout.id('\\u{e9}\\u{200b}\\0a')", "\u00e9%E2%80%8B%00a");
    GIVES("return handout.version .. handout.api", "1.01");
    GIVES("return handout.json.encode({ a = { 1, 2.5, 'x' }, b = true })",
        "{\"a\":[1,2.5,\"x\"],\"b\":true}");
    GIVES("local v = handout.json.decode('{\"a\": [1, null, 2.0]}') return v.a[1] + v.a[3] .. "
        "tostring(v.a[2])", "3.0false");
    GIVES("return select(2, pcall(handout.json.encode, { f = print })):match('^json.encode: value%.f: a "
        "function') ~= nil",
          "true");
    GIVES("return (select(2, pcall(handout.json.decode, '[1,')):match('^json.decode: position'))",
        "json.decode: position");
    GIVES("local t = { 'x' } for i = 1, 60 do t = { t, t } end return pcall(handout.json.encode, t)",
        "false");
    CHECK(handout_check_id("abc-1.2:x@y+z=w,%41_", 20) == NULL, "id");
    CHECK(handout_check_id("..", 2) && handout_check_id("", 0) && handout_check_id("a/b", 3), "id");
    CHECK(handout_check_id("a\0b", 3) && handout_check_id("a b", 3) && handout_check_id("\xff", 1), "id");
    CHECK(handout_check_id("\u00e9t\u00e9", 5) == NULL && handout_check_id("a\u200b", 4) != NULL, "id");
    CHECK(handout_check_id("a\xed\xa0\x80", 4) != NULL && handout_check_id("a\xc0\x80", 3) != NULL, "id");
    char text[40];
    handout_escape("a\x1b[2J\u00e9\u202e", 9, 100, text, sizeof text);
    CHECK(strcmp(text, "a\\x1B[2J\u00e9\\xE2\\x80") == 0, "%s", text);
    handout_escape("0123456789", 10, 4, text, sizeof text);
    CHECK(strcmp(text, "0123...") == 0, "%s", text);
    for (size_t size = 0; size < sizeof text; size++) handout_escape("\x1b\u00e9\x1b\x1b\x1b\x1b\x1b", 8,
        100, text, size);
}

static int name_objects(lua_State *L) {
    call *of = lua_touserdata(L, 1);
    luaL_checkstack(L, 20, NULL);
    static const char *const both[] = {"pairs", "next", "os", "os.time", "string.rep", "string", "_G",
        "pcall",
                                       "handout.json.encode", "handout.sorted"};
    for (int planning = 1; planning >= 0; planning--) {
        handout_use_planning_libraries(of->state, planning);
        for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
            handout_push_library(L, both[i]);
            const char *name = handout_library_name(L, -1);
            CHECK(name != NULL && strcmp(name, both[i]) == 0, "%s is named %s", both[i],
                name ? name : "nothing");
        }
        handout_push_library(L, "io.open");
        CHECK(lua_iscfunction(L, -1), "io.open");
        luaL_loadstring(L, "return pairs, os and os.time, io");
        lua_call(L, 0, 3);
        int first = 2 + (1 - planning) * 14; /* where this round's objects begin */
        CHECK(lua_rawequal(L, -3, first), "pairs");
        CHECK(lua_rawequal(L, -2, first + 3), "os.time");
        CHECK(lua_istable(L, -1) || lua_isuserdata(L, -1), "io");
    }
    return 0;
}

static void test_names(void) {
    job given = {.planning = 0, .source = ""};
    handout_state *state = handout_state_new((size_t)64 << 20, &host, NULL);
    call of = {state, &given};
    CHECK(protected_call(&of, open_state) == LUA_OK, "%s", given.text);
    CHECK(protected_call(&of, name_objects) == LUA_OK, "%s", given.text);
    handout_state_free(state);
}

/* ---- Limits ---- */

static void test_memory(void) {
    static const char *const cases[] = {
        "local t = {} for i = 1, 1e9 do t[i] = { i } end",
        "local t = {} for i = 1, 1e9 do t[i] = function() return i end end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do pcall(function() for i = 1, 1e6 do t[#t + 1] = i .. 'x' end end) end",
        "return #(('x'):rep(1000000):gsub('.', ('y'):rep(1000)))",
        "local t = {} coroutine.wrap(function() while true do t[#t + 1] = coroutine.create(print) end end)()",
        "return #table.concat((function() local t = {} for i = 1, 100 do t[i] = ('x'):rep(2e6) end return t "
        "end)())",
        "local filler = {} for round = 1, 30 do local mt = setmetatable({ __newindex = {} }, { __mode = 'v' "
        "}) local t = "
        "setmetatable({}, mt) pcall(function() local n = #filler while n < 8000 do n = n + 1 filler[n] = "
        "('f'):rep(16000 + n) end end) for i = 1, 3000 do t[i] = i t['k' .. i] = { i } end end",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        job given = {.source = cases[i], .limit = (size_t)32 << 20, .timeout = 60000000000u};
        run_on_thread(&given);
        int overflow = given.ended == HANDOUT_ERROR && strstr(given.text, "overflow") != NULL;
        CHECK(given.ended == HANDOUT_MEMORY || overflow, "%s: ended %d %s", cases[i], given.ended,
            given.text);
        CHECK(overflow || strcmp(given.text, "memory limit of 32 MiB reached") == 0, "%s", given.text);
        CHECK(given.peak < (size_t)42 << 20, "%zu", given.peak);
    }
    /* Garbage, and a heap that stays just below the limit, are no reason to end. */
    GIVES("for i = 1, 3e6 do local t = { i, i, i, i } end return 1", "1");
    GIVES("local t = {} for i = 1, 55 do t[i] = ('x'):rep(1e6 - i) end for i = 1, 3000 do t[i % 55 + 1] = "
          "('y'):rep(1e6 - 60 - i) end return 1", "1");
    /* Blocks of one size after another, freed in between. */
    GIVES("for size = 1, 30 do local t = {} for i = 1, 40 * 1024 * 1024 // (size * 16 + 80) do t[i] = "
          "i .. ('z'):rep(size * 16) end end return 1", "1");
}

static void on_thread_with(job *given, uint64_t timeout) {
    given->timeout = timeout;
    given->limit = (size_t)1 << 30;
    run_on_thread(given);
}

static void test_deadlines(void) {
    static const char *const loops[] = {
        "while true do end",
        "for i = 1, 1e18 do end",
        "for i = 1e16, 2e16, 1 do end",
        "while true do pcall(function() while true do end end) end",
        "xpcall(function() while true do end end, function() while true do end end)",
        "local function f() local x <close> = setmetatable({}, { __close = function() while true do end end "
        "}) "
        "while true do end end while true do pcall(f) end",
        "local f = coroutine.wrap(function() while true do end end) f()",
        "while true do coroutine.wrap(function() local x = 1 for i = 1, 50 do x = x + i end end)() end",
        "local function n(d) if d == 0 then while true do end end coroutine.wrap(n)(d - 1) end n(20)",
        "local function leaf() for i = 1, 150 do end end local function level(n) if n == 0 then return leaf "
        "end "
        "local inner = level(n - 1) return function() for i = 1, 60 do coroutine.wrap(inner)() end end end "
        "level(5)()",
        "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() "
        "end",
        "while true do local t = {} for i = 1, 100 do t[i] = { i } end end",
        "local s = '' while true do s = s .. 'x' if #s > 1e5 then s = '' end end",
        "local t = {} for i = 1, 1e4 do t[i] = math.random() end while true do table.sort(t, function(a, b) "
        "return a < b end) end",
        "local s = ('a'):rep(1e5) while true do s:gsub('a', function() end) end",
        "local n = 0 while true do n = n + #(('x'):rep(1e7)) end",
        "local t = {} for i = 1, 1e6 do t[i] = 'abcdefgh' end while true do table.concat(t) end",
        "local s = ('a'):rep(1e6) while true do string.format('%s', s) end",
        "while true do table.move({}, 1, 90000000, 2) end",
        "local e = setmetatable({}, { __tostring = function() while true do end end }) return e",
        "local s = 'return ' .. ('x,'):rep(1e5) .. '1' while true do load(s) end",
        "while true do pcall(string.rep) end",
        "while true do pcall(error) end",
        "while true do local ok, co = pcall(coroutine.create, print) coroutine.close(co) end",
    };
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
        job given;
        double over, most = handout_has_standing_hook() ? 2000 : 20;
        /* A thread that a busy machine does not run is late once: one whose deadline does not work is late each time. */
        for (int tries = 0; tries < 5; tries++) {
            given = (job){.source = loops[i]};
            on_thread_with(&given, 50000000);
            over = (given.seconds - 0.05) * 1000;
            if (over < most) break;
        }
        CHECK(given.ended == HANDOUT_TIMEOUT, "%s: ended %d %s", loops[i], given.ended, given.text);
        CHECK(over < most, "%s: %.1f ms late", loops[i], over);
        if (getenv("VERBOSE")) printf("%6.1f ms late: %.60s | %.60s\n", over, loops[i], given.traceback);
    }
    job traced = {.source = "local function inner()\n  while true do end\nend\nlocal function outer() "
        "inner() end\nouter()"};
    on_thread_with(&traced, 20000000);
    CHECK(strncmp(traced.traceback, "test:2: in upvalue 'inner'\ntest:4: in local 'outer'\ntest:5: in ",
        62) == 0, "%s",
          traced.traceback);
}

static void *cancel_later(void *argument) {
    usleep(30000);
    handout_slot_cancel(argument, 1);
    return NULL;
}

static void test_cancel(void) {
    job given = {.source = "while true do pcall(function() while true do end end) end",
        .slot = handout_slot_new()};
    pthread_t thread;
    pthread_create(&thread, NULL, cancel_later, given.slot);
    on_thread_with(&given, 0);
    pthread_join(thread, NULL);
    CHECK(given.ended == HANDOUT_CANCELLED && strcmp(given.text, "cancelled") == 0, "%d %s", given.ended,
        given.text);
    CHECK(given.seconds < 1, "%f", given.seconds);
    on_thread_with(&given, 0); /* the flag still holds */
    CHECK(given.ended == HANDOUT_CANCELLED && given.seconds < 1, "%d %f", given.ended, given.seconds);
    handout_slot_cancel(given.slot, 0);
    given.source = "return 5";
    on_thread_with(&given, 0);
    CHECK(given.ended == HANDOUT_OK && strcmp(given.text, "5") == 0, "%d %s", given.ended, given.text);
    handout_slot_free(given.slot);
}

static void test_cpu_clock(void) {
    job given = {.source = "while true do end", .slot = handout_slot_new()};
    given.slot->cpu_clock = 1;
    on_thread_with(&given, 30000000);
    CHECK(given.ended == HANDOUT_TIMEOUT && given.seconds < 5, "%d %f", given.ended, given.seconds);
    handout_slot_free(given.slot);
}

static void test_stuck(void) {
    if (handout_has_standing_hook()) return;
    job given = {.source = "return (('a'):rep(200)):find('.-.-.-b')", .slot = handout_slot_new(),
        .limit = 1 << 26};
    given.timeout = 20000000;
    handout_set_grace(50000000);
    pthread_t thread;
    handout_thread_start(&thread, given.slot, run_job, &given);
    int stuck = 0;
    while (!atomic_load(&given.done)) {
        stuck |= handout_slot_stuck(given.slot);
        usleep(1000);
    }
    handout_thread_join(thread);
    handout_set_grace(1000000000);
    CHECK(stuck || given.seconds < 0.1, "not stuck after %f s", given.seconds);
    CHECK(given.ended == HANDOUT_TIMEOUT, "%d %s", given.ended, given.text);
    handout_slot_free(given.slot);
}

static void test_quiet_watchdog(void) {
    usleep(200000);
    uint64_t before = handout_watchdog_ticks();
    usleep(100000);
    CHECK(handout_watchdog_ticks() == before, "it ticks with nothing to watch");
}

/* ---- Signals at random moments ---- */

static const char stress[] =
    "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end\n"
    "local function gen(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end end) end\n"
    "local function va(...) local t = { ... } return select('#', ...) + #t end\n"
    "local s = 0\n"
    "for r = 1, 10 do\n"
    "  s = s + fib(16)\n"
    "  for v in gen(300) do s = s + v end\n"
    "  local t = {} for i = 1, 1000 do t[i] = (i * 7919) % 10007 end\n"
    "  table.sort(t, function(a, b) return a < b end) for i = 2, #t do assert(t[i - 1] <= t[i]) end\n"
    "  local x = ('abc'):rep(300):gsub('b', function(c) s = s + 1 return 'zz' end) s = s + #x\n"
    "  for i = 1, 300 do s = s + va(i, i, i) local ok, e = pcall(error, { i }) assert(not ok and e[1] == i) "
    "end\n"
    "  local m = setmetatable({}, { __index = function(t, k) return k * 2 end, __close = function() s = s + "
    "1 end })\n"
    "  do local c <close> = m s = s + m[21] end\n"
    "  do local q = {} for i = 1, 2000 do q[i] = { tostring(i) } end\n"
    "  for i = 1, 2000 do assert(q[i][1] == tostring(i)) end end\n"
    "end return s";

typedef struct stress_job {
    job job;
    int rounds;
    char expected[64];
    int wrong, timeouts;
} stress_job;

/* The hook is armed by each signal, finds nothing asked for, and disarms itself. */
static void run_stress(void *context) {
    stress_job *given = context;
    for (int i = 0; i < given->rounds; i++) {
        handout_state *state = handout_state_new((size_t)256 << 20, &host, given->job.slot);
        call of = {state, &given->job};
        if (protected_call(&of, open_state) != LUA_OK) given->wrong++;
        for (int attempt = 0; attempt < 4; attempt++) {
            run_in_state(&given->job, state);
            if (*given->expected == '\0') strcpy(given->expected, given->job.text);
            if (given->job.ended != HANDOUT_OK || strcmp(given->expected,
                given->job.text) != 0) given->wrong++;
        }
        handout_state_free(state);
    }
    atomic_store(&given->job.done, 1);
}

static void test_signals(void) {
    if (handout_has_standing_hook()) return;
    stress_job given = {.job = {.source = stress, .timeout = 600000000000u, .slot = handout_slot_new()},
        .rounds = 40};
    pthread_t thread;
    handout_thread_start(&thread, given.job.slot, run_stress, &given);
    unsigned seed = 1;
    long sent = 0;
    while (!atomic_load(&given.job.running)) usleep(100);
    while (!atomic_load(&given.job.done)) {
        for (volatile int i = rand_r(&seed) % 3000; i > 0; i--) {}
        uint64_t generation = atomic_load(&given.job.slot->generation);
        /* Of another generation, and far off, since the next may begin before this is stored: the handler must take no
         * notice. */
        atomic_store(&given.job.slot->request, (generation + 100000) << 8 | HANDOUT_TIMEOUT);
        if (sent < 200000 && !atomic_load(&given.job.done)) pthread_kill(thread, SIGURG), sent++;
    }
    handout_thread_join(thread);
    CHECK(given.wrong == 0, "%d wrong results, last %s", given.wrong, given.job.text);
    CHECK(sent >= 20000, "only %ld signals", sent);
    printf("signals of other generations: %ld, results right\n", sent);
    handout_slot_free(given.job.slot);
}

/* Arms the stop hook at random moments,
    without a reason to stop: what a deadline that came too late leaves behind. */
static __thread handout_state *armed_state;

static void arm(int number) {
    (void)number;
    handout_state *state = armed_state;
    if (state != NULL && state->running != NULL) lua_sethook(state->running, handout_stop_hook,
        LUA_MASKCOUNT, 1);
}

static void run_armed(void *context) {
    stress_job *given = context;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    for (int i = 0; i < given->rounds; i++) {
        handout_state *state = handout_state_new((size_t)256 << 20, &host, given->job.slot);
        call of = {state, &given->job};
        if (protected_call(&of, open_state) != LUA_OK) given->wrong++;
        armed_state = state;
        run_in_state(&given->job, state);
        armed_state = NULL;
        if (*given->expected == '\0') strcpy(given->expected, given->job.text);
        if (given->job.ended != HANDOUT_OK || strcmp(given->expected, given->job.text) != 0) given->wrong++;
        handout_state_free(state);
    }
    atomic_store(&given->job.done, 1);
}

static void test_arming(void) {
    if (handout_has_standing_hook()) return;
    struct sigaction action = {.sa_handler = arm, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    stress_job given = {.job = {.source = stress, .slot = handout_slot_new()}, .rounds = 60};
    pthread_t thread;
    handout_thread_start(&thread, given.job.slot, run_armed, &given);
    unsigned seed = 7;
    long sent = 0;
    while (!atomic_load(&given.job.running)) usleep(100);
    while (!atomic_load(&given.job.done)) {
        for (volatile int i = rand_r(&seed) % 3000; i > 0; i--) {}
        if (!atomic_load(&given.job.done)) pthread_kill(thread, SIGUSR1), sent++;
    }
    handout_thread_join(thread);
    CHECK(given.wrong == 0, "%d wrong results, last %s", given.wrong, given.job.text);
    CHECK(sent >= 20000, "only %ld signals", sent);
    printf("hooks armed at random moments: %ld, results right\n", sent);
    handout_slot_free(given.job.slot);
}

/* Deadlines that pass close to the end of each attempt: each ends with its result or with a timeout,
    never otherwise. */
static void run_close_calls(void *context) {
    stress_job *given = context;
    handout_state *state = NULL;
    for (int i = 0; i < given->rounds; i++) {
        call of = {state, &given->job};
        if (state == NULL) {
            of.state = state = handout_state_new((size_t)64 << 20, &host, given->job.slot);
            if (protected_call(&of, open_state) != LUA_OK) given->wrong++;
        }
        given->job.timeout = 1000000 + (uint64_t)(i * 7919 % 5000) * 1000;
        run_in_state(&given->job, state);
        int right = given->job.ended == HANDOUT_OK && strcmp(given->job.text, "1000000") == 0;
        if (!right && given->job.ended != HANDOUT_TIMEOUT) given->wrong++;
        if (given->job.ended == HANDOUT_TIMEOUT) given->timeouts++;
        if (state->dead) handout_state_free(state), state = NULL;
    }
    if (state != NULL) handout_state_free(state);
}

static void test_close_calls(void) {
    stress_job given = {.job = {.source = "local n = 0 for i = 1, 1000000 do n = n + 1 end return n",
                                .slot = handout_slot_new()},
                                    .rounds = handout_has_standing_hook() ? 30 : 300};
    pthread_t thread;
    handout_thread_start(&thread, given.job.slot, run_close_calls, &given);
    handout_thread_join(thread);
    CHECK(given.wrong == 0, "%d", given.wrong);
    printf("close calls: %d of %d timed out\n", given.timeouts, given.rounds);
    handout_slot_free(given.job.slot);
}

/* ---- Slots ---- */

enum { LEASES = 5000, ITEMS = 64 };

typedef struct lending {
    handout_slot *slot;
    _Atomic int lease, finished;
    _Atomic uint32_t claimed[ITEMS];
} lending;

static void *claim_items(void *argument) {
    lending *shared = argument;
    uint32_t index;
    for (int lease = 1; lease <= LEASES; lease++) {
        while (atomic_load(&shared->lease) < lease) sched_yield();
        while (handout_slot_claim(shared->slot, &index)) {
            atomic_fetch_add(&shared->claimed[index], 1);
            handout_slot_complete(shared->slot);
        }
        atomic_store(&shared->finished, lease);
    }
    return NULL;
}

static void test_slots(void) {
    static lending shared;
    pthread_t thread;
    shared.slot = handout_slot_new();
    pthread_create(&thread, NULL, claim_items, &shared);
    unsigned seed = 3;
    long taken_back = 0;
    for (int lease = 1; lease <= LEASES; lease++) {
        uint32_t first, reclaimed = 0;
        for (int i = 0; i < ITEMS; i++) atomic_store(&shared.claimed[i], 0);
        handout_slot_lend(shared.slot, ITEMS, handout_now());
        atomic_store(&shared.lease, lease);
        while (atomic_load(&shared.finished) < lease) {
            uint32_t got = handout_slot_reclaim(shared.slot, (uint32_t)(rand_r(&seed) % 4), &first);
            for (uint32_t i = first; i < first + got; i++) atomic_fetch_add(&shared.claimed[i], 100);
            reclaimed += got;
            taken_back += got;
        }
        uint32_t seen = 0;
        for (int i = 0; i < ITEMS; i++) {
            uint32_t times = atomic_load(&shared.claimed[i]);
            if (times != 1 && times != 100) CHECK(0, "item %d of lease %d: %u", i, lease, times);
            seen += times == 1;
        }
        if (seen + reclaimed != ITEMS || handout_slot_done(shared.slot) != seen) CHECK(0, "lease %d", lease);
        CHECK(handout_slot_unstarted(shared.slot) == 0, "unstarted");
    }
    pthread_join(thread, NULL);
    printf("slots: %ld of %d items taken back\n", taken_back, LEASES * ITEMS);
    handout_slot_free(shared.slot);
}

/* ---- The mask ---- */

static void read_mask(void *context) {
    pthread_sigmask(SIG_SETMASK, NULL, context);
}

static void test_mask(void) {
    sigset_t mask;
    pthread_t thread;
    handout_thread_start(&thread, NULL, read_mask, &mask);
    handout_thread_join(thread);
    CHECK(sigismember(&mask, SIGTERM) && sigismember(&mask, SIGINT) && sigismember(&mask, SIGUSR1),
        "blocked");
    CHECK(!sigismember(&mask, SIGSEGV) && !sigismember(&mask, SIGPROF), "open");
    CHECK(sigismember(&mask, SIGURG) == handout_has_standing_hook(), "the deadline signal");
}

static void test_choice_of_signal(void) {
    pthread_t thread;
    sigset_t mask;
    handout_thread_start(&thread, NULL, read_mask, &mask);
    handout_thread_join(thread);
    CHECK(handout_choose_signal(SIGURG) == 0, "the one in use");
    CHECK(handout_choose_signal(SIGUSR2) == -1 && handout_choose_signal(0) == -1, "another");
}

int main(int count, char **words) {
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {{"allow_list", test_allow_list}, {"proxies", test_proxies}, {"user_globals",
        test_user_globals},
                 {"base", test_base}, {"planning", test_planning}, {"strings_and_tables",
                     test_strings_and_tables},
                 {"coroutines", test_coroutines}, {"random", test_random}, {"module", test_module},
                     {"names", test_names},
                 {"memory", test_memory}, {"deadlines", test_deadlines}, {"cancel", test_cancel},
                 {"cpu_clock", test_cpu_clock}, {"stuck", test_stuck}, {"quiet_watchdog",
                     test_quiet_watchdog},
                 {"signals", test_signals}, {"arming", test_arming}, {"close_calls", test_close_calls},
                 {"slots", test_slots}, {"mask", test_mask}, {"choice_of_signal", test_choice_of_signal}};
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (count > 1 && strcmp(words[1], tests[i].name) != 0) continue;
        uint64_t begun = handout_now();
        tests[i].run();
        printf("%-20s %6.2f s\n", tests[i].name, (double)(handout_now() - begun) / 1e9);
        fflush(stdout);
    }
    printf("%d checks, %d failed\n", checks, failures);
    return failures != 0;
}
