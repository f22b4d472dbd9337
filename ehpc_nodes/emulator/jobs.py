"""The jobs of a cluster's scheduler, and when they end.

Guessed: a job ends when one of its nodes leaves the cluster, or when one of their instances stops; Users names an
owner with or without the host (`test2@scheduler`, `test2`).
"""

from __future__ import annotations

import json

from .answers import Body
from .params import Args
from .reads import page
from .state import State
from .world import Cluster, Job

_FINISHED = {"finished": {True}, "notfinish": {False}}


def tick(state: State) -> None:
    """After time passed: jobs with seconds may end; those that the world declares begin."""
    now = state.clock.now()
    for cluster in state.world.clusters.values():
        for job in cluster.jobs.values():
            if job.state != "RUNNING":
                continue
            if job.since is None:
                job.since = now
            if job.seconds is not None and now - job.since >= job.seconds:
                job.state = "FINISHED"


def list_jobs_with_filters(state: State, args: Args) -> Body:
    cluster = state.cluster(args.text("ClusterId"))
    wanted = _FINISHED.get(args.text("JobStatus"), {True, False})
    found = [
        job
        for job in cluster.jobs.values()
        if (job.state == "FINISHED") in wanted
        and _any(args.items("Nodes.N"), job.host_names)
        and _any(args.items("Queues.N"), [_queue(cluster, job)])
        and _any(args.items("Users.N"), [job.owner, job.owner.partition("@")[0]])
    ]
    rows, fields = page(args, found)
    return {"Jobs": [_row(cluster, job) for job in rows], "Success": True, **fields}


def _any(wanted: list[str], known: list[str]) -> bool:
    return not wanted or not set(wanted).isdisjoint(known)


def _queue(cluster: Cluster, job: Job) -> str:
    """Its own queue, else that of its first node."""
    names = {node.host_name: node.queue for node in cluster.nodes.values()}
    return job.queue or next((names[name] for name in job.host_names if name in names), "")


def _row(cluster: Cluster, job: Job) -> Body:
    number = len(job.host_names)
    return {
        "Id": job.id,
        "Name": job.name,
        "Owner": job.owner,
        "State": job.state,
        "Queue": _queue(cluster, job),
        "NodeList": json.dumps(job.host_names),
        "Priority": "0",
        "Resources": {"Cores": job.cores * number, "Nodes": number},
        "StartTime": "" if job.since is None else str(int(job.since)),
        "Comment": "",
        "Rerunable": True,
    }
