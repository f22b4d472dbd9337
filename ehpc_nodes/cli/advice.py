"""Errors as the command shows them: with its own options as the way to fix them."""

from __future__ import annotations

from ehpc_nodes.errors import (
    HINTS,
    KEY_REFUSED,
    ApiError,
    EhpcError,
    NoCredentialsError,
    NoRegionError,
)

KEY = "Check the access key in the environment (ALIBABA_CLOUD_ACCESS_KEY_ID), or that of --stack."
COMMAND_HINTS = HINTS | {
    **{code: KEY for code in KEY_REFUSED if "TimeStamp" not in code},
    "ClusterNotFound": "Check the cluster id and --region: E-HPC lists a cluster only in its own region.",
    "InvalidRegionId.NotFound": "Check --region, ALIBABA_CLOUD_REGION_ID, or the config of --stack.",
}
NO_REGION = "No region is set. Add --region cn-hangzhou, set ALIBABA_CLOUD_REGION_ID, or use a stack that has one (--stack)."


def told(error: EhpcError) -> str:
    """What is wrong and what to do, with the command's own options."""
    if isinstance(error, ApiError):
        return error.told(COMMAND_HINTS)
    if isinstance(error, NoRegionError):
        return NO_REGION
    if isinstance(error, NoCredentialsError):
        return f"{error} Or use a stack that has a key (--stack)."
    return str(error)
