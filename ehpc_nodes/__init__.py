"""Existing ECS instances as compute nodes of an Alibaba Cloud E-HPC cluster, declared in Pulumi programs.

One resource, `AttachedNodes`: a set of instances. ``pulumi up`` attaches those that are not attached yet
(E-HPC 2018-04-12, AddExistedNodes), adopts those that are, moves nodes between queues, and detaches what
the program no longer lists. It never releases an instance.

What has to be known:

- **Attaching replaces the system disk.** It needs ``replace_system_disks=True``; adopting doesn't.
- **Nothing is sent twice.** AddExistedNodes has no idempotency token: a lost answer is resolved by looking
  at nodes, tasks and instances.
- **Credentials** are no inputs: they come from the stack config or the environment (see `settings`), and
  stand in no state.
- **Preview** looks beforehand, with read-only calls, at everything that the API would refuse; without a
  change it makes no call.
- **Recovery**: whatever interrupted a run, ``pulumi up`` goes on from there. A partial failure keeps what is
  attached in the state and says what failed.

Beside the resource: `lookup` finds what to write (clusters, queues, images, candidates), ``ehpc-nodes`` is the same as
a command, `testing` is a pytest plugin for tests of programs, and ``python -m ehpc_nodes.emulator`` serves an E-HPC
of one's own with a page to watch it.

Limits, with their reasons: ``pulumi import TYPE NAME ID`` doesn't work with dynamic providers (adopt instead: declare
the nodes that are attached; ``ehpc-nodes program --import-file`` restores a lost state); a change of the image or the cluster detaches all nodes and attaches them anew; the
default queue of a cluster can't be read from the API, so without ``job_queue`` the queue is left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["AttachedNodes", "__version__"]

if TYPE_CHECKING:
    from .resource import AttachedNodes


def __getattr__(name: str) -> Any:
    """Load pulumi only for programs: the emulator and the command do without."""
    if name == "AttachedNodes":
        from .resource import AttachedNodes

        return AttachedNodes
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
