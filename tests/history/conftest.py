# SPDX-License-Identifier: Apache-2.0
"""Lakes with known contents."""

from support.lakes import lake, write

__all__ = ["lake", "write"]
