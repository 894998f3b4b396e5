# SPDX-License-Identifier: Apache-2.0
"""The commands of ``wirelag-agent``, a file each; what a command needs is loaded when it is run."""
