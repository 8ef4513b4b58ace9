#include "CPrimitives.h"

#include <pthread.h>
#include <string.h>

// CRC-32C, reflected polynomial 0x82F63B78.
// The instruction has a latency of three cycles and a throughput of one, so three streams of equal length run
// interleaved and are joined by shifting the first two over the length of what follows: shifting a CRC over n zero
// bytes is a linear map of its 32 bits, kept as four tables of 256 entries for the two stream lengths used.

#define POLYNOMIAL 0x82F63B78u
#define LONG_STREAM 4096
#define SHORT_STREAM 256

static uint32_t byteTable[8][256];
static uint32_t longShift[4][256];
static uint32_t shortShift[4][256];
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
#endif

uint32_t sluice_crc32c(uint32_t crc, const void *bytes, size_t count) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) {
    if (count >= 3 * SHORT_STREAM) pthread_once(&tablesOnce, makeTables);
    return byInstruction(crc, bytes, count);
  }
#endif
  return sluice_crc32c_table(crc, bytes, count);
}
