/* SPDX-License-Identifier: GPL-2.0-only */
/* Opening and closing: who opened a connection, whether its stream has the peer's FIN, when it is over. */

static void opened(u64 sk, u8 role, bool own)
{
	struct conn c = {};

	c.role = role;
	c.flags = CONN_OPENED | CONN_CURSOR | (own ? CONN_IGNORED : 0);
	c.opened_ns = bpf_ktime_get_ns();
	conns.update(&sk, &c);
}

static bool is_own(void)
{
	struct settings *s = current_settings();

	return s && s->own_tgid == bpf_get_current_pid_tgid() >> 32;
}

/* The handshake of an active opener is done: both sequence numbers hold from here on. */
static void established(void *ctx, u64 sk, struct conn *c)
{
	struct hook *h = this_hook(HOOK_STATE);

	if (!h || c->flags & CONN_IGNORED || !read_block(h, sk))
		return;
	c->iss = send_isn(h, c);
	c->irs = receive_isn(h);
	c->flags |= CONN_HANDSHAKE;
	settle_fast_open(ctx, HOOK_STATE, sk, c);
}

static void closed(void *ctx, u64 sk, u32 old, struct conn *c)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *t = threads.task_storage_get(task, 0, 0);
	struct hook *h = this_hook(HOOK_STATE);

	if (old == STATE_FIN_WAIT2)
		c->flags |= CONN_FIN;
	if (t && h && t->receive.sock == sk)
		settle(ctx, h, HOOK_STATE, &t->receive);
	tell_close(ctx, h, sk, old);
}

/* What comes in here is the agent's own, and arrives before the agent touches it. */
static void listening(u64 sk)
{
	struct endpoint e = {};
	u64 key;
	u8 yes = 1;

	conns.delete(&sk);
	if (!is_own())
		return;
	read_endpoint(sk, &e);
	key = (u64)e.netns << 16 | e.local_port;
	own_listeners.update(&key, &yes);
}

static int set_state(void *ctx, u64 sk, u32 old, u32 new)
{
	struct conn *c;
	u16 family = 0;
	u32 protocol = 0;

	LOAD(family, sk, OFF_FAMILY);
	bpf_probe_read_kernel(&protocol, SIZE_PROTOCOL, (void *)(sk + OFF_PROTOCOL));
	if (protocol != IPPROTO_TCP || (family != AF_INET && family != AF_INET6))
		return 0;
	if (new == STATE_SYN_SENT) {
		opened(sk, ROLE_ACTIVE, is_own());
		return 0;
	}
	if (new == STATE_SYN_RECV && old == STATE_LISTEN) {
		opened(sk, ROLE_PASSIVE, false);
		return 0;
	}
	if (new == STATE_LISTEN) {
		listening(sk);
		return 0;
	}
	c = conns.lookup(&sk);
	if (!c) {
		if (new == STATE_ESTABLISHED && old == STATE_SYN_RECV)
			opened(sk, ROLE_PASSIVE, false);
		else if (new == STATE_CLOSE)
			tell_close(ctx, this_hook(HOOK_STATE), sk, old);
		return 0;
	}
	if (new == STATE_ESTABLISHED && c->role == ROLE_ACTIVE)
		established(ctx, sk, c);
	else if (new == STATE_CLOSE_WAIT || new == STATE_LAST_ACK || new == STATE_CLOSING)
		c->flags |= CONN_FIN;
	else if (new == STATE_CLOSE)
		closed(ctx, sk, old, c);
	return 0;
}

static int destroyed(u64 sk)
{
	conns.delete(&sk);
	return 0;
}
