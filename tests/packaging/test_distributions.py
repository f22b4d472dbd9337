"""What is released: built the same each time, complete, and usable where nothing of its development is.

The empty virtualenv gets the wheel's dependencies from the package index that pip is set up with.
"""

import json
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from datetime import datetime, timezone
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from urllib.request import urlopen

import pytest

import ehpc_nodes

ROOT = Path(__file__).parents[2]
EPOCH = 1_700_000_000
# one worker for all, since each would build and install anew; a slow index may need a while
pytestmark = [pytest.mark.xdist_group("packaging"), pytest.mark.timeout(2400), pytest.mark.slow]


def run(*command, cwd=None, expect=0, **changes):
    """A command's end, with no package of this folder on Python's path."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**env, **changes},
        capture_output=True,
        text=True,
        timeout=1000,
        check=False,
    )
    assert done.returncode in ([expect] if isinstance(expect, int) else expect), (
        done.stdout + done.stderr
    )
    return done


def build(source, out, umask):
    """Wheel and sdist of a source folder, with the backend that is installed."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    old = os.umask(umask)
    try:
        run(*command, SOURCE_DATE_EPOCH=str(EPOCH))
    finally:
        os.umask(old)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("dist"), 0o022)


@pytest.fixture(scope="module")
def wheel(built):
    return built[0]


@pytest.fixture(scope="module")
def unpacked(built, tmp_path_factory):
    """The sdist's folder, all its files of another time."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built[1]) as archive:
        archive.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    for path in top.rglob("*"):
        os.utime(path, (EPOCH + 86_400, EPOCH + 86_400))
    return top


@pytest.fixture(scope="module")
def metadata(wheel) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


# -- building --------------------------------------------------------------------------------------


def test_a_build_elsewhere_and_later_gives_the_same_bytes(built, unpacked, tmp_path):
    again = build(unpacked, tmp_path, 0o077)
    for first, second in zip(built, again, strict=True):
        assert first.name == second.name
        assert first.read_bytes() == second.read_bytes()


def test_the_times_in_it_are_those_asked_for(built):
    wheel, sdist = built
    asked = datetime.fromtimestamp(EPOCH, timezone.utc)
    with zipfile.ZipFile(wheel) as archive:
        stamps = {info.date_time for info in archive.infolist()}
    assert stamps == {(*asked.timetuple()[:5], asked.second // 2 * 2)}  # zip counts in twos
    with tarfile.open(sdist) as tar:
        assert {member.mtime for member in tar.getmembers()} == {EPOCH}


def test_what_an_index_checks(built):
    done = run(sys.executable, "-m", "twine", "check", "--strict", *built)
    assert done.stdout.count("PASSED") == 2


# -- contents --------------------------------------------------------------------------------------


def test_the_wheel_holds_the_package_and_its_licence_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        licence = archive.read(next(n for n in names if n.endswith("licenses/LICENSE")))
    assert licence == (ROOT / "LICENSE").read_bytes()
    sources = {
        str(p.relative_to(ROOT))
        for p in (ROOT / "ehpc_nodes").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert {n for n in names if ".dist-info/" not in n} == sources
    assert {"ehpc_nodes/py.typed", "ehpc_nodes/emulator/demo.yaml"} <= sources


def test_the_metadata(metadata):
    assert metadata["Version"] == ehpc_nodes.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", ehpc_nodes.__version__)


def test_the_classifiers_say_what_the_requirement_says(metadata):
    pattern = r"Programming Language :: Python :: (3\.\d+)"
    found = [re.fullmatch(pattern, c) for c in metadata.get_all("Classifier", [])]
    versions = [match[1] for match in found if match]
    assert metadata["Requires-Python"] == f">={versions[0]}"
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in versions
    minors = [int(version.partition(".")[2]) for version in versions]
    assert minors == list(range(minors[0], minors[-1] + 1))


def test_the_changelog_tells_of_this_version():
    headings = re.findall(r"^## (\S+) \((.*)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    version, date = headings[0]
    assert version == ehpc_nodes.__version__
    assert re.fullmatch(r"unreleased|\d{4}-\d\d-\d\d", date)


@pytest.mark.long
def test_the_sdist_holds_all_that_its_tests_need(unpacked):
    done = run(sys.executable, "-m", "pytest", "--collect-only", "-q", cwd=unpacked)
    for folder in ("contract", "docs", "engine", "packaging", "property", "unit"):
        assert f"tests/{folder}/" in done.stdout, done.stdout
    assert not [p for p in unpacked.rglob("*") if p.name in (".git", ".venv", ".engine", "site")]


# -- in an empty virtualenv ------------------------------------------------------------------------


class Installed:
    """A virtualenv with the wheel, and a folder to stand in that is not this one."""

    def __init__(self, folder, wheel):
        self.folder, self.wheel = folder, wheel
        self.bin = folder / "venv" / "bin"
        venv.create(folder / "venv", with_pip=False)
        self.install()

    def install(self, *extras):
        """The wheel, with extras; by this environment's pip, since making another takes a while."""
        what = f"ehpc-nodes[{','.join(extras)}] @ {self.wheel.as_uri()}" if extras else self.wheel
        quick = ["--quiet", "--no-compile", "--disable-pip-version-check"]
        constraints = ["--constraint", ROOT / "constraints.txt"]
        pip = [sys.executable, "-m", "pip", "--python", self.bin / "python"]
        run(*pip, "install", *quick, *constraints, what)

    def python(self, *args, **options):
        return run(self.bin / "python", *args, cwd=self.folder, **options)

    def packages(self):
        code = "import importlib.metadata as m, json; print(json.dumps([d.name for d in m.distributions()]))"
        return set(json.loads(self.python("-c", code).stdout))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    return Installed(tmp_path_factory.mktemp("empty"), wheel)


