// Calls as a gRPC client makes them, over HTTP/2: streaming both ways, unary, and one long upload. One JSON argument:
// { port, ca }. Prints what came of them.
import fs from 'node:fs';
import http2 from 'node:http2';

const { port, ca } = JSON.parse(process.argv[2]);
const session = http2.connect(`https://app.localhost:${port}`, {
  ca: fs.readFileSync(ca),
  servername: 'app.localhost',
  lookup: (_, options, found) =>
    options.all ? found(null, [{ address: '127.0.0.1', family: 4 }]) : found(null, '127.0.0.1', 4),
});
session.setTimeout(20_000, () => process.exit(1));

const head = (path) => ({
  ':method': 'POST',
  ':path': path,
  ':authority': 'app.localhost',
  'content-type': 'application/grpc',
  te: 'trailers',
});

/** Sends each message when the one before it was answered. */
function call(messages) {
  return new Promise((resolve, reject) => {
    const stream = session.request(head('/stream'));
    const said = { got: [] };
    let next = 0;
    const send = () => (next < messages.length ? stream.write(messages[next++]) : stream.end());
    stream.on('response', (headers) => (said.status = headers[':status']));
    stream.on('data', (piece) => {
      said.got.push(piece.toString());
      send();
    });
    stream.on('trailers', (trailers) => (said.trailers = { ...trailers }));
    stream.on('end', () => resolve(said));
    stream.on('error', reject);
    send();
  });
}

function upload(length) {
  return new Promise((resolve, reject) => {
    const stream = session.request(head('/'));
    let text = '';
    stream.on('data', (piece) => (text += piece));
    stream.on('end', () => resolve(JSON.parse(text)));
    stream.on('error', reject);
    stream.end(Buffer.alloc(length, 'x'));
  });
}

const [streaming, unary] = await Promise.all([call(['one', 'two', 'three']), call(['all at once'])]);
// Not beside them, as it may leave so little room that their messages come in pieces.
const long = await upload(5_000_000);
console.log(JSON.stringify({ streaming, unary, long }));
session.close();
