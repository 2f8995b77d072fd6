/*
 * A disk that fails, for a process that is started with this library in LD_PRELOAD.
 *
 * Files below FAULTY_UNDER are on it. What goes wrong is read from the file FAULTY_ORDERS at each call, so that it may
 * change while the process runs. An order is one line: CALL ENDING ERRNO TIMES DELAY
 *
 *   CALL    sync, write, grow, any; or rest: a sync, and from the first one on any
 *   ENDING  of the file's name, or *
 *   ERRNO   what the call fails with; 0 to let it through
 *   TIMES   how often, 0 for always
 *   DELAY   milliseconds that it takes first; -1 for as long as there is such an order
 *
 * For each call that met its order a byte is appended to FAULTY_ORDERS.struck. A call that fails has done nothing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define LONGEST 4096

static int on_disk(int fd, char *path)
{
    const char *under = getenv("FAULTY_UNDER");
    char link[64];
    ssize_t length;

    if (under == NULL || getenv("FAULTY_ORDERS") == NULL)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, LONGEST - 1);
    if (length < 0)
        return 0;
    path[length] = '\0';
    return strncmp(path, under, strlen(under)) == 0;
}

static int ends_with(const char *path, const char *ending)
{
    size_t long_ = strlen(path), short_ = strlen(ending);

    return strcmp(ending, "*") == 0 || (long_ >= short_ && strcmp(path + long_ - short_, ending) == 0);
}

static void name_struck(char *path)
{
    snprintf(path, LONGEST, "%s.struck", getenv("FAULTY_ORDERS"));
}

static int concerns(const char *which, const char *call)
{
    char path[LONGEST];

    name_struck(path);
    return strcmp(which, "any") == 0 || strcmp(which, call) == 0
        || (strcmp(which, "rest") == 0 && (strcmp(call, "sync") == 0 || access(path, F_OK) == 0));
}

static int strike(long times)
{
    char path[LONGEST];
    struct stat found;
    int fd, due;

    name_struck(path);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return 0;
    due = times == 0 || (fstat(fd, &found) == 0 && found.st_size < times);
    /* The system call itself: our own write would look for orders again. */
    if (due)
        syscall(SYS_write, fd, ".", 1);
    close(fd);
    return due;
}

static int ordered(const char *call, const char *path, int *error, long *delay)
{
    char line[256], which[16], ending[64];
    long times;
    FILE *orders = fopen(getenv("FAULTY_ORDERS"), "re");
    int found = 0;

    if (orders == NULL)
        return 0;
    while (!found && fgets(line, sizeof line, orders) != NULL)
        found = sscanf(line, "%15s %63s %d %ld %ld", which, ending, error, &times, delay) == 5
            && concerns(which, call) && ends_with(path, ending);
    fclose(orders);
    return found && strike(times);
}

/* Returns whether the call is to fail; errno says with what. */
static int fails(const char *call, int fd)
{
    char path[LONGEST];
    int kept = errno, error;
    long delay;

    if (!on_disk(fd, path) || !ordered(call, path, &error, &delay)) {
        errno = kept;
        return 0;
    }
    if (delay > 0)
        usleep(1000 * delay);
    while (delay < 0) {
        usleep(5000);
        if (!ordered(call, path, &error, &delay)) {
            error = 0;
            break;
        }
    }
    errno = error ? error : kept;
    return error != 0;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int fd) { return fails("sync", fd) ? -1 : NEXT(fsync)(fd); }
int fdatasync(int fd) { return fails("sync", fd) ? -1 : NEXT(fdatasync)(fd); }
int ftruncate(int fd, off_t length) { return fails("grow", fd) ? -1 : NEXT(ftruncate)(fd, length); }
int ftruncate64(int fd, off64_t length) { return fails("grow", fd) ? -1 : NEXT(ftruncate64)(fd, length); }

ssize_t write(int fd, const void *from, size_t count)
{
    return fails("write", fd) ? -1 : NEXT(write)(fd, from, count);
}

ssize_t pwrite(int fd, const void *from, size_t count, off_t offset)
{
    return fails("write", fd) ? -1 : NEXT(pwrite)(fd, from, count, offset);
}

ssize_t pwrite64(int fd, const void *from, size_t count, off64_t offset)
{
    return fails("write", fd) ? -1 : NEXT(pwrite64)(fd, from, count, offset);
}
