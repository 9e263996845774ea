import { createHmac, createPublicKey, sign } from 'node:crypto';
import type { TokenRefusal } from '../server/auth/refusal.ts';
import { encodePart, type ForgedPart, forgeToken } from './forgeToken.ts';
import type { TestKey } from './signingKey.ts';

/** Whom the attacks are made on. */
export type AttackScene = {
  /** The issuer's key, under `attackedKeyId`. */
  ours: TestKey;
  /** A stranger's, under the same id. */
  theirs: TestKey;
  jwksUrl: string;
  /** In seconds since 1970. */
  now: number;
};

/** An attack: what it is, why it is refused, and the Authorization header it sends. */
export type Attack = [
  attack: string,
  reason: TokenRefusal,
  authorization: () => string | undefined,
];

/** The issuer whose tokens are forged. */
export const attackedIssuer = 'https://clerk.example.com';
/** The id of its key. */
export const attackedKeyId = 'ins_1';

/** A token as it should be. */
export function goodToken(
  { now, ours }: Pick<AttackScene, 'now' | 'ours'>,
  changes = {},
  kid = attackedKeyId,
): string {
  return forgeToken({ ...header, kid }, { ...payloadAt(now), ...changes }, ours.privatePem);
}

const header = { alg: 'RS256', kid: attackedKeyId, typ: 'JWT' };

function payloadAt(now: number) {
  return {
    iss: attackedIssuer,
    sub: 'user_ann',
    sid: 'sess_1',
    v: 2,
    iat: now,
    nbf: now - 10,
    exp: now + 60,
    o: { id: 'org_1', rol: 'member', slg: 'one' },
  };
}

/**
 * What may be tried with a session token, each with the reason for which it is refused.
 *
 * @param scene is asked when an attack is made.
 */
