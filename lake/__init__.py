# SPDX-License-Identifier: Apache-2.0
"""The lake: what the consumer found out, kept exactly once in a Delta table on local disk or object storage.

`lake.facts` is the way in, for writers and readers; `docs/lake.md` tells why a row is there exactly once.
"""
