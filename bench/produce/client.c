// SPDX-License-Identifier: Apache-2.0
// What librdkafka's own C interface reaches with the values and settings that the agent has: produce, poll for
// delivery reports, a bounded number of bytes on the way. Prints seconds of wall clock and of CPU.
//
// client VALUES TOPIC PARTITIONS WINDOW_BYTES KEY=VALUE...   VALUES: 32 bits of length, then that many bytes

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

// Of librdkafka's rdkafka.h, so that the library beside the Python client is enough to build this.
typedef struct rd_kafka_s rd_kafka_t;
typedef struct rd_kafka_conf_s rd_kafka_conf_t;
typedef struct rd_kafka_topic_s rd_kafka_topic_t;
typedef struct rd_kafka_message_s {
	int err;
	rd_kafka_topic_t *rkt;
	int32_t partition;
	void *payload;
	size_t len;
	void *key;
	size_t key_len;
	int64_t offset;
	void *_private;
} rd_kafka_message_t;
rd_kafka_conf_t *rd_kafka_conf_new(void);
int rd_kafka_conf_set(rd_kafka_conf_t *, const char *, const char *, char *, size_t);
void rd_kafka_conf_set_dr_msg_cb(rd_kafka_conf_t *,
				 void (*)(rd_kafka_t *, const rd_kafka_message_t *, void *));
rd_kafka_t *rd_kafka_new(int, rd_kafka_conf_t *, char *, size_t);
rd_kafka_topic_t *rd_kafka_topic_new(rd_kafka_t *, const char *, void *);
int rd_kafka_produce(rd_kafka_topic_t *, int32_t, int, void *, size_t, const void *, size_t,
		     void *);
int rd_kafka_poll(rd_kafka_t *, int);
enum { PRODUCER = 0, COPY = 2 };

static size_t on_the_way, delivered;
static int partitions;

static void fail(const char *what)
{
	fprintf(stderr, "client: %s\n", what);
	exit(1);
}

static void report(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
	(void)client, (void)opaque;
	if (message->err)
		fail("a record was not delivered");
	on_the_way -= message->len;
	delivered++;
}

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static double cpu(void)
{
	struct rusage used;
	getrusage(RUSAGE_SELF, &used);
	return used.ru_utime.tv_sec + used.ru_stime.tv_sec +
	       (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static char *contents(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	if (!file || fseek(file, 0, SEEK_END))
		fail(path);
	*size = ftell(file);
	rewind(file);
	char *all = malloc(*size);
	if (!all || fread(all, 1, *size, file) != *size)
		fail(path);
	fclose(file);
	return all;
}

static rd_kafka_t *producer(int count, char **settings)
{
	char why[512];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	for (int i = 0; i < count; i++) {
		char *value = strchr(settings[i], '=');
		*value++ = 0;
		if (rd_kafka_conf_set(conf, settings[i], value, why, sizeof(why)))
			fail(why);
	}
	rd_kafka_conf_set_dr_msg_cb(conf, report);
	rd_kafka_t *client = rd_kafka_new(PRODUCER, conf, why, sizeof(why));
	if (!client)
		fail(why);
	return client;
}

static void produce(rd_kafka_t *client, rd_kafka_topic_t *topic, int partition, char *value,
		    uint32_t len)
{
	if (rd_kafka_produce(topic, partition, COPY, value, len, NULL, 0, NULL))
		fail("a record was not taken");
	on_the_way += len;
	if (partition == partitions - 1) // a turn of the agent: a record a shard, then one poll
		rd_kafka_poll(client, 0);
}

int main(int argc, char **argv)
{
	if (argc < 5)
		fail("VALUES TOPIC PARTITIONS WINDOW_BYTES KEY=VALUE...");
	size_t size, window = strtoull(argv[4], NULL, 10), produced = 1;
	char *all = contents(argv[1], &size);
	partitions = atoi(argv[3]);
	rd_kafka_t *client = producer(argc - 5, argv + 5);
	rd_kafka_topic_t *topic = rd_kafka_topic_new(client, argv[2], NULL);
	for (int i = 0; i < partitions;
	     i++) // connections and producer id are there before the clock runs
		produce(client, topic, i, "warm", 4);
	while (on_the_way)
		rd_kafka_poll(client, 10);
	double began = seconds(), cpu_began = cpu();
	produced = 0;
	delivered = 0;
	for (char *at = all; at < all + size; produced++) {
		uint32_t len;
		memcpy(&len, at, sizeof(len));
		produce(client, topic, produced % partitions, at + sizeof(len), len);
		at += sizeof(len) + len;
		while (on_the_way > window)
			rd_kafka_poll(client, 1);
	}
	while (on_the_way)
		rd_kafka_poll(client, 1);
	if (delivered != produced)
		fail("records are missing");
	printf("%.6f %.6f\n", seconds() - began, cpu() - cpu_began);
	return 0;
}
