// An OpenID Provider for the tests: the certified `oidc-provider`, dressed as one authentik application.
//
//   node tests/parts/provider.mjs '{"port":0,"redirectUris":["http://app.localhost:8080/callback"]}'
//
// Options are JSON in the first argument or in PROVIDER_OPTIONS; all have a default, see `options` below.
// One JSON line on stdout says when it is ready. It ends on SIGTERM and when its stdin closes.

import { createHash, createPrivateKey, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const { resolve } = createRequire(new URL('../../.tools/node/', import.meta.url));
const load = (name) => import(pathToFileURL(resolve(name)).href);
console.info = console.error; // the library's notices; stdout holds the ready line only

process.stdin.on('end', () => process.exit(0)).on('close', () => process.exit(0)).resume();
process.on('SIGTERM', () => process.exit(0));

const options = {
  port: 0,
  clientId: 'foregate',
  clientSecret: 'foregate-secret',
  redirectUris: [], // exact; an entry that starts with ^ is a regular expression; none at all: any address
  postLogoutRedirectUris: [], // the same rules
  backchannelLogoutUri: undefined, // told about ended sessions, when set
  clientAuth: undefined, // client_secret_basic or client_secret_post: only that one. Unset: both
  rawBasic: false, // read id and secret in Basic as they are (as authentik), not form-encoded
  idTokenAlg: 'RS256', // ES256, PS256, EdDSA; HS256 = signed with the client secret, empty JWKS
  accessTokenTtl: 600,
  rotateRefresh: true,
  requirePkce: true,
  namesIssuer: true, // says who it is in each callback (RFC 9207), and announces that
  publicOrigin: undefined, // origin of the issuer and of all endpoints; PORT in it becomes the port
  issuerFollowsHost: false, // issuer and endpoints built from each request's Host, as authentik does
  stepsUp: false, // whoever is asked for acr_values=mfa signs in again, and is said to have
  clockSkewSeconds: 0, // this provider's clock is off by so much
  scopes: {}, // more scopes: {"groups": ["groups"]}
  users: {}, // more or changed users: {"eve": {"groups": ["family"]}}
  // Programs that get tokens for themselves: {"robot": {"secret": "s", "claims": {"groups": ["robots"]}}}.
  robots: {},
  appPasswords: {}, // as authentik's: {"alice": "secret"}, taken as client credentials. RS256 only
  apiTokens: 'jwt', // or opaque: access tokens for a resource such as https://api.example.com
  ...JSON.parse(process.argv[2] || process.env.PROVIDER_OPTIONS || '{}'),
};

if (options.clockSkewSeconds) {
  const now = Date.now;
  Date.now = () => now() + options.clockSkewSeconds * 1000;
}

const { default: Provider } = await load('oidc-provider');
const { default: setKeys } = await load('oidc-provider/lib/helpers/initialize_keystore.js');
const { confirm: confirmLogout } = await load('oidc-provider/lib/actions/end_session.js');

// ---- people ----

const sha256 = (text) => createHash('sha256').update(text).digest('hex');
const defaults = {
  alice: { name: 'Alice Example', groups: ['family', 'Home Server Admins', 'a|b'] },
  bob: { name: 'Bob Example', groups: ['family'] },
  carol: { name: 'Çağla Ünlü', groups: [] },
  dave: { name: 'Dave Example', groups: Array.from({ length: 50 }, (_, i) => `team-${String(i).padStart(2, '0')}`) },
};
const users = new Map();
const disabled = new Set();

function setUser(login, claims = {}) {
  const name = claims.name ?? users.get(login)?.name ?? login;
  const user = {
    sub: sha256(`user ${login}`),
    preferred_username: login,
    nickname: login,
    email: `${login}@example.com`,
    email_verified: false,
    groups: [],
    ...users.get(login),
    name,
    given_name: name,
    ...claims,
  };
  for (const key of Object.keys(user)) if (user[key] === null) delete user[key];
  users.set(login, user);
}
for (const login of new Set([...Object.keys(defaults), ...Object.keys(options.users)])) {
  setUser(login, { ...defaults[login], ...options.users[login] });
}

function loginOf(sub) {
  for (const [login, user] of users) if (user.sub === sub && !disabled.has(login)) return login;
  return undefined;
}

// ---- keys ----

let signing; // the private key in use

function newKey() {
  const alg = options.idTokenAlg;
  if (alg === 'HS256') return { keys: [] };
  const { privateKey } = {
    ES: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    Ed: () => generateKeyPairSync('ed25519'),
  }[alg.slice(0, 2)]?.() ?? generateKeyPairSync('rsa', { modulusLength: 2048 });
  signing = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg, use: 'sig' };
  return { keys: [signing] };
}

