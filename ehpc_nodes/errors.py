"""What can go wrong, sorted by what the caller can do about it.

EhpcError
├─ ConfigError             the stack config, the environment or an argument is wrong: correct it and run again
│  ├─ NoRegionError        … no region is set
│  └─ NoCredentialsError   … there are no credentials, or none in the profile
├─ CancelledError          the user stopped the run: nothing more is started
├─ TransportError          no usable answer came: whether the call had an effect is not known
│  ├─ NotSentError         … but the request never reached the service (refused, timed out)
│  │  └─ LastingError      … and will not until a setting is corrected (proxy, unknown host): never repeated
│  │     └─ CertificateError … the server's certificate, or the file of authorities
│  └─ NotTheServiceError   … because something else answered: no TLS, a redirect, a page
├─ ApiError                the service answered with an error: code, message, action, status, request id
│  ├─ ThrottledError       too many calls; nothing was done
│  ├─ ConflictError        another operation is running; nothing was done
│  ├─ BackendError         the service failed inside: a write may have had an effect
│  ├─ AuthError            the access key, its signature or its permission
│  └─ ClusterNotFoundError the cluster does not exist
├─ RefusedError            a safety rule of this package forbids the write
└─ WaitTimeoutError        the time limit came first

Codes come from the API's version-level error list and the common list of Alibaba Cloud; they are
compared as a whole, never as a part of a text.
"""

from __future__ import annotations

from collections.abc import Mapping

THROTTLED = frozenset({"Throttling", "Rejected.Throttling"})
CONFLICT = frozenset({"ConflictOpt", "OperationConflict", "InvalidOpt"})
#: The code of a conflict, or of something else: "The specified operation is invalid. Please try again later."
MAYBE_CONFLICT = "InvalidOpt"
BACKEND = frozenset(
    {
        *("ServiceUnavailable", "InternalError", "UnknownError"),
        *("EcsError", "AliyunError", "AgentError", "DbError", "RedisError", "ManagerNotFound"),
    }
)
FORBIDDEN = frozenset({"NotAuthorized", "NoPermission", "Forbidden", "Forbidden.RAM"})
KEY_REFUSED = frozenset(
    {
        *("InvalidAccessKeyId.NotFound", "InvalidAccessKeyId.Inactive", "SignatureDoesNotMatch"),
        *("IncompleteSignature", "InvalidSecurityToken.Expired", "InvalidSecurityToken.Malformed"),
        *("MissingSecurityToken", "InvalidTimeStamp.Expired", "InvalidTimeStamp.Format"),
    }
)
CLUSTER_NOT_FOUND = frozenset({"ClusterNotFound"})

#: What to do about a code, for the errors that only a person can correct.
HINTS = {
    **dict.fromkeys(KEY_REFUSED, "Check the access key."),
    **dict.fromkeys(FORBIDDEN, "Give the access key's RAM user the permission {permission}."),
    "ClusterNotFound": "Check cluster_id and the region: E-HPC lists a cluster only in its own region.",
    "ImageNotFound": "Check image_id and image_owner_alias, in the cluster's region.",
    "InDebt": "Pay the account's debts first.",
    "InvalidAccessKeyId.NotFound": "Check the access key id, and that the key is active.",
    "InvalidClusterStatus": "Wait until the cluster is running.",
    "InvalidRegionId.NotFound": "Check the region: the region argument, ehpc:region or ALIBABA_CLOUD_REGION_ID.",
    "InvalidSecurityToken.Expired": "Get a new security token: log in again, or run the command that creates one.",
    "InvalidTimeStamp.Expired": "Set this computer's clock: it is wrong by more than 15 minutes.",
    "NotEnabled": "Enable E-HPC for the account first.",
    "SignatureDoesNotMatch": "Check the access key secret.",
    "TooManyNodes": "Attach fewer nodes, or ask for a higher node quota.",
}


class EhpcError(Exception):
    """Base of all errors that this package raises on purpose. Its text is meant for people."""


class ConfigError(EhpcError):
    """A setting or an argument is missing or wrong; the text names it, and where to set it."""


class NoRegionError(ConfigError):
    """No region is set anywhere."""


class NoCredentialsError(ConfigError):
    """There are no credentials, or none in the named profile."""


class CancelledError(EhpcError):
    """The user cancelled the run (Ctrl-C) while it waited."""


class TransportError(EhpcError):
    """No usable answer to a call: a timeout, a broken connection, an unreadable body.

    Attributes:
        action: the API action that was called.
        reason: what happened, in a few words.
    """

    def __init__(self, action: str, reason: str, request_id: str = "") -> None:
        self.action = action
        self.reason = reason
        self.request_id = request_id
        request = f" (RequestId {request_id})" if request_id else ""
        super().__init__(f"{action}: no usable answer: {reason}{request}.")


