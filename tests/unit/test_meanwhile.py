"""What others do, what breaks, and Ctrl-C, while a run is under way."""

import re

import pytest

from ehpc_nodes.emulator.knobs import Pace
from ehpc_nodes.emulator.world import Cluster, Queue
from ehpc_nodes.errors import EhpcError, NoCredentialsError, NotSentError, api_error
from ehpc_nodes.reconcile.operations import IncompleteError
from unit.emulated import CLUSTER, IMAGE, VPC, Bench, ctrl_c_when, ids, iid, lacking, right_after

CONFLICT = {"status": 403, "code": "ConflictOpt"}
FORBIDDEN = {"code": "Forbidden.RAM", "status": 403, "times": None}
DOWN = {"code": "ServiceUnavailable", "status": 503, "times": None}


# -- Ctrl-C, and the end of the time ------------------------------------------------------------


def ctrl_c(bench, patch):
    over = bench.clock.now() + 400
    ctrl_c_when(bench, patch, lambda: bench.clock.now() > over)


def an_expired_token(bench, _patch):
    expired = {"code": "InvalidSecurityToken.Expired", "status": 403, "times": None}
    bench.clock.at(400, lambda: bench.fault("error", "*", **expired))


def a_role_service_that_fails(bench, patch):
    over, call = bench.clock.now() + 400, bench.emulator.call

    def signed(*args):
        if bench.clock.now() > over:
            raise NoCredentialsError("no key: the role service gave HTTP 503")
        return call(*args)

    patch.setattr(bench.emulator, "call", signed)


@pytest.mark.parametrize("ended_by", [ctrl_c, an_expired_token, a_role_service_that_fails])
def test_a_run_that_is_ended_early_keeps_the_nodes_that_were_ready(ended_by, monkeypatch):
    """Of one task, one node is ready early and the other late."""
    bench = Bench(3, pace={"seconds": 900})

    def ready():
        bench.nodes[iid(1)].status = "running"

    bench.clock.at(70, ready)
    with monkeypatch.context() as patch:
        ended_by(bench, patch)
        told = bench.fails(IncompleteError, 1, 2)
    bench.emulator.faults.clear()
    assert re.search("continues (to attach|in the cloud)", str(told))
    state = told.state
    assert state.instance_ids == ids(1, 2)
    assert state.nodes[iid(1)].status == "running"
    bench.operations().destroy(state)
    assert bench.nodes == {}


@pytest.mark.parametrize("ended_by", [ctrl_c, an_expired_token, a_role_service_that_fails])
def test_a_destroy_that_is_ended_early_says_what_continues_and_what_to_do(ended_by, monkeypatch):
    bench = Bench(3, attached=(1,))
    state = bench.up(1)
    bench.world.knobs.task_pace = Pace("seconds", 900)
    with monkeypatch.context() as patch:
        ended_by(bench, patch)
        with pytest.raises(
            EhpcError, match=r"continues in E-HPC; run the same command again"
        ) as told:
            bench.operations().destroy(state)
    if ended_by is an_expired_token:
        assert "InvalidSecurityToken.Expired" in str(told.value)
        assert "Get a new security token" in str(told.value)
    bench.emulator.faults.clear()
    bench.operations().destroy(state)
    assert bench.nodes == {}
    assert bench.calls("DeleteNodes") == ["DeleteNodes"]


@pytest.mark.parametrize("action", ["ListTasks", "TagResources", "AddExistedNodes"])
def test_ctrl_c_during_a_call_lets_no_write_follow(action, monkeypatch):
    """Even where no pause lies between."""
    bench = Bench(250)
    ctrl_c_when(bench, monkeypatch, lambda: bench.calls(action))
    bench.fails(EhpcError, *range(1, 251))
    assert bench.writes() == ["AddExistedNodes"] * (action == "AddExistedNodes")


@pytest.mark.slow
def test_a_call_that_is_repeated_keeps_to_the_time_limit():
    """However long the pauses are, which are partly by chance."""
    for _ in range(20):
        bench = Bench(3)
        bench.fault("error", "AddExistedNodes", **CONFLICT, times=None)
        began = bench.clock.now()
        bench.fails(EhpcError, 1, seconds=30)
        assert bench.clock.now() - began <= 31


@pytest.mark.slow
def test_no_batch_is_sent_after_the_time_limit():
    bench = Bench(250)
    bench.fault("slow", "AddExistedNodes", seconds=40, times=None)
    began = bench.clock.now()
    bench.fails(EhpcError, *range(1, 251), seconds=60)
    sent = bench.journal.of("AddExistedNodes")
    assert [entry.time - began <= 60 for entry in sent] == [True] * 2
    assert len(bench.nodes) == 200


