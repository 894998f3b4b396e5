# SPDX-License-Identifier: Apache-2.0
"""From Kafka records to latencies in the lake: the part of wirelag that runs away from the measured hosts.

``latency`` holds the pure numpy functions, ``engine`` the state of one partition; both do no I/O.
"""
