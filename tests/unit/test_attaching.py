"""Attaching: announced before it is sent, sent once, and after a lost answer sent again only where nothing shows it."""

import pytest

from ehpc_nodes.attaching import SENDS, Attaching
from ehpc_nodes.errors import (
    ApiError,
    AuthError,
    CancelledError,
    NotSentError,
    OutcomeUnknownError,
    WaitTimeoutError,
)
from ehpc_nodes.marks import ATTACHING_KEY, TAG_KEY, settle
from ehpc_nodes.reconcile.operations import FindingsError, IncompleteError
from unit.emulated import CLUSTER, IMAGE, OLD_IMAGE, OWNER, Bench, ids, iid, killed, right_after

#: Neither nodes nor tasks show an attach before it has ended.
HIDDEN = {"nodes_listed": "at_end", "task_listed": False}
FORBIDDEN = {"status": 403, "code": "NotAuthorized", "message": "No.", "times": None}
DOWN = {"code": "ServiceUnavailable", "times": None}


def attach(bench, *numbers, joined=(), strays=(), begun=(), operation=None, seconds=3600.0):
    """Run an attach phase; the operation with its notes, and the strays that were sent."""
    operation = operation or bench.operation(seconds)
    seen = operation.cloud.describe_instances(ids(*numbers)) if numbers else []
    inputs = bench.inputs(
        *(numbers or (99,)), image_id=IMAGE, image_owner_alias="system", job_queue="gpu"
    )
    it = Attaching(operation, inputs, {x.instance_id: x for x in seen}, set(begun))
    return operation, it.run(ids(*numbers), set(joined), list(strays))


def announce(bench, *numbers):
    """As a run that was killed before it sent anything leaves them."""
    for n in numbers:
        bench.emulator.world.instances[iid(n)].tags |= {TAG_KEY: OWNER, ATTACHING_KEY: CLUSTER}


def send(bench, *numbers):
    """An AddExistedNodes of somebody else, or of a run that was interrupted."""
    bench.emulator.call(
        "AddExistedNodes",
        "2018-04-12",
        {
            "ClusterId": CLUSTER,
            "ImageId": IMAGE,
            "ImageOwnerAlias": "system",
            **{f"Instance.{k}.Id": iid(n) for k, n in enumerate(numbers, start=1)},
        },
    )


def sizes(bench):
    """How many instances each AddExistedNodes named."""
    return [
        sum(name.startswith("Instance.") for name in entry.params)
        for entry in bench.emulator.journal.of("AddExistedNodes")
    ]


# -- before the write ---------------------------------------------------------------------------


def test_instances_are_stopped_then_announced_then_sent():
    bench = Bench()
    bench.emulator.outside.start(iid(2))
    operation, _ = attach(bench, 1, 2)
    assert bench.calls("StopInstances", "TagResources", "AddExistedNodes") == [
        "TagResources",  # whether it may be done, before anything is stopped
        "StopInstances",
        "TagResources",
        "AddExistedNodes",
    ]
    _, tagged = bench.emulator.journal.of("TagResources")
    assert [v for k, v in tagged.params.items() if k.startswith("Tag.")] == [
        *(TAG_KEY, ATTACHING_KEY),
        *(OWNER, f"{CLUSTER}/{OLD_IMAGE}"),
    ]
    assert operation.announced == set(ids(1, 2))
    assert [(r.action, r.request_id) for r in operation.records] == [
        (action, bench.emulator.journal.of(action)[0].request_id)
        for action in ("StopInstances", "AddExistedNodes")
    ]
    assert sorted(bench.nodes) == ids(1, 2)


def test_what_is_sent_has_image_alias_and_queue():
    bench = Bench()
    attach(bench, 1)
    (sent,) = bench.emulator.journal.of("AddExistedNodes")
    assert sent.params == {
        "ClusterId": CLUSTER,
        "ImageId": IMAGE,
        "ImageOwnerAlias": "system",
        "Instance.1.Id": iid(1),
        "JobQueue": "gpu",
    }


