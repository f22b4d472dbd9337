"""Reads that operations share: `api.cache`."""

import threading
from contextlib import contextmanager

import pytest

from ehpc_nodes.api.cache import LONGEST_TURN, ReadCache
from unit.fakes import FakeClock


class Lookout:
    """Counts the looks; each takes a second of the fake clock."""

    def __init__(self):
        self.looks, self.clock, self.made = ReadCache(), FakeClock(), 0

    def make(self):
        self.made += 1
        self.clock.time += 1
        return self.made

    def at(self, since, thing="nodes"):
        return self.looks.at(thing, self.make, self.clock.now, since=since)


def test_a_look_that_was_begun_since_is_shared():
    it = Lookout()
    first = it.at(since=0)
    assert it.at(since=first.begun) is first
    assert (first.seen, first.begun, it.made) == (1, 1000.0, 1)


def test_an_older_look_is_not():
    it = Lookout()
    it.at(since=0)  # begun at 1000, over at 1001: what happened in between may be missing from it
    assert it.at(since=1000.5).seen == 2


def test_a_look_that_failed_is_not_kept():
    it = Lookout()
    with pytest.raises(ZeroDivisionError):
        it.looks.at("nodes", lambda: 1 / 0, it.clock.now, since=0)
    assert it.at(since=0).seen == 1


@contextmanager
def under_way(looks, clock, make):
    """Another thread has begun a look, which gives this when the block ends; what the looks of threads gave."""
    begun, go_on, seen = threading.Event(), threading.Event(), []

    def slow():
        begun.set()
        assert go_on.wait(10)
        return make()

    def look(made):
        try:
            seen.append(looks.at("nodes", made, clock.now, since=clock.now()).seen)
        except ZeroDivisionError:
            seen.append("failed")

    threads = []

    def start(made):
        threads.append(threading.Thread(target=look, args=(made,)))
        threads[-1].start()
        return threads[-1]

    start(slow)
    assert begun.wait(10)
    yield start, seen
    go_on.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("first", "seen"),
    [(lambda: "seen", ["seen", "seen"]), (lambda: 1 / 0, ["failed", "own"])],
)
def test_who_comes_while_a_look_is_under_way_waits_for_it_and_shares_it_unless_it_fails(
    first, seen
):
    with under_way(ReadCache(), FakeClock(), first) as (start, found):
        second = start(lambda: "own")
        second.join(0.05)
        assert second.is_alive()
    assert found == seen


def test_a_look_that_hangs_is_not_waited_for_any_longer_than_a_turn(monkeypatch):
    monkeypatch.setattr("ehpc_nodes.api.cache.LONGEST_TURN", 0.02)
    looks, clock = ReadCache(), FakeClock()
    with under_way(looks, clock, lambda: "late"):
        assert looks.at("nodes", lambda: "own", clock.now, since=clock.now()).seen == "own"


def test_after_a_look_and_after_one_that_failed_nobody_waits_for_a_turn():
    it = Lookout()

    def look():
        it.at(since=0)
        with pytest.raises(ZeroDivisionError):
            it.looks.at("nodes", lambda: 1 / 0, it.clock.now, since=it.clock.now())
        it.at(since=it.clock.now())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(LONGEST_TURN - 1)
    assert not thread.is_alive()
    assert it.made == 2


def test_a_look_at_one_thing_does_not_wait_for_one_at_another():
    looks, clock = ReadCache(), FakeClock()

    def nested():
        return looks.at("tasks", lambda: "tasks", clock.now, since=0).seen

    assert looks.at("nodes", nested, clock.now, since=0).seen == "tasks"
    assert looks.at("nodes", lambda: "nodes", clock.now, since=0).seen == "tasks"  # each its own
