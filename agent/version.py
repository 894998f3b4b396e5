# SPDX-License-Identifier: Apache-2.0
"""The version of the installed distribution, as the heartbeat tells it."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("wirelag")
except PackageNotFoundError:
    VERSION = "unknown"
