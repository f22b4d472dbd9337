"""Lists: never half a list, never an answer without one taken for an empty one."""

from unittest.mock import ANY

import pytest

from ehpc_nodes.api.client import Client
from ehpc_nodes.api.paging import RELISTS, chunks, many, one, pages, reader_of
from ehpc_nodes.api.responses import Cluster, Node, Task
from ehpc_nodes.clock import Deadline
from ehpc_nodes.errors import TransportError
from unit.fakes import FakeClock

PATH = ("Nodes", "NodeInfo")


class Service:
    """Answers with pages of the lists in order, one list a pass; the last again and again."""

    def __init__(self, *lists, size=2, **answer):
        self.lists, self.size, self.answer, self.asked = list(lists), size, answer, []

    def __call__(self, action, params):
        self.asked.append((action, dict(params)))
        page = int(params["PageNumber"])
        known = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        rows = [{"Id": i} for i in known[(page - 1) * self.size : page * self.size]]
        return {"Nodes": {"NodeInfo": rows}, "TotalCount": len(known), **self.answer}

    def read(self):
        found = pages(self, "ListNodes", {"ClusterId": "c"}, PATH, Node, size=self.size)
        return "".join(node.id for node in found)


# -- pages --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "calls"), [("", 1), ("a", 1), ("ab", 1), ("abc", 2), ("abcd", 2), ("abcde", 3)]
)
def test_pages_are_read_to_the_end(known, calls):
    service = Service(known)
    assert service.read() == known
    assert service.asked == [
        ("ListNodes", {"ClusterId": "c", "PageNumber": str(n), "PageSize": "2"})
        for n in range(1, calls + 1)
    ]


@pytest.mark.parametrize(
    ("lists", "found"),
    [
        (("abcd", "bcd"), "bcd"),  # a is gone: c has moved to the page that was read already
        (("abc", "xabc"), "xabc"),
        (("abc", "cab", "abc"), "abc"),  # page 1 shows a and b, page 2 b: one is missing
    ],
    ids=["shrinks", "grows", "moves entries between pages"],
)
def test_a_list_that_changes_while_it_is_read_is_read_anew(lists, found):
    service = Service(*lists)
    assert service.read() == found
    assert [asked["PageNumber"] for _, asked in service.asked] == ["1", "2", "1", "2"]


def test_a_list_that_never_comes_whole_is_no_list():
    service = Service("ab", TotalCount=3)
    with pytest.raises(TransportError) as told:
        service.read()
    assert str(told.value) == "ListNodes: no usable answer: the list was not complete in 5 reads."
    assert len(service.asked) == 2 * RELISTS == 10


def test_half_a_page_is_no_list():
    service = Service("a", TotalCount=5)
    with pytest.raises(TransportError, match="the list was not complete in 5 reads"):
        service.read()
    assert len(service.asked) == RELISTS  # what follows it is not asked for


def test_without_a_count_a_short_page_is_the_last():
    def read(_action, _params):
        return {"Nodes": {"NodeInfo": [{"Id": "a"}]}}

    assert [n.id for n in pages(read, "ListNodes", {}, PATH, Node, size=2)] == ["a"]


def test_an_entry_that_comes_twice_is_one_as_it_was_seen_last():
    def read(_action, _params):
        rows = [{"Id": "a", "Status": "init"}, {"Id": "a", "Status": "running"}]
        return {"Nodes": {"NodeInfo": rows}, "TotalCount": 1}

    (node,) = pages(read, "ListNodes", {}, PATH, Node, size=5)
    assert node.status == "running"


@pytest.mark.parametrize("count", ["many", None, [], {}, float("inf")])
def test_a_count_that_is_no_number_is_no_list(count):
    with pytest.raises(TransportError) as told:
        Service("a", TotalCount=count).read()
    assert told.value.reason == "an answer with a TotalCount that is not a number"


def test_a_count_in_a_text_is_one():
    assert Service("ab", TotalCount="2").read() == "ab"


# -- one answer ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        {"Nodes": {"NodeInfo": [{"Id": "a"}]}},
        {"Nodes": [{"Id": "a"}]},  # the wrapper may be missing
    ],
)
def test_entries_are_read_with_or_without_their_wrapper(answer):
    assert [node.id for node in many("ListNodes", Node, answer, PATH)] == ["a"]


@pytest.mark.parametrize(
    "answer",
    [
        {"Nodes": {"NodeInfo": []}},
        {"Nodes": {}},
        {"Nodes": None},
        {"Nodes": ""},
        {"TotalCount": 0},
    ],
)
def test_an_empty_list_is_one_where_the_answer_says_so(answer):
    assert many("ListNodes", Node, answer, PATH) == []


@pytest.mark.parametrize("answer", [{}, {"RequestId": "R"}, {"NodeInfo": []}])
def test_an_answer_without_list_and_count_is_not_an_empty_list(answer):
    with pytest.raises(TransportError) as told:
        many("ListNodes", Node, answer, PATH)
    assert told.value.reason == "an answer without Nodes"


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        ({"Nodes": 7}, ""),
        ({"Nodes": {"NodeInfo": [{"Id": "a"}, {"HostName": "x"}]}}, "1.Id"),
        ({"Nodes": {"NodeInfo": [{"Id": "a", "Roles": 3}]}}, "0.Roles"),
    ],
)
def test_a_reader_of_another_form_is_none_and_the_place_is_told(answer, where):
    with pytest.raises(TransportError) as told:
        many("ListNodes", Node, answer, PATH)
    assert told.value.reason == f"an answer that is not as documented, at {where}"


def test_one_entry():
    assert one("DescribeCluster", Cluster, {"Id": "c", "Unheard": 1}).id == "c"
    with pytest.raises(TransportError, match="an answer that is not as documented, at Status"):
        one("DescribeCluster", Cluster, {"Status": {}})


def test_the_validator_of_a_model_is_made_once():
    assert reader_of(Node) is reader_of(Node)
    assert reader_of(Node) is not reader_of(Task)


# -- pieces -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "sizes"), [(0, []), (1, [1]), (100, [100]), (101, [100, 1]), (250, [100, 100, 50])]
)
def test_a_hundred_go_in_a_piece(count, sizes):
    ids = [f"i-{n}" for n in range(count)]
    pieces = chunks(ids)
    assert [len(piece) for piece in pieces] == sizes
    assert [i for piece in pieces for i in piece] == ids
    assert chunks(ids, 120) == [ids[n : n + 120] for n in range(0, count, 120)]


# -- as the client reads them -------------------------------------------------------------------


def client(exchange, seconds=3600):
    deadline = Deadline.after(FakeClock(), seconds)
    return Client(exchange, exchange, region="cn-x", deadline=deadline)


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 200, 250])
def test_the_clients_lists_are_read_to_their_end(count):
    service = Service([f"i-{n}" for n in range(count)], size=100)
    assert len(client(service).list_nodes("c")) == count
    assert len(service.asked) == max(1, -(-count // 100))
    assert service.asked[0][1] == {
        "ClusterId": "c",
        "SortBy": ANY,
        "PageNumber": "1",
        "PageSize": "100",
    }
