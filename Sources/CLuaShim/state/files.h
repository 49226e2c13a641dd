/* Files without Lua: nothing here calls Lua or leaves the state, so that descriptors may be open. Internal to the shim. */
#ifndef HANDOUT_FILES_H
#define HANDOUT_FILES_H

#include "state.h"
#include <dirent.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Opens `path`, relative, beneath the folder `root` with openat2: no `..`, absolute or magic link leads out of it, and
 * with `links` = 0 no symbolic link is followed at all. Returns a descriptor, or minus an errno; EXDEV: it led out. */
int handout_open_beneath(int root, const char *path, int flags, mode_t mode, int links);
/* The folder at `path` as a descriptor that only serves to open what is beneath it, or minus an errno. */
int handout_open_folder(const char *path);
/* 1 when the loop that asks has to end: the state was asked to stop. The caller closes what it has open, then calls
 * handout_check. */
int handout_is_stopped(handout_state *state);
/* Reads into the state's scratch buffer, at most `most` bytes of it. Returns NULL or what went wrong; closes `fd`. */
const char *handout_read_descriptor(handout_state *state, int fd, off_t offset, size_t length, size_t most);
/* What the error number says, in words for a path beneath a folder. */
const char *handout_file_error(int error);
/* 1 when a part of the relative path begins with a dot; "." and ".." are no hidden parts. */
int handout_has_hidden_part(const char *path);
/* 1 when the open file lies at a hidden place beneath the open folder `root`: a link may have led there. */
int handout_is_at_hidden_place(int root, int fd);
/* Writes `path`, made absolute by `directory` and without empty parts, "." and "..", to `to`. Returns its length, or -1
 * when it does not fit. */
ssize_t handout_normal_path(const char *directory, const char *path, char *to, size_t size);

/* The names that a pattern matches, one after the other, each ended by a NUL; sorted bytewise by `handout_glob`. */
typedef struct handout_names {
    handout_buffer *text;    /* both owned by the state */
    handout_buffer *offsets; /* uint32_t each */
    uint32_t count;
} handout_names;
/* Matches `pattern` (* ? [a-z] [!a-z] **, parts between slashes) against what lies beneath the open folder `root`;
 * names are relative to it. Hidden names never match, and no link to a folder is followed by `**`. Returns NULL, or what
 * went wrong. Uses the scratch buffer and the buffer of the codec of the state. */
const char *handout_glob(handout_state *state, int root, const char *pattern, handout_names *names);
/* 1 when the part has one of * ? [ in it. */
int handout_is_pattern(const char *part, size_t length);
/* Pushes the names as a list, each after `prefix`. They must have been sorted, and nothing be open. */
void handout_push_names(lua_State *L, const handout_names *names, const char *prefix);
/* The names in a folder, sorted, hidden ones left out; closes `fd`. */
const char *handout_list_folder(handout_state *state, int fd, handout_names *names);
/* Removes the folder at `path` with all that is in it, following no link. */
void handout_remove_tree(const char *path);

#endif
