# SPDX-License-Identifier: Apache-2.0
"""What was sampled out on purpose is told apart: it is no loss, and no part of what is complete."""

from typing import Any

import pytest

from history.latency import Answer, latency
from history.losses import losses
from history.span import Span
from support.rows import START, Write, histogram, ledger, nothing_lost

SPAN = Span(START, START + 600 * 10**9)
KINDS = "delivery,wire,receive-wait,send-block"
ROW = histogram([1, 2, 3])


def asked(write: Write, *rows: dict[str, Any], histograms: list[dict[str, Any]] | None = None) -> Answer:
    return latency(write(histogram=histograms or [ROW], ledger=list(rows)), SPAN, kinds=KINDS)


def sampled(host: str, events: int) -> dict[str, Any]:
    return ledger(host, "kernel", "sampled", events)


def thinned(stored: int, *more: dict[str, Any]) -> list[dict[str, Any]]:
    """Ledger of a sending host that attempted 1000, left 630 out and lost nothing but what is said."""
    rows = [ledger("alpha", "kernel", "attempted", 1_000), sampled("alpha", 630)]
    rows += [ledger("alpha", "kafka", "delivered", stored), ledger("alpha", "consumer", "stored", stored)]
    return [*rows, *more]


def test_all_that_was_kept_is_complete(write: Write) -> None:
    """370 of 1000 kept and stored: 100 % of what was not sampled out, and the share beside it."""
    answer = asked(write, *thinned(370))
    (figure,) = answer.figures
    assert (figure.complete, figure.kept) == (1, pytest.approx(0.37))
    assert answer.kept == pytest.approx(0.37)


def test_a_loss_is_a_share_of_what_was_kept(write: Write) -> None:
    """37 of 370 lost are 10 %."""
    (figure,) = asked(write, *thinned(333, ledger("alpha", "perf-buffer", "full", 37))).figures
    assert figure.complete == pytest.approx(0.9)


def test_what_a_killed_agent_sampled_out_is_not_unaccounted(write: Write) -> None:
    """Only what it kept and nobody has is."""
    source = write(histogram=[ROW], ledger=thinned(270))
    assert latency(source, SPAN).figures[0].complete == pytest.approx(1 - 100 / 370)
    told = {row["reason"]: row["events"] for row in losses(source, SPAN)}
    assert (told["unaccounted"], told["sampled"]) == (100, 630)


def test_everything_sampled_out_is_no_error(write: Write) -> None:
    """No event was kept, none was lost."""
    (figure,) = asked(write, ledger("alpha", "kernel", "attempted", 9), sampled("alpha", 9)).figures
    assert (figure.complete, figure.kept) == (1, 0)


def test_a_receiving_host_that_samples_answers_for_its_losses(write: Write) -> None:
    """A message that it lost is not seen, since it may have been left out: its ledger tells instead."""
    lost = ledger("beta", "perf-buffer", "full", 200)
    assert asked(write, *nothing_lost(), lost).figures[0].complete == 1 - 2**-53, "whole connections may be"
    (figure,) = asked(write, sampled("beta", 600)).figures
    assert figure.complete == pytest.approx(0.5)


def test_a_receiving_host_has_no_part_in_send_block(write: Write) -> None:
    """Send-block rests on the sending host alone."""
    rows = [*nothing_lost(), ledger("beta", "perf-buffer", "full", 200), sampled("beta", 600)]
    (figure,) = asked(write, *rows, histograms=[histogram([1], measure="send-block")]).figures
    assert figure.complete == 1


def test_the_share_kept_is_over_the_hosts_of_the_answer(write: Write) -> None:
    """A host counts once, however many rows name it; one that nothing names not at all."""
    rows = [*nothing_lost(), sampled("alpha", 400), ledger("gamma", "kernel", "attempted", 10**6)]
    answer = asked(write, *rows, sampled("gamma", 10**6), histograms=[ROW, ROW | {"edge": "other"}])
    assert [figure.kept for figure in answer.figures] == [pytest.approx(0.8)] * 2
    assert answer.kept == pytest.approx(0.8)


def test_without_ledgers_nothing_is_known(write: Write) -> None:
    """Neither what is complete nor what was kept."""
    answer = asked(write, ledger("gamma", "kernel", "attempted", 5))
    assert (answer.figures[0].complete, answer.figures[0].kept, answer.kept) == (None, None, None)
