/* SPDX-License-Identifier: GPL-2.0-only */
/* A segment is sent again, by a timer or at an acknowledgement; of connections that are established. */

#define TCP_FLAG_FIN 1
#define TCP_FLAG_SYN 2

/* `error`: the segment did not leave. */
static int retransmitted(void *ctx, u64 sk, u64 skb, s32 error)
{
	struct hook *h = this_hook(HOOK_RETRANSMIT);
	struct settings *s = current_settings();
	u32 sequence = 0, end = 0, rates;
	struct event *e;
	u64 position;
	struct conn *c;
	u8 flags = 0;
	u8 state = 0;

	if (!h || !s || !(s->filters & TELL_LIVES))
		return 0;
	LOAD(state, sk, OFF_STATE);
	LOAD(flags, skb, OFF_SEGMENT_FLAGS);
	if (state == STATE_SYN_SENT || state == STATE_SYN_RECV || flags & TCP_FLAG_SYN)
		return 0;
	c = enter(ctx, h, HOOK_RETRANSMIT, sk, 0);
	if (!c)
		return 0;
	LOAD(sequence, skb, OFF_SEGMENT_START);
	LOAD(end, skb, OFF_SEGMENT_END);
	end -= flags & TCP_FLAG_FIN ? 1 : 0;
	if (end == sequence)
		return 0;
	position = FIELD(u64, h, OFF_BYTES_ACKED) - act_of(c) +
		   (s64)(s32)(sequence - FIELD(u32, h, OFF_SND_UNA));
	h->calls++;
	h->events.attempts++;
	if (left_out(h, c->hash, c->iss > c->irs, position, position + (end - sequence), &rates))
		return 0;
	if (!acquire(h)) {
		h->events.nested++;
		return 0;
	}
	e = life_event(h, sk, c, KIND_RETRANSMIT, rates);
	e->time_ns = bpf_ktime_get_ns();
	e->position = position;
	e->length = end - sequence;
	e->flags |= error ? FLAG_FAILED : 0;
	commit_event(ctx, h, HOOK_RETRANSMIT);
	release(h);
	return 0;
}
