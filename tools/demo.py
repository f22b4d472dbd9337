"""A real `pulumi up` of the project at the repository's root, against an emulated E-HPC cluster.

Attaches three instances, changes the set, shows the cluster and what was done to the machines, destroys.
All that it makes stands in the ignored folder .demo; all that it starts ends with it, also on Ctrl-C.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
CONFIG = DEMO / "Pulumi.demo.yaml"
CLUSTER = "ehpc-hz-demo"
SCRUBBED = re.compile(
    r"(PULUMI|ALIBABA|ALICLOUD|ALIYUN|ECS)_.*|ALIBABACLOUD_.*|(HTTPS?|ALL|NO)_PROXY", re.IGNORECASE
)


def say(headline: str) -> None:
    print(
        f"\n\033[1m== {headline}\033[0m" if sys.stdout.isatty() else f"\n== {headline}", flush=True
    )


def instances(*numbers: int) -> list[str]:
    return [f"i-bp1demo{n:011d}" for n in numbers]


class Demo:
    """The CLI on a stack of its own, and the emulator that the stack is pointed at."""

    def __init__(self, pulumi: str, emulator: dict[str, str]) -> None:
        self.pulumi = pulumi
        self.emulator = emulator
        self.env = {
            **{k: v for k, v in os.environ.items() if not SCRUBBED.fullmatch(k)},
            "PULUMI_HOME": str(DEMO / "home"),
            "PULUMI_BACKEND_URL": (DEMO / "backend").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "demo",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "ALIBABA_CLOUD_ACCESS_KEY_ID": emulator["access_key_id"],
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": emulator["access_key_secret"],
            "PULUMI_PYTHON_CMD": sys.executable,
            "PATH": os.pathsep.join(
                map(
                    str,
                    [Path(sys.executable).parent, Path(pulumi).parent, os.environ.get("PATH", "")],
                )
            ),
        }

    def run(self, *args: str, quiet: bool = False) -> None:
        """Run a command of the CLI, shown as a person types it; SystemExit where it fails."""
        if not quiet:
            print("$ " + shlex.join(["pulumi", *args]), flush=True)
        extra = [] if args[0] == "stack" else ["--config-file", str(CONFIG)]
        color = [] if sys.stdout.isatty() else ["--color", "never"]
        command = [self.pulumi, *args, *extra, *color, "--non-interactive"]
        with ended(subprocess.Popen(command, cwd=ROOT, env=self.env), patience=5) as process:
            if process.wait() != 0:
                raise SystemExit(f"demo: `pulumi {shlex.join(args)}` failed")

    def configure(self) -> None:
        settings = {
            "ehpc:region": self.emulator["region"],
            "ehpc:endpoint": self.emulator["url"],
            "ehpc:ecsEndpoint": self.emulator["url"],
            "cluster": CLUSTER,
        }
        pairs = [word for k, v in settings.items() for word in ("--plaintext", f"{k}={v}")]
        self.run("stack", "init", "demo", quiet=True)
        self.run("config", "set-all", *pairs, quiet=True)

    def declare(self, *numbers: int) -> None:
        """What `pulumi config set --path 'instances[0]' …` does, in one go."""
        self.run(
            "config", "rm", "instances", quiet=True
        ) if "instances" in CONFIG.read_text() else None
        pairs = [
            word
            for index, instance in enumerate(instances(*numbers))
            for word in ("--plaintext", f"instances[{index}]={instance}")
        ]
        self.run("config", "set-all", "--path", *pairs, quiet=True)
        print(f"instances: {', '.join(instances(*numbers))}", flush=True)

    def ask(self, path: str) -> Any:
        with urlopen(f"{self.emulator['url']}/_emulator/{path}", timeout=10) as answer:  # noqa: S310
            return json.load(answer)

    def show_cluster(self) -> None:
        """The emulator's own account, past the provider."""
        (cluster,) = self.ask("world")["clusters"]
        for node in cluster["nodes"]:
            role = ", ".join(node["roles"])
            print(
                f"{node['id']}  {node['host_name']:<11} {node['status']:<8} {role:<20} {node['queue']}"
            )
        harm = self.ask("harm")
        for instance, times in harm["disk_replacements"].items():
            print(f"{instance}  system disk replaced {times} time{'' if times == 1 else 's'}")
        print(f"instances released: {len(harm['releases'])}", flush=True)


@contextmanager
def ended(process: subprocess.Popen[Any], patience: float = 0.0) -> Iterator[subprocess.Popen[Any]]:
    """The process, which ends with the block: politely first.

    Args:
        patience: seconds in which it may end by itself: a Ctrl-C has reached it, too, and a second one is
            an order to stop at once.
    """
    try:
        yield process
    finally:
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
        for end in (process.send_signal, lambda _: process.kill()):
            if process.poll() is None:
                end(signal.SIGINT)
                try:
                    process.wait(100)  # a busy machine takes its time
                except subprocess.TimeoutExpired:
                    continue


@contextmanager
def emulated_cloud() -> Iterator[dict[str, str]]:
    command = [sys.executable, "-m", "ehpc_nodes.emulator", "--port", "0"]
    # a session of its own: Ctrl-C shall not end it before the CLI has ended
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with ended(process):
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise SystemExit("demo: the emulator did not start")
        yield json.loads(line)
    if process.stdout:
        process.stdout.close()


def get_engine() -> str:
    command = [sys.executable, str(ROOT / "tools" / "engine" / "get.py")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit("demo: there is no Pulumi engine, and none could be got")
    return done.stdout.splitlines()[-1]


def walk(demo: Demo) -> None:
    """The demonstration."""
    demo.configure()
    say("Three instances to attach: what would happen")
    demo.declare(1, 2, 3)
    demo.run("preview", "--diff")
    say("Attach them")
    demo.run("up", "--yes", "--skip-preview")
    say("Nothing has changed: nothing is called")
    demo.run("preview", "--expect-no-changes")
    say("Another set: one out, one in")
    demo.declare(2, 3, 4)
    demo.run("preview", "--diff")
    demo.run("up", "--yes", "--skip-preview")
    say("The cluster, as the emulator has it")
    demo.show_cluster()
    say("Destroy: the nodes are detached, the instances stay")
    demo.run("destroy", "--yes", "--skip-preview")
    demo.show_cluster()


def main() -> None:
    say("The Pulumi engine")
    pulumi = get_engine()
    print(pulumi, flush=True)
    shutil.rmtree(DEMO, ignore_errors=True)
    for folder in ("home", "backend"):
        (DEMO / folder).mkdir(parents=True)
    say("An emulated E-HPC cluster")
    with emulated_cloud() as emulator:
        print(f"{CLUSTER} at {emulator['url']}", flush=True)
        walk(Demo(pulumi, emulator))
    say("Done; all that was started has ended")


def stop(*_: object) -> None:
    raise SystemExit(143)  # so that what was started is ended on the way out


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    try:
        main()
    except KeyboardInterrupt:
        print("\ndemo: stopped", file=sys.stderr)
        sys.exit(130)
