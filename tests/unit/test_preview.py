"""What an up would do, from checked inputs; a replacement with what it detaches first."""

from typing import Any

import pytest
from pulumi.output import UNKNOWN

from ehpc_nodes.emulator.world import Cluster
from ehpc_nodes.errors import BackendError
from ehpc_nodes.provider.preview import (
    NOT_KNOWN,
    NOT_READ,
    preview,
    preview_replacement,
    preview_unread,
    preview_without_cluster,
)
from ehpc_nodes.provider.properties import UID, known_ids
from unit.emulated import CLUSTER, IMAGE, VPC, Bench, Killed, ids, iid, right_after

ONE, TWO = ids(1, 2)
FORBIDDEN = {"status": 403, "code": "NotAuthorized", "message": "No.", "times": None}
OWN = {"image_id": "m-bp1own", "image_owner_alias": "self"}


def bag_of(*numbers, **more) -> dict[str, Any]:
    """Checked inputs, as the provider fills them before a look."""
    return {
        "cluster_id": CLUSTER,
        "region": "cn-hangzhou",
        "instance_ids": dict.fromkeys(ids(*numbers), ""),
        "replace_system_disks": True,
        "stop_running": False,
        "busy_nodes": "refuse",
        "take_ownership": False,
        **more,
    }


class Regions:
    """Lifecycles on a bench, with the regions that they were asked for in."""

    def __init__(self, bench):
        self.bench, self.asked = bench, []

    def __call__(self, region):
        self.asked.append(region)
        return self.bench.operations()


def told(bench, bag, wanted, saved=None):
    it = preview(Regions(bench), bag, set(wanted), saved)
    assert bench.writes() == []
    return it


def first(*hosts):
    """What the line of a replacement begins with."""
    return f"first detach {len(hosts)} ({KEPT}): {', '.join(hosts)}; 1 call; then "


KEPT, WIPED = "the instances are not released", "system disk replaced by m-bp1own"
BOTH_FIRST = first("compute1", "compute2")


def replaced(bench, bag, olds, wanted=None):
    regions = Regions(bench)
    it = preview_replacement(
        regions, bag, set(bag["instance_ids"]) if wanted is None else wanted, olds
    )
    assert bench.writes() == []
    return it, regions


@pytest.mark.parametrize("update", [False, True])
def test_of_instances_that_are_not_known_yet_nothing_is_told_but_the_rest_is_checked(update):
    bench = Bench(attached=(1, 2))
    saved = bench.up(1, 2) if update else None
    bench.nodes[ONE].used.cpu = 4
    bag = bag_of(instance_ids=UNKNOWN, job_queue="none", replace_system_disks=False)
    it = preview(Regions(bench), bag, None, saved)
    assert it.line == NOT_KNOWN
    told = [(found.property, found.warning) for found in it.findings]
    assert told == [("job_queue", False), ("replace_system_disks", True)]
    assert bench.writes() == []
    assert bag["instance_ids"] is UNKNOWN


def test_of_a_replacement_by_instances_that_are_not_known_yet_the_first_half_is_told():
    bag = bag_of(instance_ids=UNKNOWN, **OWN)
    bench = Bench(attached=(1, 2))
    it = preview_replacement(Regions(bench), bag, None, bag_of(1, 2))
    assert (it.line, it.findings) == (BOTH_FIRST + NOT_KNOWN, [])


# -- create and update --------------------------------------------------------------------------


def test_of_an_update_the_line_and_what_was_resolved():
    bench = Bench(attached=(2, 3))
    bag = bag_of(1, 2)
    it = told(bench, bag, ids(1, 2), bench.up(2, 3))
    assert it.line == (
        f"attach 1 (system disk replaced by {IMAGE}): compute1; keep 1; detach 1 (the instances are not released):"
        " compute3; 2 calls"
    )
    assert it.findings == []
    assert bag == bag_of(
        1,
        2,
        instance_ids={ONE: "compute1", TWO: "compute2"},
        image_id=IMAGE,
        image_owner_alias="system",
    )


def test_what_the_program_names_stays():
    bag = bag_of(1, **OWN, instance_ids={ONE: "mine", "(new instance 1)": UNKNOWN})
    told(Bench(), bag, [ONE])
    assert {name: bag[name] for name in OWN} == OWN
    assert bag["instance_ids"] == {ONE: "mine", "(new instance 1)": UNKNOWN}


