"""The page as people use it: live, by keyboard, on a phone, with a screen reader, and attacked."""

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from ehpc_nodes.emulator.journal import Entry
from ehpc_nodes.testing.worlds import CLUSTER, ids
from engine.program import declare
from unit.emulated import IMAGE, iid

LONG = "a" * 90
HOSTILE = "\"'><img src=x onerror=\"alert('name')\"><script>alert('script')</script>"


@pytest.fixture
def busy(cloud):
    """A cloud in which everything that the page can show is there at once."""

    def make():
        it = cloud(attached=(1, 2), pace={"seconds": 1000})
        emulator = it.emulator
        emulator.world.instances[iid(3)].tags["ehpc-nodes"] = "project/stack/nodes"
        it.fault("slow", "*", seconds=0.0, times=None)
        it.fault("throttle", "ListQueues")
        it.fault("lost", "ListTasks")
        call(it, "ListQueues")
        with contextlib.suppress(Exception):
            call(it, "ListTasks")
        for _ in range(3):
            call(it, "ListNodes")
        attach(it, 3, 4)
        attach(it, 4)
        call(it, "DeleteNodes", **{"Instance.1.Id": iid(2), "ReleaseInstance": "true"})
        call(it, "StopNodes", **{"Instance.1.Id": "i-bp1login"})
        emulator.advance(500)
        emulator.outside.start_job(
            iid(1), "8.scheduler", "test2@scheduler.with-a-long-name.internal"
        )
        emulator.outside.set_scheduler_state(iid(1), "drain")
        emulator.outside.set_node_status(iid(1), "exception")
        return it

    return make


def call(it, action, **params):
    return it.emulator.call(action, "2018-04-12", {"ClusterId": CLUSTER, **params})


def attach(it, *numbers):
    image = {"ImageId": IMAGE, "ImageOwnerAlias": "system"}
    named = {f"Instance.{n}.Id": instance for n, instance in enumerate(ids(*numbers), 1)}
    return call(it, "AddExistedNodes", **image, **named)


def tab_to(page, name):
    """Go on by the Tab key until the control of this name has the focus, which must be seen."""
    for _ in range(80):
        page.keyboard.press("Tab")
        focus = page.evaluate(
            """() => {
                const it = document.activeElement, style = getComputedStyle(it);
                if (it === document.body) return null; // past the last one, where the browser's own are
                const label = it.labels?.[0]?.firstChild.textContent ?? it.textContent;
                return [label.trim().replace(/\\s+/g, " "), style.outlineStyle, parseFloat(style.outlineWidth)];
            }"""
        )
        if focus is None:
            continue
        assert focus[1:] == ["solid", 3], focus
        if focus[0].startswith(name):
            return
    raise AssertionError(f"no control {name!r} can be reached by the Tab key")


def choose(page, text):
    """What a person does in a select: types the beginning of a choice."""
    page.keyboard.type(text)


# ----------------------------------------------------------------------------------- live


@pytest.mark.engine
def test_it_follows_a_run(cloud, stack_on, visit):
    it = cloud(pace={"seconds": 1000})  # which the test lets go by
    stack = stack_on(it)
    declare(stack, 1, 2)
    page = visit(it)
    page.evaluate("window.loadedOnce = true")
    node = page.locator(f"[id='node-{iid(1)}']")
    expect(page.locator("#journal")).to_contain_text("No call yet.")
    expect(page.locator(f"[id='instance-{iid(1)}']")).to_contain_text("Stopped")

    run = stack.start("up", "--yes", "--skip-preview")
    expect(node).to_contain_text("uninit")
    task = page.locator("#tasks li")
    expect(task).to_contain_text("Attach compute1, compute2 to queue workq Processing")
    it.emulator.advance(500)
    expect(node).to_contain_text("initing")
    expect(task).to_contain_text("step 4 of 8")
    expect(task.get_by_role("progressbar")).to_be_visible()
    assert run.process.poll() is None, "all of this is seen while it runs"
    it.emulator.advance(500)
    expect(node).to_contain_text("running")
    expect(task).to_contain_text("Success")
    run.wait().checked()

    expect(page.locator("#journal h2")).to_contain_text(f"{len(it.calls())} calls")
    writes = page.locator("#journal .write .action").all_inner_texts()
    assert writes == it.calls("AddExistedNodes", "TagResources", "UntagResources")[::-1]
    expect(page.locator("#harm li").first).to_contain_text("2 System disks replaced each")
    expect(page.locator(f"[id='instance-{iid(1)}']")).to_have_count(0)
    assert page.evaluate("window.loadedOnce"), "without being loaded again"


