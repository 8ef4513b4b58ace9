"""confluent-kafka (librdkafka) as writer and reader of the codec matrix.

produce BOOTSTRAP FOLDER CODEC...            writes FOLDER/CODEC.corpus to the topic confluent-CODEC
subscribe|assign BOOTSTRAP FOLDER COUNT TOPIC...   reads COUNT records into FOLDER/TOPIC.confluent-subscribe|assign
"""
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

import framing


def produce(bootstrap, folder, codecs):
    failures = []
    for codec in codecs:
        # The linger never ends by itself: flush closes the batches.
        producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 60000})
        for key, value, headers in framing.read(f"{folder}/{codec}.corpus"):
            producer.produce(
                f"confluent-{codec}", partition=0, key=key, value=value, headers=headers or None,
                on_delivery=lambda error, message: failures.append(str(error)) if error else None)
        if producer.flush(30) != 0:
            failures.append(f"{codec}: not all delivered within 30 s")
    return failures


def consume(how, bootstrap, folder, count, topics):
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "confluent-readers", "auto.offset.reset": "earliest",
        "enable.auto.commit": False})
    if how == "subscribe":
        consumer.subscribe(topics)
    else:
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING) for topic in topics])
    dump = framing.Dump(folder, f"confluent-{how}", topics)
    deadline = time.monotonic() + 20
    while dump.count < count and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            return [str(message.error())]
        dump.add(message.topic(), message.key(), message.value(), message.headers())
    dump.close()
    if how == "subscribe":
        consumer.commit(asynchronous=False)
    consumer.close()
    return [] if dump.count == count else [f"read {dump.count} of {count} records within 20 s"]


if sys.argv[1] == "produce":
    problems = produce(sys.argv[2], sys.argv[3], sys.argv[4:])
else:
    problems = consume(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5:])
print("\n".join(problems[:10]))
sys.exit(1 if problems else 0)
