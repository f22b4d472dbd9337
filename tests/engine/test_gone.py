"""A cluster that isn't found: gone, or only not seen with this key or in this region."""

import pytest

from ehpc_nodes.testing.worlds import CLUSTER, ids

REFRESH = ["refresh", "--run-program"]
DESTROY = ["destroy", "--run-program"]
COMMANDS = [
    pytest.param(REFRESH, id="refresh"),
    pytest.param(DESTROY, id="destroy", marks=pytest.mark.long),
]


@pytest.mark.long
@pytest.mark.parametrize("command", COMMANDS)
def test_the_key_of_another_account_empties_no_state(cloud, attached, command):
    it, stack = attached(1, 2)
    it.forget()
    other = cloud(0)  # an account that has neither the cluster nor the instances
    other.world.clusters.clear()
    other.configure(stack)
    failed = stack.run(*command, "--yes", "--skip-preview", expect_failure=True)
    told = f"Cluster {CLUSTER} and its instances ({', '.join(ids(1, 2))}) were not found with this access key"
    error, *_ = [text for text in failed.errors if told in text]  # refresh says it twice
    assert "\n" not in error
    assert "pulumi state delete" in error
    assert stack.resources()["nodes"]["outputs"]["instance_ids"] == ids(1, 2)
    assert other.writes() == it.writes() == []
    it.configure(stack)
    stack.destroy("--run-program")
    assert it.nodes == {}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_cluster_that_is_gone_takes_the_resource_with_it_and_says_so(attached, command):
    it, stack = attached(1, 2)
    it.world.clusters.clear()
    done = stack.run(*command, "--yes", "--skip-preview")
    assert any(f"cluster {CLUSTER} is gone" in text for text in done.messages("info")), done.text
    assert stack.resources() == {}


@pytest.mark.long
def test_a_resource_whose_nodes_are_all_detached_by_hand_stays_and_attaches_them_again(attached):
    it, stack = attached(1, 2, stop_running=True)
    uid = stack.resources()["nodes"]["inputs"]["__uid"]
    for instance in ids(1, 2):
        it.outside.detach(instance)
    stack.refresh()
    held = stack.resources()["nodes"]
    assert (held["outputs"]["instance_ids"], held["inputs"]["__uid"]) == ([], uid)
    assert "attach 2" in stack.preview().text
    stack.up()
    assert sorted(it.nodes) == ids(1, 2) == stack.outputs()["ids"]
    stack.preview("--expect-no-changes")
    stack.destroy()
    assert it.nodes == {}


@pytest.mark.long
def test_a_refresh_in_an_outage_keeps_the_state(attached):
    it, stack = attached(1, 2)
    it.close()
    failed = stack.refresh(expect_failure=True)
    assert "no usable answer: no connection to" in failed.text
    assert stack.resources()["nodes"]["outputs"]["instance_ids"] == ids(1, 2)
