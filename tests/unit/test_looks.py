"""Looks that operations share."""

import threading

import pytest

from ehpc_nodes.looks import Looks
from unit.fakes import FakeClock


class Lookout:
    """Counts the looks; each takes a second of the fake clock."""

    def __init__(self):
        self.looks, self.clock, self.made = Looks(), FakeClock(), 0

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
    looks, clock = Looks(), FakeClock()
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
