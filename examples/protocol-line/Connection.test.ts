import assert from "node:assert/strict"
import { test } from "node:test"
import {
  ACCEPTED,
  ACCEPTED_PENDING,
  ALLOW,
  DENY,
  Message,
  REFUSED_QUOTA,
  type Socket,
  type Subscription,
  TicketStream,
  type TurnTask
} from "manifold"
import * as v from "valibot"
import { Connection } from "./Connection.ts"
import { options, Server, type Services } from "./Server.ts"

/** A connection over a socket that takes `room` bytes; turns end when the test says so. */
function connect(given: v.InferInput<typeof options> = {}, replaced: Partial<Services> = {}) {
  const state = { room: Number.POSITIVE_INFINITY, sent: "", writes: 0, isPaused: false, ended: "", outcome: ACCEPTED }
  const tickets = new TicketStream()
  const subscriptions: Array<Subscription> = []
  const tasks: Array<TurnTask> = []
  const later: Array<() => void> = []
  const published: Array<string> = []
  const socket: Socket = {
    peerAddress: "127.0.0.1",
    write: (bytes, start, end) => {
      const taken = Math.min(end - start, state.room)
      state.sent += Buffer.from(bytes.subarray(start, start + taken)).toString("latin1")
      state.room -= taken
      state.writes += 1
      return taken
    },
    pause: () => void (state.isPaused = true),
    resume: () => void (state.isPaused = false),
    end: () => void (state.ended = "end"),
    terminate: () => void (state.ended = "terminate")
  }
  const services: Services = {
    access: { checkUnsafe: () => ALLOW },
    clock: {
      nowMs: () => 1_000,
      monotonicMs: () => 0,
      after: () => ({ cancel: () => {} }),
      microtask: (task) => void later.push(task),
      immediate: (task) => void later.push(task)
    },
    ingress: {
      publishUnsafe: (message: Message) => {
        const payload = message.payload.subarray(message.payloadStart, message.payloadEnd)
        published.push(`${message.name} ${Buffer.from(payload).toString("latin1")}`)
        const owned = message.owned()
        for (const { subscriber, alone } of subscriptions) subscriber.deliverUnsafe(owned, alone)
        return state.outcome
      },
      pendingStream: tickets,
      get pendingTicket() {
        return tickets.issued
      },
      pendingOwner: 0,
      pendingIsJournaled: false,
      giveBackToken: () => {},
      replayRetained: () => {},
      walkRetained: () => ({ isDone: true, next: (_room, _visit, done) => done(), close: () => {} })
    },
    logs: {
      append: never,
      state: never,
      leader: never,
      read: never,
      producers: never,
      offsetForTimestamp: never,
      epochEnd: never,
      deleteBefore: never,
      size: never,
      watch: never
    },
    router: {
      subscribeUnsafe: (subscription) => {
        subscriptions.push(subscription)
        return 0
      },
      unsubscribeUnsafe: ({ filter }) => {
        const index = subscriptions.findIndex((each) => each.filter === filter)
        if (index >= 0) subscriptions.splice(index, 1)
        return index >= 0
      },
      leaveUnsafe: () => void subscriptions.splice(0),
      subscriptionOf: (_subscriber, filter) => subscriptions.find((each) => each.filter === filter),
      hasSubscription: (_subscriber, filter) => subscriptions.some((each) => each.filter === filter),
      subscriptionsOf: () => subscriptions,
      subscriptionCountOf: () => subscriptions.length,
      wantUnsafe: () => 0,
      unwantUnsafe: () => {},
      tickets: new TicketStream(),
      subscriptionCount: 0,
      filterCount: 0,
      hasSystemFilters: false
    },
    shard: {
      index: 1,
      count: 2,
      ownerOfClient: () => 0,
      ownerOfGroup: () => 0,
      mailbox: never,
      acceptForwarded: never,
      forward: never
    },
    topics: {
      find: () => undefined,
      findById: () => undefined,
      list: () => [],
      page: () => [],
      create: never,
      plan: never,
      alter: never,
      defaultsOf: never,
      delete: never,
      ensure: never,
      autoCreate: true
    },
    turn: {
      deferWork: (task) => void tasks.push(task),
      deferFlush: (task) => void tasks.push(task),
      deferOutput: (task) => void tasks.push(task)
    },
    ...replaced
  }
  const server = new Server(v.parse(options, given), services)
  const connection = new Connection(server, socket, 7)
  server.connections.set(7, connection)
  const endTurn = (): void => {
    while (tasks.length > 0) for (const task of tasks.splice(0)) task.endTurn()
  }
  return {
    connection,
    server,
    state,
    tickets,
    subscriptions,
    published,
    endTurn,
    say: (text: string) => {
      connection.data(Uint8Array.from(Buffer.from(text, "latin1")))
      endTurn()
    },
    /** What was sent since it was last asked. */
    heard: () => {
      const { sent } = state
      state.sent = ""
      return sent
    }
  }
}

