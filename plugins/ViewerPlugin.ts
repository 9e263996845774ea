import { access, context, lambda, type Step } from 'postgraphile/grafast';
import { extendSchema } from 'postgraphile/utils';
import type { Claims } from '../db/claims.ts';
import './context.ts';

/** `viewer`: what the API understood of the token, for clients that ask why they see what they see. */
export const ViewerPlugin = extendSchema((build) => {
  const { users, organizations } = build.input.pgRegistry.pgResources;
  if (!users || !organizations)
    throw new Error('The viewer needs the users and organizations tables.');
  return {
    typeDefs: /* GraphQL */ `
      extend type Query {
        """
        Who the API thinks you are.
        """
        viewer: Viewer!
      }

      """
      Who the API thinks you are: what it understood of the token.
      """
      type Viewer {
        """
        The user of the token.
        """
        user: User
        """
        The organization you act in: the active one, or else your personal space.
        """
        organization: Organization
        """
        Your role in the organization, without Clerk's \`org:\` prefix; null in the personal space.
        """
        role: String
        """
        Custom permissions of the token, such as \`org:docs:manage\`.
        """
        permissions: [String!]!
        """
        Clerk's id of the person who acts in the user's place; null where nobody does.
        """
        impersonatorId: String
      }
    `,
    objects: {
      // Each field fetches for itself, so that one nobody asks for costs no statement.
      Query: { plans: { viewer: () => context().get('claims') } },
      Viewer: {
        plans: {
          user: ($claims: Step<Claims>) => users.get({ id: access($claims, 'userId') }),
          organization: ($claims: Step<Claims>) =>
            organizations.get({ id: access($claims, 'orgId') }),
          role: ($claims: Step<Claims>) =>
            lambda(access<string>($claims, 'orgRole'), (orgRole) => orgRole || null, true),
          permissions: ($claims: Step<Claims>) => access($claims, 'permissions'),
          impersonatorId: ($claims: Step<Claims>) => access($claims, 'actorId'),
        },
      },
    },
  };
}, 'ViewerPlugin');
