/**
 * Apache Kafka's own broker as its Maven jars: where they lie, and how they are fetched by Maven, once.
 *
 * `KAFKA_LIBS` names a folder that has them already.
 */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { cacheFolder, runSteps } from "../peers/install.ts"

export const KAFKA_VERSION = "4.3.1"
const JAR = `kafka_2.13-${KAFKA_VERSION}.jar`

/** The folder of the jars; undefined where there is none. */
export function kafkaLibraries(): string | undefined {
  const folder = process.env.KAFKA_LIBS ?? join(kafkaFolder(), "libs")
  return existsSync(join(folder, JAR)) ? folder : undefined
}

/** Why there is nothing to start, or undefined. */
export function kafkaMissing(): string | undefined {
  if (Bun.which("java") === null) return "java is not installed"
  return kafkaLibraries() === undefined
    ? "Apache Kafka is not installed (npm run bench -- kafka --install does it)"
    : undefined
}

/** Gets the jars where they are not there; returns why that failed, or undefined. */
export function installKafka(): string | undefined {
  if (kafkaLibraries() !== undefined) return undefined
  const folder = kafkaFolder()
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, "pom.xml"), POM)
  const command = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs"]
  const failed = runSteps([{ command, folder }])
  if (failed !== undefined) return failed
  const jars = readdirSync(join(folder, "libs")).length
  return kafkaLibraries() === undefined ? `Maven copied ${jars} files, and ${JAR} is none of them` : undefined
}

function kafkaFolder(): string {
  return join(cacheFolder(), `kafka-${KAFKA_VERSION}`)
}

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>manifold</groupId>
  <artifactId>kafka-peer</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>${KAFKA_VERSION}</version>
    </dependency>
  </dependencies>
</project>
`
