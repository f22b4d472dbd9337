"""What others do, what breaks, and Ctrl-C, while a run is under way."""

import pytest

from ehpc_nodes.errors import CancelledError, EhpcError, NotSentError, api_error
from ehpc_nodes.lifecycle import IncompleteError
from unit.emulated import CLUSTER, IMAGE, MARK, Bench, ids, iid, right_after

HIDDEN = {
    "nodes_listed": "at_end",
    "task_result_names_instances": False,
    "task_listed": False,
}
CONFLICT = {"status": 403, "code": "ConflictOpt"}
RIVAL = "project/other/nodes"
THEIRS = {"ehpc-nodes": RIVAL, "ehpc-nodes-id": "theirs"}


# -- Ctrl-C, and the end of the time ------------------------------------------------------------


def ctrl_c_when(bench, patch, due):
    """From then on no pause comes to its end, as with the plugin's clock."""
    sleep = bench.clock.sleep

    def interrupted(seconds):
        if due():
            raise CancelledError("Cancelled while waiting.")
        sleep(seconds)

    patch.setattr(bench.clock, "sleep", interrupted)


def ctrl_c(bench, patch):
    over = bench.clock.now() + 300
    ctrl_c_when(bench, patch, lambda: bench.clock.now() > over)


def an_expired_token(bench, _patch):
    expired = {"code": "InvalidSecurityToken.Expired", "status": 403, "times": None}
    bench.clock.at(300, lambda: bench.fault("error", "*", **expired))


@pytest.mark.parametrize("mark", ["", MARK])
@pytest.mark.parametrize("ended_by", [ctrl_c, an_expired_token])
def test_a_run_that_is_ended_early_keeps_the_nodes_that_were_ready(ended_by, mark, monkeypatch):
    """Of one task, one node is ready early and the other late."""
    bench = Bench(3, mark=mark, pace={"seconds": 900})

    def ready():
        bench.nodes[iid(1)].status = "running"

    bench.clock.at(70, ready)
    with monkeypatch.context() as patch:
        ended_by(bench, patch)
        with pytest.raises(IncompleteError) as told:
            bench.up(1, 2)
    bench.emulator.faults.clear()
    state = told.value.state
    assert state.instance_ids == ids(1, 2)
    assert state.nodes[iid(1)].status == "running"
    bench.lifecycle().remove(state)
    assert bench.nodes == {}


@pytest.mark.parametrize("action", ["ListTasks", "TagResources", "AddExistedNodes"])
def test_ctrl_c_during_a_call_lets_no_write_follow(action, monkeypatch):
    """Even where no pause lies between."""
    bench = Bench(250)
    ctrl_c_when(bench, monkeypatch, lambda: bench.calls(action))
    with pytest.raises(EhpcError):
        bench.up(*range(1, 251))
    assert bench.writes() == ["AddExistedNodes"] * (action == "AddExistedNodes")


def test_a_call_that_is_repeated_keeps_to_the_time_limit():
    """However long the pauses are, which are partly by chance."""
    for _ in range(20):
        bench = Bench(3)
        bench.fault("error", "AddExistedNodes", **CONFLICT, times=None)
        began = bench.clock.now()
        with pytest.raises(EhpcError):
            bench.up(1, seconds=30)
        assert bench.clock.now() - began <= 31


def test_no_batch_is_sent_after_the_time_limit():
    bench = Bench(250)
    bench.fault("slow", "AddExistedNodes", seconds=40, times=None)
    began = bench.clock.now()
    with pytest.raises(EhpcError):
        bench.up(*range(1, 251), seconds=60)
    sent = bench.emulator.journal.of("AddExistedNodes")
    assert [entry.time - began <= 60 for entry in sent] == [True] * 2
    assert len(bench.nodes) == 200


# -- what others do between two attempts --------------------------------------------------------


def attached_by_somebody(bench):
    bench.emulator.outside.attach(iid(1), CLUSTER)


def attached_and_stopped(bench):
    """E-HPC itself would not refuse it any more."""
    attached_by_somebody(bench)
    bench.emulator.outside.stop(iid(1))


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


@pytest.mark.parametrize("mark", ["", MARK])
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
    error, meanwhile, mark, monkeypatch
):
    bench = Bench(3, mark=mark)
    refused_for_a_while(bench, monkeypatch, error, meanwhile)
    with pytest.raises(IncompleteError, match="was taken meanwhile by cluster") as told:
        bench.up(1, 2)
    assert told.value.state.failed.keys() == {iid(1)}
    assert bench.harm.double_attach == []
    assert bench.harm.disk_replacements == {iid(2): 1}


def test_a_batch_that_waits_for_the_task_before_leaves_out_what_somebody_has_attached():
    bench = Bench(150, pace={"seconds": 600}, one_task_at_a_time=True)
    bench.clock.at(100, lambda: bench.emulator.outside.attach(iid(150), CLUSTER))
    with pytest.raises(IncompleteError, match="was taken meanwhile by cluster") as told:
        bench.up(*range(1, 151))
    assert told.value.state.failed.keys() == {iid(150)}
    assert bench.harm.double_attach == []
    assert bench.harm.disk_replacements == dict.fromkeys(ids(*range(1, 150)), 1)


