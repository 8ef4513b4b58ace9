"""What the Python programs of this folder share: their arguments, and the sums they print."""

import argparse
import time

import hash64

WORKS = ["count", "filter", "words"]
NEEDLE = b"ea"
MASK = (1 << 64) - 1


def arguments(works):
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=works)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", required=True, type=lambda text: [int(part) for part in text.split(",")])
    parser.add_argument("--records", required=True, type=lambda text: sum(int(part) for part in text.split(",")))
    return parser.parse_args()


class Sums:
    """Adds up values; their times end with the last of them, not with the end of the program."""

    def __init__(self):
        self.began = self.last = time.monotonic()
        self.records = self.value_bytes = self.hash = self.matches = self.match_hash = 0
        self.words = {}

    def count(self, values):
        count, size, total = hash64.sums(values)
        self.records += count
        self.value_bytes += size
        self.hash += total
        self.last = time.monotonic()

    def filter(self, values):
        count, _, total = hash64.sums([value for value in values if NEEDLE in value])
        self.records += len(values)
        self.matches += count
        self.match_hash += total
        self.last = time.monotonic()

    def word_counts(self, counts):
        """Each word and how often it occurred."""
        self.words = counts

    def show(self):
        words = sum(self.words.values())
        hashes = sum(hash64.sums([word])[2] * count for word, count in self.words.items())
        print(
            f"records={self.records} value_bytes={self.value_bytes} hash={self.hash & MASK} matches={self.matches} "
            f"match_hash={self.match_hash & MASK} words={words} word_hash={hashes & MASK} "
            f"seconds={self.last - self.began:.6f}"
        )