def test_an_image_that_comes_later_is_not_filled_in():
    bag = bag_of(1, image_id=UNKNOWN)
    it = told(Bench(), bag, [ONE])
    assert bag["image_id"] is UNKNOWN
    assert "image_owner_alias" not in bag
    assert "an image that is not known yet" in it.line


def test_an_outage_is_an_error():
    bench = Bench()
    bench.fault("error", "DescribeCluster", code="ServiceUnavailable", times=None)
    with pytest.raises(BackendError):
        told(bench, bag_of(1), [ONE])


# -- a replacement ------------------------------------------------------------------------------


def test_a_replacement_says_what_it_detaches_first():
    bench = Bench(attached=(3,))
    bag = bag_of(1, 3, **OWN, stop_running=True)
    it, regions = replaced(bench, bag, bag_of(3))
    assert (
        it.line
        == f"{first('compute3')}stop 1: compute3; attach 2 ({WIPED}): compute1, compute3; 2 calls"
    )
    assert it.findings == []
    assert bag["instance_ids"] == {ONE: "compute1", iid(3): "compute3"}
    assert regions.asked == ["cn-hangzhou"] * 2


def test_a_replacement_needs_to_stop_what_it_has_detached_and_says_so_once():
    bench = Bench(attached=(3, 4))
    it, _ = replaced(bench, bag_of(3, 4, **OWN), bag_of(3, 4))
    names = f"compute3 ({iid(3)}), compute4 ({iid(4)})"
    (found,) = it.findings
    assert (found.property, found.reason, found.warning) == (
        "stop_running",
        (
            f"the system disks of {names} are replaced: these nodes are detached, stopped and attached again. To allow"
            " this, set stop_running=True"
        ),
        False,
    )
    assert replaced(bench, bag_of(3, **OWN, stop_running=True), bag_of(3))[0].findings == []


def test_busy_nodes_of_a_replacement_are_told_by_the_new_consent():
    bench = Bench(attached=(3,))
    bench.outside.use(iid(3), 2)
    (found,) = replaced(bench, bag_of(4), bag_of(3, busy_nodes="detach"))[0].findings
    assert found.warning
    told = f"compute3 ({iid(3)}) runs jobs (used: 2 CPU)."
    assert found.reason.startswith(f"{told} pulumi up fails until the jobs end")
    (found,) = replaced(bench, bag_of(4, busy_nodes="detach"), bag_of(3))[0].findings
    assert found.reason.startswith(f"{told} The update detaches the nodes")


def test_the_nodes_of_another_cluster_are_detached_there():
    bench = Bench()
    other = Cluster("ehpc-hz-other", VPC, IMAGE, "CentOS_7.6_64")
    bench.world.clusters[other.id] = other
    bench.outside.attach(ONE, other.id)
    olds = bag_of(1, cluster_id=other.id, region="cn-beijing")
    it, regions = replaced(bench, bag_of(1, stop_running=True), olds)
    assert it.findings == []
    assert it.line.startswith(first("compute1") + "stop 1: ")
    assert regions.asked == ["cn-hangzhou", "cn-beijing"]


def test_a_removal_that_cannot_be_seen_is_left_to_the_delete():
    bench = Bench()
    it, _ = replaced(bench, bag_of(1), bag_of(2, cluster_id="ehpc-hz-none"))
    assert it.line == f"attach 1 (system disk replaced by {IMAGE}): compute1; 1 call"
    assert it.findings == []


def test_nodes_that_may_not_be_listed_are_left_to_the_delete_too():
    bench = Bench(attached=(3,))
    bench.fault("error", "ListNodes", **FORBIDDEN)
    it, _ = replaced(bench, bag_of(4), bag_of(3))
    assert it.line.startswith("attach 1 ")
    assert "the permission ehpc:ListNodes" in it.findings[0].reason


def test_a_node_that_another_resource_has_by_now_is_not_shown_as_detached():
    bench = Bench(attached=(3, 4))
    old = bench.operations(uid="old").converge(bench.inputs(3, 4))
    bench.operations(name="project/stack/taker", uid="taker").converge(
        bench.inputs(4, take_ownership=True)
    )
    bench.journal.entries.clear()
    it, _ = replaced(bench, bag_of(1, **OWN), {**old.model_dump(), "__uid": "old"})
    assert it.line.startswith(first("compute3") + "attach 1 (")
    bench.operations(uid="old").destroy(old)
    assert sorted(bench.nodes) == ids(4)


