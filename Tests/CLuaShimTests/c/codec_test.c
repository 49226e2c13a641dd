/* Tests of the value codec, without the rest of the shim.
 *
 *   S=Sources/CLuaShim; gcc -O1 -g -Wall -Wextra -fsanitize=address,undefined -I $S/include -I $S/values \
 *       $(pkg-config --cflags lua5.4) Tests/CLuaShimTests/c/codec_test.c $S/values/*.c \
 *       -o /tmp/codec_test $(pkg-config --libs lua5.4) && /tmp/codec_test
 */
#include "codec.h"
#include "wire.h"
#include <lauxlib.h>
#include <locale.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

static int failures, checks, limit_checks;
static lua_State *L;
static handout_codec codec;

void handout_codec_check(lua_State *state) {
    (void)state;
    limit_checks++;
}

#define EXPECT(condition, ...)                                                                       \
    do {                                                                                             \
        checks++;                                                                                    \
        if (!(condition)) {                                                                          \
            failures++;                                                                              \
            printf("%s:%d: ", __FILE__, __LINE__);                                                   \
            printf(__VA_ARGS__);                                                                     \
            printf("\n");                                                                            \
        }                                                                                            \
    } while (0)

static void expect_text(int line, const char *what, const char *got, const char *want) {
    checks++;
    if (strcmp(got, want) == 0) return;
    failures++;
    printf("line %d: %s\n  got  %s\n  want %s\n", line, what, got, want);
}

/* Pushes the value of a Lua expression, or of a chunk with a return. */
static void evaluate(const char *code) {
    char text[4096];
    snprintf(text, sizeof text, strstr(code, "return") ? "%s" : "return %s", code);
    if (luaL_dostring(L, text)) {
        printf("bad test code: %s\n", lua_tostring(L, -1));
        exit(2);
    }
}

static int encode_top(lua_State *state) {
    int top = lua_gettop(state);
    handout_encode(state, &codec, 1, "result", "cannot leave its task");
    EXPECT(lua_gettop(state) == top, "the stack changed");
    return 0;
}

