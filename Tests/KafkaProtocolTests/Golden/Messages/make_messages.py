"""Writes messages.txt: every message and version that Sluice defines, encoded by kafka-python.

    python3 -m venv venv && venv/bin/pip install kafka-python==3.0.12
    venv/bin/python make_messages.py > messages.txt

The fields are filled from a counter in wire order; GoldenFiller.swift fills by the same rule, so equal bytes mean equal
fields in equal order. Rules, n being the counter after it was raised by one for the field:
    bool        n odd
    int8        n % 100            int16   n                 int32   n * 1000 + 7      int64  n * 100000 + 9
    error code  as int16           string  "s" + n           bytes   b"b" + n          uuid   the 16 bytes n, n+1, ...
    null        a nullable string or bytes or array where n % 5 == 0 and the version allows null
    array       counts one n, then 2 elements
    tagged      after the plain fields of the structure, by ascending tag
"""
import uuid

import kafka.protocol.admin
import kafka.protocol.consumer
import kafka.protocol.metadata
import kafka.protocol.producer
from kafka.protocol.schemas import BaseField

MODULES = (kafka.protocol.admin, kafka.protocol.consumer, kafka.protocol.metadata, kafka.protocol.producer)

RANGES = {
    "Produce": 12, "Fetch": 13, "ListOffsets": 8, "Metadata": 12, "OffsetCommit": 9, "OffsetFetch": 9,
    "FindCoordinator": 5, "ApiVersions": 4, "CreateTopics": 7, "DeleteTopics": 6, "CreatePartitions": 3,
    "DescribeConfigs": 4, "InitProducerId": 5, "JoinGroup": 9, "Heartbeat": 4, "LeaveGroup": 5, "SyncGroup": 5,
    "DescribeGroups": 5, "ListGroups": 4, "DeleteGroups": 2,
    "AddPartitionsToTxn": 5, "AddOffsetsToTxn": 4, "EndTxn": 5, "WriteTxnMarkers": 1, "TxnOffsetCommit": 5,
    "DescribeProducers": 0, "DescribeTransactions": 0, "ListTransactions": 1,
}


def span(text):
    if text in (None, "none"):
        return range(0)
    if text.endswith("+"):
        return range(int(text[:-1]), 1000)
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


class Filler:
    def __init__(self, version):
        self.n, self.version = 0, version

    def scalar(self, kind):
        n = self.n
        return {
            "bool": lambda: n % 2 == 1, "int8": lambda: n % 100, "int16": lambda: n, "int32": lambda: n * 1000 + 7,
            "int64": lambda: n * 100000 + 9, "string": lambda: "s%d" % n, "bytes": lambda: b"b%d" % n,
            "bitfield": lambda: {b for b in range(31) if (n * 1000 + 7) >> b & 1},
            "records": lambda: b"b%d" % n, "uuid": lambda: uuid.UUID(bytes=bytes((n + i) % 256 for i in range(16))),
        }[kind]()

    def value(self, field):
        kind = field["type"]
        is_array = kind.startswith("[]")
        if "fields" in field and not is_array:
            return self.structure(field["fields"])
        self.n += 1
        if self.version in span(field.get("nullableVersions")) and self.n % 5 == 0:
            return None
        if not is_array:
            return self.scalar(kind)
        items = []
        for _ in range(2):
            if "fields" in field:
                items.append(self.structure(field["fields"]))
            else:
                self.n += 1
                items.append(self.scalar(kind[2:]))
        return items

    def structure(self, fields):
        present = [f for f in fields if self.version in span(f["versions"])]
        plain = [f for f in present if self.version not in span(f.get("taggedVersions"))]
        tagged = sorted((f for f in present if f not in plain), key=lambda f: f["tag"])
        return {BaseField.underscore_name(f["name"]): self.value(f) for f in plain + tagged}


for name, last in RANGES.items():
    for side in ("Request", "Response"):
        message = next(getattr(m, name + side) for m in MODULES if hasattr(m, name + side))
        for version in range(0, last + 1):
            filled = Filler(version).structure(message.json["fields"])
            flexible = message.flexible_version_q(version)
            encoded = message._struct.encode(filled, version=version, compact=flexible, tagged=flexible)
            print(name + side, version, encoded.hex())
