# SPDX-License-Identifier: Apache-2.0
"""Everything that touches the running kernel: layout, programs, perf buffer, counters.

`capture` is the way in; only `loader` knows BCC.
"""
