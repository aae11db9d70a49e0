/** kcat (librdkafka): metadata, producing with each codec and acknowledgement, consuming from everywhere, offsets by time. */
import { pathOf, run, start, tools } from "../support/tools.ts"
import { sleep } from "../support/until.ts"
import { done, equal, testCase, unique } from "./cases.mjs"

const bootstrap = process.env.MANIFOLD_KAFKA ?? ""
const kcat = (args: ReadonlyArray<string>, input = "") =>
  run(pathOf(tools.kcat), ["-b", bootstrap, "-m", "5", ...args], { input })
const consume = async (topic: string, ...args: ReadonlyArray<string>): Promise<string> =>
  (
    await kcat([
      "-C",
      "-q",
      "-t",
      topic,
      "-e",
      "-X",
      "check.crcs=true",
      ...(args.includes("-o") ? [] : ["-o", "beginning"]),
      ...args
    ])
  ).stdout

for (const codec of ["none", "gzip", "snappy", "lz4", "zstd"]) {
  await testCase(`produce and consume 2,000 records, ${codec}`, async () => {
    const topic = unique("t")
    const input = Array.from({ length: 2_000 }, (_, index) => `key${index % 5}:value ${index}\n`).join("")
    const { code, stderr } = await kcat(["-P", "-t", topic, "-K", ":", "-X", `compression.codec=${codec}`], input)
    equal([code, stderr.includes("ERROR")], [0, false])
    equal((await consume(topic, "-K", ":")) === input, true, "the records")
  })
}

for (const acks of ["0", "1", "all"]) {
  await testCase(`acks = ${acks}`, async () => {
    const topic = unique("t")
    equal((await kcat(["-P", "-t", topic, "-X", `acks=${acks}`], "a\nb\n")).code, 0)
    await sleep(50)
    equal(await consume(topic), "a\nb\n")
  })
}

await testCase("headers, null values, keys, as JSON", async () => {
  const topic = unique("t")
  await kcat(["-P", "-t", topic, "-K", ":", "-H", "a=1", "-H", "b=2", "-Z"], "k:x\nk:\n")
  const lines = (await consume(topic, "-J"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  equal(
    lines.map((line) => [line.offset, line.key, line.payload, line.headers]),
    [
      [0, "k", "x", ["a", "1", "b", "2"]],
      [1, "k", null, ["a", "1", "b", "2"]]
    ]
  )
})

await testCase("-L lists the broker, its topics and partitions", async () => {
  const topic = unique("t")
  await kcat(["-P", "-t", topic], "x\n")
  const { stdout } = await kcat(["-L", "-J"])
  const { brokers, topics } = JSON.parse(stdout) as {
    brokers: Array<{ name: string }>
    topics: Array<{ topic: string; partitions: Array<unknown> }>
  }
  equal(
    brokers.map((each) => each.name),
    [bootstrap]
  )
  equal(
    topics.filter((each) => each.topic === topic).map((each) => each.partitions.length),
    [1]
  )
})

await testCase("consume from an offset, from the end, backwards, a count", async () => {
  const topic = unique("t")
  await kcat(["-P", "-t", topic], "0\n1\n2\n3\n4\n")
  equal(await consume(topic, "-o", "3"), "3\n4\n")
  equal(await consume(topic, "-o", "-2"), "3\n4\n")
  equal(await consume(topic, "-o", "end"), "")
  equal(await consume(topic, "-c", "2"), "0\n1\n")
})

await testCase("-Q finds offsets by time, -o s@ consumes from there", async () => {
  const topic = unique("t")
  await kcat(["-P", "-t", topic], "old\n")
  await sleep(30)
  const between = Date.now()
  await sleep(30)
  await kcat(["-P", "-t", topic], "new\n")
  equal((await kcat(["-Q", "-t", `${topic}:0:${between}`])).stdout.trim(), `${topic} [0] offset 1`)
  equal(await consume(topic, "-o", `s@${between}`), "new\n")
})

await testCase("a waiting consumer gets records as they come", async () => {
  const topic = unique("t")
  await kcat(["-P", "-t", topic], "first\n")
  const consumer = start(pathOf(tools.kcat), [
    "-b",
    bootstrap,
    "-C",
    "-q",
    "-u",
    "-t",
    topic,
    "-o",
    "beginning",
    "-c",
    "3"
  ])
  await sleep(500)
  await kcat(["-P", "-t", topic], "second\n")
  await sleep(300)
  await kcat(["-P", "-t", topic], "third\n")
  equal((await consumer.end(6_000)).stdout, "first\nsecond\nthird\n")
})

await testCase("a message of 500 KB", async () => {
  const topic = unique("t")
  const text = "x".repeat(500_000)
  equal((await kcat(["-P", "-t", topic, "-D", ";"], text)).code, 0)
  equal((await consume(topic, "-D", "")) === text, true)
})

done()
