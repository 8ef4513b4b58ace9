/* librdkafka's consumer and producer doing what the benchmarks measure, in C, in the configuration that was fastest here.

   usage: librdkafka count|filter --bootstrap HOST:PORT --topic TOPIC --partitions 0,1,... --records N,N,...
          librdkafka produce --bootstrap HOST:PORT --topic TOPIC --partitions 0,1,... --records N --lines FILE

     count    consumes and adds up lengths and hashes of the values
     filter   the same for the values that hold "ea"
     produce  sends the lines of FILE in turn: idempotent, acks=all, lz4

   consume: --records has the count of each partition, and it stops when it has them all: the end of a partition is told
   up to two long polls late. check.crcs is on; whole batches of messages are taken from one queue. The output is one line
   of name=value pairs; seconds begin before the client is made. */

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "hash64.h"

static void die(const char *what, const char *why) {
  fprintf(stderr, "librdkafka: %s: %s\n", what, why);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void set(rd_kafka_conf_t *configuration, const char *name, const char *value) {
  char why[512];
  if (rd_kafka_conf_set(configuration, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) die(name, why);
}

static const char *bootstrap, *topic = "lines", *lines_path;
static int partitions[1000], partition_count;
static uint64_t wanted;

/* ---- Consumer. ---- */

static bool holds_needle(const uint8_t *value, size_t count) {
  const uint8_t *at = value, *end = value + count;
  while (end - at >= 2 && (at = memchr(at, 'e', (size_t)(end - at - 1))) != NULL) {
    if (at[1] == 'a') return true;
    at++;
  }
  return false;
}

static void consume(bool filters) {
  double began = now();
  rd_kafka_conf_t *configuration = rd_kafka_conf_new();
  set(configuration, "bootstrap.servers", bootstrap);
  set(configuration, "group.id", "librdkafka-benchmark");
  set(configuration, "check.crcs", "true");
  set(configuration, "enable.auto.commit", "false");
  set(configuration, "enable.auto.offset.store", "false");
  set(configuration, "fetch.message.max.bytes", "8388608");
  set(configuration, "fetch.max.bytes", "67108864");
  set(configuration, "fetch.error.backoff.ms", "1");
  set(configuration, "queued.min.messages", "1000000");
  set(configuration, "queued.max.messages.kbytes", "262144");
  char why[512];
  rd_kafka_t *client = rd_kafka_new(RD_KAFKA_CONSUMER, configuration, why, sizeof why);
  if (client == NULL) die("consumer", why);
  rd_kafka_poll_set_consumer(client);
  /* Asked for beforehand: a partition whose leader is not known yet waits half a second for it. */
  rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
  const struct rd_kafka_metadata *metadata = NULL;
  rd_kafka_resp_err_t error = rd_kafka_metadata(client, 0, handle, &metadata, 10000);
  if (error != 0) die("metadata", rd_kafka_err2str(error));
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partition_count);
  for (int index = 0; index < partition_count; index++)
    rd_kafka_topic_partition_list_add(list, topic, partitions[index])->offset = RD_KAFKA_OFFSET_BEGINNING;
  if ((error = rd_kafka_assign(client, list)) != 0) die("partitions", rd_kafka_err2str(error));
  rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(client);

  enum { AT_ONCE = 10000 };
  static rd_kafka_message_t *messages[AT_ONCE];
  uint64_t records = 0, bytes = 0, hash = 0, matches = 0, match_hash = 0;
  while (records < wanted) {
    ssize_t got = rd_kafka_consume_batch_queue(queue, 1000, messages, AT_ONCE);
    if (got < 0) die("consume", rd_kafka_err2str(rd_kafka_last_error()));
    for (ssize_t index = 0; index < got; index++) {
      rd_kafka_message_t *message = messages[index];
      if (message->err == 0) {
        const uint8_t *value = message->payload;
        size_t count = message->len;
        records++;
        if (!filters) {
          bytes += count;
          hash += hash64(value, count);
        } else if (holds_needle(value, count)) {
          matches++;
          match_hash += hash64(value, count);
        }
      } else if (message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        die("message", rd_kafka_message_errstr(message));
      }
      rd_kafka_message_destroy(message);
    }
  }
  printf(
      "records=%llu value_bytes=%llu hash=%llu matches=%llu match_hash=%llu seconds=%.6f\n",
      (unsigned long long)records, (unsigned long long)bytes, (unsigned long long)hash, (unsigned long long)matches,
      (unsigned long long)match_hash, now() - began);
  /* Closing takes its time and is not what is measured. */
  fflush(stdout);
  _Exit(0);
}

/* ---- Producer. ---- */

static uint64_t delivered, failed;

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
  (void)client;
  (void)opaque;
  if (message->err == 0)
    delivered++;
  else
    failed++;
}

