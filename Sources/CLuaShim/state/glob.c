/* Patterns of paths: * ? [a-z] and **. */
#define _GNU_SOURCE
#include "files.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_DEPTH = 64, MOST_NAMES = 1000 * 1000 };

/* ---- Names: collected, sorted, pushed ---- */

static const char *begin_names(handout_state *state, handout_names *names) {
    names->text = &state->scratch;
    names->offsets = &state->codec.out;
    names->text->length = names->offsets->length = 0;
    names->text->limit = names->offsets->limit = state->limit;
    names->count = 0;
    return NULL;
}

static const char *add_name(handout_names *names, const char *name) {
    uint32_t offset = (uint32_t)names->text->length;
    if (names->count >= MOST_NAMES) return "matches more than 1000000 names";
    if (handout_buffer_append(names->text, name, strlen(name) + 1) ||
        handout_buffer_append(names->offsets, &offset, sizeof offset))
        return "matches more names than memory holds";
    names->count++;
    return NULL;
}

static int by_bytes(const void *a, const void *b, void *text) {
    return strcmp((const char *)text + *(const uint32_t *)a, (const char *)text + *(const uint32_t *)b);
}

static void sort_names(handout_names *names) {
    uint32_t *offsets = (uint32_t *)(void *)names->offsets->data, kept = 0;
    const char *text = (const char *)names->text->data;
    if (names->count == 0) return;
    qsort_r(offsets, names->count, sizeof *offsets, by_bytes, names->text->data);
    for (uint32_t i = 0; i < names->count; i++) /* `**` may come to a name in two ways */
        if (i == 0 || strcmp(text + offsets[i], text + offsets[kept - 1]) != 0) offsets[kept++] = offsets[i];
    names->count = kept;
}

