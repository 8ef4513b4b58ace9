#include "CPrimitives.h"

#include <pthread.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

// CRC-32C, reflected polynomial 0x82F63B78.
// The instruction has a latency of three cycles and a throughput of one, so three streams of equal length run
// interleaved and are joined by shifting the first two over the length of what follows: shifting a CRC over n zero
// bytes is a linear map of its 32 bits, kept as four tables of 256 entries for the two stream lengths used.
//
// Where the processor multiplies polynomials 64 bytes at a time (AVX-512 with VPCLMULQDQ), that is faster still:
// "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction" (Gopal and others, Intel, 2009), section 3.
// Four blocks of 64 bytes are carried along; each step moves them over 256 bytes by multiplying their halves with powers
// of x modulo the polynomial, and adds the bytes found there. What is left at the end, 64 bytes with the checksum of all,
// goes through the plain instruction.

#define POLYNOMIAL 0x82F63B78u
#define LONG_STREAM 4096
#define SHORT_STREAM 256
#define BLOCK 64
#define FOLDED_MIN (8 * BLOCK)

static uint32_t byteTable[8][256];
static uint32_t longShift[4][256];
static uint32_t shortShift[4][256];
// What the low and the high half of 16 bytes are multiplied with to move over four blocks, and over one.
static uint64_t overFour[2];
static uint64_t overOne[2];
static pthread_once_t tablesOnce = PTHREAD_ONCE_INIT;

static uint32_t applyMatrix(const uint32_t *matrix, uint32_t vector) {
  uint32_t sum = 0;
  for (int bit = 0; vector != 0; vector >>= 1, bit++) {
    if (vector & 1) sum ^= matrix[bit];
  }
  return sum;
}

static void squareMatrix(uint32_t *square, const uint32_t *matrix) {
  for (int bit = 0; bit < 32; bit++) square[bit] = applyMatrix(matrix, matrix[bit]);
}

// The matrix that shifts a CRC over `count` zero bytes; count is a power of two.
static void makeShift(uint32_t table[4][256], size_t count) {
  uint32_t a[32], b[32];
  a[0] = POLYNOMIAL;  // one zero bit
  for (int bit = 1; bit < 32; bit++) a[bit] = 1u << (bit - 1);
  for (size_t bits = 1; bits < count * 8; bits *= 2) {
    squareMatrix(b, a);
    memcpy(a, b, sizeof a);
  }
  for (uint32_t value = 0; value < 256; value++) {
    for (int place = 0; place < 4; place++) table[place][value] = applyMatrix(a, value << (8 * place));
  }
}

// x to the power of `exponent` modulo the polynomial, reflected, in the place where a product of reflected halves wants it.
static uint64_t powerOfX(size_t exponent) {
  uint32_t power = 0x80000000u;
  while (exponent-- > 0) power = (power >> 1) ^ (POLYNOMIAL & (0u - (power & 1)));
  return (uint64_t)power << 1;
}

static void makeTables(void) {
  for (uint32_t value = 0; value < 256; value++) {
    uint32_t crc = value;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (POLYNOMIAL & (0u - (crc & 1)));
    byteTable[0][value] = crc;
  }
  for (uint32_t value = 0; value < 256; value++) {
    for (int k = 1; k < 8; k++) {
      byteTable[k][value] = (byteTable[k - 1][value] >> 8) ^ byteTable[0][byteTable[k - 1][value] & 255];
    }
  }
  makeShift(longShift, LONG_STREAM);
  makeShift(shortShift, SHORT_STREAM);
  overFour[0] = powerOfX(4 * BLOCK * 8 + 32);
  overFour[1] = powerOfX(4 * BLOCK * 8 - 32);
  overOne[0] = powerOfX(BLOCK * 8 + 32);
  overOne[1] = powerOfX(BLOCK * 8 - 32);
}

static uint32_t shiftOver(uint32_t table[4][256], uint32_t crc) {
  return table[0][crc & 255] ^ table[1][(crc >> 8) & 255] ^ table[2][(crc >> 16) & 255] ^ table[3][crc >> 24];
}

uint32_t sluice_crc32c_table(uint32_t crc, const void *bytes, size_t count) {
  pthread_once(&tablesOnce, makeTables);
  const unsigned char *next = bytes;
  crc = ~crc;
  while (count >= 8) {
    uint64_t word;
    memcpy(&word, next, 8);
    word ^= crc;
    crc = 0;
    for (int k = 0; k < 8; k++) crc ^= byteTable[7 - k][(word >> (8 * k)) & 255];
    next += 8;
    count -= 8;
  }
  while (count-- > 0) crc = (crc >> 8) ^ byteTable[0][(crc ^ *next++) & 255];
  return ~crc;
}

