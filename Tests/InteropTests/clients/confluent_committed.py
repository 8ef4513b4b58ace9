"""Reads topics with confluent-kafka, committed records only.

BOOTSTRAP TOPIC ...: prints key, a tab and value of every committed record, a line each, partition by partition in order.
"""
import sys

from confluent_kafka import Consumer, KafkaError, TopicPartition

bootstrap, topics = sys.argv[1], sys.argv[2:]
reader = Consumer({
    "bootstrap.servers": bootstrap, "group.id": "independent-reader", "isolation.level": "read_committed",
    "auto.offset.reset": "earliest", "enable.auto.commit": False, "enable.partition.eof": True})
found = reader.list_topics(timeout=20).topics
partitions = [TopicPartition(topic, partition, 0) for topic in topics for partition in found[topic].partitions]
assert partitions, "no such topic"
reader.assign(partitions)
seen, ended = {(p.topic, p.partition): [] for p in partitions}, set()
while len(ended) < len(partitions):
    message = reader.poll(20)
    assert message is not None, "nothing came"
    place = (message.topic(), message.partition())
    if message.error():
        assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
        ended.add(place)
    else:
        seen[place].append(b"\t".join((message.key() or b"", message.value() or b"")))
reader.close()
for _, lines in sorted(seen.items()):
    for line in lines:
        sys.stdout.buffer.write(line + b"\n")
