#include "CAllocationCounts.h"

#include <stdatomic.h>
#include <stddef.h>

// An executable's own definitions stand before the C library's when the dynamic linker binds these names, for all
// libraries of the process; the __libc_ names are the C library's own for what is shadowed.
void *__libc_malloc(size_t count);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t count);

static atomic_uint_fast64_t calls;

static void countOne(void) { atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed); }

void *malloc(size_t count) {
  countOne();
  return __libc_malloc(count);
}

void *calloc(size_t count, size_t size) {
  countOne();
  return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t count) {
  countOne();
  return __libc_realloc(memory, count);
}

uint64_t sluice_allocation_count(void) { return atomic_load_explicit(&calls, memory_order_relaxed); }
