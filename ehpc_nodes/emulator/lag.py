"""Lists that lag: node and task lists as they were some looks or some seconds ago."""

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

    With `{looks: n}`, a change is first seen by the n-th look after it; with `{seconds: s}`,
    s seconds after it. A look is one page of a list.
    """

    history: dict[str, list[View]] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)

    def observe(self, world: World, now: float) -> None:
        """Note every cluster whose lists changed since the last time."""
        for cluster in world.clusters.values():
            tasks = [task for task in world.tasks.values() if task.cluster_id == cluster.id]
            views = self.history.setdefault(cluster.id, [])
            if views and views[-1].nodes == cluster.nodes and views[-1].tasks == tasks:
                continue
            look = self.looks.get(cluster.id, 0)
            views.append(View(deepcopy(cluster.nodes), deepcopy(tasks), now, look))

    def view(self, cluster_id: str, lag: Pace, now: float) -> View | None:
        """What a list call sees; None where nothing was noted."""
        look = self.looks[cluster_id] = self.looks.get(cluster_id, 0) + 1
        views = self.history.get(cluster_id, [])
        while len(views) > 1 and self._visible(views[1], lag, look, now):
            views.pop(0)
        return views[0] if views else None

    @staticmethod
    def _visible(view: View, lag: Pace, look: int, now: float) -> bool:
        return lag.progress(look - view.look, now - view.time) >= 1
