"""Mutants of the two tables: a row taken out, two neighbours swapped, a condition dropped or turned."""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from ehpc_nodes.reconcile import phases, plan
from ehpc_nodes.reconcile.facts import Tag, Verdict
from unit import golden, tables

PREPARED: dict[str, Any] = {"tag": Tag.MINE, "wanted": True, "verdict": Verdict.NONE}


@dataclass(frozen=True)
class Mutant:
    """One change: a name of a module, and what stands for it."""

    about: str
    module: ModuleType
    name: str
    value: Any


def _with(row: plan.Row, column: str, action: Any) -> plan.Row:
    return replace(row, **{column: action})


def of_rows() -> Iterator[Mutant]:
    """Rows of the tables."""
    for module, name in ((phases, "OWNERS"), (phases, "PHASES")):
        rows = getattr(module, name)
        for n, (word, text, _) in enumerate(rows):
            about = f"{name} {n} {word.name} ({text})"
            if n + 1 < len(rows):
                yield Mutant(f"{about}: taken out", module, name, (*rows[:n], *rows[n + 1 :]))
                swapped = (*rows[:n], rows[n + 1], rows[n], *rows[n + 2 :])
                yield Mutant(f"{about}: swapped with the next", module, name, swapped)
    table = plan.TABLE
    for phase, row in table.items():
        for column in ("wanted", "unwanted"):
            for action in plan.Action:
                if action is not getattr(row, column):
                    changed = {**table, phase: _with(row, column, action)}
                    about = f"TABLE {phase.name}.{column}: {action.name}"
                    yield Mutant(about, plan, "TABLE", changed)
        for kept in plan.Kept:
            if kept is not row.kept:
                about = f"TABLE {phase.name}.kept: {kept.name}"
                yield Mutant(about, plan, "TABLE", {**table, phase: replace(row, kept=kept)})


class Turned(ast.NodeTransformer):
    """Changes the condition of a number, and counts all of them."""

    def __init__(self, number: int) -> None:
        self.number, self.count, self.about = number, 0, ""

    def _turn(self, about: str, old: ast.expr, new: ast.expr) -> ast.expr:
        self.count += 1
        if self.count - 1 != self.number:
            return old
        self.about = f"{about}: {ast.unparse(old)}"
        return ast.copy_location(new, old)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        neutral = isinstance(node.op, ast.And)
        node.values = [self._turn("dropped", v, ast.Constant(neutral)) for v in node.values]
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Not):
            return node
        return self._turn("without not", node, node.operand)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        return self._turn("turned", node, ast.UnaryOp(ast.Not(), node))

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        node.test = self._turn("never", node.test, ast.Constant(False))
        return node

    def visit_Yield(self, node: ast.Yield) -> ast.AST:
        self.generic_visit(node)
        if node.value is None:
            return node
        empty = ast.Tuple([ast.Name("Step", ast.Load()), ast.Tuple([], ast.Load())], ast.Load())
        return ast.Yield(self._turn("no step", node.value, empty))

    def visit_Set(self, node: ast.Set) -> Any:
        self.generic_visit(node)
        return self._without_one(node)

    def visit_Tuple(self, node: ast.Tuple) -> Any:
        self.generic_visit(node)
        words = all(isinstance(e, ast.Attribute) for e in node.elts)
        return self._without_one(node) if words and len(node.elts) > 1 else node

    def _without_one(self, node: Any) -> Any:
        for n, element in enumerate(node.elts):
            shorter = copy.deepcopy(node)
            del shorter.elts[n]
            if isinstance(node, ast.Set) and not shorter.elts:
                shorter = ast.Tuple([], ast.Load())
            self.count += 1
            if self.count - 1 == self.number:
                self.about = f"without {ast.unparse(element)}: {ast.unparse(node)}"
                return ast.copy_location(shorter, node)
        return node


def of_conditions() -> Iterator[Mutant]:
    """Conditions of both modules, one at a time."""
    for module in (phases, plan):
        for statement in ast.parse(inspect.getsource(module)).body:
            name = _name(statement)
            if not isinstance(statement, (ast.FunctionDef, ast.ClassDef)) and name not in {
                *("PHASES", "OWNERS", "TO_ATTACH", "FREE", "DETACHABLE"),
            }:
                continue
            if isinstance(statement, ast.ClassDef) and name not in {"Plan", "Decision"}:
                continue
            yield from _of(module, name, statement)


def _name(statement: ast.stmt) -> str:
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return statement.name
    target = getattr(statement, "target", None) or getattr(statement, "targets", [None])[0]
    return getattr(target, "id", "")


def _of(module: ModuleType, name: str, statement: ast.stmt) -> Iterator[Mutant]:
    number = 0
    while True:
        turned = Turned(number)
        changed = turned.visit(copy.deepcopy(statement))
        if not turned.about:
            return
        made = ast.fix_missing_locations(ast.Module([changed], []))
        whole = ast.parse("from __future__ import annotations")
        whole.body += made.body
        space = vars(module)
        kept = space[name]
        exec(compile(whole, name, "exec"), space)  # this project's own source
        value, space[name] = space[name], kept
        about = f"{name}: {turned.about}"
        if any(holds is kept for _, _, holds in phases.PHASES):  # a row names it
            rows = [(*row[:2], value if row[2] is kept else row[2]) for row in phases.PHASES]
            yield Mutant(about, phases, "PHASES", tuple(rows))
        else:
            yield Mutant(about, module, name, value)
        number += 1


def _checks() -> Iterator[tuple[str, Any, Any]]:
    """What each is about, what the tables say, and what is right."""
    for said, about, facts in golden.CASES:
        yield about, golden.said_of(facts), said
    for said, about, facts in golden.LAST_TAGS:
        yield f"tags: {about}", golden.last_of(facts), said
    for resolved, about, facts in golden.RESOLVED:
        yield f"resolved: {about}", plan.is_resolved(golden.decided(facts)), resolved
    for planned, about, facts in golden.FIRST_PLAN:
        yield f"first plan: {about}", golden.decided(facts).planned, planned
    for following, instances in golden.PLANS:
        yield f"next: {following}", golden.next_of(instances), following
    yield "next: nothing after a failure", golden.next_of({"a": golden.GOES}, failed=True), ""
    yield "a sample of all facts", tables.violations(tables.some(1_000, **PREPARED)), {}


def is_noticed() -> str:
    """By which check the tables as they are now are wrong; empty: by none."""
    try:
        return next((about for about, said, right in _checks() if said != right), "")
    except Exception as error:  # noqa: BLE001  # a mutant may raise whatever it likes
        return repr(error)
