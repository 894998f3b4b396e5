# SPDX-License-Identifier: Apache-2.0
"""Where the kernel's structs keep what the programs read: BTF in, compiler macros out."""

import platform

from agent.kernel.btf import Btf
from agent.kernel.errors import KernelUnfitError

BLOCK_MAX = 1024

BLOCK = {
    "OFF_COPIED_SEQ": "tcp_sock.copied_seq",
    "OFF_URG_DATA": "tcp_sock.urg_data",
    "OFF_WRITE_SEQ": "tcp_sock.write_seq",
    "OFF_RCV_NXT": "tcp_sock.rcv_nxt",
    "OFF_SND_UNA": "tcp_sock.snd_una",
    "OFF_SRTT": "tcp_sock.srtt_us",
    "OFF_BYTES_RECEIVED": "tcp_sock.bytes_received",
    "OFF_BYTES_ACKED": "tcp_sock.bytes_acked",
}
"""Read by one copy at every event."""

SINGLE = {
    "OFF_BYTES_SENT": "tcp_sock.bytes_sent",
    "OFF_BYTES_RETRANS": "tcp_sock.bytes_retrans",
    "OFF_SND_NXT": "tcp_sock.snd_nxt",
    "OFF_TOTAL_RETRANS": "tcp_sock.total_retrans",
    "OFF_SEGS_OUT": "tcp_sock.segs_out",
    "OFF_SEGS_IN": "tcp_sock.segs_in",
    "OFF_IS_MPTCP": "tcp_sock.is_mptcp",
    "OFF_ULP": "inet_connection_sock.icsk_ulp_ops",
    "OFF_SOURCE_PORT": "inet_sock.inet_sport",
    "OFF_FAMILY": "sock.__sk_common.skc_family",
    "OFF_STATE": "sock.__sk_common.skc_state",
    "OFF_LOCAL_PORT": "sock.__sk_common.skc_num",
    "OFF_REMOTE_PORT": "sock.__sk_common.skc_dport",
    "OFF_LOCAL4": "sock.__sk_common.skc_rcv_saddr",
    "OFF_REMOTE4": "sock.__sk_common.skc_daddr",
    "OFF_LOCAL6": "sock.__sk_common.skc_v6_rcv_saddr",
    "OFF_REMOTE6": "sock.__sk_common.skc_v6_daddr",
    "OFF_PROT": "sock.__sk_common.skc_prot",
    "OFF_NET": "sock.__sk_common.skc_net.net",
    "OFF_PROT_CREATOR": "sock.sk_prot_creator",
    "OFF_TYPE": "sock.sk_type",
    "OFF_PROTOCOL": "sock.sk_protocol",
    "OFF_MAX_ACK_BACKLOG": "sock.sk_max_ack_backlog",
    "OFF_LOCK_OWNED": "sock.sk_lock.owned",
    "OFF_SOCK_ERROR": "sock.sk_err",
    "OFF_SOCK_FLAGS": "sock.__sk_common.skc_flags",
    "OFF_SOCK_CGROUP": "sock.sk_cgrp_data.cgroup",
    "OFF_CGROUP_NODE": "cgroup.kn",
    "OFF_NODE_ID": "kernfs_node.id",
    "OFF_NET_INODE": "net.ns.inum",
    "OFF_MSG_LEFT": "msghdr.msg_iter.count",
    "OFF_MSG_FLAGS": "msghdr.msg_flags",
    "OFF_COMM": "task_struct.comm",
    "OFF_GROUP_LEADER": "task_struct.group_leader",
    "OFF_START_TIME": "task_struct.start_time",
    "OFF_EXEC_ID": "task_struct.self_exec_id",
}

SUMS = {
    "OFF_MIN_RTT": ("tcp_sock.rtt_min", "minmax_sample.v"),
    "OFF_SEGMENT_START": ("sk_buff.cb", "tcp_skb_cb.seq"),
    "OFF_SEGMENT_END": ("sk_buff.cb", "tcp_skb_cb.end_seq"),
    "OFF_SEGMENT_FLAGS": ("sk_buff.cb", "tcp_skb_cb.tcp_flags"),
}
"""Fields of one struct that lies within another without its type saying so."""

BITS = {"SYN_DATA": "tcp_sock.syn_data", "REPAIR": "tcp_sock.repair"}
"""Bit fields: their byte is OFF_, their bits in it MASK_."""

SYSCALLS = {
    "x86_64": ("pt_regs.orig_ax", 275, 55),
    "aarch64": ("pt_regs.syscallno", 76, 209),
}
"""By machine: where the number of the running system call is kept, those of splice and getsockopt."""


def macros(btf: Btf) -> dict[str, int]:
    """Return every offset the programs use, by macro name.

    Raises:
        KernelUnfitError: this kernel lacks a field or has them too far apart, or the processor is another.
    """
    block = {name: btf.field(path) for name, path in BLOCK.items()}
    start = min(field.offset for field in block.values()) & ~7
    size = (max(field.offset + field.size for field in block.values()) - start + 7) & ~7
    if size > BLOCK_MAX:
        raise KernelUnfitError(f"tcp_sock spreads over {size} bytes on this kernel, more than {BLOCK_MAX}")
    found = {name: field.offset for name, field in block.items()}
    found |= {name: btf.field(path).offset for name, path in SINGLE.items()}
    found |= {name: sum(btf.field(path).offset for path in paths) for name, paths in SUMS.items()}
    bits = {name: btf.field(path) for name, path in BITS.items()}
    found |= {f"OFF_{name}": field.offset for name, field in bits.items()}
    found |= {f"MASK_{name}": field.mask for name, field in bits.items()}
    if platform.machine() not in SYSCALLS:
        raise KernelUnfitError("this processor architecture is not supported: use x86-64 or arm64")
    where, splice, getsockopt = SYSCALLS[platform.machine()]
    syscall = btf.field(where)
    return found | {
        "BLOCK_START": start,
        "BLOCK_SIZE": size,
        "SIZE_PROTOCOL": btf.field("sock.sk_protocol").size,
        "OFF_SYSCALL": syscall.offset,
        "SIZE_SYSCALL": syscall.size,
        "SYSCALL_SPLICE": splice,
        "SYSCALL_GETSOCKOPT": getsockopt,
    }
