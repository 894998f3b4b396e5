/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The life of a connection, for those who asked (settings.filters, TELL_LIVES): how its opening went, what it moved
 * by the kernel's own count, how it ended. Told under the lock of the socket, while its fields still stand. The
 * account is told at the close, and of an open connection whenever it is announced once more.
 */

/* Whether this end's own FIN is in write_seq. */
static bool fin_written(u32 state)
{
	return state == STATE_FIN_WAIT1 || state == STATE_FIN_WAIT2 || state == STATE_CLOSING ||
	       state == STATE_LAST_ACK;
}

/* Whether the peer's FIN is in bytes_received. CONN_FIN guesses where a socket is left in FIN_WAIT2. */
static bool fin_received(u64 sk)
{
	u64 flags = 0;

	LOAD(flags, sk, OFF_SOCK_FLAGS);
	return flags & (1 << SOCK_DONE);
}

static u32 smallest_rtt(u64 sk)
{
	u32 rtt = 0;

	LOAD(rtt, sk, OFF_MIN_RTT);
	return rtt == ~0U ? 0 : rtt;
}

/* The batch is held. `state` is of TCP, before the end if this is one; `time` that of the event it belongs to. */
static void tell_totals(void *ctx, struct hook *h, u32 which, u64 sk, struct conn *c, u32 state,
			bool over, u64 time)
{
	struct totals_fact *f = fact_slot(h);
	u32 unread = FIELD(u32, h, OFF_RCV_NXT) - FIELD(u32, h, OFF_COPIED_SEQ);
	u32 fin = fin_received(sk) ? 1 : 0;

	f->time_ns = time;
	f->sock = sk;
	f->opened_ns = c->opened_ns;
	f->sent_bytes = sent_position(h, c) - (fin_written(state) ? 1 : 0);
	f->received_bytes = FIELD(u64, h, OFF_BYTES_RECEIVED) - fin;
	f->read_bytes = FIELD(u64, h, OFF_BYTES_RECEIVED) - unread - (unread ? 0 : fin);
	f->base_sent = c->base_sent;
	f->base_read = c->base_read;
	f->retransmitted_bytes = 0;
	LOAD(f->retransmitted_bytes, sk, OFF_BYTES_RETRANS);
	f->iss = c->iss;
	f->irs = c->irs;
	f->srtt_us = FIELD(u32, h, OFF_SRTT) >> 3;
	f->min_rtt_us = smallest_rtt(sk);
	LOAD(f->retransmits, sk, OFF_TOTAL_RETRANS);
	LOAD(f->sent_segments, sk, OFF_SEGS_OUT);
	LOAD(f->received_segments, sk, OFF_SEGS_IN);
	f->state = over ? state : 0;
	f->role = c->role;
	__builtin_memset(f->reserved, 0, sizeof(f->reserved));
	f->kind = KIND_TOTALS;
	f->flags = c->fact_flags;
	if (state == STATE_SYN_SENT)
		f->sent_bytes = f->received_bytes = f->read_bytes = 0;
	commit_fact(ctx, h, which);
}

/* The batch is held. An event of the connection itself; what makes it one kind or another is left to the caller. */
static struct event *life_event(struct hook *h, u64 sk, struct conn *c, u8 kind, u32 rates)
{
	struct event *e = event_slot(h);

	e->duration_ns = 0;
	e->sock = sk;
	e->position = 0;
	e->length = 0;
	e->iss = c->iss;
	e->irs = c->irs;
	e->srtt_us = FIELD(u32, h, OFF_SRTT) >> 3;
	e->tgid = 0;
	e->tid = 0;
	e->flags = event_flags(c);
	e->kind = kind;
	e->cpu = bpf_get_smp_processor_id();
	e->rates = rates;
	return e;
}

/* The batch is held, the block read. */
static void tell_end(void *ctx, struct hook *h, u32 which, u64 sk, struct conn *c, u32 state,
		     bool over, u16 flags)
{
	u64 now = bpf_ktime_get_ns();
	struct event *e;
	u32 rates;

	h->events.attempts++;
	if (connection_left_out(h, c->hash, &rates))
		return;
	tell_totals(ctx, h, which, sk, c, state, over, now);
	e = life_event(h, sk, c, KIND_CLOSE, rates);
	e->time_ns = now;
	if (c->opened_ns)
		e->duration_ns = now - c->opened_ns;
	else
		flags |= FLAG_OLDER;
	e->position = sent_position(h, c) - (fin_written(state) ? 1 : 0);
	e->flags |= flags;
	commit_event(ctx, h, which);
}

/* An account of a connection that goes on. */
static void tell_account(void *ctx, struct hook *h, u32 which, u64 sk, struct conn *c)
{
	u8 state = 0;

	LOAD(state, sk, OFF_STATE);
	tell_end(ctx, h, which, sk, c, state, false, FLAG_OPEN);
}
