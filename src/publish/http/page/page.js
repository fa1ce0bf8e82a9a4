// What the page shows, and where it is from: `v1/events` while it is in sight, and `v1/status` when that is silent.
//
// Everything that is shown comes from the network, so it becomes text nodes, and nothing is ever read as markup.
import { draw } from "./picture.js";
import { lag, orDash, percent, progress, time, tone, toneOfHealth } from "./words.js";

const SILENT_MS = 12000; // then the page asks by itself
const ASK_EVERY_MS = 5000;
const STALE_MS = 15000; // an older observation is shown as old
const SEAT_AGAIN_MS = 15000; // how long to wait when all streams are taken
const EVENTS_MAX = 50;

const page = (id) => document.getElementById(id);
const know = { status: null, seen: 0, uri: "", events: [] };
const link = { stream: null, heard: -Infinity, asked: -Infinity, failed: -Infinity, begun: performance.now() };

// === Elements ===

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const shown = new Map();

/** Makes the children of an element anew if what they show differs. So a selection or an open part stays. */
function fill(element, items, build) {
  const key = JSON.stringify(items);
  if (shown.get(element) === key) return;
  shown.set(element, key);
  element.replaceChildren(...items.flatMap(build));
}

/** Text with `commands` in it. Each has a button that copies it. */
function withCommands(text) {
  return text.split("`").flatMap((part, at) => {
    if (at % 2 === 0) return [part];
    const code = make("code", {}, part);
    return part.startsWith("rsctl ") ? [code, copyButton(code)] : [code];
  });
}

function copyButton(code) {
  const button = make("button", { type: "button", title: `Copy ${code.textContent}` }, "Copy");
  button.addEventListener("click", () => copy(code, button));
  return button;
}

/** The clipboard exists only over TLS and on localhost. Elsewhere the text is selected and the browser copies that. */
async function copy(code, button) {
  let done = false;
  try {
    await navigator.clipboard.writeText(code.textContent);
    done = true;
  } catch {
    getSelection().selectAllChildren(code);
    done = document.execCommand("copy");
  }
  const told = done ? "Copied" : "Selected";
  say(button, told);
  say(page("told"), told);
  setTimeout(() => [button, page("told")].forEach((element) => say(element, element === button ? "Copy" : "")), 2000);
}

// === What is known ===

function show() {
  const { status } = know;
  if (!status) return;
  const kind = toneOfHealth(status.health);
  const [, word, rest] = /^([^:;]*)[:;]?\s*(.*)$/s.exec(status.verdict);
  say(page("verdict-word"), word);
  say(page("verdict-rest"), rest);
  page("verdict").className = `box ${kind}`;
  say(page("set"), `replica set ${status.set}`);
  say(page("headline"), headline(status));
  document.title = `${word}: ${status.set}`;
  showIcon(kind);
  showFindings(status.findings);
  showRecovery(status.recovery);
  draw(page("picture"), status.members, status.others);
  showNext(status);
  showMembers(status.members);
  say(page("uri"), know.uri || "not known yet");
  page("copy").disabled = !know.uri;
  showEvents();
}

function headline(status) {
  const leader = status.members.find((member) => member.host === status.primary);
  const since = status.primary_ms ?? leader?.state_ms ?? null;
  const margin = status.margin;
  return [
    status.primary && `PRIMARY ${status.primary}${since === null ? "" : ` for ${time(since)}`}`,
    margin && `${margin.live} of ${margin.voters} voters work, ${margin.majority} needed`,
    status.feature_version && `MongoDB ${status.feature_version}`,
    status.term !== null && `term ${status.term}`,
    status.config_version !== null && `config v${status.config_version}`,
  ].filter((part) => part).join(" · ");
}

/** The tab shows the health, too: a disc, a triangle or a square, so that not only its colour tells. */
function showIcon(kind) {
  const shapes = {
    good: "<circle cx='8' cy='8' r='7' fill='%2318a065'/>",
    warning: "<path d='M8 1 15 15H1z' fill='%23d99a1c'/>",
    bad: "<path d='M1 1h14v14H1z' fill='%23d2362f'/>",
  };
  const href = `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>${shapes[kind]}</svg>`;
  if (page("icon").getAttribute("href") !== href) page("icon").setAttribute("href", href);
}

function showFindings(findings) {
  page("findings").hidden = findings.length === 0;
  fill(page("findings").querySelector("ul"), findings, ({ severity, text }) => {
    const warns = severity === "warning";
    const label = make("span", { class: "label" }, warns ? "warning: " : "error: ");
    return make("li", { class: `box ${warns ? "warning" : "bad"}` }, label, ...withCommands(text));
  });
}

function showNext(status) {
  const rows = [["next", `${status.next}${status.because ? ` (${status.because})` : ""}`]];
  for (const { step, because } of status.steps.slice(1)) rows.push(["then", `${step} (${because})`]);
  for (const waiting of status.waiting) rows.push(["waiting", waiting]);
  fill(page("next"), rows, row);
}

const row = ([term, text]) => [make("dt", {}, term), make("dd", {}, ...withCommands(text))];

