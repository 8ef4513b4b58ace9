/* What the hardware allows: a program for one purpose, on one thread, over record batches that are in memory already.
   No broker, no sockets, no engine, nothing that could be left out.

   usage: Reference MODE [--records N] FILE...

     headers     adds up the record counts that the batches' headers state
     crc         computes their checksums
     decompress  decompresses, and nothing else
     count       checksum, decompression, a walk over the records; adds up lengths and hashes of their values
     filter      the same for the values that hold "ea"
     words       checksum, decompression, walk; splits the values at spaces and counts the words in a hash table
     lines       FILE holds lines of text, not record batches: adds up lengths and hashes of the lines

   FILE holds record batches of magic 2, one behind the other, as the broker's segments do; batches of control records
   are left out. They are gone through again and again until N records were seen (default: once). The output is one line
   of name=value pairs; seconds and cpu_seconds are without the reading of the files.

   Built with -O3 -march=native; CRC-32C by the instruction, three streams at a time; values are searched and split 32
   bytes at a time where AVX2 is there; the hash table is the engine's: open addressing over slots of 8 bytes (entry
   number and part of the hash), entries in the order of their first appearance. */

#include <errno.h>
#include <fcntl.h>
#include <immintrin.h>
#include <lz4.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "hash64.h"

enum { SLACK = 64 };

static void die(const char *what) {
  fprintf(stderr, "Reference: %s\n", what);
  exit(1);
}

static void *allocate(size_t size) {
  void *memory = NULL;
  if (posix_memalign(&memory, 64, size + SLACK) != 0) die("no memory");
  memset((char *)memory + size, 0, SLACK);
  return memory;
}

/* ---- CRC-32C: three streams hide the instruction's latency (M. Adler, crc32c.c). ---- */

enum { LONG_STREAM = 4096, SHORT_STREAM = 256 };
static uint32_t long_shift[4][256], short_shift[4][256];

/* Tables that move a checksum over `count` bytes of zeros: the operation is linear, so 32 of them say it all. */
static void make_shift(uint32_t table[4][256], size_t count) {
  uint32_t moved[32];
  for (int bit = 0; bit < 32; bit++) {
    uint64_t crc = (uint64_t)1 << bit;
    for (size_t done = 0; done < count; done += 8) crc = _mm_crc32_u64(crc, 0);
    moved[bit] = (uint32_t)crc;
  }
  for (int byte = 0; byte < 4; byte++)
    for (int value = 0; value < 256; value++) {
      uint32_t crc = 0;
      for (int bit = 0; bit < 8; bit++)
        if (value >> bit & 1) crc ^= moved[byte * 8 + bit];
      table[byte][value] = crc;
    }
}

static inline uint32_t shift(uint32_t table[4][256], uint32_t crc) {
  return table[0][crc & 255] ^ table[1][crc >> 8 & 255] ^ table[2][crc >> 16 & 255] ^ table[3][crc >> 24];
}

static inline uint64_t three_streams(uint64_t crc, const uint8_t *bytes, size_t stream, uint32_t table[4][256]) {
  uint64_t second = 0, third = 0;
  for (size_t at = 0; at < stream; at += 8) {
    crc = _mm_crc32_u64(crc, hash64_load(bytes + at));
    second = _mm_crc32_u64(second, hash64_load(bytes + stream + at));
    third = _mm_crc32_u64(third, hash64_load(bytes + 2 * stream + at));
  }
  crc = shift(table, (uint32_t)crc) ^ second;
  return shift(table, (uint32_t)crc) ^ third;
}

static uint32_t crc32c(const uint8_t *bytes, size_t count) {
  uint64_t crc = 0xFFFFFFFF;
  for (; count >= 3 * LONG_STREAM; bytes += 3 * LONG_STREAM, count -= 3 * LONG_STREAM)
    crc = three_streams(crc, bytes, LONG_STREAM, long_shift);
  for (; count >= 3 * SHORT_STREAM; bytes += 3 * SHORT_STREAM, count -= 3 * SHORT_STREAM)
    crc = three_streams(crc, bytes, SHORT_STREAM, short_shift);
  for (; count >= 8; bytes += 8, count -= 8) crc = _mm_crc32_u64(crc, hash64_load(bytes));
  for (; count > 0; bytes++, count--) crc = _mm_crc32_u8((uint32_t)crc, *bytes);
  return (uint32_t)crc ^ 0xFFFFFFFF;
}

