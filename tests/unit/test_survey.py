"""What would happen: the plan in one line, and what is wrong with it. Nothing is written."""

import pytest

from ehpc_nodes import survey as module
from ehpc_nodes.api import responses
from ehpc_nodes.emulator.world import Cluster
from ehpc_nodes.errors import BackendError, ClusterNotFoundError
from ehpc_nodes.models import Finding
from ehpc_nodes.plan import Plan
from ehpc_nodes.sight import Desired, Sight
from ehpc_nodes.survey import Survey, survey_removal, with_image
from unit.emulated import CLUSTER, IMAGE, OWNER, VPC, Bench, ids, iid

ONE, TWO = ids(1, 2)
FORBIDDEN = {"status": 403, "code": "NotAuthorized", "message": "No.", "times": None}


@pytest.fixture
def bench(request):
    """A bench, in which nothing is written."""
    it = Bench(attached=getattr(request, "param", ()))
    yield it
    assert (it.writes(), it.calls("TagResources", "UntagResources")) == ([], [])


def survey(bench, wanted, owned=(), *, anew=(), **wished):
    consents = {"replace_system_disks": True, **wished}
    wish = Desired(**{"cluster_id": CLUSTER, "region": "cn-hangzhou", **consents})
    return module.survey(bench.operation(), wish, set(wanted), set(owned), anew=set(anew))


def leave(bench, n):
    bench.emulator.outside.set_node_status(iid(n), "releasing")


# -- the plan -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bench", [(2, 3, 4)], indirect=True)
def test_the_plan_in_one_line(bench):
    bench.emulator.outside.move(iid(2), "gpu")
    bench.emulator.outside.start(iid(5))
    seen = survey(bench, ids(1, 2, 3, 5), ids(2, 4), job_queue="gpu", stop_running=True)
    assert seen.plan == Plan(
        keep=(TWO,), adopt=(iid(3),), attach=(ONE, iid(5)), detach=(iid(4),), move=(iid(3),)
    )
    assert seen.line == (
        f"stop 1: compute5; attach 2 (system disk replaced by {IMAGE}): compute1, compute5; adopt 1: compute3;"
        " keep 1; move 1: compute3; detach 1 (the instances stay): compute4; 4 calls"
    )
    assert seen.findings == []
    assert bench.said.statuses == ["looking at the cluster"]


@pytest.mark.parametrize("bench", [(1,)], indirect=True)
def test_nothing_to_do_is_no_call(bench):
    assert survey(bench, [ONE], [ONE]).line == "keep 1; no call"


def test_an_instance_that_a_task_attaches_is_joined():
    bench = Bench(pace="held", nodes_listed="at_end")
    named = {"ImageId": IMAGE, "ImageOwnerAlias": "system", "Instance.1.Id": ONE}
    bench.emulator.call("AddExistedNodes", "2018-04-12", {"ClusterId": CLUSTER, **named})
    seen = survey(bench, [ONE, TWO])
    assert (seen.plan.join, seen.plan.attach) == ((ONE,), (TWO,))
    assert seen.line.endswith("join 1 (being attached already): compute1; 1 call")


@pytest.mark.parametrize("bench", [(1, 2)], indirect=True)
def test_what_an_interrupted_run_announced_and_attached_is_owned(bench):
    for n in (1, 2):
        bench.emulator.world.instances[iid(n)].tags |= {"ehpc-nodes": OWNER}
    bench.emulator.world.instances[TWO].tags |= {"ehpc-nodes-attaching": CLUSTER}
    seen = survey(bench, ids(3))
    assert seen.plan.detach == (TWO,)
    stranger, going = seen.findings  # marked, but never announced: left alone
    assert going.warning
    assert going.reason.startswith(f"compute2 ({TWO}) was sent by an interrupted run")
    assert stranger.warning
    assert stranger.reason.startswith(
        f"compute1 ({ONE}) is attached with this resource's mark, but"
    )


