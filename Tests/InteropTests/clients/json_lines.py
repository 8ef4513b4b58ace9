"""Reads records as lines of JSON and writes them as frames, in the order of their offsets.

IN OUT: prints each topic and partition with its first and last offset.
"""
import base64
import json
import sys

import framing


def content(value):
    if value is None:
        return None
    return base64.b64decode(value["base64"], validate=True) if isinstance(value, dict) else value.encode()


records = []
with open(sys.argv[1], encoding="utf-8", newline="\n") as file:
    for line in file:
        records.append(json.loads(line))
records.sort(key=lambda record: (record["topic"], record["partition"], record["offset"]))
spans = {}
with open(sys.argv[2], "wb") as out:
    for record in records:
        assert set(record) == {"key", "value", "topic", "partition", "offset", "timestamp", "headers"}, record
        assert 1_500_000_000_000 < record["timestamp"] < 4_000_000_000_000, record
        headers = [(name, content(value)) for name, value in record["headers"]]
        framing.append(out, content(record["key"]), content(record["value"]), headers)
        span = spans.setdefault((record["topic"], record["partition"]), [record["offset"], record["offset"]])
        span[1] = record["offset"]
for (topic, partition), (first, last) in spans.items():
    print(f"topic {topic} partition {partition} offsets {first} to {last}")
