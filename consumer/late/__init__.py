# SPDX-License-Identifier: Apache-2.0
"""A second look at what closed unmatched: events that came hours late still find their other end.

``find`` matches rows of the lake by the matcher's own code, ``correct`` says what follows as additive rows,
``rematch`` is the command's loop. Only bytes decide; nothing is guessed.
"""
