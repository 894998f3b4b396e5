# SPDX-License-Identifier: Apache-2.0
"""Leaves out what needs atheris where there is none: it is made for x86_64 only."""

import platform

collect_ignore = [] if platform.machine() == "x86_64" else ["test_fuzz.py"]
