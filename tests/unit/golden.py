"""One instance a line: facts, and what the tables say of them. A row of the tables without a line here is a gap."""

from __future__ import annotations

from typing import Any

from ehpc_nodes.reconcile import plan
from ehpc_nodes.reconcile.facts import (
    Call,
    EcsIs,
    Facts,
    Generation,
    NodeIs,
    Saved,
    Tag,
    TaskIs,
    Verdict,
)
from ehpc_nodes.reconcile.plan import Rules

G = Generation
MINE = {"tag": Tag.MINE, "generation": G.RESOLVED, "saved": Saved.NODE}
PENDING = {"tag": Tag.MINE, "generation": G.PENDING}
THIS_RUN = {"tag": Tag.MINE, "generation": G.THIS_RUN}
READY = {"node": NodeIs.READY, "seen_node": True, "ecs": EcsIs.RUNNING}
BROKEN = {"node": NodeIs.EXCEPTION, "seen_node": True, "ecs": EcsIs.RUNNING}
INITIAL = {"node": NodeIs.INITIAL, "seen_node": True, "ecs": EcsIs.RUNNING}
RELEASING = {"node": NodeIs.RELEASING, "seen_node": True, "ecs": EcsIs.RUNNING}
MANAGER = {**READY, "is_compute": False}
STOPPED = {"ecs": EcsIs.STOPPED, "absence_counts": True}
RUNS = {"ecs": EcsIs.RUNNING, "absence_counts": True}
UNWANTED: dict[str, Any] = {"wanted": False}
DESTROY = {"wanted": False, "destroy": True}
PREPARED = {**THIS_RUN, **STOPPED}
UNKNOWN_OWNER = {"tag": Tag.UNKNOWN, "generation": G.PENDING}
OTHERS = {"tag": Tag.OTHER, "generation": G.RESOLVED}
PLANNED = {"planned": True}
UNPLANNED = {"planned": False}
ATTACHING = {"saved": Saved.ATTACHING, "quiet": True}

