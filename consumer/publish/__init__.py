# SPDX-License-Identifier: Apache-2.0
"""Kafka out: latencies for stream processors and records that could not be read, each at least once.

``latency`` and ``poison`` say what is sent, ``kafka`` is the one adapter to confluent-kafka's producer.
"""
