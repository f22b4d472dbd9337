"""A Pulumi project with one stack, run by the real CLI.

Each stack has its own Pulumi home, file backend and passphrase; it gets nothing of the caller's account,
cloud credentials or proxies. What an operation did is read from the event log of the CLI
(`--event-log`, a flag that it has with PULUMI_DEBUG_COMMANDS; `--json` has no diagnostics).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from .processes import Running, scrubbed
from .results import JSON, Result

OPERATIONS = frozenset({"preview", "up", "refresh", "destroy"})


class PulumiStack:
    """One stack of a project, and the CLI to run it.

    The project is a program of one file, given as its text, or a project's folder, given as a `Path`.
    A folder is run where it is, and nothing is written into it: the stack's config and state are in
    `directory`.
    """

    def __init__(
        self,
        engine: str | Path,
        directory: Path,
        *,
        program: str | Path = "",
        env: Mapping[str, str] | None = None,
        python: str | Path = sys.executable,
        virtualenv: str | Path | None = None,
        main: str | None = None,
        pythonpath: Iterable[str | Path] = (),
        project: str = "project",
        stack: str = "dev",
        timeout: float = 100.0,
    ) -> None:
        """Create the project, unless a folder is given, and an empty stack.

        Args:
            engine: the `pulumi` to run.
            directory: an empty folder for the stack's files.
            program: the program's text, or the folder of a project.
            env: more environment variables, for the program and the providers too.
            python: the Python that runs both, unless the project names a virtualenv.
            virtualenv: set in Pulumi.yaml; only for a program's text, as `main` and `project`.
            main: the folder of the program inside the project.
            pythonpath: more folders with modules, for both.
            project: the project's name.
            stack: the stack's name.
            timeout: seconds that a command may take.

        Raises:
            FileNotFoundError: the folder has no Pulumi.yaml.
            TypeError: a folder is given as a text.
        """
        if isinstance(program, str) and _is_folder(program):
            raise TypeError(
                f"{program!r} is a folder. Give a folder as a Path: a str is the program's text"
            )
        self.engine = str(engine)
        self.directory = directory = directory.absolute()  # commands run elsewhere
        self.timeout = timeout
        self.started: list[Running] = []
        own = directory / ".own"  # the CLI's files, apart from the program's
        self._scratch = own / "runs"
        for folder in (self._scratch, own / "home", own / "backend"):
            folder.mkdir(parents=True, exist_ok=True)
        self.env = {
            **scrubbed(os.environ),
            **_environment(self.engine, own),
            "PULUMI_STACK": stack,
            "PULUMI_PYTHON_CMD": str(python),
            "PYTHONPATH": os.pathsep.join(map(str, pythonpath)),
            **(env or {}),
        }
        options = {"virtualenv": str(virtualenv)} if virtualenv else {}
        settings: JSON = {"name": project, "runtime": {"name": "python", "options": options}}
        if isinstance(program, Path):
            self.project = program.resolve()
            # the stack is created in another folder, with the project's name: `stack init` writes where it runs
            settings["name"] = _name_of(self.project)
        else:
            self.project = directory
        if main is not None:
            settings["main"] = main
        self.project_name = settings["name"]
        (directory / "Pulumi.yaml").write_text(json.dumps(settings))  # JSON is YAML
        #: the stack's config file
        self.settings = directory / f"Pulumi.{stack}.yaml"
        self.program = self.project / (main or ".") / "__main__.py"
        if isinstance(program, str):
            self.write(program)
        self.run("stack", "init", stack)

    # ---- the project

    def write(self, program: str) -> None:
        """Replace the program's text."""
        if self.project != self.directory:
            raise ValueError(f"{self.project} is your own project: its program is not replaced")
        self.program.parent.mkdir(parents=True, exist_ok=True)
        self.program.write_text(program)

    def config(self, key: str, value: object, *, secret: bool = False) -> None:
        """Set a value of the stack config: a text, number or flag, or lists and maps of them."""
        self.configure({} if secret else {key: value}, {key: value} if secret else {})

    def configure(
        self, plain: Mapping[str, object], secret: Mapping[str, object] | None = None
    ) -> None:
        """Set many values of the stack config; a key without namespace is the project's own.

        The plain ones are written into the file: `pulumi config set` takes texts only.
        """
        settings = _read_yaml(self.settings)
        for key, value in plain.items():
            full = key if ":" in key else f"{self.project_name}:{key}"
            settings.setdefault("config", {})[full] = value
        self.settings.write_text(json.dumps(settings))
        pairs = [f"{key}={_text(value)}" for key, value in (secret or {}).items()]
        if pairs:
            self.run("config", "set-all", *(word for pair in pairs for word in ("--secret", pair)))

    def unset(self, key: str) -> None:
        """Remove a key from the stack config."""
        self.run("config", "rm", key)

    # ---- operations

    def preview(self, *args: str, expect_failure: bool = False) -> Result:
        """What an `up` would do; AssertionError with the output if it does not end as expected."""
        return self._operation("preview", *args).checked(expect_failure=expect_failure)

    def up(self, *args: str, expect_failure: bool = False) -> Result:
        """Run `up` without its preview: call `preview` for that."""
        return self._operation("up", "--yes", "--skip-preview", *args).checked(
            expect_failure=expect_failure
        )

    def refresh(self, *args: str, expect_failure: bool = False) -> Result:
        """Read the cloud into the state."""
        return self._operation("refresh", "--yes", "--skip-preview", *args).checked(
            expect_failure=expect_failure
        )

    def destroy(self, *args: str, expect_failure: bool = False) -> Result:
        """Delete all resources of the stack."""
        return self._operation("destroy", "--yes", "--skip-preview", *args).checked(
            expect_failure=expect_failure
        )

    def cancel(self) -> Result:
        """Remove the lock of a killed operation."""
        return self.run("cancel", "--yes")

    def outputs(self, *, show_secrets: bool = False) -> JSON:
        """What the program exported in the last `up`."""
        args = ["--show-secrets"] if show_secrets else []
        outputs: JSON = json.loads(self.run("stack", "output", "--json", *args).stdout)
        return outputs

    def state(self, *, show_secrets: bool = False) -> JSON:
        """The whole deployment as `pulumi stack export` gives it."""
        args = ["--show-secrets"] if show_secrets else []
        state: JSON = json.loads(self.run("stack", "export", *args).stdout)
        return state

    def resources(self) -> dict[str, JSON]:
        """Name -> its entry in the state, for custom resources (without the stack and providers)."""
        found = self.state()["deployment"].get("resources") or []
        return {
            r["urn"].rpartition("::")[2]: r
            for r in found
            if r.get("custom") and not r["type"].startswith("pulumi:providers:")
        }

    def state_files(self) -> dict[Path, str]:
        """All files of the backend and the CLI, to search for what must not be in them."""
        own = self.directory / ".own"
        files = [
            p for folder in ("backend", "home") for p in (own / folder).rglob("*") if p.is_file()
        ]
        return {
            p: p.read_text(errors="replace") for p in [*files, *self.directory.glob("Pulumi.*yaml")]
        }

    # ---- the CLI

    def run(self, *args: str, expect_failure: bool = False) -> Result:
        """Run any command to its end."""
        return self.start(*args).wait(self.timeout).checked(expect_failure=expect_failure)

    def start(self, *args: str) -> Running:
        """Start any command, to be interrupted or killed."""
        command = [self.engine, "--non-interactive", "--color", "never", *args]
        events, folder = None, self.directory
        if args[0] in OPERATIONS:
            events, folder = self._scratch / f"{time.monotonic_ns()}.events", self.project
            command += ["--event-log", str(events), "--config-file", str(self.settings)]
        running = Running(command, folder, self._scratch, self.env, events)
        self.started.append(running)
        return running

    def close(self) -> None:
        """End all processes that still run."""
        for running in self.started:
            running.kill_all()

    def _operation(self, *args: str) -> Result:
        return self.start(*args).wait(self.timeout)


