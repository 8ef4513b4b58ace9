// Small C primitives that Swift cannot express as fast: CRC-32C by instruction, raw memory, substring search.
#ifndef SLUICE_CPRIMITIVES_H
#define SLUICE_CPRIMITIVES_H

#include <stddef.h>
#include <stdint.h>

#include "LinuxCalls.h"

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `count` bytes, continuing from `crc` (0 to begin).
/// Uses carry-less multiplication of 64 bytes at a time (AVX-512) where the processor has it, else the SSE 4.2 instruction
/// with three interleaved streams, else a table.
uint32_t sluice_crc32c(uint32_t crc, const void *_Nullable bytes, size_t count);

/// The versions of `sluice_crc32c` without carry-less multiplication, and by table alone; public so that tests can hold
/// all to the same values.
uint32_t sluice_crc32c_streams(uint32_t crc, const void *_Nullable bytes, size_t count);
uint32_t sluice_crc32c_table(uint32_t crc, const void *_Nullable bytes, size_t count);

/// malloc, realloc and free; they stop the process with a message when memory is exhausted.
void *_Nonnull sluice_allocate(size_t count);
void *_Nonnull sluice_reallocate(void *_Nullable memory, size_t count);
void sluice_free(void *_Nullable memory);

/// memcmp of the C library.
int sluice_compare(const void *_Nonnull a, const void *_Nonnull b, size_t count);
/// The first place of `needle` in `haystack`, null where there is none; an empty needle stands at the start.
/// Candidates are places where the needle's first and last byte match, looked for 16 at a time.
const void *_Nullable sluice_find(const void *_Nonnull haystack, size_t haystackCount,
                                  const void *_Nonnull needle, size_t needleCount);
/// memchr of the C library.
const void *_Nullable sluice_find_byte(const void *_Nonnull haystack, int byte, size_t count);

/// Asks the processor to fetch the cache line at an address, which need not be readable: a hint, never a fault.
static inline void sluice_prefetch(const void *_Nullable address) { __builtin_prefetch(address); }

#endif
