export { NamesPlugin } from './NamesPlugin.ts';
export { NewestFirstPlugin } from './NewestFirstPlugin.ts';
export { NodeIdsPlugin } from './NodeIdsPlugin.ts';
export { NotFoundPlugin } from './NotFoundPlugin.ts';
export { PageLimitsPlugin } from './PageLimitsPlugin.ts';
export { RankedByPlugin } from './RankedByPlugin.ts';
export { TenantKeysPlugin } from './TenantKeysPlugin.ts';
export { ViewerPlugin } from './ViewerPlugin.ts';
