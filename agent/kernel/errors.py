# SPDX-License-Identifier: Apache-2.0
"""The one error of this package, and the case of it that another backend may mend."""

from common.errors import WirelagError


class KernelUnfitError(WirelagError):
    """This host cannot be traced as asked: the message names what is missing and the remedy."""

    exit_code = 2


class HookRefusedError(KernelUnfitError):
    """The kernel lists a hook, but does not let this process use it."""

    def __init__(self, means: str, message: str) -> None:
        super().__init__(message)
        self.means = means
        """How the hook was to be attached (agent/kernel/hooks.py)."""
