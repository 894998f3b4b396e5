# SPDX-License-Identifier: Apache-2.0
"""What heartbeats say of records that wait in a spool: acknowledged stops in front of them."""

from agent.delivery.outstanding import Outstanding, Ticket


def ticket(sequence, shard=0):
    return Ticket(shard, sequence, 1, 1000 + sequence)


def test_what_is_put_aside_is_not_acknowledged_until_it_is_moved_on():
    outstanding = Outstanding()
    for sequence in range(5):
        outstanding.open(ticket(sequence))
    outstanding.close(ticket(0))
    for sequence in (1, 2, 3, 4):
        outstanding.put_aside(ticket(sequence))
    assert (outstanding.acknowledged(), outstanding.oldest_ns(), len(outstanding)) == ({0: 0}, 1001, 0)
    outstanding.move_on(0, 2, 1003)
    assert (outstanding.acknowledged(), outstanding.oldest_ns()) == ({0: 2}, 1003)
    outstanding.move_on(0, 1, 1002)
    assert outstanding.acknowledged() == {0: 2}, "what came late moves nothing back"
    outstanding.none_aside(0)
    assert (outstanding.acknowledged(), outstanding.oldest_ns()) == ({0: 4}, None)


def test_what_was_taken_out_holds_back_what_is_behind_it():
    """Records of a file that gave way while one of them was on its way."""
    outstanding = Outstanding()
    for sequence in range(10):
        outstanding.open(ticket(sequence))
        outstanding.put_aside(ticket(sequence))
    outstanding.open(ticket(0))
    outstanding.move_on(0, 7, 1008)
    assert (outstanding.acknowledged(), outstanding.oldest_ns()) == ({}, 1000)
    outstanding.close(ticket(0))
    assert (outstanding.acknowledged(), outstanding.oldest_ns()) == ({0: 7}, 1008)
    outstanding.open(ticket(8))
    outstanding.put_aside(ticket(8))
    assert outstanding.acknowledged() == {0: 7}


def test_what_comes_back_is_open_again_though_others_behind_it_were_decided():
    outstanding = Outstanding()
    for sequence in range(3):
        outstanding.open(ticket(sequence))
        outstanding.put_aside(ticket(sequence))
    outstanding.open(ticket(0))
    outstanding.move_on(0, 1, 1002)
    outstanding.put_aside(ticket(0))
    assert (outstanding.acknowledged(), outstanding.oldest_ns()) == ({}, 1000)


def test_shards_are_apart():
    outstanding = Outstanding()
    outstanding.open(ticket(0, shard=1))
    outstanding.close(ticket(0, shard=1))
    outstanding.open(ticket(0, shard=2))
    outstanding.put_aside(ticket(0, shard=2))
    assert outstanding.acknowledged() == {1: 0}
