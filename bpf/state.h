/* SPDX-License-Identifier: GPL-2.0-only */
/* What the programs keep between hooks: per connection, per thread, and per CPU and hook. */
#ifndef WIRELAG_STATE_H
#define WIRELAG_STATE_H

#include "event.h"

#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define IPPROTO_TCP 6
#define MSG_OOB 0x1
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_WAITALL 0x100
#define SOCK_DONE 1 /* bit of sk_flags: the peer's FIN was taken */

#define STATE_ESTABLISHED 1
#define STATE_SYN_SENT 2
#define STATE_SYN_RECV 3
#define STATE_FIN_WAIT1 4
#define STATE_FIN_WAIT2 5
#define STATE_CLOSE 7
#define STATE_CLOSE_WAIT 8
#define STATE_LAST_ACK 9
#define STATE_LISTEN 10
#define STATE_CLOSING 11

#define CONN_IGNORED (1 << 0) /* filtered out, or the agent's own */
#define CONN_ANNOUNCED (1 << 1)
#define CONN_OPENED (1 << 2) /* its opening was seen, so cursor and arrived start at a true 0 */
#define CONN_FIN (1 << 3) /* the peer's FIN is counted in bytes_received */
#define CONN_CURSOR (1 << 4) /* cursor is known */
#define CONN_SENT (1 << 5) /* a send was seen, so another cannot be Fast Open */
#define CONN_HANDSHAKE (1 << 6) /* the active opener knows both sequence numbers */
#define CONN_BLIND (1 << 7) /* no sends, receives and arrivals of it, but its end */

/* Written only under the lock of its socket. */
struct conn {
	u64 cursor; /* receive position after the last copy to anyone */
	u64 arrived; /* position of the last arrival */
	u64 opened_ns;
	u64 proto; /* sk_prot when announced: another value later means blind */
	u64 fast_open_duration_ns; /* a send with the SYN, kept until the peer's sequence is known */
	u64 fast_open_task;
	u64 hash; /* of both sequence numbers, alike at both ends: what sampling goes by */
	u64 base_sent; /* where the streams stood when following began */
	u64 base_read;
	u64 opener; /* task that called connect; 0 = it was accepted, or that was not seen */
	u32 fast_open_length;
	u32 iss;
	u32 irs;
	u32 epoch;
	u32 flags;
	u32 fact_flags;
	u8 role;
	u8 opener_comm[16];
	u8 reserved[7];
};

/* Who listens at a port of a namespace. */
struct listener {
	u32 tgid;
	u8 comm[16];
};

struct range {
	u64 position;
	u64 length;
};

struct send_call {
	u64 sock; /* 0 = no call is open */
	u64 message;
	u64 start_ns;
	u64 hash; /* of the connection */
	struct range held; /* a finished piece that may yet prove the last */
	u64 position; /* of the current piece */
	u64 first_left; /* bytes still to send at the first hit, */
	u64 left; /* and at the start of the current piece */
	u32 iss;
	u32 irs;
	u32 srtt_us;
	u16 flags;
	u16 pieces;
	u64 left_waiting; /* pages: bytes still to send while the call waits for room */
};

#define EOPNOTSUPP 95
#define RUNS 8

struct receive_call {
	u64 sock;
	u64 position; /* the current run of bytes only this thread took */
	u64 end;
	u64 first_ns;
	u64 last_ns;
	u32 iss;
	u32 irs;
	u32 srtt_us;
	u32 runs; /* finished runs before the current one */
	u16 flags;
	u8 unknown_start; /* the first copy seen on this socket: where it began is not known */
	u8 reserved[5];
	u64 early; /* bytes of this call given out before its end, for want of room */
	u64 hash; /* of the connection */
	struct range finished[RUNS];
};

struct thread {
	u32 announced_exec;
	u32 epoch; /* 0 = not announced */
	u64 opening; /* socket of a send that found no connection yet */
	u64 opening_message;
	u64 opening_left;
	u64 receiving; /* arguments of the running read, for a hook that is given its result alone */
	u32 receiving_flags;
	u32 reserved;
	struct send_call send;
	struct receive_call receive;
};

struct stream {
	u64 attempts;
	u64 nested;
	u64 submitted;
	u64 lost;
	u64 sampled; /* left out on purpose */
};

#define FACTS_PER_RECORD 32

struct hook {
	struct stream events;
	struct stream facts;
	u64 calls;
	u64 orphans; /* ends of calls whose range was not seen */
	u64 identity_changes;
	u64 inside; /* a program of this hook is running on this CPU, perhaps preempted */
	u64 skipped; /* runs given up for that */
	u32 busy;
	u32 event_count;
	u32 fact_count;
	u32 ringless; /* this CPU's ring took nothing: the CPU was away since it was opened */
	u8 block[BLOCK_SIZE];
	struct record event_record;
	struct event slots[BATCH];
	struct record fact_record;
	u8 fact_slots[FACTS_PER_RECORD][FACT_SIZE];
};

#define FILTER_PORTS (1 << 0)
#define FILTER_NETNS (1 << 1)
#define FILTER_CGROUPS (1 << 2)
#define FILTER_EXCLUDED_PORTS (1 << 3)
#define TELL_LIVES (1 << 16) /* no filter: tell of connects, retransmits and closes too */
#define SAMPLING (1 << 17) /* no filter: keep a part of the events, by the rates */

struct settings {
	u32 own_tgid;
	u32 epoch; /* raised to have every connection and thread announced again */
	u32 filters;
	u32 rates; /* as in an event; only with SAMPLING */
};

#endif