/* ---- Record batches (message format 2): the header is 61 bytes, all numbers big-endian. ---- */

static inline uint32_t big32(const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, 4);
  return __builtin_bswap32(value);
}

static uint8_t *plain;
static size_t plain_room;
static LZ4F_dctx *lz4_context;
static ZSTD_DCtx *zstd_context;
static z_stream zlib_stream;

static void make_contexts(void) {
  make_shift(long_shift, LONG_STREAM);
  make_shift(short_shift, SHORT_STREAM);
  plain_room = (size_t)64 << 20;
  plain = allocate(plain_room);
  if (LZ4F_isError(LZ4F_createDecompressionContext(&lz4_context, LZ4F_VERSION))) die("lz4");
  zstd_context = ZSTD_createDCtx();
  if (zstd_context == NULL || inflateInit2(&zlib_stream, 15 + 16) != Z_OK) die("zstd or zlib");
}

static size_t inflate_lz4(const uint8_t *bytes, size_t count) {
  /* A frame of independent blocks without checksums and sizes, which Kafka's clients write, is read block by block. */
  size_t made = 0;
  if (count > 11 && bytes[4] == 0x60) {
    for (size_t at = 7; at + 4 <= count;) {
      uint32_t field;
      memcpy(&field, bytes + at, 4);
      at += 4;
      if (field == 0) return made;
      uint32_t size = field & 0x7FFFFFFF;
      if (size > count - at) break;
      if (field >> 31) {
        if (size > plain_room - made) break;
        memcpy(plain + made, bytes + at, size);
        made += size;
      } else {
        size_t room = plain_room - made < 4u << 20 ? plain_room - made : 4u << 20;
        int got = LZ4_decompress_safe(
            (const char *)bytes + at, (char *)plain + made, (int)size, (int)room);
        if (got < 0) break;
        made += (size_t)got;
      }
      at += size;
    }
    die("a damaged lz4 frame");
  }
  size_t taken = 0, left = 1;
  while (left != 0 && taken < count) {
    size_t room = plain_room - made, available = count - taken;
    left = LZ4F_decompress(lz4_context, plain + made, &room, bytes + taken, &available, NULL);
    if (LZ4F_isError(left) || (room == 0 && available == 0)) die("a damaged lz4 frame");
    made += room;
    taken += available;
  }
  return made;
}

