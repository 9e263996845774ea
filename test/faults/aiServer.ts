import { openLocalAiService } from '../../dev/aiService.ts';

/** The local AI service in a process of its own, so that what it does costs nobody else time. It says where it is. */

const { url } = await openLocalAiService();
process.stdout.write(`${url}\n`);