Case = tuple[str, str, dict[str, Any]]
#: What the tables say (owner, phase, action, kept, conclusion), what it is about, and the facts.
CASES: tuple[Case, ...] = (
    # whose
    ("MINE ATTACHED UNTAG NODE", "listed by another resource of the run, and retained", {**MINE, **READY, **UNWANTED, "claimed": True, "retained": True}),
    ("MINE ATTACHING WAIT ATTACHING", "listed by another resource of the run, retained, and being attached", {**PENDING, **INITIAL, **UNWANTED, "claimed": True, "retained": True}),
    ("MINE ATTACHED REFUSE NODE LISTED_ELSEWHERE", "listed by another resource of the run", {**MINE, **READY, **UNWANTED, "claimed": True}),
    ("MINE ATTACHED REFUSE NODE LISTED_ELSEWHERE", "the same, and DeleteNodes got no answer long ago", {**MINE, **READY, **UNWANTED, "claimed": True, "detached": Call.EXPIRED}),
    ("MINE STOPPED LEAVE NOTHING", "free, and listed by another resource of the run", {**MINE, **STOPPED, **UNWANTED, "claimed": True}),
    ("MINE DETACHING WAIT NODE", "releasing, and listed by another resource of the run", {**MINE, **RELEASING, **UNWANTED, "claimed": True}),
    ("MINE ATTACHING REFUSE ATTACHING LISTED_ELSEWHERE", "being attached, and listed by another resource of the run", {**PENDING, **INITIAL, **UNWANTED, "claimed": True}),
    ("OTHER ATTACHED REFUSE NOTHING CHANGED_BY_OTHER", "a node of somebody that is not known", {**UNKNOWN_OWNER, **READY}),
    ("OTHER ATTACHED LEAVE NOTHING", "the same, not wanted", {**UNKNOWN_OWNER, **READY, **UNWANTED}),
    ("NOBODY ATTACHED ADOPT NOTHING", "the same, with take_ownership", {**UNKNOWN_OWNER, **READY, "take_ownership": True}),
    ("MINE ATTACHED RENEW NODE", "the same, in the state", {**UNKNOWN_OWNER, **READY, "saved": Saved.NODE}),
    ("MINE ATTACHED RENEW NODE", "the same, in the state, with take_ownership", {**UNKNOWN_OWNER, **READY, "saved": Saved.NODE, "take_ownership": True}),
    ("MINE ATTACHED DETACH NODE", "the same, in the state, not wanted", {**UNKNOWN_OWNER, **READY, **UNWANTED, "saved": Saved.NODE}),
    ("OTHER RESULT_UNKNOWN REFUSE NOTHING CHANGED_BY_OTHER", "somebody that is not known may be attaching it", {**UNKNOWN_OWNER, **STOPPED}),
    ("MINE RUNNING UNTAG NOTHING", "listed by another resource of the run after this one has detached it", {**RUNS, **UNWANTED, "tag": Tag.MINE, "generation": G.RESOLVED, "claimed": True, "detached": Call.OVER}),
    ("MINE RUNNING UNTAG NOTHING", "the same, and its task is not known to have ended", {**RUNS, **UNWANTED, "tag": Tag.MINE, "generation": G.RESOLVED, "claimed": True, "detached": Call.ANSWERED}),
    ("MINE ATTACHED KEEP NODE", "listed by another resource of the run, and by this one", {**MINE, **READY, "claimed": True}),
    ("MINE ATTACHED KEEP NODE", "my uid, adopted, in the state", {**MINE, **READY, "generation": G.ADOPTED}),
    ("NOBODY ATTACHED ADOPT NOTHING", "my uid, adopted, in no state", {**READY, "tag": Tag.MINE, "generation": G.ADOPTED}),
    ("NOBODY ATTACHED LEAVE NOTHING", "my uid, adopted, in no state, not wanted", {**READY, **UNWANTED, "tag": Tag.MINE, "generation": G.ADOPTED}),
    ("OTHER ATTACHED REFUSE NOTHING CHANGED_BY_OTHER", "another name's node", {**OTHERS, **READY}),
    ("NOBODY ATTACHED ADOPT NOTHING", "another name's pending node, with take_ownership", {**OTHERS, **READY, "generation": G.PENDING, "take_ownership": True}),
    ("NOBODY RESULT_UNKNOWN WAIT NOTHING", "another name's pending instance, with take_ownership", {**OTHERS, "generation": G.PENDING, **STOPPED, "take_ownership": True}),
    ("NOBODY STOPPED PREPARE NOTHING", "the same, quiet for the grace", {**OTHERS, "generation": G.PENDING, **STOPPED, "quiet": True, "take_ownership": True}),
    ("NOBODY STOPPED PREPARE NOTHING", "another name's free instance, with take_ownership", {**OTHERS, **STOPPED, "take_ownership": True}),
    ("OTHER ATTACHED LEAVE NOTHING", "another name's node, not wanted, with take_ownership", {**OTHERS, **READY, **UNWANTED, "take_ownership": True}),
    ("MINE ATTACHED KEEP NODE", "in the state, and ECS was not asked", {**READY, "ecs": EcsIs.UNREAD, "saved": Saved.NODE}),
    ("MINE ATTACHED RENEW NODE", "no tag, in the state", {**READY, "saved": Saved.NODE}),
    ("MINE ATTACHED RENEW NODE", "no tag, in the state, with take_ownership", {**READY, "saved": Saved.NODE, "take_ownership": True}),
    ("MINE ATTACHED DETACH NODE", "no tag, in the state, not wanted", {**READY, **UNWANTED, "saved": Saved.NODE}),
    ("NOBODY ATTACHED LEAVE NOTHING", "this name with another uid, not wanted", {**READY, **UNWANTED, "tag": Tag.SAME_NAME, "generation": G.PENDING}),
    ("NOBODY ATTACHED LEAVE NOTHING", "this name with another uid, in the state, not wanted", {**READY, **UNWANTED, "tag": Tag.SAME_NAME, "saved": Saved.NODE}),
    # failed
    ("MINE ATTACHED FAIL NODE", "this run says so", {**MINE, **READY, "verdict": Verdict.FAILED}),
    ("MINE ATTACHED FAIL NOTHING", "the same, tagged by this run", {**THIS_RUN, **READY, "verdict": Verdict.CHANGED_BY_OTHER}),
    ("MINE ATTACHED FAIL NOTHING", "taken by somebody", {**MINE, **READY, "verdict": Verdict.CHANGED_BY_OTHER}),
    ("OTHER STOPPED FAIL NOTHING", "another's that this run took for its own", {**OTHERS, **STOPPED, "verdict": Verdict.CHANGED_BY_OTHER}),
    ("MINE FAILED FAIL NOTHING FAILED", "its task has ended, and it is absent", {**THIS_RUN, **RUNS, "sent": Call.OVER, "steady": True}),
    ("MINE FAILED FAIL NOTHING FAILED", "an earlier run's task has ended, and it is absent", {**PENDING, **RUNS, "task": TaskIs.OVER, "steady": True}),
    ("MINE RUNNING UNTAG NOTHING", "the same, not wanted", {**PENDING, **RUNS, **UNWANTED, "task": TaskIs.OVER, "steady": True}),
    ("MINE ATTACHING WAIT ATTACHING", "the same, not wanted, and its task has just ended", {**PENDING, **RUNS, **UNWANTED, "task": TaskIs.OVER}),
    ("MINE ATTACHING FAIL ATTACHING", "being attached, and this run has refused it", {**PENDING, **RUNS, **UNWANTED, "task": TaskIs.RUNNING, "verdict": Verdict.FAILED}),
    ("MINE PREPARED FAIL NOTHING", "prepared, and its calls got no answer", {**PREPARED, "sent": Call.UNANSWERED, "quiet": True, "verdict": Verdict.FAILED}),
    ("MINE ATTACHING WAIT ATTACHING", "its task has just ended", {**THIS_RUN, **RUNS, "sent": Call.OVER, "absence_counts": True}),
    ("MINE ATTACHING WAIT ATTACHING", "its task has ended, absence does not count", {**THIS_RUN, **RUNS, "sent": Call.OVER, "absence_counts": False, "steady": True}),
    ("NOBODY STOPPED PREPARE NOTHING", "absent for long, and no task", {**STOPPED, "steady": True}),
    ("MINE FAILED FAIL NODE FAILED", "still a node after its detach", {**MINE, **READY, **UNWANTED, "detached": Call.OVER}),
    ("MINE RUNNING UNTAG NOTHING", "waited for, and then detached by this run", {**RUNS, **UNWANTED, "tag": Tag.MINE, "generation": G.LEAVING, "task": TaskIs.OVER, "detached": Call.OVER, "steady": True}),
    ("MINE STOPPED UNTAG NOTHING", "no node after its detach", {**MINE, **STOPPED, **UNWANTED, "detached": Call.OVER}),
    # what is not touched
    ("MINE NOT_COMPUTE REFUSE NOTHING NOT_COMPUTE", "a manager", {**MINE, **MANAGER}),
    ("MINE NOT_COMPUTE REFUSE NOTHING NOT_COMPUTE", "a manager, not wanted", {**MINE, **MANAGER, **UNWANTED}),
    ("MINE NOT_COMPUTE REFUSE NOTHING NOT_COMPUTE", "a manager, in a destroy", {**MINE, **MANAGER, **DESTROY}),
    ("MINE NOT_COMPUTE REFUSE NOTHING NOT_COMPUTE", "a manager that nobody may read", {**MINE, **MANAGER, "unreadable": True}),
    ("NOBODY STOPPED PREPARE NOTHING", "no node, whatever its role", {**STOPPED, "is_compute": False}),
    ("MINE UNREADABLE REFUSE AS_IT_WAS UNREADABLE", "not readable", {**MINE, **READY, "unreadable": True}),
    ("MINE UNREADABLE REFUSE AS_IT_WAS UNREADABLE", "not readable, not wanted", {**MINE, **READY, **UNWANTED, "unreadable": True}),
    ("MINE UNREADABLE REFUSE AS_IT_WAS UNREADABLE", "not readable, in a destroy", {**MINE, **READY, **DESTROY, "unreadable": True}),
    ("MINE UNREADABLE REFUSE AS_IT_WAS UNREADABLE", "not readable, releasing", {**MINE, **RELEASING, "unreadable": True}),
    ("MINE UNREADABLE REFUSE NOTHING UNREADABLE", "not readable, in no state", {**THIS_RUN, **STOPPED, "unreadable": True}),
    # being detached
    ("MINE DETACHING WAIT NODE", "releasing", {**MINE, **RELEASING}),
    ("MINE DETACHING WAIT NODE", "releasing, in a destroy", {**MINE, **RELEASING, **DESTROY}),
    ("MINE DETACHING WAIT NODE", "DeleteNodes was answered", {**MINE, **READY, **UNWANTED, "detached": Call.ANSWERED, "confirmed": True}),
    ("MINE DETACHING WAIT NODE", "DeleteNodes without an answer, just now", {**MINE, **READY, **UNWANTED, "detached": Call.UNANSWERED}),
    ("MINE ATTACHED DETACH NODE", "DeleteNodes without an answer, a grace period ago", {**MINE, **READY, **UNWANTED, "detached": Call.EXPIRED}),
    ("MINE STOPPED UNTAG NOTHING", "no node after DeleteNodes", {**MINE, **STOPPED, **UNWANTED, "detached": Call.ANSWERED}),
    ("MINE STOPPED UNTAG NOTHING", "no node after DeleteNodes without an answer", {**MINE, **STOPPED, **UNWANTED, "detached": Call.UNANSWERED}),
    # nodes
    ("MINE ATTACHED KEEP NODE", "settled in the state, with any status", {**MINE, **INITIAL, "confirmed": True}),
    ("MINE ATTACHED KEEP NODE", "settled in the state, and a task names it", {**MINE, **READY, "confirmed": True, "task": TaskIs.RUNNING}),
    ("MINE BROKEN FAIL NODE FAILED", "settled in the state, and in exception", {**MINE, **BROKEN, "confirmed": True}),
    ("MINE STOPPED PREPARE NOTHING", "settled in the state, and no node", {**MINE, **STOPPED, "confirmed": True}),
    ("MINE ATTACHED KEEP NODE", "a task that named it has ended", {**PENDING, **READY, "task": TaskIs.OVER}),
    ("MINE ATTACHED KEEP NODE", "sent, and running for the grace period", {**THIS_RUN, **READY, "sent": Call.ANSWERED, "steady": True}),
    ("MINE ATTACHING WAIT ATTACHING", "sent, and running just now", {**THIS_RUN, **READY, "sent": Call.ANSWERED}),
    ("MINE ATTACHING WAIT ATTACHING", "sent, running for long, and not active in the scheduler yet", {**THIS_RUN, **READY, "sent": Call.OVER, "steady": True, "joining": True}),
    ("MINE ATTACHING WAIT ATTACHING", "settled in the state, sent again, and not active in the scheduler yet", {**THIS_RUN, **READY, "sent": Call.OVER, "saved": Saved.NODE, "confirmed": True, "joining": True}),
    ("MINE DETACHING WAIT NODE", "not active in the scheduler yet, and being detached", {**MINE, **READY, **UNWANTED, "sent": Call.OVER, "joining": True, "detached": Call.ANSWERED}),
    ("MINE ATTACHING WAIT ATTACHING", "a task names it, and running just now", {**PENDING, **READY, "task": TaskIs.RUNNING}),
    ("MINE ATTACHED DETACH NODE", "not wanted", {**MINE, **READY, **UNWANTED}),
    ("MINE ATTACHED DETACH NODE", "not wanted, sent by an interrupted run", {**PENDING, **READY, **UNWANTED}),
    ("MINE ATTACHED DETACH NODE NODE_APPEARED", "not wanted, and absent by the first plan", {**MINE, **READY, **UNWANTED, **UNPLANNED}),
    ("MINE ATTACHED DETACH NODE", "not wanted, and in the first plan", {**MINE, **READY, **UNWANTED, **PLANNED}),
    ("MINE ATTACHED DETACH NODE", "in a destroy", {**MINE, **READY, **DESTROY}),
    ("MINE ATTACHED REFUSE NODE BUSY", "not wanted, busy", {**MINE, **READY, **UNWANTED, "busy": True}),
    ("MINE ATTACHED WAIT NODE", "not wanted, busy, and waited for", {**MINE, **READY, **UNWANTED, "busy": True, "busy_nodes": "wait"}),
    ("MINE ATTACHED WAIT NODE", "in a destroy, busy, and waited for", {**MINE, **READY, **DESTROY, "busy": True, "busy_nodes": "wait"}),
    ("MINE ATTACHED UNTAG NODE", "retained, busy, if busy ones are waited for", {**MINE, **READY, **UNWANTED, "retained": True, "busy": True, "busy_nodes": "wait"}),
    ("MINE BROKEN WAIT NODE", "in exception, not wanted, busy, and waited for", {**MINE, **BROKEN, **UNWANTED, "busy": True, "busy_nodes": "wait"}),
    ("MINE ATTACHED FAIL NODE FAILED", "not wanted, tried three times", {**MINE, **READY, **UNWANTED, "tries": 3}),
    ("MINE ATTACHED FAIL NODE FAILED", "not wanted, busy, tried three times", {**MINE, **READY, **UNWANTED, "busy": True, "tries": 3}),
    ("MINE ATTACHED UNTAG NODE", "retained", {**MINE, **READY, **UNWANTED, "retained": True}),
    ("NOBODY ATTACHED REFUSE NOTHING CHANGED_BY_OTHER", "a node that ECS does not know", {**READY, "ecs": EcsIs.NOT_FOUND}),
    ("NOBODY BROKEN REFUSE NOTHING CHANGED_BY_OTHER", "the same, in exception", {**BROKEN, "ecs": EcsIs.NOT_FOUND}),
    ("NOBODY UNREADABLE REFUSE NOTHING UNREADABLE", "free, and ECS was not asked", {"absence_counts": True}),
    ("MINE UNREADABLE REFUSE AS_IT_WAS UNREADABLE", "the same, in the state", {**MINE, "absence_counts": True}),
    ("MINE ATTACHED LEAVE NOTHING", "retained, without a tag", {**READY, **UNWANTED, "saved": Saved.NODE, "retained": True}),
    ("MINE BROKEN UNTAG NODE", "retained, in exception", {**MINE, **BROKEN, **UNWANTED, "retained": True}),
    ("MINE ATTACHING WAIT ATTACHING", "retained, being attached", {**PENDING, **INITIAL, **UNWANTED, "retained": True}),
    ("MINE ATTACHING UNTAG ATTACHING", "the same, and nothing changes for the grace period", {**PENDING, **INITIAL, **UNWANTED, "retained": True, "steady": True}),
    ("MINE ATTACHING WAIT ATTACHING", "the same, not retained", {**PENDING, **INITIAL, **UNWANTED, "steady": True}),
    ("MINE ATTACHING WAIT ATTACHING", "retained, a task names it, and it is no node for long", {**PENDING, **RUNS, **UNWANTED, "retained": True, "steady": True, "task": TaskIs.RUNNING}),
    ("MINE DETACHING WAIT NODE", "retained, and being detached", {**MINE, **RELEASING, **UNWANTED, "retained": True, "steady": True}),
    ("MINE ATTACHED RENEW NODE", "under a former name", {**MINE, **READY, "former_name": True}),
    ("MINE ATTACHED KEEP NODE", "under a former name, and ECS does not know it", {**MINE, **READY, "ecs": EcsIs.NOT_FOUND, "former_name": True}),
    ("MINE ATTACHED MOVE NODE", "in another queue", {**MINE, **READY, "misplaced": True}),
    ("MINE ATTACHED MOVE NODE", "without a tag, in another queue, and ECS does not know it", {**READY, "ecs": EcsIs.NOT_FOUND, "saved": Saved.NODE, "misplaced": True}),
    ("MINE BROKEN FAIL NODE FAILED", "in exception", {**MINE, **BROKEN}),
    ("NOBODY BROKEN ADOPT NOTHING", "in exception, nobody's", {**BROKEN}),
    ("MINE BROKEN DETACH NODE", "in exception, not wanted", {**MINE, **BROKEN, **UNWANTED}),
    ("MINE BROKEN DETACH NODE", "in exception, in a destroy", {**MINE, **BROKEN, **DESTROY}),
    ("MINE BROKEN REFUSE NODE BUSY", "in exception, not wanted, busy", {**MINE, **BROKEN, **UNWANTED, "busy": True}),
    ("MINE ATTACHING WAIT ATTACHING", "sent, in exception just now", {**THIS_RUN, **BROKEN, "sent": Call.ANSWERED}),
    ("MINE BROKEN FAIL NODE FAILED", "initing a grace period after its task's end", {**THIS_RUN, **INITIAL, "sent": Call.OVER, "steady": True}),
    ("MINE ATTACHING WAIT ATTACHING", "initing just after its task's end", {**THIS_RUN, **INITIAL, "sent": Call.OVER}),
    ("MINE ATTACHING WAIT ATTACHING", "initing for long", {**THIS_RUN, **INITIAL, "sent": Call.ANSWERED, "steady": True}),
    ("MINE ATTACHING WAIT ATTACHING", "any other status", {**PENDING, **READY, "node": NodeIs.OTHER}),
    ("MINE ATTACHING WAIT ATTACHING", "being attached, in a destroy", {**PENDING, **INITIAL, **DESTROY}),
    ("MINE ATTACHING WAIT ATTACHING", "being attached, not wanted, busy", {**PENDING, **INITIAL, **UNWANTED, "busy": True}),
    ("MINE ATTACHING WAIT ATTACHING", "being attached, though it ran for long before", {**PENDING, **INITIAL, "awake_for_minutes": True}),
    ("NOBODY ATTACHING WAIT NOTHING", "being attached by somebody", {**INITIAL}),
    # another cluster
    ("MINE ATTACHING WAIT ATTACHING", "being attached to both", {**PENDING, **INITIAL, "in_other_cluster": True}),
    ("MINE OTHER_CLUSTER REFUSE NOTHING CHANGED_BY_OTHER", "a node of another cluster, and it only runs", {**PENDING, **RUNS, "awake_for_minutes": True, "in_other_cluster": True}),
    ("NOBODY OTHER_CLUSTER REFUSE NOTHING CHANGED_BY_OTHER", "a node of another cluster", {**STOPPED, "in_other_cluster": True}),
    ("MINE OTHER_CLUSTER LEAVE NOTHING", "a node of another cluster, not wanted", {**MINE, **STOPPED, **UNWANTED, "in_other_cluster": True}),
    ("MINE OTHER_CLUSTER LEAVE NOTHING", "a node of another cluster, in a destroy", {**MINE, **STOPPED, **DESTROY, "in_other_cluster": True}),
    ("MINE ATTACHED KEEP NODE", "a node of both", {**MINE, **READY, "in_other_cluster": True}),
    ("MINE OTHER_CLUSTER REFUSE NOTHING CHANGED_BY_OTHER", "pending for another cluster, and it runs", {**PENDING, **RUNS, "for_other_cluster": True}),
    ("MINE RESULT_UNKNOWN WAIT ATTACHING", "pending for another cluster, and Stopped", {**PENDING, **STOPPED, "for_other_cluster": True}),
    ("MINE STOPPED PREPARE NOTHING", "pending for another cluster, and quiet", {**PENDING, **STOPPED, "for_other_cluster": True, "quiet": True}),
    ("MINE RUNNING REFUSE NOTHING CHANGED_BY_OTHER", "known to another cluster's run, and it runs", {**MINE, **RUNS, "for_other_cluster": True}),
    ("NOBODY OTHER_CLUSTER REFUSE NOTHING CHANGED_BY_OTHER", "a running node of another cluster, with stop_running", {**RUNS, "in_other_cluster": True, "stop_running": True}),
    ("MINE NOT_COMPUTE REFUSE NOTHING NOT_COMPUTE", "a manager, with stop_running", {**MINE, **MANAGER, "stop_running": True}),
    ("NOBODY UNREADABLE REFUSE NOTHING UNREADABLE", "not readable, with stop_running", {**RUNS, "unreadable": True, "stop_running": True}),
    ("NOBODY NOT_FOUND REFUSE NOTHING CHANGED_BY_OTHER", "no such instance, with stop_running", {"ecs": EcsIs.NOT_FOUND, "stop_running": True}),
    # may have been sent
    ("MINE STUCK FAIL ATTACHING STUCK", "only runs, for ten minutes", {**PENDING, **RUNS, "awake_for_minutes": True}),
    ("MINE RUNNING REFUSE NOTHING CHANGED_BY_OTHER", "only runs, as the state knows; a person has removed its tags", {**RUNS, "saved": Saved.ATTACHING, "known_stuck": True}),
    ("MINE RUNNING LEAVE NOTHING", "the same, not wanted", {**RUNS, **UNWANTED, "saved": Saved.ATTACHING, "known_stuck": True}),
    ("MINE ATTACHING WAIT ATTACHING", "only runs, without tags, and not known as stuck", {**RUNS, "saved": Saved.ATTACHING}),
    ("MINE STUCK FAIL ATTACHING STUCK", "only runs, as the state knows", {**PENDING, **RUNS, "saved": Saved.ATTACHING, "known_stuck": True}),
    ("MINE STUCK LEAVE ATTACHING", "only runs, for ten minutes, not wanted", {**PENDING, **RUNS, **UNWANTED, "awake_for_minutes": True}),
    ("MINE STUCK FAIL ATTACHING STUCK", "only runs, for ten minutes, in a destroy", {**PENDING, **RUNS, **DESTROY, "awake_for_minutes": True}),
    ("MINE ATTACHING WAIT ATTACHING", "only runs", {**PENDING, **RUNS}),
    ("MINE ATTACHING WAIT ATTACHING", "runs for ten minutes, and a task names nobody", {**PENDING, **RUNS, "awake_for_minutes": True, "unnamed_task": True}),
    ("MINE ATTACHING WAIT ATTACHING", "runs for ten minutes, and its task has ended", {**PENDING, **RUNS, "awake_for_minutes": True, "task": TaskIs.OVER}),
    ("MINE ATTACHING WAIT ATTACHING", "runs for ten minutes, sent by this run", {**THIS_RUN, **RUNS, "awake_for_minutes": True, "saved": Saved.ATTACHING, "sent": Call.UNANSWERED}),
    ("MINE ATTACHING WAIT ATTACHING", "a task names it", {**PENDING, **STOPPED, "task": TaskIs.RUNNING}),
    ("NOBODY ATTACHING WAIT NOTHING", "its task has just ended, nobody's", {**STOPPED, "task": TaskIs.OVER}),
    ("NOBODY STOPPED PREPARE NOTHING", "its task has ended a grace period ago, and it never was a node", {**STOPPED, "task": TaskIs.OVER, "absence_counts": False, "steady": True}),
    ("NOBODY STOPPED PREPARE NOTHING", "its task has ended, and this run has detached it since", {**STOPPED, "task": TaskIs.OVER, "detached": Call.OVER}),
    ("MINE ATTACHING WAIT ATTACHING", "sent and answered", {**PREPARED, "sent": Call.ANSWERED, "quiet": True, "quiet_for_minutes": True}),
    ("MINE ATTACHING WAIT ATTACHING", "sent without an answer, and on another image", {**PREPARED, "sent": Call.UNANSWERED, "image_changed": True, "quiet": True, "quiet_for_minutes": True}),
    ("MINE ATTACHING WAIT ATTACHING", "sent without an answer, and a mate shows it", {**PREPARED, "sent": Call.UNANSWERED, "mate_shows": True, "quiet": True, "quiet_for_minutes": True}),
    ("MINE RESULT_UNKNOWN WAIT ATTACHING", "sent without an answer", {**PREPARED, "sent": Call.UNANSWERED}),
    ("MINE PREPARED ATTACH ATTACHING", "sent without an answer, and quiet", {**PREPARED, "sent": Call.UNANSWERED, "quiet": True}),
    ("MINE RESULT_UNKNOWN WAIT ATTACHING", "sent without an answer, quiet, and a task names nobody", {**PREPARED, "sent": Call.UNANSWERED, "quiet": True, "unnamed_task": True}),
    ("MINE RESULT_UNKNOWN WAIT ATTACHING", "pending", {**PENDING, **STOPPED}),
    ("MINE RESULT_UNKNOWN WAIT ATTACHING", "pending, not wanted", {**PENDING, **STOPPED, **UNWANTED}),
    ("MINE RESULT_UNKNOWN WAIT ATTACHING", "pending, in a destroy", {**PENDING, **STOPPED, **DESTROY}),
    ("MINE RESULT_UNKNOWN WAIT ATTACHING", "pending, quiet, and a task names nobody", {**PENDING, **STOPPED, "quiet": True, "unnamed_task": True}),
    ("MINE RESULT_UNKNOWN WAIT ATTACHING", "pending, quiet, on another image than before", {**PENDING, **STOPPED, "quiet": True, "image_replaced": True}),
    ("MINE STOPPED PREPARE NOTHING", "pending, quiet for ten minutes, on another image", {**PENDING, **STOPPED, "quiet": True, "quiet_for_minutes": True, "image_replaced": True}),
    ("MINE RESULT_UNKNOWN WAIT ATTACHING", "pending, quiet, and Stopping", {**PENDING, **STOPPED, "ecs": EcsIs.STOPPING, "quiet": True, "quiet_for_minutes": True}),
    ("MINE RESULT_UNKNOWN WAIT ATTACHING", "the state says attaching", {**STOPPED, "saved": Saved.ATTACHING}),
    ("MINE STOPPED UNTAG NOTHING", "the state says attaching, and it was detached", {**STOPPED, **UNWANTED, "tag": Tag.MINE, "generation": G.LEAVING, "saved": Saved.ATTACHING}),
    ("MINE RESULT_UNKNOWN WAIT ATTACHING", "the state says attaching, and absence does not count", {**STOPPED, "saved": Saved.ATTACHING, "absence_counts": False}),
    # absent
    ("MINE ABSENCE_UNCONFIRMED WAIT AS_IT_WAS", "in the state, absent just now, and no such instance", {**MINE, "ecs": EcsIs.NOT_FOUND, "absence_counts": False}),
    ("MINE ABSENCE_UNCONFIRMED WAIT AS_IT_WAS", "in the state, absent just now, not wanted", {**MINE, **STOPPED, **UNWANTED, "absence_counts": False}),
    ("MINE ABSENCE_UNCONFIRMED WAIT AS_IT_WAS", "in the state, absent just now, in a destroy", {**MINE, **STOPPED, **DESTROY, "absence_counts": False}),
    ("NOBODY ABSENCE_UNCONFIRMED WAIT NOTHING", "a node in this run, and absent just now", {**STOPPED, "seen_node": True, "absence_counts": False}),
    ("MINE ABSENCE_UNCONFIRMED WAIT NOTHING", "tagged as a node, in no state, and absent just now", {**RUNS, "tag": Tag.MINE, "generation": G.RESOLVED, "absence_counts": False}),
    ("MINE ABSENCE_UNCONFIRMED WAIT NOTHING", "tagged before a detach, and absent just now", {**RUNS, "tag": Tag.MINE, "generation": G.LEAVING, "absence_counts": False}),
    ("MINE ABSENCE_UNCONFIRMED WAIT NOTHING", "tagged as a node, in no state, absent just now, and not wanted", {**RUNS, **UNWANTED, "tag": Tag.MINE, "generation": G.RESOLVED, "absence_counts": False}),
    ("OTHER ABSENCE_UNCONFIRMED REFUSE NOTHING CHANGED_BY_OTHER", "another's node once, and absent just now", {**RUNS, "tag": Tag.OTHER, "generation": G.ADOPTED, "absence_counts": False}),
    ("NOBODY ABSENCE_UNCONFIRMED WAIT NOTHING", "the same, and taken over", {**RUNS, "tag": Tag.OTHER, "generation": G.ADOPTED, "absence_counts": False, "take_ownership": True}),
    ("NOBODY ABSENCE_UNCONFIRMED WAIT NOTHING", "adopted by a killed run, in no state, absent just now, and not wanted", {**RUNS, **UNWANTED, "tag": Tag.MINE, "generation": G.ADOPTED, "absence_counts": False}),
    ("NOBODY ABSENCE_UNCONFIRMED LEAVE NOTHING", "nobody's node in this run, absent just now, and not wanted", {**RUNS, **UNWANTED, "seen_node": True, "absence_counts": False}),
    ("NOBODY RUNNING LEAVE NOTHING", "another's node once, absent just now, and not wanted", {**RUNS, **UNWANTED, "tag": Tag.SAME_NAME, "generation": G.RESOLVED, "absence_counts": False}),
    ("NOBODY ATTACHING LEAVE NOTHING", "adopted by a killed run, not wanted, and a task names it", {**RUNS, **UNWANTED, "tag": Tag.MINE, "generation": G.ADOPTED, "task": TaskIs.RUNNING}),
    ("MINE ABSENCE_UNCONFIRMED WAIT NOTHING", "a node in this run, in no state", {**PREPARED, "seen_node": True, "absence_counts": False}),
    ("NOBODY STOPPED PREPARE NOTHING", "never a node", {**STOPPED, "absence_counts": False}),
    # free
    ("NOBODY NOT_FOUND REFUSE NOTHING CHANGED_BY_OTHER", "no such instance", {"ecs": EcsIs.NOT_FOUND}),
    ("MINE NOT_FOUND REFUSE NOTHING CHANGED_BY_OTHER", "in the state, and no such instance", {**MINE, "ecs": EcsIs.NOT_FOUND, "absence_counts": True}),
    ("MINE NOT_FOUND UNTAG NOTHING", "no such instance, not wanted", {**MINE, **UNWANTED, "ecs": EcsIs.NOT_FOUND, "absence_counts": True}),
    ("MINE NOT_FOUND UNTAG NOTHING", "no such instance, in a destroy", {**MINE, **DESTROY, "ecs": EcsIs.NOT_FOUND, "absence_counts": True}),
    ("NOBODY STARTING REFUSE NOTHING CHANGED_BY_OTHER", "starting", {"ecs": EcsIs.STARTING, "stop_running": True}),
    ("MINE STARTING UNTAG NOTHING", "starting, not wanted", {**MINE, **RUNS, **UNWANTED, "ecs": EcsIs.STARTING}),
    ("MINE STARTING UNTAG NOTHING", "starting, in a destroy", {**MINE, **RUNS, **DESTROY, "ecs": EcsIs.STARTING}),
    ("NOBODY RUNNING REFUSE NOTHING CHANGED_BY_OTHER", "running", {**RUNS}),
    ("MINE RUNNING STOP NOTHING", "prepared, and running, with stop_running", {**THIS_RUN, **RUNS, "stop_running": True}),
    ("MINE RUNNING UNTAG NOTHING", "running, in a destroy", {**MINE, **RUNS, **DESTROY}),
    ("MINE RUNNING LEAVE NOTHING", "running, not wanted, without a tag", {**RUNS, **UNWANTED, "saved": Saved.NODE}),
    ("NOBODY RUNNING LEAVE NOTHING", "running, not wanted, nobody's", {**RUNS, **UNWANTED}),
    ("NOBODY STOPPING WAIT NOTHING", "stopping", {"ecs": EcsIs.STOPPING}),
    ("MINE STOPPING UNTAG NOTHING", "stopping, not wanted", {**MINE, **STOPPED, **UNWANTED, "ecs": EcsIs.STOPPING}),
    ("MINE STOPPING UNTAG NOTHING", "stopping, in a destroy", {**MINE, **STOPPED, **DESTROY, "ecs": EcsIs.STOPPING}),
    ("MINE STOPPING WAIT NOTHING", "prepared, and stopping", {**PREPARED, "ecs": EcsIs.STOPPING}),
    ("NOBODY STOPPED PREPARE NOTHING", "Stopped", {**STOPPED}),
    ("MINE STOPPED UNTAG NOTHING", "Stopped, in a destroy", {**MINE, **STOPPED, **DESTROY}),
    ("MINE STOPPED UNTAG NOTHING", "Stopped, not wanted, tried three times", {**MINE, **STOPPED, **UNWANTED, "tries": 3}),
    ("NOBODY TAGGED WAIT NOTHING", "tagged, and the tags are not read yet", {**STOPPED, "tagged": True}),
    ("MINE TAGGED UNTAG NOTHING", "tagged just now, not wanted", {**MINE, **STOPPED, **UNWANTED, "tagged": True}),
    ("MINE TAGGED UNTAG NOTHING", "tagged just now, in a destroy", {**MINE, **STOPPED, **DESTROY, "tagged": True}),
    ("NOBODY RUNNING STOP NOTHING", "tagged just now, and it runs", {**RUNS, "tagged": True, "stop_running": True}),
    ("NOBODY TAGGED WAIT NOTHING NODE_DISAPPEARED", "tagged just now, and not planned", {**STOPPED, **UNPLANNED, "tagged": True}),
    ("MINE PREPARED ATTACH NOTHING", "tagged just now, and the tags are read", {**PREPARED, "tagged": True}),
    ("NOBODY STOPPED PREPARE NOTHING", "tagged by a namesake's run", {**STOPPED, "tag": Tag.SAME_NAME, "generation": G.THIS_RUN}),
    ("MINE STOPPED PREPARE NOTHING", "prepared for another cluster", {**PREPARED, "for_other_cluster": True}),
    ("MINE STOPPED PREPARE NOTHING", "prepared, and on another image", {**PREPARED, "image_changed": True}),
    ("MINE PREPARED ATTACH NOTHING", "prepared", {**PREPARED}),
    ("MINE PREPARED FAIL NOTHING FAILED", "prepared, tried three times", {**PREPARED, "tries": 3}),
    ("MINE STOPPED PREPARE NOTHING", "to be prepared, tried three times", {**MINE, **STOPPED, "tries": 3}),
    ("MINE PREPARED UNTAG NOTHING", "prepared, not wanted", {**PREPARED, **UNWANTED}),
    ("MINE PREPARED UNTAG NOTHING", "prepared, in a destroy", {**PREPARED, **DESTROY}),
    # the first plan
    ("MINE PREPARED ATTACH NOTHING NODE_DISAPPEARED", "not planned", {**PREPARED, **UNPLANNED}),
    ("MINE RUNNING REFUSE NOTHING NODE_DISAPPEARED", "not planned, and running", {**MINE, **RUNS, **UNPLANNED}),
    ("MINE STOPPED PREPARE NOTHING NODE_DISAPPEARED", "not planned, and Stopped", {**MINE, **STOPPED, **UNPLANNED}),
    ("MINE STOPPING WAIT NOTHING NODE_DISAPPEARED", "not planned, and stopping", {**MINE, **STOPPED, **UNPLANNED, "ecs": EcsIs.STOPPING}),
    ("MINE STARTING REFUSE NOTHING NODE_DISAPPEARED", "not planned, and starting", {**MINE, **RUNS, **UNPLANNED, "ecs": EcsIs.STARTING}),
    ("MINE ATTACHED KEEP NODE", "not planned, and a node", {**MINE, **READY, **UNPLANNED}),
    ("MINE STOPPED UNTAG NOTHING", "not planned, not wanted", {**MINE, **STOPPED, **UNPLANNED, **UNWANTED}),
    ("NOBODY RUNNING FAIL NOTHING", "planned, failed, and somebody started it", {**RUNS, **PLANNED, "woke": True, "verdict": Verdict.FAILED}),
    ("NOBODY STOPPED PREPARE NOTHING", "planned", {**STOPPED, **PLANNED}),
    ("NOBODY ATTACHED ADOPT NOTHING CHANGED_BY_OTHER", "planned, and somebody attached it", {**READY, "seen_node": False, **PLANNED}),
    ("MINE ATTACHED KEEP NODE", "planned, and sent", {**THIS_RUN, **READY, "seen_node": False, **PLANNED, "sent": Call.OVER}),
    ("MINE ATTACHED KEEP NODE", "planned, and the state's node is back", {**MINE, **READY, "seen_node": False, **PLANNED}),
    ("MINE ATTACHED RENEW NODE", "planned, and the state's node without tags is back", {**READY, **PLANNED, "saved": Saved.NODE}),
    ("MINE ATTACHED KEEP NODE", "planned, and a node by its tags is back", {**MINE, **READY, **PLANNED, "saved": Saved.NO}),
    ("NOBODY ATTACHED ADOPT NOTHING CHANGED_BY_OTHER", "planned, once another's node, and back", {**OTHERS, **READY, **PLANNED, "take_ownership": True}),
    ("MINE ABSENCE_UNCONFIRMED WAIT AS_IT_WAS", "planned, in the state, its absence does not count, and somebody started it", {**MINE, **RUNS, **PLANNED, "absence_counts": False, "woke": True}),
    ("MINE ATTACHING WAIT ATTACHING", "planned, in the state, and its own task is listed again", {**MINE, **RUNS, **PLANNED, "task": TaskIs.RUNNING}),
    ("MINE ATTACHING WAIT ATTACHING CHANGED_BY_OTHER", "planned, in the state, prepared by this run, and a task names it", {**THIS_RUN, **STOPPED, **PLANNED, "saved": Saved.NODE, "task": TaskIs.RUNNING}),
    ("MINE ATTACHED KEEP NODE", "planned, in the state, started by somebody, and back", {**MINE, **READY, **PLANNED, "woke": True}),
    ("NOBODY ATTACHED ADOPT NOTHING CHANGED_BY_OTHER", "planned, and the node is back", {**READY, **PLANNED}),
    ("MINE ATTACHED KEEP NOTHING CHANGED_BY_OTHER", "planned, tagged by this run, and somebody attached it", {**THIS_RUN, **READY, "seen_node": False, **PLANNED}),
    ("MINE ATTACHED KEEP NODE", "planned, and adopted by this run when an earlier one's attach had started it", {**READY, **PLANNED, "tag": Tag.MINE, "generation": G.ADOPTED, "saved": Saved.NODE, "woke": True}),
    ("MINE RUNNING STOP NOTHING CHANGED_BY_OTHER", "planned, once adopted, and somebody started it", {"stop_running": True, **RUNS, **PLANNED, "tag": Tag.MINE, "generation": G.ADOPTED, "saved": Saved.NODE, "woke": True}),
    ("NOBODY DETACHING WAIT NOTHING", "planned, and still releasing", {**RELEASING, "seen_node": False, **PLANNED}),
    ("NOBODY ATTACHING WAIT NOTHING CHANGED_BY_OTHER", "planned, and a task names it", {**STOPPED, **PLANNED, "task": TaskIs.RUNNING}),
    ("NOBODY RUNNING STOP NOTHING CHANGED_BY_OTHER", "planned, and somebody started it", {"stop_running": True, **RUNS, **PLANNED, "woke": True}),
    ("NOBODY STOPPED PREPARE NOTHING CHANGED_BY_OTHER", "planned, and somebody changed its image", {**STOPPED, **PLANNED, "image_changed": True}),
    ("MINE STOPPED PREPARE NOTHING CHANGED_BY_OTHER", "attaching by the state, tagged by this run, and on another image", {**PREPARED, **PLANNED, **ATTACHING, "image_changed": True}),
    ("MINE STOPPED PREPARE NOTHING", "the same, not tagged by this run yet", {**PREPARED, **PLANNED, **ATTACHING, "generation": G.RESOLVED, "image_changed": True}),
    ("MINE PREPARED ATTACH NOTHING", "the same, tagged, on its own image", {**PREPARED, **PLANNED, **ATTACHING}),
    ("MINE ATTACHED KEEP NODE", "the same, on another image, and a node", {**THIS_RUN, **READY, **PLANNED, **ATTACHING, "image_changed": True}),
    ("OTHER STOPPED REFUSE NOTHING CHANGED_BY_OTHER", "planned, and another resource tagged it", {**OTHERS, **STOPPED, **PLANNED}),
    ("OTHER ATTACHED REFUSE NOTHING CHANGED_BY_OTHER", "planned, sent, and another resource tagged it", {**OTHERS, **READY, **PLANNED, "sent": Call.OVER}),
    ("OTHER ATTACHED LEAVE NOTHING", "planned, and not wanted", {**OTHERS, **READY, **PLANNED, **UNWANTED}),
)  # fmt: skip