def where_looks_are_slow(bench):
    """Each takes a second, and the VPC has twelve more clusters."""
    for n in range(12):
        name = f"ehpc-hz-other{n}"
        bench.world.clusters[name] = Cluster(
            name, VPC, IMAGE, "CentOS_7.6_64", queues={"workq": Queue("workq")}
        )
    bench.fault("slow", "*", seconds=1, times=None)
    return bench


def test_ctrl_c_is_heard_between_looks(monkeypatch):
    """It comes during the first one; the cluster has so many nodes that a list has many pages."""
    bench = where_looks_are_slow(Bench(1510, attached=range(1, 1501)))
    began = bench.clock.now()
    ctrl_c_when(bench, monkeypatch, bench.calls)
    bench.fails(EhpcError, 1501)
    assert bench.clock.now() - began <= 5
    assert bench.writes() == []


@pytest.mark.slow
def test_attempts_with_many_looks_keep_to_the_time_limit():
    bench = where_looks_are_slow(Bench(350))
    bench.world.clusters[CLUSTER].node_quota = 500
    bench.fault("error", "AddExistedNodes", **CONFLICT, times=None)
    began = bench.clock.now()
    bench.fails(EhpcError, *range(1, 351), seconds=300)
    assert bench.clock.now() - began <= 331  # the last look may begin at its very end
    assert bench.nodes == {}


# -- one trouble after another ------------------------------------------------------------------


@pytest.mark.parametrize("action", ["AddExistedNodes", "DeleteNodes"])
def test_one_throttled_call_after_minutes_of_conflicts_is_repeated(action):
    """Patience with a rate limit begins with the rate limit."""
    bench = Bench(4)
    state = bench.up(1) if action == "DeleteNodes" else None
    bench.fault("error", action, **CONFLICT, times=30)
    rule = bench.fault("throttle", action)
    assert bench.up(2, before=state).instance_ids == sorted(bench.nodes) == ids(2)
    assert rule.fired == 1


def test_one_call_without_a_connection_after_a_minute_of_conflicts_is_repeated(monkeypatch):
    bench = Bench(4)
    bench.fault("error", "AddExistedNodes", **CONFLICT, times=15)
    exchange, due = bench.exchange, [NotSentError("AddExistedNodes", "no connection")]

    def refusing(version):
        call = exchange(version)

        def refused(action, params):
            if action == "AddExistedNodes" and bench.calls(action) == [action] * 15 and due:
                raise due.pop()
            return call(action, params)

        return refused

    monkeypatch.setattr(bench, "exchange", refusing)
    assert bench.up(2).instance_ids == sorted(bench.nodes) == ids(2)
    assert due == []


# -- what others do between two attempts --------------------------------------------------------


def attached_by_somebody(bench):
    bench.outside.attach(iid(1), CLUSTER)


def attached_and_stopped(bench):
    """E-HPC itself would not refuse it any more."""
    attached_by_somebody(bench)
    bench.outside.stop(iid(1))


def refused_for_a_while(bench, patch, error, meanwhile):
    """Attaching is refused for longer than a look counts, and something is done right after the first attempt."""
    exchange = bench.exchange
    since: list[float] = []

    def refusing(version):
        call = exchange(version)

        def refused(action, params):
            if action == "AddExistedNodes":
                if not since:
                    since.append(bench.clock.now())
                    meanwhile(bench)
                if bench.clock.now() - since[0] < 15:
                    raise error
            return call(action, params)

        return refused

    patch.setattr(bench, "exchange", refusing)


@pytest.mark.parametrize("meanwhile", [attached_by_somebody, attached_and_stopped])
@pytest.mark.parametrize(
    "error",
    [
        api_error("AddExistedNodes", "ConflictOpt", "", http_status=403, request_id="R"),
        api_error("AddExistedNodes", "Throttling", "", http_status=400, request_id="R"),
        NotSentError("AddExistedNodes", "no connection"),
    ],
    ids=["conflict", "throttling", "no connection"],
)
def test_an_attach_that_is_repeated_leaves_out_what_somebody_has_attached(
    error, meanwhile, monkeypatch
):
    bench = Bench(3)
    refused_for_a_while(bench, monkeypatch, error, meanwhile)
    words = "not attached: since this run first read it, it appeared"
    told = bench.fails(IncompleteError, 1, 2, match=words)
    assert told.state.failed.keys() == {iid(1)}
    assert bench.harm.double_attach == []
    assert bench.harm.disk_replacements == {iid(2): 1}


