/**
 * DescribeLogDirs: bytes of partitions, all in the one data directory. A partition that nobody uses is opened to be measured, some at a
 * time.
 *
 * Source: apache/kafka ReplicaManager.describeLogDirs; KIP-113, KIP-827.
 */
import { DESCRIBE, type TopicInfo } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { describeLogDirs } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { ElementOf, RequestOf, ResponseOf } from "../wire/schema.ts"
import { answerWith, mapInOrder } from "./answered-later.ts"
import { CLUSTER } from "./authorized-operations.ts"
import { mayDo } from "./topic-access.ts"

type Request = RequestOf<typeof describeLogDirs>
type Response = ResponseOf<typeof describeLogDirs>
type TopicAnswer = ElementOf<ElementOf<Response, "results">, "topics">

interface Asked {
  readonly topic: TopicInfo
  readonly partitions: ReadonlyArray<number>
}

export function handleDescribeLogDirs(
  exchange: Exchange<typeof describeLogDirs>,
  request: Request,
  broker: Broker
): void {
  const { caller } = exchange
  if (!mayDo(broker, caller, DESCRIBE, CLUSTER)) {
    exchange.complete({ errorCode: broker.counts.error(ErrorCode.CLUSTER_AUTHORIZATION_FAILED), results: [] })
    return
  }
  const { tenant } = caller.principal
  answerWith(exchange, describe(askedOf(request, tenant, broker), broker))
}

/** The partitions that are there, of those that are asked for. */
function askedOf({ topics }: Request, tenant: number, broker: Broker): ReadonlyArray<Asked> {
  const all = (topic: TopicInfo): Asked => ({ topic, partitions: [...Array(topic.partitions).keys()] })
  if (topics === null) return broker.topics.list(tenant).map(all)
  return topics.flatMap(({ topic: name, partitions }) => {
    const topic = broker.topics.find(tenant, name)
    if (topic === undefined) return []
    return [{ topic, partitions: [...new Set(partitions)].filter((each) => each >= 0 && each < topic.partitions) }]
  })
}

async function describe(asked: ReadonlyArray<Asked>, broker: Broker): Promise<Response> {
  const flat = asked.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })))
  const sizes = await mapInOrder(flat, async ({ topic, partition }) => broker.logs.size(topic, partition))
  const topics: Array<TopicAnswer> = []
  let at = 0
  for (const { topic, partitions } of asked) {
    const answered = partitions.flatMap((partitionIndex) => {
      const { refusal, sizeBytes } = sizes[at++] ?? { refusal: -1, sizeBytes: 0 }
      // One that cannot be opened is in no log directory, as Kafka sees it.
      if (refusal !== 0) return []
      return [{ partitionIndex, partitionSize: sizeBytes, offsetLag: 0, isFutureKey: false }]
    })
    if (answered.length > 0) topics.push({ name: topic.name, partitions: answered })
  }
  const { logDirectory: logDir } = broker.admin
  const usableBytes = await broker.admin.usableBytes()
  return { errorCode: ErrorCode.NONE, results: [{ errorCode: ErrorCode.NONE, logDir, topics, usableBytes }] }
}