// A token of these very claims, by the provider's own key. RS256 only.
function signed(header, claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const whole = Object.entries({ alg: signing.alg, kid: signing.kid, ...header });
  const text = `${part(Object.fromEntries(whole.filter(([, value]) => value !== null)))}.${part(claims)}`;
  const key = createPrivateKey({ key: signing, format: 'jwk' });
  return `${text}.${sign('sha256', text, key).toString('base64url')}`;
}

// ---- what the provider remembers: plain maps, nothing is ever evicted ----

const stored = new Map(); // model -> id -> payload
class Store {
  constructor(model) {
    if (!stored.has(model)) stored.set(model, new Map());
    this.rows = stored.get(model);
  }
  async upsert(id, payload) { this.rows.set(id, payload); }
  async find(id) { return this.rows.get(id); }
  async findByUid(uid) { return [...this.rows.values()].find((row) => row.uid === uid); }
  async consume(id) { this.rows.get(id).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { this.rows.delete(id); }
  async revokeByGrantId(grantId) {
    for (const [id, row] of this.rows) if (row.grantId === grantId) this.rows.delete(id);
  }
}

// ---- pages: plain HTML, no script ----

const escape = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const page = (title, body) => `<!doctype html><html lang="en"><meta charset="utf-8">`
  + `<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><title>${title}</title><h1>${title}</h1>${body}</html>`;
const loginPage = (wrong) => page('Sign in', `${wrong ? `<p class="error">${escape(wrong)}</p>` : ''}
  <form method="post"><input name="login" autofocus autocomplete="off"> <button type="submit">Sign in</button></form>`);

// ---- the provider ----

const app = '/application/o/foregate/';
const acr = 'goauthentik.io/providers/oauth2/default';

const allowed = (list, uri) => list.length === 0
  || list.some((entry) => (entry.startsWith('^') ? new RegExp(`^(?:${entry})$`).test(uri) : entry === uri));

function build(issuer) {
  const provider = new Provider(issuer, {
    adapter: Store,
    jwks: newKey(),
    clients: [{
      client_id: options.clientId,
      client_secret: options.clientSecret,
      redirect_uris: ['http://127.0.0.1/'], // really decided by redirectUriAllowed below
      grant_types: ['authorization_code', 'refresh_token'],
      id_token_signed_response_alg: options.idTokenAlg,
      token_endpoint_auth_method: options.clientAuth ?? 'client_secret_basic',
      backchannel_logout_session_required: true,
      ...(options.backchannelLogoutUri ? { backchannel_logout_uri: options.backchannelLogoutUri } : {}),
    }, ...Object.entries(options.robots).map(([id, { secret }]) => ({
      client_id: id,
      client_secret: secret,
      redirect_uris: [],
      response_types: [],
      grant_types: ['client_credentials'],
      token_endpoint_auth_method: options.clientAuth ?? 'client_secret_basic',
      id_token_signed_response_alg: options.idTokenAlg,
    }))],
    clientAuthMethods: options.clientAuth ? [options.clientAuth] : ['client_secret_basic', 'client_secret_post'],
    enabledJWA: { idTokenSigningAlgValues: [options.idTokenAlg] },
    acrValues: [acr],
    responseTypes: ['code'],
    scopes: ['openid', 'profile', 'email', 'offline_access', ...Object.keys(options.scopes)],
    claims: {
      openid: ['sub', 'acr', 'amr', 'auth_time'],
      profile: ['name', 'given_name', 'preferred_username', 'nickname', 'groups'],
      email: ['email', 'email_verified'],
      ...options.scopes,
    },
    conformIdTokenClaims: false,
    routes: {
      authorization: '/application/o/authorize/',
      token: '/application/o/token/',
      userinfo: '/application/o/userinfo/',
      introspection: '/application/o/introspect/',
      revocation: '/application/o/revoke/',
      end_session: `${app}end-session/`,
      jwks: `${app}jwks/`,
    },
    features: {
      devInteractions: { enabled: false },
      dPoP: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: Object.keys(options.robots).length > 0,
        getResourceServerInfo: (_ctx, resource) => ({
          scope: 'openid api', audience: resource, accessTokenFormat: options.apiTokens,
        }),
        useGrantedResource: () => true,
      },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        // No question when the hint is valid; otherwise one button.
        async logoutSource(ctx, form) {
          if (ctx.oidc.entities.IdTokenHint) {
            ctx.oidc.params.logout = 'yes';
            return confirmLogout.at(-1)(ctx);
          }
          ctx.body = page('Sign out', `${form}<button form="op.logoutForm" name="logout" value="yes">Sign out</button>`);
        },
        postLogoutSuccessSource(ctx) { ctx.body = page('Signed out', ''); },
      },
    },
    renderError(ctx, out) {
      ctx.type = 'html';
      ctx.body = page('Error', `<p>${escape(out.error)}: ${escape(out.error_description ?? '')}</p>`);
    },
    ttl: {
      AccessToken: options.accessTokenTtl, AuthorizationCode: 60, IdToken: options.accessTokenTtl,
      RefreshToken: 30 * 86400, Session: 86400, Grant: 30 * 86400, Interaction: 3600,
    },
    cookies: { keys: [randomUUID()], names: { session: 'authentik_session', interaction: 'authentik_flow', resume: 'authentik_resume' } },
    pkce: { required: () => options.requirePkce },
    rotateRefreshToken: options.rotateRefresh,
    // The library drops offline_access without prompt=consent; authentik does not.
    extraParams: {
      offline(ctx) {
        const asked = `${ctx.query.scope ?? ctx.oidc.body?.scope ?? ''}`.split(' ');
        const { params } = ctx.oidc;
        if (asked.includes('offline_access') && !params.scope.includes('offline_access')) params.scope += ' offline_access';
      },
    },
    extraTokenClaims: (_ctx, token) => options.robots[token.clientId]?.claims
      ?? (({ preferred_username, groups }) => ({ preferred_username, groups }))(users.get(loginOf(token.accountId)) ?? {}),
    issueRefreshToken: (_ctx, _client, source) => source.scopes.has('offline_access'),
    interactions: { url: (_ctx, { uid }) => `/if/flow/login/${uid}` },
    // Consent is always there.
    async loadExistingGrant(ctx) {
      const { client, session, params, account } = ctx.oidc;
      const id = session.grantIdFor(client.clientId);
      const grant = (id && await provider.Grant.find(id))
        || new provider.Grant({ clientId: client.clientId, accountId: account.accountId });
      grant.addOIDCScope(params.scope);
      for (const resource of [params.resource ?? []].flat()) grant.addResourceScope(resource, params.scope);
      await grant.save();
      return grant;
    },
    async findAccount(_ctx, sub, token) {
      const login = loginOf(sub);
      if (!login) return undefined;
      // As authentik: a refreshed ID token has no nonce, and no sid once the session has ended.
      if (token?.kind === 'RefreshToken') token.nonce = undefined;
      if (token?.sid && !await provider.Session.findByUid(token.sessionUid)) token.sid = undefined;
      return { accountId: sub, claims: async () => users.get(login) };
    },
    fetch: (url, { dispatcher, ...rest }) => fetch(url, rest), // loopback is fine here
  });

  provider.proxy = true; // reads X-Forwarded-*, which the front below sets
  if (options.issuerFollowsHost) {
    Object.defineProperty(provider, 'issuer', {
      get: () => (Provider.ctx ? `${Provider.ctx.protocol}://${Provider.ctx.host}${app}` : issuer),
    });
  }

  const { Client, Session, AccessToken } = provider;
  Client.prototype.redirectUriAllowed = (uri) => allowed(options.redirectUris, uri);
  Client.prototype.postLogoutRedirectUriAllowed = (uri) => allowed(options.postLogoutRedirectUris, uri);
  Client.prototype.includeSid = () => true;
  Session.prototype.ensureClientContainer = function ensure(clientId) {
    if (!this.sidFor(clientId)) this.sidFor(clientId, sha256(`session ${this.uid}`));
  };
  // Access tokens end with their session, refresh tokens do not.
  const { save } = AccessToken.prototype;
  AccessToken.prototype.save = async function bound() {
    this.expiresWithSession = Boolean(this.sessionUid && await Session.findByUid(this.sessionUid));
    return save.call(this);
  };
  if (!options.namesIssuer) {
    provider.use(async (ctx, next) => {
      await next();
      if (ctx.oidc?.route === 'discovery') delete ctx.body.authorization_response_iss_parameter_supported;
      const location = ctx.response.get('location');
      if (!location?.includes('iss=')) return;
      const url = new URL(location);
      url.searchParams.delete('iss');
      ctx.set('location', url.href);
    });
  }
  // Signing out where nobody is signed in any more: go back at once, too.
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.oidc?.route === 'end_session' && ctx.status === 200 && ctx.oidc.entities.IdTokenHint) {
      const { post_logout_redirect_uri: back, state } = ctx.oidc.params;
      if (!back) { ctx.body = page('Signed out', ''); return; }
      const url = new URL(back);
      if (state !== undefined) url.searchParams.set('state', state);
      ctx.status = 303;
      ctx.redirect(url.href);
    }
  });
  return provider;
}

