# SPDX-License-Identifier: Apache-2.0
"""The live programs: `count`, `trace`, `top`, `life`. They need no broker and keep nothing.

`source` takes events from the kernel, `pairs` joins sends and reads whose ends are both on this host; each
program is a file that takes steps of the one and prints lines.
"""
