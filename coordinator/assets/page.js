// Keeps an open page up to date, and says so when it cannot. The page is complete without it.
"use strict";
(() => {
  const main = document.getElementById("live");
  if (!main) return;

  const GAP_MS = 5000; // between two fetches, however much happens
  const SILENCE_MS = 40000; // two signs of life are missing
  const LOOK_MS = 30000; // when no events come, look anyway

  let heard = Date.now();
  let fetched = Date.now();
  let waiting = null;
  let busy = false;

  const word = (text, state) => {
    const spot = document.getElementById("pulse-word");
    if (spot && spot.textContent !== text) spot.textContent = text;
    const mark = document.getElementById("as-of");
    if (mark) mark.dataset.state = state;
  };

  // Elements of the page that stand for the same thing before and after.
  const keyed = (root) =>
    [...root.querySelectorAll("[data-key]")].filter((e) => !e.querySelector("[data-key]"));
  const keys = (parts) => parts.map((e) => e.dataset.key).join("\n");
  const stops = (root) => [...root.querySelectorAll("a[href], summary, button")];

  const focusIn = (part) => {
    const at = stops(part).indexOf(document.activeElement);
    return at < 0 ? null : at;
  };

  const replace = (old, fresh) => {
    const focus = focusIn(old);
    for (const open of old.querySelectorAll("details[open][id]")) {
      const twin = fresh.querySelector("#" + CSS.escape(open.id));
      if (twin) twin.open = true;
    }
    old.replaceWith(fresh);
    if (focus !== null) stops(fresh)[focus]?.focus({ preventScroll: true });
  };

  const swap = (text) => {
    const page = new DOMParser().parseFromString(text, "text/html");
    const fresh = page.getElementById("live");
    if (!fresh) return;
    const before = document.getElementById("sentence")?.textContent;
    const [old, now] = [keyed(main), keyed(fresh)];
    if (keys(old) === keys(now)) {
      old.forEach((part, i) => part.isEqualNode(now[i]) || replace(part, now[i]));
      const headings = [main, fresh].map((root) => [...root.querySelectorAll("section > h2")]);
      headings[0].forEach((h, i) => headings[1][i] && !h.isEqualNode(headings[1][i]) && h.replaceWith(headings[1][i]));
    } else {
      const inside = { querySelectorAll: (s) => main.querySelectorAll(s) };
      const focus = focusIn(inside);
      main.replaceChildren(...fresh.childNodes);
      if (focus !== null) stops(main)[focus]?.focus({ preventScroll: true });
    }
    const after = document.getElementById("sentence")?.textContent;
    if (after && after !== before) document.getElementById("say").textContent = after;
    for (const id of ["as-of", "foot"]) {
      const [a, b] = [document.getElementById(id), page.getElementById(id)];
      if (a && b) a.replaceWith(b);
    }
    document.title = page.title;
    document.body.className = page.body.className;
  };

  const look = async () => {
    waiting = null;
    if (busy || document.hidden) return;
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (!answer.ok) throw new Error(String(answer.status));
      swap(await answer.text());
      fetched = Date.now();
      document.body.classList.remove("offline");
      word("Live,", "live");
    } catch {
      document.body.classList.add("offline");
      word("Connection lost;", "lost");
    }
    busy = false;
  };

  const soon = () => {
    if (waiting === null) waiting = setTimeout(look, Math.max(0, fetched + GAP_MS - Date.now()));
  };

  if (window.EventSource) {
    const source = new EventSource("/events");
    const alive = () => {
      heard = Date.now();
      if (!document.body.classList.contains("offline")) word("Live,", "live");
    };
    source.addEventListener("alive", alive);
    source.addEventListener("change", () => {
      alive();
      soon();
    });
  }
  setInterval(() => {
    const now = Date.now();
    if (now - fetched > LOOK_MS || now - heard > SILENCE_MS) soon();
  }, 5000);
  document.addEventListener("visibilitychange", () => document.hidden || soon());

  // What a bar stands for, under the pointer.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);

  const told = (bars, day) => {
    const own = bars.querySelector(`[data-day="${day}"] > title`);
    if (own) return own.textContent;
    const date = new Date(bars.dataset.first + "T00:00:00Z");
    date.setUTCDate(date.getUTCDate() + day);
    const name = date.toLocaleDateString("en-GB", {
      weekday: "short", day: "numeric", month: "short", year: "numeric", timeZone: "UTC",
    });
    return name.replace(",", "") + (bars.dataset.days[day] === "u" ? ": 100 %, no downtime" : ": no data");
  };

  document.addEventListener("pointermove", (event) => {
    const bars = event.target instanceof Element ? event.target.closest(".bars") : null;
    tip.hidden = !bars;
    if (!bars) return;
    const box = bars.getBoundingClientRect();
    const count = bars.dataset.days.length;
    const day = Math.min(count - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * count)));
    tip.textContent = told(bars, day);
    const left = box.left + ((day + 0.5) / count) * box.width - tip.offsetWidth / 2;
    tip.style.left = Math.max(8, Math.min(innerWidth - tip.offsetWidth - 8, left)) + "px";
    tip.style.top = Math.max(8, box.top - tip.offsetHeight - 8) + "px";
  });
  addEventListener("scroll", () => (tip.hidden = true), { passive: true });
})();
