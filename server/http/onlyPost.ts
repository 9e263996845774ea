import type { Stage } from './stages.ts';

/** Says with which method to come, to those who come with another; grafserv answers them 405. */
export const onlyPost: Stage = (request, response, next) => {
  if (request.method !== 'POST') response.setHeader('Allow', 'POST');
  next();
};
