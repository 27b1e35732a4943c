/* Preloaded into the machine's program, it makes every way of syncing do nothing and say that it
 * did: the switch by which the power-cut test shows that it finds a store that does not sync. */
#define _GNU_SOURCE
#include <stddef.h>
#include <sys/types.h>

int fsync(int fd) { (void)fd; return 0; }
int fdatasync(int fd) { (void)fd; return 0; }
int syncfs(int fd) { (void)fd; return 0; }
void sync(void) {}
int msync(void *at, size_t len, int flags) { (void)at; (void)len; (void)flags; return 0; }
int sync_file_range(int fd, off_t at, off_t len, unsigned int flags)
{
	(void)fd; (void)at; (void)len; (void)flags;
	return 0;
}