@pytest.mark.engine
def test_a_fault_by_keyboard_alone_is_met_by_the_next_run(cloud, stack_on, visit):
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1)
    page = visit(it)
    tab_to(page, "What goes wrong")
    choose(page, "Connection reset after")
    tab_to(page, "With which call")
    choose(page, "AddEx")
    tab_to(page, "Add the fault")
    page.keyboard.press("Enter")
    fault = page.locator("#faults li")
    expect(fault).to_contain_text("Connection reset after the effect on AddExistedNodes armed")
    assert [(f.kind, f.action, f.times) for f in it.emulator.faults.rules] == [
        ("reset_after", "AddExistedNodes", 1)
    ]

    stack.up()
    expect(fault).to_contain_text("spent once · fired once")
    expect(page.locator("#journal .write").filter(has_text="AddExistedNodes")).to_contain_text(
        "no answer fault: reset_after"
    )
    assert it.harm.disk_replacements == {iid(1): 1}

    tab_to(page, "Remove")
    page.keyboard.press("Enter")
    expect(fault).to_have_count(0)
    expect(page.locator("#faults-title")).to_be_focused()  # where its button was
    assert it.emulator.faults.rules == []


def test_a_fault_is_switched_off_and_on_again(cloud, visit):
    it = cloud()
    it.fault("throttle", "ListQueues")
    page = visit(it)
    fault = page.locator("#faults li")
    page.get_by_role("button", name="Switch off Throttled on ListQueues").click()
    expect(fault).to_contain_text("Throttled on ListQueues off")
    assert call(it, "ListQueues").ok
    page.get_by_role("button", name="Switch on Throttled on ListQueues").click()
    expect(fault).to_contain_text("armed")
    assert not call(it, "ListQueues").ok
    expect(fault).to_contain_text("spent")
    expect(fault.get_by_role("button")).to_have_count(1)


def test_held_tasks_end_and_the_clock_goes_when_told(cloud, visit):
    it = cloud(pace={"seconds": 1000})
    page = visit(it)
    chosen = page.locator("select[name=pace] option:checked")
    expect(chosen).to_have_text("otherwise")
    it.hold()
    expect(chosen).to_have_text("when released")
    attach(it, 1)
    attach(it, 2)
    page.get_by_role("button", name="End it now: Attach compute2").click()
    expect(page.locator(f"[id='node-{iid(2)}']")).to_contain_text("running")
    expect(page.locator(f"[id='node-{iid(1)}']")).to_contain_text("uninit")
    page.get_by_label("Let them end").select_option("after 10 s")
    page.get_by_role("button", name="Set this pace").click()
    expect(page.locator("#time")).to_contain_text("New tasks end after 10 s.")
    expect(chosen).to_have_text("after 10 s")
    attach(it, 3)
    page.get_by_role("button", name="Advance the clock").click()
    expect(page.locator(f"[id='node-{iid(3)}']")).to_contain_text("running")
    assert [task.is_open for task in it.emulator.world.tasks.values()] == [True, False, False]


