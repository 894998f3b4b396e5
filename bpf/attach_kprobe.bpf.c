/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Thin wrappers: the last resort, kprobes and kretprobes. Registers are read by the calling convention of the
 * architecture; what a return probe is not given was left in the thread at the entry.
 */

#if defined(__x86_64__)
struct pt_regs {
	u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
	u64 orig_ax, ip, cs, flags, sp, ss;
};

#define RESULT(ctx) ((ctx)->ax)
#define ARGUMENT(ctx, n)        \
	((n) == 0   ? (ctx)->di \
	 : (n) == 1 ? (ctx)->si \
	 : (n) == 2 ? (ctx)->dx \
	 : (n) == 3 ? (ctx)->cx \
	 : (n) == 4 ? (ctx)->r8 \
		    : (ctx)->r9)
#elif defined(__aarch64__)
struct pt_regs {
	u64 regs[31];
	u64 sp, pc, pstate;
};

#define RESULT(ctx) ((ctx)->regs[0])
#define ARGUMENT(ctx, n) ((ctx)->regs[n])
#else
#error "kprobes: the registers of this architecture are not known"
#endif

/* How often each program ran: hits beyond that were skipped, which kernels before 6.7 do not count. */
BPF_PERCPU_ARRAY(runs, u64, RUNS_COUNTED);

static void ran(int which)
{
	u64 *count = runs.lookup(&which);

	if (count)
		(*count)++;
}

int kprobe_tcp_sendmsg_locked(struct pt_regs *ctx)
{
	ran(RUN_KPROBE_TCP_SENDMSG_LOCKED);
	return message_entered(ctx, ARGUMENT(ctx, ARG_TCP_SENDMSG_LOCKED_SK),
			       ARGUMENT(ctx, ARG_TCP_SENDMSG_LOCKED_MSG));
}

int kprobe_do_tcp_sendpages(struct pt_regs *ctx)
{
	ran(RUN_KPROBE_DO_TCP_SENDPAGES);
	return send_entered(ctx, ARGUMENT(ctx, ARG_DO_TCP_SENDPAGES_SK), 0,
			    ARGUMENT(ctx, ARG_DO_TCP_SENDPAGES_SIZE));
}

int kprobe_sk_stream_wait_memory(struct pt_regs *ctx)
{
	ran(RUN_KPROBE_SK_STREAM_WAIT_MEMORY);
	return pages_wait(ctx, ARGUMENT(ctx, ARG_SK_STREAM_WAIT_MEMORY_SK));
}

int kretprobe_sk_stream_wait_memory(struct pt_regs *ctx)
{
	ran(RUN_KRETPROBE_SK_STREAM_WAIT_MEMORY);
	return send_goes_on(ctx, RESULT(ctx));
}

int kretprobe_sk_stream_wait_connect(struct pt_regs *ctx)
{
	ran(RUN_KRETPROBE_SK_STREAM_WAIT_CONNECT);
	return send_connected(ctx, RESULT(ctx));
}

int kretprobe_tcp_sendmsg(struct pt_regs *ctx)
{
	ran(RUN_KRETPROBE_TCP_SENDMSG);
	return send_returned(ctx, RESULT(ctx));
}

int kretprobe_tcp_sendpage(struct pt_regs *ctx)
{
	ran(RUN_KRETPROBE_TCP_SENDPAGE);
	return send_returned(ctx, RESULT(ctx));
}

int kprobe_sock_def_readable(struct pt_regs *ctx)
{
	ran(RUN_KPROBE_SOCK_DEF_READABLE);
	return data_ready(ctx, ARGUMENT(ctx, ARG_SOCK_DEF_READABLE_SK));
}

/* Of multipath TCP, which is told of and no more. */
int kprobe_subflow_data_ready(struct pt_regs *ctx)
{
	ran(RUN_KPROBE_SUBFLOW_DATA_READY);
	return data_ready(ctx, ARGUMENT(ctx, ARG_SUBFLOW_DATA_READY_SK));
}

int kprobe_tcp_rcv_space_adjust(struct pt_regs *ctx)
{
	ran(RUN_KPROBE_TCP_RCV_SPACE_ADJUST);
	return receive_copy(ctx, ARGUMENT(ctx, ARG_TCP_RCV_SPACE_ADJUST_SK));
}

int kprobe_tcp_recvmsg(struct pt_regs *ctx)
{
	ran(RUN_KPROBE_TCP_RECVMSG);
	return receive_entered(ARGUMENT(ctx, ARG_TCP_RECVMSG_SK),
			       ARGUMENT(ctx, ARG_TCP_RECVMSG_FLAGS));
}

int kretprobe_tcp_recvmsg(struct pt_regs *ctx)
{
	ran(RUN_KRETPROBE_TCP_RECVMSG);
	return receive_returned(ctx, RESULT(ctx));
}