def test_without_marks_nothing_is_announced():
    bench = Bench(mark="")
    operation, _ = attach(bench, 1)
    assert (bench.calls("TagResources"), operation.announced) == ([], set())
    assert sorted(bench.nodes) == ids(1)


def test_without_the_permission_to_tag_it_goes_on_with_one_warning():
    bench = Bench()
    bench.fault("error", "TagResources", **FORBIDDEN)
    operation, _ = attach(bench, 1)
    settle(operation, bench.nodes, bench.nodes)
    assert sorted(bench.nodes) == ids(1)
    assert (operation.mark, operation.announced) == ("", set())
    (warning,) = bench.said.warnings
    assert warning.startswith("Ownership marks are off for this run: TagResources: NotAuthorized: ")


def test_nothing_to_attach_calls_nothing():
    bench = Bench()
    operation, taken = attach(bench)
    assert (bench.calls(), operation.records, taken) == ([], [], set())


def test_201_instances_are_announced_first_and_go_in_three_calls():
    bench = Bench(201)
    operation, _ = attach(bench, *range(1, 202))
    assert sizes(bench) == [100, 100, 1]
    calls = bench.calls("TagResources", "AddExistedNodes")
    assert calls == ["TagResources"] * 5 + ["AddExistedNodes"] * 3
    assert [len(record.instance_ids) for record in operation.records] == [100, 100, 1]
    assert len(bench.nodes) == 201
    assert operation.sent == set()


def test_the_tasks_before_are_looked_at_once_for_all_calls():
    bench = Bench(201)
    attach(bench, *range(1, 202))
    calls = bench.calls("ListTasks", "AddExistedNodes")
    assert calls.index("AddExistedNodes") == 1
    assert calls[1:4] == ["AddExistedNodes"] * 3


# -- stopping -----------------------------------------------------------------------------------


def test_running_instances_are_stopped_first_where_that_is_allowed():
    bench = Bench(instance_pace={"looks": 2})
    bench.emulator.world.instances[iid(2)].status = "Running"
    with pytest.raises(FindingsError, match=r"compute2 .* is Running, not Stopped"):
        bench.up(1, 2)
    state = bench.up(1, 2, stop_running=True)
    assert bench.writes() == ["StopInstances", "AddExistedNodes"]
    assert bench.emulator.journal.of("StopInstances")[0].params["StoppedMode"] == "KeepCharging"
    assert state.instance_ids == ids(1, 2)


def test_an_instance_that_stops_already_is_waited_for():
    bench = Bench(instance_pace={"looks": 8})
    bench.emulator.world.instances[iid(1)].status = "Running"
    stop = {"InstanceId.1": iid(1), "RegionId": "cn-hangzhou"}
    assert bench.emulator.call("StopInstances", "2014-05-26", stop).status == 200
    assert bench.emulator.world.instances[iid(1)].status == "Stopping"
    assert bench.up(1, stop_running=True).instance_ids == [iid(1)]
    assert bench.harm.disk_replacements == {iid(1): 1}


@pytest.mark.parametrize("status", ["Pending", "Starting"])
def test_what_can_not_be_stopped_yet_is_refused_before_any_write(status):
    bench = Bench()
    bench.emulator.world.instances[iid(1)].status = status
    with pytest.raises(FindingsError, match=rf"is {status}, not Stopped, and can't be stopped yet"):
        bench.up(1, stop_running=True)
    assert bench.writes() == []
    bench.emulator.world.instances[iid(1)].status = "Running"
    assert bench.up(1, stop_running=True).instance_ids == [iid(1)]


def test_only_those_that_run_are_stopped_a_hundred_at_a_time():
    bench = Bench(152)
    for n in range(2, 153):
        bench.emulator.outside.start(iid(n))
    attach(bench, *range(1, 153))
    stops = bench.emulator.journal.of("StopInstances")
    named = [[v for k, v in e.params.items() if k.startswith("InstanceId.")] for e in stops]
    assert [len(some) for some in named] == [100, 51]
    assert iid(1) not in named[0]
    assert "stopping 151 instances" in bench.said.statuses


