/* Goes before libc and counts the fsync and fdatasync calls of a process. */
#define _GNU_SOURCE
#include <dlfcn.h>

int syncs = 0;

int fsync(int file)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    syncs++;
    return real(file);
}

int fdatasync(int file)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    syncs++;
    return real(file);
}
