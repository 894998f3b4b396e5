# SPDX-License-Identifier: Apache-2.0
"""From records to committed rows: one commit per cycle for all partitions that moved, each record in one.

``work`` is one partition's memory, ``owned`` all of them, ``cycle`` the commit and what follows it,
``service`` the loops around it. Nothing here imports a client of Kafka or of Delta.
"""