def test_instances_that_never_stop_end_it_before_anything_is_announced():
    bench = Bench(instance_pace="never")
    bench.emulator.outside.start(iid(1))
    bench.emulator.outside.start(iid(2))
    with pytest.raises(WaitTimeoutError) as told:
        attach(bench, 1, 2, seconds=100)
    assert str(told.value) == (
        f"Timed out after 100 s: instances are not Stopped yet: {iid(1)}, {iid(2)}. The work goes on in"
        " E-HPC; Run pulumi up again: it continues from there and sends nothing twice. To wait longer, set custom_timeouts."
    )
    assert bench.calls("AddExistedNodes") == []
    assert bench.owners == {}


def test_a_look_that_fails_while_instances_stop_is_made_again():
    bench = Bench(instance_pace={"seconds": 20})
    bench.emulator.outside.start(iid(1))

    def outage():
        bench.fault("error", "DescribeInstances", **DOWN)
        bench.clock.at(150, bench.emulator.faults.clear)

    with right_after(bench, "StopInstances", outage):
        attach(bench, 1)
    assert sorted(bench.nodes) == ids(1)


@pytest.mark.parametrize(
    ("fault", "stops"), [("reset_after", 1), ("reset_before", 2), ("error_after", 1)]
)
def test_a_stop_whose_answer_is_lost_is_sent_again_only_for_those_that_run(fault, stops):
    bench = Bench()
    bench.emulator.outside.start(iid(1))
    bench.fault(fault, "StopInstances")
    attach(bench, 1)
    assert len(bench.calls("StopInstances")) == stops
    assert sorted(bench.nodes) == ids(1)


def test_a_stop_is_sent_three_times_at_most():
    bench = Bench()
    bench.emulator.outside.start(iid(1))
    bench.fault("error", "StopInstances", **DOWN)
    with pytest.raises(ApiError, match="StopInstances: ServiceUnavailable"):
        attach(bench, 1)
    assert len(bench.calls("StopInstances")) == SENDS
    assert bench.calls("AddExistedNodes") == []
    assert bench.owners == {}


def test_a_stop_that_is_refused_for_one_instance_names_it():
    bench = Bench()
    for n in (1, 2):
        bench.emulator.outside.start(iid(n))
    bench.emulator.world.instances[iid(2)].locks = ["security"]
    with pytest.raises(ApiError) as told:
        attach(bench, 1, 2)
    assert told.value.code == "InstanceLockedForSecurity"
    assert f"StopInstances: InstanceLockedForSecurity: {iid(2)}: The instance" in str(told.value)
    assert bench.calls("AddExistedNodes") == []


def test_a_stop_that_is_refused_for_an_instance_that_stopped_meanwhile_is_none():
    bench = Bench()
    for n in (1, 2):
        bench.emulator.outside.start(iid(n))
    with right_after(bench, "DescribeInstances", lambda: bench.emulator.outside.stop(iid(2))):
        attach(bench, 1, 2)
    assert sorted(bench.nodes) == ids(1, 2)


# -- refusals -----------------------------------------------------------------------------------


def test_a_refused_batch_is_noted_and_the_others_go_on():
    bench = Bench(101)
    bench.fault("error", "AddExistedNodes", status=400, code="InvalidParams", message="No.")
    operation, _ = attach(bench, *range(1, 102))
    assert sizes(bench) == [100, 1]
    assert sorted(bench.nodes) == ids(101)
    assert sorted(operation.failed) == ids(*range(1, 101))
    failure = operation.failed[iid(1)]
    assert failure.code == "InvalidParams"
    assert failure.reason.startswith("AddExistedNodes: InvalidParams: No (HTTP 400, RequestId ")
    assert [record.instance_ids for record in operation.records] == [ids(101)]


