// node client.mjs FOLDER TTY: drives the SDK's ImprovSerial against the device at TTY; prints JSON.
import fs from "node:fs";
import { register } from "node:module";
import { pathToFileURL } from "node:url";

// Browsers have it; node from version 19 on, Debian 12's is 18.
globalThis.CustomEvent ??= class extends Event {
  constructor(type, init) {
    super(type, init);
    this.detail = init?.detail ?? null;
  }
};

const [folder, tty] = process.argv.slice(2);
register(new URL("./hooks.mjs", import.meta.url));
const sdk = pathToFileURL(`${folder}/node_modules/improv-wifi-serial-sdk/dist/serial.js`);
const { ImprovSerial } = await import(sdk);

// What a browser gives the SDK as a SerialPort.
const fd = fs.openSync(tty, fs.constants.O_RDWR | fs.constants.O_NONBLOCK | fs.constants.O_NOCTTY);
const port = {
  readable: new ReadableStream({
    start(out) {
      const more = () =>
        fs.read(fd, Buffer.alloc(256), 0, 256, null, (err, n, buf) => {
          if (err && err.code !== "EAGAIN") return;
          if (!err) out.enqueue(new Uint8Array(buf.subarray(0, n)));
          setTimeout(more, 20); // a read that waits would keep node from ending
        });
      more();
    },
  }),
  writable: new WritableStream({ write: (data) => void fs.writeSync(fd, data) }),
};
const quiet = { log() {}, debug() {}, error: (...a) => console.error(...a) };
const client = new ImprovSerial(port, quiet);
const said = {};
const failure = (promise) => promise.then(() => null, String);

said.info = await client.initialize(20000);
said.before = client.state;
said.networks = await client.scan();
said.named = await client.setDeviceName("by browser");
said.hostname = await failure(client.setHostname("not a host name"));
said.wrong = await failure(client.provision("bench", "wrong-pass", 45000));
said.between = client.state;
said.right = await failure(client.provision("bench", "bench-pass", 45000));
said.after = client.state;
said.url = client.nextUrl;
said.unknown = await failure(client.requestNetworkState(5000));
await client.requestCurrentState();
said.asked = client.state;
console.log(JSON.stringify(said));
process.exit(0);
