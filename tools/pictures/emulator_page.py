"""Take the pictures of the emulator's page that docs/emulator.md shows: always the same world at the same moment.

Needs a Chromium on the PATH, which Playwright drives.
"""

from __future__ import annotations

import itertools
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from ehpc_nodes.emulator import Emulator, EmulatorServer, ManualClock, World

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CLUSTER = {"ClusterId": "ehpc-hz-demo"}
REGION = {"RegionId": "cn-hangzhou"}
IMAGE = {
    "ImageId": "centos_7_06_64_20G_alibase_20190711.vhd",
    "ImageOwnerAlias": "system",
}
TAG = {"ResourceType": "instance", "Tag.1.Key": "ehpc-nodes", "Tag.1.Value": "nodes/dev/compute"}


def named(form: str, *numbers: int) -> dict[str, str]:
    return {form.format(n): f"i-bp1demo{number:011d}" for n, number in enumerate(numbers, 1)}


class Story:
    """What has happened in the picture: two nodes attached, a third on its way, a fault met."""

    def __init__(self) -> None:
        self.emulator = Emulator(World.demo(), ManualClock())
        numbers = itertools.count(1)
        self.emulator.new_id = lambda: f"{next(numbers):08X}-5A7D-4C1E-9F02-6B0E31D4A85C"
        self.emulator.load(self.emulator.world)

    def ehpc(self, action: str, **params: str) -> None:
        self.emulator.call(action, "2018-04-12", {**CLUSTER, **params})
        self.emulator.advance(0.4)

    def ecs(self, action: str, **params: str) -> None:
        self.emulator.call(action, "2014-05-26", {**REGION, **params})
        self.emulator.advance(0.4)

    def tell(self) -> Emulator:
        self.ehpc("DescribeCluster")
        self.ehpc("ListQueues")
        self.ehpc("ListNodes")
        self.ecs("TagResources", **TAG, **named("ResourceId.{}", 1, 2))
        self.ehpc("AddExistedNodes", **IMAGE, **named("Instance.{}.Id", 1, 2))
        self.emulator.faults.add({"kind": "throttle", "action": "ListNodes"})
        self.emulator.faults.add({"kind": "lost", "action": "DeleteNodes", "seconds": 5})
        for _ in range(5):
            self.ehpc("ListNodes")
        self.emulator.advance(60)
        self.ecs("TagResources", **TAG, **named("ResourceId.{}", 3))
        self.ehpc("AddExistedNodes", **IMAGE, JobQueue="gpu", **named("Instance.{}.Id", 3))
        for _ in range(2):
            self.ehpc("ListNodes")
        return self.emulator


def take(browser: Browser, url: str, name: str, size: tuple[int, int], scheme: str) -> None:
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    page.goto(url)
    page.wait_for_selector("#state.live")
    path = PICTURES / name
    page.screenshot(path=path)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KiB")
    page.close()


def main() -> None:
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        sys.exit("emulator_page: there is no Chromium: `apt-get install chromium`")
    with EmulatorServer(Story().tell()) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        take(browser, server.page, "emulator-page.png", (1280, 820), "light")
        take(browser, server.page, "emulator-page-phone.png", (360, 720), "dark")
        browser.close()


if __name__ == "__main__":
    main()
