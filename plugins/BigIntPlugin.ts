import { GraphQLError, Kind } from 'postgraphile/graphql';
import 'postgraphile/graphile-build';

/** `BigInt` takes whole numbers as they are written, too, and nothing that is no whole number. */
export const BigIntPlugin: GraphileConfig.Plugin = {
  name: 'BigIntPlugin',
  description: 'BigInt takes integers and decimal strings',
  version: '1.0.0',

  schema: {
    hooks: {
      GraphQLScalarType(config, _build, { scope: _scope }) {
        if (config.name !== 'BigInt') return config;
        return {
          ...config,
          description:
            'A whole number of up to 64 bits. Written as a string, because JavaScript’s numbers are exact to 53 bits only; read as a string or as an integer.',
          parseValue: wholeNumber,
          parseLiteral(ast) {
            if (ast.kind === Kind.INT || ast.kind === Kind.STRING) return wholeNumber(ast.value);
            throw notWhole();
          },
        };
      },
    },
  },
};

function wholeNumber(value: unknown): string {
  const isExact = typeof value === 'number' ? Number.isSafeInteger(value) : true;
  const text = typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  if (!isExact || !/^-?\d{1,19}$/.test(text)) throw notWhole();
  if (BigInt.asIntN(64, BigInt(text)) !== BigInt(text)) throw notWhole();
  return text;
}

const notWhole = () =>
  new GraphQLError('A BigInt is a whole number of up to 64 bits, as an integer or a string.');
