"""The dynamic provider: check, diff, create, read, update and delete, between property bags and models.

Loaded in the plugin's process only: a program's resource names it (`resource.provider`). It holds nothing but the
stack config that the engine gives it there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)
from pydantic import ValidationError

from ehpc_nodes.api import settings
from ehpc_nodes.api.cache import Looks
from ehpc_nodes.clock import Deadline, RealClock
from ehpc_nodes.errors import (
    AuthError,
    ConfigError,
    EhpcError,
    RefusedError,
    counted,
    listed,
)
from ehpc_nodes.lifecycle import FindingsError, IncompleteError, Lifecycle, LifecycleIn
from ehpc_nodes.models import (
    CLUSTER_ID,
    Finding,
    Inputs,
    ResourceId,
    State,
    check_form,
)
from ehpc_nodes.ownership import mark_of, new_identity

from .claims import Claims, Others
from .engine import EngineCall, current_call
from .preview import (
    Forecast,
    forecast,
    forecast_replacement,
    forecast_unseen,
    forecast_without_cluster,
)
from .properties import (
    IDENTITY,
    REPLACING,
    Bag,
    changed,
    checked_inputs,
    has_drifted,
    hosts_of,
    ignored_set,
    inputs_of,
    known_ids,
    name_of,
    needs_update,
    pending_ids,
    split_unknown,
    told_drift,
    why_due,
)
from .replacements import Replacements

#: Seconds; customTimeouts replace those of create, update and delete.
CREATE_TIMEOUT = UPDATE_TIMEOUT = 3600.0
DELETE_TIMEOUT = 1800.0
LOOK_TIMEOUT = 600.0
#: Less is a slip: time would be up after the first look, with a write still to come.
LEAST_TIMEOUT = 1.0

STALE_CONFIG = " After a change in the stack config, refresh and destroy still use that of the last up: add --run-program."


class AttachedNodesProvider(ResourceProvider):
    """Implements `AttachedNodes`; see there and `lifecycle`."""

    def configure(self, req: ConfigureRequest) -> None:
        """Keep the stack config; called once in the plugin's process."""
        self._config = req.config
        self._told: dict[str, str] = {}
        self._detach_busy: dict[str, bool] = {}
        self._claims = Claims()
        self._replacements = Replacements()
        self._looks = Looks()

    # -- check and diff -------------------------------------------------------------------------

    def check(self, _olds: Bag, news: Bag) -> CheckResult:
        """Check the form, resolve defaults, and look beforehand at what the API would refuse."""
        with _errors_told() as call:
            known, unknown = split_unknown(news)
            known |= ignored_set(news, _olds)
            declared, findings = check_form(known, unknown)
            if declared.image_owner_alias and not declared.image_id and "image_id" not in unknown:
                findings.append(
                    Finding("image_owner_alias", "is given without image_id: name the image too")
                )
            bag = checked_inputs(
                declared, news, unknown, _olds, call.internal(IDENTITY) or new_identity(call.seed)
            )
            if not findings and "region" not in bag and "region" not in unknown:
                kept = self._replacements.region_of(call.urn, bag.get("cluster_id"))
                try:
                    bag["region"] = kept or settings.resolve_region(self._get, os.environ)
                except ConfigError as error:
                    findings.append(Finding("region", str(error)))
            if call.urn and isinstance(bag["detach_busy"], bool):
                self._detach_busy[call.urn] = bag["detach_busy"]
            findings += self._claimed_by_others(call.urn, bag, _olds)
            if not findings:
                findings = self._preflight(call, bag, _olds)
            if not all(finding.warning for finding in findings):
                self._claims.withdraw(call.urn)
            for finding in findings:
                if finding.warning:
                    call.warning(f"{finding.property}: {finding.reason}")
            return CheckResult(
                bag, [CheckFailure(f.property, f.reason) for f in findings if not f.warning]
            )

    def _claimed_by_others(self, urn: str, bag: Bag, olds: Bag) -> list[Finding]:
        cluster_id, ids = str(bag.get("cluster_id")), known_ids(bag)
        if olds.get("cluster_id") == cluster_id:
            self._claims.keep(urn, cluster_id, ids & known_ids(olds))
            self._claims.give_up(urn, cluster_id, known_ids(olds) - ids)
        others = self._claims.claim(urn, cluster_id, ids)
        gone = self._claims.gone_by_others(urn, cluster_id, ids)
        twice = [
            f"{i} is listed by {name_of(urn)!r} and by {name_of(other)!r}: list it in one of them"
            for i, other in others.items()
        ]
        taken = [
            f"{i} was detached in this run by {name_of(other)!r}, before this resource could take it over:"
            " run pulumi up --refresh, whose preview tells what becomes of it"
            for i, other in gone.items()
        ]
        return [Finding("instance_ids", reason) for reason in (*twice, *taken)]

    def _preflight(self, call: EngineCall, bag: Bag, olds: Bag) -> list[Finding]:
        """Findings from a look at the cloud; fills the bag with what the look resolved."""
        wanted = known_ids(bag) if isinstance(bag["instance_ids"], dict) else None
        replaced = self._replacements.of(call.urn, olds, bag)
        if not isinstance(bag.get("cluster_id"), str) or not isinstance(bag.get("region"), str):
            if replaced:
                unseen = forecast_unseen(bag, wanted, replaced)
            else:
                unseen = forecast_without_cluster(self._looking(call), bag, wanted)
            return self._tell(call, unseen, again=bool(replaced) and not olds)
        owned = known_ids(olds) if not replaced else set()
        same = wanted == owned and bag.get("job_queue", "") == olds.get("job_queue", "")
        if owned and same and not has_drifted(olds):
            return []
        if replaced:
            seen = forecast_replacement(self._looking(call), bag, wanted, replaced)
        else:
            seen = forecast(self._looking(call), bag, wanted, owned, pending_ids(olds))
        findings = self._tell(call, seen, again=bool(replaced) and not olds)
        if all(finding.warning for finding in findings):
            findings += self._named_like_others(call.urn, bag)
        return findings

    def _named_like_others(self, urn: str, bag: Bag) -> list[Finding]:
        others = self._claims.claim_hosts(urn, str(bag["cluster_id"]), hosts_of(bag))
        return [
            Finding(
                "instance_ids",
                f"{i} has the host name of {other}, which {name_of(owner)!r} lists: rename one",
            )
            for i, (other, owner) in others.items()
        ]

    def _tell(self, call: EngineCall, seen: Forecast, *, again: bool) -> list[Finding]:
        """Say what would happen, and give the findings; what was said before (``again``) is said once."""
        if again and self._told.get(call.urn) == seen.line:
            return [finding for finding in seen.findings if not finding.warning]
        if all(finding.warning for finding in seen.findings):
            call.info(seen.line)
            self._told[call.urn] = seen.line
        return seen.findings

    def diff(self, _id: str, _olds: Bag, _news: Bag) -> DiffResult:
        """What a change means; everything that isn't named here means nothing."""
        with _errors_told() as call:
            replaces = [name for name in REPLACING if changed(_olds, _news, name)]
            if replaces:
                self._replacements.ask(call.urn, _olds, call.internal(IDENTITY))
            due = needs_update(_olds, _news)
            why = why_due(_olds, _news) if due and call.urn not in self._told else ""
            if why and not replaces:
                call.info(why)
            return DiffResult(
                changes=bool(replaces) or due,
                replaces=replaces,
                delete_before_replace=True,
            )

    # -- create, read, update, delete -----------------------------------------------------------

    def create(self, props: Bag) -> CreateResult:
        """Attach, or adopt what is attached already."""
        with _errors_told() as call:
            inputs = Inputs.model_validate(props)
            timeout = _timeout(call, CREATE_TIMEOUT)
            self._replacements.refuse_untold(call.urn, inputs, self._looking(call))
            resource_id = str(ResourceId.of(inputs))
            lifecycle = self._lifecycle(call, inputs.region, timeout)
            with self._partial_state_kept(call, resource_id):
                state = lifecycle.converge(inputs)
            self._claims.hold(call.urn, state)
            return CreateResult(resource_id, state.model_dump())

    def update(self, _id: str, _olds: Bag, _news: Bag) -> UpdateResult:
        """Attach what was added, detach what was removed, move what is in another queue."""
        with _errors_told() as call:
            inputs, before = Inputs.model_validate(_news), State.model_validate(_olds)
            timeout = _timeout(call, UPDATE_TIMEOUT)
            lifecycle = self._lifecycle(call, inputs.region, timeout)
            before = self._without_those_of_others(call, before)
            with self._partial_state_kept(call, _id):
                state = lifecycle.converge(inputs, before)
            state = self._without_those_of_others(call, state, inputs.instance_ids)
            self._claims.hold(call.urn, state)
            return UpdateResult(state.model_dump())

    def read(self, id_: str, props: Bag) -> ReadResult:
        """What the cluster says now; for a resource of the program's own, or one that is only read."""
        with _errors_told(hint=STALE_CONFIG) as call:
            managed = "nodes" in props
            state = self._state_to_read(id_, props)
            lifecycle = self._lifecycle(call, state.region, LOOK_TIMEOUT, marks=managed)
            found = lifecycle.observe(state) if managed else lifecycle.observe_all(state)
            if found is None:
                return ReadResult("", {})
            inputs = call.old_inputs if managed else {}
            drift = told_drift(found, inputs.get("job_queue", ""))
            if drift:
                call.info(listed(drift))
            return ReadResult(id_, found.model_dump(), inputs_of(found, inputs))

    def delete(self, _id: str, _props: Bag) -> None:
        """Detach; the instances stay. What is gone already is no error."""
        with _errors_told(hint=STALE_CONFIG) as call:
            urn = self._urn_of(call)
            saved = call.old_inputs.get("detach_busy", _props.get("detach_busy", False))
            consent = self._detach_busy.get(urn, saved)  # of the program, where it was run
            state = State.model_validate({**_props, "detach_busy": consent})
            timeout = _timeout(call, DELETE_TIMEOUT)
            lifecycle = self._lifecycle(call, state.region, timeout)
            had = {*state.instance_ids}
            state = self._without_those_of_others(call, state)
            awaited = self._claims.listed_by_others(urn, state.cluster_id)
            waiting = [i for i in state.instance_ids if i in awaited]
            if waiting and self._replacements.is_asked(urn):  # before the other one's turn comes
                call.info(f"left to the resource that lists it: {listed(waiting)}")
                state = state.without(waiting)
            elif waiting:
                raise RefusedError(
                    "instance_ids",
                    f"{waiting[0]} is listed by {name_of(awaited[waiting[0]])!r}, which has not taken it: it"
                    " stays attached, and in this resource's state. Run pulumi up again.",
                )
            lifecycle.remove(state, had - {*state.instance_ids})
            self._replacements.deleted(urn, state)

    @contextmanager
    def _partial_state_kept(self, call: EngineCall, resource_id: str) -> Iterator[None]:
        try:
            yield
        except IncompleteError as error:
            self._claims.hold(call.urn, error.state)
            raise call.incomplete(resource_id, error.state.model_dump(), error.reasons) from error

    def _without_those_of_others(
        self, call: EngineCall, state: State, wanted: Collection[str] = ()
    ) -> State:
        """The state without the instances that this run has found to be another resource's, but for wanted ones."""
        # without a diff that told it, a delete beside the same URN's check or create is of its old half
        urn = self._urn_of(call)
        old_half = call.is_delete and not self._replacements.is_asked(urn)
        stay = self._claims.held_by_others(urn, state, spare_own=old_half)
        stay = [i for i in stay if i not in wanted]
        if not stay:
            return state
        call.info(
            f"{counted(len(stay), 'node')} now held by another resource stay attached: {listed(stay)}"
        )
        return state.without(stay)

    def _urn_of(self, call: EngineCall) -> str:
        return self._replacements.urn_of(call.urn, call.internal(IDENTITY))

    # -- what an operation stands on ------------------------------------------------------------

    def _get(self, key: str) -> Any:
        return self._config.get(key)

    def _state_to_read(self, id_: str, props: Bag) -> State:
        region = props.get("region") or settings.resolve_region(self._get, os.environ)
        cluster_id = props.get("cluster_id") or ResourceId.parse(id_).cluster_id
        if not re.fullmatch(CLUSTER_ID, str(cluster_id)):
            raise ConfigError(
                f"{cluster_id!r} is neither a cluster id nor the id of an AttachedNodes resource"
                " (such as ehpc-hz-FYUr32abcd)."
            )
        ids = props.get("instance_ids") or ()
        ids = [*ids] if isinstance(ids, (list, dict)) else ids
        return State.model_validate(
            {**props, "region": region, "cluster_id": cluster_id, "instance_ids": ids}
        )

    def _looking(self, call: EngineCall) -> LifecycleIn:
        """Gives a lifecycle in a region, for looks beforehand."""
        return partial(self._lifecycle, call, seconds=LOOK_TIMEOUT)

    def _lifecycle(
        self,
        call: EngineCall,
        region: str,
        seconds: float,
        *,
        marks: bool = True,
    ) -> Lifecycle:
        """A lifecycle on the real cloud, for one operation."""
        # late: a program, and a run without a change, send nothing and need no HTTP
        from ehpc_nodes.api.connect import connect

        found = settings.resolve(self._get, os.environ, region=region)
        deadline = Deadline.after(RealClock(call.cancelled), seconds)
        name = mark_of(call.urn) if marks else ""
        mark = name if found.ownership_tags else ""
        identity = call.internal(IDENTITY) or self._replacements.identity_of(call.urn)
        cloud = connect(found, deadline, notice=call.status)
        others = Others(self._claims, self._urn_of(call))
        return Lifecycle(
            cloud, deadline, call, found.grace_seconds, mark, identity, self._looks, others, name
        )


