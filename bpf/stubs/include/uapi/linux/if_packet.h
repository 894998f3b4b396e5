/* SPDX-License-Identifier: GPL-2.0-only */
/* Empty: BCC includes it, and brings what is needed. */
