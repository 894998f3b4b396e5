/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Calls seen at whole functions, on kernels without a tracepoint inside of them. A send gives up the lock in two
 * places only, where it waits for a connection and where it waits for room: entry and the returns from these
 * waits are all the moments at which others' bytes may have come between.
 */

static struct thread *this_thread(u64 flags)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return threads.task_storage_get(task, 0, flags);
}

static bool is_connected(u64 sk)
{
	u8 state = 0;

	LOAD(state, sk, OFF_STATE);
	return state == STATE_ESTABLISHED || state == STATE_CLOSE_WAIT || state == STATE_SYN_RECV;
}

/* A send has the lock and begins. Without a connection, its first place is known when that wait is over. */
static int send_entered(void *ctx, u64 sk, u64 msg, u64 left)
{
	struct thread *t = this_thread(0);

	if (t && t->send.sock) {
		struct hook *h = this_hook(HOOK_SEND);

		if (h)
			h->orphans++;
		t->send.sock = 0;
	}
	if (left == 0)
		return 0;
	if (is_connected(sk))
		return send_hit(ctx, sk, msg, left);
	t = this_thread(BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t)
		return 0;
	t->opening = sk;
	t->opening_message = msg;
	t->opening_left = left;
	return 0;
}

static int message_entered(void *ctx, u64 sk, u64 msg)
{
	u64 left = 0;

	LOAD(left, msg, OFF_MSG_LEFT);
	return send_entered(ctx, sk, msg, left);
}

/* The wait for a connection is over, and the lock is held again. */
static int send_connected(void *ctx, s32 error)
{
	struct thread *t = this_thread(0);

	if (error || !t || !t->opening || !is_connected(t->opening))
		return 0;
	return send_hit(ctx, t->opening, t->opening_message, t->opening_left);
}

/* Pages carry no count of what is left, but until the lock is given up the stream has only their bytes. */
static int pages_wait(void *ctx, u64 sk)
{
	struct thread *t = this_thread(0);
	struct hook *h = this_hook(HOOK_SEND);
	struct conn *c;

	if (!t || !h || t->send.sock != sk || t->send.message)
		return 0;
	c = enter(ctx, h, HOOK_SEND, sk, bpf_get_current_pid_tgid() >> 32);
	if (c)
		t->send.left_waiting = t->send.left - (sent_position(h, c) - t->send.position);
	return 0;
}

/* There is room, and the lock is held again. */
static int send_goes_on(void *ctx, s32 error)
{
	struct thread *t = this_thread(0);
	u64 left;

	if (error || !t || !t->send.sock)
		return 0;
	left = t->send.left_waiting;
	if (t->send.message)
		LOAD(left, t->send.message, OFF_MSG_LEFT);
	return send_hit(ctx, t->send.sock, t->send.message, left);
}

/* The end of a send, where the hook tells its result alone. */
static int send_returned(void *ctx, s32 result)
{
	struct thread *t = this_thread(0);
	u64 sk;

	if (!t)
		return 0;
	sk = t->send.sock ? t->send.sock : t->opening;
	t->opening = 0;
	return sk ? send_end(ctx, sk, result) : 0;
}

/* A read begins; the hook at its end is told its result alone. */
static int receive_entered(u64 sk, u32 flags)
{
	struct thread *t = this_thread(BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!t)
		return 0;
	t->receiving = sk;
	t->receiving_flags = flags;
	return 0;
}

static int receive_returned(void *ctx, s32 result)
{
	struct thread *t = this_thread(0);
	u64 sk;

	if (!t || !t->receiving)
		return 0;
	sk = t->receiving;
	t->receiving = 0;
	return receive_end(ctx, sk, result, t->receiving_flags);
}
