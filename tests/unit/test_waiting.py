"""Waiting, with a fake clock."""

import threading
import time

import pytest

from ehpc_nodes.clock import Deadline, RealClock, ends_in_time
from ehpc_nodes.errors import CancelledError
from unit.fakes import FakeClock


def test_cancelling_ends_a_real_sleep_at_once():
    clock = RealClock()
    threading.Timer(0.05, clock.cancelled.set).start()
    with pytest.raises(CancelledError, match="Cancelled while waiting"):
        clock.sleep(30)


def test_cancelled_clock_does_not_sleep_even_for_zero():
    clock = RealClock()
    clock.sleep(0)
    clock.cancelled.set()
    with pytest.raises(CancelledError):
        clock.sleep(0)


def test_at_most_is_the_sooner_of_both():
    clock = FakeClock()
    deadline = Deadline.after(clock, 100)
    assert deadline.at_most(30).left == pytest.approx(30)
    clock.time += 90
    assert deadline.at_most(30).left == pytest.approx(10)
    clock.time += 90
    assert deadline.left == 0
    assert deadline.passed


def at_work(seconds):
    thread = threading.Thread(target=time.sleep, args=(seconds,), daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("works", "left", "least", "ends"),
    [(0.0, 0, 60, True), (60, 0.2, 0, False), (60, 0, 0.2, False)],
)
def test_a_thread_is_awaited_until_the_deadline_and_for_the_least_seconds(works, left, least, ends):
    clock = RealClock(threading.Event())
    started = time.monotonic()
    assert ends_in_time(at_work(works), Deadline.after(clock, left), least) is ends
    assert ends or time.monotonic() - started >= 0.2