static void produce(void) {
  FILE *file = fopen(lines_path, "rb");
  if (file == NULL) die(lines_path, "cannot be read");
  fseek(file, 0, SEEK_END);
  size_t size = (size_t)ftell(file);
  rewind(file);
  char *text = malloc(size + 1);
  if (text == NULL || size == 0 || fread(text, 1, size, file) != size) die(lines_path, "cannot be read");
  fclose(file);

  double began = now();
  rd_kafka_conf_t *configuration = rd_kafka_conf_new();
  set(configuration, "bootstrap.servers", bootstrap);
  set(configuration, "enable.idempotence", "true");
  set(configuration, "acks", "all");
  set(configuration, "compression.codec", "lz4");
  set(configuration, "linger.ms", "50");
  set(configuration, "batch.size", "1000000");
  set(configuration, "batch.num.messages", "10000");
  set(configuration, "queue.buffering.max.messages", "1000000");
  set(configuration, "queue.buffering.max.kbytes", "1048576");
  rd_kafka_conf_set_dr_msg_cb(configuration, on_delivery);
  char why[512];
  rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, configuration, why, sizeof why);
  if (client == NULL) die("producer", why);
  rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);

  enum { AT_ONCE = 10000 };
  static rd_kafka_message_t messages[AT_ONCE];
  uint64_t sent = 0, bytes = 0, hash = 0;
  char *at = text;
  for (int turn = 0; sent < wanted; turn = (turn + 1) % partition_count) {
    int count = 0;
    for (; count < AT_ONCE && sent + (uint64_t)count < wanted; count++) {
      if (at >= text + size) at = text;
      char *end = memchr(at, '\n', (size_t)(text + size - at));
      if (end == NULL) end = text + size;
      messages[count] = (rd_kafka_message_t){.payload = at, .len = (size_t)(end - at)};
      bytes += (uint64_t)(end - at);
      hash += hash64((const uint8_t *)at, (size_t)(end - at));
      at = end + 1;
    }
    sent += (uint64_t)count;
    /* What did not find room is tried again. */
    rd_kafka_message_t *rest = messages;
    int left = count;
    while (left > 0) {
      int taken = rd_kafka_produce_batch(handle, partitions[turn], 0, rest, left);
      if (taken < left) {
        rd_kafka_poll(client, 5);
        int kept = 0;
        for (int index = 0; index < left; index++)
          if (rest[index].err == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            rest[kept] = rest[index];
            rest[kept++].err = 0;
          } else if (rest[index].err != 0) {
            die("produce", rd_kafka_err2str(rest[index].err));
          }
        left = kept;
      } else {
        left = 0;
      }
    }
    rd_kafka_poll(client, 0);
  }
  if (rd_kafka_flush(client, 60000) != 0 || failed != 0 || delivered != wanted)
    die("produce", "not everything was delivered");
  printf(
      "records=%llu value_bytes=%llu hash=%llu seconds=%.6f\n", (unsigned long long)delivered,
      (unsigned long long)bytes, (unsigned long long)hash, now() - began);
}

int main(int argc, char **argv) {
  for (int index = 2; index + 1 < argc; index += 2) {
    char *value = argv[index + 1];
    if (strcmp(argv[index], "--bootstrap") == 0) bootstrap = value;
    if (strcmp(argv[index], "--topic") == 0) topic = value;
    if (strcmp(argv[index], "--lines") == 0) lines_path = value;
    if (strcmp(argv[index], "--records") == 0)
      for (char *at = value; *at != 0; at += *at == ',') wanted += strtoull(at, &at, 10);
    if (strcmp(argv[index], "--partitions") == 0)
      for (char *at = value; *at != 0 && partition_count < 1000; at += *at == ',')
        partitions[partition_count++] = (int)strtol(at, &at, 10);
  }
  if (argc < 2 || bootstrap == NULL || partition_count == 0 || wanted == 0) {
    fprintf(
        stderr, "usage: librdkafka count|filter|produce --bootstrap HOST:PORT --topic TOPIC --partitions 0,1 "
                "--records N [--lines FILE]\n");
    return 2;
  }
  if (strcmp(argv[1], "count") == 0) consume(false);
  else if (strcmp(argv[1], "filter") == 0) consume(true);
  else if (strcmp(argv[1], "produce") == 0 && lines_path != NULL) produce();
  else die(argv[1], "is not understood");
  return 0;
}
