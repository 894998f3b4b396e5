# SPDX-License-Identifier: Apache-2.0
"""How far the clocks of hosts are apart, from nothing but messages that went both ways. Pure.

A message cannot arrive before it was sent. So each one from A to B says that B's clock minus A's is at
most (arrival on B's clock - sending on A's), and each one from B to A that it is at least that: between
the two lies the truth, and no better can be known from traffic. `line` finds the straight line with the
most room between both, `pieces` cuts a window where one line does not do (a step, a slew), `pair` turns
that into bounds at any time, and `mesh` makes the answers of many pairs agree.
"""
