"""Topic administration and group inspection by third-party clients; prints one fact a line.

confluent|python BOOTSTRAP           makes, enlarges, describes and deletes topics
lag BOOTSTRAP GROUP TOPIC            how far a group is, by both clients
"""
import sys


def confluent(bootstrap):
    from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, ResourceType

    admin = AdminClient({"bootstrap.servers": bootstrap})
    topic = "made-by-confluent"

    def wait(futures):
        for name, future in futures.items():
            future.result(timeout=20)

    wait(admin.create_topics([NewTopic(topic, 3, 1, config={"max.message.bytes": "2097152"})]))
    print("made with", len(admin.list_topics(topic, timeout=10).topics[topic].partitions))
    wait(admin.create_partitions([NewPartitions(topic, 5)]))
    print("enlarged to", len(admin.list_topics(topic, timeout=10).topics[topic].partitions))
    resource = ConfigResource(ResourceType.TOPIC, topic)
    settings = admin.describe_configs([resource])[resource].result(timeout=20)
    print("max.message.bytes", settings["max.message.bytes"].value)
    try:
        wait(admin.create_topics([NewTopic(topic, 1, 1)]))
        print("made twice")
    except Exception as error:
        print("again:", error.args[0].name())
    groups = admin.list_consumer_groups().result(timeout=20)
    print("groups", ",".join(sorted(group.group_id for group in groups.valid)))
    wait(admin.delete_topics([topic]))
    print("deleted", topic not in admin.list_topics(timeout=10).topics)


def python(bootstrap):
    from kafka.admin import KafkaAdminClient, NewPartitions, NewTopic

    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    topic = "made-by-python"
    admin.create_topics([NewTopic(name=topic, num_partitions=3, replication_factor=1)])
    print("made with", len(admin.describe_topics([topic])[0]["partitions"]))
    admin.create_partitions({topic: NewPartitions(total_count=5)})
    print("enlarged to", len(admin.describe_topics([topic])[0]["partitions"]))
    groups = admin.list_groups() if hasattr(admin, "list_groups") else admin.list_consumer_groups()
    names = [group["group_id"] if isinstance(group, dict) else group[0] for group in groups]
    print("groups", ",".join(sorted(names)))
    admin.delete_topics([topic])
    print("deleted", topic not in admin.list_topics())
    admin.close()


def lag(bootstrap, group, topic):
    from confluent_kafka import Consumer, TopicPartition
    from kafka import KafkaConsumer
    from kafka import TopicPartition as PythonPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    partitions = sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    committed = consumer.committed([TopicPartition(topic, partition) for partition in partitions], timeout=10)
    for entry in committed:
        _, high = consumer.get_watermark_offsets(entry, timeout=10)
        print("confluent", entry.partition, entry.offset, high - entry.offset)
    consumer.close()
    other = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    names = [PythonPartition(topic, partition) for partition in partitions]
    ends = other.end_offsets(names)
    for name in names:
        offset = other.committed(name)
        print("python", name.partition, offset, ends[name] - offset)
    other.close()


globals()[sys.argv[1]](*sys.argv[2:])