@pytest.mark.parametrize("bench", [(1, 2, 3)], indirect=True)
def test_nodes_whose_host_names_are_needed_go_first(bench):
    bench.emulator.world.instances[iid(4)].host_name = "Compute2"
    assert survey(bench, ids(1, 4), ids(1, 2, 3)).in_the_way == [TWO]
    assert survey(bench, ids(1, 5), ids(1, 2, 3)).in_the_way == []


def test_host_names_that_are_not_known_are_in_nobodys_way():
    plan = Plan(attach=(ONE,), detach=(TWO,))
    assert Survey(Sight(), Desired(), plan, []).in_the_way == []


def test_findings_say_what_is_wrong(bench):
    assert survey(bench, [ONE], replace_system_disks=False).findings == [
        Finding(
            "replace_system_disks",
            f"attaching replaces the system disks of compute1 ({ONE}) by {IMAGE}: what is on them is lost. Set"
            " replace_system_disks=True to allow it",
        )
    ]


# -- what is looked at --------------------------------------------------------------------------


@pytest.mark.parametrize("bench", [(1,)], indirect=True)
def test_owned_nodes_that_are_not_listed_are_waited_for_then_attached(bench):
    seen = survey(bench, [ONE, TWO], [ONE, TWO])
    assert seen.plan.attach == (TWO,)
    assert sum(bench.clock.slept) == pytest.approx(bench.grace)


def test_owned_nodes_of_a_list_that_lags_are_kept():
    bench = Bench(attached=(1,), list_lag={"seconds": 10})
    bench.operation().see_nodes()
    bench.emulator.outside.attach(TWO, CLUSTER)
    assert survey(bench, [ONE, TWO], [ONE, TWO]).plan == Plan(keep=(ONE, TWO))


@pytest.mark.parametrize("bench", [(1,)], indirect=True)
def test_instances_that_nobody_has_attached_are_not_waited_for(bench):
    survey(bench, [ONE, TWO], [ONE])
    assert bench.clock.slept == []


def test_owned_nodes_that_are_to_go_are_not_believed_to_be_gone_by_a_list_that_lags():
    bench = Bench(attached=(1,), list_lag={"seconds": 10})
    bench.operation().see_nodes()
    bench.emulator.outside.attach(TWO, CLUSTER)
    assert survey(bench, [ONE], [ONE, TWO]).plan == Plan(keep=(ONE,), detach=(TWO,))


@pytest.mark.parametrize("bench", [(1,)], indirect=True)
def test_nodes_that_may_not_be_listed_are_found_out(bench):
    bench.fault("error", "ListNodes", **FORBIDDEN)
    seen = survey(bench, [TWO])
    assert seen.sight.nodes is None
    assert [f.property for f in seen.findings if not f.warning] == ["instance_ids"]
    assert "attaching one again would wipe it" in seen.findings[-1].reason


def test_a_cluster_that_is_not_there_is_a_finding(bench):
    (found,) = survey(bench, [ONE], cluster_id="ehpc-hz-none").findings
    assert (found.property, found.warning) == ("cluster_id", False)


def test_an_outage_is_an_error(bench):
    bench.fault("error", "ListNodes", code="ServiceUnavailable", times=None)
    with pytest.raises(BackendError):
        survey(bench, [ONE])


# -- nodes that go ------------------------------------------------------------------------------


@pytest.mark.parametrize("bench", [(1, 2, 3)], indirect=True)
def test_a_wanted_node_that_is_leaving_is_attached_anew_and_an_unwanted_one_detached(bench):
    leave(bench, 1)
    leave(bench, 2)
    seen = survey(bench, [ONE], ids(1, 2), stop_running=True)
    assert seen.plan == Plan(attach=(ONE,), detach=(TWO,))


@pytest.mark.parametrize("bench", [(1, 2)], indirect=True)
def test_of_a_replacement_its_nodes_are_attached_anew(bench):
    seen = survey(bench, [ONE, TWO], [ONE, TWO], anew=[ONE], stop_running=True)
    assert seen.plan == Plan(keep=(TWO,), attach=(ONE,))
    assert seen.findings == []
    assert bench.clock.slept == []


