#ifndef HANDOUT_CLUA_H
#define HANDOUT_CLUA_H
#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>
#endif
