"""Pulumi's language host for Python, for a CLI that was built from its Go module and lacks it.

The engine starts `pulumi-language-python ENGINE_ADDRESS`, reads a port from its first line, and calls
the gRPC service LanguageRuntime there. What matters of it is Run: run the program of a project. As in
the official host, each Run is a process of its own, because the engine keeps one host for the preview
and the update after it (modules of the program would stay imported), and because the program may have
another Python: the virtualenv that Pulumi.yaml names. So this file is run in two ways:

    language_host.py ENGINE_ADDRESS               the host; serves until the engine ends or interrupts it
    language_host.py --run ENGINE_ADDRESS         one program; the RunRequest is read from stdin

The second stands on the functions of `pulumi.runtime` that the SDK's own executor calls.
Not here: code generation, `pulumi install`, plugins written in Python, the debugger. The engine gets
«unimplemented» for these, and says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import inspect
import json
import logging
import os
import runpy
import signal
import subprocess
import sys
import threading
import traceback
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2

IS_PROGRAM = sys.argv[1:2] == ["--run"]
if not IS_PROGRAM:
    # the host needs the SDK's messages only: without running what the packages above them import,
    # it starts in a third of the time
    for name in ("pulumi", "pulumi.runtime"):
        spec = importlib.util.find_spec(name)
        sys.modules[name] = package = types.ModuleType(name)
        package.__path__ = list((spec and spec.submodule_search_locations) or ())

from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2  # noqa: E402

if IS_PROGRAM:
    import pulumi
    from pulumi import runtime

# A program that failed after its error was logged ends with this code: nothing more is to be said.
# The official executor uses the same number.
ALREADY_SAID = 32
MESSAGE_LIMIT = 1024 * 1024 * 400  # the engine's own, for a config or a program that is large

LIST_PACKAGES = """
import importlib.metadata, json, re
all = {d.metadata["Name"]: d for d in importlib.metadata.distributions()}
key = lambda name: re.sub("[-_.]+", "-", name).lower()
needed = {key(re.match("[A-Za-z0-9._-]+", r)[0]) for d in all.values() for r in d.requires or ()}
print(json.dumps([[n, d.version, key(n) not in needed] for n, d in sorted(all.items())]))
"""


# ----------------------------------------------------------------------------- the host


class UnusableProgramError(Exception):
    """The program can't be started, and this is why."""


def python_of(info: Any) -> str:
    """Which Python runs the program: the same choice as in dynamic_provider.sh."""
    options = dict(info.options)
    virtualenv = str(options.get("virtualenv") or "")
    if not virtualenv and options.get("toolchain") == "uv":
        virtualenv = ".venv"
    if not virtualenv and options.get("toolchain") == "poetry":
        virtualenv = subprocess.run(
            ["poetry", "env", "info", "--path"],
            cwd=info.program_directory,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    if not virtualenv:
        return os.environ.get("PULUMI_PYTHON_CMD") or "python3"
    python = Path(info.root_directory, virtualenv, "bin", "python")  # an absolute one stands alone
    if not python.exists():
        raise UnusableProgramError(
            f"Pulumi.yaml names the virtualenv {virtualenv}, but {python} does not exist. "
            f"Make it with `python3 -m venv {python.parent.parent}` and install the program's packages."
        )
    return str(python)


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Serves one engine."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.programs: set[subprocess.Popen[bytes]] = set()

    def Handshake(self, request: Any, context: Any) -> Any:
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo()

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:
        return language_pb2.GetRequiredPluginsResponse()

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        # Plugins are then got when the first resource asks for one, which names its version itself.
        return language_pb2.GetRequiredPackagesResponse()

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:
        return language_pb2.RuntimeOptionsResponse()

    def Template(self, request: Any, context: Any) -> Any:
        return language_pb2.TemplateResponse()

    def About(self, request: Any, context: Any) -> Any:
        code = "import json, platform, sys; print(json.dumps([sys.executable, platform.python_version()]))"
        executable, version = self._ask(request.info, code)
        return language_pb2.AboutResponse(executable=executable, version=version)

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=name, version=version)
                for name, version, direct in self._ask(request.info, LIST_PACKAGES)
                if direct or request.transitiveDependencies or name == "pulumi"
            ]
        )

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:
        text = "This language host installs nothing: install the program's packages with pip.\n"
        yield language_pb2.InstallDependenciesResponse(stdout=text.encode())

    def Run(self, request: Any, context: Any) -> Any:
        try:
            python = python_of(request.info)
            program = subprocess.Popen(
                [python, "-u", __file__, "--run", self.engine], stdin=subprocess.PIPE
            )
        except (OSError, subprocess.SubprocessError, UnusableProgramError) as error:
            return language_pb2.RunResponse(error=str(error))
        self.programs.add(program)
        try:
            program.communicate(request.SerializeToString())
        finally:
            self.programs.discard(program)
        if program.returncode in {0, ALREADY_SAID}:
            return language_pb2.RunResponse(bail=program.returncode == ALREADY_SAID)
        if program.returncode < 0:
            name = signal.Signals(-program.returncode).name
            return language_pb2.RunResponse(error=f"Program was ended by {name}")
        return language_pb2.RunResponse(
            error=f"Program exited with non-zero exit code: {program.returncode}"
        )

    def Cancel(self, request: Any, context: Any) -> Any:
        self.interrupt()
        return empty_pb2.Empty()

    def interrupt(self) -> None:
        """End the running programs; each Run then answers."""
        for program in list(self.programs):
            with contextlib.suppress(ProcessLookupError):
                program.send_signal(signal.SIGINT)

    def _ask(self, info: Any, code: str) -> Any:
        """What a piece of code prints as JSON in the program's Python."""
        done = subprocess.run(
            [python_of(info), "-c", code], capture_output=True, check=True, stdin=subprocess.DEVNULL
        )
        return json.loads(done.stdout)