def _timeout(call: EngineCall, usual: float) -> float:
    """The seconds that an operation may take: customTimeouts, or the usual ones.

    Raises:
        ConfigError: nothing can be done in them; nothing was called.
    """
    if call.timeout and call.timeout < LEAST_TIMEOUT:
        raise ConfigError(
            f"custom_timeouts give {call.timeout:g} s, in which nothing can be done: give minutes (the default is"
            f" {usual / 60:.0f}) and run pulumi up; a destroy uses those of the last up."
        )
    return call.timeout or usual


# -- errors to the engine -----------------------------------------------------------------------


@contextmanager
def _errors_told(hint: str = "") -> Iterator[EngineCall]:
    """The engine's call; whatever this package raises on purpose reaches the user as plain text.

    Args:
        hint: told where the access key is refused.
    """
    call = current_call()
    try:
        yield call
    except IncompleteError as error:
        raise call.failed("\n".join(error.reasons)) from error
    except FindingsError as error:
        raise call.failed(str(error)) from error
    except RefusedError as error:
        raise call.failed(f"{error.property}: {error}") from error
    except AuthError as error:
        raise call.failed(str(error) + ("" if error.forbidden else hint)) from error
    except EhpcError as error:
        raise call.failed(str(error)) from error
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise call.failed(
            f"The state of this resource is not as this package saves it, at {where}."
            " Look at it with: pulumi stack export."
        ) from error
