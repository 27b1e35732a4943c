/* Preloaded into a program, it moves the program's UTC as somebody who sets the kernel's clock moves
 * it, and leaves every other clock alone. The file that LINGMOU_TEST_CLOCK names holds two 64-bit
 * numbers, which may change at any moment: nanoseconds to be added, and whether a time daemon
 * keeps the clock. libfaketime has no answer to the second, and our kernel's would be the machine's. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static const volatile int64_t *told;

__attribute__((constructor)) static void begin(void)
{
	const char *name = getenv("LINGMOU_TEST_CLOCK");
	int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
	void *at = mmap(NULL, 2 * sizeof *told, PROT_READ, MAP_SHARED, file, 0);

	if (at == MAP_FAILED)
		abort();
	close(file);
	told = at;
}

int clock_gettime(clockid_t id, struct timespec *at)
{
	int failed = (int)syscall(SYS_clock_gettime, id, at);
	int64_t ns;

	if (failed || !told || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
		return failed;
	ns = at->tv_sec * SECOND + at->tv_nsec + told[0];
	at->tv_sec = ns / SECOND;
	at->tv_nsec = ns % SECOND;
	return 0;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	if (!at)
		return 0;
	clock_gettime(CLOCK_REALTIME, &now);
	at->tv_sec = now.tv_sec;
	at->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *at)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (at)
		*at = now.tv_sec;
	return now.tv_sec;
}

int adjtimex(struct timex *said)
{
	memset(said, 0, sizeof *said);
	said->tick = 10000;
	said->esterror = 90;
	said->maxerror = 2000;
	said->status = told[1] ? STA_NANO : STA_NANO | STA_UNSYNC;
	return told[1] ? TIME_OK : TIME_ERROR;
}
