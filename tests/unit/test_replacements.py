"""Which create is half of a replacement that a preview has told of."""

import pytest

from ehpc_nodes.errors import RefusedError
from ehpc_nodes.models import State
from ehpc_nodes.provider.replacements import Replacements
from unit.emulated import CLUSTER, IMAGE, OLD_IMAGE, Bench, ids

URN = "urn:nodes"


def olds(*numbers, **changes):
    bag = {
        "cluster_id": CLUSTER,
        "region": "cn-hangzhou",
        "instance_ids": dict.fromkeys(ids(*numbers), ""),
        "image_id": OLD_IMAGE,
    }
    return {**bag, **changes}


def state(*numbers):
    return State(cluster_id=CLUSTER, region="cn-hangzhou", instance_ids=ids(*numbers))


def refuse(replacements, bench, *numbers):
    replacements.refuse_untold(URN, bench.inputs(*numbers), lambda _region: bench.operations())


def test_a_change_of_what_replaces_takes_the_old_set_away():
    replacements = Replacements()
    assert replacements.of(URN, olds(1), olds(1, image_id=IMAGE)) == olds(1)
    assert replacements.of(URN, olds(1), olds(2)) == {}
    assert replacements.of(URN, {}, olds(1)) == {}


def test_the_second_check_is_of_what_diff_asked_for_until_that_is_detached():
    replacements = Replacements()
    replacements.ask(URN, olds(1), "")
    assert replacements.is_asked(URN)
    assert replacements.of(URN, {}, olds(2)) == olds(1)
    assert replacements.of("urn:other", {}, olds(2)) == {}
    replacements.deleted(URN, state(1))
    assert replacements.of(URN, {}, olds(2)) == {}


def test_the_other_half_knows_the_identity():
    replacements = Replacements()
    assert replacements.identity_of(URN) == ""
    replacements.ask(URN, olds(1), "identity")
    replacements.deleted(URN, state(1))
    assert replacements.identity_of(URN) == "identity"


def test_what_was_told_and_detached_may_be_attached_once():
    bench, replacements = Bench(), Replacements()
    replacements.ask(URN, olds(1, 2), "")
    replacements.deleted(URN, state(1, 2))
    refuse(replacements, bench, 1, 2)
    assert not replacements.is_asked(URN)
    assert bench.calls() == []


def test_what_was_detached_and_not_told_is_refused():
    bench, replacements = Bench(), Replacements()
    replacements.deleted(URN, state(1, 2))
    with pytest.raises(RefusedError, match=f"{ids(2)[0]} was detached by a forced replacement"):
        refuse(replacements, bench, 2, 3)
    replacements.deleted(URN, state(1, 2))
    refuse(replacements, bench, 3)


def test_creating_first_is_refused_for_nodes_as_they_were():
    bench, replacements = Bench(attached=(1, 2)), Replacements()
    old = bench.nodes[ids(1)[0]].image_id
    replacements.ask(URN, olds(1, 2, image_id=old), "")
    with pytest.raises(RefusedError, match=f"{ids(1)[0]} can't be attached anew before"):
        refuse(replacements, bench, 1, 3)


def test_nodes_of_the_new_image_are_those_of_a_killed_run_of_it():
    bench, replacements = Bench(attached=(1, 2)), Replacements()
    replacements.ask(URN, olds(1, 2, image_id="another"), "")
    refuse(replacements, bench, 1, 2)


def test_in_a_cluster_that_is_gone_nothing_is_detached_first():
    bench, replacements = Bench(), Replacements()
    replacements.ask(URN, olds(1, cluster_id="ehpc-hz-nowhere"), "")
    bench.emulator.world.clusters.clear()
    refuse(replacements, bench, 1)


def test_the_region_of_what_is_replaced_is_known_until_it_is_made():
    bench, replacements = Bench(), Replacements()
    assert replacements.region_of(URN, CLUSTER) == ""
    replacements.ask(URN, olds(1), "")
    assert replacements.region_of(URN, CLUSTER) == "cn-hangzhou"
    assert replacements.region_of(URN, "ehpc-hz-other") == ""
    replacements.deleted(URN, state(1))
    assert replacements.region_of(URN, CLUSTER) == "cn-hangzhou"
    refuse(replacements, bench, 1)
    assert replacements.region_of(URN, CLUSTER) == ""
