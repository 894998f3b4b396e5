# SPDX-License-Identifier: Apache-2.0
"""What keeps the agent cheap for its host, and stops it: limits, a file, orders.

``governor`` thins, ``offfile`` and orders (agent/delivery/orders.py) stop, ``brakes`` puts them together.
"""
