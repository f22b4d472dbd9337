"""All texts that a person can read, from the code, as the second part of docs/messages.md: `make messages`.

A text is a string of at least three words, or one that a call shows. Parts that a run fills in are shown as `{name}`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ehpc_nodes"
PAGE = ROOT / "docs" / "messages.md"
BEGIN, END = "<!-- messages -->", "<!-- end of messages -->"
#: Modules of texts that no message is made of: the tables that docs/how-it-works.md shows.
NO_MESSAGES = {"reconcile/phases.py", "reconcile/facts.py"}
NOISE = re.compile(r"charset|\\[dwb]|default-src|xml version|display: block|=\{|secret\|token|</")
WORD = re.compile(r"(?<![\w.:-])[a-zA-Z]{2,}(?![\w}-])")
#: What a call makes of its text, by the last part of the call's name; `…Error` makes errors, too.
KINDS = {
    "status": "progress",
    "info": "info",
    "warning": "warning",
    "fail": "error",
    "echo": "output",
}
KINDS |= {"Finding": "finding", "Option": "help", "Argument": "help", "Check": "check"}


def text_of(node: ast.AST) -> str | None:
    """The text of a string expression; None for every other one."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(map(part_of, node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = [(text_of(side), side) for side in (node.left, node.right)]
        if any(text for text, _ in sides):
            return "".join(f"{{{name_of(side)}}}" if text is None else text for text, side in sides)
    return None


def part_of(part: ast.expr) -> str:
    """A part of an f-string: its text, or `{name}`."""
    if not isinstance(part, ast.FormattedValue):
        return text_of(part) or ""
    shown = f"{{{name_of(part.value)}}}"
    return f"'{shown}'" if part.conversion == ord("r") else shown


def name_of(node: ast.AST) -> str:
    """A short name for what a run fills in: that of the variable, or both texts of a choice."""
    if isinstance(node, ast.IfExp):
        return "/".join(text_of(branch) or name_of(branch) for branch in (node.body, node.orelse))
    if isinstance(node, ast.Call):
        return name_of(node.args[0] if node.args else node.func)
    if isinstance(node, ast.Attribute):
        return node.attr
    names = [n.id for n in ast.walk(node) if isinstance(n, ast.Name)]
    return names[0] if names else "…"


def kind_of(parents: list[ast.AST]) -> str:
    """What is made of a text: an error, a finding, …; empty if other code decides."""
    for parent in reversed(parents):
        if isinstance(parent, ast.Call):
            name = ast.unparse(parent.func).rpartition(".")[2]
            if name in KINDS or name.endswith("Error"):
                return KINDS.get(name, "error")
    return ""


def texts(node: ast.AST, parents: list[ast.AST]) -> Iterator[tuple[str, str]]:
    """Kind and text of each message below a node, in the order of the source."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    text = text_of(node)
    if text is not None:
        kind = kind_of(parents)
        if len(WORD.findall(text)) >= (1 if kind else 3) and " " in text and not NOISE.search(text):
            yield kind, " ".join(text.split())
    inner = ast.FormattedValue if isinstance(node, ast.JoinedStr) else ast.AST
    if text is None or inner is ast.FormattedValue:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, inner):
                yield from texts(child, [*parents, node])


def messages() -> Iterator[tuple[str, str, str, str]]:
    """Folder, module, kind and text of each message."""
    for path in sorted(PACKAGE.rglob("*.py"), key=lambda p: (p.parent, p.name)):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        module = path.relative_to(PACKAGE)
        if str(module) not in NO_MESSAGES:
            for kind, text in dict.fromkeys(texts(tree, [])):
                yield str(module.parent).strip("."), module.name, kind, text


def table() -> str:
    lines = []
    for folder, rows in groupby(messages(), key=lambda row: row[0]):
        lines += [f"### {folder or 'ehpc_nodes'}", "", "| module | kind | text |", "|---|---|---|"]
        for _, module, kind, text in rows:
            shown = text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
            lines.append(f"| {module} | {kind} | {shown} |")
        lines.append("")
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with the table in its place, between the two marks."""
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n{table()}{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
