"""bytewax drains a topic: count, filter or word count.

One process a share of the partitions, without exchange between them, which is the fastest way; batches of 10,000
messages, check.crcs on, steps that work on whole batches where there are such (flat_map_batch).
"""

import time

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, run_main

from counting import WORKS, Sums, arguments

CONFIGURATION = {
    "check.crcs": "true",
    "fetch.message.max.bytes": "8388608",
    "queued.min.messages": "1000000",
    "queued.max.messages.kbytes": "262144",
    "fetch.wait.max.ms": "100",
    "fetch.queue.backoff.ms": "0",
}


class SomePartitions(KafkaSource):
    """The source, for this process's share of the partitions; it ends where they end now."""

    def __init__(self, options):
        super().__init__(
            [options.bootstrap], [options.topic], tail=False, add_config=CONFIGURATION, batch_size=10_000
        )
        self.parts = [f"{partition}-{options.topic}" for partition in options.partitions]

    def list_parts(self):
        return self.parts


def main():
    options = arguments(WORKS)
    sums = Sums()
    flow = Dataflow("drain")
    messages = op.input("lines", flow, SomePartitions(options))
    out = []
    if options.work == "words":

        def split(batch):
            sums.records += len(batch)
            sums.last = time.monotonic()
            return [word for message in batch for word in message.value.split(b" ")]

        words = op.flat_map_batch("split", messages, split)
        counts = op.count_final("count", words, lambda word: word.decode())
        op.output("counts", counts, TestingSink(out))
        run_main(flow)
        sums.last = time.monotonic()
        sums.word_counts({word.encode(): count for word, count in out})
    else:
        add = sums.count if options.work == "count" else sums.filter

        def take(batch):
            add([message.value for message in batch])
            return []

        op.output("nothing", op.flat_map_batch("add", messages, take), TestingSink(out))
        run_main(flow)
    sums.show()


if __name__ == "__main__":
    main()
