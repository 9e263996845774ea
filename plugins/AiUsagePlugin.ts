import { type PgSelectSingleStep, withPgClient } from 'postgraphile/@dataplan/pg';
import { context, object } from 'postgraphile/grafast';
import { extendSchema } from 'postgraphile/utils';
import { RowhouseError } from '../platform/errors/registry.ts';

/** `Organization.aiUsage`: what generations have cost, for those who manage them. */
export const AiUsagePlugin = extendSchema((build) => {
  const { organizations } = build.input.pgRegistry.pgResources;
  if (!organizations) throw new Error('The usage of AI needs the organizations table.');
  return {
    typeDefs: /* GraphQL */ `
      extend type Organization {
        """
        What its generations have cost in a month. Null unless it is the organization you act
        in, and you are its administrator, hold \`org:generations:manage\`, or it is your
        personal space.
        """
        aiUsage(
          """
          The month (UTC), such as \`2026-11\`; the present one if nothing is said.
          """
          month: String
        ): AiUsage
      }

      """
      What the generations of a month have cost. Amounts are in millionths of the unit of the
      price table.
      """
      type AiUsage {
        """
        The month (UTC), such as \`2026-11\`.
        """
        month: String!
        """
        How many generations were accepted that the AI service was needed for.
        """
        calls: BigInt!
        """
        Tokens of their prompts.
        """
        promptTokens: BigInt!
        """
        Tokens of their texts.
        """
        completionTokens: BigInt!
        """
        What they have cost.
        """
        costMicros: BigInt!
        """
        What is reserved for those that have not ended.
        """
        reservedMicros: BigInt!
        """
        What they may cost.
        """
        budgetMicros: BigInt!
        """
        What is left of the budget, without what is reserved.
        """
        remainingMicros: BigInt!
      }
    `,
    objects: {
      Organization: {
        plans: {
          aiUsage($organization: PgSelectSingleStep, fieldArgs) {
            const $asked = object({
              id: $organization.get('id'),
              month: fieldArgs.getRaw('month'),
              budgetMicros: context().get('aiBudgetMicros'),
            });
            return withPgClient(organizations.executor, $asked, async (client, asked) => {
              const month = monthOf(asked.month);
              const { rows } = await client.query<Usage>({
                text: 'select * from app_hidden.ai_usage($1, $2::date, $3)',
                values: [asked.id, `${month}-01`, asked.budgetMicros],
              });
              const [usage] = rows;
              return usage ? { ...told(usage), month } : null;
            });
          },
        },
      },
    },
  };
}, 'AiUsagePlugin');

/** @throws RowhouseError `BAD_USER_INPUT` for what is no month. */
function monthOf(month: unknown): string {
  if (month == null) return new Date().toISOString().slice(0, 7);
  if (typeof month === 'string' && /^[0-9]{4}-(0[1-9]|1[0-2])$/.test(month) && month > '0001') {
    return month;
  }
  const message = 'A month is written as in `2026-11`.';
  throw new RowhouseError('BAD_USER_INPUT', { field: 'month', message });
}

type Usage = Record<
  | 'calls'
  | 'prompt_tokens'
  | 'completion_tokens'
  | 'cost_micros'
  | 'reserved_micros'
  | 'budget_micros'
  | 'remaining_micros',
  string
>;

const told = (usage: Usage) => ({
  calls: usage.calls,
  promptTokens: usage.prompt_tokens,
  completionTokens: usage.completion_tokens,
  costMicros: usage.cost_micros,
  reservedMicros: usage.reserved_micros,
  budgetMicros: usage.budget_micros,
  remainingMicros: usage.remaining_micros,
});
