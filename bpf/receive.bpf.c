/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A read is a list of runs. Every copy out of the socket, under its lock, says how far all readers together
 * have come; the bytes since the last copy are this thread's. Runs that follow each other are one. When the
 * call ends, its last `result` bytes, counted back from its newest run, are what it read: with one reader that
 * is a single range, with MSG_WAITALL and several readers it may be more.
 */

#define STALE_NS 1000000000ULL

/* The batch is held. */
static void emit_receive(void *ctx, struct hook *h, u32 which, struct receive_call *call,
			 struct range *range, u64 now, u16 flags)
{
	struct event *e = event_slot(h);
	u64 pid_tgid = bpf_get_current_pid_tgid();
	u64 end = range->position + range->length;
	u32 rates;

	if (left_out(h, call->hash, call->irs > call->iss, range->position, end, &rates))
		return;
	e->time_ns = now;
	e->duration_ns = now - call->last_ns;
	e->sock = call->sock;
	e->position = range->position;
	e->length = range->length;
	e->iss = call->iss;
	e->irs = call->irs;
	e->srtt_us = call->srtt_us;
	e->tgid = pid_tgid >> 32;
	e->tid = (u32)pid_tgid;
	e->flags = call->flags | flags;
	e->kind = KIND_RECEIVE;
	e->cpu = bpf_get_smp_processor_id();
	e->rates = rates;
	commit_event(ctx, h, which);
}

/* They were read when they were copied, however long afterwards that is told. */
static void emit_no_call(void *ctx, struct hook *h, u32 which, struct receive_call *call,
			 struct range *range)
{
	if (range->length == 0)
		return;
	h->events.attempts++;
	if (!acquire(h)) {
		h->events.nested++;
		return;
	}
	emit_receive(ctx, h, which, call, range, call->last_ns, FLAG_NO_CALL);
	release(h);
}

static void close_call(struct receive_call *call)
{
	call->sock = 0;
	call->runs = 0;
	call->early = 0;
}

/* Bytes were taken and no call's end was seen: by splice, by the kernel itself. They count as read. */
static void settle(void *ctx, struct hook *h, u32 which, struct receive_call *call)
{
	struct range current;
	u32 i;

	if (call->sock == 0)
		return;
	for (i = 0; i < RUNS; i++) {
		if (i < call->runs)
			emit_no_call(ctx, h, which, call, &call->finished[i]);
	}
	current.position = call->position;
	current.length = call->unknown_start ? 0 : call->end - call->position;
	emit_no_call(ctx, h, which, call, &current);
	close_call(call);
}

/* Puts the current run aside: another reader came between. */
static void finish_run(void *ctx, struct hook *h, struct receive_call *call)
{
	struct range *run;

	if (call->unknown_start)
		return;
	if (call->runs >= RUNS) {
		struct range current = {call->position, call->end - call->position};

		emit_no_call(ctx, h, HOOK_RECEIVE, call, &current);
		call->early += current.length;
		return;
	}
	run = &call->finished[bounded(call->runs, RUNS - 1)];
	run->position = call->position;
	run->length = call->end - call->position;
	call->runs++;
}

static void start_run(struct receive_call *call, struct conn *c, u64 sk, u64 from, u64 now)
{
	call->position = from;
	call->first_ns = now;
	call->unknown_start = !(c->flags & CONN_CURSOR);
	call->iss = c->iss;
	call->irs = c->irs;
	call->hash = c->hash;
	call->sock = sk;
}

/* splice(2), and getsockopt(2) for TCP_ZEROCOPY_RECEIVE: the copy is all that will be heard of the call. */
static bool ends_unseen(struct task_struct *task)
{
	u64 number = 0;

	bpf_probe_read_kernel(&number, SIZE_SYSCALL,
			      (void *)(bpf_task_pt_regs(task) + OFF_SYSCALL));
	return number == SYSCALL_SPLICE || number == SYSCALL_GETSOCKOPT;
}

