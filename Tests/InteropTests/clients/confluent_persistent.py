"""An idempotent acks=all producer of confluent-kafka that goes on while its broker is killed.

BOOTSTRAP TOPIC FILE: writes the numbers 0, 1, 2 ... to partition 0 until its input ends, then waits for the rest; FILE
gets each number that was acknowledged, in the order of the acknowledgements. Prints how many were sent.
"""
import select
import sys

from confluent_kafka import Producer

bootstrap, topic, path = sys.argv[1:]
fatal = []
producer = Producer({
    "bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "linger.ms": 2,
    "compression.type": "zstd", "delivery.timeout.ms": 120000, "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 50, "retry.backoff.max.ms": 200,
    "error_cb": lambda error: fatal.append(str(error)) if error.fatal() else None})
acknowledged = open(path, "w", buffering=1)
failed = []


def delivered(number):
    def note(error, message):
        if error:
            failed.append(f"{number}: {error}")
        else:
            acknowledged.write(f"{number}\n")
    return note


number = 0
print("ready", flush=True)
while not fatal and not select.select([sys.stdin], [], [], 0)[0]:
    if len(producer) < 200:
        producer.produce(topic, partition=0, value=f"{number}".encode(), on_delivery=delivered(number))
        number += 1
        producer.poll(0)
    else:
        producer.poll(0.01)
left = producer.flush(60)
acknowledged.close()
print("sent", number)
for line in (fatal + failed)[:10]:
    print("failed", line)
if left:
    print("failed", left, "were not answered for")
sys.exit(1 if fatal or failed or left else 0)