#if defined(__x86_64__)
static inline uint64_t load(const unsigned char *from) {
  uint64_t word;
  memcpy(&word, from, 8);
  return word;
}

__attribute__((target("sse4.2"))) static const unsigned char *threeStreams(
    uint64_t *crc, const unsigned char *next, size_t *count, size_t stream, uint32_t shift[4][256]) {
  uint64_t first = *crc;
  while (*count >= 3 * stream) {
    uint64_t second = 0, third = 0;
    const unsigned char *end = next + stream;
    do {
      first = __builtin_ia32_crc32di(first, load(next));
      second = __builtin_ia32_crc32di(second, load(next + stream));
      third = __builtin_ia32_crc32di(third, load(next + 2 * stream));
      next += 8;
    } while (next < end);
    first = shiftOver(shift, (uint32_t)first) ^ second;
    first = shiftOver(shift, (uint32_t)first) ^ third;
    next += 2 * stream;
    *count -= 3 * stream;
  }
  *crc = first;
  return next;
}

__attribute__((target("sse4.2"))) static uint32_t byInstruction(uint32_t start, const void *bytes, size_t count) {
  const unsigned char *next = bytes;
  uint64_t crc = (uint32_t)~start;
  next = threeStreams(&crc, next, &count, LONG_STREAM, longShift);
  next = threeStreams(&crc, next, &count, SHORT_STREAM, shortShift);
  while (count >= 8) {
    crc = __builtin_ia32_crc32di(crc, load(next));
    next += 8;
    count -= 8;
  }
  uint32_t rest = (uint32_t)crc;
  while (count-- > 0) rest = __builtin_ia32_crc32qi(rest, *next++);
  return ~rest;
}

#define FOLDING __attribute__((target("avx512f,vpclmulqdq,sse4.2")))

FOLDING static inline __m512i fold(__m512i block, __m512i powers, __m512i next) {
  __m512i low = _mm512_clmulepi64_epi128(block, powers, 0x00);
  __m512i high = _mm512_clmulepi64_epi128(block, powers, 0x11);
  return _mm512_ternarylogic_epi64(low, high, next, 0x96);  // exclusive or of three
}

FOLDING static inline __m512i powersOf(const uint64_t *halves) {
  return _mm512_set_epi64(
      (long long)halves[1], (long long)halves[0], (long long)halves[1], (long long)halves[0], (long long)halves[1],
      (long long)halves[0], (long long)halves[1], (long long)halves[0]);
}

// `count` is FOLDED_MIN or more.
FOLDING static uint32_t byFolding(uint32_t start, const void *bytes, size_t count) {
  const unsigned char *next = bytes;
  __m512i powers = powersOf(overFour);
  __m512i a = _mm512_xor_si512(_mm512_loadu_si512(next), _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)~start)));
  __m512i b = _mm512_loadu_si512(next + BLOCK);
  __m512i c = _mm512_loadu_si512(next + 2 * BLOCK);
  __m512i d = _mm512_loadu_si512(next + 3 * BLOCK);
  for (next += 4 * BLOCK, count -= 4 * BLOCK; count >= 4 * BLOCK; next += 4 * BLOCK, count -= 4 * BLOCK) {
    a = fold(a, powers, _mm512_loadu_si512(next));
    b = fold(b, powers, _mm512_loadu_si512(next + BLOCK));
    c = fold(c, powers, _mm512_loadu_si512(next + 2 * BLOCK));
    d = fold(d, powers, _mm512_loadu_si512(next + 3 * BLOCK));
  }
  powers = powersOf(overOne);
  a = fold(fold(fold(a, powers, b), powers, c), powers, d);
  for (; count >= BLOCK; next += BLOCK, count -= BLOCK) a = fold(a, powers, _mm512_loadu_si512(next));
  unsigned char last[BLOCK];
  _mm512_storeu_si512(last, a);
  uint64_t crc = 0;
  for (int place = 0; place < BLOCK; place += 8) crc = __builtin_ia32_crc32di(crc, load(last + place));
  // The rest begins from the inverse of what stands now, since it inverts what it is given.
  return byInstruction(~(uint32_t)crc, next, count);
}
#endif

uint32_t sluice_crc32c_streams(uint32_t crc, const void *bytes, size_t count) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) {
    if (count >= 3 * SHORT_STREAM) pthread_once(&tablesOnce, makeTables);
    return byInstruction(crc, bytes, count);
  }
#endif
  return sluice_crc32c_table(crc, bytes, count);
}

uint32_t sluice_crc32c(uint32_t crc, const void *bytes, size_t count) {
#if defined(__x86_64__)
  if (count >= FOLDED_MIN && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq")) {
    pthread_once(&tablesOnce, makeTables);
    return byFolding(crc, bytes, count);
  }
#endif
  return sluice_crc32c_streams(crc, bytes, count);
}
