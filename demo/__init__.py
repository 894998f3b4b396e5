# SPDX-License-Identifier: Apache-2.0
"""The demonstration behind ``make demo``: two namespaces, real traffic, real tracing, one table of latencies.

Nothing here is installed with wirelag; everything it starts it stops, everything it makes it removes.
"""