RULES = ("destroy", "stop_running", "busy_nodes")


def decided(facts: dict[str, Any]) -> plan.Decision:
    """The decision about these facts, with the rules among them."""
    rules = {k: v for k, v in facts.items() if k in RULES}
    about = Facts(**{k: v for k, v in facts.items() if k not in RULES})
    return plan.decide(about, Rules(**rules))


def said_of(facts: dict[str, Any]) -> str:
    """What the tables say of these facts."""
    decision = decided(facts)
    words = [decision.owner, decision.phase, decision.action, plan.kept_as(decision)]
    why = plan.conclusion(decision)
    return " ".join(word.name for word in [*words, *filter(None, [why])])


# -- what comes next ---------------------------------------------------------------------------------------------

ADOPTED = {**READY}
RENEWED = {**MINE, **READY, "former_name": True}
GOES = {**MINE, **READY, **UNWANTED}
PENDING_GOES = {**PENDING, **READY, **UNWANTED}
WORKS = {**GOES, "busy": True, "busy_nodes": "wait"}
WORKS_BROKEN = {**MINE, **BROKEN, **UNWANTED, "busy": True, "busy_nodes": "wait"}
LEAVES = {**MINE, **RELEASING, **UNWANTED}
WANTED_LEAVES = {**MINE, **RELEASING}
UNKNOWN = {**PENDING, **STOPPED}
UNKNOWN_GOES = {**PENDING, **STOPPED, **UNWANTED}
TO_STOP = {**RUNS, "stop_running": True}
STOPS = {"ecs": EcsIs.STOPPING}
ABSENT = {**MINE, **STOPPED, "absence_counts": False}
ABSENT_GOES = {**ABSENT, **UNWANTED}
TO_PREPARE = {**STOPPED}
TAGGED = {**STOPPED, "tagged": True}
COMES = {**PENDING, **INITIAL}
COMES_GOES = {**COMES, **UNWANTED}
TO_MOVE = {**MINE, **READY, "misplaced": True}
KEPT = {**MINE, **READY}
FAILED = {**MINE, **STOPPED, "verdict": Verdict.FAILED}
BROKEN_NODE = {**MINE, **BROKEN}
BROKEN_BY_US = {**THIS_RUN, **BROKEN, "sent": Call.OVER}
FREE_GOES = {**MINE, **STOPPED, **UNWANTED}
REFUSED_BOUND = {**OTHERS, **STOPPED}

