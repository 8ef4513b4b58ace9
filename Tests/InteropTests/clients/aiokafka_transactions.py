"""Transactions of aiokafka against a broker: commit, abort, fencing by a second instance, consumed offsets.

BOOTSTRAP TARGET: TARGET has one partition. Prints what was seen, a fact a line.
"""
import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import ProducerFenced

bootstrap, target = sys.argv[1:]


async def producer():
    made = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id="interop-aio")
    await made.start()
    return made


async def read(level):
    partition = TopicPartition(target, 0)
    reader = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level=level, auto_offset_reset="earliest", enable_auto_commit=False)
    await reader.start()
    reader.assign([partition])
    await reader.seek_to_beginning(partition)
    seen = []
    while True:
        batch = await reader.getmany(partition, timeout_ms=1000)
        if not batch:
            break
        seen += [record.value.decode() for record in batch[partition]]
    await reader.stop()
    return seen


async def main():
    first = await producer()
    async with first.transaction():
        await first.send_and_wait(target, b"one")
        await first.send_and_wait(target, b"two")
        await first.send_offsets_to_transaction({TopicPartition(target, 0): 7}, "aio-group")
    await first.begin_transaction()
    await first.send_and_wait(target, b"lost")
    await first.send_offsets_to_transaction({TopicPartition(target, 0): 9}, "aio-group")
    await first.abort_transaction()
    print("committed:", await read("read_committed"))
    print("all:", await read("read_uncommitted"))
    await first.begin_transaction()
    await first.send_and_wait(target, b"of the first")
    second = await producer()
    async with second.transaction():
        await second.send_and_wait(target, b"of the second")
    try:
        await first.send_and_wait(target, b"more")
        await first.commit_transaction()
        print("the first went on")
    except ProducerFenced:
        print("fenced")
    print("committed:", await read("read_committed"))
    group = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id="aio-group", enable_auto_commit=False)
    await group.start()
    print("offset:", await group.committed(TopicPartition(target, 0)))
    await group.stop()
    for one in (first, second):
        try:
            await one.stop()
        except ProducerFenced:
            pass


asyncio.run(main())
