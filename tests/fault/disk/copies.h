/*
 * What was written to a file since its last sync, and the copies of what was synced. They lie in a folder of their own:
 *
 *   synced/NAME    what of a file is on the disk
 *   named/NAME     is there when the file's name is on the disk
 *   unlinked/NAME  the same as synced, of a file that was removed; it may come back until the folder is synced
 *   lost/NAME      the parts that a failed sync did not write, and that no later one does
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATH 4096
#define WHOLE ((off_t)1 << 60)

enum kind { LOG, DATABASE, INDEX, OTHER, FOLDER };

struct range {
  off_t from, to;
};

struct file {
  struct file *next;
  char name[64];
  enum kind kind;
  /* Held while a sync goes on, so that none returns before what another one took is in the copy. */
  pthread_mutex_t syncing;
  pthread_mutex_t lock;
  /* What was written since the last sync, and how short the file was cut. */
  struct range *dirty;
  size_t count, room;
  off_t shortest;
};

/* The folder that is watched, and the one of the copies. */
static char folder[PATH - 300], copies[PATH - 400];

static int sys_open(const char *path, int flags) {
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600);
}

static void path_of(char *path, const char *in, const struct file *file) {
  snprintf(path, PATH, "%s/%s/%s", copies, in, file->name);
}

/* Marks a part as written. */
static void add(struct file *file, off_t from, off_t to) {
  pthread_mutex_lock(&file->lock);
  if (file->count && file->dirty[file->count - 1].to == from) {
    file->dirty[file->count - 1].to = to;
  } else {
    if (file->count == file->room) {
      file->room = file->room ? file->room * 2 : 64;
      file->dirty = realloc(file->dirty, file->room * sizeof *file->dirty);
      if (!file->dirty) abort();
    }
    file->dirty[file->count++] = (struct range){from, to};
  }
  pthread_mutex_unlock(&file->lock);
}

static void cut(struct file *file, off_t length) {
  pthread_mutex_lock(&file->lock);
  if (length < file->shortest) file->shortest = length;
  pthread_mutex_unlock(&file->lock);
}

/* What a process before this one may have left unsynced: all, but for what a failed sync lost, in order. */
static void add_all(struct file *file, off_t size) {
  char path[PATH];
  struct range lost;
  off_t from = 0;
  path_of(path, "lost", file);
  int fd = sys_open(path, O_RDONLY);
  while (fd >= 0 && syscall(SYS_read, fd, &lost, sizeof lost) == sizeof lost) {
    if (lost.from > from) add(file, from, lost.from);
    if (lost.to > from) from = lost.to;
  }
  if (fd >= 0) syscall(SYS_close, fd);
  if (size > from) add(file, from, size);
  cut(file, size);
}

static void copy(int from, int to, struct range range) {
  char bytes[65536];
  while (range.from < range.to) {
    size_t len = sizeof bytes;
    if ((off_t)len > range.to - range.from) len = (size_t)(range.to - range.from);
    ssize_t got = syscall(SYS_pread64, from, bytes, len, range.from);
    /* The rest was cut off since. */
    if (got <= 0) return;
    if (syscall(SYS_pwrite64, to, bytes, got, range.from) != got) abort();
    range.from += got;
  }
}

/* Takes what was written since the last sync; nothing is marked any more. */
static struct file take(struct file *file) {
  pthread_mutex_lock(&file->lock);
  struct file taken = *file;
  file->dirty = NULL;
  file->count = file->room = 0;
  file->shortest = WHOLE;
  pthread_mutex_unlock(&file->lock);
  return taken;
}

/* Brings what was taken into the copy. */
static void keep(int fd, const struct file *taken) {
  char path[PATH];
  struct stat before;
  path_of(path, "synced", taken);
  int to = sys_open(path, O_RDWR | O_CREAT);
  if (to < 0 || fstat(to, &before) != 0) abort();
  if (taken->shortest < before.st_size) syscall(SYS_ftruncate, to, taken->shortest);
  for (size_t i = 0; i < taken->count; i++) copy(fd, to, taken->dirty[i]);
  syscall(SYS_close, to);
}

/* Remembers what will never reach the disk by itself. */
static void lose(const struct file *taken) {
  char path[PATH];
  path_of(path, "lost", taken);
  int to = sys_open(path, O_WRONLY | O_CREAT | O_APPEND);
  for (size_t i = 0; i < taken->count; i++) syscall(SYS_write, to, &taken->dirty[i], sizeof *taken->dirty);
  syscall(SYS_close, to);
}

/* Does something with the path of each file in a folder. */
static void each(const char *in, void (*what)(const char *path, const char *name)) {
  char path[PATH];
  DIR *list = opendir(in);
  for (struct dirent *entry; list && (entry = readdir(list));) {
    if (snprintf(path, sizeof path, "%s/%s", in, entry->d_name) >= PATH) abort();
    if (entry->d_type == DT_REG) what(path, entry->d_name);
  }
  if (list) closedir(list);
}

static void mark(const char *path, const char *name) {
  char marker[PATH];
  (void)path;
  snprintf(marker, sizeof marker, "%s/named/%s", copies, name);
  syscall(SYS_close, sys_open(marker, O_WRONLY | O_CREAT));
}

static void unmark_unless_there(const char *path, const char *name) {
  char there[PATH];
  snprintf(there, sizeof there, "%s/%s", folder, name);
  if (access(there, F_OK) != 0) syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

static void drop(const char *path, const char *name) {
  (void)name;
  syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

/* Which names there are is on the disk now. */
static void keep_names(void) {
  char in[PATH];
  each(folder, mark);
  snprintf(in, sizeof in, "%s/named", copies);
  each(in, unmark_unless_there);
  snprintf(in, sizeof in, "%s/unlinked", copies);
  each(in, drop);
}