#: The next step and its instances, and the instances of the plan. What ends in ``@`` and a name has this host name.
PLANS: tuple[tuple[str, dict[str, dict[str, Any]]], ...] = (
    (
        "DISOWN a",
        {
            "a": {**THIS_RUN, **READY, "verdict": Verdict.CHANGED_BY_OTHER},
            "b": ADOPTED,
            "c": FAILED,
        },
    ),
    ("ADOPT a b", {"b": ADOPTED, "a": RENEWED, "c@x": PENDING_GOES, "d@x": PREPARED}),
    ("TAG_LEAVING b", {"a": GOES, "b": PENDING_GOES, "c": PREPARED}),
    ("TAG_LEAVING b", {"a": KEPT, "b": PENDING_GOES}),
    ("DETACH b", {"a": KEPT, "b": {**PENDING_GOES, "ecs": EcsIs.NOT_FOUND}}),
    ("CLEAR a", {"a@x": GOES, "b@x": WANTED_LEAVES}),
    ("CLEAR a", {"a@x": GOES, "b@x": ABSENT}),
    ("CLEAR a", {"a@x": GOES, "b@x": UNKNOWN}),
    ("ATTACH b", {"a@x": GOES, "b@y": PREPARED}),
    ("ATTACH b", {"a@": GOES, "b@": PREPARED}),
    ("DETACH a", {"a@x": GOES, "b@x": KEPT}),
    ("DETACH a", {"a@x": GOES, "b@x": REFUSED_BOUND}),
    ("AWAIT_CLEARED a d", {"a@x": WORKS, "b@x": PREPARED, "c@y": WORKS, "d@x": WORKS_BROKEN}),
    ("STOP b", {"a@x": WORKS, "b@y": TO_STOP}),
    ("AWAIT_CLEARED a c", {"a": WANTED_LEAVES, "b": TO_STOP, "c": UNKNOWN}),
    ("AWAIT_CLEARED b", {"a": WANTED_LEAVES | {"tag": Tag.OTHER}, "b": UNKNOWN}),
    ("STOP a", {"a": TO_STOP, "b": STOPS, "c": TO_PREPARE, "d": PREPARED, "e": COMES}),
    ("AWAIT_STOPPED a b", {"a": ABSENT, "b": STOPS, "c": TO_PREPARE, "d": PREPARED}),
    ("AWAIT_STOPPED a", {"a": TAGGED, "b": TO_PREPARE, "c": PREPARED}),
    ("AWAIT_STOPPED a", {"a": ABSENT_GOES, "b": PREPARED}),
    ("PREPARE a", {"a": TO_PREPARE, "b": PREPARED, "c": COMES, "d": LEAVES}),
    (
        "AWAIT_ATTACHED a c",
        {"a": COMES, "b": TO_MOVE, "c": COMES_GOES, "d": ABSENT_GOES, "e": GOES},
    ),
    ("DETACH e", {"d": ABSENT_GOES, "e": GOES}),
    (
        "AWAIT_DETACHED a d",
        {"a": LEAVES, "d": ABSENT_GOES},
    ),
    ("AWAIT_ATTACHED a", {"a": UNKNOWN_GOES, "b": GOES}),
    ("AWAIT_ATTACHED a", {"a": COMES, "b": FAILED, "c": GOES}),
    ("MOVE a", {"a": TO_MOVE, "b": GOES, "c": LEAVES}),
    ("AWAIT_DETACHED a", {"a": LEAVES, "b": KEPT}),
    ("MOVE b", {"a": WORKS, "b": TO_MOVE}),
    ("AWAIT_DETACHED a b c", {"a": WORKS, "b": LEAVES, "c": WORKS_BROKEN}),
    ("", {"a": WORKS, "b": FAILED}),
    ("DETACH b", {"a": BROKEN_NODE, "b": GOES}),
    ("DETACH b", {"a": {**BROKEN_NODE, "verdict": Verdict.FAILED}, "b": GOES}),
    ("", {"a": {**READY, "verdict": Verdict.CHANGED_BY_OTHER}, "b": GOES}),
    ("DETACH b", {"a": {**FREE_GOES, "verdict": Verdict.FAILED}, "b": GOES}),
    ("", {"a": BROKEN_BY_US, "b": GOES, "c": LEAVES, "d": TO_MOVE}),
    ("", {"a": FAILED, "b": GOES, "c": LEAVES, "d": TO_MOVE}),
)