// ---- the login page ----

async function login(req, res, form) {
  const interaction = await provider.interactionDetails(req, res);
  const answer = (status, body) => res.writeHead(status, { 'content-type': 'text/html', 'cache-control': 'no-store' }).end(body);
  if (interaction.prompt.name !== 'login') return provider.interactionFinished(req, res, { consent: {} });
  if (req.method !== 'POST') return answer(200, loginPage());

  const name = (form.get('login') ?? '').trim();
  if (!users.has(name) || disabled.has(name)) return answer(403, loginPage(`There is no user "${name}"`));
  const accountId = users.get(name).sub;
  if (interaction.session && interaction.session.accountId !== accountId) {
    // Somebody else was signed in: that session ends.
    await (await provider.Session.findByUid(interaction.session.uid))?.destroy();
    delete interaction.session;
    await interaction.save(3600);
  }
  const mfa = options.stepsUp && interaction.params.acr_values?.split(' ').includes('mfa');
  const proved = mfa ? { acr: 'mfa', amr: ['pwd', 'otp'] } : { acr, amr: ['pwd'] };
  return provider.interactionFinished(req, res, { login: { accountId, ...proved } });
}

// ---- app passwords ----

// client_credentials with the name and app password of a person.
function appPassword(req, res, form) {
  const answer = (status, body) => res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  const basic = Buffer.from(req.headers.authorization?.split(' ')[1] ?? '', 'base64').toString();
  if (basic !== `${options.clientId}:${options.clientSecret}`) return answer(401, { error: 'invalid_client' });
  const name = form.get('username');
  if (disabled.has(name) || options.appPasswords[name] !== form.get('password')) {
    return answer(400, { error: 'invalid_grant', error_description: 'no such app password' });
  }
  const now = Math.floor(Date.now() / 1000);
  const claims = { ...users.get(name), iss: provider.issuer, aud: options.clientId, iat: now, exp: now + 300 };
  return answer(200, {
    access_token: randomUUID(), token_type: 'Bearer', expires_in: 300, scope: form.get('scope'), id_token: signed({ typ: 'JWT' }, claims),
  });
}

