'use strict';
// Writes one document after the other and tells of every one that was acknowledged.
//   start VERSION     once, when the first write is about to go out
//   ID MILLISECONDS   for every acknowledged write
// What fails is told on stderr, and the next id is tried.

// An answer that has not come by then will not: the application gives up on that request, as one with users would.
const WRITE_LIMIT_MS = 5000;
const PACE_MS = 10;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// `insert(id)` writes `{_id: id}` with w: majority.
async function write(version, insert) {
  process.stdout.on('error', () => process.exit(1)); // nobody listens any more
  console.log(`start ${version}`);
  // A later process begins above what an earlier one wrote, and all ids are exact as doubles.
  for (let id = Date.now() * 1000; ; id++) {
    try {
      await within(WRITE_LIMIT_MS, insert(id));
      console.log(`${id} ${Date.now()}`);
    } catch (error) {
      console.error(`${error.name}: ${error.message}`);
    }
    await pause(PACE_MS);
  }
}

module.exports = { write };
