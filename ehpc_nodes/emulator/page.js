"use strict";
// The page asks for itself again and takes over what has changed, in place: focus, open details and
// half-filled forms stay. Forms are sent the same way. Without this script the page reloads itself.
(() => {
  const LOOK_EVERY = 700;
  const SPEAK_EVERY = 4000;
  const pause = document.getElementById("pause");
  const state = document.getElementById("state");
  const news = document.getElementById("news");
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let following = true;
  let asked = 0; // an answer that a later question has overtaken is dropped
  let sending = 0; // forms on their way: what they are answered shall not be overtaken
  let spoken = document.getElementById("main").dataset.news;
  let spokenAt = 0;

  const flash = (element) => {
    if (calm.matches || !element.animate) return;
    const colour = getComputedStyle(document.documentElement).getPropertyValue("--flash");
    element.animate([{ backgroundColor: colour }, {}], { duration: 1600, easing: "ease-in" });
  };

  function takeAttributes(old, fresh) {
    for (const { name } of [...old.attributes]) {
      const ofUser = name === "hidden" || (name === "open" && old.localName === "details");
      if (!ofUser && !fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (name !== "hidden" && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
  }

  // `forms` says whether to take over also what people may be filling in.
  function take(old, fresh, forms) {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== Node.ELEMENT_NODE) {
      old.data = fresh.data;
      if (old.parentElement.matches(".status")) flash(old.parentElement);
      return;
    }
    if (!forms && old.hasAttribute("data-keep")) return;
    takeAttributes(old, fresh);
    const wanted = new Set([...fresh.children].map((child) => child.id));
    const known = new Map();
    for (const child of [...old.children]) {
      if (child.id && !wanted.has(child.id)) child.remove();
      else if (child.id) known.set(child.id, child);
    }
    let at = old.firstChild;
    for (const want of [...fresh.childNodes]) {
      const same = at && !at.id && at.nodeName === want.nodeName ? at : null;
      const have = want.id ? known.get(want.id) : same;
      if (!have) {
        const added = old.insertBefore(document.importNode(want, true), at);
        if (added.id) flash(added);
        continue;
      }
      if (have === at) at = at.nextSibling;
      else old.insertBefore(have, at);
      take(have, want, forms);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  function show(html, forms) {
    const before = pace();
    const fresh = new DOMParser().parseFromString(html, "text/html");
    for (const old of document.querySelectorAll("[data-live]")) {
      const want = fresh.getElementById(old.id);
      if (want) take(old, want, forms);
    }
    if (pace() !== before) document.querySelector("select[name=pace]").value = pace();
    reveal();
    speak();
  }

  // The pace that is set, as its select names it: somebody else may have set it.
  const pace = () => document.querySelector("[data-pace]").dataset.pace;

  function reveal() {
    document.getElementById("writes-only")?.removeAttribute("hidden");
  }

  // A screen reader hears what has happened, and not more often than it can say it.
  function speak() {
    const said = document.getElementById("main").dataset.news;
    if (said === spoken || Date.now() - spokenAt < SPEAK_EVERY) return;
    news.textContent = spoken = said;
    spokenAt = Date.now();
  }

  function tell(words, kind) {
    if (state.textContent !== words) state.textContent = words;
    state.className = kind;
  }

  async function ask(url, options, forms) {
    const mine = ++asked;
    let html;
    try {
      html = await (await fetch(url, { cache: "no-store", ...options })).text();
    } catch {
      tell("no answer", "gone");
      return;
    }
    if (mine !== asked) return;
    tell(following ? "live" : "paused", following ? "live" : "");
    show(html, forms);
  }

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    event.preventDefault();
    const fields = new URLSearchParams(new FormData(form));
    // the button's own name and value, for browsers whose FormData doesn't take it
    if (event.submitter?.name) fields.set(event.submitter.name, event.submitter.value);
    const section = form.closest("section");
    const title = section.querySelector("h2");
    sending += 1;
    await ask(form.getAttribute("action"), { method: "POST", body: fields }, true);
    sending -= 1;
    if (document.activeElement === document.body) title.focus();
    const problem = section.querySelector(".problem");
    if (!problem) news.textContent = spoken = document.getElementById("main").dataset.news;
  });

  pause.addEventListener("click", () => {
    following = !following;
    pause.textContent = following ? "Pause" : "Follow";
    tell(following ? "live" : "paused", following ? "live" : "");
  });

  async function follow() {
    if (following && !sending && !document.hidden) await ask(location.pathname, {}, false);
    setTimeout(follow, LOOK_EVERY);
  }

  pause.hidden = state.hidden = false;
  reveal();
  tell("live", "live");
  setTimeout(follow, LOOK_EVERY);
})();
