// Counts every call of malloc, calloc and realloc in the process, whoever makes it: Swift's runtime, our code or a
// library. For benchmark executables only.
#ifndef SLUICE_CALLOCATIONCOUNTS_H
#define SLUICE_CALLOCATIONCOUNTS_H

#include <stdint.h>

/// Calls so far, on all threads.
uint64_t sluice_allocation_count(void);

#endif
