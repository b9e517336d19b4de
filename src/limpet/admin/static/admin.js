// Two conveniences: times in the reader's own zone, and figures that stay up to date. The page does without.

const EVERY = 5000; // milliseconds

function tellTimes(within) {
  for (const time of within.querySelectorAll("time")) {
    const clock = { hour: "2-digit", minute: "2-digit" };
    const full = { year: "numeric", month: "short", day: "numeric", ...clock, second: "2-digit" };
    time.textContent = new Date(time.dateTime).toLocaleString([], time.dataset.form === "minute" ? clock : full);
  }
  for (const label of within.querySelectorAll("text[data-time]")) {
    const moment = new Date(Number(label.dataset.time));
    label.textContent = moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  }
}

tellTimes(document);

const live = document.querySelector("[data-live]");

if (live) {
  const wanted = document.getElementById("updates");
  const said = document.getElementById("updated");
  wanted.closest("[hidden]").hidden = false;

  const say = (text) => {
    if (said.textContent !== text) said.textContent = text;
  };

  // A part that somebody is in, by keyboard or by selecting, is left alone until they leave it.
  const inUse = (part) => part.contains(document.activeElement) || (getSelection()?.type === "Range" && getSelection().containsNode(part, true));

  const update = async () => {
    if (!wanted.checked || document.hidden) return;
    const answer = await fetch(live.dataset.live);
    if (answer.status === 403) {
      say("You may not see this any more. Load the page again.");
      return;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of live.querySelectorAll("[data-part]")) {
      const now = fresh.getElementById(part.id);
      if (!now || inUse(part)) continue;
      const open = part.querySelector("details")?.open;
      part.replaceWith(document.adoptNode(now));
      const details = now.querySelector("details");
      if (details) details.open = Boolean(open);
      tellTimes(now);
    }
    say("");
  };

  const round = () =>
    update()
      .catch(() => say("The server does not answer; these figures are of a while ago."))
      .finally(() => setTimeout(round, EVERY));
  setTimeout(round, EVERY);
  wanted.addEventListener("change", () => say(wanted.checked ? "" : "The figures stay as they are."));
}
