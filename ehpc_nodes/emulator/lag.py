"""Lists that are out of date: node and task lists of some reads or some seconds ago."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

from .knobs import Pace
from .world import Node, Task, World


@dataclass
class View:
    """The lists of one cluster at one moment."""

    nodes: dict[str, Node]
    tasks: list[Task]
    time: float
    look: int


@dataclass
class Lag:
    """Remembers earlier views of each cluster, as long as the knob `list_lag` is set.

    With `{reads: n}`, the n-th read after a change is the first to show it; with `{seconds: s}`,
    a read s seconds after it. A read is one page of a list.
    """

    history: dict[str, list[View]] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)

    def observe(self, world: World, now: float) -> None:
        """Store the view of every cluster whose lists changed."""
        for cluster in world.clusters.values():
            tasks = [task for task in world.tasks.values() if task.cluster_id == cluster.id]
            views = self.history.setdefault(cluster.id, [])
            if views and views[-1].nodes == cluster.nodes and views[-1].tasks == tasks:
                continue
            look = self.reads.get(cluster.id, 0)
            views.append(View(deepcopy(cluster.nodes), deepcopy(tasks), now, look))

    def view(self, cluster_id: str, lag: Pace, now: float) -> View | None:
        """The view for a list call; None without a stored one."""
        look = self.reads[cluster_id] = self.reads.get(cluster_id, 0) + 1
        views = self.history.get(cluster_id, [])
        while len(views) > 1 and self._visible(views[1], lag, look, now):
            views.pop(0)
        return views[0] if views else None

    @staticmethod
    def _visible(view: View, lag: Pace, look: int, now: float) -> bool:
        return lag.progress(look - view.look, now - view.time) >= 1
