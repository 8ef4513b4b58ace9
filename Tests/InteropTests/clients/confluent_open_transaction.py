"""A transactional producer of confluent-kafka that leaves its transaction open.

BOOTSTRAP TOPIC ID: writes two records to partition 0 in a transaction, says so, and ends with its input.
"""
import os
import sys

from confluent_kafka import Producer

bootstrap, topic, name = sys.argv[1:]
producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": name, "linger.ms": 1})
producer.init_transactions(20)
producer.begin_transaction()
for number in range(2):
    producer.produce(topic, partition=0, value=f"open {number}")
producer.flush(20)
print("open", flush=True)
sys.stdin.read()
os._exit(0)
