/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel hands to the agent. agent/decode.py mirrors every struct and bit of this file, and a test
 * compares them. All numbers are in the host's byte order.
 *
 * A record is one header and `count` slots of one stream. A stream is what one hook of one CPU emits,
 * numbered without a gap: a hole in the sequence is a number of lost slots.
 */
#ifndef WIRELAG_EVENT_H
#define WIRELAG_EVENT_H

#define KIND_SEND 1
#define KIND_RECEIVE 2
#define KIND_ARRIVAL 3
#define KIND_CONNECT 4
#define KIND_CLOSE 5
#define KIND_RETRANSMIT 6

/* Facts */
#define KIND_CONNECTION 16
#define KIND_TASK 17
#define KIND_TOTALS 18

/* Hooks, each with a batch of its own on every CPU. Facts of hook h are stream h + STREAM_FACTS. */
#define HOOK_SEND 0
#define HOOK_RECEIVE 1
#define HOOK_ARRIVAL 2
#define HOOK_STATE 3
#define HOOK_RETRANSMIT 4
#define HOOKS 5
#define STREAM_FACTS 16

/* Event flags */
#define FLAG_LAST_PIECE (1 << 0) /* of a send or receive call */
#define FLAG_FIRST_PIECE (1 << 1)
#define FLAG_UNCERTAIN (1 << 2) /* receive: a part of the call was not seen */
#define FLAG_FAST_OPEN (1 << 3) /* send: went out with the SYN */
#define FLAG_BACKLOG (1 << 4) /* arrival: run from the socket's backlog, stamped late */
#define FLAG_SHARED_READ (1 << 5) /* receive: MSG_WAITALL, or other readers took bytes in between */
#define FLAG_TRUNCATED (1 << 6) /* receive: MSG_TRUNC, consumed and thrown away */
#define FLAG_URGENT (1 << 7) /* send: MSG_OOB; receive: urgent data was around */
#define FLAG_NO_ROLE (1 << 8) /* opener not known: position may be one too low */
#define FLAG_NO_ARRIVAL (1 << 9) /* receive: some bytes had no arrival; time - duration bounds it */
#define FLAG_NO_CALL (1 << 10) /* receive: consumed, but no call's end was seen (splice, ...) */
#define FLAG_FAILED (1 << 11) /* connect: none came of it; retransmit: it did not leave */
#define FLAG_OLDER (1 << 12) /* close: the opening was not seen */
#define FLAG_ABORTED (1 << 13) /* close: by a reset or an error */
#define FLAG_OPEN (1 << 14) /* close: it is not one yet, but an account in between */

/* Connection flags */
#define CONNECTION_OLDER (1 << 0) /* its opening was not seen */
#define CONNECTION_NO_ROLE (1 << 1) /* FLAG_NO_ROLE is set on all its events */
#define CONNECTION_MPTCP (1 << 2) /* blind: a subflow of multipath TCP; no events */
#define CONNECTION_ULP (1 << 3) /* blind: kernel TLS or another upper layer; no events */
#define CONNECTION_REPLACED (1 << 4) /* blind: its protocol was replaced (sockmap); no events */
#define CONNECTION_REPAIR (1 << 5) /* blind: opened by TCP_REPAIR, no bytes moved; no events */
#define CONNECTION_BLIND \
	(CONNECTION_MPTCP | CONNECTION_ULP | CONNECTION_REPLACED | CONNECTION_REPAIR)

#define ROLE_UNKNOWN 0
#define ROLE_ACTIVE 1
#define ROLE_PASSIVE 2

struct record {
	u64 first_sequence; /* of the first slot, within its stream on this CPU */
	u32 count;
	u16 cpu;
	u8 stream;
	u8 version;
};

#define RECORD_VERSION 1

struct event {
	u64 time_ns; /* CLOCK_MONOTONIC; send: first hit of the call, receive: its end, connect: the SYN */
	u64 duration_ns; /* send: end of the call - time; receive: time - last copy; connect: until decided;
			    close: of the connection; else 0 */
	u64 sock; /* kernel address: never leaves the agent */
	u64 position; /* first byte of the range; arrival: its end, bytes in the kernel so far;
			 connect: SYNs sent again; close: bytes sent */
	u32 length; /* bytes; connect: errno */
	u32 iss;
	u32 irs;
	u32 srtt_us;
	u32 tgid; /* 0 = in no process's name */
	u32 tid;
	u16 flags;
	u8 kind;
	u8 cpu;
	u32 rates; /* of sampling when it was kept: connections << 16 | blocks; 0 = everything was */
};

struct connection_fact {
	u64 time_ns;
	u64 sock;
	u64 cgroup; /* v2 id of the cgroup that made the socket */
	u8 local_address[16]; /* IPv4 mapped into IPv6 */
	u8 remote_address[16];
	u32 netns;
	u32 iss;
	u32 irs;
	u16 local_port; /* host order */
	u16 remote_port;
	u16 family; /* 2 or 10; mapped IPv4 is 2 */
	u8 role;
	u8 opener_comm[16]; /* of the process that made the socket, or its listener */
	u8 padding;
	u32 opener_tgid; /* 0 = not known */
	u8 reserved[11];
	u8 kind;
	u32 flags;
};

struct task_fact {
	u64 time_ns;
	u64 start_ns; /* of the thread, CLOCK_MONOTONIC */
	u64 cgroup; /* v2 id */
	u8 comm[16];
	u8 leader_comm[16];
	u32 tgid;
	u32 tid;
	u8 reserved[43];
	u8 kind;
	u32 flags;
};

/* What a connection moved, as the kernel counts; told with each close event, and at each further announcement. */
struct totals_fact {
	u64 time_ns; /* of the event */
	u64 sock;
	u64 opened_ns; /* 0 = its opening was not seen */
	u64 sent_bytes; /* given to the stream by this end, without its FIN */
	u64 received_bytes; /* in this kernel, without the peer's FIN */
	u64 read_bytes; /* taken from the socket */
	u64 base_sent; /* where the streams stood when following began */
	u64 base_read;
	u64 retransmitted_bytes;
	u32 iss;
	u32 irs;
	u32 srtt_us;
	u32 min_rtt_us;
	u32 retransmits;
	u32 sent_segments;
	u32 received_segments;
	u16 state; /* of TCP, before the end; 0 = it goes on */
	u8 role;
	u8 reserved[4];
	u8 kind;
	u32 flags;
};

#define FACT_SIZE 112

_Static_assert(sizeof(struct record) == 16, "record");
_Static_assert(sizeof(struct event) == 64, "event");
_Static_assert(sizeof(struct connection_fact) == FACT_SIZE, "connection_fact");
_Static_assert(sizeof(struct task_fact) == FACT_SIZE, "task_fact");
_Static_assert(sizeof(struct totals_fact) == FACT_SIZE, "totals_fact");

#endif
