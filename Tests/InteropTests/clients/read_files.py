"""Reads output files with Python's own readers and those of the zstandard and lz4 packages.

DIR: prints the content of all files below it; folders and files that begin with a dot or an underscore are no output.
"""
import gzip
import os
import sys

import lz4.frame
import zstandard


def content(path):
    if path.endswith(".gz"):
        return gzip.open(path).read()
    if path.endswith(".zst"):
        with open(path, "rb") as file:
            return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
    if path.endswith(".lz4"):
        return lz4.frame.open(path).read()
    with open(path, "rb") as file:
        return file.read()


for folder, folders, names in os.walk(sys.argv[1]):
    # In place: what is taken out is not walked through.
    folders[:] = sorted(name for name in folders if name[0] not in "._")
    for name in sorted(names):
        if name[0] not in "._":
            sys.stdout.buffer.write(content(os.path.join(folder, name)))
