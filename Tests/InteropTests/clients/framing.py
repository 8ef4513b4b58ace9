"""The frame in which records pass between the tests and these clients.

A record: key, value, number of headers, and key and value of each header. Lengths and numbers are big-endian int32; a
length of -1 is null.
"""
import struct


def read(path):
    """The records of a file, as (key, value, [(header key, header value)])."""
    with open(path, "rb") as file:
        data = file.read()
    position = 0

    def number():
        nonlocal position
        (value,) = struct.unpack_from(">i", data, position)
        position += 4
        return value

    def piece():
        nonlocal position
        count = number()
        if count < 0:
            return None
        position += count
        return data[position - count:position]

    records = []
    while position < len(data):
        key, value, count = piece(), piece(), number()
        records.append((key, value, [(piece().decode(), piece()) for _ in range(count)]))
    return records


def append(file, key, value, headers):
    """Writes a record to an open file."""
    def put(data):
        if data is None:
            file.write(struct.pack(">i", -1))
        else:
            file.write(struct.pack(">i", len(data)) + bytes(data))

    put(key)
    put(value)
    file.write(struct.pack(">i", len(headers)))
    for name, content in headers:
        put(name.encode())
        put(content)


class Dump:
    """Files FOLDER/TOPIC.READER for what a reader got, one a topic."""

    def __init__(self, folder, reader, topics):
        self.files = {topic: open(f"{folder}/{topic}.{reader}", "wb") for topic in topics}
        self.count = 0

    def add(self, topic, key, value, headers):
        append(self.files[topic], key, value, headers or [])
        self.count += 1

    def close(self):
        for file in self.files.values():
            file.close()
