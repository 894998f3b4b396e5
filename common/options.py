# SPDX-License-Identifier: Apache-2.0
"""What options of both command lines hold as text."""

from common.errors import ConfigError
from common.units import Duration, UnitError


def duration(name: str, text: str) -> Duration:
    """Return the duration that an option says.

    Raises:
        ConfigError: it says none.
    """
    try:
        return Duration.parse(text)
    except UnitError as error:
        raise ConfigError(f"{name}: {error}") from error
