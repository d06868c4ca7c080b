// One end of a WebSocket, by hand. With `serve` it listens, prints its port, and echoes every frame whole. With `stream PORT`
// it opens one over HTTP/2 (RFC 8441) at https://app.foregate.localhost:PORT/socket, prints what it is told as JSON, says
// "from the visitor" and prints everything it hears.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { connect } from 'node:http2';

const [what, port] = process.argv.slice(2);
process.stdin.on('end', () => process.exit()).resume();

if (what === 'serve') {
  const server = createServer((request, answer) => answer.end('<!doctype html><title>app</title>'));
  server.on('upgrade', (request, socket, head) => {
    const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
    const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + guid).digest('base64');
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n`
      + `${request.headers['sec-websocket-protocol'] ? `Sec-WebSocket-Protocol: ${request.headers['sec-websocket-protocol']}\r\n` : ''}\r\n`);
    let bytes = head;
    const read = () => {
      for (;;) {
        if (bytes.length < 2) return;
        const short = bytes[1] & 127;
        const more = short === 126 ? 2 : short === 127 ? 8 : 0;
        if (bytes.length < 6 + more) return;
        const length = more === 2 ? bytes.readUInt16BE(2) : more === 8 ? Number(bytes.readBigUInt64BE(2)) : short;
        const start = 6 + more;
        if (bytes.length < start + length) return;
        const mask = bytes.subarray(2 + more, start);
        const data = Buffer.from(bytes.subarray(start, start + length)).map((byte, at) => byte ^ mask[at % 4]);
        socket.write(Buffer.concat([Buffer.from([bytes[0], short]), bytes.subarray(2, 2 + more), data]));
        if ((bytes[0] & 15) === 8) socket.end();
        bytes = bytes.subarray(start + length);
      }
    };
    socket.on('data', (piece) => { bytes = Buffer.concat([bytes, piece]); read(); });
    socket.on('error', () => socket.destroy());
    read();
  });
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
} else {
  const session = connect(`https://app.foregate.localhost:${port}`, { host: '127.0.0.1', rejectUnauthorized: false, servername: 'app.foregate.localhost' });
  session.on('remoteSettings', ({ enableConnectProtocol }) => {
    if (!enableConnectProtocol) process.exit(3);
    const stream = session.request({
      ':method': 'CONNECT', ':protocol': process.argv[4] ?? 'websocket', ':path': '/socket?a=1',
      'sec-websocket-version': '13', 'sec-websocket-protocol': 'chat.v2',
    });
    stream.on('response', (head) => {
      console.log(JSON.stringify(head));
      stream.write('from the visitor');
    });
    stream.on('data', (data) => console.log(data.toString()));
    stream.on('error', () => process.exit());
    stream.on('close', () => process.exit());
  });
}
