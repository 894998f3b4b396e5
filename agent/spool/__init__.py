# SPDX-License-Identifier: Apache-2.0
"""Keeps on disk, within a quota, what Kafka does not take, and gives it back in order.

Knows nothing of Kafka: records go in and out as the bytes they travel as (docs/spool.md).
"""
