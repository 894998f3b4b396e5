# SPDX-License-Identifier: Apache-2.0
"""What runs on every host: reads TCP events from the kernel and hands them to Kafka."""
