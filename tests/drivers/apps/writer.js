'use strict';
// Writes one document after the other and prints each acknowledged write.
//   start VERSION     once, before the first write
//   ID MILLISECONDS   for every acknowledged write
// It prints failures on stderr, then tries the next id.

// The limit of one write. After that, the application gives it up, as an application with users does.
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
  process.stdout.on('error', () => process.exit(1)); // the output is closed
  console.log(`start ${version}`);
  // A later process starts above the ids of an earlier one, and all ids are exact as doubles.
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
