# SPDX-License-Identifier: Apache-2.0
"""Closed windows become what is kept for good: clocks solved, latencies corrected, histograms, exemplars.

``job`` finds the hours that are due and commits them, ``hour`` and ``day`` make their rows, a pure function
of the hour's facts and of the time up to which windows are settled. docs/rollup.md has the design.
"""