function showRecovery(recovery) {
  page("recovery").hidden = !recovery;
  if (!recovery) return;
  const rows = [
    ["verdict", recovery.verdict],
    ["votes found", `${recovery.votes}, and an election needs ${recovery.votes_needed}`],
    ...recovery.missing.map(({ host, note }) => ["missing", `${host}: ${note}`]),
    ...(recovery.step ? [["can be done", recovery.step]] : []),
    ...recovery.lost.map((lost) => ["would be lost", lost]),
    ...recovery.reasons.map((reason) => ["in the way", reason]),
    ["all evidence", "`rsctl recover`"],
  ];
  fill(page("recovery").querySelector("dl"), rows, row);
}

function showMembers(members) {
  const rows = members.map((member) => ({
    tone: tone(member),
    cells: [
      member.state,
      orDash(member.state_ms, time),
      `${member.votes}${member.awaits_vote && !member.votes ? ", to come" : ""}`,
      String(member.priority),
      orDash(member.lag_ms, lag),
      orDash(member.oplog_ms, time),
      orDash(member.sync_source),
    ],
    name: member.host,
    address: member.address ?? "",
    note: member.note ?? (member.healthy ? "" : "not healthy"),
    sync: member.sync && { percent: percent(member.sync), text: progress(member.sync) },
  }));
  fill(document.querySelector("tbody"), rows, ({ tone, cells, name, address, note, sync }) => {
    const [state, ...others] = cells;
    const bar = sync ? [make("progress", { max: 100, value: sync.percent }), ` ${sync.text}`] : [];
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, name, make("div", { class: "address" }, address)),
      make("td", { class: `tone-${tone}` }, state),
      ...others.map((text) => make("td", {}, text)),
      make("td", {}, note, ...(note && sync ? [": "] : []), ...bar),
    );
  });
}

function showEvents() {
  const events = know.events.slice(-EVENTS_MAX).reverse();
  fill(page("events"), events.length ? events : [null], (event) => {
    if (!event) return make("li", { class: "none" }, "Nothing has happened yet.");
    const when = make("time", { datetime: event.at }, event.at.replace("T", " ").replace("Z", ""));
    const item = make("li", {}, when, make("div", {}, ...withCommands(event.what)));
    item.append(make("p", {}, `${event.why ? `because ${event.why}, ` : ""}by ${event.by}`));
    if (event.changes.length) {
      const changes = event.changes.map((change) => make("li", { class: "mono" }, change));
      const version = event.config_version === null ? "" : ` in config v${event.config_version}`;
      item.append(make("details", {}, make("summary", {}, `what differs${version}`), make("ul", {}, ...changes)));
    }
    return item;
  });
}

// === Where it is from ===

function receive(status) {
  const news = JSON.stringify(status.history) !== JSON.stringify(know.status?.history);
  Object.assign(know, { status, seen: performance.now() - status.observed_ms_ago });
  link.heard = performance.now();
  if (news) {
    if (!know.events.length) know.events = status.history;
    askHistory();
  }
  show();
  tick();
}

async function get(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(ASK_EVERY_MS) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.text();
}

async function askHistory() {
  try {
    know.events = JSON.parse(await get("v1/history")).events;
  } catch {
    know.events = know.status.history;
  }
  show();
}

async function ask() {
  link.asked = performance.now();
  try {
    const [status, uri] = await Promise.all([get("v1/status"), get("v1/uri").catch(() => "")]);
    know.uri = uri.trim();
    receive(JSON.parse(status));
  } catch {
    link.failed = performance.now();
  }
}

/** A page that nobody sees takes no stream from those who look. */
function listen() {
  if (link.stream || document.hidden) return;
  const stream = new EventSource("v1/events");
  link.stream = stream;
  stream.addEventListener("status", ({ data }) => receive(JSON.parse(data)));
  stream.addEventListener("uri", ({ data }) => {
    know.uri = data;
    show();
  });
  stream.addEventListener("error", () => {
    link.failed = performance.now();
    if (stream.readyState !== EventSource.CLOSED) return;
    hangUp();
    setTimeout(listen, SEAT_AGAIN_MS);
  });
}

function hangUp() {
  link.stream?.close();
  link.stream = null;
}

/** Every second: how old the observation is, and whether to ask. */
function tick() {
  const now = performance.now();
  if (document.hidden) return;
  if (now - Math.max(link.heard, link.begun) > SILENT_MS && now - link.asked > ASK_EVERY_MS) ask();
  const age = now - (know.status ? know.seen : link.begun);
  const cut = link.failed > link.heard;
  const stale = age >= STALE_MS;
  const live = link.stream?.readyState === EventSource.OPEN && !cut;
  document.body.classList.toggle("stale", stale && know.status !== null);
  page("freshness").classList.toggle("live", live && !stale);
  if (know.status) say(page("freshness"), `${stale ? "stale" : live ? "live" : "reconnecting"} · observed ${time(age)} ago`);
  page("stale").hidden = !stale;
  say(page("stale"), !stale ? "" : cut
    ? "No connection to the controller. What this page shows may no longer be true."
    : "The controller has not observed the set for a while. What this page shows may no longer be true.");
}

page("copy").addEventListener("click", () => copy(page("uri"), page("copy")));
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return hangUp();
  link.begun = performance.now();
  listen();
});
addEventListener("pagehide", hangUp);
new ResizeObserver(show).observe(page("picture"));
setInterval(tick, 1000);
listen();
