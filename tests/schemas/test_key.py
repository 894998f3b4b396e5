# SPDX-License-Identifier: Apache-2.0
"""A connection has one name, whoever looks at it and through whatever translator."""

from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.key import FIXED_KEY, connection_name, shard_of

isn = st.integers(0, 2**32 - 1)
secret = st.binary(max_size=100)


@given(secret, isn, isn)
def test_both_ends_agree(key: bytes, client: int, server: int) -> None:
    """Both ends derive the same name and different ends from what each of them knows, addresses aside."""
    opened = connection_name(key, client, server, passive=False)
    accepted = connection_name(key, server, client, passive=True)
    assert opened.connection == accepted.connection
    assert {opened.end, accepted.end} == {0, 1}


@given(isn, isn, isn)
def test_other_numbers_give_another_name(one: int, other: int, third: int) -> None:
    """Connections with other sequence numbers have other names."""
    assume(other != third)
    first = connection_name(FIXED_KEY, one, other, passive=False)
    assert first.connection != connection_name(FIXED_KEY, one, third, passive=False).connection


@given(isn, isn)
def test_secret_decides_the_name(client: int, server: int) -> None:
    """Who does not know the fleet's secret cannot tell the sequence numbers from the name."""
    ours = connection_name(b"ours", client, server, passive=False)
    theirs = connection_name(b"theirs", client, server, passive=False)
    assert ours.connection != theirs.connection
    assert 0 <= ours.connection < 2**64


def test_name_is_fixed_for_ever() -> None:
    """The hash is part of the wire format: agents of different versions must agree."""
    assert connection_name(FIXED_KEY, 1, 2, passive=False).connection == 0x194530703D83C789


@given(st.integers(0, 2**64 - 1), st.integers(1, 10_000))
def test_shard_is_a_partition(connection: int, shards: int) -> None:
    """Every connection has exactly one shard."""
    assert 0 <= shard_of(connection, shards) < shards
