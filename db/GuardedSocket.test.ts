import { describe, expect, test } from '@jest/globals';
import { GuardedSocket, makeMessageCheck } from './GuardedSocket.ts';

/** A message of the protocol: its type, its length, its body. */
function message(type: string, body: string | Buffer = ''): Buffer {
  const bytes = Buffer.from(body);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length + 4);
  return Buffer.concat([Buffer.from(type), length, bytes]);
}

const answer = Buffer.concat([
  message('1'),
  message('2'),
  message('T', 'fields'),
  message('D', 'x'.repeat(1_000)),
  message('N', 'SNOTICE\0Ma remark\0\0'),
  message('C', 'SELECT 1\0'),
  message('E', 'SERROR\0C22012\0Mdivision by zero\0\0'),
  message('Z', 'I'),
]);
const refused = expect.objectContaining({ name: 'ProtocolError' });

describe('the check of messages', () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 64, 1_000, answer.length])(
    'lets an answer pass in chunks of %d bytes',
    (size) => {
      const check = makeMessageCheck();
      for (let at = 0; at < answer.length; at += size) check(answer.subarray(at, at + size));
    },
  );

  test.each([
    ['of an unknown type', Buffer.concat([Buffer.from([0xc4]), message('Z', 'I').subarray(1)])],
    ['shorter than its length', Buffer.from([0x5a, 0, 0, 0, 3])],
    ['of two gigabytes', Buffer.from([0x44, 0x80, 0, 0, 9])],
    ['that is an error without its end', message('E', 'SERROR\0Mno more')],
    ['that is an error with one end too few', message('E', 'SERROR\0Mno more\0')],
    ['that is an error which goes on after its end', message('E', 'SERROR\0\0Mmore\0')],
    ['that is an error of nothing', message('E')],
    ['that is a notice without its end', message('N', 'M')],
  ])('refuses a message %s, whole or byte by byte', (_, bad) => {
    expect(() => makeMessageCheck()(bad)).toThrow(refused as never);
    const check = makeMessageCheck();
    check(answer);
    expect(() => {
      for (const byte of bad) check(Buffer.from([byte]));
    }).toThrow(refused as never);
  });

  test('ends, whatever is in an error', () => {
    const error = message('E', 'SERROR\0C22012\0Mdivision by zero\0Rint4div\0\0');
    for (let at = 5; at < error.length; at++) {
      const garbled = Buffer.from(error);
      garbled[at] = (garbled[at] ?? 0) ^ 0x80;
      try {
        makeMessageCheck()(garbled);
      } catch (thrown) {
        expect(thrown).toEqual(refused);
      }
    }
  });
});

describe('a guarded socket', () => {
  const failing = () => {
    throw new RangeError('out of range');
  };

  test('ends itself over what its reader cannot read', async () => {
    const socket = new GuardedSocket();
    const failed = new Promise((resolve) => socket.on('error', resolve));
    socket.on('data', failing);
    socket.emit('data', message('D', 'x'));
    expect(await failed).toMatchObject({ name: 'RangeError' });
    expect(socket.destroyed).toBe(true);
  });

  test('shows its reader nothing that is no message', async () => {
    const socket = new GuardedSocket();
    const failed = new Promise((resolve) => socket.on('error', resolve));
    const read: Buffer[] = [];
    socket.on('data', (chunk) => read.push(chunk));
    socket.emit('data', answer);
    socket.emit('data', message('?'));
    expect(await failed).toEqual(refused);
    expect(read).toEqual([answer]);
  });
});
