"""The dynamic provider: check, diff, create, read, update and delete, between property bags and models.

Loaded in the plugin's process only: a program's resource names it (`resource.provider`). It holds nothing but the
stack config that the engine gives it there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
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
from ehpc_nodes.api.cache import ReadCache
from ehpc_nodes.clock import Deadline, RealClock
from ehpc_nodes.errors import (
    AuthError,
    ConfigError,
    EhpcError,
    RefusedError,
    listed,
)
from ehpc_nodes.models import (
    CLUSTER_ID,
    Finding,
    Inputs,
    ResourceId,
    State,
    check_form,
)
from ehpc_nodes.reconcile.operations import (
    FindingsError,
    IncompleteError,
    Operations,
    OperationsIn,
)
from ehpc_nodes.reconcile.owner_tags import name_of, new_uid

from .engine import EngineCall, current_call
from .preview import (
    PreviewResult,
    preview,
    preview_replacement,
    preview_unread,
    preview_without_cluster,
)
from .properties import (
    REPLACING,
    UID,
    Properties,
    changed,
    checked_inputs,
    drift_messages,
    has_drifted,
    hosts_of,
    ignored_set,
    inputs_of,
    known_ids,
    lacks_name,
    needs_update,
    resource_name,
    saved_state,
    split_unknown,
    why_due,
)
from .run_registry import OthersInRun, RunRegistry

#: Seconds; customTimeouts replace those of create, update and delete.
CREATE_TIMEOUT = UPDATE_TIMEOUT = 3600.0
DELETE_TIMEOUT = 1800.0
READ_TIMEOUT = 600.0
#: Less is a slip: time would be up after the first reading, with a write still to come.
LEAST_TIMEOUT = 1.0
#: A delete waits for the grace period, and for its task.
LEAST_DELETE_TIMEOUT = 120.0

STALE_CONFIG = " After a change in the stack config, refresh and destroy still use that of the last up: add --run-program."


class AttachedNodesProvider(ResourceProvider):
    """Implements `AttachedNodes`; see there and `reconcile.operations`."""

    def configure(self, req: ConfigureRequest) -> None:
        """Keep the stack config; called once in the plugin's process."""
        self._config = req.config
        self._shown: dict[str, str] = {}
        self._checked: set[str] = set()
        self._busy_nodes: dict[str, str] = {}
        self._registry = RunRegistry()
        self._reads = ReadCache()

    # -- check and diff -------------------------------------------------------------------------

    def check(self, _olds: Properties, news: Properties) -> CheckResult:
        """Check the form, resolve defaults, and find out what the API would refuse."""
        with _errors_shown() as call:
            self._checked.add(call.urn)
            known, unknown = split_unknown(news)
            known |= ignored_set(news, _olds)
            declared, findings = check_form(known, unknown)
            uid = call.internal(UID) or new_uid(call.seed)
            checked = checked_inputs(declared, news, unknown, _olds, uid)
            if not findings and "region" not in checked and "region" not in unknown:
                kept = self._registry.region_of(call.urn, checked.get("cluster_id"))
                try:
                    checked["region"] = kept or settings.resolve_region(self._get, os.environ)
                except ConfigError as error:
                    findings.append(Finding("region", str(error)))
            if call.urn and isinstance(checked["busy_nodes"], str):
                self._busy_nodes[call.urn] = checked["busy_nodes"]
            findings += self._listed_twice(call.urn, checked)
            if not findings:
                findings = self._preflight(call, checked, _olds)
            if all(finding.warning for finding in findings):
                self._registry.accept(call.urn)
            else:
                self._registry.withdraw(call.urn)
            for finding in findings:
                if finding.warning:
                    call.warning(f"{finding.property}: {finding.reason}")
            return CheckResult(
                checked, [CheckFailure(f.property, f.reason) for f in findings if not f.warning]
            )

    def _listed_twice(self, urn: str, checked: Properties) -> list[Finding]:
        others = self._registry.list(urn, known_ids(checked))
        return [
            Finding(
                "instance_ids",
                f"{i} is listed by {resource_name(urn)!r} and by {resource_name(other)!r}: list it in one of them",
            )
            for i, other in others.items()
        ]

    def _preflight(self, call: EngineCall, checked: Properties, olds: Properties) -> list[Finding]:
        """Findings from reads of the cloud; fills the inputs with what they resolved."""
        wanted = known_ids(checked) if isinstance(checked["instance_ids"], dict) else None
        replaced = self._registry.replaced_by(call.urn, olds, checked)
        again = bool(replaced) and not olds
        operations_in = self._reading(call)
        if not all(isinstance(checked.get(name), str) for name in ("cluster_id", "region")):
            if replaced:
                unread = preview_unread(checked, wanted, replaced)
            else:
                unread = preview_without_cluster(operations_in, checked, wanted)
            return self._show(call, unread, again=again)
        if replaced:
            found = preview_replacement(operations_in, checked, wanted, replaced)
        else:
            saved = saved_state(olds, call.old_outputs) if olds else None
            if self._is_unchanged(call, checked, olds, wanted):
                return []
            found = preview(operations_in, checked, wanted, saved)
        findings = self._show(call, found, again=again)
        if all(finding.warning for finding in findings):
            self._registry.detach(call.urn, found.detach)
            findings += self._named_like_others(call.urn, checked)
        return findings

    def _is_unchanged(
        self, call: EngineCall, checked: Properties, olds: Properties, wanted: set[str] | None
    ) -> bool:
        """Whether an update would have nothing to do, so that nothing has to be read."""
        same = wanted == known_ids(olds)
        same = same and not known_ids(olds) & self._registry.detached_by_others(call.urn).keys()
        same = same and checked.get("job_queue", "") == olds.get("job_queue", "")
        renamed = lacks_name(call.old_outputs, name_of(call.urn))
        return bool(olds) and same and not has_drifted(olds) and not renamed

    def _named_like_others(self, urn: str, checked: Properties) -> list[Finding]:
        others = self._registry.list_hosts(urn, str(checked["cluster_id"]), hosts_of(checked))
        return [
            Finding(
                "instance_ids",
                f"{i} has the host name of {other}, which {resource_name(owner)!r} lists: rename one",
            )
            for i, (other, owner) in others.items()
        ]

    def _show(self, call: EngineCall, found: PreviewResult, *, again: bool) -> list[Finding]:
        """Report what would happen, and give the findings; what was reported before (``again``) is not repeated."""
        if again and self._shown.get(call.urn) == found.line:
            return [finding for finding in found.findings if not finding.warning]
        if all(finding.warning for finding in found.findings):
            call.info(found.line)
            self._shown[call.urn] = found.line
        return found.findings

    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        """What a change means; everything that is not named here means nothing."""
        with _errors_shown() as call:
            replaces = [name for name in REPLACING if changed(_olds, _news, name)]
            if replaces:
                self._registry.replace(call.urn, {**_olds, UID: call.internal(UID)})
            owner = name_of(call.urn)
            due = needs_update(_olds, _news, owner)
            # a refresh compares before the program's own inputs are checked
            silent = call.urn in self._shown or call.urn not in self._checked
            why = "" if silent or not due else why_due(_olds, _news, owner)
            if why and not replaces:
                call.info(why)
            return DiffResult(
                changes=bool(replaces) or due,
                replaces=replaces,
                delete_before_replace=True,
            )

    # -- create, read, update, delete -----------------------------------------------------------

    def create(self, props: Properties) -> CreateResult:
        """Attach, or adopt what is attached already."""
        with _errors_shown() as call:
            inputs = Inputs.model_validate(props)
            timeout = _timeout(call, CREATE_TIMEOUT)
            self._registry.refuse_unpreviewed(call.urn, inputs, self._reading(call))
            resource_id = str(ResourceId.of(inputs))
            operations = self._operations(call, inputs.region, timeout)
            with _partial_state_kept(call, resource_id):
                state = operations.converge(inputs)
            return CreateResult(resource_id, state.model_dump())

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Attach what was added, detach what was removed, move what is in another queue."""
        with _errors_shown() as call:
            inputs, saved = Inputs.model_validate(_news), State.model_validate(_olds)
            operations = self._operations(call, inputs.region, _timeout(call, UPDATE_TIMEOUT))
            with _partial_state_kept(call, _id):
                state = operations.converge(inputs, saved)
            return UpdateResult(state.model_dump())

    def read(self, id_: str, props: Properties) -> ReadResult:
        """What the cluster is now; for a resource of the program's own, or one that is only read."""
        with _errors_shown(hint=STALE_CONFIG) as call:
            managed = "nodes" in props
            state = self._state_to_read(id_, props)
            operations = self._operations(call, state.region, READ_TIMEOUT)
            found = operations.refresh(state) if managed else operations.read_nodes(state)
            if found is None:
                return ReadResult("", {})
            inputs = call.old_inputs if managed else {}
            drift = drift_messages(state, found, inputs.get("job_queue", ""))
            if drift:
                call.info(listed(drift))
            return ReadResult(id_, found.model_dump(), inputs_of(found, inputs))

    def delete(self, _id: str, _props: Properties) -> None:
        """Detach; the instances stay. What is gone already is no error."""
        with _errors_shown(hint=STALE_CONFIG) as call:
            urn = self._registry.urn_of(call.urn, call.internal(UID))
            saved = call.old_inputs.get("busy_nodes", _props.get("busy_nodes", "refuse"))
            chosen = self._busy_nodes.get(urn, saved)  # by the program, where it was run
            state = State.model_validate({**_props, "busy_nodes": chosen})
            # the limits are those of the state, so that a slip there could not be corrected
            seconds = max(LEAST_DELETE_TIMEOUT, call.timeout or DELETE_TIMEOUT)
            operations = self._operations(call, state.region, seconds)
            operations.destroy(state)
            self._registry.deleted(urn, state.instance_ids)

    # -- what an operation stands on ------------------------------------------------------------

    def _get(self, key: str) -> Any:
        return self._config.get(key)

    def _state_to_read(self, id_: str, props: Properties) -> State:
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

    def _reading(self, call: EngineCall) -> OperationsIn:
        """Gives the operations in a region, for what is only read."""
        return partial(self._operations, call, seconds=READ_TIMEOUT)

    def _operations(self, call: EngineCall, region: str, seconds: float) -> Operations:
        """The operations on the real cloud, for one call of the engine."""
        # late: a program, and a run without a change, send nothing and need no HTTP
        from ehpc_nodes.api.connect import connect

        found = settings.resolve(self._get, os.environ, region=region)
        deadline = Deadline.after(RealClock(call.cancelled), seconds)
        uid = call.internal(UID)
        return Operations(
            connect(found, deadline, notice=call.status),
            deadline,
            call,
            found.grace_seconds,
            name_of(call.urn) or uid,
            uid,
            self._reads,
            OthersInRun(self._registry, self._registry.urn_of(call.urn, uid)),
            found.scheduler_seconds,
        )


@contextmanager
def _partial_state_kept(call: EngineCall, resource_id: str) -> Iterator[None]:
    try:
        yield
    except IncompleteError as error:
        raise call.incomplete(resource_id, error.state.model_dump(), error.reasons) from error


def _timeout(call: EngineCall, usual: float) -> float:
    """The seconds that an operation may take: customTimeouts, or the usual ones.

    Raises:
        ConfigError: nothing can be done in them; nothing was called.
    """
    if call.timeout and call.timeout < LEAST_TIMEOUT:
        raise ConfigError(
            f"custom_timeouts give {call.timeout:g} s, in which nothing can be done: give minutes (the default is"
            f" {usual / 60:.0f}) and run pulumi up."
        )
    return call.timeout or usual


# -- errors to the engine -----------------------------------------------------------------------


@contextmanager
def _errors_shown(hint: str = "") -> Iterator[EngineCall]:
    """The engine's call; whatever this package raises on purpose reaches the user as plain text.

    Args:
        hint: shown where the access key is refused.
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
            " To read it: pulumi stack export."
        ) from error
