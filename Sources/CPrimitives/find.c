#define _GNU_SOURCE
#include "CPrimitives.h"

#include <string.h>

#if defined(__x86_64__)
#include <emmintrin.h>

// Which of the 16 places from `at` on have the needle's first byte there and its last byte where it would stand.
static inline unsigned candidates(const unsigned char *at, size_t last, __m128i firstByte, __m128i lastByte) {
  __m128i firsts = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)at), firstByte);
  __m128i lasts = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(at + last)), lastByte);
  return (unsigned)_mm_movemask_epi8(_mm_and_si128(firsts, lasts));
}

const void *sluice_find(const void *haystack, size_t haystackCount, const void *needle, size_t needleCount) {
  // The number of places where the needle could begin; below 16 one load would reach beyond the haystack.
  size_t places = haystackCount - needleCount + 1;
  if (needleCount < 2 || needleCount > haystackCount || places < 16) {
    return memmem(haystack, haystackCount, needle, needleCount);
  }
  const unsigned char *start = haystack;
  const unsigned char *wanted = needle;
  size_t last = needleCount - 1;
  __m128i firstByte = _mm_set1_epi8((char)wanted[0]);
  __m128i lastByte = _mm_set1_epi8((char)wanted[last]);
  size_t place = 0;
  for (;;) {
    unsigned found = candidates(start + place, last, firstByte, lastByte);
    while (found != 0) {
      const unsigned char *at = start + place + __builtin_ctz(found);
      if (last < 2 || memcmp(at + 1, wanted + 1, last - 1) == 0) return at;
      found &= found - 1;
    }
    if (place + 16 == places) return NULL;
    // The last step overlaps the one before, so that no load reaches beyond the end.
    place = place + 32 <= places ? place + 16 : places - 16;
  }
}
#else
const void *sluice_find(const void *haystack, size_t haystackCount, const void *needle, size_t needleCount) {
  return memmem(haystack, haystackCount, needle, needleCount);
}
#endif