def next_of(instances: dict[str, dict[str, Any]], *, failed: bool = False) -> str:
    """The next step of a plan and its instances."""
    hosts = {name.partition("@")[0]: name.partition("@")[2] for name in instances}
    decisions = {name.partition("@")[0]: decided(facts) for name, facts in instances.items()}
    following = plan.next_step(plan.Plan(decisions, hosts, failed=failed))
    return f"{following.step.name} {' '.join(following.ids)}" if following else ""


#: What becomes of the owner tags when the run ends.
TAKEN = {**PREPARED, "verdict": Verdict.CHANGED_BY_OTHER}
LAST_TAGS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("REMOVE", "prepared, and not sent", {**PREPARED}),
    ("REMOVE", "sent, and failed", {**PREPARED, "verdict": Verdict.FAILED}),
    ("REMOVE", "detached", {**FREE_GOES}),
    ("REMOVE", "detached here, and listed by another resource", {**FREE_GOES, "claimed": True, "detached": Call.OVER}),
    ("REMOVE", "a node that is retained", {**MINE, **READY, **UNWANTED, "retained": True}),
    ("DISOWN", "attached by somebody else", {**TAKEN, **READY}),
    ("DISOWN", "being attached by somebody else", {**TAKEN, "task": TaskIs.RUNNING}),
    ("REMOVE", "a node that this run has taken over, and somebody changed", {**TAKEN, **READY, "generation": G.ADOPTED}),
    ("DISOWN", "attached to another cluster by somebody else", {**TAKEN, "in_other_cluster": True}),
    ("REMOVE", "tagged by somebody else for a moment", {**TAKEN}),
    ("DISOWN", "started by somebody else", {**TAKEN, **RUNS, "woke": True}),
    ("DISOWN", "on another image, and not by this run", {**TAKEN, "image_changed": True}),
    ("REMOVE", "started, and failed otherwise", {**PREPARED, **RUNS, "woke": True, "verdict": Verdict.FAILED}),
    ("STAY", "no tag", {**STOPPED, **UNWANTED, "saved": Saved.NODE}),
    ("STAY", "failed before it was tagged", {**STOPPED, "verdict": Verdict.FAILED}),
    ("STAY", "a node that a killed run has adopted", {**READY, "tag": Tag.MINE, "generation": G.ADOPTED}),
    ("STAY", "a manager", {**MINE, **MANAGER}),
    ("STAY", "sent to another cluster by an interrupted run", {**PENDING, **RUNS, "for_other_cluster": True, "woke": True, "verdict": Verdict.CHANGED_BY_OTHER}),
    ("STAY", "sent, and nothing shows it", {**PREPARED, "sent": Call.ANSWERED}),
    ("STAY", "perhaps sent", {**PENDING, **STOPPED}),
    ("STAY", "in the state, and its absence does not count yet", {**MINE, **STOPPED, "absence_counts": False}),
    ("REMOVE", "free, and once a node of this resource", {**MINE, **STOPPED}),
    ("REMOVE", "being attached by somebody else, once a node of this resource", {**MINE, **STOPPED, "task": TaskIs.RUNNING, "verdict": Verdict.CHANGED_BY_OTHER}),
    ("REMOVE", "its attach hangs, and it is retained", {**PENDING, **INITIAL, **UNWANTED, "retained": True, "steady": True}),
    ("STAY", "being attached, and retained", {**PENDING, **INITIAL, **UNWANTED, "retained": True}),
    ("UNREAD", "tagged just now", {**STOPPED, "tagged": True}),
    ("UNREAD", "tagged just now, and another's tags are read", {**OTHERS, **STOPPED, "tagged": True}),
    ("REMOVE", "tagged just now, and read", {**PREPARED, "tagged": True}),
    ("REMOVE", "a killed create's, and its task has ended in vain", {**RUNS, "tag": Tag.SAME_NAME, "generation": G.PENDING, "task": TaskIs.OVER, "steady": True}),
    ("REMOVE", "another's that is taken over, and its task has ended in vain", {**OTHERS, **RUNS, "generation": G.PENDING, "task": TaskIs.OVER, "steady": True, "take_ownership": True}),
    ("STAY", "another's, and its task has ended in vain", {**OTHERS, **RUNS, "generation": G.PENDING, "task": TaskIs.OVER, "steady": True}),
    ("STAY", "a task has ended in vain, and there are no tags", {**RUNS, "task": TaskIs.OVER, "steady": True, "absence_counts": True}),
    ("STAY", "a killed create's, and its task has just ended", {**RUNS, "tag": Tag.SAME_NAME, "generation": G.PENDING, "task": TaskIs.OVER}),
    ("STAY", "tagged just now, and not found", {**PREPARED, "tagged": True, "ecs": EcsIs.NOT_FOUND}),
    ("STAY", "another's tag", {**OTHERS, **STOPPED}),
    ("STAY", "listed by another resource", {**FREE_GOES, "claimed": True}),
    ("STAY", "not found", {**FREE_GOES, "ecs": EcsIs.NOT_FOUND}),
    ("STAY", "a node that is not detached", {**MINE, **READY, **UNWANTED}),
    ("STAY", "a task attaches it", {**THIS_RUN, **RUNS, "task": TaskIs.RUNNING, "sent": Call.ANSWERED}),
    ("DISOWN", "a task attaches it, and this run's call failed", {**THIS_RUN, **RUNS, "task": TaskIs.RUNNING, "verdict": Verdict.FAILED}),
    ("DISOWN", "a node, and this run has prepared it only", {**THIS_RUN, **READY}),
    ("DISOWN", "in another cluster, and this run has prepared it only", {**THIS_RUN, **STOPPED, "in_other_cluster": True}),
    ("DISOWN", "a lost node of the state that this run has prepared, and somebody attaches", {**TAKEN, "saved": Saved.NODE, "task": TaskIs.RUNNING}),
    ("STAY", "a killed create's that is free", {**STOPPED, "tag": Tag.SAME_NAME, "generation": G.RESOLVED}),
    ("STAY", "prepared, and its call got no answer", {**PREPARED, "sent": Call.UNANSWERED, "quiet": True}),
    ("STAY", "still a node after its detach", {**MINE, **READY, **UNWANTED, "detached": Call.OVER}),
    ("STAY", "a node that the state has, prepared again", {**THIS_RUN, **READY, "saved": Saved.NODE}),
    ("STAY", "a node that may be an earlier run's", {**THIS_RUN, **READY, "saved": Saved.ATTACHING}),
    ("STAY", "tagged as a node, and its absence does not count", {**STOPPED, "tag": Tag.MINE, "generation": G.RESOLVED, "absence_counts": False}),
    ("STAY", "may not be read", {**STOPPED, "tag": Tag.MINE, "generation": G.LEAVING, "unreadable": True}),
    ("STAY", "pending for another cluster, and it runs", {**PENDING, **RUNS, "for_other_cluster": True}),
    ("REMOVE", "adopted by a killed run, detached, and free", {**RUNS, **UNWANTED, "tag": Tag.MINE, "generation": G.ADOPTED}),
    ("STAY", "the same, and another resource lists it", {**RUNS, **UNWANTED, "tag": Tag.MINE, "generation": G.ADOPTED, "claimed": True}),
    ("LEAVING", "being detached", {**LEAVES}),
)  # fmt: skip


