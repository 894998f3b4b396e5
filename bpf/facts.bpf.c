/* SPDX-License-Identifier: GPL-2.0-only */
/* What is told once: of a connection at its first event, of a thread at its first call. And the filters. */

struct endpoint {
	u8 local[16];
	u8 remote[16];
	u64 cgroup;
	u32 netns;
	u16 local_port;
	u16 remote_port;
	u16 family;
};

static void read_leader_comm(u8 *comm, u64 task)
{
	u64 leader = 0;

	LOAD(leader, task, OFF_GROUP_LEADER);
	bpf_probe_read_kernel_str(comm, 16, (void *)(leader + OFF_COMM));
}

static void map_ipv4(u8 *address, u64 sk, u32 offset)
{
	address[10] = 0xff;
	address[11] = 0xff;
	bpf_probe_read_kernel(address + 12, 4, (void *)(sk + offset));
}

static bool is_mapped(const u8 *address)
{
	const u32 *word = (const u32 *)address;

	return word[0] == 0 && word[1] == 0 && word[2] == bpf_htonl(0xffff);
}

static u64 socket_cgroup(u64 sk)
{
	u64 cgroup = 0;
	u64 node = 0;
	u64 id = 0;

	LOAD(cgroup, sk, OFF_SOCK_CGROUP);
	if (cgroup == 0 || (cgroup & 1))
		return 0;
	LOAD(node, cgroup, OFF_CGROUP_NODE);
	LOAD(id, node, OFF_NODE_ID);
	return id;
}

static void read_endpoint(u64 sk, struct endpoint *e)
{
	u64 net = 0;
	u16 port = 0;

	LOAD(e->family, sk, OFF_FAMILY);
	if (e->family == AF_INET6) {
		bpf_probe_read_kernel(e->local, 16, (void *)(sk + OFF_LOCAL6));
		bpf_probe_read_kernel(e->remote, 16, (void *)(sk + OFF_REMOTE6));
		if (is_mapped(e->remote))
			e->family = AF_INET;
	}
	if (e->family == AF_INET) {
		__builtin_memset(e->local, 0, 32);
		map_ipv4(e->local, sk, OFF_LOCAL4);
		map_ipv4(e->remote, sk, OFF_REMOTE4);
	}
	LOAD(e->local_port, sk, OFF_LOCAL_PORT);
	if (e->local_port == 0) {
		/* given back at close, but kept in the network order copy */
		LOAD(port, sk, OFF_SOURCE_PORT);
		e->local_port = bpf_ntohs(port);
	}
	LOAD(port, sk, OFF_REMOTE_PORT);
	e->remote_port = bpf_ntohs(port);
	LOAD(net, sk, OFF_NET);
	LOAD(e->netns, net, OFF_NET_INODE);
	e->cgroup = socket_cgroup(sk);
}

static bool wanted(struct endpoint *e, u32 filters)
{
	u64 listener = (u64)e->netns << 16 | e->local_port;

	if (own_listeners.lookup(&listener))
		return false;
	if (filters & FILTER_NETNS && !namespaces.lookup(&e->netns))
		return false;
	if (filters & FILTER_CGROUPS && !cgroups.lookup(&e->cgroup))
		return false;
	if (filters & FILTER_EXCLUDED_PORTS &&
	    (excluded_ports.lookup(&e->local_port) || excluded_ports.lookup(&e->remote_port)))
		return false;
	if (filters & FILTER_PORTS && !ports.lookup(&e->local_port) &&
	    !ports.lookup(&e->remote_port))
		return false;
	return true;
}

/* Why the bytes of this socket's calls are not the bytes of its stream, if so. */
static u32 blindness(u64 sk, struct conn *c)
{
	u64 creator = 0;
	u64 ulp = 0;
	u8 multipath = 0;

	LOAD(c->proto, sk, OFF_PROT);
	LOAD(creator, sk, OFF_PROT_CREATOR);
	LOAD(ulp, sk, OFF_ULP);
	LOAD(multipath, sk, OFF_IS_MPTCP);
	if (multipath)
		return CONNECTION_MPTCP;
	if (ulp)
		return CONNECTION_ULP;
	return c->proto != creator ? CONNECTION_REPLACED : 0;
}

/* Who made the socket. An accepted one was made by whoever listens, as far as that was seen. */
static void tell_opener(struct connection_fact *f, struct endpoint *e, struct conn *c)
{
	u64 place = (u64)e->netns << 16 | e->local_port;
	struct listener *l = NULL;

	f->opener_tgid = c->opener >> 32;
	__builtin_memcpy(f->opener_comm, c->opener_comm, sizeof(f->opener_comm));
	if (c->role == ROLE_PASSIVE)
		l = listeners.lookup(&place);
	if (!l)
		return;
	f->opener_tgid = l->tgid;
	__builtin_memcpy(f->opener_comm, l->comm, sizeof(f->opener_comm));
}

static void tell_connection(void *ctx, struct hook *h, u32 which, u64 sk, struct conn *c,
			    struct endpoint *e)
{
	struct connection_fact *f = fact_slot(h);

