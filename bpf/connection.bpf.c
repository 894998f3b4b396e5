/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who a socket is, and where its streams stand. Everything here runs under the lock of the socket: without it
 * the fields are not of one moment, and positions come out wrong.
 */

#define FIELD(type, h, offset) (*(type *)((h)->block + ((offset)-BLOCK_START)))

static bool read_block(struct hook *h, u64 sk)
{
	return bpf_probe_read_kernel(h->block, BLOCK_SIZE, (void *)(sk + BLOCK_START)) == 0;
}

/* 1 where a SYN of this end is counted as acknowledged. */
static u32 act_of(struct conn *c)
{
	return c->role == ROLE_ACTIVE && !(c->fact_flags & CONNECTION_REPAIR);
}

/* Bytes the application has handed to the kernel: where the next written byte goes. */
static u64 sent_position(struct hook *h, struct conn *c)
{
	u32 unacked = FIELD(u32, h, OFF_WRITE_SEQ) - FIELD(u32, h, OFF_SND_UNA);

	return FIELD(u64, h, OFF_BYTES_ACKED) - act_of(c) + unacked;
}

/* Bytes any reader has taken. With nothing unread the peer's FIN was taken too, and counts as one. */
static u64 read_position(struct hook *h, struct conn *c)
{
	u32 unread = FIELD(u32, h, OFF_RCV_NXT) - FIELD(u32, h, OFF_COPIED_SEQ);
	u32 fin = unread == 0 && c->flags & CONN_FIN ? 1 : 0;

	return FIELD(u64, h, OFF_BYTES_RECEIVED) - unread - fin;
}

/* Bytes that are in this kernel. The peer's FIN counts as one. */
static u64 arrived_position(struct hook *h, struct conn *c)
{
	return FIELD(u64, h, OFF_BYTES_RECEIVED) - ((c->flags & CONN_FIN) ? 1 : 0);
}

static u32 send_isn(struct hook *h, struct conn *c)
{
	return FIELD(u32, h, OFF_SND_UNA) - (u32)FIELD(u64, h, OFF_BYTES_ACKED) + act_of(c) - 1;
}

static u32 receive_isn(struct hook *h)
{
	return FIELD(u32, h, OFF_RCV_NXT) - (u32)FIELD(u64, h, OFF_BYTES_RECEIVED) - 1;
}

/* Both sequence numbers are known: from here on they and what follows from them go together. */
static void name_connection(struct conn *c, u32 iss, u32 irs)
{
	c->iss = iss;
	c->irs = irs;
	c->hash = connection_hash(iss, irs);
}

static u16 event_flags(struct conn *c)
{
	return (c->fact_flags & CONNECTION_NO_ROLE) ? FLAG_NO_ROLE : 0;
}

/* Neither a listener nor of another protocol that happens to use the same number (netlink, raw). */
static bool is_tcp_stream(u64 sk)
{
	u32 protocol = 0;
	u16 family = 0;
	u16 type = 0;
	u8 state = 0;

	LOAD(family, sk, OFF_FAMILY);
	if (family != AF_INET && family != AF_INET6)
		return false;
	LOAD(type, sk, OFF_TYPE);
	bpf_probe_read_kernel(&protocol, SIZE_PROTOCOL, (void *)(sk + OFF_PROTOCOL));
	if (type != SOCK_STREAM || protocol != IPPROTO_TCP)
		return false;
	LOAD(state, sk, OFF_STATE);
	return state != STATE_LISTEN;
}

/*
 * The opener of a connection whose opening was not seen. A passive end inherits its listener's backlog. Else
 * the active end's acknowledged SYN makes bytes_acked one larger than the bytes it sent, and so does a FIN once
 * it was sent.
 */
static void derive_role(u64 sk, u8 state, struct hook *h, struct conn *c)
{
	bool fin = state == STATE_FIN_WAIT1 || state == STATE_FIN_WAIT2 ||
		   state == STATE_LAST_ACK || state == STATE_CLOSING;
	u32 backlog = 0;
	u32 in_stream = FIELD(u32, h, OFF_WRITE_SEQ) - FIELD(u32, h, OFF_SND_UNA);
	u32 unsent = 0;
	u32 snd_nxt = 0;
	u64 bytes_sent = 0;
	u64 bytes_retrans = 0;
	u64 syn;

	LOAD(backlog, sk, OFF_MAX_ACK_BACKLOG);
	if (backlog > 0 || state == STATE_SYN_RECV) {
		c->role = ROLE_PASSIVE;
		return;
	}
	LOAD(snd_nxt, sk, OFF_SND_NXT);
	LOAD(bytes_sent, sk, OFF_BYTES_SENT);
	LOAD(bytes_retrans, sk, OFF_BYTES_RETRANS);
	unsent = FIELD(u32, h, OFF_WRITE_SEQ) - snd_nxt;
	syn = FIELD(u64, h, OFF_BYTES_ACKED) + in_stream - (bytes_sent - bytes_retrans + unsent);
	if (fin && unsent == 0)
		syn--;
	if ((fin || state == STATE_ESTABLISHED || state == STATE_CLOSE_WAIT) && syn <= 1)
		c->role = syn ? ROLE_ACTIVE : ROLE_PASSIVE;
	else
		c->fact_flags |= CONNECTION_NO_ROLE;
}

/* Starts to follow a connection that was open already. */
static struct conn *adopt(u64 sk, u32 which, struct hook *h)
{
	struct conn c = {};
	u8 state = 0;

	LOAD(state, sk, OFF_STATE);
	c.fact_flags = CONNECTION_OLDER;
	if (state == STATE_CLOSE_WAIT || state == STATE_LAST_ACK || state == STATE_CLOSING)
		c.flags = CONN_FIN;
	if (which != HOOK_RECEIVE) {
		/* before the copy that a receive reports: how far readers have come */
		c.cursor = read_position(h, &c);
		c.flags |= CONN_CURSOR;
	}
	derive_role(sk, state, h, &c);
	c.base_sent = sent_position(h, &c);
	c.base_read = read_position(h, &c);
	conns.update(&sk, &c);
	return conns.lookup(&sk);
}

static void ignore(u64 sk, struct conn *c)
{
	struct conn fresh = {};

	if (c) {
		c->flags |= CONN_IGNORED;
		return;
	}
	fresh.flags = CONN_IGNORED;
	conns.update(&sk, &fresh);
}