#: Whether nothing is unknown of an earlier run, so that the state may keep its number.
RESOLVED: tuple[tuple[bool, str, dict[str, Any]], ...] = (
    (True, "never sent", {**STOPPED}),
    (True, "sent by this run alone", {**THIS_RUN, **STOPPED, "sent": Call.ANSWERED}),
    (True, "pending, and a node", {**PENDING, **READY}),
    (True, "pending, and free for long", {**PENDING, **STOPPED, "quiet": True}),
    (True, "pending by the tags of a namesake", {**PENDING, **STOPPED, "tag": Tag.SAME_NAME}),
    (True, "pending by another's tags", {**PENDING, **STOPPED, "tag": Tag.OTHER}),
    (True, "pending by tags that name nobody", {**UNKNOWN_OWNER, **STOPPED}),
    (True, "being attached, and in the state as that", {**PENDING, **INITIAL, **ATTACHING}),
    (True, "perhaps sent, and in the state as that", {**PENDING, **STOPPED, "saved": Saved.ATTACHING}),
    (True, "stuck, and in the state as that", {**PENDING, **RUNS, **ATTACHING, "awake_for_minutes": True}),
    (False, "being attached, and in no state", {**PENDING, **INITIAL}),
    (False, "perhaps sent, and in no state", {**PENDING, **STOPPED}),
    (False, "only runs, and in no state", {**PENDING, **RUNS, "awake_for_minutes": True}),
    (False, "attaching by the state, and prepared", {**PREPARED, **ATTACHING}),
    (False, "may not be read", {**PENDING, **READY, "unreadable": True}),
    (False, "the same, in the state", {**PENDING, **READY, **ATTACHING, "unreadable": True}),
    (False, "its absence does not count yet", {**PENDING, **STOPPED, "quiet": True, "seen_node": True, "absence_counts": False}),
    (False, "the same, in the state", {**PENDING, **STOPPED, **ATTACHING, "absence_counts": False}),
    (False, "attached to another cluster", {**PENDING, **STOPPED, "quiet": True, "in_other_cluster": True}),
    (False, "the same, in the state", {**PENDING, **STOPPED, **ATTACHING, "in_other_cluster": True}),
)  # fmt: skip


#: Whether the first plan attaches it, or may detach it.
FIRST_PLAN: tuple[tuple[bool, str, dict[str, Any]], ...] = (
    (True, "to attach", {**STOPPED}),
    (False, "a node", {**MINE, **READY}),
    (False, "wanted, and another resource's", {**OTHERS, **STOPPED}),
    (True, "a node that goes", {**GOES}),
    (True, "being attached, and not wanted", {**COMES_GOES}),
    (True, "in the state, absent just now, and not wanted", {**ABSENT_GOES}),
    (False, "a node by its tags, in no state, absent just now, and not wanted", {**ABSENT_GOES, "saved": Saved.NO}),
    (True, "the same, and wanted", {**ABSENT, "saved": Saved.NO}),
    (True, "free, and not wanted", {**FREE_GOES, "saved": Saved.NO}),
)  # fmt: skip


def last_of(facts: dict[str, Any]) -> str:
    """What becomes of the tags."""
    return plan.last_tags(decided(facts)).name
