# SPDX-License-Identifier: Apache-2.0
"""One agent for each host name."""

import pytest

from agent.single import only_agent
from common.errors import RuntimeFailure


def test_a_second_agent_of_a_host_is_refused_and_another_host_is_not() -> None:
    """Two agents that trace the same would tell everything twice; an ended one is in nobody's way."""
    with only_agent("single-a", "all"):
        with (
            pytest.raises(RuntimeFailure, match="host single-a traces the same"),
            only_agent("single-a", "all"),
        ):
            pass
        with only_agent("single-b", "all"), only_agent("single-a", "some"):
            pass
    with only_agent("single-a", "all"):
        pass
