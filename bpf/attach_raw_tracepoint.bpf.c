/* SPDX-License-Identifier: GPL-2.0-only */
/* Thin wrappers: the arguments of raw tracepoints, handed to the handlers all backends share. */

int raw_tcp_sendmsg_locked(struct bpf_raw_tracepoint_args *ctx)
{
	return EXCLUSIVELY(HOOK_SEND, send_piece(ctx, ctx->args[0], ctx->args[1]));
}

int raw_sock_send_length(struct bpf_raw_tracepoint_args *ctx)
{
	return EXCLUSIVELY(HOOK_SEND, send_end(ctx, ctx->args[0], ctx->args[1]));
}

int raw_sk_data_ready(struct bpf_raw_tracepoint_args *ctx)
{
	return EXCLUSIVELY(HOOK_ARRIVAL, data_ready(ctx, ctx->args[0]));
}

int raw_tcp_rcv_space_adjust(struct bpf_raw_tracepoint_args *ctx)
{
	return EXCLUSIVELY(HOOK_RECEIVE, receive_copy(ctx, ctx->args[0]));
}

int raw_sock_recv_length(struct bpf_raw_tracepoint_args *ctx)
{
	return EXCLUSIVELY(HOOK_RECEIVE,
			   receive_end(ctx, ctx->args[0], ctx->args[1], ctx->args[2]));
}

int raw_inet_sock_set_state(struct bpf_raw_tracepoint_args *ctx)
{
	return set_state(ctx, ctx->args[0], ctx->args[1], ctx->args[2]);
}

int raw_tcp_retransmit_skb(struct bpf_raw_tracepoint_args *ctx)
{
	s32 error = RETRANSMIT_TELLS_ERROR ? ctx->args[2] : 0;

	return EXCLUSIVELY(HOOK_RETRANSMIT, retransmitted(ctx, ctx->args[0], ctx->args[1], error));
}

int raw_tcp_destroy_sock(struct bpf_raw_tracepoint_args *ctx)
{
	return destroyed(ctx->args[0]);
}
