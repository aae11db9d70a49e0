/** The platform on Bun: network, time, chance and files of the real machine. */
import { randomFillSync } from "node:crypto"
import { mkdir, readFile, unlink, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { Clock, type ClockShape } from "../Clock.ts"
import { FileError, Files, type FilesShape } from "../Files.ts"
import { Net, type NetShape } from "../Net.ts"
import { Random, type RandomShape } from "../Random.ts"
import { serveHttp } from "./http.ts"
import { listenTcp, type OnFault } from "./tcp.ts"
import { listenWebSocket } from "./websocket.ts"

export const bunClock: ClockShape = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, task) => {
    const timer = setTimeout(task, delayMs)
    return { cancel: () => clearTimeout(timer) }
  },
  microtask: (task) => queueMicrotask(task),
  immediate: (task) => void setImmediate(task)
}

export const bunRandom: RandomShape = {
  uint32: () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
  fill: (target, start, end) => void randomFillSync(target, start, end - start)
}

export function bunNet(onFault: OnFault): NetShape {
  return {
    listenTcp: (address, accept) => listenTcp(address, accept, onFault),
    listenWebSocket: (address, options, accept) => listenWebSocket(address, options, accept, onFault),
    serveHttp: (address, handler) => serveHttp(address, handler, onFault)
  }
}

export const bunFiles: FilesShape = {
  ensureWritableDirectory: (pathname) =>
    Effect.tryPromise({
      try: async () => {
        await mkdir(pathname, { recursive: true })
        const probe = join(pathname, `.probe-${process.pid}`)
        await writeFile(probe, "")
        await unlink(probe)
      },
      catch: (error) => new FileError({ pathname, reason: fileReason(error) })
    }),
  readText: (pathname) =>
    Effect.tryPromise({
      try: () => readFile(pathname, "utf8"),
      catch: (error) => new FileError({ pathname, reason: fileReason(error) })
    })
}

export function bunPlatform(onFault: OnFault): Layer.Layer<Net | Clock | Random | Files> {
  return Layer.mergeAll(
    Layer.succeed(Net, bunNet(onFault)),
    Layer.succeed(Clock, bunClock),
    Layer.succeed(Random, bunRandom),
    Layer.succeed(Files, bunFiles)
  )
}

function fileReason(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : ""
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") return "not permitted to write there"
  if (code === "ENOTDIR" || code === "EEXIST") return "the path is a file, not a directory"
  if (code === "ENOENT") return "no such file"
  if (code === "ENOSPC") return "the disk is full"
  return error instanceof Error ? error.message : String(error)
}
