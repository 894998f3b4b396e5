/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Programs that the agent runs itself. flush, on each CPU: submits what its batches hold. Returns the hooks that
 * were busy as a mask, to be tried again, and beside them whether the CPU needs a new ring.
 */
#define FLUSH_RINGLESS (1 << 16)

static u32 flush_hook(void *ctx, u32 which)
{
	struct hook *h = this_hook(which);
	u32 ringless;

	if (!h)
		return 0;
	if (!acquire(h))
		return 1 << which;
	submit_facts(ctx, h, which);
	submit_events(ctx, h, which);
	ringless = h->ringless;
	h->ringless = 0;
	release(h);
	return ringless ? FLUSH_RINGLESS : 0;
}

int flush(struct bpf_raw_tracepoint_args *ctx)
{
	return flush_hook(ctx, HOOK_SEND) | flush_hook(ctx, HOOK_RECEIVE) |
	       flush_hook(ctx, HOOK_ARRIVAL) | flush_hook(ctx, HOOK_STATE) |
	       flush_hook(ctx, HOOK_RETRANSMIT);
}

/* Run by the agent when facts got lost: tells of the connection at this address again, now. */
int reannounce(struct bpf_raw_tracepoint_args *ctx)
{
	u64 sk = ctx->args[0];
	struct conn *c = conns.lookup(&sk);
	struct hook *h = this_hook(HOOK_STATE);
	struct endpoint e = {};

	if (!c || !h || !(c->flags & CONN_ANNOUNCED) || !acquire(h))
		return 0;
	read_endpoint(sk, &e);
	tell_connection(ctx, h, HOOK_STATE, sk, c, &e);
	release(h);
	return 1;
}

/* Run by the agent once, in its own context: which process is it, as the kernel counts? */
int introduce_agent(struct bpf_raw_tracepoint_args *ctx)
{
	struct settings *s = current_settings();

	if (s)
		s->own_tgid = bpf_get_current_pid_tgid() >> 32;
	return 0;
}
