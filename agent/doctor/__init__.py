# SPDX-License-Identifier: Apache-2.0
"""``wirelag-agent doctor``: what this host offers, and what that means for each figure.

`host` reads, `checks` judges, `measures` draws the consequences; only `load` touches the kernel.
"""
