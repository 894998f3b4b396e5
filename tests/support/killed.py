# SPDX-License-Identifier: Apache-2.0
"""A process of a test's own, which is gone when its with block ends."""

import subprocess
from types import TracebackType
from typing import Any


class Killed:
    """Whoever inherits starts ``_process`` in ``__enter__``."""

    _process: subprocess.Popen[Any]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