def test_without_permission_nothing_more_is_sent():
    bench = Bench(101)
    bench.fault("error", "AddExistedNodes", **FORBIDDEN)
    with pytest.raises(AuthError):
        attach(bench, *range(1, 102))
    assert sizes(bench) == [100]


def test_what_never_left_this_machine_is_not_looked_after(monkeypatch):
    bench = Bench()
    operation = bench.operation()

    def refuse(*_, **__):
        raise NotSentError("AddExistedNodes", "no connection: refused")

    monkeypatch.setattr(operation.cloud, "add_existed_nodes", refuse)
    attach(bench, 1, operation=operation)
    assert {i: f.code for i, f in operation.failed.items()} == {iid(1): "NotSentError"}
    assert (operation.sent, bench.said.warnings) == (set(), [])


# -- a lost answer ------------------------------------------------------------------------------


def stopped(bench):
    bench.emulator.outside.stop(iid(1))


def on_its_old_image(bench):
    bench.emulator.world.instances[iid(1)].image_id = OLD_IMAGE


def as_before(bench):
    stopped(bench)
    on_its_old_image(bench)


@pytest.mark.parametrize(
    ("knobs", "deed"),
    [
        ({"task_listed": False}, as_before),
        ({"nodes_listed": "at_end"}, as_before),
        (HIDDEN, on_its_old_image),
        (HIDDEN, stopped),
    ],
    ids=["a node", "a task", "its status", "its image"],
)
@pytest.mark.parametrize("fault", ["reset_after", "error_after", "truncated", "lost"])
def test_an_accepted_call_of_which_one_sign_is_seen_is_not_sent_again(knobs, deed, fault):
    bench = Bench(grace=90.0, pace={"seconds": 300}, **knobs)
    bench.fault(fault, "AddExistedNodes")
    with right_after(bench, "AddExistedNodes", lambda: deed(bench)):
        operation, _ = attach(bench, 1)
    (sent,) = bench.emulator.journal.of("AddExistedNodes")
    assert bench.harm.disk_replacements == {iid(1): 1}
    (record,) = operation.records
    assert (record.task_id, record.status, record.instance_ids) == ("", "Unknown", ids(1))
    assert (operation.failed, operation.sent) == ({}, set())
    (warning,) = bench.said.warnings
    assert warning.endswith("Looking whether it was accepted.")
    assert (
        operation.changed - sent.time <= 61
    )  # as soon as the sign was seen ("lost" took a minute)


def test_one_instances_sign_stands_for_the_whole_call():
    bench = Bench(pace={"seconds": 300}, **HIDDEN)
    bench.fault("reset_after", "AddExistedNodes")
    bench.emulator.world.instances[iid(2)].image_id = IMAGE  # so that its image tells nothing
    with right_after(bench, "AddExistedNodes", lambda: bench.emulator.outside.stop(iid(2))):
        operation, _ = attach(bench, 1, 2)
    assert sizes(bench) == [2]
    assert [record.instance_ids for record in operation.records] == [ids(1, 2)]


@pytest.mark.parametrize("fault", ["reset_before", "error", "garbage"])
def test_a_call_that_nothing_shows_for_the_grace_period_is_sent_again(fault):
    bench = Bench(pace={"seconds": 1})
    bench.fault(fault, "AddExistedNodes")
    began = bench.clock.now()
    operation, _ = attach(bench, 1, 2)
    first, second = bench.emulator.journal.of("AddExistedNodes")
    assert second.time - first.time >= bench.grace
    assert first.time - began < 1
    assert [record.status for record in operation.records] == ["Success"]
    assert bench.harm.disk_replacements == dict.fromkeys(ids(1, 2), 1)


