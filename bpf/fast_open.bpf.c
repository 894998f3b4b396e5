/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TCP Fast Open: a send whose bytes went out with the SYN. It ends without a hit under the lock, but its
 * position is 0 by definition. The peer's initial sequence number, half of the connection's identity, may
 * come later: the send is kept with the connection until the handshake is done.
 */

static bool sent_with_syn(u64 sk, struct conn *c)
{
	u8 bits = 0;

	if (c->role != ROLE_ACTIVE || !(c->flags & CONN_OPENED))
		return false;
	LOAD(bits, sk, OFF_SYN_DATA);
	return bits & MASK_SYN_DATA;
}

static void emit_fast_open(void *ctx, struct hook *h, u32 which, u64 sk, struct conn *c)
{
	struct event *e = event_slot(h);
	u32 length = c->fast_open_length;
	u32 rates;

	c->fast_open_length = 0;
	if (left_out(h, c->hash, c->iss > c->irs, length - 1, length, &rates))
		return;
	e->time_ns = c->opened_ns;
	e->duration_ns = c->fast_open_duration_ns;
	e->sock = sk;
	e->position = 0;
	e->length = length;
	e->iss = c->iss;
	e->irs = c->irs;
	e->srtt_us = 0;
	e->tgid = c->fast_open_task >> 32;
	e->tid = (u32)c->fast_open_task;
	e->flags = FLAG_FIRST_PIECE | FLAG_LAST_PIECE | FLAG_FAST_OPEN;
	e->kind = KIND_SEND;
	e->cpu = bpf_get_smp_processor_id();
	e->rates = rates;
	commit_event(ctx, h, which);
}

/* Gives out the kept send, once both sequence numbers are known and the call has ended. */
static void settle_fast_open(void *ctx, u32 which, u64 sk, struct conn *c)
{
	struct settings *s = current_settings();
	struct hook *h = this_hook(which);

	if (!h || !s || c->fast_open_length == 0 || !(c->flags & CONN_HANDSHAKE))
		return;
	if (c->epoch != s->epoch) {
		c->flags &=
			~CONN_ANNOUNCED; /* an account needs fields that only the lock holds still */
		if (!admit(ctx, h, which, sk, c, s))
			return;
	}
	h->events.attempts++;
	if (!acquire(h)) {
		h->events.nested++;
		return;
	}
	emit_fast_open(ctx, h, which, sk, c);
	release(h);
}

static void fast_open_end(void *ctx, u64 sk, s32 result)
{
	struct conn *c = conns.lookup(&sk);

	if (!c || c->flags & (CONN_IGNORED | CONN_SENT) || !sent_with_syn(sk, c))
		return;
	c->flags |= CONN_SENT;
	c->fast_open_duration_ns = bpf_ktime_get_ns() - c->opened_ns;
	c->fast_open_task = bpf_get_current_pid_tgid();
	c->fast_open_length = result;
	settle_fast_open(ctx, HOOK_SEND, sk, c);
}