@pytest.mark.parametrize("fault", [("error", {**CONFLICT, "times": 12}), ("reset_before", {})])
def test_a_detach_that_is_repeated_leaves_nodes_that_run_jobs_by_now(fault):
    bench = Bench(3)
    state = bench.up(1, 2)
    kind, options = fault
    bench.fault(kind, "DeleteNodes", **options)

    def jobs():
        bench.emulator.outside.use(iid(1), 4)

    with (
        right_after(bench, "DeleteNodes", jobs),
        pytest.raises(EhpcError, match="nodes that run jobs are not detached: compute1"),
    ):
        bench.up(2, before=state)
    assert sorted(bench.nodes) == ids(1, 2)


def test_a_detach_that_is_repeated_leaves_what_another_resource_has_marked():
    bench = Bench(3)
    state = bench.up(1, 2)
    bench.fault("error", "DeleteNodes", **CONFLICT, times=12)

    def marked_by_another():
        bench.emulator.world.instances[iid(1)].tags |= THEIRS

    told = f"another resource's mark stands on it by now: {iid(1)} .{RIVAL}"
    with (
        right_after(bench, "DeleteNodes", marked_by_another),
        pytest.raises(EhpcError, match=told),
    ):
        bench.up(2, before=state)
    assert sorted(bench.nodes) == ids(1, 2)


# -- what another stack does while a mark is on its way -----------------------------------------


def during(bench, monkeypatch, deed, *, announcing):
    """Do something while the first tags of that kind are on their way, which then replace what it tagged."""
    call, due = bench.emulator.call, [deed]

    def meanwhile(action, version, params):
        if action == "TagResources" and bool(params.get("Tag.2.Key")) == announcing and due:
            due.pop()()
        return call(action, version, params)

    monkeypatch.setattr(bench.emulator, "call", meanwhile)


def marked_and_sent_by_another(bench):
    cloud = bench.lifecycle().cloud
    cloud.tag_instances(ids(1), {**THEIRS, "ehpc-nodes-attaching": CLUSTER})
    cloud.add_existed_nodes(CLUSTER, ids(1), image=(IMAGE, "system"), queue="")


@pytest.mark.parametrize(
    "knobs", [{"list_lag": {"seconds": 20}}, HIDDEN], ids=["listed late", "hidden"]
)
def test_what_another_stack_has_marked_and_sent_while_it_was_being_marked_is_not_sent(
    knobs, monkeypatch
):
    """Its status and its image tell: the other mark is replaced."""
    bench = Bench(3, pace={"seconds": 300}, instance_pace={"seconds": 5}, **knobs)
    during(bench, monkeypatch, lambda: marked_and_sent_by_another(bench), announcing=True)
    with pytest.raises(IncompleteError, match=rf"compute1 \({iid(1)}\): was taken meanwhile"):
        bench.up(1, 2)
    assert bench.harm.double_attach == []
    assert bench.harm.disk_replacements == dict.fromkeys(ids(1, 2), 1)


def test_what_another_stack_has_marked_and_sent_while_it_was_tried_whether_marks_can_be_set(
    monkeypatch,
):
    """The trial's tag is another one, and is then taken away: the other mark stays."""
    bench = Bench(3, pace={"seconds": 300}, **HIDDEN)
    bench.emulator.outside.start(iid(1))

    def stopped_and_sent():
        bench.emulator.outside.stop(iid(1))
        marked_and_sent_by_another(bench)

    during(bench, monkeypatch, stopped_and_sent, announcing=False)
    with pytest.raises(EhpcError, match=f"was taken meanwhile by resource '{RIVAL}'"):
        bench.up(1, stop_running=True)
    assert bench.writes() == ["AddExistedNodes"]
    assert bench.harm.double_attach == []
    assert bench.marked == {iid(1): RIVAL}


# -- accepted, and answered in another form -----------------------------------------------------

ODD = {"status": 200, "content_type": "application/json", "after_effect": True}


@pytest.mark.parametrize("task", ['["T"]', '{"Id": "T"}'])
@pytest.mark.parametrize("mark", [MARK, ""])
def test_an_accepted_attach_whose_answer_has_another_form_is_looked_after(mark, task):
    bench = Bench(3, mark=mark)
    bench.fault("garbage", "AddExistedNodes", body=f'{{"TaskId": {task}}}', **ODD)
    assert bench.up(1, 2).instance_ids == sorted(bench.nodes) == ids(1, 2)
    assert bench.writes() == ["AddExistedNodes"]


def test_an_accepted_detach_whose_answer_has_another_form_is_looked_after():
    bench = Bench(3)
    saved = bench.up(1, 2)
    bench.fault("garbage", "DeleteNodes", body='{"TaskId": ["T"]}', **ODD)
    assert bench.up(2, before=saved).instance_ids == sorted(bench.nodes) == ids(2)
    assert bench.calls("DeleteNodes") == ["DeleteNodes"]


def test_a_second_batch_whose_answer_has_another_form_does_not_lose_the_first():
    bench = Bench(150, mark="")
    bench.fault("garbage", "AddExistedNodes", body='{"TaskId": {}}', after=1, **ODD)
    state = bench.up(*range(1, 151))
    assert state.instance_ids == sorted(bench.nodes) == ids(*range(1, 151))
    assert bench.writes() == ["AddExistedNodes"] * 2
