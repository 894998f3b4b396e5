# SPDX-License-Identifier: Apache-2.0
"""Answers from the lake: percentiles of any time, edge and host; single messages; connections; losses.

Nothing here prints. ``span`` reads times, ``source`` finds the files, ``engine`` is the only module that
knows DuckDB; every other module is one question, with its parameters bound, never pasted into SQL.
"""
