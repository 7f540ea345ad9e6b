/*
 * A disk that fails when it is told to, loaded into the service with LD_PRELOAD. See disk.rs, which tells it.
 *
 * It watches the files of one folder. For each it keeps a copy of what was synced and nothing else, so that after the
 * end of the process the files can be put into the state that a power cut would have left. What always holds: a byte
 * is in the copy only if it was written before a sync that was reported as good, or during it; and what a failed sync
 * should have written is never in it, unless it is written again, because that is what Linux does with such pages.
 *
 * It goes to the kernel directly, so that nothing in here is watched.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "copies.h"

/* What is set and read by disk.rs, in its order. All at 0 is a disk without faults. */
enum dial {
  DIE_IN,         /* at the how many-th call the process is killed */
  LOG_SYNC_FAILS, /* the how many-th sync of the log fails; below 0: all */
  DB_SYNC_FAILS,  /* the same for the database */
  WRITE_FAILS,    /* the how many-th write of either fails; below 0: all */
  READ_FAILS,     /* the same for reads */
  IS_LIMITED,     /* whether files may only grow by ROOM bytes more */
  ROOM,
  IS_SHORT,   /* whether every second read and write does less than it was asked to */
  IS_LYING,   /* whether commits' syncs of the log do nothing and say that they did */
  IS_TRACED,  /* whether writes, syncs and answers are written down */
  STRUCK,     /* how many faults there were */
  SEQUENCE,   /* the number of the next thing that is written down */
};

#define FDS 65536

static _Atomic(struct file *) by_fd[FDS];
static struct file *files;
static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int64_t *dials;
static int trace = -1;
static __thread int wrote_log, turn;

__attribute__((constructor)) static void begin(void) {
  const char *watched = getenv("FAULT_FOLDER"), *beside = getenv("FAULT_COPIES");
  char path[PATH];
  if (!watched || !beside) return;
  snprintf(folder, sizeof folder, "%s", watched);
  snprintf(copies, sizeof copies, "%s", beside);
  snprintf(path, sizeof path, "%s/dials", copies);
  int fd = sys_open(path, O_RDWR);
  void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  snprintf(path, sizeof path, "%s/trace", copies);
  trace = sys_open(path, O_WRONLY | O_CREAT | O_APPEND);
  if (fd < 0 || map == MAP_FAILED || trace < 0) abort();
  dials = map;
}

/* Counts a fault down; whether it strikes now. */
static int strikes(enum dial fault) {
  int64_t left = atomic_load(&dials[fault]);
  while (left > 0 && !atomic_compare_exchange_weak(&dials[fault], &left, left - 1)) {
  }
  if (left != 1 && left >= 0) return 0;
  atomic_fetch_add(&dials[STRUCK], 1);
  return 1;
}

static void changes_something(void) {
  if (strikes(DIE_IN)) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }
}

static void note(const char *format, ...) {
  char line[8192];
  va_list rest;
  int64_t number = atomic_fetch_add(&dials[SEQUENCE], 1);
  int len = snprintf(line, sizeof line, "%lld ", (long long)number);
  va_start(rest, format);
  len += vsnprintf(line + len, sizeof line - (size_t)len, format, rest);
  va_end(rest);
  line[len++] = '\n';
  syscall(SYS_write, trace, line, len);
}

static struct file *file_of(int fd) {
  return dials && fd >= 0 && fd < FDS ? atomic_load(&by_fd[fd]) : NULL;
}

static int ends_with(const char *name, const char *end) {
  size_t len = strlen(name), tail = strlen(end);
  return len >= tail && strcmp(name + len - tail, end) == 0;
}

static int opened(int fd, const char *path, int flags) {
  size_t len = strlen(folder);
  struct stat stat;
  if (!dials || fd < 0 || fd >= FDS || strncmp(path, folder, len) != 0) return fd;
  const char *name = path[len] == '/' ? path + len + 1 : path[len] ? NULL : "";
  if (!name || strchr(name, '/') || strlen(name) >= sizeof files->name || fstat(fd, &stat) != 0) return fd;
  pthread_mutex_lock(&table);
  struct file *file = files;
  while (file && strcmp(file->name, name) != 0) file = file->next;
  if (!file) {
    file = calloc(1, sizeof *file);
    if (!file) abort();
    *file = (struct file){.next = files, .kind = OTHER, .shortest = WHOLE};
    strcpy(file->name, name);
    pthread_mutex_init(&file->syncing, NULL);
    pthread_mutex_init(&file->lock, NULL);
    if (!*name || S_ISDIR(stat.st_mode)) file->kind = FOLDER;
    else if (ends_with(name, "-wal")) file->kind = LOG;
    else if (ends_with(name, ".db")) file->kind = DATABASE;
    else if (ends_with(name, "-shm")) file->kind = INDEX;
    if (file->kind != FOLDER) add_all(file, stat.st_size);
    files = file;
  }
  pthread_mutex_unlock(&table);
  if (flags & O_TRUNC) cut(file, 0);
  atomic_store(&by_fd[fd], file);
  return fd;
}

