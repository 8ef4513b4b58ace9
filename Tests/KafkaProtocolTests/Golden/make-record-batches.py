#!/usr/bin/env python3
"""Writes the golden record batches beside it with kafka-python and other libraries' codecs.

Usage: python3 make-record-batches.py FOLDER   (see README.md for what to install)

RecordGoldenTests.swift holds the same records as `small` and `large` below.
"""
import gzip
import pathlib
import struct
import sys

import crc32c
import kafka.codec
import lz4.frame
import zstandard
from kafka.record.default_records import DefaultRecordBatchBuilder

BASE_TIME = 1_700_000_000_000
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}

small = [  # (timestamp, key, value, headers)
    (BASE_TIME, b"k0", b"v0", []),
    (BASE_TIME + 1, None, b"a value without a key", []),
    (BASE_TIME + 5, b"a key longer than fifteen bytes", None, []),
    (BASE_TIME - 3, b"", b"", []),
    (BASE_TIME + 200, b"headers", b"five of them",
     [("a", b"1"), ("a", None), ("", b""), ("\u00fc", b"twenty bytes of text"), ("a", b"last")]),
    (BASE_TIME + 86_400_000, b"pattern", bytes(i % 251 for i in range(1000)), []),
]
large = [(BASE_TIME + i, b"%d" % i, bytes((i + j) % 251 for j in range(150_000)), []) for i in range(3)]


def build(records, codec=0, producer=(-1, -1, -1), transactional=False):
    builder = DefaultRecordBatchBuilder(2, codec, transactional, *producer, 10_000_000)
    for offset, (timestamp, key, value, headers) in enumerate(records):
        assert builder.append(offset, timestamp, key, value, headers) is not None
    return bytes(builder.build())


def sealed(batch):
    """The same bytes with length and checksum made true again."""
    batch = bytearray(batch)
    struct.pack_into(">i", batch, 8, len(batch) - 12)
    struct.pack_into(">I", batch, 17, crc32c.crc32c(bytes(batch[21:])))
    return bytes(batch)


def with_attributes(batch, bits):
    batch = bytearray(batch)
    struct.pack_into(">h", batch, 21, struct.unpack_from(">h", batch, 21)[0] | bits)
    return sealed(batch)


def recompressed(records, codec, compress):
    """A batch whose records another encoder than kafka-python's default compressed."""
    plain = build(records)
    return with_attributes(plain[:61] + compress(plain[61:]), codec)


def control(kind, epoch):
    marker = [(BASE_TIME, struct.pack(">hh", 0, kind), struct.pack(">hi", 0, epoch), [])]
    return with_attributes(build(marker, producer=(4242, 7, -1), transactional=True), 1 << 5)


def log_append(batch, time):
    batch = bytearray(batch)
    struct.pack_into(">q", batch, 35, time)
    return with_attributes(batch, 1 << 3)


def moved(batch, offset, epoch):
    batch = bytearray(batch)
    struct.pack_into(">q", batch, 0, offset)
    struct.pack_into(">i", batch, 12, epoch)
    return bytes(batch)


def zstd_without_size(data):
    """As Java's streaming writer leaves it: no content size in the frame."""
    return zstandard.ZstdCompressor(write_content_size=False).compress(data)


def two_gzip_members(data):
    return gzip.compress(data[:500], mtime=0) + gzip.compress(data[500:], mtime=0)


files = {}
for name, codec in CODECS.items():
    files[f"small-{name}"] = build(small, codec)
    if codec:
        files[f"large-{name}"] = build(large, codec)
files["small-snappy-raw"] = recompressed(small, 2, lambda d: kafka.codec.snappy_encode(d, xerial_compatible=False))
files["small-gzip-members"] = recompressed(small, 1, two_gzip_members)
files["large-lz4-linked"] = recompressed(
    large, 3, lambda d: lz4.frame.compress(d, block_linked=True, content_checksum=True, store_size=True))
files["large-zstd-unsized"] = recompressed(large, 4, zstd_without_size)
files["small-transactional"] = build(small, 0, producer=(4242, 7, 99), transactional=True)
files["small-log-append"] = log_append(build(small), BASE_TIME + 1_000_000)
files["control-commit"] = control(1, 12)
files["control-abort"] = control(0, 13)
files["sequence"] = b"".join([
    moved(build(small, 0), 1000, 3), moved(build(small, 3), 1006, 3), moved(control(1, 12), 1012, 4),
    moved(build(small, 4), 1013, 5), moved(build(small, 1), 1019, 5)[:200]])

folder = pathlib.Path(sys.argv[1])
for name, batch in files.items():
    (folder / f"{name}.batch").write_bytes(batch)
