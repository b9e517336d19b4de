// The live parts: the countdown, times of your own zone, forms without a reload, fifty requests at once, and a word
// to the other tabs. Without this file the page works all the same, but for the fifty.

const FIFTY = 50;
const part = (id) => document.getElementById(id);
const status = part("status");
const otherTabs = new BroadcastChannel("limpet-demo");

function tellTimes() {
  for (const time of document.querySelectorAll("time")) {
    const moment = new Date(time.dateTime);
    const sameDay = moment.toDateString() === new Date().toDateString();
    time.textContent = moment.toLocaleString([], {
      ...(sameDay ? {} : { day: "numeric", month: "short" }),
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
    });
  }
}

// -- the countdown

let endsAt = null;

function startCountdown() {
  const left = part("left");
  endsAt = left ? performance.now() + Number(left.dataset.milliseconds) : null;
}

function tick() {
  const left = part("left");
  if (!left || endsAt === null) return;
  const seconds = Math.max(0, Math.floor((endsAt - performance.now()) / 1000));
  const two = (number) => String(number).padStart(2, "0");
  const days = Math.floor(seconds / 86400);
  const hours = Math.floor((seconds % 86400) / 3600);
  const rest = `${two(Math.floor((seconds % 3600) / 60))}:${two(seconds % 60)}`;
  if (days) left.textContent = `${days} d ${hours}:${rest}`;
  else left.textContent = hours ? `${hours}:${rest}` : rest.replace(/^0/, "");
  left.classList.toggle("soon", seconds < 60);
  if (seconds === 0) {
    endsAt = null;
    say("This session has run out. The next change begins a new one.");
    setTimeout(refresh, 1500);
  }
}

// -- the page, brought up to date

function say(text) {
  if (status) status.textContent = text;
}

// A node that says what it said stays the same node: a button that is being pressed, or has the focus, is not put away
// under the finger because another tab has changed something else. A button for something else is another button.
function update(old, now) {
  if (old.nodeName !== now.nodeName || old.id !== now.id || (old.nodeName === "BUTTON" && old.value !== now.value)) {
    old.replaceWith(document.adoptNode(now));
    return;
  }
  if (!(old instanceof Element)) {
    if (old.nodeValue !== now.nodeValue) old.nodeValue = now.nodeValue;
    return;
  }
  for (const name of old.getAttributeNames()) if (!now.hasAttribute(name)) old.removeAttribute(name);
  for (const name of now.getAttributeNames()) {
    if (old.getAttribute(name) !== now.getAttribute(name)) old.setAttribute(name, now.getAttribute(name));
  }
  const kept = [...old.childNodes];
  const fresh = [...now.childNodes];
  kept.slice(fresh.length).forEach((node) => node.remove());
  fresh.forEach((node, place) => (place < kept.length ? update(kept[place], node) : old.append(document.adoptNode(node))));
}

function show(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const focused = document.activeElement?.id;
  for (const old of document.querySelectorAll("[data-part]")) {
    const now = fresh.getElementById(old.id);
    if (now) update(old, now);
  }
  if (focused && part(focused) !== document.activeElement) part(focused)?.focus();
  prepare();
}

// One page is asked for at a time, so that what is shown last was also asked for last: of two at once, the older one may
// arrive later.
let shown = Promise.resolve();

function inTurn(ask) {
  const asked = shown.then(ask);
  shown = asked.catch(() => {}); // who asked says what went wrong
  return asked;
}

async function reload() {
  const answer = await fetch(location.pathname === "/account" ? "/account" : "/");
  if (answer.ok) show(await answer.text());
}

const refresh = () => inTurn(reload);

function prepare() {
  tellTimes();
  startCountdown();
  const fifty = part("fifty");
  if (fifty) fifty.hidden = false;
}

// -- forms without a reload

async function submit(form, pressed) {
  const fields = new URLSearchParams([...new FormData(form), ...pressed]);
  const answer = await fetch(form.action, { method: "POST", body: fields });
  if (answer.ok) {
    show(await answer.text());
    say("");
  } else {
    await reload();
    say(
      answer.status === 403
        ? "You have signed in or out in another tab. The page is up to date now; please press again."
        : `That was not saved (${answer.status}). Please press again.`,
    );
  }
  otherTabs.postMessage("changed");
}

function later(problem) {
  say(`The server does not answer (${problem.message}). Is it running?`);
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-live]")) return;
  event.preventDefault();
  const { target: form, submitter } = event;
  const pressed = submitter?.name ? [[submitter.name, submitter.value]] : []; // now: in its turn it may be gone
  inTurn(() => submit(form, pressed)).catch(later);
});

// -- fifty requests at once

async function count(csrf) {
  const answer = await fetch("/count", {
    method: "POST",
    headers: { accept: "application/json" },
    body: new URLSearchParams({ csrf }),
  });
  return answer.ok ? answer.json() : null;
}

async function fifty() {
  const before = Number(part("count").textContent);
  let csrf = part("count-form").elements.csrf.value;
  let todo = FIFTY;
  let taken = 0;
  const began = performance.now();
  if (!part("count").dataset.exists) {
    // Without a session yet, fifty first requests would begin fifty. One begins it, the others follow.
    const first = await count(csrf);
    csrf = first?.csrf ?? csrf;
    taken += first ? 1 : 0;
    todo -= 1;
  }
  const answers = await Promise.all(Array.from({ length: todo }, () => count(csrf)));
  taken += answers.filter(Boolean).length;
  const took = Math.round(performance.now() - began);
  await refresh();
  const after = Number(part("count").textContent);
  const refused = taken < FIFTY ? ` ${FIFTY - taken} were refused.` : "";
  let verdict = "None was lost.";
  if (after - before < taken) verdict = `Only ${after - before} of them counted.`;
  if (after - before > taken) verdict = "None was lost, and another tab counted too.";
  say(`${taken} requests answered in ${took} ms. The counter went from ${before} to ${after}. ${verdict}${refused}`);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("#fifty");
  if (!button) return;
  button.disabled = true;
  say(`Sending ${FIFTY} requests …`);
  try {
    await fifty();
  } catch (problem) {
    later(problem);
  }
  const now = part("fifty"); // the page may have replaced the button meanwhile
  now.disabled = false;
  now.focus();
  otherTabs.postMessage("changed");
});

// -- other tabs

otherTabs.addEventListener("message", () => refresh().catch(later));
if (document.querySelector("[data-part]")) otherTabs.postMessage("changed"); // this one may come from a sign-in or sign-out
window.addEventListener("pageshow", (event) => {
  if (event.persisted) refresh().catch(later);
});

if (document.querySelector("[data-part]")) {
  prepare();
  setInterval(tick, 250);
}
