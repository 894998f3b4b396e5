# SPDX-License-Identifier: Apache-2.0
"""The brakes of one agent run, once a second: is it to trace at all, and if so, which share of the events.

A file stops before an order, an order before the governor's last resort. Stopped means: nothing attached to
the kernel, all that was captured handed over, heartbeats that say why; the run itself goes on.
"""

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import structlog

from agent.brakes import offfile
from agent.brakes.budget import DayBudget, SpentFile
from agent.brakes.governor import FLOOR, Governor, LetGo, Limits, Reading, Share
from agent.brakes.kernel_time import KernelTime
from agent.brakes.settings import BrakesSection
from agent.brakes.standing import CANNOT_ATTACH, STOPPED, TRACING, Standing
from agent.brakes.switch import Switch
from agent.kernel.errors import KernelUnfitError
from common.throttle import Throttle
from schemas.batch import FULL_RATE
from schemas.order import Order

EVERY_SECONDS = 1.0
CATCH_UP_SECONDS = 3.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 60.0, 3600.0
CALM_SECONDS = 600.0
"""Attached for so long, the next last resort begins with the first pause again."""
EVERYTHING = (FULL_RATE, FULL_RATE)


class Orders(Protocol):
    """Where orders come from."""

    number: int

    def catch_up(self, seconds: float) -> None:
        """Wait for those that are there."""

    def poll(self) -> None:
        """Take what has come."""

    def order(self, now_ns: int) -> Order | None:
        """Return the one that counts."""

    def close(self) -> None:
        """Read no more."""


class Delivery(Protocol):
    """What has gone."""

    record_bytes: int


class Means(NamedTuple):
    """What the brakes look at and act on."""

    switch: Switch
    orders: Orders
    delivery: Delivery
    cpu_seconds: Callable[[], float]
    kernel_time: KernelTime
    spent: SpentFile