/* Encodes the value on the top and pops it; returns NULL or the message, which lives until the next call. */
static const char *encode(void) {
    static char message[1200];
    codec.out.length = 0;
    lua_pushcfunction(L, encode_top);
    lua_insert(L, -2);
    int status = lua_pcall(L, 1, 0, 0);
    if (status == LUA_OK) return NULL;
    snprintf(message, sizeof message, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
    return message;
}

static int decode_all(lua_State *state) {
    size_t size;
    const uint8_t *bytes = (const uint8_t *)lua_tolstring(state, 1, &size);
    const uint8_t *end = handout_decode(state, bytes, bytes + size);
    if (end != bytes + size) return luaL_error(state, "bytes are left");
    return 1;
}

/* Pushes the decoded value and returns NULL, or returns the message. */
static const char *decode(const void *bytes, size_t size) {
    static char message[256];
    lua_pushcfunction(L, decode_all);
    lua_pushlstring(L, bytes, size);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK) return NULL;
    snprintf(message, sizeof message, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
    return message;
}

static void expect_bytes(int line, const char *code, const char *hex) {
    char got[400] = "";
    evaluate(code);
    const char *message = encode();
    for (size_t i = 0; i < codec.out.length && i < 190; i++) sprintf(got + 2 * i, "%02x", codec.out.data[i]);
    expect_text(line, code, message ? message : got, hex);
}

static void expect_refused(int line, const char *code, const char *want) {
    evaluate(code);
    const char *message = encode();
    expect_text(line, code, message ? message : "(no error)", want);
    EXPECT(!message || codec.refused, "refused is not set by %s", code);
    EXPECT(!message || codec.out.length == 0, "bytes were left by %s", code);
}

/* Encodes, checks sizes, compares, decodes, encodes again: the same bytes. */
static void round_trip(int line, const char *code) {
    evaluate(code);
    lua_pushvalue(L, -1);
    const char *message = encode();
    if (message) return expect_text(line, code, message, "(no error)");
    handout_buffer first = {0};
    handout_buffer_append(&first, codec.out.data, codec.out.length);
    int top = lua_gettop(L);
    EXPECT(handout_equal(L, -1, first.data, first.length), "line %d: not equal to its bytes: %s", line, code);
    EXPECT(lua_gettop(L) == top, "handout_equal changed the stack");
    EXPECT(handout_value_size(first.data, first.length) == first.length, "line %d: size of %s", line, code);
    lua_pop(L, 1);
    message = decode(first.data, first.length);
    if (message) return expect_text(line, code, message, "(no error)");
    EXPECT(handout_equal(L, -1, first.data, first.length), "line %d: decoded differs: %s", line, code);
    encode();
    EXPECT(codec.out.length == first.length && memcmp(codec.out.data, first.data, first.length) == 0,
           "line %d: other bytes after a round trip: %s", line, code);
    handout_buffer_free(&first);
}

#define BYTES(code, hex) expect_bytes(__LINE__, code, hex)
#define REFUSED(code, message) expect_refused(__LINE__, code, message)
#define ROUND(code) round_trip(__LINE__, code)

static void test_scalars(void) {
    BYTES("nil", "c0");
    BYTES("false", "c2");
    BYTES("true", "c3");
    BYTES("0", "00");
    BYTES("127", "7f");
    BYTES("128", "cc80");
    BYTES("255", "ccff");
    BYTES("256", "cd0100");
    BYTES("65535", "cdffff");
    BYTES("65536", "ce00010000");
    BYTES("4294967295", "ceffffffff");
    BYTES("4294967296", "cf0000000100000000");
    BYTES("math.maxinteger", "cf7fffffffffffffff");
    BYTES("-1", "ff");
    BYTES("-32", "e0");
    BYTES("-33", "d0df");
    BYTES("-128", "d080");
    BYTES("-129", "d1ff7f");
    BYTES("-32768", "d18000");
    BYTES("-32769", "d2ffff7fff");
    BYTES("-2147483648", "d280000000");
    BYTES("-2147483649", "d3ffffffff7fffffff");
    BYTES("math.mininteger", "d38000000000000000");
    BYTES("1.0", "cb3ff0000000000000");
    BYTES("-0.0", "cb8000000000000000");
    BYTES("0/0", "cb7ff8000000000000");
    BYTES("-(0/0)", "cb7ff8000000000000");
    BYTES("1/0", "cb7ff0000000000000");
    BYTES("''", "a0");
    BYTES("'a\\0b'", "a3610062");
    BYTES("('x'):rep(31):sub(1, 2)", "a27878");
    static const char *const sizes[] = {"('x'):rep(31)", "('x'):rep(32)", "('x'):rep(255)", "('x'):rep(256)",
                                        "('x'):rep(65535)", "('x'):rep(65536)"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) ROUND(sizes[i]);
}

static void test_tables(void) {
    BYTES("{}", "90");
    BYTES("{1, 2, 3}", "93010203");
    BYTES("{{}, {{}}}", "92909190");
    BYTES("{x = 1}", "81a17801");
    BYTES("{b = 1, a = 2, ab = 3, [''] = 4}", "84a004a16102a2616203a16201");
    BYTES("{[false] = 1, [true] = 2, a = 3, [1] = 4, [-1] = 5, [1.5] = 6}", "86ff050104cb3ff800000000000006a16103c201c302");
    BYTES("{[2] = 1}", "810201");
    BYTES("{1, 2, nil, 4}", "83010102020404");
    BYTES("{1, x = 2}", "820101a17802");
    BYTES("local t = {} t[3] = 3 t[2] = 2 t[1] = 1 return t", "93010203");
    BYTES("local t = {} t['1'] = 'a' t[2] = 'b' return t", "8202a162a131a161");
    BYTES("local t = {1, 2} t['3'] = 3 return t", "8301010202a13303");
    BYTES("local t = {1, nil, 3, nil, 5} return t", "83010103030505");
    BYTES("local t = {1, 2, 3, 4} t[4] = nil t[3] = nil return t", "920102");
    BYTES("local t = {x = 1, 7} t.x = nil return t", "9107");
    /* borders beyond the entries */
    ROUND("local t = {} for i = 0, 61 do t[1 << i] = i end return t");
    ROUND("local t = {} for i = 0, 30 do t[1 << i] = i end t['3'] = 1 return t");
    /* numbers compare exactly */
    BYTES("{[1 << 53] = 1, [(1 << 53) + 1] = 2, [2^63] = 3, [-2^70] = 4, [0.5] = 5, [-0.5] = 6, [0] = 7}",
          "87cbc4500000000000""0004cbbfe000000000""0000060007cb3fe0000000000000""05cf002000000000""000001cf00200000"
          "0000000102cb43e000000000000003");
    ROUND("{[math.huge] = 1, [-math.huge] = 2, [math.mininteger] = 3, [math.maxinteger] = 4, [2^63] = 5, [-2^63 * 2] = 6}");
    ROUND("local t = {} for i = 1, 1000 do t[i] = i * 7 end return t");
    ROUND("local t = {} for i = 1000, 1, -1 do t[i] = i end return t");
    ROUND("local t = {} for i = 1, 1000 do t[i] = i % 3 == 0 and {i} or i end return t");
    ROUND("local t = {} for i = 1, 500 do t['key' .. i] = i t[i * 2.5] = 'x' .. i end return t");
    ROUND("local t = {} for i = 1, 70000 do t[i] = i end return t");
    ROUND("local t = {} for i = 1, 70000 do t['k' .. i] = {i} end return t");
    ROUND("local t = {} for i = 1, 300 do t[('long key'):rep(10) .. i] = {i, {i}} end return t");
    ROUND("{a = {b = {c = {1, 2, {d = 'x'}}}}, [true] = {false}, [1.5] = {}, [-7] = {x = {}}}");
    ROUND("{{x = 1}, {x = 2}, {y = {1, {2}}}, 5, 'z', {}}");
    ROUND("local s = {1} return {s, s, {a = s, b = s}}");
    ROUND("local t = {} for i = 1, 199 do t = {t} end return t");
    ROUND("local t = {} for i = 1, 199 do t = {k = t, a = 1} end return t");
    /* metatables are dropped, and nothing of them runs */
    BYTES("setmetatable({1}, {__index = error, __len = error, __pairs = error, __eq = error})", "9101");
}

static void test_order_does_not_matter(void) {
    handout_buffer first = {0};
    for (int seed = 1; seed <= 20; seed++) {
        char code[400];
        snprintf(code, sizeof code,
                 "local keys = {} for i = 1, 60 do keys[i] = i %% 3 == 0 and i or i %% 3 == 1 and 'k' .. i or i + 0.25 end "
                 "math.randomseed(%d) for i = 60, 2, -1 do local j = math.random(i) keys[i], keys[j] = keys[j], keys[i] end "
                 "local t = {} for i, k in ipairs(keys) do t[k] = tostring(k) end return t", seed);
        evaluate(code);
        encode();
        if (seed == 1) handout_buffer_append(&first, codec.out.data, codec.out.length);
        EXPECT(first.length == codec.out.length && !memcmp(first.data, codec.out.data, first.length),
               "seed %d gives other bytes", seed);
    }
    handout_buffer_free(&first);
}

static void test_refusals(void) {
    REFUSED("print", "result: a function cannot leave its task");
    REFUSED("{rows = {1, 2, {callback = print}}}", "result.rows[3].callback: a function cannot leave its task");
    REFUSED("{1, {[{}] = 1}}", "result[2]: a table key cannot leave its task");
    REFUSED("{[print] = 1}", "result: a function key cannot leave its task");
    REFUSED("{x = coroutine.create(print)}", "result.x: a thread cannot leave its task");
    REFUSED("{io.stdout}", "result[1]: a userdata cannot leave its task");
    REFUSED("{['a b'] = print}", "result[\"a b\"]: a function cannot leave its task");
    REFUSED("{['a\\n\"\\xff'] = print}", "result[\"a\\x0A\\\"\\xFF\"]: a function cannot leave its task");
    REFUSED("{['gr\\u{f6}\\u{df}e'] = print}", "result[\"gr\xc3\xb6\xc3\x9f" "e\"]: a function cannot leave its task");
    REFUSED("{[('k'):rep(41)] = print}",
            "result[\"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk...\"]: a function cannot leave its task");
    REFUSED("{[true] = {[1.5] = {[-3] = {[math.huge] = print}}}}",
            "result[true][1.5][-3][inf]: a function cannot leave its task");
    REFUSED("{1, 2, print}", "result[3]: a function cannot leave its task");
    REFUSED("local t = {a = {}} t.a.b = t return t", "result: the table contains itself at result.a.b");
    REFUSED("local t = {} t[1] = t return t", "result: the table contains itself at result[1]");
    REFUSED("local x = {a = {}} x.a.b = x return {x = x}", "result.x: the table contains itself at result.x.a.b");
}

/* A long path is shown with its ends. */
static void test_paths(void) {
    evaluate("local t = {x = print} for i = 1, 150 do t = {['level' .. i] = t} end return t");
    const char *message = encode();
    EXPECT(message && strstr(message, "result.level150.level149") == message, "head of %s", message);
    EXPECT(message && strstr(message, "...") && strstr(message, ".level2.level1.x: a function cannot"), "tail of %s", message);
    EXPECT(message && strlen(message) <= 440, "length of %s", message);
    evaluate("local t = {x = print} for i = 1, 150 do t = {[('\\u{20ac}'):rep(13)] = t} end return t");
    message = encode();
    EXPECT(message && strlen(message) <= 440 && decode("\x01", 1) == NULL, "length of %s", message);
    for (const char *at = message; at && *at;) {
        unsigned size = handout_utf8((const uint8_t *)at, (const uint8_t *)at + strlen(at));
        EXPECT(size, "a character was cut: %s", message);
        at += size ? size : 1;
    }
    lua_settop(L, 0);
}

static void test_limits(void) {
    codec.out.limit = 100;
    REFUSED("('x'):rep(100)", "result: larger than 100 bytes");
    REFUSED("{('x'):rep(60), ('y'):rep(60)}", "result: larger than 100 bytes");
    REFUSED("{a = ('x'):rep(60), b = ('y'):rep(60)}", "result: larger than 100 bytes");
    REFUSED("local t = {} for i = 1, 200 do t[i] = i end return t", "result: larger than 100 bytes");
    ROUND("('x'):rep(98)");
    for (int n = 90; n < 110; n++) {
        char code[100];
        snprintf(code, sizeof code, "local t = {} for i = 1, %d do t[i] = 1 end return t", n);
        evaluate(code);
        const char *message = encode();
        EXPECT(!message == (n + 3 <= 100), "%d elements: %s", n, message ? message : "no error");
    }
    codec.out.limit = 1 << 20;
    /* 2^64 tables, shared */
    REFUSED("local t = {1} for i = 1, 64 do t = {t, t} end return t", "result: larger than 1048576 bytes");
    REFUSED("local t = {x = 1} for i = 1, 64 do t = {a = t, b = t} end return t", "result: larger than 1048576 bytes");
    codec.out.limit = 0;
    limit_checks = 0;
    ROUND("local t = {} for i = 1, 50000 do t[i] = i end return t");
    EXPECT(limit_checks >= 20, "%d checks of limits in 100000 values", limit_checks);
}

static void test_depth(void) {
    evaluate("local t = {} for i = 1, 199 do t = {t} end return t");
    EXPECT(encode() == NULL, "200 tables");
    evaluate("local t = {} for i = 1, 200 do t = {t} end return t");
    const char *message = encode();
    EXPECT(message && strstr(message, "[1]: nested deeper than 200 tables"), "201 tables: %s", message);
    uint8_t deep[300];
    memset(deep, 0x91, sizeof deep);
    deep[250] = deep[249] = 0x90;
    EXPECT(decode(deep, 250) == NULL, "250 deep");
    EXPECT(handout_value_size(deep, 250) == 250, "size of 250 deep");
    EXPECT(handout_equal(L, -1, deep, 250), "250 deep are equal");
    deep[249] = 0x91;
    EXPECT(decode(deep, 251) != NULL, "251 deep");
    EXPECT(handout_value_size(deep, 251) == 0, "size of 251 deep");
    EXPECT(!handout_equal(L, -1, deep, 251), "251 deep are not equal");
    lua_settop(L, 0);
}

/* The collector may run while a table whose values are weak is encoded: by a look-up of a long key. */
static void test_weak_tables(void) {
    for (int i = 0; i < 30; i++) {
        evaluate("collectgarbage('incremental', 1, 1000) "
                 "local t = setmetatable({}, {__mode = 'v'}) "
                 "for i = 1, 300 do t[('k'):rep(2000) .. i] = {i} end return t");
        EXPECT(encode() == NULL, "a weak table");
        EXPECT(lua_gc(L, LUA_GCISRUNNING) == 1, "the collector stopped");
    }
    evaluate("return {['" "a" "'] = {print}}");
    EXPECT(encode() != NULL && lua_gc(L, LUA_GCISRUNNING) == 1, "the collector stopped after a refusal");
}

static void expect_malformed(int line, const char *bytes, size_t size, const char *want) {
    uint8_t *copy = malloc(size ? size : 1); /* so that the sanitizer sees reading past the end */
    memcpy(copy, bytes, size);
    lua_settop(L, 0);
    const char *message = decode(bytes, size);
    expect_text(line, "malformed", message ? message : "(no error)", want);
    EXPECT(handout_value_size(copy, size) == 0, "line %d: has a size", line);
    lua_newtable(L);
    EXPECT(!handout_equal(L, -1, copy, size), "line %d: is equal", line);
    free(copy);
    lua_settop(L, 0);
}
#define MALFORMED(bytes, message) expect_malformed(__LINE__, bytes, sizeof bytes - 1, message)

static void test_malformed(void) {
    MALFORMED("", "malformed value at byte 1");
    MALFORMED("\xc1", "malformed value at byte 1");
    MALFORMED("\xcd\x01", "malformed value at byte 1");
    MALFORMED("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "malformed value at byte 1");
    MALFORMED("\xca\x00\x00\x00\x00", "malformed value at byte 1");
    MALFORMED("\xc4\x01x", "malformed value at byte 1");
    MALFORMED("\xd9\x01x", "malformed value at byte 1");
    MALFORMED("\xa5xxxx", "malformed value at byte 1");
    MALFORMED("\xdd\xff\xff\xff\xff\x01\x01", "malformed value at byte 1");
    MALFORMED("\xdf\xff\xff\xff\xff\x01\x01", "malformed value at byte 1");
    MALFORMED("\x92\x01\xc0", "malformed value at byte 3");
    MALFORMED("\x92\x92\x01\x01", "malformed value at byte 2");
    MALFORMED("\x92\xa1x\x91", "malformed value at byte 4");
    MALFORMED("\x81\xc0\x01", "malformed value at byte 2");
    MALFORMED("\x81\x90\x01", "malformed value at byte 2");
    MALFORMED("\x81\xa1x\xc0", "malformed value at byte 4");
    MALFORMED("\x81\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00\x01", "malformed value at byte 2");
    MALFORMED("\x81\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00\x01", "malformed value at byte 2");
    EXPECT(decode("\xd3\0\0\0\0\0\0\0\5", 9) == NULL && lua_tointeger(L, -1) == 5, "a wide integer");
    EXPECT(decode("\xcf\0\0\0\0\0\0\0\5", 9) == NULL && lua_tointeger(L, -1) == 5, "a wide unsigned integer");
    lua_settop(L, 0);
}

static void test_equal(void) {
    static const struct { const char *a, *b; int equal; } cases[] = {
        {"1", "1.0", 0}, {"0.0", "-0.0", 0}, {"0/0", "-(0/0)", 1}, {"'1'", "1", 0}, {"nil", "false", 0},
        {"{1, 2}", "{1, 2}", 1}, {"{1, 2}", "{1, 2, 3}", 0}, {"{1, 2, 3}", "{1, 2}", 0}, {"{1, 2}", "{1, 2, x = 1}", 0},
        {"{x = 1}", "{x = 2}", 0}, {"{x = {1, {y = 2}}}", "{x = {1, {y = 2}}}", 1},
        {"{x = {1, {y = 2}}}", "{x = {1, {z = 2}}}", 0}, {"{}", "{}", 1}, {"{}", "{{}}", 0}, {"{a = {}}", "{a = {b = 1}}", 0},
        {"{[1.5] = 1, [true] = 2}", "{[1.5] = 1, [true] = 2}", 1}, {"'abc'", "'abd'", 0}, {"true", "false", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        evaluate(cases[i].a);
        encode();
        evaluate(cases[i].b);
        int top = lua_gettop(L), equal = handout_equal(L, -1, codec.out.data, codec.out.length);
        EXPECT(equal == cases[i].equal, "equality of %s and %s", cases[i].a, cases[i].b);
        EXPECT(lua_gettop(L) == top, "the stack changed by %s", cases[i].a);
        lua_settop(L, 0);
    }
}

static void test_cells(void) {
    static const char *const codes[] = {"nil", "false", "true", "42", "-70000", "1.5", "'short'", "'longer than a cell'",
                                        "{}", "{1, 2, 3}", "{x = {1, 2, 3, 4, 5, 6, 7, 8}}"};
    static const uint8_t tags[] = {HANDOUT_NIL, HANDOUT_FALSE, HANDOUT_TRUE, HANDOUT_INTEGER, HANDOUT_INTEGER, HANDOUT_FLOAT,
                                   HANDOUT_INLINE, HANDOUT_BLOB, HANDOUT_INLINE, HANDOUT_INLINE, HANDOUT_BLOB};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        handout_value cell;
        handout_buffer out = {0};
        evaluate(codes[i]);
        encode();
        EXPECT(handout_value_store(&cell, codec.out.data, codec.out.length) == 0, "storing %s", codes[i]);
        EXPECT(cell.tag == tags[i], "tag of %s is %d", codes[i], cell.tag);
        EXPECT(handout_value_append(&cell, &out) == 0 && out.length == codec.out.length &&
               !memcmp(out.data, codec.out.data, out.length), "bytes of the cell of %s", codes[i]);
        handout_push_value(L, &cell);
        EXPECT(handout_equal(L, -1, out.data, out.length), "pushing %s", codes[i]);
        handout_value_free(&cell);
        EXPECT(cell.tag == HANDOUT_ABSENT, "freed");
        handout_buffer_free(&out);
        lua_settop(L, 0);
    }
}

static void test_elements(void) {
    uint32_t *offsets, count;
    int keyed;
    size_t size;
    evaluate("{1, {2, 3}, 'abc'}");
    encode();
    EXPECT(handout_value_elements(codec.out.data, codec.out.length, &offsets, &count, &keyed) == 0, "a list");
    EXPECT(count == 3 && !keyed && offsets[0] == 1 && offsets[1] == 2 && offsets[2] == 5 && offsets[3] == 9, "its offsets");
    free(offsets);
    evaluate("{b = {1}, a = 2}");
    encode();
    EXPECT(handout_value_elements(codec.out.data, codec.out.length, &offsets, &count, &keyed) == 0, "a keyed table");
    EXPECT(count == 2 && keyed && offsets[0] == 1 && offsets[1] == 4 && offsets[2] == 8, "its offsets");
    const uint8_t *key = handout_value_string(codec.out.data + 1, 3, &size);
    EXPECT(key && size == 1 && *key == 'a', "its first key");
    free(offsets);
    evaluate("{}");
    encode();
    EXPECT(handout_value_elements(codec.out.data, codec.out.length, &offsets, &count, &keyed) == 0, "an empty table");
    EXPECT(count == 0 && !keyed, "is a list");
    free(offsets);
    static const char *const neither[] = {"5", "{[2] = 1}", "{1, x = 2}", "'x'", "nil"};
    for (int i = 0; i < 5; i++) {
        evaluate(neither[i]);
        encode();
        EXPECT(handout_value_elements(codec.out.data, codec.out.length, &offsets, &count, &keyed) == -1, "%s", neither[i]);
    }
}

static void expect_json(int line, const char *code, int indent, const char *want) {
    handout_buffer out = {0};
    char error[300] = "";
    evaluate(code);
    encode();
    int failed = handout_json_write(codec.out.data, codec.out.length, indent, &out, error, sizeof error);
    handout_buffer_append(&out, "", 1);
    expect_text(line, code, failed ? error : (char *)out.data, want);
    handout_buffer_free(&out);
}
#define JSON(code, want) expect_json(__LINE__, code, 0, want)

static void test_json_write(void) {
    JSON("nil", "null");
    JSON("{1, 2.0, -0.0, 1e100, 0.1, 1/3, 5e-324, true, false}",
         "[1,2.0,-0.0,1e+100,0.1,0.3333333333333333,4.94065645841247e-324,true,false]");
    JSON("{1/0, -1/0, 0/0}", "[{\"$float\":\"inf\"},{\"$float\":\"-inf\"},{\"$float\":\"nan\"}]");
    JSON("'\\xff\\xfe'", "{\"$bytes\":\"//4=\"}");
    JSON("{'\\xed\\xa0\\x80', '\\xc0\\x80', '\\xf4\\x90\\x80\\x80'}",
         "[{\"$bytes\":\"7aCA\"},{\"$bytes\":\"wIA=\"},{\"$bytes\":\"9JCAgA==\"}]");
    JSON("'a\"\\\\\\n\\t\\r\\b\\f\\0\\x1f\\x7f</\\u{2028}\\u{2029}\\u{e9}\\u{1F600}'",
         "\"a\\\"\\\\\\n\\t\\r\\b\\f\\u0000\\u001f\x7f</\\u2028\\u2029\xc3\xa9\xf0\x9f\x98\x80\"");
    JSON("{}", "[]");
    JSON("{a = {}, b = {c = 1}}", "{\"a\":[],\"b\":{\"c\":1}}");
    JSON("{[10] = 'ten', [9] = 'nine', [true] = 'yes', [1.5] = 'float', z = 'z', A = 'A'}",
         "{\"1.5\":\"float\",\"10\":\"ten\",\"9\":\"nine\",\"A\":\"A\",\"true\":\"yes\",\"z\":\"z\"}");
    JSON("{[false] = {[20] = 1, [3] = 2}, a = 1, [true] = 2, z = {1, 2}}",
         "{\"a\":1,\"false\":{\"20\":1,\"3\":2},\"true\":2,\"z\":[1,2]}");
    JSON("{a = {[1] = 'x', ['1'] = 'y', [5] = 0}}", "two keys become the same text: \"1\" at result.a");
    JSON("{1, {['q w'] = {[7] = {[true] = 1, ['true'] = 2}}}}",
         "two keys become the same text: \"true\" at result[2][\"q w\"][7]");
    JSON("{['\\xff'] = 1, ['\\xfe'] = 2}", "two keys become the same text: \"\xef\xbf\xbd\" at result");
    expect_json(__LINE__, "{b = {1, {c = 2}}, a = {}, [10] = 1, [9] = '\\xff'}", 2,
                "{\n  \"10\": 1,\n  \"9\": {\"$bytes\": \"/w==\"},\n  \"a\": [],\n  \"b\": [\n    1,\n    {\n      \"c\": 2\n    }\n  ]\n}");
}

/* Reads text and writes it again. */
static void expect_reread(int line, const char *text, const char *want) {
    handout_buffer read = {0}, written = {0}, again = {0};
    char error[300] = "";
    int failed = handout_json_read(text, strlen(text), &read, error, sizeof error);
    if (!failed) {
        EXPECT(handout_value_size(read.data, read.length) == read.length, "line %d: read malformed", line);
        EXPECT(decode(read.data, read.length) == NULL, "line %d: cannot be decoded", line);
        encode();
        EXPECT(codec.out.length == read.length && !memcmp(codec.out.data, read.data, read.length), "line %d: not canonical", line);
        failed = handout_json_write(read.data, read.length, 0, &written, error, sizeof error);
        EXPECT(handout_json_read((char *)written.data, written.length, &again, error, sizeof error) == 0 &&
               again.length == read.length && !memcmp(again.data, read.data, read.length), "line %d: not stable", line);
    }
    handout_buffer_append(&written, "", 1);
    expect_text(line, text, failed ? error : (char *)written.data, want);
    handout_buffer_free(&read);
    handout_buffer_free(&written);
    handout_buffer_free(&again);
}
#define REREAD(text, want) expect_reread(__LINE__, text, want)

static void test_json_read(void) {
    REREAD(" null ", "null");
    REREAD("[1, -1, 0, -0, 1.0, 1e2, 9223372036854775807, -9223372036854775808]",
           "[1,-1,0,0,1.0,100.0,9223372036854775807,-9223372036854775808]");
    REREAD("[9223372036854775808, 1E400]", "position 23: expected a number in the range of a float, got a larger one");
    REREAD("[9223372036854775808, -9223372036854775809, 123456789012345678901234567890]",
           "[9.223372036854776e+18,-9.223372036854776e+18,1.2345678901234568e+29]");
    REREAD("{\"b\":1,\"a\":2,\"b\":3}", "{\"a\":2,\"b\":3}");
    REREAD("{\"b\":1,\"a\":null,\"c\":{\"x\":null},\"b\":null}", "{\"c\":[]}");
    REREAD("[null, [], {}, [null]]", "[false,[],[],[false]]");
    REREAD("{\"$bytes\": \"//4=\"}", "{\"$bytes\":\"//4=\"}");
    REREAD("{\"$bytes\": \"YWJj\"}", "\"abc\"");
    REREAD("{\"$bytes\": \"YWJ\"}", "{\"$bytes\":\"YWJ\"}");
    REREAD("{\"$bytes\": \"YR==\"}", "{\"$bytes\":\"YR==\"}");
    REREAD("{\"$bytes\": \"\"}", "\"\"");
    REREAD("{\"$bytes\": {\"$bytes\": \"WVE9PQ==\"}}", "\"a\"");
    REREAD("{\"$bytes\": 5, \"x\": {\"$float\": \"wide\"}}", "{\"$bytes\":5,\"x\":{\"$float\":\"wide\"}}");
    REREAD("[{\"$float\": \"nan\"}, {\"$float\": \"inf\"}, {\"$float\": \"-inf\"}]",
           "[{\"$float\":\"nan\"},{\"$float\":\"inf\"},{\"$float\":\"-inf\"}]");
    REREAD("\"\\u0041\\u00e9\\u20ac\\uD83D\\uDE00\\/\\b\\f\\n\\r\\t\\\"\\\\\\u0000\"",
           "\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80/\\b\\f\\n\\r\\t\\\"\\\\\\u0000\"");
    REREAD("[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]");
    REREAD("", "position 1: expected a value, got the end");
    REREAD("nul", "position 1: expected a value, got \"nul\"");
    REREAD("[1,]", "position 4: expected a value, got \"]\"");
    REREAD("[1 2]", "position 4: expected \",\" or \"]\", got \"2\"");
    REREAD("{\"a\" 1}", "position 6: expected \":\", got \"1\"");
    REREAD("{a: 1}", "position 2: expected a key in quotes, got \"a\"");
    REREAD("{\"a\":1,}", "position 8: expected a key in quotes, got \"}\"");
    REREAD("{\"a\":1", "position 7: expected \",\" or \"}\", got the end");
    REREAD("1 2", "position 3: expected the end, got \"2\"");
    REREAD("01", "position 2: expected the end, got \"1\"");
    REREAD("-", "position 2: expected a digit, got the end");
    REREAD("1.", "position 3: expected a digit, got the end");
    REREAD("1e+", "position 4: expected a digit, got the end");
    REREAD("\"a", "position 3: expected \"\\\"\", got the end");
    REREAD("\"\\x\"", "position 3: expected an escape such as \\n, got \"x\"");
    REREAD("\"\\ud83d\"", "position 2: expected a pair of surrogates such as \\uD83D\\uDE00, got \"\\\\\"");
    REREAD("\"\\ude00\\ud83d\"", "position 2: expected a pair of surrogates such as \\uD83D\\uDE00, got \"\\\\\"");
    REREAD("\"\\u12\"", "position 4: expected four hexadecimal digits, got \"1\"");
    REREAD("\"a\nb\"", "position 3: expected control characters to be escaped, got byte 0x0A");
    REREAD("\"\xff\"", "position 2: expected UTF-8, got byte 0xFF");
    char deep[402];
    memset(deep, '[', 200);
    memset(deep + 200, ']', 200);
    deep[400] = 0;
    REREAD(deep, deep);
    memset(deep, '[', 201);
    REREAD(deep, "position 201: expected at most 200 levels, got \"[\"");
}

static void test_locale(void) {
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8"};
    for (int i = 0; i < 3; i++) {
        if (!setlocale(LC_NUMERIC, names[i])) continue;
        REREAD("[1.5, 2.0, 1e300]", "[1.5,2.0,1e+300]");
    }
    setlocale(LC_NUMERIC, "C");
}

int main(void) {
    L = luaL_newstate();
    luaL_openlibs(L);
    test_scalars();
    test_tables();
    test_order_does_not_matter();
    test_refusals();
    test_paths();
    test_limits();
    test_depth();
    test_weak_tables();
    test_malformed();
    test_equal();
    test_cells();
    test_elements();
    test_json_write();
    test_json_read();
    test_locale();
    handout_codec_free(&codec);
    lua_close(L);
    printf("codec: %d checks, %d failures\n", checks, failures);
    return failures != 0;
}
