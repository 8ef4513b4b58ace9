"""kafka-python as writer and reader of the codec matrix; arguments as of confluent_matrix.py, topics python-CODEC."""
import sys
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

import framing


def produce(bootstrap, folder, codecs):
    failures = []
    for codec in codecs:
        # One batch holds a whole corpus but its large record; the linger never ends by itself: flush closes the batches.
        producer = KafkaProducer(
            bootstrap_servers=bootstrap, compression_type=None if codec == "none" else codec, linger_ms=60000,
            batch_size=1 << 19, acks="all")
        # The client refuses to write a record without key and value, or a header with a null value; it reads both.
        sent = [
            producer.send(
                f"python-{codec}", partition=0, key=key, value=value,
                headers=[header for header in headers if header[1] is not None])
            for key, value, headers in framing.read(f"{folder}/{codec}.corpus")
            if key is not None or value is not None]
        producer.flush(timeout=30)
        for future in sent:
            try:
                future.get(timeout=1)
            except Exception as error:  # whatever it is, the test shows it
                failures.append(f"{codec}: {error!r}")
        producer.close()
    return failures


def consume(how, bootstrap, folder, count, topics):
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, group_id="python-readers" if how == "subscribe" else None,
        auto_offset_reset="earliest", enable_auto_commit=False)
    if how == "subscribe":
        consumer.subscribe(topics)
    else:
        partitions = [TopicPartition(topic, 0) for topic in topics]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
    dump = framing.Dump(folder, f"python-{how}", topics)
    deadline = time.monotonic() + 20
    while dump.count < count and time.monotonic() < deadline:
        for messages in consumer.poll(timeout_ms=1000).values():
            for message in messages:
                dump.add(message.topic, message.key, message.value, message.headers)
    dump.close()
    if how == "subscribe":
        consumer.commit()
    consumer.close()
    return [] if dump.count == count else [f"read {dump.count} of {count} records within 20 s"]


def keys(bootstrap, topic, count):
    """Writes records with keys, the client's own partitioner choosing; prints key and partition."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    sent = [(number, producer.send(topic, key=f"key {number}".encode(), value=b"")) for number in range(count)]
    producer.flush(timeout=30)
    for number, future in sent:
        print(f"key {number}={future.get(timeout=1).partition}")
    producer.close()
    return []


if sys.argv[1] == "produce":
    problems = produce(sys.argv[2], sys.argv[3], sys.argv[4:])
elif sys.argv[1] == "keys":
    problems = keys(sys.argv[2], sys.argv[3], int(sys.argv[4]))
else:
    problems = consume(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5:])
if problems:
    print("\n".join(problems[:10]))
sys.exit(1 if problems else 0)