	f->time_ns = bpf_ktime_get_ns();
	f->sock = sk;
	f->cgroup = e->cgroup;
	__builtin_memcpy(f->local_address, e->local, 16);
	__builtin_memcpy(f->remote_address, e->remote, 16);
	f->netns = e->netns;
	f->iss = c->iss;
	f->irs = c->irs;
	f->local_port = e->local_port;
	f->remote_port = e->remote_port;
	f->family = e->family;
	f->role = c->role;
	tell_opener(f, e, c);
	f->padding = 0;
	__builtin_memset(f->reserved, 0, sizeof(f->reserved));
	f->kind = KIND_CONNECTION;
	f->flags = c->fact_flags;
	commit_fact(ctx, h, which);
}

/*
 * Decides whether a connection is traced, and tells of it. Returns whether the event at hand counts. With the
 * batch held by someone else the telling waits for the next event.
 */
static bool admit(void *ctx, struct hook *h, u32 which, u64 sk, struct conn *c, struct settings *s)
{
	struct endpoint e = {};

	read_endpoint(sk, &e);
	if (!wanted(&e, s->filters)) {
		c->flags |= CONN_IGNORED;
		return false;
	}
	c->fact_flags &= ~CONNECTION_BLIND | CONNECTION_REPAIR;
	c->fact_flags |= blindness(sk, c);
	if (acquire(h)) {
		tell_connection(ctx, h, which, sk, c, &e);
		if (c->flags & CONN_ANNOUNCED && s->filters & TELL_LIVES)
			tell_account(ctx, h, which, sk, c);
		release(h);
		c->epoch = s->epoch;
		c->flags |= CONN_ANNOUNCED;
		if (c->fact_flags & CONNECTION_BLIND)
			c->flags |= CONN_BLIND;
	}
	return !(c->fact_flags & CONNECTION_BLIND);
}

/* The task's name and cgroup, at its first call and after every exec. The batch is held. */
static void tell_task(void *ctx, struct hook *h, u32 which, u64 task)
{
	struct task_fact *f = fact_slot(h);
	u64 pid_tgid = bpf_get_current_pid_tgid();

	f->time_ns = bpf_ktime_get_ns();
	f->start_ns = 0;
	LOAD(f->start_ns, task, OFF_START_TIME);
	f->cgroup = bpf_get_current_cgroup_id();
	__builtin_memset(f->comm, 0, sizeof(f->comm));
	__builtin_memset(f->leader_comm, 0, sizeof(f->leader_comm));
	bpf_probe_read_kernel_str(f->comm, sizeof(f->comm), (void *)(task + OFF_COMM));
	read_leader_comm(f->leader_comm, task);
	f->tgid = pid_tgid >> 32;
	f->tid = (u32)pid_tgid;
	__builtin_memset(f->reserved, 0, sizeof(f->reserved));
	f->kind = KIND_TASK;
	f->flags = 0;
	commit_fact(ctx, h, which);
}

static void introduce_task(void *ctx, struct hook *h, u32 which, struct thread *t,
			   struct task_struct *task)
{
	struct settings *s = current_settings();
	u32 exec = *(u32 *)((u8 *)task + OFF_EXEC_ID);

	if (!s || (t->epoch == s->epoch && t->announced_exec == exec))
		return;
	t->epoch = s->epoch;
	t->announced_exec = exec;
	tell_task(ctx, h, which, (u64)task);
}

/*
 * The connection of a locked hook with its block read, or NULL where nothing is to be done: not TCP, filtered
 * out, blind, or the agent's own.
 */
static struct conn *enter(void *ctx, struct hook *h, u32 which, u64 sk, u32 tgid)
{
	struct conn *c = conns.lookup(&sk);
	struct settings *s = current_settings();
	u32 iss, irs;

	if ((c && c->flags & (CONN_IGNORED | CONN_BLIND)) || !s || (!c && !is_tcp_stream(sk)))
		return NULL;
	if (tgid && tgid == s->own_tgid) {
		ignore(sk, c);
		return NULL;
	}
	if (tgid && c && c->epoch) {
		u64 proto = 0;

		/* kernel TLS or a sockmap may take over at any time */
		LOAD(proto, sk, OFF_PROT);
		if (proto != c->proto)
			c->epoch = 0;
	}
	if (!read_block(h, sk))
		return NULL;
	if (!c)
		c = adopt(sk, which, h);
	if (!c)
		return NULL;
	iss = send_isn(h, c);
	irs = receive_isn(h);
	if (c->iss == iss && c->irs == irs && c->epoch == s->epoch)
		return c;
	if (c->flags & CONN_ANNOUNCED && (c->iss != iss || c->irs != irs)) {
		/* the address was used again and neither close nor open was seen */
		h->identity_changes++;
		c = adopt(sk, which, h);
		if (!c)
			return NULL;
		iss = send_isn(h, c);
	}
	name_connection(c, iss, irs);
	return admit(ctx, h, which, sk, c, s) ? c : NULL;
}
