/* The writing part of handout.fs (changes.c). Internal to the shim. */
#ifndef HANDOUT_FS_H
#define HANDOUT_FS_H

#include <lua.h>

int handout_fs_write(lua_State *L);
int handout_fs_append(lua_State *L);
int handout_fs_mkdir(lua_State *L);
int handout_fs_remove(lua_State *L);
int handout_fs_rename(lua_State *L);
int handout_fs_copy(lua_State *L);

#endif
