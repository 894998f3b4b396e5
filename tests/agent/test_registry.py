# SPDX-License-Identifier: Apache-2.0
"""Keys of any value keep their index, whatever the table in front of the dictionary holds."""

import numpy as np
import pytest

from agent.registry import UNKNOWN, Registry

KEYS = (0, 1, 2**63, 2**64 - 1)


@pytest.mark.parametrize("key", KEYS)
def test_any_key_is_found_from_the_first_look_on(key: int) -> None:
    """The greatest key is that of a connection whose sequence numbers are both unset."""
    registry: Registry[str] = Registry()
    asked = np.array([key, 77], dtype=np.uint64)
    assert registry.look_up(asked, 1).tolist() == [UNKNOWN, UNKNOWN]
    index = registry.learn(key, "it", 1)
    for _ in range(2):
        assert registry.look_up(asked, 1).tolist() == [index, UNKNOWN]
    registry.forget(2)
    assert registry.look_up(asked, 3).tolist() == [UNKNOWN, UNKNOWN]