def test_a_replacement_keeps_no_node_attached():
    bench = Bench(attached=(3, 4))
    it, _ = replaced(bench, bag_of(3, **OWN, stop_running=True, retain_ids=ids(4)), bag_of(3, 4))
    (found,) = it.findings
    assert (found.property, found.warning) == ("retain_ids", False)
    assert found.reason.startswith(f"{iid(4)} cannot stay attached while the resource is replaced")


def test_the_outputs_of_what_is_replaced_do_as_well():
    it, _ = replaced(Bench(attached=(3,)), bag_of(4), bag_of(3, instance_ids=ids(3)))
    assert it.line.startswith(first("compute3"))


# -- where not all is known yet -----------------------------------------------------------------


def later(*numbers, **more):
    """Checked inputs with an instance beside these that is made in the same program."""
    return bag_of(
        instance_ids={**dict.fromkeys(ids(*numbers), ""), "(new instance 1)": UNKNOWN}, **more
    )


def test_an_instance_that_comes_later_is_told_as_one_whose_disk_is_replaced():
    bench = Bench(attached=(2, 3))
    assert told(bench, later(1, 2), ids(1, 2), bench.up(2, 3)).line == (
        f"attach 1 (system disk replaced by {IMAGE}): compute1; attach 1 not known yet (system disk replaced by"
        f" {IMAGE}), unless already nodes; keep 1; detach 1, unless they are among those not known yet (the instances"
        " are not released): compute3"
    )


def test_so_it_is_where_no_other_is_attached():
    bench = Bench(attached=(1,))
    it = told(bench, later(1), [ONE], bench.up(1))
    assert it.line.startswith("attach 1 not known yet")
    assert "call" not in it.line


def test_without_consent_it_is_a_warning_since_it_may_be_a_node():
    (found,) = told(Bench(), later(replace_system_disks=False), []).findings
    assert (found.property, found.warning) == ("replace_system_disks", True)


def test_an_image_is_checked_before_the_instances_are_known():
    it = told(Bench(), later(image_id="m-none", image_owner_alias="self"), [])
    assert [found.property for found in it.findings] == ["image_id"]


def test_a_replacement_tells_that_old_nodes_may_come_back():
    it, _ = replaced(
        Bench(attached=(1, 2)), later(1, **OWN, stop_running=True), bag_of(1, 2), {ONE}
    )
    later_on = f"attach 1 not known yet ({WIPED}), unless already nodes"
    assert it.line == f"{BOTH_FIRST}stop 1: compute1; attach 1 ({WIPED}): compute1; {later_on}"


def without_cluster(bench, bag):
    wanted = None if bag["instance_ids"] is UNKNOWN else known_ids(bag)
    it = preview_without_cluster(Regions(bench), bag, wanted)
    assert bench.writes() == []
    return it.line, [(found.property, found.reason, found.warning) for found in it.findings]


def test_instances_are_looked_at_before_their_cluster_is_known():
    bench = Bench()
    bench.outside.start(TWO)
    line, findings = without_cluster(
        bench, bag_of(1, 2, 99, cluster_id=UNKNOWN, replace_system_disks=False)
    )
    assert line == (
        "once cluster_id is known, unless they are its nodes: stop 1: compute2; attach 3 (system disk replaced by"
        f" the cluster's image): compute1, compute2, {iid(99)}; 2 calls"
    )
    assert [(name, warning) for name, _, warning in findings] == [
        ("instance_ids", False),
        ("instance_ids", True),
        ("replace_system_disks", True),
    ]
    assert findings[0][1] == f"{iid(99)} does not exist in cn-hangzhou: check the id and the region"
    assert findings[1][1] == (
        f"compute2 ({TWO}) is Running, not Stopped: stop it, or set stop_running=True"
    )


def test_in_an_unknown_region_nothing_can_be_looked_at():
    bench = Bench()
    line, findings = without_cluster(bench, bag_of(1, cluster_id=UNKNOWN, region=UNKNOWN))
    assert line.startswith("once region is known, unless they are its nodes: attach 1 (")
    assert (findings, bench.calls()) == ([], [])


def test_where_neither_is_known_that_is_said():
    assert without_cluster(Bench(), bag_of(instance_ids=UNKNOWN, cluster_id=UNKNOWN)) == (
        NOT_KNOWN,
        [],
    )


def unseen(bag, replaced, wanted=(ONE,)):
    it = preview_unread(bag, wanted and set(wanted), replaced)
    return it.line, [(found.property, found.reason, found.warning) for found in it.findings]


