"""The error tree: which code belongs where, and the exact text of every error."""

import pytest

from ehpc_nodes import errors
from ehpc_nodes.errors import api_error, listed, permission
from ehpc_nodes.models import Finding, State
from ehpc_nodes.reconcile.operations import FindingsError, IncompleteError

STATE = State(cluster_id="ehpc-hz-a", region="cn-hangzhou")


def api(code, status=400, action="ListNodes"):
    return api_error(action, code, "Because.", http_status=status, request_id="R-1")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("Throttling", 400, errors.ThrottledError),
        ("Throttling.User", 400, errors.ThrottledError),
        ("Rejected.Throttling", 400, errors.ThrottledError),
        ("NotThrottling", 400, errors.ApiError),
        ("ConflictOpt", 403, errors.ConflictError),
        ("OperationConflict", 403, errors.ConflictError),
        ("ServiceUnavailable", 503, errors.BackendError),
        ("UnknownError", 500, errors.BackendError),
        ("EcsError", 406, errors.BackendError),
        ("AgentError.Timeout", 406, errors.BackendError),
        ("SomethingNew", 502, errors.BackendError),
        ("SomethingNew", 404, errors.ApiError),
        ("NotAuthorized", 407, errors.AuthError),
        ("Forbidden.RAM", 403, errors.AuthError),
        ("SignatureDoesNotMatch", 400, errors.AuthError),
        ("ClusterNotFound", 404, errors.ClusterNotFoundError),
        ("ComputeNotFound", 404, errors.ApiError),
    ],
)
def test_class_goes_by_the_whole_code(code, status, kind):
    assert type(api(code, status)) is kind


def test_only_a_missing_permission_is_forbidden():
    assert api("NotAuthorized").forbidden
    assert not api("SignatureDoesNotMatch").forbidden


TEXTS = [
    (
        api("InvalidParams"),
        "ListNodes: InvalidParams: Because (HTTP 400, RequestId R-1).",
    ),
    (
        api("Forbidden.RAM", 403, "StopInstances"),
        (
            "StopInstances: Forbidden.RAM: Because (HTTP 403, RequestId R-1)."
            " Give the access key's RAM user the permission ecs:StopInstances."
        ),
    ),
    (
        api("ClusterNotFound", 404, "DescribeCluster"),
        (
            "DescribeCluster: ClusterNotFound: Because (HTTP 404, RequestId R-1)."
            " Check cluster_id and the region: E-HPC lists a cluster only in its own region."
        ),
    ),
    (
        api_error("ListNodes", "X", " ", http_status=400, request_id="R-2"),
        "ListNodes: X: no message (HTTP 400, RequestId R-2).",
    ),
    (
        errors.TransportError("ListNodes", "HTTP 502 with an unreadable body", "R-3"),
        "ListNodes: no usable answer: HTTP 502 with an unreadable body (RequestId R-3).",
    ),
    (
        errors.NotSentError("ListNodes", "no connection: refused"),
        "ListNodes: no usable answer: no connection: refused.",
    ),
    (
        errors.WaitTimeoutError("waiting for i-1 (uninit); task T-1 step 3 of 9", 60.4),
        (
            "Timed out after 60 s: waiting for i-1 (uninit); task T-1 step 3 of 9. What was sent continues in the"
            " cloud. Run pulumi up again: it continues from there and sends nothing twice. To wait longer, set"
            " custom_timeouts."
        ),
    ),
    (errors.RefusedError("busy_nodes", "nodes run jobs."), "nodes run jobs."),
    (errors.CancelledError("Cancelled while waiting."), "Cancelled while waiting."),
    (
        FindingsError([Finding("image_id", "bad image"), Finding("job_queue", "no queue")]),
        "image_id: bad image\njob_queue: no queue",
    ),
    (IncompleteError(STATE, ["i-1: bad", "i-2: worse"]), "i-1: bad; i-2: worse"),
]


@pytest.mark.parametrize(("error", "text"), TEXTS, ids=lambda v: type(v).__name__)
def test_exact_text(error, text):
    assert str(error) == text


def subclasses(kind):
    return {kind, *(s for sub in kind.__subclasses__() for s in subclasses(sub))}


def test_every_error_has_a_text_here():
    told = {type(error) for error, _ in TEXTS}
    by_code = subclasses(errors.ApiError)
    elsewhere = {
        *(errors.ConfigError, errors.NoRegionError, errors.NoCredentialsError),
        *(errors.LastingError, errors.CertificateError),
        errors.NotTheServiceError,
    }  # test_settings, test_lasting_faults, test_transport
    assert subclasses(errors.EhpcError) - told - by_code - elsewhere == {errors.EhpcError}


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ("AddExistedNodes", "ehpc:AddExistedNodes"),
        ("DescribeCluster", "ehpc:DescribeCluster"),
        ("DescribeInstances", "ecs:DescribeInstances"),
        ("StopInstances", "ecs:StopInstances"),
        ("TagResources", "ecs:TagResources"),
        ("UntagResources", "ecs:UntagResources"),
    ],
)
def test_permission_names(action, name):
    assert permission(action) == name


def test_long_lists_are_cut():
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(n) for n in range(13)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 3 more"
