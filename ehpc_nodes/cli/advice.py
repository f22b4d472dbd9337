"""Errors as the command tells them: with what it has to mend them, where programs have other ways."""

from __future__ import annotations

from ehpc_nodes.errors import (
    HINTS,
    KEY_REFUSED,
    ApiError,
    EhpcError,
    NoCredentialsError,
    NoRegionError,
)

KEY = "Check the access key: that of the environment (ALIBABA_CLOUD_ACCESS_KEY_ID), or of --stack."
COMMAND_HINTS = HINTS | {
    **{code: KEY for code in KEY_REFUSED if "TimeStamp" not in code},
    "ClusterNotFound": "Check the id and --region: a cluster is seen only in its own region.",
    "InvalidRegionId.NotFound": "Check --region, ALIBABA_CLOUD_REGION_ID, or the config of --stack.",
}
NO_REGION = "No region is set: give --region cn-hangzhou, set ALIBABA_CLOUD_REGION_ID, or name a stack that has one with --stack."


def told(error: EhpcError) -> str:
    """What is wrong and what to do, with the command's own options."""
    if isinstance(error, ApiError):
        return error.told(COMMAND_HINTS)
    if isinstance(error, NoRegionError):
        return NO_REGION
    if isinstance(error, NoCredentialsError):
        return f"{error} Or name a stack that has a key with --stack."
    return str(error)