@pytest.mark.long
def test_it_imports_without_what_its_development_needs(installed):
    code = (
        "import ehpc_nodes, pkgutil, importlib\n"
        "assert 'site-packages' in ehpc_nodes.__file__, ehpc_nodes.__file__\n"
        "from ehpc_nodes import AttachedNodes\n"
        "print(ehpc_nodes.__version__, AttachedNodes.__name__)"
    )
    done = installed.python("-W", "error::ImportWarning", "-c", code)
    assert done.stdout == f"{ehpc_nodes.__version__} AttachedNodes\n"
    assert done.stderr == ""
    assert not {"pytest", "mypy", "ruff", "hypothesis", "mkdocs", "build"} & installed.packages()


@pytest.mark.long
def test_each_module_imports_or_says_which_extra_is_missing(installed):
    code = """
import importlib, pkgutil, ehpc_nodes
extras = {"typer", "rich", "pytest", "yaml", "jinja2"}
for module in pkgutil.walk_packages(ehpc_nodes.__path__, "ehpc_nodes."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        assert error.name in extras, (module.name, error)
        assert not module.name.startswith("ehpc_nodes.emulator"), error
"""
    installed.python("-c", code)


@pytest.fixture(scope="module")
def with_cli(installed):
    """The same, with the command's extra only."""
    installed.install("cli")
    return installed


@pytest.mark.long
def test_the_command_s_extra_brings_the_emulator_with_its_page(with_cli):
    assert [script.name for script in with_cli.bin.glob("ehpc*")] == ["ehpc-nodes"]
    command = [with_cli.bin / "ehpc-nodes", "emulator", "--json"]
    with subprocess.Popen(
        command, cwd=with_cli.folder, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            page = json.loads(process.stdout.readline())["page"]
            with urlopen(page) as answer:
                assert (answer.status, answer.headers.get_content_type()) == (200, "text/html")
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def with_extras(with_cli, metadata):
    """The same, with all that users may add."""
    extras = set(metadata.get_all("Provides-Extra", [])) - {"dev", "docs"}
    with_cli.install(*sorted(extras))
    return with_cli


@pytest.mark.long
def test_pytest_finds_the_plugin(with_extras):
    done = with_extras.python("-m", "pytest", "-p", "no:cacheprovider", "--fixtures", "-q")
    for fixture in ("ehpc", "pulumi_stack"):
        assert re.search(rf"^{fixture}\b.* -- .*ehpc_nodes/testing/", done.stdout, re.MULTILINE)
