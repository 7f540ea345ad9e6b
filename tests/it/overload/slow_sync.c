/* A disk that takes its time: preloaded, it holds up each sync for so many milliseconds as SLOW_SYNC_MS says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static int slowly(const char *name, int file) {
    const char *ms = getenv("SLOW_SYNC_MS");
    int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    usleep((useconds_t)(ms ? atoi(ms) : 0) * 1000);
    return sync(file);
}

int fdatasync(int file) { return slowly("fdatasync", file); }
int fsync(int file) { return slowly("fsync", file); }
