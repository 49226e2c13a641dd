#include "CHandoutLua.h"

#ifdef __clang__
#pragma clang diagnostic ignored "-Wc23-extensions"
#endif

static const char handout_lua[] = {
#embed "../../lua/handout.lua"
};
static const char test_lua[] = {
#embed "../../lua/handout/test.lua"
};
static const char annotations[] = {
#embed "../../lua/handout.d.lua"
};
static const char test_annotations[] = {
#embed "../../lua/handout.test.d.lua"
};
static const char main_lua[] = {
#embed "../../lua/template/main.lua"
};
static const char main_test_lua[] = {
#embed "../../lua/template/main_test.lua"
};
static const char readme[] = {
#embed "../../lua/template/README.md"
};
static const char gitignore[] = {
#embed "../../lua/template/gitignore"
};
static const char luarc[] = {
#embed "../../lua/template/luarc.json"
};
static const char luacheckrc[] = {
#embed "../../lua/template/luacheckrc"
};
static const char stylua[] = {
#embed "../../lua/template/stylua.toml"
};

static const handout_embedded modules[] = {
    {"handout", handout_lua, sizeof handout_lua},
    {"handout.test", test_lua, sizeof test_lua},
};

static const handout_embedded project[] = {
    {"main.lua", main_lua, sizeof main_lua},
    {"main_test.lua", main_test_lua, sizeof main_test_lua},
    {"README.md", readme, sizeof readme},
    {".gitignore", gitignore, sizeof gitignore},
    {".luarc.json", luarc, sizeof luarc},
    {".luacheckrc", luacheckrc, sizeof luacheckrc},
    {"stylua.toml", stylua, sizeof stylua},
    {"lua/handout.d.lua", annotations, sizeof annotations},
    {"lua/handout.test.d.lua", test_annotations, sizeof test_annotations},
};

const handout_embedded *handout_embedded_module(size_t index) {
    return index < sizeof modules / sizeof *modules ? &modules[index] : NULL;
}

const handout_embedded *handout_embedded_project_file(size_t index) {
    return index < sizeof project / sizeof *project ? &project[index] : NULL;
}
