# SPDX-License-Identifier: Apache-2.0
"""Kafka in: which topics are the right ones, which partitions are ours, and their records in order.

``topics`` holds the words and the checks, ``kafka`` is the one adapter to confluent-kafka's consumer.
"""