class NotSentError(TransportError):
    """The request did not reach the service: there was no connection."""


class LastingError(NotSentError):
    """No connection is possible with the present settings: the text names the wrong one. Not worth repeating."""


class CertificateError(LastingError):
    """The server's certificate could not be verified, or the file of authorities cannot be read."""


class NotTheServiceError(TransportError):
    """Something else answered: an endpoint without TLS, a redirect, a page. It may have read the request."""


class ApiError(EhpcError):
    """The service answered with an error.

    Attributes:
        action, code, message, http_status, request_id: as the answer had them (action: the call's).
    """

    def __init__(
        self, action: str, code: str, message: str, *, http_status: int, request_id: str
    ) -> None:
        self.action = action
        self.code = code
        self.message = message
        self.http_status = http_status
        self.request_id = request_id
        super().__init__(self.told(HINTS))

    def told(self, hints: Mapping[str, str]) -> str:
        """The text with the hints of another front-end, by code; ``str()`` has the hints for programs."""
        message = self.message.strip().rstrip(".") or "no message"
        text = f"{self.action}: {self.code}: {message} (HTTP {self.http_status}, RequestId {self.request_id})."
        hint = hints.get(self.code, "").format(permission=permission(self.action))
        return f"{text} {hint}".rstrip()


class ThrottledError(ApiError):
    """Too many calls: rejected before anything was done. Worth repeating, later."""


class ConflictError(ApiError):
    """Another operation is running on the cluster or instance: nothing was done. Worth repeating."""


class BackendError(ApiError):
    """The service failed inside. A read is worth repeating; a write may have had an effect."""


class AuthError(ApiError):
    """The access key, its signature or its permission was rejected."""

    @property
    def forbidden(self) -> bool:
        """True if the key is valid, but without the permission for this action."""
        return self.code in FORBIDDEN


class ClusterNotFoundError(ApiError):
    """The cluster does not exist: the only answer that proves it."""


class RefusedError(EhpcError):
    """A safety rule forbids the write: nothing was sent.

    Attributes:
        property: the input that the refusal is about.
    """

    def __init__(self, property_: str, reason: str) -> None:
        self.property = property_
        super().__init__(reason)


#: What to do after a timeout.
CONTINUES = "What was sent continues in the cloud. Run pulumi up again: it continues from there and sends nothing twice."
NOTHING_SENT = "No call was made for these instances. Run pulumi up again."
STILL_BUSY = "They stay attached. Run pulumi up again: it waits for their jobs again."
#: The state still has the nodes, so a plain up finds no change.
DESTROY_CONTINUES = (
    "What was sent continues in E-HPC; run the same command again to finish. To keep the nodes, run pulumi up --refresh"
    " with the resource in the program: it attaches detached instances again and replaces their system disks."
)
NOTHING_DETACHED = "Nothing was detached. Run the same command again."


class WaitTimeoutError(EhpcError):
    """The time limit passed. The text names what is not done yet, and how long the run waited.

    Attributes:
        what: what is not done yet.
        elapsed: how long the run waited, in seconds.
    """

    def __init__(self, what: str, elapsed: float, then: str = CONTINUES) -> None:
        self.what = what
        self.elapsed = elapsed
        super().__init__(
            f"Timed out after {elapsed:.0f} s: {what}. {then} To wait longer, set custom_timeouts."
        )


def api_error(
    action: str, code: str, message: str, *, http_status: int, request_id: str
) -> ApiError:
    """The error of the class that the code belongs to (by code; by HTTP status only from 500 up)."""
    return _class_of(code, http_status)(
        action, code, message, http_status=http_status, request_id=request_id
    )


def _class_of(code: str, http_status: int) -> type[ApiError]:
    if code in THROTTLED or code.startswith("Throttling."):
        return ThrottledError
    if code in CONFLICT:
        return ConflictError
    if code in FORBIDDEN or code in KEY_REFUSED:
        return AuthError
    if code in CLUSTER_NOT_FOUND:
        return ClusterNotFoundError
    if code in BACKEND or code.startswith("AgentError.") or http_status >= 500:
        return BackendError
    return ApiError


def permission(action: str) -> str:
    """The RAM action name of an API action, e.g. ``ehpc:ListNodes``, ``ecs:StopInstances``."""
    product = "ecs" if action.endswith(("Instances", "Resources")) else "ehpc"
    return f"{product}:{action}"


def listed(names: list[str], most: int = 10, between: str = ", ") -> str:
    """Names as a list in a sentence: ``i-1, i-2 and 40 more``."""
    shown = between.join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 node``, ``2 nodes``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
