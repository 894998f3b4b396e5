/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The article's second program, as a text of its own: entries of two functions, in whatever thread and for
 * whatever socket. agent/kernel/entries.py mirrors struct hit.
 */
#define TCP_SENDMSG 1
#define TCP_V4_DO_RCV 2

struct hit {
	u64 time_ns;
	u32 tid;
	u32 tgid;
	u64 function;
	char comm[16];
};

BPF_PERF_OUTPUT(records);
/* By function: runs, and of these the ones whose hit found no room. */
BPF_PERCPU_ARRAY(runs, u64, 2);
BPF_PERCPU_ARRAY(lost, u64, 2);

static void count(u64 *counter)
{
	if (counter)
		(*counter)++;
}

static int hit(void *ctx, u32 function)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	int place = function - 1;
	struct hit h = {};

	count(runs.lookup(&place));
	h.time_ns = bpf_ktime_get_ns();
	h.tid = (u32)pid_tgid;
	h.tgid = pid_tgid >> 32;
	h.function = function;
	bpf_get_current_comm(&h.comm, sizeof(h.comm));
	if (records.perf_submit(ctx, &h, sizeof(h)))
		count(lost.lookup(&place));
	return 0;
}

int kfunc__tcp_sendmsg(u64 *ctx)
{
	return hit(ctx, TCP_SENDMSG);
}

int kfunc__tcp_v4_do_rcv(u64 *ctx)
{
	return hit(ctx, TCP_V4_DO_RCV);
}

int kprobe_tcp_sendmsg(void *ctx)
{
	return hit(ctx, TCP_SENDMSG);
}

int kprobe_tcp_v4_do_rcv(void *ctx)
{
	return hit(ctx, TCP_V4_DO_RCV);
}
