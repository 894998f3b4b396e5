# SPDX-License-Identifier: Apache-2.0
"""State objects come back as they were written, or not at all."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake import state
from lake.delta import open_storage
from lake.errors import LakeCorruptError
from lake.facts import Facts
from lake.storage import Storage
from tests.lake.synthetic import TOPIC_ID, part

_SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


@pytest.fixture
def storage(folder: str) -> Storage:
    return open_storage(folder, {})


@_SHARED
@given(content=st.binary(max_size=2000))
def test_a_state_comes_back_as_it_was(storage: Storage, content: bytes) -> None:
    name = state.new_name("id", 3, 17)
    state.write(storage, name, content)
    assert state.read(storage, name) == content
    assert state.offset_of(name) == 17


@_SHARED
@given(content=st.binary(max_size=200), data=st.data())
def test_any_flipped_bit_is_found(storage: Storage, folder: str, content: bytes, data: st.DataObject) -> None:
    name = state.new_name("id", 0, 5)
    state.write(storage, name, content)
    stored = bytearray((Path(folder) / name).read_bytes())
    bit = data.draw(st.integers(0, len(stored) * 8 - 1))
    stored[bit // 8] ^= 1 << bit % 8
    (Path(folder) / name).write_bytes(stored)
    with pytest.raises(LakeCorruptError) as caught:
        state.read(storage, name)
    assert caught.value.name == name


@pytest.mark.parametrize("kept", [0, 1, 15, 16, 17, -1])
def test_a_state_cut_short_is_found(storage: Storage, folder: str, kept: int) -> None:
    name = state.new_name("id", 0, 5)
    state.write(storage, name, b"remembered" * 50)
    whole = (Path(folder) / name).read_bytes()
    (Path(folder) / name).write_bytes(whole[:kept])
    with pytest.raises(LakeCorruptError, match="is unusable"):
        state.read(storage, name)


def test_another_partitions_state_is_not_taken(storage: Storage, folder: str) -> None:
    mine, other = state.new_name("id", 0, 5), state.new_name("id", 1, 5)
    state.write(storage, mine, b"mine")
    state.write(storage, other, b"other")
    (Path(folder) / other).replace(Path(folder) / mine)
    with pytest.raises(LakeCorruptError, match="checksum"):
        state.read(storage, mine)


def test_a_take_over_names_the_state_that_is_corrupt(facts: Facts, folder: str) -> None:
    facts.commit([part(0, 2, 4), part(1, 0, 4)])
    [damaged] = Path(folder).glob(f"_state/{TOPIC_ID}/0/4-*")
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    with pytest.raises(LakeCorruptError, match="checksum") as caught:
        facts.resume(TOPIC_ID, 0)
    assert caught.value.name == str(damaged.relative_to(folder))
    assert facts.resume(TOPIC_ID, 1) is not None


def test_a_take_over_names_the_state_that_is_missing(facts: Facts, folder: str) -> None:
    facts.commit([part(0, 2, 4)])
    [gone] = Path(folder).glob(f"_state/{TOPIC_ID}/0/4-*")
    gone.unlink()
    with pytest.raises(LakeCorruptError, match="missing"):
        facts.resume(TOPIC_ID, 0)
