'use strict';
// A web application: POST / with a body {"id": N} writes N and answers 201 once a majority has it, else 500.
const http = require('http');

function body(request) {
  return new Promise((resolve, reject) => {
    let text = '';
    request.on('data', (part) => { text += part; }).on('end', () => resolve(JSON.parse(text))).on('error', reject);
  });
}

// `insert(id)` writes `{_id: id}` with w: majority.
function serve(version, port, insert) {
  process.on('SIGTERM', () => process.exit(0));
  const server = http.createServer((request, response) => {
    const answer = (status, text) => response.writeHead(status, { Connection: 'close' }).end(text);
    body(request).then(({ id }) => insert(id)).then(
      () => answer(201, ''),
      (error) => answer(500, `${error.name}: ${error.message}`),
    );
  });
  server.listen(port, () => console.log(`start ${version}`));
}

module.exports = { serve };
