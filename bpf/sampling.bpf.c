/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which events are kept where not all are wanted: chosen by hashes that both ends of a connection compute alike,
 * so that what one host keeps of a stream the other keeps too, and higher rates keep all that lower ones keep.
 * A connection is kept whole (for its turns), and so is each byte of a block of 64 KiB (for its deliveries):
 * the send whose last byte it is, and the arrival and the read that brought it.
 */

#define BLOCK_SHIFT 16
#define BLOCKS_LOOKED_AT 8 /* a longer range is kept */

/* splitmix64's finalizer */
static u64 mixed(u64 x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static u64 connection_hash(u32 iss, u32 irs)
{
	u64 low = iss < irs ? iss : irs;
	u64 high = iss < irs ? irs : iss;

	return mixed(high << 32 | low);
}

/* Whether all of a connection's events are kept. */
static bool kept_whole(u32 rates, u64 hash)
{
	return (hash >> 48) < (rates >> 16);
}

static bool kept_block(u32 rates, u64 hash, u32 end, u64 block)
{
	return (mixed(hash ^ (block << 1 | end)) >> 48) < (rates & 0xffff);
}

/* Whether an event of bytes [begin, end) is kept. `sender` is 1 where the sender's sequence number is the greater. */
static bool kept(u32 rates, u64 hash, u32 sender, u64 begin, u64 end)
{
	u64 first = begin >> BLOCK_SHIFT;
	u64 last = (end - 1) >> BLOCK_SHIFT;
	u32 i;

	if (kept_whole(rates, hash))
		return true;
	if (!(rates & 0xffff))
		return false;
	if (last - first >= BLOCKS_LOOKED_AT)
		return true;
	for (i = 0; i < BLOCKS_LOOKED_AT; i++) {
		if (first + i > last)
			break;
		if (kept_block(rates, hash, sender, first + i))
			return true;
	}
	return false;
}

/* The rates of now; false, and 0, where everything is kept. */
static bool sampling(u32 *rates)
{
	struct settings *s = current_settings();

	*rates = s && s->filters & SAMPLING ? s->rates : 0;
	return s && s->filters & SAMPLING;
}

/*
 * Whether an event is left out, and counted so; else *rates is what it was kept by. A send is chosen by its last
 * byte: only that one's delivery is asked for.
 */
static bool left_out(struct hook *h, u64 hash, u32 sender, u64 begin, u64 end, u32 *rates)
{
	if (!sampling(rates) || kept(*rates, hash, sender, begin, end))
		return false;
	h->events.sampled++;
	return true;
}

/* The same for what concerns a connection as a whole. */
static bool connection_left_out(struct hook *h, u64 hash, u32 *rates)
{
	if (!sampling(rates) || kept_whole(*rates, hash))
		return false;
	h->events.sampled++;
	return true;
}
