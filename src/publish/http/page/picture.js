// The topology: one card for each member, below the one that it copies from. It is drawn in the width that there is, so
// that its text is never scaled.
import { lag, percent, time, tone, votes } from "./words.js";

const LEAST_WIDTH = 240; // also before the page has its style
const NARROW = 560; // below this width the cards stand in a list
const CARD = { height: 122, widest: 250, least: 176 };
const GAP = { across: 24, down: 44, list: 14, indent: 26 };
const LATE_MS = 10000;

const SVG = "http://www.w3.org/2000/svg";

/** Text becomes text nodes only: all names are from the network. */
function make(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** How far each member is from the primary, in steps of copying. One without a known source stands in the second row. */
function depths(members, sources) {
  const depth = (member, before) => {
    if (member.state === "PRIMARY") return 0;
    const source = sources.get(member);
    return source && !before.includes(member) ? depth(source, [...before, member]) + 1 : 1;
  };
  return new Map(members.map((member) => [member, depth(member, [])]));
}

function placed(members, others, width) {
  const byHost = new Map(members.map((member) => [member.host, member]));
  const from = (member) => (member.state === "PRIMARY" ? undefined : byHost.get(member.sync_source));
  const sources = new Map(members.map((member) => [member, from(member)]));
  const depth = depths(members, sources);
  // A circle of members that copy from each other, as while they choose anew, has no arrow back.
  for (const [member, source] of sources) if (source && depth.get(source) >= depth.get(member)) sources.delete(member);
  const places = width < NARROW ? list(members, others, sources, depth, width) : rows(members, others, depth, width);
  return { places, sources };
}

/** For a phone: each card below the one that it copies from, indented. */
function list(members, others, sources, depth, width) {
  const places = new Map();
  let y = 2;
  const put = (item, level) => {
    const x = 2 + Math.min(level, 4) * GAP.indent;
    places.set(item, { x, y, width: width - x - 2 });
    y += CARD.height + GAP.list;
  };
  const follow = (member) => {
    put(member, depth.get(member));
    for (const next of members) if (sources.get(next) === member) follow(next);
  };
  const begins = members.filter((member) => !sources.get(member));
  begins.sort((a, b) => depth.get(a) - depth.get(b)).forEach(follow);
  others.forEach((other) => put(other, 0));
  return { at: places, height: y - GAP.list + 2, narrow: true };
}

/** A row for each depth. Rows that are too long for the screen go on below, and then all stand in one grid. */
function rows(members, others, depth, width) {
  const fit = Math.max(1, Math.floor((width + GAP.across) / (CARD.least + GAP.across)));
  const levels = [];
  for (const member of members) (levels[depth.get(member)] ??= []).push(member);
  const all = [...levels.filter((level) => level), ...(others.length ? [others] : [])];
  const longest = Math.min(fit, Math.max(1, ...all.map((level) => level.length)));
  const wraps = all.some((level) => level.length > fit);
  const edges = wraps ? GAP.across * 1.5 : 4; // arrows to rows further down pass left of the first card, too
  const card = Math.min(CARD.widest, (width - edges - (longest - 1) * GAP.across) / longest);
  const places = new Map();
  let y = 2;
  for (const level of all) {
    for (let first = 0; first < level.length; first += longest) {
      const row = level.slice(first, first + longest);
      const columns = wraps && level.length > 1 ? longest : row.length;
      const left = (width - columns * card - (columns - 1) * GAP.across) / 2 + (wraps ? GAP.across / 4 : 0);
      row.forEach((item, at) => places.set(item, { x: left + at * (card + GAP.across), y, width: card }));
      y += CARD.height + GAP.down;
    }
  }
  return { at: places, height: y - GAP.down + 2, narrow: false };
}

/** From below the source to the top of the one that copies. It passes rows between them left of the card. */
function edge(from, to, narrow, late) {
  const middle = CARD.height / 2;
  let path;
  if (narrow) {
    const x = from.x + GAP.indent / 2;
    path = `M${x} ${from.y + CARD.height} V${to.y + middle} H${to.x - 6}`;
  } else {
    const [start, end] = [from.x + from.width / 2, to.x + to.width / 2];
    const bus = from.y + CARD.height + GAP.down / 2;
    const last = to.y - GAP.down / 2;
    const aside = last > bus ? `H${to.x - GAP.across / 2} V${last} ` : "";
    path = `M${start} ${from.y + CARD.height} V${bus} ${aside}H${end} V${to.y - 6}`;
  }
  const [x, y] = narrow ? [to.x, to.y + middle] : [to.x + to.width / 2, to.y];
  const tip = narrow ? `M${x} ${y} l-9 -5 v10z` : `M${x} ${y} l-5 -9 h10z`;
  const kind = late ? " late" : "";
  return [make("path", { class: `edge${kind}`, d: path }), make("path", { class: `tip${kind}`, d: tip })];
}

/** Its end tells hosts of one service apart, so a long one loses its middle. */
function fitted(value, width, each) {
  const text = String(value ?? "");
  const room = Math.max(4, Math.floor(width / each));
  if (text.length <= room) return text;
  const tail = Math.floor((room - 1) * 0.55);
  return `${text.slice(0, room - 1 - tail)}…${text.slice(text.length - tail)}`;
}

/** Two lines at most. The whole text is in the table and in the card's title. */
function folded(value, width, each) {
  const room = Math.max(4, Math.floor(width / each));
  const lines = [""];
  for (const word of String(value ?? "").split(" ")) {
    const longer = lines.at(-1) ? `${lines.at(-1)} ${word}` : word;
    if (longer.length <= room || !lines.at(-1)) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  if (lines.length > 2) lines[1] += "…";
  return lines.slice(0, 2).map((line) => fitted(line, width, each));
}

function card(place, kind, title, lines) {
  const { x, y, width } = place;
  const room = width - 32;
  const text = (at, words, name, each) => make("text", { x: x + 18, y: y + at, class: name }, fitted(words, room, each));
  const group = make("g", { class: kind });
  group.append(make("title", {}, title), make("rect", { class: "card", x, y, width, height: CARD.height, rx: 8 }));
  group.append(make("rect", { class: "stripe", x: x + 7, y: y + 12, width: 4, height: CARD.height - 24, rx: 2 }));
  group.append(text(24, lines.state, "state", 8.6));
  if (lines.vote) group.append(make("text", { x: x + width - 14, y: y + 24, class: "dim end" }, lines.vote));
  group.append(text(46, lines.name, "name", 8.9), text(65, lines.where, "dim", 6.8));
  folded(lines.now, room, 7.2).forEach((line, at) => group.append(text(87 + at * 17, line, "", 7.2)));
  if (lines.done !== undefined) {
    const bar = (part, name) => make("rect", { class: name, x: x + 18, y: y + 112, width: (room * part) / 100, height: 4, rx: 2 });
    group.append(bar(100, "track"), bar(lines.done, "done"));
  }
  return group;
}

function now(member) {
  if (member.sync) {
    const left = member.sync.left_ms === null ? "" : `, ${time(member.sync.left_ms)} left`;
    return `copies its data: ${percent(member.sync)} %${left}`;
  }
  if (!member.healthy) return member.note ?? "not healthy";
  const since = member.state_ms === null ? "" : `for ${time(member.state_ms)}`;
  if (member.state === "PRIMARY") return since ? `takes writes ${since}` : "takes writes";
  if (member.note) return member.note;
  if (member.lag_ms === null) return since;
  return member.lag_ms < 1000 ? "in step" : `${lag(member.lag_ms)} behind`;
}

/** The short name: the node, or the host without its domain and MongoDB's usual port. */
function short(one) {
  const host = one.host.replace(/:27017$/, "");
  return one.node ?? (/^[\d.:[\]]+$/.test(host) ? host : host.replace(/\.[^:]*/, ""));
}

function member(place, one) {
  const lines = {
    state: one.state,
    vote: one.state.length * 8.6 + 90 > place.width ? "" : votes(one),
    name: short(one),
    where: one.host,
    now: now(one),
    done: one.sync ? percent(one.sync) : undefined,
  };
  const kind = `member ${tone(one)}${one.state === "PRIMARY" ? " primary" : ""}`;
  return card(place, kind, `${one.host}: ${one.state}, ${votes(one)}. ${one.note ?? ""}`, lines);
}

function other(place, one) {
  const lines = { state: one.state, name: one.host, where: one.address ?? "", now: one.note ?? "", vote: "no member" };
  return card(place, "other", `${one.host}: no member, ${one.state}. ${one.note ?? ""}`, lines);
}

function spoken(members, others) {
  const copies = (one) => (one.sync_source ? ` and copies from ${one.sync_source}` : "");
  const words = members.map((one) => `${one.host} is ${one.state}${copies(one)}`);
  return [...words, ...others.map((one) => `${one.host} is no member`)].join("; ") || "No members are known";
}

/** Draws into this element. It is drawn anew only when something in it differs. */
export function draw(into, members, others) {
  if (!members.length && !others.length) return into.replaceChildren("No members are known yet.");
  const width = Math.max(LEAST_WIDTH, into.clientWidth);
  const { places, sources } = placed(members, others, width);
  const svg = make("svg", { viewBox: `0 0 ${width} ${places.height}`, height: places.height, role: "img" });
  svg.setAttribute("aria-label", spoken(members, others));
  for (const [one, source] of sources) {
    if (!source) continue;
    svg.append(...edge(places.at.get(source), places.at.get(one), places.narrow, one.lag_ms >= LATE_MS));
  }
  for (const one of members) svg.append(member(places.at.get(one), one));
  for (const one of others) svg.append(other(places.at.get(one), one));
  if (!into.firstChild?.isEqualNode(svg)) into.replaceChildren(svg);
}
