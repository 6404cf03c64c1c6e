// Two GETs with one of Node's clients, as an ordinary app makes them: clients.cjs NAME URL URL.
// undici and axios come by NODE_PATH.
const http = require('node:http');

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

clients[process.argv[2]](process.argv.slice(3)).catch((error) => {
  console.error(error.message, error.cause ? error.cause.message : '');
  process.exitCode = 1;
});