class Brakes:
    """Decides and acts; one thread calls it. The constructor touches nothing."""

    def __init__(self, section: BrakesSection, means: Means, wall: Callable[[], float] = time.time) -> None:
        self._section = section
        self._means = means
        self._wall = wall
        self._governor = Governor(Limits(section.max_cpu_percent / 100, section.max_events_per_second))
        self._budget = DayBudget(section.max_bytes_per_day, means.spent.load(wall()))
        self._rates = EVERYTHING
        self._changes = 0
        self._why = ""
        self._order = 0
        self._next = 0.0
        self._attached_at = self._again_at = 0.0
        self._pause = FIRST_PAUSE_SECONDS
        self._resting = ""
        """Why, until then."""
        self._share: float | None = None
        self._throttle = Throttle()
        self._log = structlog.get_logger()

    @property
    def standing(self) -> Standing:
        """How they stand."""
        on = self._means.switch.on
        why = self._governor.share.why if on else self._why
        return Standing(*self._rates, self._changes, TRACING if on else STOPPED, why, self._order)

    @property
    def us_per_event(self) -> float | None:
        """Time in the BPF programs, None where it was not measured yet."""
        return self._means.kernel_time.us_per_event

    def begin(self, now: float) -> None:
        """Attach, unless a file or an order that is there already says not to.

        Raises:
            KernelUnfitError: the kernel refuses.
        """
        self._means.orders.catch_up(CATCH_UP_SECONDS)
        self._obey(now)

    def tick(self, now: float) -> bool:
        """Look once a second at most; says whether there is something that others should hear of soon."""
        if now < self._next:
            return False
        self._next = now + EVERY_SECONDS
        before = self.standing
        self._means.orders.poll()
        try:
            self._obey(now)
        except KernelUnfitError as error:  # it took the programs before: it may again
            self._log.exception("cannot attach")
            self._rest(now, f"{CANNOT_ATTACH}: {error}")
        if self._means.switch.on:
            self._govern(now)
        after = self.standing
        return (before.state, before.order) != (after.state, after.order)

    def change(self, section: BrakesSection) -> None:
        """Go on under other limits, from the share that is kept now; without any limit all is kept."""
        limits = Limits(section.max_cpu_percent / 100, section.max_events_per_second)
        self._governor = self._governor.under(limits) if section.limited else Governor(limits)
        self._budget = DayBudget(
            section.max_bytes_per_day, self._budget.spent, self._means.delivery.record_bytes
        )
        self._section = section
        if self._means.switch.on and not section.limited:
            self._sample(self._governor.share)

    def attach_anew(self, why: str) -> None:
        """Detach where it is attached: the next tick attaches again, with what the capture was told since."""
        if self._means.switch.on:
            self._why = why
            self._detach()

    def close(self) -> None:
        """End what was opened; the capture is not part of it."""
        self._means.orders.close()
        self._means.kernel_time.close()
        self._spend(at_once=True)

    def _obey(self, now: float) -> None:
        """Be on or off as file, orders and the last resort say."""
        why, on = self._reason(now), self._means.switch.on
        if why is not None:
            self._why = why
            if on:
                self._detach()
        elif not on:
            self._attach(now)
        self._order = self._means.orders.number

    def _reason(self, now: float) -> str | None:
        said = offfile.reason(self._section.off_file)
        if said is not None:
            return f"file {self._section.off_file}" + (f": {said}" if said else "")
        order = self._means.orders.order(int(self._wall() * 1e9))
        if order is not None and order.action == "stop":
            return "order" + (f" of {order.by}" if order.by else "") + (f": {order.why}" if order.why else "")
        if now < self._again_at:
            return f"{self._resting}; again after {self._pause:.0f} s"
        return None

    def _attach(self, now: float) -> None:
        self._means.switch.attach()
        self._means.kernel_time.restart()
        self._governor.attach(self._share)
        self._share = None
        self._attached_at = now
        if self._governor.share.rates != EVERYTHING:
            self._sample(self._governor.share)
        if self._why:
            self._log.info("attached", after=self._why)
        self._why = ""

    def _detach(self) -> None:
        self._log.warning("detached", why=self._why)
        self._means.kernel_time.close()
        self._means.switch.detach()

    def _govern(self, now: float) -> None:
        means = self._means
        counters = means.switch.capture.counters()
        means.kernel_time.update(counters, now)
        if not self._section.limited:
            return
        self._spend()
        cpu = means.cpu_seconds() + means.kernel_time.total_ns / 1e9
        kept = counters.attempts - counters.sampled
        reading = Reading(now, cpu, counters.attempts, kept, means.delivery.record_bytes)
        answer = self._governor.step(reading, self._budget.allowed(self._wall()))
        if isinstance(answer, LetGo):
            self._let_go(now)
        elif answer.rates != self._rates:
            self._sample(answer)

    def _sample(self, share: Share) -> None:
        if share.rates != self._rates:
            self._changes += 1
            self._log.info("keeping", share=round(share.share, 5), why=share.why or "all fits")
        self._rates = share.rates
        self._means.switch.capture.sample(*share.rates)

    def _let_go(self, now: float) -> None:
        """Detach, and begin anew with nearly nothing."""
        self._share = FLOOR
        self._rest(now, "max-cpu-percent: missed by far with nearly nothing kept")
        self._obey(now)

    def _rest(self, now: float, why: str) -> None:
        """Stay detached for a while, longer each time."""
        calm = now - self._attached_at > CALM_SECONDS
        self._pause = (
            FIRST_PAUSE_SECONDS if calm or not self._again_at else min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        )
        self._again_at, self._resting = now + self._pause, why

    def _spend(self, *, at_once: bool = False) -> None:
        if not self._section.max_bytes_per_day:
            return
        now = self._wall()
        self._budget.take(self._means.delivery.record_bytes, now)
        try:
            self._means.spent.save(self._budget.spent, now, at_once=at_once)
        except OSError as error:
            if (silent := self._throttle.due("spent")) is not None:
                self._log.warning("bytes of the day are not kept", error=str(error), more=silent)
