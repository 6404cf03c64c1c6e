// One of Node's clients, as an ordinary app uses it: two GETs (clients.cjs NAME URL URL), or everything
// that test_exercises.py asks for (clients.cjs NAME exercise BASE_URL REFUSING_URL), told in a line of
// JSON. undici, axios, got and hpagent come by NODE_PATH.
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const { Readable } = require('node:stream');

const proxy = process.env.http_proxy;

async function withFetch(urls, options = {}) {
  for (const url of urls) {
    const answer = await fetch(url, options);
    await answer.text();
    console.log(answer.status);
  }
}

async function withUndici(urls, options) {
  const { ProxyAgent, request } = require('undici');
  const dispatcher = new ProxyAgent({ uri: proxy, ...options });
  for (const url of urls) {
    const answer = await request(url, { dispatcher });
    await answer.body.text();
    console.log(answer.statusCode);
  }
  await dispatcher.close();
}

async function withAxios(urls) {
  const axios = require('axios');
  for (const url of urls) console.log((await axios.get(url)).status);
}

// By hand: the proxy is the host, the whole URL the path.
async function withHttp(urls) {
  const { hostname, port } = new URL(proxy);
  const agent = new http.Agent({ keepAlive: true });
  for (const url of urls) {
    const answer = await new Promise((resolve, reject) => {
      http.get({ hostname, port, agent, path: url, headers: { Host: new URL(url).host } }, resolve).on('error', reject);
    });
    for await (const piece of answer) void piece;
    console.log(answer.statusCode);
  }
  agent.destroy();
}

const clients = {
  fetch: withFetch,
  undici: (urls) => withUndici(urls, { proxyTunnel: false }),
  'undici-as-it-is': (urls) => withUndici(urls, {}),
  axios: withAxios,
  http: withHttp,
};

// Exercises: each makes ask(method, url, body) with a Buffer, a stream or nothing, which gives the
// status and the body.

function askingFetch() {
  return async (method, url, body) => {
    const answer = await fetch(url, { method, body, duplex: 'half' });
    return [answer.status, Buffer.from(await answer.arrayBuffer())];
  };
}

// For a Node without NODE_USE_ENV_PROXY: the built-in fetch takes the dispatcher of the package.
function askingFetchWithDispatcher() {
  const { ProxyAgent, setGlobalDispatcher } = require('undici');
  setGlobalDispatcher(new ProxyAgent({ uri: proxy, proxyTunnel: false }));
  return askingFetch();
}

function askingUndici(options) {
  const { ProxyAgent, interceptors, request } = require('undici');
  const dispatcher = new ProxyAgent({ uri: proxy, ...options }).compose(interceptors.redirect({ maxRedirections: 3 }));
  return async (method, url, body) => {
    const answer = await request(url, { method, body, dispatcher });
    return [answer.statusCode, Buffer.from(await answer.body.arrayBuffer())];
  };
}

function askingAxios() {
  const axios = require('axios');
  return async (method, url, data) => {
    const ask = axios({ method, url, data, responseType: 'arraybuffer' });
    const answer = await ask.catch((error) => error.response ?? Promise.reject(error));
    return [answer.status, answer.data];
  };
}

// got leaves the proxy to its agent. (http-proxy-agent 7.0.2 and 9.1.0 garble got's uploads.)
async function askingGot() {
  const { got, HTTPError } = await import(require.resolve('got'));
  const { HttpProxyAgent } = require('hpagent');
  const options = { agent: { http: new HttpProxyAgent({ proxy, keepAlive: true }) }, retry: { limit: 0 } };
  return async (method, url, body) => {
    const ask = got(url, { method, body, responseType: 'buffer', ...options });
    const answer = await ask.catch((error) => (error instanceof HTTPError ? error.response : Promise.reject(error)));
    return [answer.statusCode, Buffer.from(answer.rawBody)];
  };
}

function askingHttp() {
  const { hostname, port } = new URL(proxy);
  const agent = new http.Agent({ keepAlive: true });
  return (method, url, body) => new Promise((resolve, reject) => {
    const request = http.request({ hostname, port, agent, method, path: url, headers: { Host: new URL(url).host } });
    request.on('error', reject).on('response', async (answer) => {
      resolve([answer.statusCode, Buffer.concat(await answer.toArray())]);
    });
    if (body instanceof Readable) body.pipe(request);
    else request.end(body);
  });
}

const asking = {
  fetch: askingFetch,
  'fetch-with-dispatcher': askingFetchWithDispatcher,
  undici: () => askingUndici({ proxyTunnel: false }),
  'undici-as-it-is': () => askingUndici({}),
  axios: askingAxios,
  got: askingGot,
  http: askingHttp,
};

async function exercise(name, base, refusing) {
  const ask = await asking[name]();
  const answers = {
    upload: await ask('PUT', `${base}/upload`, fs.readFileSync('upload.bin')),
    chunked: await ask('POST', `${base}/chunked`, fs.createReadStream('upload.bin')),
  };
  for (const path of ['download', 'moved', 'relative', 'missing', 'unavailable']) {
    answers[path] = await ask('GET', `${base}/${path}`);
  }
  answers.refused = await ask('GET', refusing);
  const told = Object.entries(answers).map(([path, [status, body]]) =>
    [path, [status, body.length, createHash('sha256').update(body).digest('hex')]]);
  console.log(JSON.stringify(Object.fromEntries(told)));
  process.exit();  // not waiting for kept connections
}

const [name, ...urls] = process.argv.slice(2);
const done = urls[0] === 'exercise' ? exercise(name, urls[1], urls[2]) : clients[name](urls);
done.catch((error) => {
  console.error(error.message, error.cause ? error.cause.message : '');
  process.exitCode = 1;
});