def test_it_is_sent_three_times_at_most():
    bench = Bench()
    bench.fault("reset_before", "AddExistedNodes", times=None)
    operation, _ = attach(bench, 1)
    assert sizes(bench) == [1] * SENDS == [1, 1, 1]
    assert operation.failed[iid(1)].model_dump() == {
        "code": "TransportError",
        "reason": "AddExistedNodes: no usable answer: connection reset.",
    }
    assert (operation.records, operation.sent) == ([], set())


def test_a_lost_answer_makes_the_next_call_look_at_the_tasks_anew():
    bench = Bench(101, pace={"seconds": 1})
    bench.fault("reset_after", "AddExistedNodes")
    attach(bench, *range(1, 102))
    calls = bench.calls("ListTasks", "AddExistedNodes")
    second = calls.index("AddExistedNodes", calls.index("AddExistedNodes") + 1)
    assert calls[second - 2 : second] == [
        "ListTasks",
        "ListTasks",
    ]  # who has it; and what is before


def somebody_attaches(bench):
    return lambda: send(bench, 5)


def test_another_new_task_that_names_no_instances_may_be_the_calls():
    bench = Bench(pace={"seconds": 200}, task_result_names_instances=False)
    bench.fault("reset_before", "AddExistedNodes")
    with right_after(bench, "AddExistedNodes", somebody_attaches(bench)):
        attach(bench, 1)
    first, _, last = bench.emulator.journal.of("AddExistedNodes")
    assert last.time - first.time >= 200
    assert sorted(bench.nodes) == ids(1, 5)


def test_a_task_that_ran_before_the_call_is_not_the_calls():
    bench = Bench(pace={"seconds": 200}, task_result_names_instances=False)
    send(bench, 5)
    bench.fault("reset_before", "AddExistedNodes")
    attach(bench, 1)
    _, first, last = bench.emulator.journal.of("AddExistedNodes")
    assert bench.grace <= last.time - first.time < 60


def test_a_new_task_that_names_others_or_attaches_nothing_is_not_the_calls():
    bench = Bench(attached=(6,), pace={"seconds": 200})

    def others():
        send(bench, 5)
        bench.emulator.call(
            "StopNodes", "2018-04-12", {"ClusterId": CLUSTER, "Instance.1.Id": iid(6)}
        )

    bench.fault("reset_before", "AddExistedNodes")
    with right_after(bench, "AddExistedNodes", others):
        attach(bench, 1)
    first, _, last = bench.emulator.journal.of("AddExistedNodes")
    assert bench.grace <= last.time - first.time < 60


def test_undecided_at_the_deadline_is_kept_as_perhaps_sent_and_told():
    bench = Bench(pace="held", task_result_names_instances=False)
    bench.fault("reset_before", "AddExistedNodes")
    operation = bench.operation(100)
    with (
        right_after(bench, "AddExistedNodes", somebody_attaches(bench)),
        pytest.raises(OutcomeUnknownError) as told,
    ):
        attach(bench, 1, 2, operation=operation)
    assert str(told.value) == (
        f"AddExistedNodes for {iid(1)}, {iid(2)} got no answer and its outcome could not be found out"
        " (another task is running that may hold these instances). Look at the cluster's nodes and tasks in"
        " the console, then run pulumi up again: it looks first and sends nothing twice."
    )
    assert operation.sent == set(ids(1, 2))
    assert [(r.status, r.instance_ids) for r in operation.records] == [("Unknown", ids(1, 2))]
    assert operation.failed[iid(2)].model_dump() == {
        "code": "OutcomeUnknown",
        "reason": "AddExistedNodes got no answer",
    }
    assert len(bench.calls("AddExistedNodes")) == 2  # ours once, and the other's


def test_an_outage_while_looking_decides_nothing():
    bench = Bench(pace={"seconds": 1})
    bench.fault("reset_before", "AddExistedNodes")

    def outage():
        bench.fault("error", "ListNodesNoPaging", **DOWN)
        bench.clock.at(300, bench.emulator.faults.clear)

    with right_after(bench, "AddExistedNodes", outage):
        attach(bench, 1)
    first, second = bench.emulator.journal.of("AddExistedNodes")
    assert second.time - first.time >= 300