def _environment(engine: str, own: Path) -> dict[str, str]:
    """The variables that separate a run from the caller's own Pulumi."""
    with contextlib.suppress(RuntimeError):  # there may be no home
        theirs = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi") / "plugins"
        if theirs.is_dir():  # other providers' plugins, which are large
            (own / "home" / "plugins").symlink_to(theirs, target_is_directory=True)
    return {
        "PULUMI_HOME": str(own / "home"),
        "PULUMI_BACKEND_URL": (own / "backend").as_uri(),  # with # % ? escaped
        "PULUMI_CONFIG_PASSPHRASE": secrets.token_hex(),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_DEBUG_COMMANDS": "true",
        "PATH": os.pathsep.join([str(Path(engine).parent), os.environ.get("PATH", "")]),
        "NO_COLOR": "1",
    }


def _is_folder(text: str) -> bool:
    try:
        return bool(text) and Path(text).is_dir()
    except (OSError, ValueError):  # a program's text is no path
        return False


def _name_of(project: Path) -> str:
    """The name that a project's Pulumi.yaml gives."""
    file = project / "Pulumi.yaml"
    if not file.is_file():
        raise FileNotFoundError(
            f"{project} is not the folder of a Pulumi project: it has no Pulumi.yaml"
        )
    return str(_read_yaml(file)["name"])


def _read_yaml(file: Path) -> JSON:
    import yaml  # comes with pulumi

    return yaml.safe_load(file.read_text(encoding="utf-8")) or {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