/* A file that is only written is opened for reading as well: a second descriptor for the copy would take SQLite's
 * locks away when it is closed. */
static int open_any(int at, const char *path, int flags, mode_t mode) {
  int watched = dials && strncmp(path, folder, strlen(folder)) == 0;
  if (watched && (flags & O_ACCMODE) == O_WRONLY) flags = (flags & ~O_ACCMODE) | O_RDWR;
  if (watched && (flags & O_CREAT)) changes_something();
  return opened((int)syscall(SYS_openat, at, path, flags, mode), path, flags);
}

#define MODE(flags, mode)                        \
  mode_t mode = 0;                               \
  if (flags & (O_CREAT | __O_TMPFILE)) {         \
    va_list rest;                                \
    va_start(rest, flags);                       \
    mode = (mode_t)va_arg(rest, int);            \
    va_end(rest);                                \
  }

int open(const char *path, int flags, ...) {
  MODE(flags, mode)
  return open_any(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  MODE(flags, mode)
  return open_any(AT_FDCWD, path, flags, mode);
}
int openat(int at, const char *path, int flags, ...) {
  MODE(flags, mode)
  return open_any(at, path, flags, mode);
}
int openat64(int at, const char *path, int flags, ...) {
  MODE(flags, mode)
  return open_any(at, path, flags, mode);
}

int close(int fd) {
  if (fd >= 0 && fd < FDS) atomic_store(&by_fd[fd], NULL);
  return (int)syscall(SYS_close, fd);
}

/* The bytes of a write that there is room for. */
static ssize_t fitting(int fd, off_t at, size_t len) {
  struct stat stat;
  if (!atomic_load(&dials[IS_LIMITED]) || fstat(fd, &stat) != 0 || at + (off_t)len <= stat.st_size) return (ssize_t)len;
  int64_t growth = at + (int64_t)len - stat.st_size, left = atomic_load(&dials[ROOM]);
  while (!atomic_compare_exchange_weak(&dials[ROOM], &left, left < growth ? 0 : left - growth)) {
  }
  if (left >= growth) return (ssize_t)len;
  atomic_fetch_add(&dials[STRUCK], 1);
  return (ssize_t)len - (ssize_t)(growth - left);
}

static size_t shortened(size_t len) {
  return atomic_load(&dials[IS_SHORT]) && len > 1 && turn++ % 2 ? 1 + len / 3 : len;
}

/* Tells which requests are in what is written to the log: their ids begin with "seen-" and have 13 characters. */
static void note_ids(const char *bytes, size_t len) {
  char ids[4096] = "";
  size_t used = 0;
  const char *end = bytes + len, *at = bytes;
  while ((at = memmem(at, (size_t)(end - at), "seen-", 5)) && end - at >= 13 && used + 15 < sizeof ids) {
    used += (size_t)snprintf(ids + used, sizeof ids - used, " %.13s", at);
    at += 13;
  }
  if (used) note("wrote%s", ids);
}

static ssize_t write_at(int fd, struct file *file, const void *bytes, size_t len, off_t at) {
  changes_something();
  if ((file->kind == LOG || file->kind == DATABASE) && strikes(WRITE_FAILS)) return errno = EIO, -1;
  ssize_t fits = fitting(fd, at, len);
  if (fits <= 0) return errno = ENOSPC, -1;
  ssize_t done = syscall(SYS_pwrite64, fd, bytes, shortened((size_t)fits), at);
  if (done <= 0) return done;
  add(file, at, at + done);
  if (file->kind == LOG) wrote_log = 1;
  if (file->kind == LOG && atomic_load(&dials[IS_TRACED])) note_ids(bytes, (size_t)done);
  return done;
}

/* Writes down that a request was answered with success, by the port it came from. */
static void note_answer(int fd, const char *bytes, size_t len) {
  struct sockaddr_in peer;
  socklen_t size = sizeof peer;
  if (len < 12 || memcmp(bytes, "HTTP/1.1 200", 12) != 0) return;
  if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0 || peer.sin_family != AF_INET) return;
  note("answered %d", ntohs(peer.sin_port));
}

static int is_traced(void) {
  return dials && atomic_load(&dials[IS_TRACED]);
}

ssize_t write(int fd, const void *bytes, size_t len) {
  struct file *file = file_of(fd);
  if (file && file->kind != FOLDER) {
    off_t at = lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
    ssize_t done = write_at(fd, file, bytes, len, at);
    if (done > 0) lseek(fd, at + done, SEEK_SET);
    return done;
  }
  if (is_traced()) note_answer(fd, bytes, len);
  return syscall(SYS_write, fd, bytes, len);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  if (is_traced() && count > 0) note_answer(fd, parts->iov_base, parts->iov_len);
  return syscall(SYS_writev, fd, parts, count);
}

