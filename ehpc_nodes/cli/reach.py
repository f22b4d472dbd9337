"""How the command reaches the service: with the settings of the environment, or of a Pulumi stack."""

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

#: Seconds; a command that is watched goes on for as long as it is let.
ONE_LOOK, A_WATCH = 300.0, 7 * 86400.0


def settings_of(region: str, stack: str) -> Settings:
    """The settings: of the option, the stack's config (where one is named), the environment.

    Raises:
        ConfigError: they can't be used, or the stack's config can't be read.
    """
    config = stack_config(stack) if stack else {}
    return settings.resolve(config.get, os.environ, region=region)


def client_of(
    region: str,
    stack: str,
    seconds: float = ONE_LOOK,
    notice: Callable[[str], None] | None = None,
) -> Client:
    """A client for one run of the command; by itself it says on a terminal why it tries again."""
    deadline = Deadline.after(RealClock(), seconds)
    return connect.connect(settings_of(region, stack), deadline, notice=notice or _notice)


def _notice(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"{text}\n")


def refuse_other_region(asked: Settings, found: str) -> None:
    """E-HPC's calls name no region, the endpoint is one region's: one that was set may be another's.

    Raises:
        ConfigError: what was found is of another region than was asked for.
    """
    if found and found != asked.region and asked.region not in asked.ehpc_endpoint:
        raise ConfigError(
            f"The endpoint that is set, {asked.ehpc_endpoint}, is that of {found}, not of {asked.region}: take"
            f" --region {found}, or set another endpoint (ALIBABA_CLOUD_EHPC_ENDPOINT, ehpc:endpoint)."
        )


@cache
def stack_config(stack: str) -> dict[str, str]:
    """The config of a stack of the Pulumi project in this folder, secrets decrypted."""
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        raise ConfigError(
            "--stack needs the Pulumi CLI, and there is no pulumi on the PATH: install it"
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
        said = " ".join(done.stderr.split()).removeprefix("error: ").rstrip(".")
        said = said or f"pulumi config ended with {done.returncode} and says nothing"
        raise ConfigError(f"The config of stack {stack!r} can't be read: {said[:300]}.")
    entries: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return {key: str(entry["value"]) for key, entry in entries.items() if "value" in entry}
