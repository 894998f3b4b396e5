# SPDX-License-Identifier: Apache-2.0
"""``python -m agent`` is ``wirelag-agent``."""

import sys

from agent.cli import main

sys.exit(main())
