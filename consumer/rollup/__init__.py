# SPDX-License-Identifier: Apache-2.0
"""What is made of a window once all of it is there: clocks solved, latencies corrected, histograms kept."""
