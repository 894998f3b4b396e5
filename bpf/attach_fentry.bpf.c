/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Thin wrappers: entries (kfunc__) and returns (kretfunc__) of kernel functions; BCC finds the function by the
 * program's name. Where an argument stands comes from the kernel's BTF.
 */

int kfunc__tcp_sendmsg_locked(u64 *ctx)
{
	u64 sk = ctx[ARG_TCP_SENDMSG_LOCKED_SK];
	u64 msg = ctx[ARG_TCP_SENDMSG_LOCKED_MSG];

	return EXCLUSIVELY(HOOK_SEND, message_entered(ctx, sk, msg));
}

int kfunc__do_tcp_sendpages(u64 *ctx)
{
	u64 sk = ctx[ARG_DO_TCP_SENDPAGES_SK];
	u64 size = ctx[ARG_DO_TCP_SENDPAGES_SIZE];

	return EXCLUSIVELY(HOOK_SEND, send_entered(ctx, sk, 0, size));
}

int kfunc__sk_stream_wait_memory(u64 *ctx)
{
	u64 sk = ctx[ARG_SK_STREAM_WAIT_MEMORY_SK];

	return EXCLUSIVELY(HOOK_SEND, pages_wait(ctx, sk));
}

int kretfunc__sk_stream_wait_memory(u64 *ctx)
{
	u64 error = ctx[RESULT_SK_STREAM_WAIT_MEMORY];

	return EXCLUSIVELY(HOOK_SEND, send_goes_on(ctx, error));
}

int kretfunc__sk_stream_wait_connect(u64 *ctx)
{
	u64 error = ctx[RESULT_SK_STREAM_WAIT_CONNECT];

	return EXCLUSIVELY(HOOK_SEND, send_connected(ctx, error));
}

int kretfunc__tcp_sendmsg(u64 *ctx)
{
	u64 sk = ctx[ARG_TCP_SENDMSG_SK];
	u64 result = ctx[RESULT_TCP_SENDMSG];

	return EXCLUSIVELY(HOOK_SEND, send_end(ctx, sk, result));
}

int kretfunc__tcp_sendpage(u64 *ctx)
{
	u64 sk = ctx[ARG_TCP_SENDPAGE_SK];
	u64 result = ctx[RESULT_TCP_SENDPAGE];

	return EXCLUSIVELY(HOOK_SEND, send_end(ctx, sk, result));
}

int kfunc__sock_def_readable(u64 *ctx)
{
	u64 sk = ctx[ARG_SOCK_DEF_READABLE_SK];

	return EXCLUSIVELY(HOOK_ARRIVAL, data_ready(ctx, sk));
}

/* Of multipath TCP, which is told of and no more. */
int kfunc__subflow_data_ready(u64 *ctx)
{
	u64 sk = ctx[ARG_SUBFLOW_DATA_READY_SK];

	return EXCLUSIVELY(HOOK_ARRIVAL, data_ready(ctx, sk));
}

int kfunc__tcp_rcv_space_adjust(u64 *ctx)
{
	u64 sk = ctx[ARG_TCP_RCV_SPACE_ADJUST_SK];

	return EXCLUSIVELY(HOOK_RECEIVE, receive_copy(ctx, sk));
}

int kretfunc__tcp_recvmsg(u64 *ctx)
{
	u64 sk = ctx[ARG_TCP_RECVMSG_SK];
	u64 flags = ctx[ARG_TCP_RECVMSG_FLAGS];
	u64 result = ctx[RESULT_TCP_RECVMSG];

	return EXCLUSIVELY(HOOK_RECEIVE, receive_end(ctx, sk, result, flags));
}
