"""The emulated cloud in process: one call in, one answer (or a broken connection) out."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from . import attach, ecs, jobs, mishaps, node_lists, nodes, reads, scale_in, tasks
from .answers import Answer, ApiError, Body, Dropped, invalid, throttled
from .clock import Clock, SystemClock
from .declared import ACTIONS, SERVICES
from .faults import CallFaults, Faults
from .harm import Harm
from .journal import Journal
from .lag import Lag
from .outside import Outside
from .params import Args, Param, named_ids, parse
from .state import NodeFaults, State
from .world import AccessKey, World

HOSTS = {"ehpc": "ehpc.aliyuncs.com", "ecs": "ecs.aliyuncs.com"}

_HANDLERS: dict[str, Callable[[State, Args], Body]] = {
    "AddExistedNodes": attach.add_existed_nodes,
    "DeleteNodes": nodes.delete_nodes,
    "SetQueue": nodes.set_queue,
    "StopNodes": nodes.stop_nodes,
    "StartNodes": nodes.start_nodes,
    "ListNodes": node_lists.list_nodes,
    "ListNodesByQueue": node_lists.list_nodes_by_queue,
    "ListNodesNoPaging": node_lists.list_nodes_no_paging,
    "ListTasks": reads.list_tasks,
    "ListQueues": reads.list_queues,
    "DescribeCluster": reads.describe_cluster,
    "ListClusters": reads.list_clusters,
    "ListImages": reads.list_images,
    "ListCustomImages": reads.list_custom_images,
    "ListJobsWithFilters": jobs.list_jobs_with_filters,
    "GetAutoScaleConfig": scale_in.get_auto_scale_config,
    "DescribeInstances": ecs.describe_instances,
    "StopInstances": ecs.stop_instances,
    "TagResources": ecs.tag_resources,
    "UntagResources": ecs.untag_resources,
    "ListTagResources": ecs.list_tag_resources,
}


@dataclass
class Call:
    """One call while it is answered."""

    action: str
    service: str
    params: Mapping[str, str]
    caller: AccessKey
    request_id: str
    faults: CallFaults = field(default_factory=lambda: CallFaults(None, ()))


class Emulator:
    """E-HPC and ECS of one region and account. Thread-safe: calls take effect one after another.

    `state` is what exists, `journal` the calls, `faults` the calls that will fail,
    `state.harm` what cannot be undone.
    """

    def __init__(self, world: World | None = None, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.lock = threading.RLock()
        self.new_id: Callable[[], str] = lambda: str(uuid.uuid4()).upper()
        self.load(world or World.demo())

    def load(self, world: World) -> None:
        """Replace everything: the world, the journal, the faults and the counts of harm."""
        faults = Faults()
        for rule in world.faults:
            faults.add(rule)
        with self.lock:
            self.state = State(world, self.clock, self.new_id)
            self.journal = Journal()
            self.faults = faults
            self._recent: dict[str, deque[float]] = {}

    @property
    def world(self) -> World:
        """What exists."""
        return self.state.world

    @property
    def harm(self) -> Harm:
        """What calls did and cannot be undone."""
        return self.state.harm

    @property
    def outside(self) -> Outside:
        """Changes that people make without the API."""
        return Outside(self.state, self.turn)

    def call(
        self,
        action: str,
        version: str,
        params: Mapping[str, str],
        caller: AccessKey | None = None,
    ) -> Answer:
        """Answer one call, whose signature was checked.

        Raises:
            Dropped: no answer is given; its attributes show whether the call took effect.
        """
        with self.lock:
            key = caller or self.world.default_key
            call = Call(action, SERVICES.get(version, ""), params, key, self.new_id())
            try:
                answer = self._answered(call)
            except Dropped as dropped:
                self._note(call, None)
                raise dropped from None
            except ApiError as error:
                answer = error.answer(call.request_id, HOSTS.get(call.service, HOSTS["ehpc"]))
                answer.delay += call.faults.delay
            self._note(call, answer)
            return answer

    def refuse(self, error: ApiError, action: str = "", key_id: str = "") -> Answer:
        """The answer to a request without access (a wrong signature, an unknown key); in the journal, too."""
        with self.lock:
            call = Call(action, "", {}, AccessKey(key_id, ""), self.new_id())
            answer = error.answer(call.request_id, HOSTS["ehpc"])
            self._note(call, answer)
            return answer

    def advance(self, seconds: float) -> None:
        """Let time pass, with everything that depends on seconds."""
        with self.turn():
            self.clock.advance(seconds)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Change the world between two calls, at one moment of its time."""
        with self.lock:
            self.pass_time()
            yield
            self.pass_time()

    def pass_time(self) -> None:
        """Bring the world up to the clock, and store views of lists that are to be out of date."""
        tasks.tick(self.state)
        self.state.tick_instances()
        self.state.tick_nodes()
        jobs.tick(self.state)
        scale_in.tick(self.state)
        self._observe()

    def _answered(self, call: Call) -> Answer:
        self.pass_time()
        declared = _declared(call)
        self._throttle(call.caller)
        call.faults = self.faults.of_call(call.action, named_ids(call.params))
        spoiled = mishaps.before_effect(call.faults.ending)
        if spoiled is None:
            _check_permission(call)
            args = parse(declared, call.params, _REFUSALS[call.service])
            answer = mishaps.after_effect(call.faults.ending, call.action, self._act(call, args))
        else:
            answer = spoiled
        answer.delay += call.faults.delay
        return answer

    def _act(self, call: Call, args: Args) -> Answer:
        self.state.request_id = call.request_id
        self.state.node_faults = NodeFaults(call.faults.fail_nodes, call.faults.never_ends)
        try:
            body = _HANDLERS[call.action](self.state, args)
        finally:
            self._observe()
        return Answer(200, {"RequestId": call.request_id, **body})

    def _observe(self) -> None:
        if self.world.knobs.list_lag is None:
            self.state.lag = Lag()
        else:
            self.state.lag.observe(self.world, self.clock.now())

    def _throttle(self, caller: AccessKey) -> None:
        limit = self.world.knobs.throttle_per_second
        if limit is None:
            return
        now = self.clock.now()
        recent = self._recent.setdefault(caller.id, deque())
        while recent and recent[0] <= now - 1:
            recent.popleft()
        if len(recent) >= limit:
            raise throttled()
        recent.append(now)

    def _note(self, call: Call, answer: Answer | None) -> None:
        body = answer.body if answer else {}
        self.journal.note(
            time=self.clock.now(),
            service=call.service,
            action=call.action,
            params=dict(call.params),
            access_key_id=call.caller.id,
            status=answer.status if answer else None,
            code=body.get("Code"),
            request_id=call.request_id,
            task_id=body.get("TaskId"),
            fault=call.faults.names,
        )


_REFUSALS = {"ehpc": invalid, "ecs": ecs.refuse}


def _declared(call: Call) -> Mapping[str, Param]:
    if not call.service:
        raise ApiError(400, "NoSuchVersion", "The specified version does not exist.")
    found = ACTIONS[call.service].get(call.action)
    if found is None:
        text = "The specified api is not found, please check your url and method."
        raise ApiError(404, "InvalidAction.NotFound", text)
    return found


def _check_permission(call: Call) -> None:
    """RAM: the key's patterns (`ehpc:List*`) must allow the action."""
    wanted = f"{call.service}:{call.action}"
    if any(fnmatchcase(wanted, pattern) for pattern in call.caller.allow):
        return
    if call.service == "ehpc":
        raise ApiError(407, "NotAuthorized", "You are not authorized by RAM for this request.")
    text = f"User not authorized to operate on the specified resource, action: {wanted}."
    raise ApiError(403, "Forbidden.RAM", text)
