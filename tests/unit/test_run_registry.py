"""Which resource of a run lists, or holds, which instance."""

from ehpc_nodes.models import State
from ehpc_nodes.provider.claims import Claims, Others
from unit.emulated import CLUSTER, ids, iid

FIRST, SECOND = "urn:first", "urn:second"


def state(*numbers, cluster_id=CLUSTER):
    return State(cluster_id=cluster_id, region="cn-hangzhou", instance_ids=ids(*numbers))


def test_an_instance_is_the_first_resources_that_lists_it():
    claims = Claims()
    assert claims.claim(FIRST, CLUSTER, ids(1, 2)) == {}
    assert claims.claim(SECOND, CLUSTER, ids(2, 3)) == {iid(2): FIRST}
    assert claims.claim(SECOND, CLUSTER, ids(2, 3)) == {iid(2): FIRST}  # asking doesn't take it
    assert claims.claim(FIRST, CLUSTER, ids(3)) == {iid(3): SECOND}


def test_a_resource_that_is_checked_again_claims_just_what_it_lists_now():
    claims = Claims()
    claims.claim(FIRST, CLUSTER, ids(1, 2))
    assert claims.claim(FIRST, CLUSTER, ids(1)) == {}
    assert claims.claim(SECOND, CLUSTER, ids(1, 2)) == {iid(1): FIRST}


def test_an_instance_can_not_be_in_two_clusters_either():
    claims = Claims()
    claims.claim(FIRST, CLUSTER, ids(1))
    assert claims.claim(SECOND, "ehpc-hz-other", ids(1)) == {iid(1): FIRST}


def test_a_host_name_is_the_first_resources_in_a_cluster():
    claims = Claims()
    assert claims.claim_hosts(FIRST, CLUSTER, {iid(1): "compute1", iid(2): ""}) == {}
    assert claims.claim_hosts(FIRST, CLUSTER, {iid(1): "compute1"}) == {}
    news = {iid(3): "Compute1", iid(4): "", iid(5): "compute5"}
    assert claims.claim_hosts(SECOND, CLUSTER, news) == {iid(3): (iid(1), FIRST)}
    assert claims.claim_hosts(SECOND, "ehpc-hz-other", news) == {}
    assert claims.claim_hosts("", CLUSTER, news) == {}
    claims.withdraw(FIRST)
    assert claims.claim_hosts(SECOND, CLUSTER, news) == {}


def test_without_a_urn_nothing_is_claimed_and_nothing_told():
    claims = Claims()
    assert claims.claim("", CLUSTER, ids(1)) == {}
    assert claims.claim(FIRST, CLUSTER, ids(1)) == {}
    assert claims.claim("", CLUSTER, ids(1)) == {}
    assert claims.held_by_others("", state(1), spare_own=False) == []
    assert claims.listed_by_others("", CLUSTER) == {}


def test_what_another_resource_lists_is_awaited_until_that_is_refused():
    claims = Claims()
    claims.claim(SECOND, CLUSTER, ids(2))
    assert claims.listed_by_others(FIRST, CLUSTER) == {iid(2): SECOND}
    assert claims.held_by_others(FIRST, state(1, 2), spare_own=True) == []
    assert claims.listed_by_others(SECOND, CLUSTER) == {}
    assert claims.listed_by_others(FIRST, "ehpc-hz-other") == {}
    claims.withdraw(SECOND)
    assert claims.listed_by_others(FIRST, CLUSTER) == {}
    assert claims.claim(FIRST, CLUSTER, ids(2)) == {}


def test_what_another_resource_had_before_the_run_is_its_own():
    claims = Claims()
    claims.keep(SECOND, CLUSTER, ids(2))
    assert claims.held_by_others(FIRST, state(1, 2), spare_own=False) == ids(2)
    assert claims.held_by_others(SECOND, state(1, 2), spare_own=False) == []


def test_what_another_resource_holds_is_not_this_ones_either():
    claims = Claims()
    claims.hold(SECOND, state(3, 2))
    assert claims.held_by_others(FIRST, state(1, 2, 3), spare_own=False) == ids(2, 3)
    assert claims.held_by_others(SECOND, state(1, 2, 3), spare_own=False) == []


def test_a_replacement_that_creates_first_has_one_urn_and_its_delete_leaves_what_the_create_holds():
    claims = Claims()
    claims.hold(FIRST, state(1))
    assert claims.held_by_others(FIRST, state(1, 2), spare_own=True) == ids(1)


def test_a_half_that_was_to_be_deleted_by_an_earlier_run_leaves_what_the_live_one_keeps():
    claims = Claims()
    claims.keep(FIRST, CLUSTER, ids(1))
    assert claims.held_by_others(FIRST, state(1, 2), spare_own=True) == ids(1)
    assert claims.held_by_others(FIRST, state(1, 2), spare_own=False) == []


def test_what_one_resource_detaches_another_cannot_take_over_later_in_the_run():
    claims = Claims()
    claims.claim(SECOND, CLUSTER, ids(2))
    assert claims.let_go(FIRST, CLUSTER, ids(1, 2, 3)) == {iid(2)}
    assert claims.gone_by_others(SECOND, CLUSTER, ids(1, 2, 4)) == {iid(1): FIRST}
    assert claims.gone_by_others(FIRST, CLUSTER, ids(1, 2)) == {}
    assert claims.gone_by_others(SECOND, "ehpc-hz-other", ids(1)) == {}
    assert claims.let_go("", CLUSTER, ids(4)) == set()
    assert claims.gone_by_others(SECOND, CLUSTER, ids(4)) == {}
    others = Others(claims, FIRST)
    assert {*others.listed(CLUSTER)} == {iid(2)} == {*others.let_go(CLUSTER, ids(2))}