export function makeTokenAttacks(scene: () => AttackScene): Attack[] {
  const kid = attackedKeyId;
  const issuer = attackedIssuer;
  const payload = () => payloadAt(scene().now);
  /** A token that the issuer itself signed, with other parts than it should have. */
  const signed = (head: ForgedPart, body: ForgedPart = payload()) =>
    `Bearer ${forgeToken(head, body, scene().ours.privatePem)}`;
  const good = () => signed(header);
  const claiming = (changes: object) => signed(header, { ...payload(), ...changes });
  const saying = (changes: string) =>
    signed(header, `{${changes},${JSON.stringify(payload()).slice(1)}`);
  const without = (claim: string) => claiming({ [claim]: undefined });
  const named = (keyId: unknown) => signed({ ...header, kid: keyId });
  /** A token signed with a symmetric algorithm, under a secret that everyone knows. */
  const hmac = (secret: string | Buffer, alg = 'HS256') => {
    const input = `${encodePart({ ...header, alg })}.${encodePart(payload())}`;
    return `Bearer ${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
  };
  const parts = () => good().slice('Bearer '.length).split('.') as [string, string, string];

  return [
    ['no header', 'missing', () => undefined],
    ['an empty header', 'missing', () => ''],

    ['the scheme alone', 'malformed', () => 'Bearer '],
    ['no scheme', 'malformed', () => good().slice(7)],
    ['another scheme', 'malformed', () => good().replace('Bearer', 'Basic')],
    ['a scheme that begins alike', 'malformed', () => good().replace('Bearer', 'BearerX')],
    ['two spaces', 'malformed', () => good().replace(' ', '  ')],
    ['a tab', 'malformed', () => good().replace(' ', '\t')],
    ['a space at the end', 'malformed', () => `${good()} `],
    ['a line end at the end', 'malformed', () => `${good()}\r\n`],
    ['two tokens', 'malformed', () => `${good()}, ${good()}`],
    ['one dot', 'malformed', () => good().replace(/\.[^.]*$/, '')],
    ['three dots', 'malformed', () => `${good()}.`],
    ['four dots, as an encrypted token', 'malformed', () => `${good()}.AAAA.AAAA`],
    ['only dots', 'malformed', () => 'Bearer ..'],
    ['a megabyte', 'malformed', () => `${good()}${'A'.repeat(1024 * 1024)}`],
    ['nine kilobytes, well signed', 'malformed', () => claiming({ pad: 'x'.repeat(9 * 1024) })],
    [
      'JSON serialization',
      'malformed',
      () => {
        const [protectedHeader, body, signature] = parts();
        return `Bearer ${JSON.stringify({ protected: protectedHeader, payload: body, signature })}`;
      },
    ],
    ['padding', 'malformed', () => `${good()}==`],
    [
      'the alphabet of plain base64',
      'malformed',
      () => `Bearer ${parts().slice(0, 2).join('.')}.+/+/`,
    ],
    ['a character outside ASCII', 'malformed', () => good().replace(/.$/, 'é')],
    // The last character of 256 bytes has four spare bits; A, Q, g, w are those that leave them zero.
    [
      'another spelling of the same signature',
      'malformed',
      () => good().replace(/.$/, (last) => ({ A: 'B', Q: 'R', g: 'h', w: 'x' })[last] ?? '!'),
    ],

    ['a header that is not JSON', 'malformed', () => signed('RS256')],
    ['a header that is a list', 'malformed', () => signed([header])],
    ['a header that is null', 'malformed', () => signed('null')],
    [
      'a header that names two algorithms',
      'malformed',
      () => signed(`{"alg":"none",${JSON.stringify(header).slice(1)}`),
    ],
    ['a header without algorithm', 'malformed', () => signed({ kid })],
    ['a list of algorithms', 'malformed', () => signed({ ...header, alg: ['RS256'] })],
    ['another type of token', 'malformed', () => signed({ ...header, typ: 'at+jwt' })],
    ['a type that is a number', 'malformed', () => signed({ ...header, typ: 1 })],
    [
      'a critical extension',
      'malformed',
      () => signed({ ...header, crit: ['exp'], exp: scene().now }),
    ],
    ['an unknown critical extension', 'malformed', () => signed({ ...header, crit: ['x'], x: 1 })],
    ['an empty critical list', 'malformed', () => signed({ ...header, crit: [] })],
    ['an unencoded payload', 'malformed', () => signed({ ...header, b64: false, crit: ['b64'] })],
    ['b64 without crit', 'malformed', () => signed({ ...header, b64: false })],
    ['a compressed payload', 'malformed', () => signed({ ...header, zip: 'DEF' })],
    [
      'an embedded key',
      'malformed',
      () =>
        `Bearer ${forgeToken({ ...header, jwk: scene().theirs.publicJwk }, payload(), scene().theirs.privatePem)}`,
    ],
    [
      'a key set of their own',
      'malformed',
      () => signed({ ...header, jku: `${scene().jwksUrl}?theirs` }),
    ],
    [
      'a certificate URL of their own',
      'malformed',
      () => signed({ ...header, x5u: scene().jwksUrl }),
    ],
    ['an embedded certificate', 'malformed', () => signed({ ...header, x5c: ['MIIB'] })],

    ['alg none', 'algorithm', () => signed({ ...header, alg: 'none' })],
    ['alg None', 'algorithm', () => signed({ ...header, alg: 'None' })],
    ['alg NONE', 'algorithm', () => signed({ ...header, alg: 'NONE' })],
    ['alg nOnE', 'algorithm', () => signed({ ...header, alg: 'nOnE' })],
    ['an empty algorithm', 'algorithm', () => signed({ ...header, alg: '' })],
    [
      'alg none without signature',
      'malformed',
      () => `Bearer ${encodePart({ alg: 'none' })}.${encodePart(payload())}.`,
    ],
    ['alg rs256', 'algorithm', () => signed({ ...header, alg: 'rs256' })],
    ['alg RS256 and a NUL', 'algorithm', () => signed({ ...header, alg: 'RS256\u0000' })],
    ['HS256 with the public key as PEM', 'algorithm', () => hmac(scene().ours.publicPem)],
    [
      'HS256 with the public key as DER',
      'algorithm',
      () => hmac(createPublicKey(scene().ours.publicPem).export({ type: 'spki', format: 'der' })),
    ],
    [
      'HS256 with the public key as JWK',
      'algorithm',
      () => hmac(JSON.stringify(scene().ours.publicJwk)),
    ],
    [
      'HS256 with the modulus',
      'algorithm',
      () => hmac(Buffer.from(String(scene().ours.publicJwk.n), 'base64url')),
    ],
    ['HS256 with an empty secret', 'algorithm', () => hmac('')],
    ['a symmetric signature under RS256', 'signature', () => hmac(scene().ours.publicPem, 'RS256')],
    ['RS384', 'algorithm', () => signed({ ...header, alg: 'RS384' })],
    ['RS512', 'algorithm', () => signed({ ...header, alg: 'RS512' })],
    ['PS256', 'algorithm', () => signed({ ...header, alg: 'PS256' })],
    ['ES256', 'algorithm', () => signed({ ...header, alg: 'ES256' })],
    ['EdDSA', 'algorithm', () => signed({ ...header, alg: 'EdDSA' })],
    ['RSA-OAEP', 'algorithm', () => signed({ ...header, alg: 'RSA-OAEP' })],

    ['a key id that is a path', 'malformed', () => named('../../../../etc/passwd')],
    ['a key id that is a URL', 'malformed', () => named('http://127.0.0.1/keys')],
    ['a key id that is SQL', 'malformed', () => named("x' or '1'='1")],
    ['a key id that is a list', 'malformed', () => named([kid])],
    ['a key id that is an object', 'malformed', () => named({ toString: kid })],
    ['a key id that is a number', 'malformed', () => named(1)],
    ['a key id that is null', 'malformed', () => named(null)],
    ['an empty key id', 'malformed', () => named('')],
    ['a key id with a NUL', 'malformed', () => named(`${kid}\u0000`)],
    ['a key id of 129 characters', 'malformed', () => named('k'.repeat(129))],
    ['a key id of 64 kilobytes', 'malformed', () => named('k'.repeat(64 * 1024))],
    ['the key id __proto__', 'unknown-key', () => named('__proto__')],
    ['the key id constructor', 'unknown-key', () => named('constructor')],
    ['an unknown key id', 'unknown-key', () => named('ins_2')],
    ['a key id in another case', 'unknown-key', () => named(kid.toUpperCase())],
    ['no key id', 'unknown-key', () => signed({ alg: 'RS256' })],

    [
      "another instance's key under the same id",
      'signature',
      () => `Bearer ${forgeToken(header, payload(), scene().theirs.privatePem)}`,
    ],
    [
      'an organization edited after signing',
      'signature',
      () => {
        const [head, , signature] = parts();
        return `Bearer ${head}.${encodePart({ ...payload(), o: { ...payload().o, id: 'org_2' } })}.${signature}`;
      },
    ],
    [
      'a header edited after signing',
      'signature',
      () => {
        const [, body, signature] = parts();
        return `Bearer ${encodePart({ ...header, cty: 'x' })}.${body}.${signature}`;
      },
    ],
    [
      'the signature of another token',
      'signature',
      () =>
        `Bearer ${parts().slice(0, 2).join('.')}.${claiming({ sub: 'user_bob' }).split('.')[2]}`,
    ],
    [
      'a shortened signature',
      'signature',
      () => `Bearer ${parts().slice(0, 2).join('.')}.${'A'.repeat(340)}`,
    ],
    [
      'a signature of zeros',
      'signature',
      () => `Bearer ${parts().slice(0, 2).join('.')}.${'A'.repeat(342)}`,
    ],
    ['a signature of one byte', 'signature', () => `Bearer ${parts().slice(0, 2).join('.')}.AA`],
    [
      'a PSS signature under RS256',
      'signature',
      () => {
        const input = parts().slice(0, 2).join('.');
        const pss = sign('sha256', Buffer.from(input), {
          key: scene().ours.privatePem,
          padding: 6,
        });
        return `Bearer ${input}.${pss.toString('base64url')}`;
      },
    ],

    ['a payload that is not JSON', 'malformed', () => signed(header, 'sub=user_ann')],
    ['a payload that is a list', 'malformed', () => signed(header, [payload()])],
    ['a payload that is null', 'malformed', () => signed(header, 'null')],
    ['a payload that is text', 'malformed', () => signed(header, '"user_ann"')],
    ['two subjects', 'malformed', () => saying('"sub":"user_bob"')],
    ['two subjects, one escaped', 'malformed', () => saying('"s\\u0075b":"user_bob"')],
    ['two expiries', 'malformed', () => saying('"exp":1')],
    ['two organizations', 'malformed', () => saying('"o":{"id":"org_2","rol":"admin"}')],
    [
      'two ids in an organization',
      'malformed',
      () => signed(header, JSON.stringify(payload()).replace('"id"', '"id":"org_2","id"')),
    ],

    ['no expiry', 'claims', () => without('exp')],
    ['an expiry that is text', 'claims', () => claiming({ exp: String(scene().now + 60) })],
    [
      'an expiry of NaN',
      'malformed',
      () => signed(header, JSON.stringify(payload()).replace(/"exp":\d+/, '"exp":NaN')),
    ],
    [
      'an expiry of 1e400',
      'claims',
      () => signed(header, JSON.stringify(payload()).replace(/"exp":\d+/, '"exp":1e400')),
    ],
    ['a negative expiry', 'expired', () => claiming({ exp: -1 })],
    ['an expiry of zero', 'expired', () => claiming({ exp: 0 })],
    ['a null expiry', 'claims', () => claiming({ exp: null })],
    ['an expiry in a list', 'claims', () => claiming({ exp: [scene().now + 60] })],
    ['an expiry with a fraction', 'claims', () => claiming({ exp: scene().now + 60.5 })],
    ['an expiry in milliseconds', 'claims', () => claiming({ exp: (scene().now + 60) * 1000 })],
    ['an expiry 5 seconds ago', 'expired', () => claiming({ exp: scene().now - 5 })],
    ['a start 6 seconds ahead', 'not-yet-valid', () => claiming({ nbf: scene().now + 6 })],
    ['a start that is text', 'claims', () => claiming({ nbf: String(scene().now) })],
    ['an issue time 6 seconds ahead', 'not-yet-valid', () => claiming({ iat: scene().now + 6 })],
    ['an issue time that is text', 'claims', () => claiming({ iat: 'now' })],
    ['no issue time', 'claims', () => without('iat')],

    ['another issuer', 'issuer', () => claiming({ iss: 'https://evil.example.com' })],
    ['the issuer and a slash', 'issuer', () => claiming({ iss: `${issuer}/` })],
    ['the issuer in capitals', 'issuer', () => claiming({ iss: issuer.toUpperCase() })],
    ['the issuer in a list', 'issuer', () => claiming({ iss: [issuer] })],
    ['no issuer', 'issuer', () => without('iss')],

    ['a pending session', 'pending', () => claiming({ sts: 'pending' })],
    ['no subject', 'claims', () => without('sub')],
    ['a subject that is a number', 'claims', () => claiming({ sub: 1 })],
    ['an organization as subject', 'claims', () => claiming({ sub: 'org_1', o: undefined })],
    ['a user as organization', 'claims', () => claiming({ o: { id: 'user_bob', rol: 'admin' } })],
    ['a version of the future', 'claims', () => claiming({ v: 3 })],
  ];
}
