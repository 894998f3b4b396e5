# SPDX-License-Identifier: Apache-2.0
"""Goal 8, and the clocks' part of it: how fast latency is worked out, beside what others make of the same."""
