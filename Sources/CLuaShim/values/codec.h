/* MessagePack straight from and to the Lua stack. Internal to the shim. */
#ifndef HANDOUT_CODEC_H
#define HANDOUT_CODEC_H

#include "handout_value.h"
#include <lua.h>
#include <signal.h>

/* Depth of tables, as lua-api.md section 1 has it. */
enum { HANDOUT_DEPTH = 200 };

/* Scratch of one state's encoder, kept between calls. Owned by the state, so that a state which is abandoned in the
 * middle of an encoding leaks nothing. */
typedef struct handout_codec {
    handout_buffer out;      /* what was encoded; the caller resets `length` */
    struct handout_frame *frames;
    struct handout_key *keys;
    size_t keys_length, keys_capacity;
    int refused;             /* 1 when the last encode raised because the value is not plain data or too large */
} handout_codec;

void handout_codec_free(handout_codec *codec);

/* Called by the encoder every 4096 values: leaves when a limit is hit (limits.c). Must neither run Lua code nor collect:
 * the encoder holds pointers to strings of tables, which could be weak. */
void handout_codec_check(lua_State *L);

/* Appends the value at `index` to `codec->out`. Raw access only, iterative: no metamethod runs, metatables are dropped.
 * On a value that is not plain data sets `refused` and raises a Lua error without position:
 *   `result.rows[3].callback: a function cannot leave its task`   (root "result", verb "cannot leave its task")
 *   `result[2]: a table key cannot leave its task`                (a key of another type than boolean, number, string)
 *   `result.x: a NaN cannot be a key` is impossible in Lua; `result: the table contains itself at result.a.b`
 *   `result.a: nested deeper than 200 tables`, `result: larger than N bytes`
 * Keys are shown as `.name` for Lua names of at most 40 bytes, else `["..."]` escaped and cut at 40 bytes, `[3]`, `[true]`.
 * Uses at most 2 * depth + 8 stack slots, checked. */
void handout_encode(lua_State *L, handout_codec *codec, int index, const char *root, const char *verb);

/* Pushes the value encoded at `bytes` and returns the position after it. Raises on malformed bytes or memory. */
const uint8_t *handout_decode(lua_State *L, const uint8_t *bytes, const uint8_t *end);

/* Pushes a cell's value: nil for absent. Not for GROUP. */
void handout_push_value(lua_State *L, const handout_value *cell);

/* 1 when the value at `index` equals the encoded value (raw; same types, integers and floats apart, no metatable
 * considered), else 0. Raises on memory only. Iterative. */
int handout_equal(lua_State *L, int index, const uint8_t *bytes, size_t length);

#endif
