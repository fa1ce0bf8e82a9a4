// The words and numbers of `rsctl status`, so that page and command line say the same.

/** A duration in its two largest units. */
export function time(ms) {
  const seconds = Math.floor(ms / 1000);
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days) return `${days}d${hours}h`;
  if (hours) return `${hours}h${minutes}m`;
  return minutes ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
}

export function lag(ms) {
  if (ms < 1000) return `${ms}ms`;
  return ms < 60000 ? `${Math.floor(ms / 1000)}.${Math.floor((ms % 1000) / 100)}s` : time(ms);
}

/** What is not known is a dash. */
export const orDash = (value, word = String) => (value === null || value === undefined ? "-" : word(value));

export function tone(member) {
  if (member.healthy) return member.state === "PRIMARY" ? "good" : "plain";
  return ["UNREACHABLE", "ROLLBACK", "REMOVED"].includes(member.state) ? "bad" : "warning";
}

/** A word that a later version may have counts as the worst. */
export const toneOfHealth = (health) => ({ ok: "good", degraded: "warning", uninitiated: "warning" })[health] ?? "bad";

export const percent = ({ copied, total }) => (total > 0 ? Math.min(100, Math.floor((copied * 100) / total)) : 0);

const UNITS = [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3]];

export function progress(sync) {
  const [unit, size] = UNITS.find(([, size]) => sync.total >= size) ?? UNITS[3];
  const amount = (bytes) => (Math.floor(bytes / (size / 10)) / 10).toFixed(1);
  const left = sync.left_ms === null || sync.left_ms === undefined ? "" : `, ${time(sync.left_ms)} left`;
  return `${percent(sync)} %, ${amount(sync.copied)} of ${amount(sync.total)} ${unit}${left}`;
}

export function votes(member) {
  if (member.votes) return "1 vote";
  return member.awaits_vote ? "vote to come" : "no vote";
}
