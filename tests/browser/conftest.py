"""The emulator's page in a real browser: the system's Chromium, driven by Playwright. Nothing is installed here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, expect, sync_playwright

from ehpc_nodes.testing import EmulatedCloud
from engine.conftest import cloud, stack_on

__all__ = ["cloud", "stack_on"]

HERE = Path(__file__).parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOW_TO_GET_IT = "there is no Chromium here: `apt-get install chromium` (or `brew install chromium`)"
PATIENCE = 20_000  # ms; what is expected comes at once, unless the machine is busy
OPTIONS = ["--host-resolver-rules=MAP rebound.example 127.0.0.1"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the system's Chromium; where there is none, the test is skipped, and fails in CI."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is not None:
        return found
    if os.environ.get("CI") == "true":
        pytest.fail(HOW_TO_GET_IT)
    pytest.skip(HOW_TO_GET_IT)


# Of the module, not of the session: while Playwright runs, no other test of the process can have
# an event loop.
@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages: `visit(cloud, width=320, color_scheme="dark")`. Errors of their scripts fail the test."""
    contexts, errors = [], []

    def hear(said: ConsoleMessage) -> None:
        # the browser's own words about answers like 400 are none
        if said.type == "error" and not said.text.startswith("Failed to load resource"):
            errors.append(said.text)

    def close(dialog: Dialog) -> None:
        errors.append(dialog.message)
        dialog.dismiss()

    def visit(
        where: EmulatedCloud | str, width: int = 1280, path: str = "/", **options: object
    ) -> Page:
        options.setdefault("reduced_motion", "reduce")
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)  # type: ignore[arg-type]  # options of Playwright's, by name
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", close)
        page.on("console", hear)
        page.goto(where if isinstance(where, str) else where.server.url + path)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert errors == []
