/* Large arrays on large pages, where the system has them: a table that is looked up at random misses the cache of page
 * addresses nearly each time on small ones. */

#ifndef EVQ_PAGES_H
#define EVQ_PAGES_H

#include <stdlib.h>
#include <string.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

#define EVQ_LARGE_PAGE ((size_t)2 << 20)

/* Return zeros, to be freed by `free`; NULL if there is no memory. */
static inline void *evq_zeros(size_t size) {
#ifdef MADV_HUGEPAGE
    void *zeros = NULL;
    if (size < EVQ_LARGE_PAGE)
        return calloc(1, size);
    if (posix_memalign(&zeros, EVQ_LARGE_PAGE, size) != 0)
        return NULL;
    madvise(zeros, size, MADV_HUGEPAGE); /* advice: if it is not taken, nothing is lost */
    return memset(zeros, 0, size);
#else
    return calloc(1, size);
#endif
}

#endif