ssize_t send(int fd, const void *bytes, size_t len, int flags) {
  if (is_traced()) note_answer(fd, bytes, len);
  return syscall(SYS_sendto, fd, bytes, len, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  if (is_traced() && message->msg_iovlen) note_answer(fd, message->msg_iov->iov_base, message->msg_iov->iov_len);
  return syscall(SYS_sendmsg, fd, message, flags);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t at) {
  struct file *file = file_of(fd);
  return file ? write_at(fd, file, bytes, len, at) : syscall(SYS_pwrite64, fd, bytes, len, at);
}
ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) __attribute__((alias("pwrite64")));

/* Whether a read fails; else how many bytes it may give. */
static int read_fails(int fd, size_t *len) {
  struct file *file = file_of(fd);
  if (!file || (file->kind != LOG && file->kind != DATABASE)) return 0;
  if (strikes(READ_FAILS)) return errno = EIO, 1;
  *len = shortened(*len);
  return 0;
}

ssize_t read(int fd, void *bytes, size_t len) {
  return read_fails(fd, &len) ? -1 : syscall(SYS_read, fd, bytes, len);
}

ssize_t pread64(int fd, void *bytes, size_t len, off_t at) {
  return read_fails(fd, &len) ? -1 : syscall(SYS_pread64, fd, bytes, len, at);
}
ssize_t pread(int fd, void *bytes, size_t len, off_t at) __attribute__((alias("pread64")));

int ftruncate64(int fd, off_t length) {
  struct file *file = file_of(fd);
  if (!file) return (int)syscall(SYS_ftruncate, fd, length);
  changes_something();
  int result = (int)syscall(SYS_ftruncate, fd, length);
  if (result == 0) cut(file, length);
  return result;
}
int ftruncate(int fd, off_t length) __attribute__((alias("ftruncate64")));

int unlink(const char *path) {
  size_t len = strlen(folder);
  if (!dials || strncmp(path, folder, len) != 0 || path[len] != '/') {
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  }
  changes_something();
  int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  pthread_mutex_lock(&table);
  struct file **at = &files;
  while (*at && strcmp((*at)->name, path + len + 1) != 0) at = &(*at)->next;
  if (result == 0 && *at) {
    /* Until the folder is synced it may come back as it was. */
    char from[PATH], to[PATH];
    path_of(from, "synced", *at);
    path_of(to, "unlinked", *at);
    syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    path_of(from, "lost", *at);
    syscall(SYS_unlinkat, AT_FDCWD, from, 0);
    (*at)->name[0] = 0;
    *at = (*at)->next;
  }
  pthread_mutex_unlock(&table);
  return result;
}

/* Both are in the folder, or neither is. Until the folder is synced the old name's file may come back. */
int rename(const char *from, const char *to) {
  size_t len = strlen(folder);
  if (!dials || strncmp(from, folder, len) != 0 || from[len] != '/') {
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
  }
  changes_something();
  int result = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
  pthread_mutex_lock(&table);
  for (struct file *file = result == 0 ? files : NULL; file; file = file->next) {
    if (strcmp(file->name, to + len + 1) == 0) file->name[0] = 0;
    if (strcmp(file->name, from + len + 1) != 0) continue;
    char before[PATH], after[PATH], gone[PATH];
    path_of(before, "synced", file);
    snprintf(file->name, sizeof file->name, "%s", to + len + 1);
    path_of(after, "synced", file);
    path_of(gone, "unlinked", file);
    syscall(SYS_renameat2, AT_FDCWD, after, AT_FDCWD, gone, 0);
    syscall(SYS_renameat2, AT_FDCWD, before, AT_FDCWD, after, 0);
  }
  pthread_mutex_unlock(&table);
  return result;
}

static int sync_file(int fd, long number) {
  struct file *file = file_of(fd);
  if (!file || file->kind == INDEX || !(*file->name || file->kind == FOLDER)) return (int)syscall(number, fd);
  changes_something();
  if (file->kind == FOLDER) {
    int result = (int)syscall(number, fd);
    if (result == 0) keep_names();
    return result;
  }
  int of_commit = file->kind == LOG && wrote_log, result = 0;
  if (file->kind == LOG) wrote_log = 0;
  if (of_commit && atomic_load(&dials[IS_LYING])) return 0;
  pthread_mutex_lock(&file->syncing);
  int traced = file->kind == LOG && is_traced();
  if (traced) note("sync");
  struct file taken = take(file);
  if ((file->kind == LOG && strikes(LOG_SYNC_FAILS)) || (file->kind == DATABASE && strikes(DB_SYNC_FAILS))) {
    lose(&taken);
    result = -1;
  } else if ((result = (int)syscall(number, fd)) == 0) {
    keep(fd, &taken);
    if (traced) note("synced");
  }
  free(taken.dirty);
  pthread_mutex_unlock(&file->syncing);
  if (result != 0) errno = EIO;
  return result;
}

int fsync(int fd) {
  return sync_file(fd, SYS_fsync);
}
int fdatasync(int fd) {
  return sync_file(fd, SYS_fdatasync);
}
