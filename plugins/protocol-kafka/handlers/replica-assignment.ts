/** Which brokers hold a partition, as clients may say it: there is one. */

/** Whether `brokerIds` is what every partition has here. */
export function isRightAssignment(brokerIds: ReadonlyArray<number>, nodeId: number): boolean {
  return brokerIds.length === 1 && brokerIds[0] === nodeId
}
