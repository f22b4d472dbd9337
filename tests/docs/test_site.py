"""The site: built strictly (links, anchors, nav), from nothing but this folder, and fetching nothing."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

#: One worker for all, since each would build it anew.
pytestmark = pytest.mark.xdist_group("site")
ROOT = Path(__file__).parents[2]
#: What a browser fetches by itself; an `a` is only a link.
FETCHED = {"link": "href", "script": "src", "img": "src", "source": "src", "iframe": "src"}
#: A link that is no file: what a page is about, or its neighbours.
NOT_FETCHED = {"canonical", "prev", "next", "edit"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Page(HTMLParser):
    """What a page fetches, and its ids."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.ids, self.links = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids.add(found.get("id"))
        if tag == "a":
            self.links.append(found.get("href") or "")
        address = found.get(FETCHED.get(tag, ""))
        if address and found.get("rel") not in NOT_FETCHED:
            self.fetched.append(address)


def pages(site):
    return {path: Page(path.read_text()) for path in sorted(site.rglob("*.html"))}


def test_no_page_fetches_anything_from_elsewhere(site):
    for path, page in pages(site).items():
        assert page.fetched, path
        for address in page.fetched:
            assert not urlsplit(address).netloc, f"{path.name}: {address}"
            if path.name != "404.html":  # its addresses begin at the site's root
                assert (path.parent / unquote(urlsplit(address).path)).is_file(), address


def test_no_page_has_what_the_theme_would_fetch_a_script_for(site):
    """Material's own script gets mermaid's, and a repository's figures, when a page has these."""
    for path in site.rglob("*.html"):
        text = path.read_text()
        assert 'class="mermaid"' not in text, path
        assert 'data-md-component="source"' not in text, path


def test_no_style_fetches_anything_from_elsewhere(site):
    sheets = list(site.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        addresses = re.findall(r"url\(([^)]+)\)|@import\s+([^;]+)", sheet.read_text())
        outside = [a for pair in addresses for a in pair if re.match(r"[\"']?(https?:)?//", a)]
        assert outside == [], sheet


def test_each_page_is_in_the_nav_and_each_link_leads_to_an_id(site):
    found = pages(site)
    for path, page in found.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{path.name}: {link}"
            if parts.fragment and target in found:
                assert unquote(parts.fragment) in found[target].ids, f"{path.name}: {link}"
