"""quixstreams drains a topic: count or filter, in one process.

Values stay bytes, no state, commits switched off as far as it lets one; it hands over one message at a time.
"""

import logging

from quixstreams import Application

from counting import Sums, arguments

CONFIGURATION = {
    "check.crcs": True,
    "fetch.message.max.bytes": 8388608,
    "queued.min.messages": 1000000,
    "queued.max.messages.kbytes": 262144,
    "fetch.queue.backoff.ms": 0,
}


def main():
    options = arguments(["count", "filter"])
    logging.getLogger("quixstreams").setLevel(logging.ERROR)
    sums = Sums()
    application = Application(
        broker_address=options.bootstrap,
        consumer_group=f"quixstreams-{options.work}-{options.topic}",
        auto_offset_reset="earliest",
        auto_create_topics=False,
        commit_interval=60,
        consumer_extra_config=CONFIGURATION,
        loglevel=None,
    )
    topic = application.topic(options.topic, key_deserializer="bytes", value_deserializer="bytes")
    add = sums.count if options.work == "count" else sums.filter
    values = []

    def take(value):
        values.append(value)
        if len(values) == 1000:
            add(values)
            values.clear()

    application.dataframe(topic).update(take)
    application.run(count=options.records)
    if values:
        add(values)
    sums.show()


if __name__ == "__main__":
    main()
