/* SPDX-License-Identifier: GPL-2.0-only */
/* BCC includes this first, whatever the program. */
#define CONFIG_BPF_SYSCALL 1
