/** Every real client that is found here; the rest is skipped with the reason. */
import { tools } from "../support/tools.ts"
import { compatSuite } from "./compat.ts"

compatSuite({ name: "mqttjs", runner: tools.node, script: "mqttjs.mjs" })
compatSuite({ name: "kafkajs", runner: tools.node, script: "kafkajs.mjs" })
compatSuite({ name: "paho", runner: tools.pythonPaho, script: "paho_suite.py" })
compatSuite({ name: "kafka-python", runner: tools.pythonKafka, script: "kafka_python_suite.py" })
compatSuite({
  name: "mosquitto",
  runner: { path: process.execPath },
  script: "mosquitto.ts",
  needs: [tools.mosquittoPub, tools.mosquittoSub, tools.mosquittoRr]
})
compatSuite({ name: "kcat", runner: { path: process.execPath }, script: "kcat.ts", needs: [tools.kcat] })
