/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A send call is a list of pieces. A blocking send drops the lock while it waits for room, so other writers'
 * bytes may lie between its own. Each hit of tcp_sendmsg_locked says, under the lock, where the next byte goes
 * and how many are left: a piece ends where the next hit is not at the place its own bytes lead to.
 */

static void emit_send(void *ctx, struct hook *h, struct send_call *call, u64 position, u64 length,
		      u64 now, u16 flags)
{
	struct event *e = event_slot(h);
	u64 pid_tgid = bpf_get_current_pid_tgid();
	u64 end = position + length;
	u32 rates;

	if (left_out(h, call->hash, call->iss > call->irs, end - 1, end, &rates)) {
		call->pieces = 1;
		return;
	}
	e->time_ns = call->start_ns;
	e->duration_ns = now - call->start_ns;
	e->sock = call->sock;
	e->position = position;
	e->length = length;
	e->iss = call->iss;
	e->irs = call->irs;
	e->srtt_us = call->srtt_us;
	e->tgid = pid_tgid >> 32;
	e->tid = (u32)pid_tgid;
	e->flags = call->flags | flags | (call->pieces ? 0 : FLAG_FIRST_PIECE);
	e->kind = KIND_SEND;
	e->cpu = bpf_get_smp_processor_id();
	e->rates = rates;
	call->pieces = 1;
	commit_event(ctx, h, HOOK_SEND);
}

/* Gives out the piece that was kept back, now that it is known not to be the last. */
static void emit_held(void *ctx, struct hook *h, struct send_call *call)
{
	if (call->held.length == 0)
		return;
	h->events.attempts++;
	if (!acquire(h)) {
		h->events.nested++;
		return;
	}
	emit_send(ctx, h, call, call->held.position, call->held.length, bpf_ktime_get_ns(), 0);
	release(h);
}

/* `msg` is NULL for pages, which come without a message. */
static void open_call(struct send_call *call, struct hook *h, struct conn *c, u64 sk, u64 msg)
{
	u32 msg_flags = 0;

	if (call->sock)
		h->orphans++;
	call->sock = sk;
	call->message = msg;
	call->start_ns = bpf_ktime_get_ns();
	call->held.length = 0;
	call->iss = c->iss;
	call->irs = c->irs;
	call->hash = c->hash;
	call->srtt_us = FIELD(u32, h, OFF_SRTT) >> 3;
	call->flags = event_flags(c);
	if (msg)
		LOAD(msg_flags, msg, OFF_MSG_FLAGS);
	if (msg_flags & MSG_OOB)
		call->flags |= FLAG_URGENT;
	call->pieces = 0;
}

/* The first hit of a connection that stands beyond 0: the bytes before went out with the SYN, by this call. */
static void account_for_syn(struct send_call *call, struct conn *c, u64 sk, u64 position)
{
	if (c->flags & CONN_SENT)
		return;
	c->flags |= CONN_SENT;
	if (position == 0 || !sent_with_syn(sk, c))
		return;
	call->start_ns = c->opened_ns;
	call->held.position = 0;
	call->held.length = position;
	call->first_left += position;
	call->flags |= FLAG_FAST_OPEN;
}

/* Where the stream stands and how many bytes of the call are left: a new call, or the next piece of the open one. */
static int send_hit(void *ctx, u64 sk, u64 msg, u64 left)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct hook *h = this_hook(HOOK_SEND);
	struct send_call *call;
	struct thread *t;
	struct conn *c;
	u64 position;

	if (!h)
		return 0;
	c = enter(ctx, h, HOOK_SEND, sk, bpf_get_current_pid_tgid() >> 32);
	if (!c)
		return 0;
	t = threads.task_storage_get(task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t)
		return 0;
	call = &t->send;
	position = sent_position(h, c);
	if (call->sock == sk && call->message == msg && left <= call->left) {
		u64 done = call->left - left;

		if (position == call->position + done)
			return 0;
		if (done) {
			emit_held(ctx, h, call);
			call->held.position = call->position;
			call->held.length = done;
		}
	} else {
		open_call(call, h, c, sk, msg);
		call->first_left = left;
		account_for_syn(call, c, sk, position);
	}
	call->position = position;
	call->left = left;
	return 0;
}

static int send_piece(void *ctx, u64 sk, u64 msg)
{
	u64 left = 0;

	LOAD(left, msg, OFF_MSG_LEFT);
	return send_hit(ctx, sk, msg, left);
}

/* The call ends with `result` bytes taken: what is not in an earlier piece is in the current one. */
static void emit_last(void *ctx, struct hook *h, struct send_call *call, u64 result, u64 now)
{
	u64 earlier = call->first_left - call->left;
	u64 length = result > earlier ? result - earlier : 0;

	if (length && call->held.length) {
		h->events.attempts++;
		emit_send(ctx, h, call, call->held.position, call->held.length, now, 0);
	}
	if (length)
		emit_send(ctx, h, call, call->position, length, now, FLAG_LAST_PIECE);
	else
		emit_send(ctx, h, call, call->held.position, call->held.length, now,
			  FLAG_LAST_PIECE);
}

static int send_end(void *ctx, u64 sk, s32 result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct send_call *call;
	struct thread *t;
	struct hook *h;

	t = threads.task_storage_get(task, 0, 0);
	if (!t || t->send.sock != sk) {
		if (result > 0)
			fast_open_end(ctx, sk, result);
		return 0;
	}
	call = &t->send;
	h = this_hook(HOOK_SEND);
	if (result > 0 && h) {
		h->calls++;
		h->events.attempts++;
		if (acquire(h)) {
			introduce_task(ctx, h, HOOK_SEND, t, task);
			emit_last(ctx, h, call, result, bpf_ktime_get_ns());
			release(h);
		} else {
			h->events.nested++;
		}
	}
	call->sock = 0;
	return 0;
}
