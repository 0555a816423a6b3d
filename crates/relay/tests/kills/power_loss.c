/*
 * Loses power, for tests: a library that is loaded before the C library (LD_PRELOAD) and keeps, for each file in POWER_LOSS_FOLDER and below, what its
 * bytes were when it was last synced. kill -9 leaves the page cache as it is; after it the test puts the kept bytes back (power.rs), and the
 * folder is as after a power cut of a disk that wrote nothing before it was told to.
 *
 * Kept in POWER_LOSS_KEPT: INODE.undo for each file, one record for each write or cut since the last fsync or fdatasync, with the bytes and the
 * size from before; and INODE.created for each folder, the names (from POWER_LOSS_FOLDER on) that are new in it since it was last synced: of files and
 * folders that were made, and of files that were renamed or linked to a name that nothing had. Removals, and renames over what was there, count as done:
 * keys are replaced in one place, which syncs the folder. What would go unseen (a file that is emptied when it is opened, preallocation,
 * pwritev) ends the process. Not watched is the WAL's index in shared memory (-shm), which SQLite builds anew.
 *
 * With POWER_LOSS_DEAF ("files" or "folders") syncing these does nothing below POWER_LOSS_FOLDER's own files: as if the program did not.
 *
 * Numbers are in the byte order of this computer.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 4096
#define FOLDER (-1)

/* What comes before the bytes of a record. */
struct record {
    int64_t offset; /* where they were */
    int64_t bytes;  /* how many */
    int64_t size;   /* of the file */
};

/* For each descriptor: that of its file's records; FOLDER for a folder; 0 for what is not watched. */
static int watched[FILES];
/* Whether syncing it does nothing. */
static char deaf[FILES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* A record that cannot be kept would let the test pass for the wrong reason. */
static void give_up(const char *what) {
    dprintf(2, "power_loss: %s: %s\n", what, strerror(errno));
    abort();
}

static void put(int fd, const void *bytes, size_t size) {
    while (size > 0) {
        ssize_t n = syscall(SYS_write, fd, bytes, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) give_up("a record cannot be written");
        bytes = (const char *)bytes + n;
        size -= n;
    }
}

static int keeper_named(const char *name) {
    char path[PATH_MAX];
    const char *kept = getenv("POWER_LOSS_KEPT");
    if (!kept) give_up("POWER_LOSS_KEPT");
    snprintf(path, sizeof path, "%s/%s", kept, name);
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) give_up(path);
    return fd;
}

static int kept_by(int fd) { return fd >= 0 && fd < FILES ? watched[fd] : 0; }

/* Under the lock: what a write or a cut is about to change. */
static void keep(int fd, off_t offset, off_t bytes) {
    struct stat file;
    if (fstat(fd, &file)) give_up("fstat");
    if (offset > file.st_size) offset = file.st_size;
    if (bytes > file.st_size - offset) bytes = file.st_size - offset;
    struct record record = {offset, bytes, file.st_size};
    char *buffer = malloc(sizeof record + bytes);
    if (!buffer) give_up("malloc");
    memcpy(buffer, &record, sizeof record);
    for (off_t done = 0; done < bytes;) {
        /* Through the very descriptor: opening the file again and closing it would drop SQLite's locks (POSIX). */
        ssize_t n = syscall(SYS_pread64, fd, buffer + sizeof record + done, bytes - done, offset + done);
        if (n <= 0) give_up("what was there cannot be read");
        done += n;
    }
    put(watched[fd], buffer, sizeof record + bytes);
    free(buffer);
}

/* ---- Opening and closing ---- */

/* Where the name within the folder begins in a path without links; 0 for what is elsewhere. */
static size_t within(const char *path) {
    const char *folder = getenv("POWER_LOSS_FOLDER");
    if (!folder) give_up("POWER_LOSS_FOLDER");
    size_t prefix = strlen(folder);
    if (strncmp(path, folder, prefix) != 0) return 0;
    return path[prefix] == 0 ? prefix : path[prefix] == '/' ? prefix + 1 : 0;
}

