/* SPDX-License-Identifier: GPL-2.0-only */
/* Opening and closing: who opened a connection, whether its stream has the peer's FIN, when it is over. */

static bool is_own(void)
{
	struct settings *s = current_settings();

	return s && s->own_tgid == bpf_get_current_pid_tgid() >> 32;
}

static void opened(u64 sk, u8 role)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct conn c = {};

	c.role = role;
	c.flags = CONN_OPENED | CONN_CURSOR;
	c.opened_ns = bpf_ktime_get_ns();
	if (role == ROLE_ACTIVE) {
		c.opener = bpf_get_current_pid_tgid();
		read_leader_comm(c.opener_comm, (u64)task);
		if (is_own())
			c.flags |= CONN_IGNORED;
	}
	conns.update(&sk, &c);
}

/* How an opening went, told by its opener; the block is read. */
static void tell_connect(void *ctx, struct hook *h, u64 sk, struct conn *c, u16 flags)
{
	struct settings *s = current_settings();
	struct event *e;
	u32 syns = 0;
	u32 error = 0;
	u32 rates;

	if (!s || !(s->filters & TELL_LIVES))
		return;
	if (c->epoch != s->epoch)
		admit(ctx, h, HOOK_STATE, sk, c, s);
	if (c->flags & CONN_IGNORED)
		return;
	h->events.attempts++;
	if (connection_left_out(h, c->hash, &rates))
		return;
	if (!acquire(h)) {
		h->events.nested++;
		return;
	}
	LOAD(syns, sk, OFF_TOTAL_RETRANS);
	if (flags & FLAG_FAILED) {
		LOAD(error, sk, OFF_SOCK_ERROR);
		tell_totals(ctx, h, HOOK_STATE, sk, c, STATE_SYN_SENT, true, bpf_ktime_get_ns());
	}
	e = life_event(h, sk, c, KIND_CONNECT, rates);
	e->time_ns = c->opened_ns;
	e->duration_ns = bpf_ktime_get_ns() - c->opened_ns;
	e->position = syns;
	e->length = error;
	e->tgid = c->opener >> 32;
	e->tid = (u32)c->opener;
	e->flags |= flags;
	commit_event(ctx, h, HOOK_STATE);
	release(h);
}

/* The handshake of an active opener is done: both sequence numbers hold from here on. */
static void established(void *ctx, u64 sk, struct conn *c)
{
	struct hook *h = this_hook(HOOK_STATE);
	u8 repair = 0;

	if (!h || c->flags & CONN_IGNORED || !read_block(h, sk))
		return;
	LOAD(repair, sk, OFF_REPAIR);
	if (repair & MASK_REPAIR)
		c->fact_flags |= CONNECTION_REPAIR;
	name_connection(c, send_isn(h, c), receive_isn(h));
	c->flags |= CONN_HANDSHAKE;
	settle_fast_open(ctx, HOOK_STATE, sk, c);
	tell_connect(ctx, h, sk, c, 0);
}

/* The opener gave up, or was refused. Of both sequence numbers it knows its own. */
static void given_up(void *ctx, u64 sk, struct conn *c)
{
	struct hook *h = this_hook(HOOK_STATE);

	if (!h || c->flags & CONN_IGNORED || !read_block(h, sk))
		return;
	name_connection(c, send_isn(h, c), 0);
	tell_connect(ctx, h, sk, c, FLAG_FAILED);
}

/* The end of a connection that was one. Its facts go with it: nobody could ask for them afterwards. */
static void tell_close(void *ctx, struct hook *h, u64 sk, u32 old)
{
	struct settings *s = current_settings();
	struct endpoint e = {};
	struct conn *c;
	u32 error = 0;

	if (!h || !s || !(s->filters & TELL_LIVES) || old == STATE_LISTEN || old == STATE_CLOSE ||
	    old == STATE_SYN_SENT || old == STATE_SYN_RECV)
		return;
	c = enter(ctx, h, HOOK_STATE, sk, 0);
	if (!c) {
		c = conns.lookup(&sk);
		if (!c || !(c->flags & CONN_BLIND) || !read_block(h, sk))
			return;
	}
	if (!acquire(h)) {
		h->events.attempts++;
		h->events.nested++;
		return;
	}
	LOAD(error, sk, OFF_SOCK_ERROR);
	read_endpoint(sk, &e);
	tell_connection(ctx, h, HOOK_STATE, sk, c, &e);
	tell_end(ctx, h, HOOK_STATE, sk, c, old, true,
		 error || old == STATE_ESTABLISHED || old == STATE_CLOSE_WAIT ? FLAG_ABORTED : 0);
	release(h);
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
	if (old == STATE_SYN_SENT)
		given_up(ctx, sk, c);
	else
		tell_close(ctx, h, sk, old);
}

/* Who listens made what comes in here. If it is the agent, that is its own, and arrives before the agent touches it. */
static void listening(u64 sk)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct endpoint e = {};
	struct listener l = {};
	u64 key;
	u8 yes = 1;

	conns.delete(&sk);
	read_endpoint(sk, &e);
	key = (u64)e.netns << 16 | e.local_port;
	if (is_own())
		own_listeners.update(&key, &yes);
	l.tgid = bpf_get_current_pid_tgid() >> 32;
	read_leader_comm(l.comm, (u64)task);
	listeners.update(&key, &l);
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
		opened(sk, ROLE_ACTIVE);
		return 0;
	}
	if (new == STATE_SYN_RECV && old == STATE_LISTEN) {
		opened(sk, ROLE_PASSIVE);
		return 0;
	}
	if (new == STATE_LISTEN) {
		listening(sk);
		return 0;
	}
	c = conns.lookup(&sk);
	if (!c) {
		if (new == STATE_ESTABLISHED && old == STATE_SYN_RECV)
			opened(sk, ROLE_PASSIVE);
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