function never(): never {
  throw new Error("nobody asked for this")
}

const answers: ReadonlyArray<readonly [said: string, heard: RegExp]> = [
  ["PING", /^PONG\n$/],
  ["ping", /^PONG\n$/],
  ["", /^ERR command: /],
  ["PINGS", /^ERR command: /],
  ["PUB", /^ERR usage: /],
  ["PUB a", /^OK\n$/],
  ["PUB a ", /^OK\n$/],
  ["PUB a b c", /^OK\n$/],
  ["PUB \\q b", /^ERR escape: /],
  ["PUB a \\q", /^ERR escape: /],
  ["SUB", /^ERR filter: /],
  ["SUB a/#/b", /^ERR filter: /],
  ["SUB $share/g/a", /^ERR filter: /],
  ["SUB \xff", /^ERR filter: /],
  [`SUB ${"a".repeat(1_025)}`, /^ERR filter: /],
  ["UNSUB a", /^ERR not-subscribed: /],
  ["READ", /^ERR usage: /],
  ["READ a", /^ERR usage: /],
  ["READ a -1", /^ERR usage: /],
  ["READ a 1e3", /^ERR usage: /],
  ["READ a 0 1 2", /^ERR usage: /],
  ["READ a 0", /^ERR unknown-topic: /],
  ["QUIT", /^BYE see you\n$/]
]
for (const [said, heard] of answers) {
  test(`${JSON.stringify(said.slice(0, 20))} is answered ${heard}`, () => {
    const client = connect()
    client.say(`${said}\n`)
    assert.match(client.heard(), heard)
  })
}

test("a payload is what follows the one space behind the topic, escapes replaced", () => {
  const client = connect()
  client.say("PUB a/b  two  spaces \r\nPUB a\\x20b \\x00\\\\\nPUB c\n")
  assert.deepEqual(client.published, ["a/b  two  spaces ", "a b \x00\\", "c "])
})

test("OK waits for its commit, nothing overtakes it, and what failed is told in its place", () => {
  const client = connect()
  client.state.outcome = ACCEPTED_PENDING
  for (const payload of ["1", "2"]) {
    client.tickets.issue()
    client.say(`PUB a ${payload}\n`)
  }
  client.say("PING\nnonsense\nQUIT\n")
  assert.equal(client.heard(), "")
  client.tickets.commit(1)
  client.endTurn()
  assert.equal(client.heard(), "OK\n")
  client.tickets.setOutcome(2, REFUSED_QUOTA)
  client.tickets.commit(2)
  client.endTurn()
  assert.match(client.heard(), /^ERR quota: [^\n]*\nPONG\nERR command: [^\n]*\nBYE see you\n$/)
  assert.equal(client.state.ended, "end")
})

test("what one turn says leaves in one write", () => {
  const client = connect()
  client.say("PING\n".repeat(100))
  assert.equal(client.heard(), "PONG\n".repeat(100))
  assert.equal(client.state.writes, 1)
})

test("a client with 1,000 answers owed is not read until they are paid", () => {
  const client = connect()
  client.state.outcome = ACCEPTED_PENDING
  client.tickets.issue()
  client.say("PUB a 1\n".repeat(1_500))
  assert.equal(client.published.length, 1_000)
  assert.equal(client.state.isPaused, true)
  client.state.outcome = ACCEPTED
  client.tickets.commit(1)
  client.endTurn()
  assert.equal(client.published.length, 1_500)
  assert.equal(client.state.isPaused, false)
  assert.equal(client.heard(), "OK\n".repeat(1_500))
})

test("a client that reads nothing is not read either, and its output stops growing", () => {
  const client = connect({ output_bytes_max: 4_096 })
  client.state.room = 0
  client.say("PING\n".repeat(100_000))
  assert.ok(client.connection.outputSize <= 4_096 + 5, String(client.connection.outputSize))
  assert.equal(client.state.isPaused, true)
  client.state.room = Number.POSITIVE_INFINITY
  client.connection.drain()
  client.endTurn()
  assert.equal(client.heard().length, 500_000)
  assert.equal(client.state.isPaused, false)
})