void handout_push_names(lua_State *L, const handout_names *names, const char *prefix) {
    handout_state *state = handout_of(L);
    lua_createtable(L, (int)names->count, 0);
    for (uint32_t i = 0; i < names->count; i++) {
        if ((i & 0xFFF) == 0xFFF) handout_check(state);
        const char *name = (const char *)names->text->data + ((const uint32_t *)(const void *)names->offsets->data)[i];
        if (*prefix) lua_pushfstring(L, "%s%s", prefix, name);
        else lua_pushstring(L, name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

const char *handout_list_folder(handout_state *state, int fd, handout_names *names) {
    begin_names(state, names);
    const char *wrong = NULL;
    DIR *folder = fdopendir(fd);
    if (!folder) {
        wrong = strerror(errno);
        close(fd);
        return wrong;
    }
    for (struct dirent *entry; !wrong && !handout_is_stopped(state) && (entry = readdir(folder));)
        if (entry->d_name[0] != '.') wrong = add_name(names, entry->d_name);
    closedir(folder);
    if (!wrong) sort_names(names);
    return wrong;
}

/* ---- Matching one part ---- */

int handout_is_pattern(const char *part, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (part[i] == '*' || part[i] == '?' || part[i] == '[') return 1;
    return 0;
}

/* The set that begins after "[" at `*pattern`: 1 when it has `c`. A set without end is "[" itself. */
static int in_set(const char **pattern, const char *end, unsigned char c) {
    const char *p = *pattern;
    int no = p < end && (*p == '!' || *p == '^'), found = 0;
    if (no) p++;
    for (const char *first = p; p < end && (*p != ']' || p == first);) {
        unsigned char low = (unsigned char)*p++, high = low;
        if (p + 1 < end && *p == '-' && p[1] != ']') high = (unsigned char)p[1], p += 2;
        found |= low <= c && c <= high;
    }
    if (p >= end) return c == '[';
    *pattern = p + 1;
    return found != no;
}

static int matches_one(const char **pattern, const char *end, unsigned char c) {
    char p = *(*pattern)++;
    if (p == '?') return 1;
    if (p == '[') return in_set(pattern, end, c);
    return (unsigned char)p == c;
}

static int matches(const char *pattern, size_t length, const char *name) {
    const char *end = pattern + length, *star = NULL, *retry = NULL;
    while (*name) {
        if (pattern < end && *pattern == '*') {
            star = ++pattern;
            retry = name;
            continue;
        }
        const char *before = pattern;
        if (pattern < end && matches_one(&pattern, end, (unsigned char)*name)) {
            name++;
            continue;
        }
        pattern = before;
        if (!star) return 0;
        pattern = star;
        name = ++retry;
    }
    while (pattern < end && *pattern == '*') pattern++;
    return pattern == end;
}

/* ---- Walking ---- */

typedef struct walk {
    handout_state *state;
    handout_names *names;
    int root;
    char path[PATH_MAX]; /* where the walk is, relative to the root */
} walk;

static const char *descend(walk *now, size_t length, const char *pattern, int depth);

static size_t part_length(const char *pattern) { return strcspn(pattern, "/"); }

static const char *after_part(const char *pattern) {
    pattern += part_length(pattern);
    while (*pattern == '/') pattern++;
    return pattern;
}

static int is_any_depth(const char *pattern) { return part_length(pattern) == 2 && pattern[0] == '*' && pattern[1] == '*'; }

/* Appends a name to the path; returns the new length, or 0 when it does not fit. */
static size_t push_name(walk *now, size_t length, const char *name, size_t n) {
    size_t slash = length > 0;
    if (length + slash + n + 1 > sizeof now->path) return 0;
    if (slash) now->path[length] = '/';
    memcpy(now->path + length + slash, name, n);
    now->path[length + slash + n] = 0;
    return length + slash + n;
}

/* What follows once the part in front of `pattern` has matched and the path is there. */
static const char *go_on(walk *now, size_t length, const char *pattern, int depth) {
    if (*pattern) return descend(now, length, pattern, depth + 1);
    return add_name(now->names, now->path);
}

static const char *literal(walk *now, size_t length, const char *pattern, int depth) {
    size_t n = part_length(pattern), longer = push_name(now, length, pattern, n);
    if (!longer) return NULL;
    const char *rest = after_part(pattern);
    if (*rest) return go_on(now, longer, rest, depth);
    int fd = handout_open_beneath(now->root, now->path, O_PATH | O_NOFOLLOW, 0, 1);
    if (fd < 0) return NULL;
    close(fd);
    return add_name(now->names, now->path);
}

/* One entry of a folder. With `**`, the part stays for what is beneath. */
static const char *entry_matches(walk *now, size_t length, const char *pattern, const struct dirent *entry, int is_folder,
                                 int depth) {
    size_t longer = push_name(now, length, entry->d_name, strlen(entry->d_name));
    const char *wrong = NULL, *rest = after_part(pattern);
    if (!longer) return NULL;
    if (is_any_depth(pattern)) {
        if (!*rest) wrong = add_name(now->names, now->path);
        if (!wrong && is_folder) wrong = descend(now, longer, pattern, depth + 1);
    } else if (matches(pattern, part_length(pattern), entry->d_name)) {
        wrong = go_on(now, longer, rest, depth);
    }
    now->path[length] = 0;
    return wrong;
}

static int is_folder(int folder, const struct dirent *entry) {
    struct stat status;
    if (entry->d_type != DT_UNKNOWN) return entry->d_type == DT_DIR;
    return fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

static const char *descend(walk *now, size_t length, const char *pattern, int depth) {
    if (depth > MOST_DEPTH) return "goes deeper than 64 folders";
    if (is_any_depth(pattern)) {
        while (*after_part(pattern) && is_any_depth(after_part(pattern))) pattern = after_part(pattern);
        if (*after_part(pattern)) { /* no folder in between */
            const char *wrong = descend(now, length, after_part(pattern), depth + 1);
            now->path[length] = 0;
            if (wrong) return wrong;
        }
    } else if (!handout_is_pattern(pattern, part_length(pattern))) {
        const char *wrong = literal(now, length, pattern, depth);
        now->path[length] = 0;
        return wrong;
    }
    int fd = handout_open_beneath(now->root, now->path, O_RDONLY | O_DIRECTORY, 0, 1);
    if (fd < 0) return fd == -EMFILE || fd == -ENFILE ? strerror(-fd) : NULL;
    DIR *folder = fdopendir(fd);
    if (!folder) {
        close(fd);
        return strerror(errno);
    }
    const char *wrong = NULL;
    for (struct dirent *entry; !wrong && !handout_is_stopped(now->state) && (entry = readdir(folder));)
        if (entry->d_name[0] != '.') wrong = entry_matches(now, length, pattern, entry, is_folder(fd, entry), depth);
    closedir(folder);
    return wrong;
}

const char *handout_glob(handout_state *state, int root, const char *pattern, handout_names *names) {
    begin_names(state, names);
    walk now = {.state = state, .names = names, .root = root};
    while (*pattern == '/') pattern++;
    const char *wrong = *pattern ? descend(&now, 0, pattern, 0) : NULL;
    if (!wrong) sort_names(names);
    return wrong;
}
