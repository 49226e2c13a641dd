/* How much memory the processes of a job hold. */
#define _GNU_SOURCE
#include "exec.h"
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_SCAN = 100, MOST_SHARE = 50 }; /* ms; a scan takes at most one part in that many of the time */

/* Reads the start of a file of /proc; 0 when it is not there. */
static int read_fact(const char *process, const char *name, char *to, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%.20s/%s", process, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t got = read(fd, to, size - 1);
    close(fd);
    to[got > 0 ? got : 0] = 0;
    return got > 0;
}

/* Bytes that the process has for itself: what it shares with others is not counted to each. */
static size_t own_bytes(const char *process) {
    char text[200];
    unsigned long long size, resident = 0, shared = 0;
    if (!read_fact(process, "statm", text, sizeof text) || sscanf(text, "%llu %llu %llu", &size, &resident, &shared) != 3) return 0;
    return resident > shared ? (size_t)(resident - shared) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

static size_t bytes_of_parts(const handout_job *job) {
    size_t sum = 0;
    for (uint32_t i = 0; i < job->part_count; i++) {
        char process[24];
        if (job->parts[i].ended || !job->parts[i].pid) continue;
        snprintf(process, sizeof process, "%d", (int)job->parts[i].pid);
        sum += own_bytes(process);
    }
    return sum;
}

/* The process is of the group of one of the parts. */
static int is_of_job(const handout_job *job, const char *process) {
    char text[512];
    int above, group;
    if (!read_fact(process, "stat", text, sizeof text)) return 0;
    const char *facts = strrchr(text, ')'); /* a name may have any byte in it */
    if (!facts || sscanf(facts, ") %*c %d %d", &above, &group) != 2) return 0;
    for (uint32_t i = 0; i < job->part_count; i++)
        if (job->parts[i].pid == group) return 1;
    return 0;
}

static size_t bytes_of_groups(const handout_job *job) {
    DIR *all = opendir("/proc");
    size_t sum = 0;
    if (!all) return 0;
    for (struct dirent *entry; (entry = readdir(all));)
        if (isdigit((unsigned char)entry->d_name[0]) && is_of_job(job, entry->d_name)) sum += own_bytes(entry->d_name);
    closedir(all);
    return sum;
}

size_t handout_job_bytes(handout_job *job) {
    uint64_t now = handout_now();
    if (now < job->next_scan) return bytes_of_parts(job);
    size_t bytes = bytes_of_groups(job);
    uint64_t taken = handout_now() - now, pause = taken * MOST_SHARE;
    if (pause < FIRST_SCAN * 1000000u) pause = FIRST_SCAN * 1000000u;
    job->next_scan = now + pause;
    return bytes;
}