@pytest.mark.slow
def test_a_batch_that_waits_for_the_task_before_leaves_out_what_somebody_has_attached():
    bench = Bench(150, pace={"seconds": 600}, one_task_at_a_time=True)
    bench.clock.at(100, lambda: bench.outside.attach(iid(150), CLUSTER))
    words = "not attached: since this run first read it, it appeared"
    told = bench.fails(IncompleteError, *range(1, 151), match=words)
    assert told.state.failed.keys() == {iid(150)}
    assert bench.harm.double_attach == []
    assert bench.harm.disk_replacements == dict.fromkeys(ids(*range(1, 150)), 1)


@pytest.mark.parametrize("fault", [("error", {**CONFLICT, "times": 12}), ("reset_before", {})])
def test_a_detach_that_is_repeated_leaves_nodes_that_run_jobs_by_now(fault):
    bench = Bench(3)
    state = bench.up(1, 2)
    kind, options = fault
    bench.fault(kind, "DeleteNodes", **options)
    words = r"compute1 .*: not detached: by now it runs jobs"
    with right_after(bench, "DeleteNodes", lambda: bench.outside.use(iid(1), 4)):
        bench.fails(EhpcError, 2, match=words, before=state)
    assert sorted(bench.nodes) == ids(1, 2)


def test_a_node_that_is_gone_when_a_detach_is_repeated_is_told():
    """Compute1 goes first, since another has its host name; what is to be moved is detached by its owner meanwhile."""
    bench = Bench(5)
    saved = bench.up(1, 2)
    bench.instance(4).host_name = "compute1"
    bench.fault("error", "DeleteNodes", **CONFLICT)
    words = "not attached: the preview did not show that it would be"
    with right_after(bench, "DeleteNodes", lambda: bench.outside.detach(iid(2))):
        told = bench.fails(IncompleteError, 2, 4, match=words, before=saved, job_queue="gpu")
    assert told.state.instance_ids == sorted(bench.nodes) == ids(4)


def test_nothing_is_detached_without_the_permission_to_describe_instances():
    """Whose a node is by now could not be told."""
    bench = Bench(4)
    saved = bench.up(1, 2)
    bench.fault("error", "DescribeInstances", **FORBIDDEN)
    for run in (lambda: bench.up(2, before=saved), lambda: bench.operations().destroy(saved)):
        with pytest.raises(EhpcError, match="ecs:DescribeInstances"):
            run()
    assert bench.writes() == ["AddExistedNodes"]


@pytest.mark.slow
def test_of_a_second_batch_that_is_repeated_what_runs_jobs_stays_in_the_state(monkeypatch):
    """It conflicts, and one of its nodes runs jobs by then."""
    bench = Bench(160)
    saved = bench.up(*range(1, 152))
    bench.fault("error", "DeleteNodes", **CONFLICT, after=1)
    call = bench.emulator.call

    def then_jobs(action, *rest):
        answer = call(action, *rest)
        if bench.calls("DeleteNodes") == ["DeleteNodes"] * 2:
            bench.outside.use(iid(150), 4)
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(bench.emulator, "call", then_jobs)
        told = bench.fails(IncompleteError, 151, before=saved)
    state = told.state
    assert {*state.instance_ids} == bench.nodes.keys() == {*ids(150, 151)}
    bench.outside.use(iid(150), 0)
    assert bench.up(151, before=state).instance_ids == sorted(bench.nodes) == ids(151)
    assert bench.owners.keys() == bench.nodes.keys()


# -- looks that fail, or are late ---------------------------------------------------------------


@pytest.mark.parametrize("action", ["ListClusters", "ListNodes", "DescribeInstances"])
def test_what_was_refused_and_never_repeated_counts_as_not_sent(action):
    """The look before the second attempt fails for two minutes, and somebody starts an instance meanwhile."""
    bench = Bench(4)
    bench.fault("error", "AddExistedNodes", **CONFLICT)

    def looks_fail():
        bench.fault("error", action, **DOWN)
        bench.clock.at(100, lambda: bench.outside.start(iid(1)))
        bench.clock.at(160, bench.emulator.faults.clear)

    began = bench.clock.now()
    with right_after(bench, "AddExistedNodes", looks_fail):
        told = bench.fails(EhpcError, 1, 2, 3, match=f"{action}: ServiceUnavailable")
    assert not isinstance(told, IncompleteError), "a state that holds what nobody attaches"
    assert bench.clock.now() - began < 1000
    bench.clock.sleep(160)
    state = bench.up(1, 2, 3, stop_running=True)
    assert state.instance_ids == sorted(bench.nodes) == ids(1, 2, 3)
    assert bench.harm.double_attach == []


