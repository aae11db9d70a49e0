/** Every real client that is found here; the rest is skipped with the reason. */
import { tools } from "../support/tools.ts"
import { goClient, goTests, javaArguments, javaClient, kafkaJava, kafkaJavaArguments } from "./builds.ts"
import { compatSuite } from "./compat.ts"

const bun = { path: process.execPath }
const mosquitto = [tools.mosquittoPub, tools.mosquittoSub, tools.mosquittoRr]
const goOwn = goTests("paho-own", "github.com/eclipse/paho.mqtt.golang")
const java = javaClient()
const franzGo = goClient("franz-go")
compatSuite([
  // First those that take longest: they mostly wait.
  { name: "paho-java", runner: java, args: javaArguments("Suite", "3") },
  { name: "paho-java5", runner: java, args: javaArguments("Suite", "5") },
  ...["groups", "producer", "consumer", "admin"].map((what) => ({
    name: `kafka-java-${what}`,
    runner: java,
    args: javaArguments("KafkaSuite", what)
  })),
  ...["_groups", ""].map((what) => ({
    name: `kafka-python${what.replace("_", "-")}`,
    runner: tools.pythonKafka,
    script: `kafka_python${what}_suite.py`
  })),
  ...["groups", "kafka", "admin"].map((what) => ({
    name: `confluent-${what}`,
    runner: tools.pythonConfluent,
    script: `confluent_${what}_suite.py`
  })),
  ...["-admin", "-groups", ""].map((what) => ({
    name: `kafkajs${what}`,
    runner: tools.node,
    script: `kafkajs${what}.mjs`
  })),
  ...["groups", "producer", "consumer", "admin", "interop"].map((what) => ({
    name: `franz-go-${what}`,
    runner: franzGo,
    args: [what]
  })),
  { name: "sarama", runner: goClient("sarama") },
  {
    name: "paho-go-own",
    runner: bun,
    script: "go_own_tests.ts",
    args: "path" in goOwn ? [goOwn.path] : [],
    needs: [goOwn]
  },
  { name: "paho-go", runner: goClient("paho-mqtt") },
  { name: "paho-go5", runner: goClient("paho-golang") },
  { name: "paho", runner: tools.pythonPaho, script: "paho_suite.py" },
  { name: "mosquitto", runner: bun, script: "mosquitto.ts", needs: mosquitto },
  { name: "kafka-java", runner: kafkaJava(), args: kafkaJavaArguments("ConsumerCases") },
  // By Bun, which has what this client wants of Node 22.22; the tests themselves make do with Node 20.
  ...["", "-groups", "-admin"].map((what) => ({
    name: `platformatic-kafka${what}`,
    runner: bun,
    script: `platformatic-kafka${what}.mjs`
  })),
  { name: "kcat", runner: bun, script: "kcat.ts", needs: [tools.kcat] },
  { name: "mqttjs", runner: tools.node, script: "mqttjs.mjs" },
  { name: "aiokafka", runner: tools.pythonAiokafka, script: "aiokafka_suite.py" }
])
