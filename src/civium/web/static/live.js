// Keeps the first page young: asks for it again and changes what is different, in place.

const EVERY_MS = 2000;
const pulse = document.getElementById("pulse");
const pause = document.getElementById("pause");
const words = document.getElementById("words").dataset; // in the reader's language
let paused = false;

/** Make the element `now` like `next`, keeping what is the same: focus, scroll and running transitions stay. */
function settle(now, next) {
  if (now.isEqualNode(next)) return;
  if (now.nodeType !== Node.ELEMENT_NODE) {
    now.nodeValue = next.nodeValue;
    return;
  }
  for (const { name } of [...now.attributes]) if (!next.hasAttribute(name)) now.removeAttribute(name);
  for (const { name, value } of next.attributes) if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  const named = new Map([...now.children].filter((child) => child.id).map((child) => [child.id, child]));
  let at = now.firstChild;
  for (const wanted of [...next.childNodes]) {
    const found = wanted.id ? named.get(wanted.id) : at && !at.id && at.nodeName === wanted.nodeName ? at : undefined;
    if (found === undefined) {
      now.insertBefore(document.importNode(wanted, true), at);
      continue;
    }
    if (found === at) at = at.nextSibling;
    else now.insertBefore(found, at);
    settle(found, wanted);
  }
  while (at) {
    const rest = at.nextSibling;
    at.remove();
    at = rest;
  }
}

function say(text, state) {
  if (pulse.textContent !== text) pulse.textContent = text;
  pulse.className = state;
}

async function refresh() {
  if (paused || document.hidden) return;
  try {
    const answer = await fetch("/", { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(answer.statusText);
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const young = next.getElementById(part.id);
      if (young && !paused) settle(part, young);
    }
    say(words.live, "live");
  } catch {
    say(words.away, "away");
  }
}

pause.hidden = false;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = words[paused ? "goon" : "pause"];
  if (paused) say(words.paused, "paused");
  else refresh();
});
for (;;) {
  await new Promise((done) => setTimeout(done, EVERY_MS));
  await refresh();
}
