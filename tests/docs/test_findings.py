"""docs/messages.md leaves no finding out: each text in the code that tells of one stands in its table."""

import ast
import itertools
import re

import pytest

from docs.runs import ROOT

#: Where a finding's text is made elsewhere: by those that are read here too, or by rows of another kind.
MADE_ELSEWHERE = {
    ("findings", "_of_instances"),  # of the problems that `_problems` and `_of_status` yield
    ("operations", "_first_reading"),  # the row "no such cluster": the error's own text
    ("operations", "_read_for_findings"),  # the row "another cluster that cannot be listed"
    ("findings", "_of_jobs"),  # the rows "a busy node to detach"
    ("observer", "_optional"),  # the row "jobs that cannot be read"
    ("dynamic", "check"),  # the row "no region": the error's own text
    ("models", "check_form"),  # of `_problem`
    ("models", "_problem"),  # the rows "with a wrong type": a text for each argument; ValueErrors
}
#: Fewer letters than this, and a text could be anything: it is no text of its own.
TELLING = 10


def patterns(node, names):
    """Regular expressions of the texts that an expression can give; unknown parts match anything."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [re.escape(node.value)]
    if isinstance(node, ast.JoinedStr):
        parts = [patterns(part, names) for part in node.values]
        return ["".join(some) for some in itertools.product(*parts)]
    if isinstance(node, ast.BinOp):
        both = patterns(node.left, names), patterns(node.right, names)
        return ["".join(some) for some in itertools.product(*both)]
    if isinstance(node, ast.Tuple | ast.List):
        return [pattern for element in node.elts for pattern in patterns(element, names)]
    if isinstance(node, ast.ListComp):
        return patterns(node.elt, names)
    if isinstance(node, ast.FormattedValue | ast.Starred):
        return patterns(node.value, names)
    if isinstance(node, ast.IfExp):
        either = [*patterns(node.body, names), *patterns(node.orelse, names)]
        return either if max(map(letters, either)) >= TELLING else [".*"]
    if isinstance(node, ast.Name) and node.id in names:
        found = patterns(names[node.id], {k: v for k, v in names.items() if k != node.id})
        return found if max(map(letters, found), default=0) >= TELLING else [".*"]
    return [".*"]


def letters(pattern):
    return sum(map(str.isalpha, pattern))


def assigned(body):
    """What names stand for, in these statements."""
    found = {}
    for node in (node for statement in body for node in ast.walk(statement)):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
        elif isinstance(node, ast.comprehension) and isinstance(node.target, ast.Name):
            found.setdefault(node.target.id, node.iter)
    return found


def told_in(module, function):
    """The expressions of a function that are findings' texts."""
    yields = isinstance(function, ast.FunctionDef) and function.returns is not None
    yields = yields and ast.unparse(function.returns) == "Iterable[str]" and module == "findings"
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "Finding":
                yield node.args[1]
            elif node.func.id == "ValueError" and module == "models":
                yield node.args[0]
        elif yields and isinstance(node, ast.Yield):
            name = ast.parse('f"{name} "', mode="eval").body  # the instance's name goes before it
            yield ast.BinOp(name, ast.Add(), node.value or name)
        elif isinstance(node, ast.Return) and getattr(function, "name", "") == "_problem":
            yield node.value


def sites():
    """Module, function, pattern of every text of a finding."""
    for path in sorted((ROOT / "ehpc_nodes").rglob("*.py")):
        tree = ast.parse(path.read_text())
        constants = assigned(
            [s for s in tree.body if not isinstance(s, ast.FunctionDef | ast.ClassDef)]
        )
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
        outside = [s for s in tree.body if isinstance(s, ast.Assign)]
        for place in (*functions, *outside):
            local = assigned(place.body) if isinstance(place, ast.FunctionDef) else {}
            for text in told_in(path.stem, place):
                for pattern in patterns(text, {**constants, **local}):
                    yield path.stem, getattr(place, "name", ""), pattern


def rows():
    page = (ROOT / "docs" / "messages.md").read_text()
    table = page.partition("<!-- findings -->\n")[2].partition("<!-- end of findings -->")[0]
    return [line.split(" | ", 3)[3].removesuffix(" |") for line in table.splitlines()[2:]]


SITES = sorted({site for site in sites() if letters(site[2]) >= TELLING})


def test_each_text_is_read_or_known_to_be_made_elsewhere():
    vague = {site[:2] for site in sites() if letters(site[2]) < TELLING}
    assert vague <= MADE_ELSEWHERE
    assert len(SITES) > 50


@pytest.mark.parametrize("site", SITES, ids=lambda site: f"{site[0]}.{site[1]}-{site[2][:60]}")
def test_each_finding_of_the_code_stands_in_the_table(site):
    assert any(re.fullmatch(site[2], row, re.DOTALL) for row in rows()), site