@pytest.mark.parametrize("bench", [(1,)], indirect=True)
def test_of_a_replacement_nodes_are_no_other_clusters(bench):
    other = Cluster("ehpc-hz-other", VPC, IMAGE, "CentOS_7.6_64")
    bench.emulator.world.clusters[other.id] = other
    bench.emulator.outside.attach(TWO, other.id)
    assert (
        "is in cluster ehpc-hz-other" in survey(bench, [TWO], stop_running=True).findings[0].reason
    )
    assert survey(bench, [TWO], anew=[TWO], stop_running=True).findings == []


# -- the image ----------------------------------------------------------------------------------


def test_without_an_image_it_is_the_clusters(bench):
    wish = survey(bench, [ONE]).wish
    assert (wish.image_id, wish.image_owner_alias) == (IMAGE, "system")


@pytest.mark.parametrize(
    ("wish", "image"),
    [
        (Desired(), ("img", "self")),
        (Desired(image_id="mine", image_owner_alias="others"), ("mine", "others")),
        (Desired(image_known=False), ("", "")),
    ],
)
def test_only_an_image_that_is_left_out_is_filled_in(wish, image):
    seen = Sight(cluster=responses.Cluster(image_id="img", image_owner_alias="self"))
    found = with_image(wish, seen)
    assert (found.image_id, found.image_owner_alias) == image


def test_a_cluster_that_tells_no_alias_has_a_system_image():
    seen = Sight(cluster=responses.Cluster(image_id="img"))
    assert with_image(Desired(), seen).image_owner_alias == "system"
    assert with_image(Desired(), Sight()) == Desired()


def test_an_image_that_is_not_known_yet_is_said_so(bench):
    seen = survey(bench, [ONE], image_known=False)
    assert "(system disk replaced by an image that is not known yet)" in seen.line
    assert seen.findings == []


# -- a removal ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bench", [(1, 2, 3)], indirect=True)
def test_a_removal_detaches_what_is_a_node(bench):
    seen = survey_removal(bench.operation(), ids(2, 1, 5), detach_busy=False)
    assert seen.line == "detach 2 (the instances stay): compute1, compute2; 1 call"
    assert (seen.plan, seen.findings) == (Plan(detach=(ONE, TWO)), [])
    assert bench.calls() == ["ListNodes"]


@pytest.mark.parametrize("bench", [(1,)], indirect=True)
def test_a_removal_of_busy_nodes_warns_without_consent(bench):
    bench.emulator.outside.use(ONE, 4)
    (found,) = survey_removal(bench.operation(), [ONE], detach_busy=False).findings
    assert found.warning
    assert found.reason.startswith(
        f"compute1 ({ONE}) runs jobs (used: 4 CPU) and is to be detached"
    )
    assert survey_removal(bench.operation(), [ONE], detach_busy=True).findings == []


def test_a_removal_of_no_nodes_does_nothing(bench):
    assert survey_removal(bench.operation(), ids(1), detach_busy=False).line == "no call"


def test_a_removal_that_cannot_be_seen_is_an_error(bench):
    bench.emulator.world.clusters.clear()
    with pytest.raises(ClusterNotFoundError):
        survey_removal(bench.operation(), ids(1), detach_busy=False)


def test_a_permission_that_comes_back_between_two_looks_is_as_if_it_had_been_there():
    bench = Bench(attached=(1,), list_lag={"seconds": 10})
    bench.fault("error", "ListNodes", code="Forbidden.RAM", status=403, times=1)
    operation = bench.operation()
    wish = Desired(CLUSTER, "cn-hangzhou", replace_system_disks=True)
    seen = module.survey(operation, wish, set(ids(1, 2)), set(ids(1)))
    assert (seen.plan.keep, seen.plan.attach) == (tuple(ids(1)), tuple(ids(2)))
    assert operation.nodes == seen.sight.nodes
