"""Transactions of confluent-kafka against a broker: commit, abort, fencing by a second instance, consumed offsets.

BOOTSTRAP SOURCE TARGET: SOURCE holds the numbers 0 to 19 in one partition, TARGET has two. Writes to TARGET, reads it as
a consumer of committed records, and prints what was seen, a fact a line.
"""
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

bootstrap, source, target = sys.argv[1:]


def producer(name):
    made = Producer({"bootstrap.servers": bootstrap, "transactional.id": name, "linger.ms": 1})
    made.init_transactions(20)
    return made


def consumer(group, level="read_committed"):
    return Consumer({
        "bootstrap.servers": bootstrap, "group.id": group, "isolation.level": level, "auto.offset.reset": "earliest",
        "enable.auto.commit": False, "enable.partition.eof": True})


def read(group, level):
    reader = consumer(group, level)
    reader.assign([TopicPartition(target, partition, 0) for partition in range(2)])
    seen, ended = [], set()
    while len(ended) < 2:
        message = reader.poll(20)
        assert message is not None, "nothing came"
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            ended.add(message.partition())
        else:
            seen.append(message.value().decode())
    reader.close()
    return sorted(seen)


first = producer("interop")
for round in range(3):
    first.begin_transaction()
    for number in range(4):
        first.produce(target, partition=number % 2, value=f"committed {round} {number}")
    first.commit_transaction(20)
first.begin_transaction()
for number in range(4):
    first.produce(target, partition=number % 2, value=f"aborted {number}")
first.flush(20)
print("while open:", len(read("a", "read_uncommitted")), len(read("a", "read_committed")))
first.abort_transaction(20)
print("after abort:", len(read("a", "read_uncommitted")), len(read("a", "read_committed")))

# A second instance shuts out the first, whose open transaction is aborted.
first.begin_transaction()
first.produce(target, partition=0, value="of the first")
first.flush(20)
second = producer("interop")
second.begin_transaction()
second.produce(target, partition=0, value="of the second")
second.commit_transaction(20)
try:
    first.commit_transaction(20)
    print("the first went on")
except KafkaException as error:
    print("fenced:", error.args[0].name(), error.args[0].fatal())

# Consume, transform, produce: offsets go with the transaction.
reader = consumer("pipeline")
reader.subscribe([source])
count, batches = 0, 0
while count < 20:
    messages = [message for message in reader.consume(5, 20) if not message.error()]
    if not messages:
        continue
    second.begin_transaction()
    for message in messages:
        second.produce(target, partition=1, value=b"doubled " + str(2 * int(message.value())).encode())
    positions = reader.position(reader.assignment())
    second.send_offsets_to_transaction(positions, reader.consumer_group_metadata(), 20)
    if batches == 1:
        # This one fails, and is read again.
        second.abort_transaction(20)
        for position in reader.committed(reader.assignment(), 20):
            reader.seek(position)
    else:
        second.commit_transaction(20)
        count += len(messages)
    batches += 1
print("offset:", reader.committed([TopicPartition(source, 0)], 20)[0].offset)
reader.close()
seen = read("b", "read_committed")
print("doubled:", [int(value.split()[1]) for value in sorted(
    (value for value in seen if value.startswith("doubled")), key=lambda value: int(value.split()[1]))])
print("others:", [value for value in seen if value.startswith("of the")])