def serve(engine: str) -> None:
    """Serve until interrupted, or until the engine that started us is no more."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    parent = os.getppid()
    host = LanguageHost(engine)
    server = grpc.server(
        ThreadPoolExecutor(max_workers=8),
        options=[("grpc.max_receive_message_length", MESSAGE_LIMIT)],
    )
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    while not stop.wait(1.0) and os.getppid() == parent:
        pass
    host.interrupt()
    server.stop(None)


# -------------------------------------------------------------------------- one program


def configure(request: Any, engine: str) -> None:
    """Tell the SDK in this process what it works for."""
    runtime.set_all_config(dict(request.config), list(request.configSecretKeys))
    settings: dict[str, Any] = {
        "monitor": request.monitor_address,
        "engine": engine,
        "project": request.project,
        "stack": request.stack,
        "parallel": request.parallel,
        "dry_run": request.dryRun,
        "organization": request.organization or "organization",
        "root_directory": request.info.root_directory,
    }
    known = inspect.signature(runtime.Settings.__init__).parameters  # older SDKs know fewer
    runtime.configure(runtime.Settings(**{k: v for k, v in settings.items() if k in known}))


def user_traceback(error: BaseException, directory: str) -> str:
    """The traceback from the program's own first line on: what is above it (asyncio, the SDK, runpy) says nothing."""
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name.startswith(directory) and "site-packages" not in name:  # a .venv may stand in it
            break
        trace = trace.tb_next
    if trace is None and not isinstance(
        error, SyntaxError
    ):  # none of the program's lines: all of it
        trace = error.__traceback__
    return "".join(traceback.format_exception(type(error), error, trace))


def run(engine: str) -> int:
    """Run the program whose RunRequest stands on stdin, and return the exit code."""
    # An interrupt comes with the engine's own Ctrl-C, which says all that there is to say.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Futures that nobody awaits are normal in a program that ends early; asyncio would report each.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    request = language_pb2.RunRequest.FromString(sys.stdin.buffer.read())
    configure(request, engine)
    os.chdir(request.pwd)
    program = Path(request.info.program_directory, request.info.entry_point)
    sys.path[0] = str(program if program.is_dir() else program.parent)
    sys.argv = [str(program), *request.args]

    def execute() -> None:
        if program.is_dir() and not (program / "__main__.py").exists():
            raise pulumi.RunError(f"unable to find the program `__main__.py` in {program}")
        runpy.run_path(str(program), run_name="__main__")

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    executor = ThreadPoolExecutor(max_workers=max(request.parallel, 1) * 4)  # as the SDK's executor
    loop.set_default_executor(executor)
    try:
        loop.run_until_complete(runtime.run_in_stack(execute))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return ALREADY_SAID
    except Exception as error:  # noqa: BLE001 - it is the program's, and is shown
        text = user_traceback(error, request.info.program_directory)
        pulumi.log.error(f"Program failed with an unhandled exception:\n{text}")
        return ALREADY_SAID
    finally:
        executor.shutdown(wait=True)
        loop.close()
    return 0


if __name__ == "__main__":
    if IS_PROGRAM:
        sys.exit(run(sys.argv[2]))
    serve(sys.argv[-1])