def test_an_instance_that_is_seen_stopped_and_once_more_stopping_is_attached(monkeypatch):
    """One answer comes from a replica that lags."""
    bench = Bench(3, instance_pace={"seconds": 5})
    it = bench.instance(1)
    it.status = "Running"
    call, seen = bench.emulator.call, []

    def lagging(action, version, params):
        if action == "DescribeInstances" and bench.writes() and it.status == "Stopped":
            seen.append(action)
            if len(seen) == 1:
                with monkeypatch.context() as patch:
                    patch.setattr(it, "status", "Stopping")
                    return call(action, version, params)
        return call(action, version, params)

    monkeypatch.setattr(bench.emulator, "call", lagging)
    state = bench.up(1, 2, stop_running=True)
    assert state.instance_ids == sorted(bench.nodes) == ids(1, 2)
    assert len(seen) >= 2


# -- accepted, and answered in another form -----------------------------------------------------

ODD = {"status": 200, "content_type": "application/json", "after_effect": True}


@pytest.mark.slow
def test_a_second_batch_whose_answer_has_another_form_does_not_lose_the_first():
    bench = Bench(150)
    bench.fault("garbage", "AddExistedNodes", body='{"TaskId": {}}', after=1, **ODD)
    state = bench.up(*range(1, 151))
    assert state.instance_ids == sorted(bench.nodes) == ids(*range(1, 151))
    assert bench.writes() == ["AddExistedNodes"] * 2


# -- a list that goes backwards ------------------------------------------------------------------


def update(bench, state, seconds=3600):
    """Of two nodes, the first goes; what is in the state then."""
    try:
        return bench.up(2, before=state, seconds=seconds).instance_ids
    except EhpcError as error:
        return getattr(error, "state", state).instance_ids


def destroy(bench, state, seconds=3600):
    try:
        bench.operations(seconds).destroy(state)
    except EhpcError:
        return state.instance_ids
    return []


both = pytest.mark.parametrize("run", [update, destroy])


@both
@pytest.mark.parametrize("forbidden", [False, True])
def test_a_list_that_lacks_a_node_for_a_while_leaves_none_behind(run, forbidden, monkeypatch):
    """With the permission to list tasks it is detached, too."""
    bench = Bench(4)
    state = bench.up(1, 2)
    if forbidden:
        bench.fault("error", "ListTasks", **FORBIDDEN)
    lacking(bench, monkeypatch, 20, 1)
    left = run(bench, state)
    bench.emulator.advance(60)
    assert bench.nodes.keys() <= {*left}
    if not forbidden:
        wanted = ids(2) if run is update else []
        assert left == sorted(bench.nodes) == sorted(bench.owners) == wanted


@both
@pytest.mark.parametrize(
    ("after", "seconds"), [("ListNodes", 3600), ("DescribeInstances", 3600), ("ListNodes", 10)]
)
def test_a_list_that_goes_backwards_leaves_no_node_behind(run, after, seconds, monkeypatch):
    """Nor where the time ends before the grace period does."""
    bench = Bench(4)
    state = bench.up(1, 2)
    with right_after(bench, after, lambda: lacking(bench, monkeypatch, 20, 1)):
        left = run(bench, state, seconds=seconds)
    bench.emulator.advance(60)
    assert bench.nodes.keys() <= {*left}


def test_what_a_refresh_took_for_gone_is_not_stopped_and_wiped_while_a_list_lacks_it(monkeypatch):
    """For half a minute, a list lacks nodes that have been settled for hours; their tags say that they are nodes."""
    bench = Bench(3)
    state = bench.up(1, 2, 3)
    bench.emulator.advance(7200)
    lacking(bench, monkeypatch, 25, 1, 2)
    state = bench.operations().refresh(state)
    assert state.instance_ids == ids(3)
    writes = bench.writes()
    state = bench.up(1, 2, 3, before=state, stop_running=True)
    assert bench.writes() == writes
    assert state.instance_ids == sorted(bench.owners) == ids(1, 2, 3)
    assert bench.harm.disk_replacements == dict.fromkeys(ids(1, 2, 3), 1)


def test_a_node_that_goes_after_this_run_attached_it_costs_no_state():
    """The run has finished with it and detaches another one; a refresh reports it."""
    bench = Bench(3)
    state = bench.up(3)
    with right_after(bench, "DeleteNodes", lambda: bench.outside.detach(iid(1))):
        after = bench.up(1, before=state)
    assert (after.instance_ids, bench.nodes) == (ids(1), {})
    assert bench.operations().refresh(after).instance_ids == []
