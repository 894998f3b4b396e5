# SPDX-License-Identifier: Apache-2.0
"""The one error of this package."""

from common.errors import WirelagError


class KernelUnfitError(WirelagError):
    """This host cannot be traced as asked: the message names what is missing and the remedy."""

    exit_code = 2