@pytest.mark.parametrize("unknown", ["cluster_id", "region"])
def test_a_replacement_in_an_unknown_cluster_names_all_nodes_with_a_warning(unknown):
    olds = {**bag_of(1, 2), "instance_ids": {ONE: "compute1", TWO: "compute2 (stopped)"}}
    news = bag_of(1, stop_running=True, **{unknown: UNKNOWN})
    line, findings = unseen(news, olds)
    wiped = "system disk replaced by the cluster's image"
    assert line == f"{BOTH_FIRST}stop 1: compute1; attach 1 ({wiped}): compute1; 2 calls"
    assert findings == [(unknown, NOT_READ, True)]


def test_so_it_does_for_outputs_and_says_that_detached_nodes_run():
    olds = {"instance_ids": [ONE], "nodes": {ONE: {"host_name": "compute1"}}}
    line, findings = unseen(bag_of(1, cluster_id=UNKNOWN), olds)
    assert line.startswith(first("compute1") + "attach 1 (")
    ((name, reason, warning),) = findings[1:]
    assert (name, warning) == ("stop_running", True)
    assert reason.startswith("the system disks of compute1 are replaced: ")


def test_and_for_instances_that_are_not_known_yet_either():
    line, findings = unseen(bag_of(instance_ids=UNKNOWN, cluster_id=UNKNOWN), bag_of(1), None)
    assert line == first(ONE) + NOT_KNOWN
    assert len(findings) == 1


def test_what_a_killed_replacement_has_made_already_is_adopted():
    """Its delete has detached the old nodes, and its create attached them anew, with the new image."""
    bench = Bench()
    bench.up(1, 2, **OWN)
    bench.journal.entries.clear()
    it, _ = replaced(bench, bag_of(1, 2, **OWN, stop_running=True), bag_of(1, 2, image_id=IMAGE))
    assert (it.line, it.findings) == ("keep 2; no call", [])


def test_what_a_killed_replacement_has_attached_to_the_other_cluster_is_adopted():
    bench = Bench()
    world = bench.world
    world.clusters["ehpc-hz-old"] = Cluster("ehpc-hz-old", VPC, IMAGE, "CentOS_7.6_64")
    bench.up(1)
    bench.journal.entries.clear()
    it, _ = replaced(bench, bag_of(1, 2, stop_running=True), bag_of(1, 2, cluster_id="ehpc-hz-old"))
    assert it.line == (
        "attach 1 (system disk replaced by centos_7_06.vhd): compute2; keep 1; 1 call"
    )


def test_of_an_image_that_is_not_known_yet_nothing_is_made_already():
    """Nor of nodes that tell no image."""
    bench = Bench(attached=(1, 2))
    for node in bench.nodes.values():
        node.image_id = ""
    bag = bag_of(1, 2, image_id=UNKNOWN, stop_running=True)
    it, _ = replaced(bench, bag, bag_of(1, 2, image_id=IMAGE))
    assert it.line.startswith(BOTH_FIRST)


def test_a_node_that_another_resource_gave_up_is_taken_over_where_the_program_says_so():
    bench = Bench(attached=(1,))
    bench.operations(name="project/stack/giver", uid="giver").converge(bench.inputs(1))
    bench.journal.entries.clear()
    it = told(bench, bag_of(1, take_ownership=True), [ONE])
    assert (it.line, it.findings) == (
        "take ownership of 1: compute1 (from project/stack/giver); no call",
        [],
    )


def test_a_node_that_is_retained_leaves_without_a_call():
    bench = Bench(attached=(1, 2))
    it = told(bench, bag_of(1, retain_ids=[TWO]), [ONE], bench.up(1, 2))
    assert it.findings == []
    assert it.line == "keep 1; retain 1 (stay attached, leave this resource): compute2; no call"


@pytest.mark.parametrize("refreshed", [True, False])
def test_a_replacement_whose_delete_was_killed_shows_that_it_attaches(refreshed):
    """After a refresh the state has no node any more; the tags still name the old resource."""
    bench = Bench()
    state = bench.up(1, 2)

    def die():
        raise Killed

    with right_after(bench, "DeleteNodes", die), pytest.raises(Killed):
        bench.operations().destroy(state)
    bench.clock.advance(60)
    old = {**bag_of(*(() if refreshed else (1, 2)), image_id=IMAGE), UID: bench.uid}
    bench.journal.entries.clear()
    it, _ = replaced(bench, bag_of(1, 2, **OWN, stop_running=True), old)
    wiped = "system disk replaced by m-bp1own"
    assert it.line == f"stop 2: compute1, compute2; attach 2 ({wiped}): compute1, compute2; 2 calls"