static int is_deaf(const char *what) {
    const char *to = getenv("POWER_LOSS_DEAF");
    return to && strcmp(to, what) == 0;
}

/* A name is new in its folder. */
static void made(const char *given) {
    char parent[PATH_MAX], path[PATH_MAX], name[64];
    const char *last = strrchr(given, '/');
    snprintf(parent, sizeof parent, "%.*s", last ? (int)(last - given) + 1 : 1, last ? given : ".");
    if (!realpath(parent, path)) return;
    struct stat folder;
    if (!within(path) || stat(path, &folder)) return;
    size_t length = strlen(path);
    if (snprintf(path + length, sizeof path - length, "/%s", last ? last + 1 : given) >= (int)(sizeof path - length)) give_up("a long path");
    size_t start = within(path);
    snprintf(name, sizeof name, "%llu.created", (unsigned long long)folder.st_ino);
    pthread_mutex_lock(&lock);
    int keeper = keeper_named(name);
    put(keeper, path + start, strlen(path + start));
    put(keeper, "\n", 1);
    syscall(SYS_close, keeper);
    pthread_mutex_unlock(&lock);
}

/* After an open that succeeded: `fresh` if there was no such file. */
static void watch(int fd, int flags, int fresh) {
    char link[64], path[PATH_MAX];
    if (fd < FILES) watched[fd] = 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return;
    path[length] = 0;
    size_t start = within(path);
    if (start == 0) return;
    if (fd >= FILES) give_up("too many files");
    struct stat file;
    if (fstat(fd, &file)) give_up("fstat");
    if (S_ISDIR(file.st_mode)) {
        watched[fd] = FOLDER;
        deaf[fd] = path[start] && is_deaf("folders");
        return;
    }
    if (length > 4 && strcmp(path + length - 4, "-shm") == 0) return;
    if (fresh) made(path);
    if ((flags & O_ACCMODE) == O_RDONLY) return;
    char name[64];
    if (!S_ISREG(file.st_mode)) return;
    snprintf(name, sizeof name, "%llu.undo", (unsigned long long)file.st_ino);
    watched[fd] = keeper_named(name);
    deaf[fd] = strchr(path + start, '/') && is_deaf("files");
    /* The number may have been that of a file that is no more. */
    if (fresh && syscall(SYS_ftruncate, watched[fd], 0)) give_up("ftruncate");
}

static int opened(int folder, const char *path, int flags, mode_t mode) {
    struct stat before;
    int was = fstatat(folder, path, &before, 0) == 0;
    if (was && (flags & O_TRUNC) && before.st_size > 0) {
        const char *ours = getenv("POWER_LOSS_FOLDER");
        if (ours && strncmp(path, ours, strlen(ours)) == 0) give_up("a file is emptied as it is opened");
    }
    int fd = syscall(SYS_openat, folder, path, flags, mode);
    int error = errno;
    if (fd >= 0) watch(fd, flags, !was);
    errno = error;
    return fd;
}

#define MODE(flags, last)                     \
    mode_t mode = 0;                          \
    if (flags & (O_CREAT | __O_TMPFILE)) {    \
        va_list more;                         \
        va_start(more, last);                 \
        mode = va_arg(more, mode_t);          \
        va_end(more);                         \
    }

