/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Data has arrived in the receiving kernel. A byte's arrival is the earliest event whose position is beyond it.
 * Nothing is said of the thread this runs in: it is whoever the softirq found there.
 */

static int data_ready(void *ctx, u64 sk)
{
	struct hook *h = this_hook(HOOK_ARRIVAL);
	struct event *e;
	struct conn *c;
	u64 before, position;
	u32 owned = 0;
	u32 rates;
	u64 now;

	if (!h)
		return 0;
	c = enter(ctx, h, HOOK_ARRIVAL, sk, 0);
	if (!c)
		return 0;
	position = arrived_position(h, c);
	if (position <= c->arrived)
		return 0;
	before = c->arrived;
	c->arrived = position;
	LOAD(owned, sk, OFF_LOCK_OWNED);
	h->calls++;
	h->events.attempts++;
	if (left_out(h, c->hash, c->irs > c->iss, before, position, &rates))
		return 0;
	if (!acquire(h)) {
		h->events.nested++;
		return 0;
	}
	now = bpf_ktime_get_ns();
	e = event_slot(h);
	e->time_ns = now;
	e->duration_ns = 0;
	e->sock = sk;
	e->position = position;
	e->length = 0;
	e->iss = c->iss;
	e->irs = c->irs;
	e->srtt_us = FIELD(u32, h, OFF_SRTT) >> 3;
	e->tgid = 0;
	e->tid = 0;
	e->flags = event_flags(c) | (owned ? FLAG_BACKLOG : 0);
	e->kind = KIND_ARRIVAL;
	e->cpu = bpf_get_smp_processor_id();
	e->rates = rates;
	commit_event(ctx, h, HOOK_ARRIVAL);
	release(h);
	return 0;
}
