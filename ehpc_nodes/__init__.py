"""Existing ECS instances as compute nodes of an Alibaba Cloud E-HPC cluster, declared in Pulumi programs.

One resource, `AttachedNodes`: a set of instances. ``pulumi up`` attaches those that are not attached yet
(E-HPC 2018-04-12, AddExistedNodes), adopts those that are, moves nodes between queues, and detaches what
the program no longer lists. It never releases an instance.

What to know:

- **Attaching replaces the system disk.** It needs ``replace_system_disks=True``; adopting does not.
- **Nothing is sent twice.** AddExistedNodes has no idempotency token: if a call gets no answer, the provider
  checks nodes, tasks and instances before it repeats the call.
- **Credentials** are not inputs: they come from the stack config or the environment (see `settings`), and
  are never in the state.
- **Preview** checks everything that the API would reject, with calls that only read; without a change it
  makes no call.
- **Recovery**: ``pulumi up`` continues an interrupted run. After a partial failure the state has what is attached, and
  reports what failed.

Beside the resource: `lookup` lists clusters, queues, images and candidates, ``ehpc-nodes`` does the same as a
command, `testing` is a pytest plugin for tests of programs, and ``python -m ehpc_nodes.emulator`` emulates E-HPC,
with a page to watch it.

Limits, with their reasons: ``pulumi import TYPE NAME ID`` does not work with dynamic providers (adopt instead: declare
the attached nodes; ``ehpc-nodes program --import-file`` restores a lost state); a change of the image or the cluster
detaches all nodes and attaches them again; the API does not show the default queue of a cluster, so without
``job_queue`` the queue is not changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["AttachedNodes", "__version__"]

if TYPE_CHECKING:
    from .resource import AttachedNodes


def __getattr__(name: str) -> Any:
    """Load pulumi for programs only: the emulator and the command do not need it."""
    if name == "AttachedNodes":
        from .resource import AttachedNodes

        return AttachedNodes
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
