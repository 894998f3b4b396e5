/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The end of a connection, for those who asked (settings.filters, TELL_CLOSES): what moved each way, and how
 * long it lasted. Told under the lock of the socket, while its fields still stand.
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

/* The batch is held. */
static void fill_close(struct close_fact *f, struct hook *h, u64 sk, u32 old, struct conn *c)
{
	f->time_ns = bpf_ktime_get_ns();
	f->sock = sk;
	f->opened_ns = c->opened_ns;
	f->sent_bytes = sent_position(h, c) - (fin_written(old) ? 1 : 0);
	f->received_bytes = FIELD(u64, h, OFF_BYTES_RECEIVED) - (fin_received(sk) ? 1 : 0);
	f->retransmitted_bytes = 0;
	LOAD(f->retransmitted_bytes, sk, OFF_BYTES_RETRANS);
	f->iss = c->iss;
	f->irs = c->irs;
	f->srtt_us = FIELD(u32, h, OFF_SRTT) >> 3;
	f->state = old;
	f->role = c->role;
	__builtin_memset(f->reserved, 0, sizeof(f->reserved));
	f->kind = KIND_CLOSE;
	f->flags = c->fact_flags;
	if (old == STATE_SYN_SENT)
		f->sent_bytes = f->received_bytes = 0;
}

static void tell_close(void *ctx, struct hook *h, u64 sk, u32 old)
{
	struct settings *s = current_settings();
	struct conn *c;

	if (!h || !s || !(s->filters & TELL_CLOSES) || old == STATE_LISTEN || old == STATE_CLOSE)
		return;
	c = enter(ctx, h, HOOK_STATE, sk, 0);
	if (!c || !acquire(h))
		return;
	fill_close(fact_slot(h), h, sk, old, c);
	commit_fact(ctx, h, HOOK_STATE);
	release(h);
}