def test_what_a_person_does_is_not_disturbed(cloud, visit):
    """A half-filled form, an open detail, a choice and the focus outlast what changes around them."""
    it = cloud()
    call(it, "ListQueues")
    page = visit(it)
    page.locator("#journal summary").click()
    page.get_by_label("Only writes").check()
    page.get_by_label("What goes wrong").select_option("Slow answer")
    page.get_by_label("Delay (s)").fill("2")
    attach(it, 1)
    call(it, "ListNodes")
    expect(page.locator("#journal li")).to_have_count(3)
    expect(page.locator("#journal details").last).to_have_attribute("open", "")
    expect(page.locator("#journal li:visible")).to_have_count(1)
    expect(page.get_by_label("Delay (s)")).to_be_focused()
    expect(page.get_by_label("Delay (s)")).to_have_value("2")
    page.get_by_label("Delay (s)").fill("abc")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("seconds cannot be 'abc'")
    call(it, "ListNodes")
    expect(page.locator("#journal li .action").first).to_contain_text("× 2")
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Delay (s)").fill("0")
    page.keyboard.press("Enter")
    expect(page.locator("#faults li")).to_contain_text("Slow answer on every call")
    expect(page.get_by_role("alert")).to_have_count(0)
    assert it.emulator.faults.rules[0].options == {"seconds": 0}


def test_a_form_that_is_answered_late_is_answered(cloud, visit):
    """No look at the page in the meantime gets in its way."""
    it = cloud()
    page = visit(it)

    def late(route):
        if route.request.method == "POST":
            time.sleep(1.5)
        route.continue_()

    page.route("**/_emulator/", late)
    page.get_by_label("What goes wrong").select_option("Slow answer")
    page.get_by_label("Delay (s)").fill("abc")
    page.get_by_role("button", name="Add the fault").click()
    expect(page.get_by_role("alert")).to_contain_text("seconds cannot be 'abc'")
    call(it, "ListNodes")
    expect(page.locator("#journal")).to_contain_text("ListNodes")


def test_it_pauses(cloud, visit):
    it = cloud()
    page = visit(it)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#state")).to_have_text("paused")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    call(it, "ListNodes")
    page.wait_for_timeout(1000)
    assert requests == []
    expect(page.locator("#journal")).to_contain_text("No call yet.")
    page.get_by_role("button", name="Follow").click()
    expect(page.locator("#journal")).to_contain_text("ListNodes")
    it.server.stop()
    expect(page.locator("#state")).to_have_text("no answer")


def test_the_live_region_is_not_chatty(cloud, visit):
    it = cloud()
    page = visit(it)
    page.evaluate(
        """() => {
            window.said = [];
            const region = document.querySelector("[role=status]");
            new MutationObserver(() => window.said.push(region.textContent))
                .observe(region, { childList: true, characterData: true, subtree: true });
        }"""
    )
    for number in range(4):
        call(it, "ListNodes", PageNumber=str(number + 1))
        page.wait_for_timeout(300)
    expect(page.locator("#journal li")).to_have_count(4)
    assert page.evaluate("window.said") == []
    attach(it, 1)
    expect(page.locator(f"[id='node-{iid(1)}']")).to_be_visible()
    assert page.evaluate("window.said") == [
        "Compute nodes: 1 running. Open tasks: none. Faults armed: none. System disks replaced: 1."
    ]


# ------------------------------------------------------------------------- without a script


def test_without_a_script_it_works_by_reloading(cloud, visit):
    it = cloud()
    page = visit(it, java_script_enabled=False)
    expect(page.get_by_role("button", name="Pause")).to_be_hidden()
    page.get_by_label("With which call").select_option("ListQueues")
    page.get_by_label("Retry after (ms)").fill("250")
    page.get_by_role("button", name="Add the fault").click()
    expect(page.locator("#faults li")).to_contain_text("Retry after (ms): 250")
    assert page.url.endswith("/_emulator/#faults")
    call(it, "ListQueues")
    expect(page.locator("#faults li")).to_contain_text("fired once")
    expect(page.locator("#journal li")).to_contain_text("400 Throttling.User")
    page.get_by_role("link", name="let the page stand still").click()
    assert page.locator("noscript meta, meta[http-equiv]").count() == 0
    expect(page.get_by_text("Reloading empties this form")).to_have_count(0)
    page.get_by_role("link", name="Follow").click()
    page.get_by_role("link", name="Stop that").click()
    expect(page.get_by_role("link", name="Follow")).to_be_visible()


# ----------------------------------------------------------- on a phone, and for everybody


