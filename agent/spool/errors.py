# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with a spool file. Caught within this package: none of them reaches a person."""


class FileDamagedError(Exception):
    """It cannot be read as a whole."""


class FileNewerError(Exception):
    """A later version of the agent wrote it."""


class FileUnwritableError(Exception):
    """Rows could not be written; ``full``: for want of space."""

    def __init__(self, message: str, *, full: bool) -> None:
        super().__init__(message)
        self.full = full
