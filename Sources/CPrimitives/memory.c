#define _GNU_SOURCE
#include "CPrimitives.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *orStop(void *memory, size_t count) {
  if (memory == NULL) {
    fprintf(stderr, "sluice: out of memory while asking for %zu bytes\n", count);
    abort();
  }
  return memory;
}

void *sluice_allocate(size_t count) { return orStop(malloc(count ? count : 1), count); }
void *sluice_reallocate(void *memory, size_t count) { return orStop(realloc(memory, count ? count : 1), count); }
void sluice_free(void *memory) { free(memory); }
int sluice_compare(const void *a, const void *b, size_t count) { return memcmp(a, b, count); }
const void *sluice_find_byte(const void *haystack, int byte, size_t count) { return memchr(haystack, byte, count); }