def test_on_a_phone_nothing_goes_sideways(busy, visit):
    it = busy()
    world = it.emulator.world
    world.clusters[CLUSTER].name = LONG
    world.clusters[CLUSTER].nodes[iid(1)].host_name = LONG
    world.instances[iid(5)].tags[LONG] = LONG
    it.fault("unknown_status", "ListNodesByQueue", word=LONG, instance=LONG)
    it.emulator.call(LONG, "2018-04-12", {LONG: LONG})
    page = visit(it, width=320)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    for kind in page.get_by_label("What goes wrong").locator("option").all_inner_texts():
        page.get_by_label("What goes wrong").select_option(kind)
        assert page.evaluate("document.documentElement.scrollWidth") == 320, kind
    beyond = """() => [...document.querySelectorAll("body *:not(.unseen, .unseen *)")]
        .filter((e) => e.getBoundingClientRect().right > 320.5).map((e) => e.outerHTML)"""
    assert page.evaluate(beyond) == []


#: Of different widths; which of them a machine has is its own.
FONTS = {
    "sans": "font-family: sans-serif",
    "serif": "font-family: serif",
    "monospace": "font-family: monospace",
    "wide": "font-family: sans-serif; font-size-adjust: .75; letter-spacing: .05em",
}


RESTYLED = """style => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(style);
    document.adoptedStyleSheets = [sheet];
}"""


@pytest.mark.parametrize(
    "width", [320, *(pytest.param(n, marks=pytest.mark.long) for n in (768, 900)), 1280]
)
def test_the_journal_s_words_stay_whole(cloud, visit, width):
    """What the doctor asks for is refused with codes as long as the column is wide; in any font."""
    it = cloud()
    gone = {"ResourceType": "instance", "ResourceId.1": "i-none", "RegionId": "cn-hangzhou"}
    it.emulator.call("UntagResources", "2014-05-26", {**gone, "TagKey.1": "ehpc-nodes"})
    it.emulator.call("TagResources", "2014-05-26", {**gone, "Tag.1.Key": "ehpc-nodes"})
    page = visit(it, width=width)
    expect(page.locator("#journal .status").first).to_have_text("404 InvalidResourceId.NotFound")
    torn = """them => them.flatMap(it => {
        const walker = document.createTreeWalker(it, NodeFilter.SHOW_TEXT), torn = [];
        for (let text; (text = walker.nextNode());)
            for (const word of text.data.matchAll(/\\S+/g)) {
                const range = document.createRange();
                range.setStart(text, word.index);
                range.setEnd(text, word.index + word[0].length);
                if (range.getClientRects().length > 1) torn.push(word[0]);
            }
        return torn;
    })"""
    words = page.locator("#journal .action, #journal .status, #journal .time")
    assert words.count() == 6
    for font, style in {"": "", **FONTS}.items():
        page.evaluate(RESTYLED, f"* {{ {style} }}")
        assert words.evaluate_all(torn) == [], font
        assert page.evaluate("document.documentElement.scrollWidth") == width, font


@pytest.mark.parametrize(
    ("color_scheme", "widths"),
    [("light", (1280, 320)), pytest.param("dark", (1280,), marks=pytest.mark.long)],
)
def test_axe_finds_nothing(busy, visit, color_scheme, widths):
    """Contrast, names, landmarks, headings: everything that axe-core checks, its best practices too."""
    page = visit(busy(), color_scheme=color_scheme)
    page.get_by_role("button", name="Advance the clock").wait_for()
    page.get_by_label("Seconds").evaluate("input => input.value = ''")
    page.get_by_label("Only calls naming").fill("x")
    page.get_by_label("Times (empty: always)").evaluate("input => input.type = 'text'")
    page.get_by_label("Times (empty: always)").fill("often")
    page.get_by_role("button", name="Add the fault").click()
    expect(page.get_by_role("alert")).to_be_visible()
    for width in widths:
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        results = Axe().run(page, options={"resultTypes": ["violations", "incomplete"]})
        found = {
            kind: [
                (item["id"], [n["html"] for n in item["nodes"]]) for item in results.response[kind]
            ]
            for kind in ("violations", "incomplete")
        }
        assert found == {"violations": [], "incomplete": []}


