"""Reads that operations share: `api.cache`."""

import threading

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


def test_each_thing_has_its_own():
    it = Lookout()
    assert (it.at(0, "nodes").seen, it.at(0, "tasks").seen, it.at(0, "nodes").seen) == (1, 2, 1)


def test_a_look_that_failed_is_not_kept():
    it = Lookout()
    with pytest.raises(ZeroDivisionError):
        it.looks.at("nodes", lambda: 1 / 0, it.clock.now, since=0)
    assert it.at(since=0).seen == 1


def test_who_comes_while_a_look_is_under_way_waits_for_it_and_shares_it():
    looks, clock = ReadCache(), FakeClock()
    under_way, go_on, seen = threading.Event(), threading.Event(), []

    def slow():
        under_way.set()
        assert go_on.wait(10)
        return "seen"

    def at(make):
        seen.append(looks.at("nodes", make, clock.now, since=clock.now()).seen)

    threads = [threading.Thread(target=at, args=(slow,))]
    threads[0].start()
    assert under_way.wait(10)
    threads.append(threading.Thread(target=at, args=(lambda: "another",)))
    threads[1].start()
    threads[1].join(0.05)
    assert threads[1].is_alive()
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert seen == ["seen", "seen"]


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


def test_who_waited_for_a_look_that_failed_looks_itself():
    looks, clock = ReadCache(), FakeClock()
    under_way, go_on, came = threading.Event(), threading.Event(), []

    def fails():
        under_way.set()
        assert go_on.wait(10)
        raise ZeroDivisionError

    def at(make):
        try:
            came.append(looks.at("nodes", make, clock.now, since=clock.now()).seen)
        except ZeroDivisionError:
            came.append("failed")

    first = threading.Thread(target=at, args=(fails,))
    first.start()
    assert under_way.wait(10)
    second = threading.Thread(target=at, args=(lambda: "seen",))
    second.start()
    go_on.set()
    for thread in (first, second):
        thread.join(10)
    assert came == ["failed", "seen"]


def test_a_look_that_hangs_is_not_waited_for_any_longer_than_a_turn(monkeypatch):
    monkeypatch.setattr("ehpc_nodes.api.cache.LONGEST_TURN", 0.02)
    looks, clock = ReadCache(), FakeClock()
    under_way, go_on = threading.Event(), threading.Event()

    def hangs():
        under_way.set()
        assert go_on.wait(10)
        return "late"

    first = threading.Thread(target=lambda: looks.at("nodes", hangs, clock.now, since=clock.now()))
    first.start()
    assert under_way.wait(10)
    assert looks.at("nodes", lambda: "own", clock.now, since=clock.now()).seen == "own"
    go_on.set()
    first.join(10)
    assert not first.is_alive()


def test_a_look_at_one_thing_does_not_wait_for_one_at_another():
    looks, clock = ReadCache(), FakeClock()

    def nested():
        return looks.at("tasks", lambda: "tasks", clock.now, since=0).seen

    assert looks.at("nodes", nested, clock.now, since=0).seen == "tasks"
