// Keeps the demonstration's page up to date, and turns its switches without leaving it. The page
// is complete without it.
"use strict";
(() => {
  const main = document.getElementById("live");
  if (!main) return;

  const GAP_MS = 300; // between two fetches, however much happens

  let fetched = 0;
  let waiting = null;
  let busy = false;

  const keyed = (root) => new Map([...root.querySelectorAll("[data-key]")].map((e) => [e.dataset.key, e]));
  const stops = (root) => [...root.querySelectorAll("a[href], summary, button")];

  const replace = (old, fresh) => {
    const focus = stops(old).indexOf(document.activeElement);
    old.replaceWith(fresh);
    if (focus >= 0) stops(fresh)[focus]?.focus({ preventScroll: true });
    fresh.classList.add("changed");
  };

  // Mails are only ever added in front; an old one must not load again.
  const mails = (page) => {
    const [old, fresh] = [main, page].map((root) => root.querySelector(".mails"));
    const known = keyed(old);
    const wanted = [...fresh.children].map((mail) => known.get(mail.dataset.key) ?? mail);
    for (const mail of known.values()) if (!wanted.includes(mail)) mail.remove();
    wanted.forEach((mail, i) => old.children[i] === mail || old.insertBefore(mail, old.children[i] ?? null));
    const empty = [main, page].map((root) => root.querySelector(".nothing"));
    if (empty[0] && !empty[1]) empty[0].remove();
    if (!empty[0] && empty[1]) old.before(empty[1]);
  };

  const swap = (text) => {
    const page = new DOMParser().parseFromString(text, "text/html");
    if (!page.getElementById("live")) return;
    const before = document.getElementById("sentence").textContent;
    mails(page.getElementById("live"));
    const now = keyed(page);
    for (const [key, part] of keyed(main)) {
      const fresh = now.get(key);
      if (!fresh || key.startsWith("mail-") || key === "no-mail") continue;
      part.classList.remove("changed");
      if (!part.getAttribute("class")) part.removeAttribute("class");
      if (!part.isEqualNode(fresh)) replace(part, fresh);
    }
    [...main.querySelectorAll(".carrier")].forEach((carrier, i) => {
      const fresh = page.querySelectorAll(".carrier")[i];
      if (fresh) carrier.className = fresh.className;
    });
    const after = document.getElementById("sentence").textContent;
    if (after !== before) document.getElementById("say").textContent = after;
    document.title = page.title;
  };

  const look = async () => {
    waiting = null;
    if (busy) return soon();
    busy = true;
    try {
      const answer = await fetch("/demo");
      if (answer.ok) swap(await answer.text());
      main.classList.remove("offline");
    } catch {
      main.classList.add("offline");
    }
    fetched = Date.now();
    busy = false;
  };

  const soon = () => {
    if (waiting === null) waiting = setTimeout(look, Math.max(0, fetched + GAP_MS - Date.now()));
  };

  main.addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target;
    const button = form.querySelector("button");
    button.setAttribute("aria-busy", "true");
    try {
      await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), redirect: "manual" });
    } catch {
      main.classList.add("offline");
    }
    button.removeAttribute("aria-busy");
    soon();
  });

  new EventSource("/demo/events").addEventListener("change", soon);
})();