def test_every_control_has_a_name_of_its_own(busy, visit):
    page = visit(busy())
    session = page.context.new_cdp_session(page)
    controls = [
        (node["role"]["value"], node["name"]["value"])
        for node in session.send("Accessibility.getFullAXTree")["nodes"]
        if node["role"]["value"]
        in ("button", "link", "textbox", "spinbutton", "combobox", "checkbox", "DisclosureTriangle")
        and not node["ignored"]
    ]
    assert len(controls) > 25
    assert [control for control in controls if not control[1]] == []
    buttons = [name for role, name in controls if role == "button"]
    assert len(set(buttons)) == len(buttons), buttons
    landmarks = page.locator("main, header, nav, section[aria-labelledby]").count()
    assert landmarks == 1 + 1 + 1 + 6


def test_statuses_keep_their_signs_in_forced_colours(busy, visit):
    """A ring, a half, a full circle: without their colours none would be told from another."""
    page = visit(busy(), forced_colors="active")
    sign = page.locator(".status.good i").first
    expect(sign).to_have_css("forced-color-adjust", "none")
    filled = "it => getComputedStyle(it).backgroundColor"
    assert sign.evaluate(filled) != page.locator(".status.idle i").first.evaluate(filled)


@pytest.mark.parametrize(("width", "scrolls"), [(320, False), (900, True), (1280, False)])
def test_a_long_journal_scrolls_by_itself_beside_other_things(cloud, visit, width, scrolls):
    """On a tablet it stands above the faults, which would be far away."""
    it = cloud()
    for number in range(40):
        call(it, "ListNodes", PageNumber=str(number + 1))
    page = visit(it, width=width)
    height, whole = page.locator(".calls").evaluate("it => [it.clientHeight, it.scrollHeight]")
    assert (height < whole) is scrolls
    if scrolls:
        assert height == 32 * 16


# ------------------------------------------------------------------------------- attacked


def test_names_of_a_world_do_nothing(cloud, visit):
    it = cloud()
    world = it.emulator.world
    world.clusters[CLUSTER].name = world.region = HOSTILE
    world.instances[iid(1)].host_name = HOSTILE
    world.instances[iid(1)].tags[HOSTILE] = HOSTILE
    it.emulator.call(HOSTILE, "2018-04-12", {HOSTILE: HOSTILE})
    page = visit(it)
    attach(it, 1)  # comes by the script's way of changing the page
    expect(page.locator("#tasks li")).to_contain_text(HOSTILE)
    assert page.locator("img, main script").count() == 0


def test_other_sites_can_not_steer(cloud, visit):
    """A page of another origin, and one whose name was made to point here."""
    it = cloud()
    attack = f"""<!doctype html><iframe name="here"></iframe>
        <form method="post" action="{it.server.page}" target="here">
        <input name="do" value="add-fault"><input name="kind" value="throttle"></form>
        <script>document.forms[0].submit();
        fetch({json.dumps(it.server.url)} + "/_emulator/faults", {{method: "POST", mode: "no-cors",
            body: '{{"kind": "throttle"}}'}}).finally(() => document.title = "sent")</script>"""
    answers: dict[str, int] = {}
    with site(attack) as url:
        page = visit("about:blank")
        page.on("response", lambda answer: answers.update({answer.url: answer.status}))
        page.goto(url)
        page.wait_for_function("document.title === 'sent'")
        page.wait_for_timeout(200)
    assert answers == {url: 200, it.server.page: 403, f"{it.server.url}/_emulator/faults": 403}
    answer = page.goto(it.server.page.replace("127.0.0.1", "rebound.example"))
    assert answer is not None
    assert answer.status == 403
    assert CLUSTER not in page.content()
    assert it.emulator.faults.rules == []


@contextlib.contextmanager
def site(html):
    """Another web site."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_nothing_is_asked_of_anybody_else(busy, visit):
    it = busy()
    page = visit(it)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.wait_for_timeout(900)
    assert asked
    assert [url for url in asked if not url.startswith((it.server.url + "/", "data:"))] == []
    assert all(isinstance(entry, Entry) and entry.action for entry in it.emulator.journal.entries)
