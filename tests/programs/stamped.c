/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client and a server that speak just enough HTTP/1.1 to note the time next to their calls, with nothing between
 * the call and the clock that takes long: stamped ask HOST PORT COUNT THINK_US, stamped serve HOST PORT.
 * Each prints nanoseconds, one a line: how long a response took, how long the server thought.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BODY 500
#define MOST 10000

static long noted[MOST];
static char buffer[4096];

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static long ask(int sock, long think_us)
{
	char request[100];
	int length = snprintf(request, sizeof(request), "GET /%ld HTTP/1.1\r\nHost: a\r\n\r\n", think_us);
	long got = 0, before, took;
	char *body;

	before = now();
	if (send(sock, request, length, 0) != length)
		exit(1);
	got = recv(sock, buffer, sizeof(buffer) - 1, 0);
	took = now() - before;
	for (;;) {
		buffer[got] = 0;
		body = strstr(buffer, "\r\n\r\n");
		if (body && buffer + got - body >= BODY + 4)
			return took;
		got += recv(sock, buffer + got, sizeof(buffer) - 1 - got, 0);
	}
}

static int answer(int sock, long *thought)
{
	long got = recv(sock, buffer, sizeof(buffer) - 1, 0);
	long read_at = now(), us, length;
	struct timespec pause;
	char page[BODY + 100] = {0};

	if (got <= 0)
		return 0;
	buffer[got] = 0;
	us = atol(buffer + strlen("GET /"));
	pause = (struct timespec){us / 1000000, us % 1000000 * 1000};
	nanosleep(&pause, NULL);
	length = snprintf(page, sizeof(page), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BODY) + BODY;
	*thought = now() - read_at;
	return send(sock, page, length, 0) == length;
}

int main(int count, char **words)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(words[3]))};
	int sock = socket(AF_INET, SOCK_STREAM, 0), one = 1, n = 0, i;

	inet_aton(words[2], &at.sin_addr);
	if (count == 4) {
		if (bind(sock, (void *)&at, sizeof(at)) || listen(sock, 1))
			return 1;
		sock = accept(sock, NULL, NULL);
		while (n < MOST && answer(sock, &noted[n]))
			n++;
	} else {
		if (connect(sock, (void *)&at, sizeof(at)))
			return 1;
		setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		for (n = 0; n < atoi(words[4]); n++)
			noted[n] = ask(sock, atol(words[5]) * (2 + n % 3) / 2);
	}
	for (i = 0; i < n; i++)
		printf("%ld\n", noted[i]);
	return 0;
}
