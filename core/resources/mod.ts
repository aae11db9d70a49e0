/** The resource contract and the resources that the core itself contributes. */
export { clusterInfo } from "./cluster-info.ts"
export * from "./Resources.ts"
export { resourceList } from "./resource-list.ts"
export { topicResource } from "./topic.ts"