static int receive_copy(void *ctx, u64 sk)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct hook *h = this_hook(HOOK_RECEIVE);
	struct receive_call *call;
	u64 now, from, end;
	struct thread *t;
	struct conn *c;

	if (!h)
		return 0;
	c = enter(ctx, h, HOOK_RECEIVE, sk, bpf_get_current_pid_tgid() >> 32);
	if (!c)
		return 0;
	end = read_position(h, c);
	from = c->cursor;
	if (c->flags & CONN_CURSOR && end <= from)
		return 0;
	t = threads.task_storage_get(task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t)
		return 0;
	call = &t->receive;
	now = bpf_ktime_get_ns();
	if (call->sock != sk || now - call->first_ns > STALE_NS) {
		settle(ctx, h, HOOK_RECEIVE, call);
		call->flags = event_flags(c);
		start_run(call, c, sk, from, now);
	} else if (call->end != from) {
		finish_run(ctx, h, call);
		start_run(call, c, sk, from, now);
	}
	if (end > c->arrived)
		call->flags |= FLAG_NO_ARRIVAL;
	if (FIELD(u16, h, OFF_URG_DATA))
		call->flags |= FLAG_URGENT;
	call->end = end;
	call->last_ns = now;
	call->srtt_us = FIELD(u32, h, OFF_SRTT) >> 3;
	c->cursor = end;
	c->flags |= CONN_CURSOR;
	if (ends_unseen(task))
		settle(ctx, h, HOOK_RECEIVE, call);
	return 0;
}

/* Takes up to *need bytes off the end of a run and emits them. */
static void take_run(void *ctx, struct hook *h, struct receive_call *call, struct range *run,
		     u64 *need, u64 now, u16 flags)
{
	struct range taken;

	taken.length = run->length < *need ? run->length : *need;
	taken.position = run->position + run->length - taken.length;
	*need -= taken.length;
	if (*need == 0)
		flags |= FLAG_FIRST_PIECE;
	emit_receive(ctx, h, HOOK_RECEIVE, call, &taken, now, flags);
}

/* Whether the runs seen are fewer bytes than the call took: then one of them, or its place, is missing. */
static bool incomplete(struct receive_call *call, u64 length, u64 need)
{
	u32 i;

	for (i = 0; i < RUNS; i++) {
		if (i < call->runs)
			length += call->finished[i].length;
	}
	return length < need;
}

/* What the run holds beyond the call's own bytes (and an urgent one) was taken before it, by no call. */
static void settle_excess(void *ctx, struct hook *h, struct receive_call *call, u64 result)
{
	u64 length = call->end - call->position;
	u64 urgent = call->flags & FLAG_URGENT ? 1 : 0;
	struct range excess;

	if (call->unknown_start || call->runs || length <= result + urgent)
		return;
	excess.position = call->position;
	excess.length = length - result;
	emit_no_call(ctx, h, HOOK_RECEIVE, call, &excess);
	call->position += excess.length;
}

/* The batch is held. */
static void emit_runs(void *ctx, struct hook *h, struct receive_call *call, u64 need, u64 now,
		      u16 flags)
{
	struct range run = {call->position, call->end - call->position};
	u32 i;

	if (call->unknown_start && run.length < need) {
		run.position = call->end - need;
		run.length = need;
	}
	need = need > call->early ? need - call->early : 0;
	if (run.length < need) {
		flags |= FLAG_SHARED_READ;
		if (incomplete(call, run.length, need))
			flags |= FLAG_UNCERTAIN;
	}
	take_run(ctx, h, call, &run, &need, now, flags | FLAG_LAST_PIECE);
	for (i = 0; i < RUNS && need; i++) {
		u32 index = call->runs - 1 - i;

		if (i >= call->runs)
			break;
		h->events.attempts++;
		take_run(ctx, h, call, &call->finished[bounded(index, RUNS - 1)], &need, now,
			 flags);
	}
	if (need)
		h->orphans++;
}

static int receive_end(void *ctx, u64 sk, s32 result, s32 msg_flags)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct receive_call *call;
	struct thread *t;
	struct hook *h;
	u16 flags = 0;

	if (result <= 0 || msg_flags & (MSG_PEEK | MSG_OOB))
		return 0;
	t = threads.task_storage_get(task, 0, 0);
	if (!t || t->receive.sock != sk)
		return 0;
	call = &t->receive;
	h = this_hook(HOOK_RECEIVE);
	if (!h)
		return 0;
	if (msg_flags & MSG_WAITALL)
		flags |= FLAG_SHARED_READ;
	if (msg_flags & MSG_TRUNC)
		flags |= FLAG_TRUNCATED;
	settle_excess(ctx, h, call, result);
	h->calls++;
	h->events.attempts++;
	if (acquire(h)) {
		introduce_task(ctx, h, HOOK_RECEIVE, t, task);
		emit_runs(ctx, h, call, result, bpf_ktime_get_ns(), flags);
		release(h);
	} else {
		h->events.nested++;
	}
	close_call(call);
	return 0;
}
