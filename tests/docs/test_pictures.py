"""The pictures are those of the code: drawn anew they are the same, and what they show is what happens."""

import re
import xml.etree.ElementTree as ET

import pytest

from docs.runs import PICTURES, ROOT, script
from ehpc_nodes.preflight.snapshot import Desired
from ehpc_nodes.reconcile.observer import Wanted
from unit.emulated import Bench, ids

draw = script("draw")


@pytest.mark.parametrize("name", draw.DRAWN)
def test_it_is_drawn_anew_after_each_change(name):
    assert (PICTURES / name).read_text() == draw.DRAWN[name](), "`make pictures` draws it anew"


def test_the_layers_are_all_modules():
    modules = {p.stem for p in (ROOT / "ehpc_nodes").glob("[!_]*") if p.name != "py.typed"}
    drawn = {module for row in draw.layers() for module in row}
    assert drawn == modules


def calls(bench):
    """The actions in their order; the reads of a wait once, however often they were made."""
    shown: list[str] = []
    for action in (entry.action for entry in bench.emulator.journal.entries):
        since = shown[shown.index("AddExistedNodes") :] if "AddExistedNodes" in shown else []
        waiting = action in ("ListTasks", "ListNodes") and "ListNodes" in since
        if shown[-1:] != [action] and not waiting:
            shown.append(action)
    return shown


def test_attaching_makes_the_calls_of_the_picture_in_its_order():
    bench = Bench(pace={"reads": 3})
    bench.emulator.outside.start(ids(1)[0])
    inputs = bench.inputs(1, 2, stop_running=True)
    desired = Desired(**inputs.model_dump(include=set(Desired.__annotations__)))
    bench.operations().plan_changes(desired, Wanted(frozenset(inputs.instance_ids)), None)
    reads = calls(bench)
    bench.emulator.journal.entries.clear()
    bench.up(1, 2, stop_running=True)
    shown = [what for _, _, what, _ in draw.PREVIEW if what[0].isupper()]
    assert reads == shown
    reads.remove("GetAutoScaleConfig")  # for a warning alone
    done = calls(bench)
    assert done[: len(reads)] == reads
    assert done[len(reads) :] == [what for _, _, what, _ in draw.ATTACH if what[0].isupper()]


@pytest.mark.parametrize("picture", sorted(PICTURES.glob("*.svg")), ids=lambda p: p.name)
def test_a_picture_can_be_read_by_all_and_fetches_nothing(picture):
    text = picture.read_text()
    root = ET.fromstring(text)
    words = {element.tag.rpartition("}")[2]: element.text for element in root}
    assert words["title"]
    assert words["desc"]
    assert root.get("role") == "img"
    outside = re.findall(r"https?://[^\"' )]+", text)
    assert set(outside) <= {"http://www.w3.org/2000/svg"}
    assert "<script" not in text
