# SPDX-License-Identifier: Apache-2.0
"""What every service needs and no service owns: settings, errors, logs, metrics, life cycle.

Imports no other package of the project and no client library of Kafka, Delta or BCC.
"""