// ---- the front: log, pauses, authentik's addresses ----

const log = [];
const pauses = []; // {mode, ms, path}
const held = new Set();

async function bodyOf(req) {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

async function front(req, res) {
  const url = new URL(req.url, 'http://provider');
  const entry = {
    at: new Date().toISOString(),
    method: req.method,
    path: url.pathname,
    query: Object.fromEntries(url.searchParams),
    form: [],
    auth: req.headers.authorization?.split(' ')[0] ?? null,
    host: req.headers.host ?? null,
    forwarded: Object.fromEntries(Object.entries(req.headers).filter(([name]) => name.includes('forwarded'))),
    status: null,
  };
  log.push(entry);
  if (options.clockSkewSeconds) res.setHeader('date', new Date(Date.now()).toUTCString());
  res.on('finish', () => { entry.status = res.statusCode; });
  const form = new URLSearchParams();
  if (!['GET', 'HEAD'].includes(req.method)) {
    req.body = await bodyOf(req); // the library takes it from here
    for (const [name, value] of new URLSearchParams(req.body)) form.append(name, value);
    entry.form = [...form.keys()];
    if (form.has('grant_type')) entry.grantType = form.get('grant_type');
  }

  const pause = pauses.find(({ path }) => url.pathname.includes(path));
  if (pause?.mode === 'hang') return held.add(res);
  if (pause?.mode === 'delay') await new Promise((done) => { setTimeout(done, pause.ms); });
  else if (pause) return res.writeHead(Number(pause.mode), { 'content-type': 'text/html' }).end(page('Unavailable', ''));

  if (!options.issuerFollowsHost) {
    req.headers.host = publicUrl.host;
    req.headers['x-forwarded-host'] = publicUrl.host;
    req.headers['x-forwarded-proto'] = publicUrl.protocol.slice(0, -1);
  }
  if (entry.auth?.toLowerCase() === 'basic') {
    if (options.clientAuth === 'client_secret_post') delete req.headers.authorization;
    else if (options.rawBasic) {
      const [, id, secret] = /^([^:]*):(.*)$/s.exec(Buffer.from(req.headers.authorization.split(' ')[1], 'base64')) ?? [];
      req.headers.authorization = `Basic ${btoa(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`)}`;
    }
  }
  if (req.method === 'POST' && [`${app}end-session/`, '/application/o/authorize/'].includes(url.pathname)) {
    req.method = 'GET'; // the same with a form
    req.url = `${url.pathname}?${form}`;
  }
  if (url.pathname.startsWith('/if/flow/login/')) return login(req, res, form);
  if (form.get('grant_type') === 'client_credentials' && form.has('username')) return appPassword(req, res, form);
  if (url.pathname === `${app}.well-known/openid-configuration`) req.url = '/.well-known/openid-configuration';
  else if (url.pathname.startsWith('/.well-known/')) return res.writeHead(404).end();
  else if (url.pathname === '/application/o/authorize/' && url.searchParams.get('max_age') === '0') {
    url.searchParams.delete('max_age'); // ignored, as in authentik
    req.url = url.pathname + url.search;
  } else if (options.stepsUp && url.searchParams.get('acr_values')?.split(' ').includes('mfa')) {
    url.searchParams.set('prompt', 'login');
    req.url = url.pathname + url.search;
  }
  return handle(req, res);
}

// ---- control, for the tests only ----

const control = {
  'GET /log': () => log,
  'DELETE /log': () => log.splice(0).length,
  'POST /rotate-keys': () => {
    const jwks = newKey();
    setKeys.call(provider, jwks);
    return { kid: jwks.keys[0]?.kid };
  },
  // mode: hang (accepted, never answered), delay with ms, or any status. path: only addresses that contain it.
  'POST /pause': ({ mode = 'hang', ms = 1000, path = '' }) => pauses.unshift({ mode, ms: Number(ms), path }),
  'POST /resume': () => {
    pauses.length = 0;
    for (const res of held) res.destroy();
    held.clear();
  },
  // {"login":"bob","claims":{"groups":["x"],"email":null},"disabled":false}; null takes a claim away.
  'POST /user': ({ login: name, claims, disabled: off }) => {
    setUser(name, claims);
    if (off !== undefined) disabled[off ? 'add' : 'delete'](name);
    return users.get(name);
  },
  // {"login":"bob"}: an administrator ends all sessions of bob; refresh tokens live on.
  'POST /logout': async ({ login: name }) => {
    const client = await provider.Client.find(options.clientId);
    const told = [];
    for (const row of [...stored.get('Session')?.values() ?? []]) {
      if (row.accountId !== users.get(name)?.sub) continue;
      const session = await provider.Session.findByUid(row.uid);
      const sid = session.sidFor(options.clientId);
      await session.destroy();
      if (!client.backchannelLogoutUri || !sid) continue;
      told.push(await client.backchannelLogout(row.accountId, sid).then(() => 'ok', (error) => error.message));
    }
    return { told };
  },
  // {"header":{"typ":"logout+jwt"},"claims":{…}}: a token with exactly these claims, right or wrong.
  'POST /sign': ({ header = {}, claims }) => ({ token: signed(header, claims) }),
  // Who is signed in, by what names.
  'POST /sessions': async () => Promise.all([...stored.get('Session')?.values() ?? []]
    .filter(({ accountId }) => accountId)
    .map(async ({ uid, accountId: sub }) => {
      const sid = (await provider.Session.findByUid(uid)).sidFor(options.clientId);
      return { login: loginOf(sub), sub, sid };
    })),
  // Any of redirectUris, postLogoutRedirectUris, backchannelLogoutUri.
  'POST /client': async (change) => {
    Object.assign(options, change);
    if ('backchannelLogoutUri' in change) {
      (await provider.Client.find(options.clientId)).backchannelLogoutUri = change.backchannelLogoutUri;
    }
  },
  // Live things by kind.
  'GET /grants': () => Object.fromEntries([...stored].map(([model, rows]) => [
    model, [...rows.values()].filter((row) => !row.consumed && !(row.exp * 1000 < Date.now())).length,
  ])),
};

async function controlFront(req, res) {
  const url = new URL(req.url, 'http://control');
  const action = control[`${req.method} ${url.pathname}`];
  if (!action) return res.writeHead(404).end();
  const body = await bodyOf(req);
  const result = await action({ ...Object.fromEntries(url.searchParams), ...(body ? JSON.parse(body) : {}) });
  return res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(result ?? {}));
}

// ---- start ----

function listen(handler, port) {
  const server = createServer((req, res) => {
    handler(req, res).catch((error) => {
      console.error(error);
      if (!res.headersSent) res.writeHead(error.statusCode ?? 500);
      res.end(`${error.message}\n`);
    });
  });
  server.keepAliveTimeout = 60_000;
  return new Promise((done, failed) => {
    server.once('error', failed).listen(port, '127.0.0.1', () => done(server.address().port));
  });
}

const controlPort = await listen(controlFront, 0);
const port = await listen(front, Number(options.port));
const origin = `http://127.0.0.1:${port}`;
const publicUrl = new URL((options.publicOrigin ?? origin).replace('PORT', port));
const provider = build(`${publicUrl.origin}${app}`);
const handle = provider.callback();

console.log(JSON.stringify({
  issuer: `${publicUrl.origin}${app}`,
  port,
  origin,
  control: `http://127.0.0.1:${controlPort}`,
  clientId: options.clientId,
  clientSecret: options.clientSecret,
}));
