/** The mosquitto command line clients: each version, QoS, retained, will, session, properties, request and response. */
import { pathOf, run, start, tools } from "../support/tools.ts"
import { sleep } from "../support/until.ts"
import { done, equal, testCase, unique } from "./cases.mjs"

const [host, port] = (process.env.MANIFOLD_MQTT ?? "").split(":")
const at = ["-h", String(host), "-p", String(port)]
const pub = (...args: ReadonlyArray<string>) => run(pathOf(tools.mosquittoPub), [...at, ...args])
const sub = (...args: ReadonlyArray<string>) => start(pathOf(tools.mosquittoSub), [...at, ...args])

for (const version of ["mqttv31", "mqttv311", "mqttv5"]) {
  for (const qos of ["0", "1", "2"]) {
    await testCase(`${version}: publish and subscribe at QoS ${qos}`, async () => {
      const level = unique()
      const subscriber = sub("-V", version, "-q", qos, "-t", `${level}/+`, "-C", "1", "-F", "%t %q %r %p")
      await sleep(250)
      const { code, stderr } = await pub("-V", version, "-q", qos, "-t", `${level}/x`, "-m", "hello")
      equal([code, stderr], [0, ""])
      equal((await subscriber.end()).stdout, `${level}/x ${qos} 0 hello\n`)
    })
  }

  await testCase(`${version}: 1,000 lines at QoS 2, in order`, async () => {
    const topic = `${unique()}/l`
    const subscriber = sub("-V", version, "-q", "2", "-t", topic, "-C", "1000")
    await sleep(250)
    const input = Array.from({ length: 1_000 }, (_, index) => `line ${index}\n`).join("")
    const { code } = await run(pathOf(tools.mosquittoPub), [...at, "-V", version, "-q", "2", "-t", topic, "-l"], {
      input
    })
    equal(code, 0)
    equal((await subscriber.end()).stdout === input, true, "the lines")
  })

  await testCase(`${version}: retained`, async () => {
    const topic = `${unique()}/r`
    await pub("-V", version, "-t", topic, "-m", "kept", "-r")
    equal((await sub("-V", version, "-t", topic, "-C", "1", "-F", "%r %p", "-W", "4").end()).stdout, "1 kept\n")
    await pub("-V", version, "-t", topic, "-n", "-r")
    equal((await sub("-V", version, "-t", topic, "-C", "1", "-W", "1").end()).stdout, "")
  })

  await testCase(`${version}: the will of a killed client`, async () => {
    const topic = `${unique()}/w`
    const watcher = sub("-V", version, "-t", topic, "-C", "1", "-q", "1", "-W", "5")
    const dying = sub("-V", version, "-t", unique(), "--will-topic", topic, "--will-payload", "gone", "--will-qos", "1")
    await sleep(400)
    dying.kill()
    equal((await watcher.end()).stdout, "gone\n")
  })

  await testCase(`${version}: a kept session`, async () => {
    const topic = `${unique()}/s`
    const kept = [
      "-V",
      version,
      "-i",
      unique("kept"),
      "-c",
      "-q",
      "1",
      "-t",
      topic,
      ...(version === "mqttv5" ? ["-x", "100"] : [])
    ]
    equal((await sub(...kept, "-E").end()).code, 0)
    for (const text of ["1", "2", "3"]) await pub("-V", version, "-q", "1", "-t", topic, "-m", text)
    equal((await sub(...kept, "-C", "3", "-W", "5").end()).stdout, "1\n2\n3\n")
  })
}

await testCase("mqttv5: user properties, content type, correlation, response topic, format, expiry", async () => {
  const topic = `${unique()}/p`
  const subscriber = sub("-V", "5", "-t", topic, "-C", "1", "-F", "%P|%C|%D|%R|%F|%E|%p", "-W", "5")
  await sleep(250)
  const properties = [
    ["user-property", "a", "1"],
    ["user-property", "b", "2"],
    ["content-type", "text/plain"],
    ["correlation-data", "corr"],
    ["response-topic", "reply/here"],
    ["payload-format-indicator", "1"],
    ["message-expiry-interval", "100"]
  ].flatMap((property) => ["-D", "publish", ...property])
  await pub("-V", "5", "-t", topic, "-m", "body", ...properties)
  equal((await subscriber.end()).stdout, "a:1 b:2|text/plain|corr|reply/here|1|100|body\n")
})

await testCase("mqttv5: mosquitto_rr asks and is answered", async () => {
  const level = unique()
  const responder = sub("-V", "5", "-t", `${level}/ask`, "-C", "1", "-F", "%R|%D", "-W", "5")
  await sleep(250)
  const asking = start(pathOf(tools.mosquittoRr), [
    ...at,
    "-V",
    "5",
    "-t",
    `${level}/ask`,
    "-e",
    `${level}/answer`,
    "-m",
    "?",
    "-W",
    "5",
    "-D",
    "publish",
    "correlation-data",
    "42"
  ])
  equal((await responder.end()).stdout, `${level}/answer|42\n`)
  await pub("-V", "5", "-t", `${level}/answer`, "-m", "!", "-D", "publish", "correlation-data", "42")
  equal((await asking.end()).stdout, "!\n")
})

await testCase("mosquitto_sub --retained-only, -R, --remove-retained", async () => {
  const level = unique()
  for (const name of ["a", "b"]) await pub("-t", `${level}/${name}`, "-m", name, "-r", "-q", "1")
  equal((await sub("-t", `${level}/#`, "--retained-only", "-C", "2", "-W", "4").end()).stdout.split("\n").toSorted(), [
    "",
    "a",
    "b"
  ])
  equal((await sub("-t", `${level}/#`, "-R", "-W", "1").end()).stdout, "")
  await sub("-t", `${level}/#`, "--remove-retained", "-W", "1").end()
  equal((await sub("-t", `${level}/#`, "-C", "1", "-W", "1").end()).stdout, "")
})

await testCase("a large file", async () => {
  const topic = `${unique()}/f`
  const subscriber = sub("-t", topic, "-C", "1", "-N", "-W", "5")
  await sleep(250)
  const input = "0123456789abcdef".repeat(12_800)
  const { code } = await run(pathOf(tools.mosquittoPub), [...at, "-t", topic, "-s"], { input })
  equal(code, 0)
  equal((await subscriber.end()).stdout === input, true)
})

done()
