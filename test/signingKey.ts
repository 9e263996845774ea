import { createPublicKey, generateKeyPairSync, type JsonWebKey } from 'node:crypto';
import { type CryptoKey, importPKCS8 } from 'jose';
import type { PrivateSigningKey } from '../dev/signToken.ts';

/** A key pair of an issuer in all the forms that tests need. */
export type TestKey = PrivateSigningKey & {
  privatePem: string;
  publicPem: string;
  publicJwk: JsonWebKey;
};

/** Makes an RSA key pair under a key id. */
export async function makeTestKey(keyId: string, modulusLength = 2048): Promise<TestKey> {
  const { privateKey: privatePem, publicKey: publicPem } = generateKeyPairSync('rsa', {
    modulusLength,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const jwk = createPublicKey(publicPem).export({ format: 'jwk' });
  const privateKey: CryptoKey = await importPKCS8(privatePem, 'RS256');
  const publicJwk = { ...jwk, kid: keyId, alg: 'RS256', use: 'sig' };
  return { keyId, privateKey, privatePem, publicPem, publicJwk };
}