@pytest.mark.parametrize(
    ("action", "fault"), [("DescribeInstances", FORBIDDEN), ("ListTasks", DOWN)]
)
def test_what_cannot_be_seen_is_the_reason_of_an_unknown_outcome(action, fault):
    bench = Bench(**HIDDEN, pace={"seconds": 600})
    bench.fault("reset_after", "AddExistedNodes")
    operation = bench.operation(300)
    with (
        right_after(bench, "AddExistedNodes", lambda: bench.fault("error", action, **fault)),
        pytest.raises(OutcomeUnknownError, match=rf"found out \({action}: {fault['code']}: "),
    ):
        attach(bench, 1, operation=operation)
    assert operation.sent == {iid(1)}
    assert sizes(bench) == [1]


# -- cancelled ----------------------------------------------------------------------------------


def test_cancelled_between_two_calls_nothing_more_is_sent(monkeypatch):
    bench = Bench(150, pace="held")
    operation = bench.operation()
    call = bench.emulator.call

    def pressed_during_the_first(action, *rest):
        answer = call(action, *rest)
        if action == "AddExistedNodes":
            bench.clock.cancel_at(0)
        return answer

    monkeypatch.setattr(bench.emulator, "call", pressed_during_the_first)
    with pytest.raises(CancelledError):
        attach(bench, *range(1, 151), operation=operation)
    assert sizes(bench) == [100]
    assert operation.sent == set(ids(*range(1, 101))) == bench.nodes.keys()
    assert [r.instance_ids for r in operation.records] == [ids(*range(1, 101))]


def test_cancelled_while_a_lost_answer_is_looked_after_it_is_kept_as_perhaps_sent():
    bench = Bench(pace="held")
    operation = bench.operation()
    bench.fault("reset_before", "AddExistedNodes")
    bench.clock.cancel_at(10)
    with pytest.raises(CancelledError):
        attach(bench, 1, operation=operation)
    assert operation.sent == {iid(1)}
    assert [(r.status, r.task_id) for r in operation.records] == [("Unknown", "")]
    assert operation.failed == {}
    assert sizes(bench) == [1]


# -- what an interrupted run has sent -----------------------------------------------------------


def test_announced_instances_that_are_not_stopped_were_sent_and_are_waited_for():
    bench = Bench(pace={"seconds": 200}, **HIDDEN)
    announce(bench, 1, 2)
    send(bench, 1, 2)
    operation, taken = attach(bench, 1, 2, begun=ids(1, 2))
    assert sizes(bench) == [2]
    assert taken == set()
    assert operation.sent == set()
    assert {node.status for node in bench.nodes.values()} == {"running"}
    assert bench.harm.double_attach == []


def test_announced_instances_that_nothing_shows_are_sent_after_the_grace_period():
    bench = Bench()
    announce(bench, 1)
    began = bench.clock.now()
    attach(bench, 1, begun=ids(1))
    (sent,) = bench.emulator.journal.of("AddExistedNodes")
    assert sent.time - began >= bench.grace
    assert bench.said.statuses[0] == "looking for what an interrupted run may have begun"


def test_of_the_announced_just_those_without_a_sign_are_sent():
    bench = Bench(pace={"seconds": 200}, **HIDDEN)
    announce(bench, 1, 2)
    send(bench, 1)
    attach(bench, 1, 2, begun=ids(1, 2))
    sent = bench.emulator.journal.of("AddExistedNodes")
    assert [e.params["Instance.1.Id"] for e in sent] == ids(1, 2)
    assert sent[1].time - sent[0].time >= bench.grace
    assert bench.harm.disk_replacements == dict.fromkeys(ids(1, 2), 1)


