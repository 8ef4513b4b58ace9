/* The hash that all programs here compute of a record's value: Sluice's Hash64, version 1, seed 0 (see
   Sources/Groundwork/Hash64.swift). A multiplication for 16 bytes. Little-endian machines. */
#ifndef HASH64_H
#define HASH64_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t hash64_load(const uint8_t *at) {
  uint64_t word;
  memcpy(&word, at, 8);
  return word;
}

/* The two halves of the 128-bit product, xored. */
static inline uint64_t hash64_fold(uint64_t a, uint64_t b) {
  unsigned __int128 product = (unsigned __int128)a * b;
  return (uint64_t)(product >> 64) ^ (uint64_t)product;
}

/* Of up to 15 bytes: bytes 0 to 7, and bytes 8 to 14 with the count in the top byte; what is unused is 0. */
static inline uint64_t hash64_short(uint64_t low, uint64_t high) {
  return hash64_fold(
      hash64_fold(low ^ UINT64_C(0x9E3779B97F4A7C15), high ^ UINT64_C(0xD6E8FEB86659FD93)),
      UINT64_C(0xA0761D6478BD642F));
}

/* Of 16 bytes or more. */
static inline uint64_t hash64_long(const uint8_t *bytes, size_t count) {
  uint64_t hash = UINT64_C(0xA0761D6478BD642F) ^ count;
  size_t position = 0;
  for (; position + 16 < count; position += 16)
    hash = hash64_fold(
        hash64_load(bytes + position) ^ UINT64_C(0x9E3779B97F4A7C15), hash64_load(bytes + position + 8) ^ hash);
  /* The last 16 bytes, which may overlap what was read before. */
  hash = hash64_fold(
      hash64_load(bytes + count - 16) ^ UINT64_C(0xD6E8FEB86659FD93), hash64_load(bytes + count - 8) ^ hash);
  return hash64_fold(hash, UINT64_C(0x9E3779B97F4A7C15));
}

/* Of any count of bytes. */
static inline uint64_t hash64(const uint8_t *bytes, size_t count) {
  if (count > 15) return hash64_long(bytes, count);
  uint64_t words[2] = {0, 0};
  memcpy(words, bytes, count);
  return hash64_short(words[0], words[1] | (uint64_t)count << 56);
}

#endif
