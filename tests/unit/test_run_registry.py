"""What one process remembers of a run: which resource lists, and has detached, which instance; what is replaced."""

import pytest

from ehpc_nodes.errors import RefusedError
from ehpc_nodes.provider.run_registry import OthersInRun, RunRegistry
from unit.emulated import CLUSTER, IMAGE, OLD_IMAGE, Bench, ids, iid

FIRST, SECOND, URN = "urn:first", "urn:dev::project::kind::second", "urn:nodes"


def test_an_instance_is_the_first_resources_that_lists_it():
    registry = RunRegistry()
    assert registry.list(FIRST, ids(1, 2)) == {}
    assert registry.list(SECOND, ids(2, 3)) == {iid(2): FIRST}
    assert registry.list(SECOND, ids(2, 3)) == {iid(2): FIRST}  # asking doesn't take it
    assert registry.list(FIRST, ids(3)) == {iid(3): SECOND}


def test_a_resource_that_is_checked_again_lists_just_what_it_lists_now():
    registry = RunRegistry()
    registry.list(FIRST, ids(1, 2))
    assert registry.list(FIRST, ids(1)) == {}
    assert registry.list(SECOND, ids(1, 2)) == {iid(1): FIRST}


def test_a_host_name_is_the_first_resources_in_a_cluster():
    registry = RunRegistry()
    assert registry.list_hosts(FIRST, CLUSTER, {iid(1): "compute1", iid(2): ""}) == {}
    assert registry.list_hosts(FIRST, CLUSTER, {iid(1): "compute1"}) == {}
    news = {iid(3): "Compute1", iid(4): "", iid(5): "compute5"}
    assert registry.list_hosts(SECOND, CLUSTER, news) == {iid(3): (iid(1), FIRST)}
    assert registry.list_hosts(SECOND, "ehpc-hz-other", news) == {}
    assert registry.list_hosts("", CLUSTER, news) == {}
    registry.withdraw(FIRST)
    assert registry.list_hosts(SECOND, CLUSTER, news) == {}


def test_without_a_urn_nothing_is_remembered():
    registry = RunRegistry()
    assert registry.list("", ids(1)) == {}
    assert registry.list(FIRST, ids(1)) == {}
    assert registry.list("", ids(1)) == {}
    registry.detach("", ids(4))
    assert registry.detached_by_others(FIRST) == {}
    assert registry.listed_by_others("") == set()


def test_what_another_resource_lists_is_its_own_until_that_is_refused():
    registry = RunRegistry()
    registry.list(SECOND, ids(2))
    others = OthersInRun(registry, FIRST)
    assert others.listed() == set()  # it is not checked yet
    registry.accept(SECOND)
    assert others.listed() == {iid(2)}
    assert OthersInRun(registry, SECOND).listed() == set()
    registry.withdraw(SECOND)
    assert others.listed() == set()
    assert registry.list(FIRST, ids(2)) == {}


def test_what_one_resource_detaches_the_others_of_the_run_are_told():
    registry = RunRegistry()
    first, second = (OthersInRun(registry, urn) for urn in (FIRST, SECOND))
    second.detaching(ids(1, 2))
    assert first.detached() == dict.fromkeys(ids(1, 2), "second")
    assert second.detached() == {}


# -- replacements -------------------------------------------------------------------------------


def olds(*numbers, **changes):
    bag = {
        "cluster_id": CLUSTER,
        "region": "cn-hangzhou",
        "instance_ids": dict.fromkeys(ids(*numbers), ""),
        "image_id": OLD_IMAGE,
    }
    return {**bag, **changes}


def refuse(registry, bench, *numbers):
    registry.refuse_unpreviewed(URN, bench.inputs(*numbers), lambda _region: bench.operations())


def test_a_change_of_what_replaces_takes_the_old_set_away():
    registry = RunRegistry()
    assert registry.replaced_by(URN, olds(1), olds(1, image_id=IMAGE)) == olds(1)
    assert registry.replaced_by(URN, olds(1), olds(2)) == {}
    assert registry.replaced_by(URN, {}, olds(1)) == {}


def test_the_second_check_is_of_what_diff_asked_for_until_that_is_detached():
    registry = RunRegistry()
    registry.replace(URN, olds(1))
    assert registry.replaced_by(URN, {}, olds(2)) == olds(1)
    assert registry.replaced_by("urn:other", {}, olds(2)) == {}
    registry.deleted(URN, ids(1))
    assert registry.replaced_by(URN, {}, olds(2)) == {}


def test_an_aliased_resource_is_deleted_under_its_former_name():
    registry = RunRegistry()
    registry.replace(URN, olds(1, __uid="uid"))
    assert registry.urn_of("urn:former", "uid") == URN
    assert registry.urn_of("urn:former", "other") == "urn:former"
    assert registry.urn_of("urn:former", "") == "urn:former"
    assert registry.urn_of(URN, "uid") == URN


def test_what_was_shown_and_detached_may_be_attached_once():
    bench, registry = Bench(), RunRegistry()
    registry.replace(URN, olds(1, 2))
    registry.deleted(URN, ids(1, 2))
    refuse(registry, bench, 1, 2)
    assert bench.calls() == []


def test_what_was_detached_and_not_shown_is_refused():
    bench, registry = Bench(), RunRegistry()
    registry.deleted(URN, ids(1, 2))
    with pytest.raises(RefusedError, match=f"{ids(2)[0]}: detached by a forced replacement"):
        refuse(registry, bench, 2, 3)
    registry.deleted(URN, ids(1, 2))
    refuse(registry, bench, 3)


def test_creating_first_is_refused_for_nodes_as_they_were():
    bench, registry = Bench(attached=(1, 2)), RunRegistry()
    old = bench.nodes[ids(1)[0]].image_id
    registry.replace(URN, olds(1, 2, image_id=old))
    with pytest.raises(RefusedError, match=f"{ids(1)[0]} must be detached before"):
        refuse(registry, bench, 1, 3)


def test_nodes_of_the_new_image_are_those_of_a_killed_run_of_it():
    bench, registry = Bench(attached=(1, 2)), RunRegistry()
    registry.replace(URN, olds(1, 2, image_id="another"))
    refuse(registry, bench, 1, 2)


def test_in_a_cluster_that_is_gone_nothing_is_detached_first():
    bench, registry = Bench(), RunRegistry()
    registry.replace(URN, olds(1, cluster_id="ehpc-hz-nowhere"))
    bench.world.clusters.clear()
    refuse(registry, bench, 1)


def test_the_region_of_what_is_replaced_is_known_until_it_is_made():
    bench, registry = Bench(), RunRegistry()
    assert registry.region_of(URN, CLUSTER) == ""
    registry.replace(URN, olds(1))
    assert registry.region_of(URN, CLUSTER) == "cn-hangzhou"
    assert registry.region_of(URN, "ehpc-hz-other") == ""
    registry.deleted(URN, ids(1))
    assert registry.region_of(URN, CLUSTER) == "cn-hangzhou"
    refuse(registry, bench, 1)
    assert registry.region_of(URN, CLUSTER) == ""
