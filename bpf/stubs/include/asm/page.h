/* SPDX-License-Identifier: GPL-2.0-only */
/* BCC's helpers use nothing of it in tracing programs but its presence. */
#define PAGE_SIZE 4096
