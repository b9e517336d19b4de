// A real OpenID provider: `node oidc_provider.mjs CONFIGURATION`, in a folder with the package `oidc-provider`.
// Everybody may log in, under any name; sessions and grants are in memory.
import { readFileSync } from 'node:fs';
import Provider from 'oidc-provider';

const { port, clients } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients,
  cookies: { keys: ['a test, and nothing but a test'] },
  features: { backchannelLogout: { enabled: true }, devInteractions: { enabled: true } },
  // Its own guard against addresses of private networks would keep it from the applications of this test.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  pkce: { required: () => false },
});
for (const event of ['backchannel.error', 'backchannel.success', 'server_error']) {
  provider.on(event, (ctx, error) => console.log(event, String(error && error.message)));
}
provider.listen(port, '127.0.0.1', () => console.log('listening'));
