"""Draw docs/pictures/layers.svg (from the contract that import-linter holds) and docs/pictures/attach.svg.

Each follows the reader's system between light and dark, has a title and a description for those who don't see
it, and needs no font that isn't there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.small { font-size: 12px; fill: #57606a }
.code { font-family: ui-monospace, monospace }
.middle { text-anchor: middle }
.strong { font-weight: 600 }
rect { fill: #eef1f8; stroke: #8c959f }
.pulumi { fill: #e6e0fa }
.write { fill: #fde3d3 }
.apart { fill: none; stroke-dasharray: 5 4 }
line, path { stroke: #57606a; fill: none; stroke-width: 1.3 }
.life { stroke-dasharray: 3 4 }
marker path { fill: #57606a }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .small { fill: #a8b3bf }
  rect { fill: #262c36; stroke: #768390 }
  .pulumi { fill: #3b3160 }
  .write { fill: #5d3722 }
  line, path { stroke: #a8b3bf }
  marker path { fill: #a8b3bf }
}
"""


def svg(width: int, height: int, title: str, description: str, parts: Iterator[str]) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    access = 'role="img" aria-labelledby="title desc"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {access}>',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="desc">{escape(description)}</desc>',
            f"<style>{STYLE}</style>",
            *parts,
            "</svg>\n",
        ]
    )


def text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, kind: str = "") -> str:
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" class="{kind}"/>'
    )


# -- the layers ------------------------------------------------------------------------------------

#: What stands beside a layer, by its first module.
BESIDE = {
    "testing": "a pytest plugin for tests of users' programs",
    "cli": "the command ehpc-nodes",
    "resource": "what a program writes",
    "provider": "check, diff, create, read, update, delete",
    "lookup": "what people find to write",
    "reconcile": "one loop over two tables: observe, decide, take the next step",
    "preflight": "what E-HPC would refuse, found before the first write",
    "api": "E-HPC and ECS over HTTP",
    "models": "what a program declares; what is kept; time",
}
PULUMI = {"resource", "provider"}


def layers() -> list[list[str]]:
    """The rows of modules, top-down, as the contract has them."""
    contract = (ROOT / "pyproject.toml").read_text().partition("\nlayers = [\n")[2]
    found = ast.literal_eval(f"[{contract.partition(']')[0]}]")  # such a list is TOML and Python
    return [[module.strip() for module in row.replace(":", "|").split("|")] for row in found]


def rows_of_layers(rows: list[list[str]]) -> Iterator[str]:
    for number, row in enumerate(rows):
        y = 16 + 36 * number
        x = 16.0
        for module in row:
            width = 18 + 7.9 * len(module)
            kind = "pulumi" if module in PULUMI else "apart" if module == "emulator" else ""
            yield box(x, y, width, 28, kind)
            yield text(x + width / 2, y + 19, module, "code middle")
            x += width + 8
        yield text(max(x + 6, 400), y + 19, BESIDE.get(row[0], ""), "small")
    y = 16 + 36 * len(rows) + 16
    yield text(16, y, "Imports go downward only. Violet: the only ones that know Pulumi.", "small")
    yield text(
        16, y + 18, "The emulator stands alone; only tests and the command start it.", "small"
    )


def draw_layers() -> str:
    rows = layers()
    description = "From top to bottom: " + "; ".join(", ".join(row) for row in rows)
    return svg(
        720,
        16 + 36 * len(rows) + 46,
        "The layers of ehpc-nodes",
        description,
        rows_of_layers(rows),
    )


# -- attaching -------------------------------------------------------------------------------------

