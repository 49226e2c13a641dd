/* Fuzzing of the value codec and of JSON.
 *
 *   S=Sources/CLuaShim; F="-g -O1 -I $S/include -I $S/state -I $S/values $(pkg-config --cflags lua5.4) Tests/Fuzz/fuzz_value.c
 *       $S/values/codec.c $S/values/value.c $S/values/json.c"
 *   clang -fsanitize=fuzzer,address,undefined $F -o /tmp/fuzz_value $(pkg-config --libs lua5.4)
 *   /tmp/fuzz_value -max_total_time=60
 * Without libFuzzer, random and mutated bytes:
 *   gcc -DSTANDALONE -fsanitize=address,undefined $F -o /tmp/fuzz_value $(pkg-config --libs lua5.4)
 *   /tmp/fuzz_value [runs] [seed]
 */
#include "codec.h"
#include "wire.h"
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

#define MUST(condition)                                             \
    do {                                                            \
        if (!(condition)) {                                         \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
            abort();                                                \
        }                                                           \
    } while (0)

static handout_codec codec;

void handout_codec_check(lua_State *L) { (void)L; }

/* A buffer of the exact size, so that the sanitizer sees every byte read beyond. */
static uint8_t *exact(const void *bytes, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);
    if (size) memcpy(copy, bytes, size);
    return copy;
}

/* decode, encode, decode, encode: from the first encoding on the bytes stay. */
static int round_trip(lua_State *L) {
    const uint8_t *bytes = lua_touserdata(L, 1);
    const uint8_t *end = bytes + (size_t)lua_tointeger(L, 2);
    const uint8_t *after = handout_decode(L, bytes, end);
    MUST(handout_value_size(bytes, (size_t)(end - bytes)) == (size_t)(after - bytes));
    codec.out.length = 0;
    handout_encode(L, &codec, 3, "value", "cannot be");
    size_t length = codec.out.length;
    uint8_t *canonical = exact(codec.out.data, length);
    MUST(handout_value_size(canonical, length) == length);
    MUST(handout_equal(L, 3, canonical, length));
    MUST(handout_decode(L, canonical, canonical + length) == canonical + length);
    MUST(handout_equal(L, 4, canonical, length));
    codec.out.length = 0;
    handout_encode(L, &codec, 4, "value", "cannot be");
    MUST(codec.out.length == length && memcmp(codec.out.data, canonical, length) == 0);
    free(canonical);
    return 0;
}

static void fuzz_bytes(lua_State *L, const uint8_t *bytes, size_t size) {
    uint32_t *offsets, count;
    int keyed;
    size_t length;
    char error[300];
    handout_buffer json = {0};
    handout_value cell;
    lua_pushcfunction(L, round_trip);
    lua_pushlightuserdata(L, (void *)bytes);
    lua_pushinteger(L, (lua_Integer)size);
    int failed = lua_pcall(L, 2, 0, 0) != LUA_OK;
    const char *message = failed ? lua_tostring(L, -1) : "";
    /* Deeper than the encoder goes is decoded, but not encoded again. */
    MUST(!failed || handout_value_size(bytes, size) == 0 || strstr(message, "nested deeper than 200"));
    lua_newtable(L);
    handout_equal(L, -1, bytes, size);
    lua_settop(L, 0);
    if (handout_value_elements(bytes, size, &offsets, &count, &keyed) == 0) MUST(offsets[count] <= size);
    free(offsets);
    handout_value_string(bytes, size, &length);
    int status = handout_json_write(bytes, size, size & 1 ? 2 : 0, &json, error, sizeof error);
    MUST(status != -1 && (status == 0 || !handout_value_size(bytes, size) || strstr(error, "same text")));
    handout_buffer_free(&json);
    MUST(handout_value_store(&cell, bytes, size) == 0);
    handout_value_free(&cell);
}

/* Text that can be read is canonical, and what is written from it reads the same. */
static void fuzz_json(lua_State *L, const uint8_t *text, size_t size) {
    handout_buffer first = {0}, json = {0}, second = {0};
    char error[300];
    if (handout_json_read((const char *)text, size, &first, error, sizeof error) == 0) {
        MUST(handout_value_size(first.data, first.length) == first.length);
        MUST(handout_decode(L, first.data, first.data + first.length) == first.data + first.length);
        codec.out.length = 0;
        handout_encode(L, &codec, 1, "value", "cannot be");
        MUST(codec.out.length == first.length && memcmp(codec.out.data, first.data, first.length) == 0);
        MUST(handout_json_write(first.data, first.length, size & 1 ? 3 : 0, &json, error, sizeof error) == 0);
        MUST(handout_json_read((const char *)json.data, json.length, &second, error, sizeof error) == 0);
        MUST(first.length == second.length && memcmp(first.data, second.data, first.length) == 0);
    }
    lua_settop(L, 0);
    handout_buffer_free(&first);
    handout_buffer_free(&json);
    handout_buffer_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static lua_State *L;
    if (!L) L = luaL_newstate();
    uint8_t *copy = exact(data, size);
    fuzz_bytes(L, copy, size);
    fuzz_json(L, copy, size);
    free(copy);
    return 0;
}

#ifdef STANDALONE
static uint64_t state;

static uint32_t next(uint32_t below) {
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static const char *const seeds[] = {
    "[1,2.5,\"x\",{\"a\":null,\"b\":[true,false]},{\"$bytes\":\"//4=\"},{\"$float\":\"nan\"}]",
    "{\"k\":{\"$bytes\":\"YQ==\"},\"a\":1,\"k\":2,\"\\uD83D\\uDE00\":-0.0}",
    "\x86\xff\x05\x01\x04\xcb\x3f\xf8\x01\x01\x01\x01\x01\x01\x06\xa1\x61\x93\x01\x02\x03\xc2\x01\xc3\x92\xc2\xc3",
    "\x93\xd9\x20xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\x81\xa1k\x91\x05\xcd\x01\x01",
};

/* Random first bytes of items, or a seed with some bytes changed, cut out or doubled. */
static size_t make(uint8_t *bytes, size_t capacity) {
    size_t size = next(60);
    if (next(3) == 0) {
        for (size_t i = 0; i < size; i++) bytes[i] = next(2) ? (uint8_t)next(256) : (uint8_t)(0x80 + next(0x60));
        return size;
    }
    const char *seed = seeds[next(sizeof seeds / sizeof *seeds)];
    size = strlen(seed);
    memcpy(bytes, seed, size);
    for (uint32_t changes = next(5); changes > 0 && size > 1 && size < capacity - 40; changes--) {
        size_t at = next((uint32_t)size), some = next(8);
        if (some > size - at) some = size - at;
        switch (next(4)) {
        case 0: bytes[at] = (uint8_t)next(256); break;
        case 1: bytes[at] = (uint8_t)"{}[],:\"\\0123456789.eE-+untrf"[next(28)]; break;
        case 2: memmove(bytes + at, bytes + at + some, size - at - some), size -= some; break;
        default: memmove(bytes + at + some, bytes + at, size - at), size += some; break;
        }
    }
    return size;
}

int main(int argc, char **argv) {
    long runs = argc > 1 ? atol(argv[1]) : 1000000;
    uint8_t bytes[512];
    state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    for (long i = 0; i < runs; i++) LLVMFuzzerTestOneInput(bytes, make(bytes, sizeof bytes));
    printf("%ld runs\n", runs);
    return 0;
}
#endif
