"""The plan as a pure function."""

from hypothesis import given
from hypothesis import strategies as st

from ehpc_nodes.api.responses import Node
from ehpc_nodes.plan import describe, make_plan

ids = st.frozensets(st.sampled_from([f"i-{n}" for n in range(12)]))


def members_of(names):
    return {i: Node(id=i, host_name=f"host-{i}") for i in names}


@given(wanted=ids, owned=ids, members=ids, attaching=ids, queued=st.none() | ids)
def test_applying_the_plan_gives_the_wanted_set(wanted, owned, members, attaching, queued):
    plan = make_plan(wanted, owned, members_of(members), attaching=attaching, in_queue=queued)
    in_the_end = attaching | members  # tasks that run, end
    after = (in_the_end | set(plan.attach)) - set(plan.detach)
    assert wanted <= after, "every wanted instance is attached"
    assert not (after & owned) - wanted, "nothing that is owned is left without being wanted"
    assert in_the_end - owned - wanted <= after, "nodes of others stay"


@given(wanted=ids, owned=ids, members=ids, attaching=ids)
def test_nothing_attached_or_attaching_is_attached(wanted, owned, members, attaching):
    plan = make_plan(wanted, owned, members_of(members), attaching=attaching)
    assert not set(plan.attach) & (members | attaching)


@given(wanted=ids, owned=ids, members=ids, attaching=ids, queued=ids)
def test_each_wanted_instance_has_one_verb(wanted, owned, members, attaching, queued):
    plan = make_plan(wanted, owned, members_of(members), attaching=attaching, in_queue=queued)
    verbs = [*plan.keep, *plan.adopt, *plan.join, *plan.attach]
    assert sorted(verbs) == sorted(wanted)
    assert set(plan.detach) <= owned - wanted
    assert set(plan.move) == (wanted & members) - queued


@given(wanted=ids, queued=ids)
def test_a_plan_for_what_is_there_is_empty(wanted, queued):
    assert make_plan(wanted, wanted, members_of(wanted), in_queue=wanted | queued).empty


def test_description_names_verbs_images_and_calls():
    plan = make_plan(
        {"i-1", "i-2", "i-3", "i-4"},
        {"i-1", "i-9"},
        members_of({"i-1", "i-2", "i-9"}),
        attaching={"i-3"},
        in_queue={"i-2"},
    )
    names = {"i-4": "compute4"}
    assert describe(plan, names, "centos.vhd") == (
        "attach 1 (system disk replaced by centos.vhd): compute4;"
        " join 1 (being attached already): i-3; adopt 1: i-2; keep 1; move 1: i-1;"
        " detach 1 (the instances stay): i-9; 3 calls"
    )


def test_description_of_many_is_short_and_counts_batches():
    plan = make_plan({f"i-{n:03}" for n in range(250)}, set(), {})
    text = describe(plan, {}, "x")
    assert text.startswith("attach 250 (system disk replaced by x): i-000, i-001")
    assert text.endswith("and 244 more; 3 calls")


def test_description_of_nothing_says_so():
    assert describe(make_plan({"i-1"}, {"i-1"}, members_of({"i-1"})), {}, "x") == "keep 1; no call"