def test_with_marks_instances_that_were_not_announced_are_sent_at_once():
    bench = Bench()
    began = bench.clock.now()
    attach(bench, 1)
    (sent,) = bench.emulator.journal.of("AddExistedNodes")
    assert sent.time - began < 1
    assert "looking for what an interrupted run may have begun" not in bench.said.statuses


def test_without_marks_any_may_have_been_sent():
    bench = Bench(mark="")
    began = bench.clock.now()
    attach(bench, 1)
    (sent,) = bench.emulator.journal.of("AddExistedNodes")
    assert sent.time - began >= bench.grace


def test_without_marks_one_that_a_running_task_names_has_been_sent():
    bench = Bench(mark="", pace={"seconds": 200}, nodes_listed="at_end")
    send(bench, 1)
    attach(bench, 1)
    assert sizes(bench) == [1]
    assert bench.nodes[iid(1)].status == "running"


def test_without_marks_an_instance_on_its_way_is_not_sent_before_it_has_arrived():
    bench = Bench(mark="", instance_pace="never", pace="held", **HIDDEN)
    send(bench, 1)  # which began to start it
    with pytest.raises(OutcomeUnknownError):
        attach(bench, 1, seconds=200)
    assert sizes(bench) == [1]


def test_strays_that_were_sent_are_waited_for_and_told_and_others_are_not_sent():
    bench = Bench(pace={"seconds": 200}, **HIDDEN)
    announce(bench, 3, 4)
    send(bench, 3)
    _, taken = attach(bench, begun=ids(3, 4), strays=ids(3, 4))
    assert taken == {iid(3)}
    assert {i: node.status for i, node in bench.nodes.items()} == {iid(3): "running"}
    assert sizes(bench) == [1]


def test_joined_instances_are_waited_for_and_not_sent():
    bench = Bench(pace={"seconds": 100})
    send(bench, 1)
    operation, _ = attach(bench, joined=ids(1))
    assert bench.nodes[iid(1)].status == "running"
    assert operation.records == []


def test_what_a_killed_run_sent_is_not_sent_again_where_instances_cannot_be_seen():
    """Neither tasks nor nodes show it: only the announcement does, and that may not be read."""
    bench = Bench(**HIDDEN, pace={"seconds": 600})
    killed(bench, 1, 2, after="AddExistedNodes")
    bench.fault("error", "DescribeInstances", **FORBIDDEN)
    with pytest.raises(FindingsError, match="the permission ecs:DescribeInstances"):
        bench.up(1, 2)
    assert bench.harm.double_attach == []
    assert bench.writes() == ["AddExistedNodes"]


@pytest.mark.parametrize("mark", ["project/stack/nodes", ""])
def test_an_unknown_outcome_is_kept_and_cleared_by_the_next_up(mark):
    bench = Bench(mark=mark, pace={"seconds": 600}, **HIDDEN)
    bench.fault("reset_after", "AddExistedNodes")

    def blind():
        bench.fault("error", "ListNodesNoPaging", **DOWN)
        bench.fault("error", "ListNodes", **DOWN)

    with right_after(bench, "AddExistedNodes", blind), pytest.raises(IncompleteError) as told:
        bench.up(1, 2, seconds=300)
    state, reasons = told.value.state, told.value.reasons
    assert {i: f.code for i, f in state.failed.items()} == dict.fromkeys(
        ids(1, 2), "OutcomeUnknown"
    )
    assert state.instance_ids == ids(1, 2)
    assert [(t.action, t.status) for t in state.tasks] == [("AddExistedNodes", "Unknown")]
    assert reasons[-1].startswith(f"AddExistedNodes for {', '.join(ids(1, 2))} got no answer")
    assert "run pulumi up again: it looks first and sends nothing twice" in reasons[-1]
    bench.emulator.faults.clear()
    bench.emulator.advance(600)
    after = bench.up(1, 2, before=state)
    assert (after.failed, sorted(bench.nodes)) == ({}, ids(1, 2))
    assert bench.writes() == ["AddExistedNodes"]
    assert bench.harm.double_attach == []
