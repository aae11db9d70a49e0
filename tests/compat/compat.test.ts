/** Every real client that is found here; the rest is skipped with the reason. */
import { tools } from "../support/tools.ts"
import { compatSuite } from "./compat.ts"

const bun = { path: process.execPath }
const mosquitto = [tools.mosquittoPub, tools.mosquittoSub, tools.mosquittoRr]
compatSuite([
  { name: "paho", runner: tools.pythonPaho, script: "paho_suite.py" },
  { name: "mosquitto", runner: bun, script: "mosquitto.ts", needs: mosquitto },
  { name: "kcat", runner: bun, script: "kcat.ts", needs: [tools.kcat] },
  { name: "mqttjs", runner: tools.node, script: "mqttjs.mjs" },
  { name: "kafka-python", runner: tools.pythonKafka, script: "kafka_python_suite.py" },
  { name: "kafkajs", runner: tools.node, script: "kafkajs.mjs" }
])
