"""The owner tags: the name is short enough for a tag's value, readable, and nobody else's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehpc_nodes.reconcile.owner_tags import LONGEST, name_of, parts_of

KIND = "pulumi-python:dynamic/ehpc:AttachedNodes"
URN = f"urn:pulumi:dev::proj::{KIND}::nodes"
CHILD = f"urn:pulumi:dev::proj::my:component:Farm${KIND}::nodes"


def urn_of(stack: str, project: str, parents: list[str], name: str) -> str:
    return f"urn:pulumi:{stack}::{project}::{'$'.join([*parents, KIND])}::{name}"


words = st.from_regex(r"[A-Za-z0-9_.\-]{1,40}", fullmatch=True)  # of stacks and projects
# what could be tripped over: separators of URNs and owner names, long names, letters of several bytes
names = st.one_of(
    st.text("ab/:#$ é☃", min_size=1, max_size=10),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=300),
    st.integers(100, 140).map(lambda n: "x" * n),
)
parents = st.lists(st.sampled_from(["my:component:Farm", "my:component:Row"]), max_size=2)
urns = st.builds(urn_of, words, words, parents, names)


@pytest.mark.parametrize(
    ("owner", "parts"),
    [
        ("proj/dev/nodes", ("proj/dev", "nodes")),
        ("proj/dev/a/b::c#1", ("proj/dev", "a/b::c#1")),
        ("nodes", ("", "nodes")),
    ],
)
def test_an_owner_s_name_has_a_stack_and_a_resource(owner, parts):
    assert parts_of(owner) == parts


def test_nor_does_its_hash_count():
    assert parts_of(name_of(CHILD)) == ("proj/dev", "nodes")


def test_an_owner_name_reads_project_stack_name():
    assert name_of(URN) == "proj/dev/nodes"


def test_a_name_may_hold_the_separators():
    assert name_of(f"{URN}::a/b::c") == "proj/dev/nodes::a/b::c"


def test_a_components_child_is_not_its_namesake():
    readable, _, digest = name_of(CHILD).partition("#")
    assert readable == "proj/dev/nodes"
    assert len(digest) == 12
    assert name_of(CHILD.replace("Farm", "Row")) != name_of(CHILD)


@pytest.mark.parametrize("urn", ["", "nodes", "urn:pulumi:dev::proj::kind"])
def test_without_a_urn_there_is_no_owner_name(urn):
    assert name_of(urn) == ""


def test_the_longest_name_that_fits_stays_whole_and_a_longer_one_is_cut():
    fits = "x" * (LONGEST - len("proj/dev/"))
    assert name_of(urn_of("dev", "proj", [], fits)) == f"proj/dev/{fits}"
    cut = name_of(urn_of("dev", "proj", [], fits + "x"))
    assert len(cut) == LONGEST == 128
    assert cut.startswith("proj/dev/xxx")
    assert cut[-13] == "#"


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("parent", [[], ["my:component:Farm"]])
def test_a_tag_may_hold_no_address(scheme, parent):
    name = name_of(urn_of("dev", "proj", parent, f"{scheme}://a and {scheme}://b"))
    assert f"{scheme}://" not in name
    assert name.startswith(f"proj/dev/{scheme}")


@pytest.mark.slow
@given(urns)
def test_an_owner_name_always_fits_a_tag(urn):
    assert 0 < len(name_of(urn)) <= 128


@pytest.mark.slow
@given(st.lists(urns, min_size=2, max_size=6, unique=True))
def test_different_resources_have_different_owner_names(different):
    assert len({name_of(urn) for urn in different}) == len(different)


@pytest.mark.slow
@given(words, words, names, names)
def test_names_that_differ_only_at_their_end_have_different_owner_names(stack, project, start, end):
    urn = urn_of(stack, project, [], start * 12 + end)
    assert name_of(urn) != name_of(f"{urn}x")


def test_owner_names_are_the_same_from_run_to_run():
    # written down once: instances out there bear these
    assert name_of(CHILD) == "proj/dev/nodes#d1c5eccf6458"
    assert name_of(URN + "x" * 200) == "proj/dev/nodes" + "x" * 101 + "#404e04a7584f"
