"""The command's client: with the settings of the environment, or of a Pulumi stack."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from ehpc_nodes.api import connect, settings
from ehpc_nodes.api.client import Client
from ehpc_nodes.api.settings import Settings
from ehpc_nodes.clock import Deadline, RealClock
from ehpc_nodes.errors import ConfigError

#: Seconds: the limit of one run, and of --watch, which has none in practice.
ONE_LOOK, A_WATCH = 300.0, 7 * 86400.0


def settings_of(region: str, stack: str) -> Settings:
    """The settings: from the option, the stack's config (if a stack is named), the environment.

    Raises:
        ConfigError: they are not valid, or the stack's config cannot be read.
    """
    config = stack_config(stack) if stack else {}
    return settings.resolve(config.get, os.environ, region=region)


def client_of(
    region: str,
    stack: str,
    seconds: float = ONE_LOOK,
    notice: Callable[[str], None] | None = None,
) -> Client:
    """A client for one run of the command. By default it shows on a terminal why it repeats a call."""
    deadline = Deadline.after(RealClock(), seconds)
    return connect.connect(settings_of(region, stack), deadline, notice=notice or _notice)


def _notice(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"{text}\n")


def refuse_other_region(asked: Settings, found: str) -> None:
    """Check the region of what was found: E-HPC's calls name none, and an endpoint that is set may be another region's.

    Raises:
        ConfigError: it is not the given region.
    """
    if found and found != asked.region and asked.region not in asked.ehpc_endpoint:
        raise ConfigError(
            f"The endpoint {asked.ehpc_endpoint} belongs to {found}, not to {asked.region}. Use --region"
            f" {found}, or set another endpoint (ALIBABA_CLOUD_EHPC_ENDPOINT, ehpc:endpoint)."
        )


@cache
def stack_config(stack: str) -> dict[str, str]:
    """The config of a stack of the Pulumi project in this folder, secrets decrypted."""
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        raise ConfigError(
            "--stack needs the Pulumi CLI, and there is no pulumi on the PATH. Install it"
            " (https://www.pulumi.com/docs/iac/download-install/)."
        )
    done = subprocess.run(
        [pulumi, "config", "--json", "--show-secrets", "--non-interactive", "--stack", stack],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        why = " ".join(done.stderr.split()).removeprefix("error: ").rstrip(".")
        why = why or f"pulumi config ended with {done.returncode} and without a message"
        raise ConfigError(f"The config of stack {stack!r} cannot be read: {why[:300]}.")
    entries: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return {key: str(entry["value"]) for key, entry in entries.items() if "value" in entry}
