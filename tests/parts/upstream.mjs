// An app behind foregate, in every form that one can have: HTTP/1.1 and HTTP/2, with TLS and without, on a port or a
// socket. Says what it got. One JSON argument: { kind: "http" | "https" | "h2" | "h2c", path, key, cert, ca, http1 }.
// Prints { port } when it is ready, and ends with its standard input.
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';

const options = JSON.parse(process.argv[2]);
const tls = { key: options.key, cert: options.cert };
if (options.ca) Object.assign(tls, { ca: options.ca, requestCert: true, rejectUnauthorized: true });

let sessions = 0;
const seen = [];
const refused = new Set();
const waiting = [];

function connectionOf(request) {
  const owner = request.stream?.session ?? request.socket;
  owner.number ??= ++sessions;
  return owner.number;
}

async function answer(request, response) {
  const socket = request.stream?.session?.socket ?? request.socket;
  const [path] = request.url.split('?');
  const said = {
    version: request.httpVersion,
    method: request.method,
    url: request.url,
    host: request.headers.host ?? null,
    authority: request.headers[':authority'] ?? null,
    scheme: request.headers[':scheme'] ?? null,
    headers: { ...request.headers },
    connection: connectionOf(request),
    sni: socket.servername || null,
    client: socket.getPeerCertificate?.()?.subjectaltname ?? null,
  };
  seen.push(said);
  if (path === '/seen') return response.end(JSON.stringify(seen));
  if (path === '/finish') {
    for (const finish of waiting.splice(0)) finish();
    return response.end('finished');
  }
  if (path === '/wait') {
    await new Promise((resolve) => waiting.push(resolve));
  }
  if (path === '/events') {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: one\n\n');
    waiting.push(() => response.end('data: two\n\n'));
    return;
  }
  if (path === '/refuse-once' && !refused.has(request.url)) {
    refused.add(request.url);
    return request.stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
  }
  if (path === '/leave') {
    response.end('left');
    return request.stream.session.goaway();
  }
  if (path === '/stream') {
    // As gRPC does: each message is answered when it comes, and what came of it is said behind the end.
    response.writeHead(200, { 'content-type': 'application/grpc', trailer: 'grpc-status, x-messages' });
    let messages = 0;
    for await (const piece of request) {
      messages += 1;
      response.write(`got ${piece}`);
    }
    response.addTrailers({ 'grpc-status': '0', 'x-messages': String(messages) });
    return response.end();
  }
  if (path === '/early') {
    response.writeHead(413, { 'content-type': 'text/plain' });
    return response.end('too long');
  }
  if (path.startsWith('/bytes/')) {
    const length = Number(path.slice(7));
    response.writeHead(200, { 'content-length': length });
    return response.end(Buffer.alloc(length, 'x'));
  }
  if (path.startsWith('/status/')) {
    response.writeHead(Number(path.slice(8)));
    return response.end();
  }
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const body = Buffer.concat(pieces);
  Object.assign(said, { length: body.length, body: body.subarray(0, 200).toString(), trailers: request.trailers });
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(said));
}

const serve = (request, response) => answer(request, response).catch(() => response.destroy?.());
const settings = { maxConcurrentStreams: options.streams ?? 100 };
const servers = {
  http: () => http.createServer(serve),
  https: () => https.createServer(tls, serve),
  h2: () => http2.createSecureServer({ ...tls, allowHTTP1: options.http1 ?? false, settings }, serve),
  h2c: () => http2.createServer({ settings }, serve),
};
const server = servers[options.kind]();
server.on('upgrade', (request, socket) => {
  if (request.url === '/declined') {
    const body = 'no';
    return socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  }
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  socket.pipe(socket);
});
server.listen(options.path ?? { port: options.port ?? 0, host: '127.0.0.1' }, () => {
  console.log(JSON.stringify({ port: server.address().port ?? null }));
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
