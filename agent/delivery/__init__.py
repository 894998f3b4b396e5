# SPDX-License-Identifier: Apache-2.0
"""Takes packed batches to Kafka.

At least once and in order of their sequences, and accounts for each of them.
"""