test("a message for a client that reads nothing is dropped and counted, whole lines only", () => {
  const client = connect({ output_bytes_max: 4_096 })
  client.say("SUB #\n")
  assert.equal(client.heard(), "OK\n")
  client.state.room = 10
  const other = `PUB a ${"x".repeat(1_000)}\n`
  for (let index = 0; index < 50; index++) client.say(other)
  const { delivered, dropped } = client.connection.facts()
  assert.deepEqual([delivered, dropped > 0, client.server.counts.droppedSlow], [delivered, true, dropped])
  assert.ok(client.connection.outputSize <= 4_096 + 5)
  client.state.room = Number.POSITIVE_INFINITY
  client.connection.drain()
  client.endTurn()
  const lines = client.heard().split("\n")
  assert.equal(
    lines.filter((line) => line === `MSG a ${"x".repeat(1_000)}`).length,
    client.connection.facts().delivered
  )
  assert.ok(lines.every((line) => line === "" || line === "OK" || line.startsWith("MSG a x")))
})

test("a message that could never fit is dropped without being made a line", () => {
  const client = connect({ output_bytes_max: 4_096, line_bytes_max: 65_536 })
  client.say(`SUB #\nPUB a ${"\x00".repeat(5_000)}\n`)
  assert.equal(client.heard(), "OK\nOK\n")
  assert.equal(client.connection.facts().dropped, 1)
})

test("a message is made a line once, and a new message a new one; what could never fit is made none", () => {
  const { server } = connect({ output_bytes_max: 4_096 })
  const message = new Message()
  const set = (payload: string): void => {
    message.topic = new Uint8Array([0x61])
    message.topicEnd = 1
    message.payload = Uint8Array.from(Buffer.from(payload))
    message.payloadEnd = message.payload.length
  }
  const line = (): string | undefined => {
    const made = server.lineOf(message)
    return made === undefined ? undefined : Buffer.from(made.bytes.subarray(0, made.length)).toString()
  }
  set("1")
  message.begin()
  assert.equal(line(), "MSG a 1\n")
  set("2")
  assert.equal(line(), "MSG a 1\n", "asked again for the same message")
  message.begin()
  assert.equal(line(), "MSG a 2\n")
  set("x".repeat(4_096))
  message.begin()
  assert.equal(line(), undefined)
})

test("subscriptions are bounded, the same filter counts once, and they end with the connection", () => {
  const client = connect({ subscriptions_max: 2 })
  client.say("SUB a\nSUB b\nSUB a\nSUB c\n")
  assert.match(client.heard(), /^OK\nOK\nOK\nERR too-many: /)
  client.say("UNSUB a\nSUB c\n")
  assert.deepEqual(client.subscriptions.map(({ filter }) => filter).toSorted(), ["b", "c"])
  client.connection.closed()
  assert.deepEqual([client.subscriptions, client.server.connections.size], [[], 0])
})

test("a subscription that is not allowed is refused and not made; so is a read", () => {
  const client = connect({}, { access: { checkUnsafe: () => DENY } })
  client.say("SUB a\nREAD a 0\n")
  assert.match(client.heard(), /^ERR not-authorized: [^\n]*\nERR not-authorized: /)
  assert.deepEqual(client.subscriptions, [])
})

test("an endless line is refused as soon as it is too long", () => {
  const client = connect({ line_bytes_max: 128 })
  client.say("a".repeat(128))
  assert.equal(client.heard(), "")
  client.say("a")
  assert.match(client.heard(), /^ERR too-long: [^\n]*\nBYE the line is too long\n$/)
  assert.equal(client.state.ended, "end")
  client.say("PING\n")
  assert.equal(client.heard(), "")
})

test("whoever cannot be told is cut", () => {
  const client = connect()
  client.state.room = 3
  client.connection.close("so long")
  assert.deepEqual([client.heard(), client.state.ended], ["BYE", "terminate"])
})

test("a read that fails is answered, and the next command is taken", async () => {
  const topic = {
    tenant: 0,
    name: "a",
    id: "1",
    partitions: 1,
    engine: "memory",
    mode: "memory",
    origin: "kafka"
  } as const
  const questions = { state: never, leader: never, offsetForTimestamp: never, size: never, watch: never }
  const logs = { ...questions, append: never, deleteBefore: never, producers: never, epochEnd: never }
  const client = connect(
    {},
    {
      topics: {
        find: () => topic,
        findById: never,
        list: never,
        page: never,
        create: never,
        plan: never,
        alter: never,
        defaultsOf: never,
        delete: never,
        ensure: never,
        autoCreate: true
      },
      logs: { ...logs, read: () => Promise.reject(new Error("gone")) }
    }
  )
  client.say("READ a 0\nPING\n")
  assert.equal(client.heard(), "")
  await new Promise((done) => setTimeout(done, 0))
  client.endTurn()
  assert.match(client.heard(), /^ERR storage: [^\n]*\nPONG\n$/)
})
