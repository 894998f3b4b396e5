/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parts of this program are joined in the order agent/kernel/source.py names, because BCC rewrites map
 * calls in the main text only. Offsets into the kernel's structs arrive as macros, from its own BTF.
 */
#include "state.h"

BPF_PERF_OUTPUT(records);
BPF_PERCPU_ARRAY(hooks, struct hook, HOOKS);
BPF_ARRAY(settings, struct settings, 1);
BPF_F_TABLE("lru_hash", u64, struct conn, conns, CONNECTIONS, 0);
BPF_TASK_STORAGE(threads, struct thread);
BPF_F_TABLE("hash", u16, u8, ports, 1024, 0);
BPF_F_TABLE("hash", u16, u8, excluded_ports, 1024, 0);
BPF_F_TABLE("hash", u32, u8, namespaces, 1024, 0);
BPF_F_TABLE("hash", u64, u8, cgroups, 1024, 0);
/* Where the agent listens: network namespace << 16 | port. */
BPF_F_TABLE("hash", u64, u8, own_listeners, 64, 0);
/* Where others do, and who: those that began to since the agent came. */
BPF_F_TABLE("lru_hash", u64, struct listener, listeners, 4096, 0);

#define barrier() asm volatile("" ::: "memory")

/* An index the verifier can bound: the compiler must not think the mask away. */
static u64 bounded(u64 index, u64 mask)
{
	asm volatile("" : "+r"(index));
	index &= mask;
	asm volatile("" : "+r"(index));
	return index;
}

#define LOAD(destination, base, offset) \
	bpf_probe_read_kernel(&(destination), sizeof(destination), (void *)((base) + (offset)))

static struct settings *current_settings(void)
{
	int zero = 0;

	return settings.lookup(&zero);
}

static struct hook *this_hook(int which)
{
	return hooks.lookup(&which);
}
