"""docs/emulator.md names what the emulator has."""

import dataclasses
import re
from pathlib import Path

import yaml

from ehpc_nodes.emulator import Emulator, World, faults
from ehpc_nodes.emulator.knobs import Knobs
from ehpc_nodes.emulator.steering import Steering
from ehpc_nodes.models import check_form

DOCUMENT = (Path(__file__).parents[3] / "docs" / "emulator.md").read_text()


def rows(header):
    """First cell -> the code words in the last one."""
    table = DOCUMENT.split(f"{header}\n|---")[1].split("\n\n")[0]
    cells = [line.split("|")[1:-1] for line in table.splitlines()[1:]]
    return {first.strip(" `"): set(re.findall(r"`(\w+)`", rest[-1])) for first, *rest in cells}


def block(language):
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)


def test_knobs():
    """In the docstring, which the reference page shows."""
    documented = re.findall(r"^        (\w+): ", Knobs.__doc__ or "", re.MULTILINE)
    assert documented == [field.name for field in dataclasses.fields(Knobs)]


def test_faults():
    """In the docstring, which the reference page shows; the page names the kinds."""
    lines = re.sub(r"\n  ", " ", faults.__doc__ or "").splitlines()
    kinds = {}
    for line in lines:
        if line.startswith("- "):
            kind, *options = re.findall(r"`(\w+)`", line)
            kinds[kind] = set(options)
    assert kinds == {kind: set(options) for kind, options in faults.KINDS.items()}
    named = DOCUMENT.split("The kinds are ")[1].split(". ")[0]
    assert re.findall(r"`(\w+)`", named) == [*kinds]


def test_steering():
    assert set(rows("| under `/_emulator/` | |")) == set(Steering(Emulator())._routes)


def test_the_world_is_one():
    (text,) = block("yaml")
    world = World.from_dict(yaml.safe_load(text))
    assert world.member_of["i-own1"] == "ehpc-hz-own"
    assert Emulator(world).faults.rules[0].times == 2
    for instance_id in world.instances.keys() - {"i-ownmanager"}:  # so that a program can list them
        assert check_form({"instance_ids": [instance_id]}, unknown=["cluster_id"])[1] == []