int open(const char *path, int flags, ...) {
    MODE(flags, flags)
    return opened(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags, flags)
    return opened(AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    MODE(flags, flags)
    return opened(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    MODE(flags, flags)
    return opened(folder, path, flags, mode);
}

int mkdir(const char *path, mode_t mode) {
    int outcome = syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    int error = errno;
    if (outcome == 0) made(path);
    errno = error;
    return outcome;
}

int rename(const char *from, const char *to) {
    struct stat before;
    int was = fstatat(AT_FDCWD, to, &before, 0) == 0;
    int outcome = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    int error = errno;
    if (outcome == 0 && !was) made(to);
    errno = error;
    return outcome;
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    int outcome = syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
    int error = errno;
    if (outcome == 0 && (to_folder == AT_FDCWD || *to == '/')) made(to);
    errno = error;
    return outcome;
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int close(int fd) {
    pthread_mutex_lock(&lock);
    int keeper = kept_by(fd);
    if (keeper) watched[fd] = 0;
    if (keeper > 0) syscall(SYS_close, keeper);
    int outcome = syscall(SYS_close, fd);
    pthread_mutex_unlock(&lock);
    return outcome;
}

/* ---- Changing ---- */

/* `offset` -1: at the file's own position. */
static ssize_t changed(int fd, const struct iovec *parts, int count, off_t offset) {
    if (kept_by(fd) <= 0) {
        return offset < 0 ? syscall(SYS_writev, fd, parts, count) : syscall(SYS_pwrite64, fd, parts->iov_base, parts->iov_len, offset);
    }
    off_t bytes = 0;
    for (int i = 0; i < count; i++) bytes += parts[i].iov_len;
    pthread_mutex_lock(&lock);
    off_t from = offset;
    if (from < 0) from = fcntl(fd, F_GETFL) & O_APPEND ? LLONG_MAX : lseek(fd, 0, SEEK_CUR);
    keep(fd, from, bytes);
    ssize_t n = offset < 0 ? syscall(SYS_writev, fd, parts, count) : syscall(SYS_pwrite64, fd, parts->iov_base, parts->iov_len, offset);
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return n;
}

ssize_t write(int fd, const void *bytes, size_t size) {
    if (kept_by(fd) <= 0) return syscall(SYS_write, fd, bytes, size);
    struct iovec part = {(void *)bytes, size};
    return changed(fd, &part, 1, -1);
}

ssize_t writev(int fd, const struct iovec *parts, int count) { return changed(fd, parts, count, -1); }

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
    struct iovec part = {(void *)bytes, size};
    return changed(fd, &part, 1, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) { return pwrite(fd, bytes, size, offset); }

int ftruncate(int fd, off_t size) {
    if (kept_by(fd) <= 0) return syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&lock);
    keep(fd, size, LLONG_MAX);
    int outcome = syscall(SYS_ftruncate, fd, size);
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return outcome;
}

int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

/* ---- Syncing ---- */

/* Under the lock: what is new in a folder is there for good. */
static void settled(int fd) {
    struct stat folder;
    char path[PATH_MAX];
    const char *kept = getenv("POWER_LOSS_KEPT");
    if (!kept) give_up("POWER_LOSS_KEPT");
    if (fstat(fd, &folder)) give_up("fstat");
    snprintf(path, sizeof path, "%s/%llu.created", kept, (unsigned long long)folder.st_ino);
    if (syscall(SYS_unlinkat, AT_FDCWD, path, 0) && errno != ENOENT) give_up(path);
}

static int synced(int fd, long call) {
    int keeper = kept_by(fd);
    if (!keeper) return syscall(call, fd);
    if (deaf[fd]) return 0;
    /* No write in between: it would count as synced, too. */
    pthread_mutex_lock(&lock);
    int outcome = syscall(call, fd);
    int error = errno;
    if (outcome == 0 && keeper == FOLDER) {
        settled(fd);
    } else if (outcome == 0 && syscall(SYS_ftruncate, keeper, 0)) {
        give_up("ftruncate");
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return outcome;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }

int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

/* ---- What would go unseen ---- */

#define UNSEEN(fd, call)                       \
    if (kept_by(fd) > 0) {                     \
        errno = ENOSYS;                        \
        give_up(#call " is not kept");         \
    }

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    UNSEEN(fd, pwritev)
    return syscall(SYS_pwritev, fd, parts, count, offset, 0);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) { return pwritev(fd, parts, count, offset); }

int fallocate(int fd, int mode, off_t offset, off_t size) {
    UNSEEN(fd, fallocate)
    return syscall(SYS_fallocate, fd, mode, offset, size);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t size) { return fallocate(fd, mode, offset, size); }

int posix_fallocate(int fd, off_t offset, off_t size) { return fallocate(fd, 0, offset, size) ? errno : 0; }

int posix_fallocate64(int fd, off64_t offset, off64_t size) { return posix_fallocate(fd, offset, size); }