static size_t inflate_snappy(const uint8_t *bytes, size_t count) {
  static const uint8_t magic[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
  size_t made = 0;
  if (count < 16 || memcmp(bytes, magic, 8) != 0) {
    made = plain_room;
    if (snappy_uncompress((const char *)bytes, count, (char *)plain, &made) != SNAPPY_OK) die("damaged snappy");
    return made;
  }
  for (size_t at = 16; at + 4 <= count;) {
    size_t size = big32(bytes + at), room = plain_room - made;
    at += 4;
    if (size > count - at) die("damaged snappy");
    if (snappy_uncompress((const char *)bytes + at, size, (char *)plain + made, &room) != SNAPPY_OK)
      die("damaged snappy");
    made += room;
    at += size;
  }
  return made;
}

static size_t inflate_gzip(const uint8_t *bytes, size_t count) {
  if (inflateReset(&zlib_stream) != Z_OK) die("zlib");
  zlib_stream.next_in = (Bytef *)bytes;
  zlib_stream.avail_in = (uInt)count;
  zlib_stream.next_out = plain;
  zlib_stream.avail_out = (uInt)plain_room;
  if (inflate(&zlib_stream, Z_FINISH) != Z_STREAM_END) die("damaged gzip");
  return plain_room - zlib_stream.avail_out;
}

/* The records of a batch, decompressed; the size goes to *size. */
static const uint8_t *records_of(const uint8_t *batch, size_t total, size_t *size) {
  const uint8_t *bytes = batch + 61;
  size_t count = total - 61;
  switch (batch[22] & 7) {
  case 0: *size = count; return bytes;
  case 1: *size = inflate_gzip(bytes, count); return plain;
  case 2: *size = inflate_snappy(bytes, count); return plain;
  case 3: *size = inflate_lz4(bytes, count); return plain;
  case 4:
    *size = ZSTD_decompressDCtx(zstd_context, plain, plain_room, bytes, count);
    if (ZSTD_isError(*size)) die("damaged zstd");
    return plain;
  default: die("an unknown codec");
  }
  return NULL;
}

static inline int64_t varint(const uint8_t **at) {
  uint64_t value = **at & 127;
  unsigned bits = 7;
  while (*(*at)++ & 128) {
    if (bits > 63) die("a damaged record");
    value |= (uint64_t)(**at & 127) << bits;
    bits += 7;
  }
  return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* ---- What is done with the values. ---- */

static uint64_t record_count, value_bytes, value_hash, matches, match_hash;

static inline void count_value(const uint8_t *value, size_t count) {
  value_bytes += count;
  value_hash += hash64(value, count);
}

/* Whether the value holds "ea"; SLACK bytes behind it can be read. */
static inline bool holds_needle(const uint8_t *value, size_t count) {
  if (count < 2) return false;
  size_t last = count - 1;
#ifdef __AVX2__
  const __m256i first = _mm256_set1_epi8('e'), second = _mm256_set1_epi8('a');
  for (size_t at = 0; at < last; at += 32) {
    __m256i here = _mm256_loadu_si256((const __m256i *)(value + at));
    __m256i next = _mm256_loadu_si256((const __m256i *)(value + at + 1));
    uint32_t found = (uint32_t)_mm256_movemask_epi8(
        _mm256_and_si256(_mm256_cmpeq_epi8(here, first), _mm256_cmpeq_epi8(next, second)));
    if (last - at < 32) found &= (UINT32_C(1) << (last - at)) - 1;
    if (found) return true;
  }
#else
  for (size_t at = 0; at < last; at++)
    if (value[at] == 'e' && value[at + 1] == 'a') return true;
#endif
  return false;
}

static inline void filter_value(const uint8_t *value, size_t count) {
  if (!holds_needle(value, count)) return;
  matches++;
  match_hash += hash64(value, count);
}

/* A word of up to 15 letters stands in the two words themselves, a longer one in memory of its own (low: its address). */
typedef struct {
  uint64_t low, high, count;
} Entry;

static Entry *entries;
static uint64_t *slots;
static size_t entry_count, entry_room;
static unsigned slot_bits = 16;

static void make_table(void) {
  slots = allocate(sizeof(uint64_t) << slot_bits);
  memset(slots, 0, sizeof(uint64_t) << slot_bits);
  entry_room = ((size_t)1 << slot_bits) * 3 / 4;
  entries = allocate(entry_room * sizeof(Entry));
}

static bool is_long(uint64_t high) { return high >> 56 == 255; }
static size_t long_size(uint64_t high) { return high & UINT64_C(0xFFFFFFFFFFFFFF); }

static uint64_t hash_of(uint64_t low, uint64_t high) {
  return is_long(high) ? hash64_long((const uint8_t *)low, long_size(high)) : hash64_short(low, high);
}

static void grow_table(void) {
  Entry *old = entries;
  free(slots);
  slot_bits++;
  make_table();
  memcpy(entries, old, entry_count * sizeof(Entry));
  free(old);
  for (size_t index = 0; index < entry_count; index++) {
    uint64_t hash = hash_of(entries[index].low, entries[index].high), slot = hash >> (64 - slot_bits);
    while (slots[slot] != 0) slot = (slot + 1) & (((uint64_t)1 << slot_bits) - 1);
    slots[slot] = hash << 32 | (index + 1);
  }
}

static inline void count_word(uint64_t low, uint64_t high, uint64_t hash) {
  uint64_t mask = ((uint64_t)1 << slot_bits) - 1, slot = hash >> (64 - slot_bits), tag = hash << 32;
  for (uint64_t found; (found = slots[slot]) != 0; slot = (slot + 1) & mask) {
    if ((found & UINT64_C(0xFFFFFFFF00000000)) != tag) continue;
    Entry *entry = &entries[(found & UINT64_C(0xFFFFFFFF)) - 1];
    if (entry->high == high &&
        (entry->low == low || (is_long(high) && memcmp((void *)entry->low, (void *)low, long_size(high)) == 0))) {
      entry->count++;
      return;
    }
  }
  if (entry_count == entry_room) {
    grow_table();
    return count_word(low, high, hash);
  }
  if (is_long(high)) {
    uint8_t *copy = allocate(long_size(high));
    memcpy(copy, (void *)low, long_size(high));
    low = (uint64_t)copy;
  }
  slots[slot] = tag | (entry_count + 1);
  entries[entry_count++] = (Entry){low, high, 1};
}

/* Words wait here for their line's other words, so that the memory that all of them need is fetched at once. */
enum { LOOKAHEAD = 16 };
static uint64_t lows[LOOKAHEAD], highs[LOOKAHEAD], hashes[LOOKAHEAD];
static unsigned waiting;

static void count_waiting(void) {
  for (unsigned index = 0; index < waiting; index++) {
    uint64_t found = slots[hashes[index] >> (64 - slot_bits)];
    __builtin_prefetch(&entries[(found & UINT64_C(0xFFFFFFFF)) - 1]);
  }
  for (unsigned index = 0; index < waiting; index++) count_word(lows[index], highs[index], hashes[index]);
  waiting = 0;
}

static inline void add_word(const uint8_t *word, size_t count) {
  if (count == 0) return;
  uint64_t low = hash64_load(word), high;
  if (count < 8) {
    low &= ((uint64_t)1 << count * 8) - 1;
    high = (uint64_t)count << 56;
  } else if (count < 16) {
    high = (hash64_load(word + 8) & (((uint64_t)1 << (count - 8) * 8) - 1)) | (uint64_t)count << 56;
  } else {
    low = (uint64_t)word;
    high = UINT64_C(255) << 56 | count;
  }
  uint64_t hash = hash_of(low, high);
  __builtin_prefetch(&slots[hash >> (64 - slot_bits)]);
  lows[waiting] = low;
  highs[waiting] = high;
  hashes[waiting] = hash;
  if (++waiting == LOOKAHEAD) count_waiting();
}

static inline void split_value(const uint8_t *value, size_t count) {
  size_t start = 0;
#ifdef __AVX2__
  const __m256i space = _mm256_set1_epi8(' ');
  for (size_t at = 0; at < count; at += 32) {
    __m256i here = _mm256_loadu_si256((const __m256i *)(value + at));
    uint32_t found = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(here, space));
    if (count - at < 32) found &= (UINT32_C(1) << (count - at)) - 1;
    for (; found; found &= found - 1) {
      size_t end = at + (size_t)__builtin_ctz(found);
      add_word(value + start, end - start);
      start = end + 1;
    }
  }
#else
  for (size_t at = 0; at < count; at++)
    if (value[at] == ' ') {
      add_word(value + start, at - start);
      start = at + 1;
    }
#endif
  if (start < count) add_word(value + start, count - start);
}

/* ---- The walk. ---- */

typedef enum { HEADERS, CRC, DECOMPRESS, COUNT, FILTER, WORDS, LINES } Mode;

static inline __attribute__((always_inline)) void walk(
    const uint8_t *at, const uint8_t *end, uint32_t count, void (*body)(const uint8_t *, size_t)) {
  for (uint32_t index = 0; index < count; index++) {
    int64_t size = varint(&at);
    const uint8_t *next = at + size;
    if (size < 0 || next > end) die("a damaged record");
    at++;
    (void)varint(&at);
    (void)varint(&at);
    int64_t key = varint(&at);
    if (key > 0) at += key;
    int64_t value = varint(&at);
    if (at + (value > 0 ? value : 0) > next) die("a damaged record");
    body(at, value > 0 ? (size_t)value : 0);
    at = next;
  }
  if (at != end) die("records that do not fill their batch");
}

static void handle(const uint8_t *batch, size_t total, Mode mode) {
  uint32_t count = big32(batch + 57);
  record_count += count;
  if (mode == HEADERS) return;
  if (mode != DECOMPRESS && crc32c(batch + 21, total - 21) != big32(batch + 17)) die("a wrong checksum");
  if (mode == CRC) return;
  size_t size = 0;
  const uint8_t *records = records_of(batch, total, &size);
  /* Each of these is a loop of its own, with its body in it. */
  switch (mode) {
  case COUNT: walk(records, records + size, count, count_value); break;
  case FILTER: walk(records, records + size, count, filter_value); break;
  case WORDS:
    walk(records, records + size, count, split_value);
    /* Long words still point into the records. */
    count_waiting();
    break;
  default: value_bytes += size; break;
  }
}

static void pass(const uint8_t *bytes, size_t count, Mode mode) {
  if (mode == LINES) {
    for (const uint8_t *end = bytes + count; bytes < end; record_count++) {
      const uint8_t *feed = memchr(bytes, '\n', (size_t)(end - bytes));
      if (feed == NULL) die("a last line without its end");
      count_value(bytes, (size_t)(feed - bytes));
      bytes = feed + 1;
    }
    return;
  }
  for (size_t at = 0; at + 61 <= count;) {
    size_t total = (size_t)big32(bytes + at + 8) + 12;
    if (total < 61 || total > count - at) die("a batch that is cut off");
    if (bytes[at + 16] != 2) die("a batch that is not of magic 2");
    if (!(bytes[at + 22] & 32)) handle(bytes + at, total, mode);
    at += total;
  }
}

/* ---- The program. ---- */

static double seconds(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

typedef struct {
  uint8_t *bytes;
  size_t count;
} Content;

static Content content_of(const char *path) {
  int file = open(path, O_RDONLY);
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0) {
    fprintf(stderr, "Reference: %s: %s\n", path, strerror(errno));
    exit(1);
  }
  Content content = {allocate((size_t)status.st_size), 0};
  while (content.count < (size_t)status.st_size) {
    ssize_t got = read(file, content.bytes + content.count, (size_t)status.st_size - content.count);
    if (got <= 0) die("a file that cannot be read");
    content.count += (size_t)got;
  }
  close(file);
  return content;
}

int main(int argc, char **argv) {
  static const char *const names[] = {"headers", "crc", "decompress", "count", "filter", "words", "lines"};
  int mode = -1, first = 2;
  for (int index = 0; argc > 1 && index < 7; index++)
    if (strcmp(argv[1], names[index]) == 0) mode = index;
  uint64_t wanted = 1;
  if (argc > 3 && strcmp(argv[2], "--records") == 0) {
    wanted = strtoull(argv[3], NULL, 10);
    first = 4;
  }
  if (mode < 0 || first >= argc) {
    fprintf(stderr, "usage: Reference headers|crc|decompress|count|filter|words|lines [--records N] FILE...\n");
    return 2;
  }
  make_contexts();
  make_table();
  size_t files = (size_t)(argc - first);
  Content *contents = allocate(files * sizeof(Content));
  for (size_t index = 0; index < files; index++) contents[index] = content_of(argv[first + (int)index]);

  double began = seconds(CLOCK_MONOTONIC), processor = seconds(CLOCK_PROCESS_CPUTIME_ID);
  uint64_t passes = 0;
  do {
    uint64_t before = record_count;
    for (size_t index = 0; index < files; index++) pass(contents[index].bytes, contents[index].count, (Mode)mode);
    passes++;
    if (record_count == before) break;
  } while (record_count < wanted);
  double took = seconds(CLOCK_MONOTONIC) - began, used = seconds(CLOCK_PROCESS_CPUTIME_ID) - processor;

  uint64_t words = 0, word_hash = 0;
  for (size_t index = 0; index < entry_count; index++) {
    words += entries[index].count;
    word_hash += entries[index].count * hash_of(entries[index].low, entries[index].high);
  }
  printf(
      "records=%llu passes=%llu value_bytes=%llu hash=%llu matches=%llu match_hash=%llu words=%llu word_hash=%llu "
      "different_words=%zu seconds=%.6f cpu_seconds=%.6f\n",
      (unsigned long long)record_count, (unsigned long long)passes, (unsigned long long)value_bytes,
      (unsigned long long)value_hash, (unsigned long long)matches, (unsigned long long)match_hash,
      (unsigned long long)words, (unsigned long long)word_hash, entry_count, took, used);
  return 0;
}
