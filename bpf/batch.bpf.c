/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Batches that lose nothing silently. A batch belongs to one hook of one CPU. Whoever fills or flushes it
 * holds `busy`; who finds it held gives way and is counted. Everything is counted in slots, so that
 *     attempts = submitted + lost + nested + sampled + what is still in the batch
 * holds exactly, for events and for facts.
 */

static void submit_events(void *ctx, struct hook *h, u32 which)
{
	u32 count = h->event_count;
	s32 error;

	if (count == 0)
		return;
	if (count > BATCH)
		count = BATCH;
	h->event_record.first_sequence = h->events.submitted + h->events.lost;
	h->event_record.count = count;
	h->event_record.cpu = bpf_get_smp_processor_id();
	h->event_record.stream = which;
	h->event_record.version = RECORD_VERSION;
	error = records.perf_submit(ctx, &h->event_record,
				    sizeof(struct record) + count * sizeof(struct event));
	if (error)
		h->events.lost += count;
	else
		h->events.submitted += count;
	if (error == -EOPNOTSUPP)
		h->ringless = 1;
	h->event_count = 0;
}

static void submit_facts(void *ctx, struct hook *h, u32 which)
{
	u32 count = h->fact_count;

	if (count == 0)
		return;
	if (count > FACTS_PER_RECORD)
		count = FACTS_PER_RECORD;
	h->fact_record.first_sequence = h->facts.submitted + h->facts.lost;
	h->fact_record.count = count;
	h->fact_record.cpu = bpf_get_smp_processor_id();
	h->fact_record.stream = which + STREAM_FACTS;
	h->fact_record.version = RECORD_VERSION;
	if (records.perf_submit(ctx, &h->fact_record, sizeof(struct record) + count * FACT_SIZE))
		h->facts.lost += count;
	else
		h->facts.submitted += count;
	h->fact_count = 0;
}

/*
 * fentry programs may be preempted; tracepoints and kprobes may not. Two tasks on one CPU then interleave in any
 * order, which plain flags do not survive: the whole run is made exclusive to its hook, and one that finds it
 * taken is skipped and counted, as the kernel does for a single program.
 */
#ifdef PREEMPTIBLE
static struct hook *begin(u32 which)
{
	struct hook *h = this_hook(which);

	if (h && __sync_val_compare_and_swap(&h->inside, 0, 1) != 0) {
		__sync_fetch_and_add(&h->skipped, 1);
		return NULL;
	}
	return h;
}

static void finish(struct hook *h)
{
	barrier();
	h->inside = 0;
}

#define EXCLUSIVELY(which, statement)                  \
	({                                             \
		struct hook *exclusive = begin(which); \
		if (exclusive) {                       \
			statement;                     \
			finish(exclusive);             \
		}                                      \
		0;                                     \
	})
#else
#define EXCLUSIVELY(which, statement) \
	({                            \
		statement;            \
		0;                    \
	})
#endif

/* Returns whether the batch is ours now; release() gives it back. */
static bool acquire(struct hook *h)
{
	if (h->busy)
		return false;
	h->busy = 1;
	barrier();
	return true;
}

static void release(struct hook *h)
{
	barrier();
	h->busy = 0;
}

/* The next free slot. The caller holds the batch, fills every field, and commits. */
static struct event *event_slot(struct hook *h)
{
	return &h->slots[bounded(h->event_count, BATCH - 1)];
}

static void commit_event(void *ctx, struct hook *h, u32 which)
{
	h->event_count++;
	if (h->event_count >= BATCH)
		submit_events(ctx, h, which);
}

static void *fact_slot(struct hook *h)
{
	h->facts.attempts++;
	return &h->fact_slots[bounded(h->fact_count, FACTS_PER_RECORD - 1)];
}

static void commit_fact(void *ctx, struct hook *h, u32 which)
{
	h->fact_count++;
	if (h->fact_count >= FACTS_PER_RECORD)
		submit_facts(ctx, h, which);
}