ACTORS = {"engine": 80, "ehpc-nodes": 270, "E-HPC": 460, "ECS": 640}
#: From, to, what, and a note. API calls are named, in the order in which they are made.
PREVIEW = (
    ("engine", "ehpc-nodes", "check (preview; again in up)", ""),
    ("ehpc-nodes", "E-HPC", "DescribeCluster", ""),
    ("ehpc-nodes", "E-HPC", "ListTasks", ""),
    ("ehpc-nodes", "E-HPC", "ListNodes", ""),
    ("ehpc-nodes", "ECS", "DescribeInstances", "by owner tag, and by id"),
    ("ehpc-nodes", "E-HPC", "ListImages", ""),
    ("ehpc-nodes", "E-HPC", "ListClusters", "nodes of the VPC's other clusters"),
    ("ehpc-nodes", "E-HPC", "GetAutoScaleConfig", "whether scale-in removes idle nodes"),
    ("ehpc-nodes", "engine", "findings, or what happens", ""),
)
ATTACH = (
    ("engine", "ehpc-nodes", "create: reads again, then", ""),
    ("ehpc-nodes", "ECS", "TagResources", "if one runs: whether tags may be written"),
    ("ehpc-nodes", "E-HPC", "ListTasks", ""),
    ("ehpc-nodes", "E-HPC", "ListNodes", ""),
    ("ehpc-nodes", "ECS", "DescribeInstances", "are they still free?"),
    ("ehpc-nodes", "E-HPC", "ListClusters", ""),
    ("ehpc-nodes", "ECS", "StopInstances", "those that run, with stop_running"),
    ("ehpc-nodes", "ECS", "DescribeInstances", "until all are Stopped"),
    ("ehpc-nodes", "E-HPC", "ListTasks", ""),
    ("ehpc-nodes", "E-HPC", "ListNodes", ""),
    ("ehpc-nodes", "ECS", "DescribeInstances", "are they still free?"),
    ("ehpc-nodes", "E-HPC", "ListClusters", ""),
    ("ehpc-nodes", "ECS", "TagResources", "the owner tags, with this run's generation"),
    ("ehpc-nodes", "E-HPC", "ListTasks", ""),
    ("ehpc-nodes", "E-HPC", "ListNodes", ""),
    ("ehpc-nodes", "ECS", "DescribeInstances", "whose tags do they have now?"),
    ("ehpc-nodes", "E-HPC", "ListClusters", ""),
    ("ehpc-nodes", "E-HPC", "AddExistedNodes", "once: system disks are replaced"),
    ("ehpc-nodes", "E-HPC", "ListTasks", "until the task has ended"),
    ("ehpc-nodes", "E-HPC", "ListNodes", ""),
    ("ehpc-nodes", "E-HPC", "ListQueues", ""),
    ("ehpc-nodes", "E-HPC", "ListNodesByQueue", ""),
    ("ehpc-nodes", "engine", "the state: nodes, tasks, failed", ""),
)
WRITES = {"TagResources", "StopInstances", "AddExistedNodes"}
#: From one arrow to the next: a note stands under its own, with more room below.
STEP, NOTED = 36, 16


def messages() -> Iterator[str]:
    height = drawn_height() - 10
    for actor, x in ACTORS.items():
        yield box(x - 60, 12, 120, 28, "pulumi" if actor == "engine" else "")
        yield text(x, 31, "Pulumi's engine" if actor == "engine" else actor, "middle strong")
        yield f'<line class="life" x1="{x}" y1="40" x2="{x}" y2="{height}"/>'
    y = 42
    for start, end, what, note in (*PREVIEW, *ATTACH):
        y += STEP
        yield from message(y, ACTORS[start], ACTORS[end], what, note)
        y += NOTED if note else 0


def drawn_height() -> int:
    steps = (*PREVIEW, *ATTACH)
    return 80 + STEP * len(steps) + NOTED * sum(1 for *_, note in steps if note)


def message(y: int, x1: int, x2: int, what: str, note: str) -> Iterator[str]:
    tip = x2 - 3 if x2 > x1 else x2 + 3
    code = "code" if what[0].isupper() else "small"
    left = min(x1, x2) + 10
    if what in WRITES:
        yield box(left - 4, y - 19, 8.2 * len(what) + 8, 18, "write")
    yield text(left, y - 5, what, code)
    if note:
        yield text(left, y + 13, note, "small")
    yield f'<line x1="{x1}" y1="{y}" x2="{tip}" y2="{y}" marker-end="url(#tip)"/>'


def draw_attach() -> str:
    marker = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"'
        ' orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>'
    )
    description = "; ".join(
        f"{a} to {b}: {what}{f' ({note})' if note else ''}"
        for a, b, what, note in (*PREVIEW, *ATTACH)
    )

    def parts() -> Iterator[str]:
        yield marker
        yield from messages()

    height = drawn_height()
    return svg(720, height, "What is called to attach instances", description, parts())


DRAWN = {"layers.svg": draw_layers, "attach.svg": draw_attach}


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for name, draw in DRAWN.items():
        (PICTURES / name).write_text(draw())
        print(PICTURES / name)
