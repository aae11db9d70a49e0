import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import * as v from "valibot"
import { systemClock } from "../platform/system.ts"
import type { Resource, ResourceError } from "../resources/Resources.ts"
import { backupResource } from "./backup-resource.ts"
import { BACKUP, DATA, Disk } from "./fakes.ts"

class Rig {
  readonly scope = Scope.makeUnsafe()
  readonly lines: Array<string> = []
  readonly disk: Disk
  readonly resource: Resource

  constructor(disk: Disk, stores = [disk.store(0), disk.store(1)]) {
    this.disk = disk
    const note = (_: string, message: string, fields?: object): void =>
      void this.lines.push(`${message} ${JSON.stringify(fields)}`)
    const made = backupResource({
      directory: DATA,
      files: disk.files,
      stores,
      node: "node-1",
      version: "0.1.0",
      clock: systemClock,
      log: { info: note, warn: note }
    })
    this.resource = Effect.runSync(Scope.provide(made, this.scope))
  }

  create(input: object): Promise<unknown> {
    const verb = this.resource.verbs?.[0]
    assert.ok(verb?.kind === "create")
    return Effect.runPromise(verb.run("", v.parse(verb.input, input)))
  }

  get(id: string): Promise<Record<string, unknown>> {
    assert.ok(this.resource.get !== undefined)
    return Effect.runPromise(this.resource.get(id)) as Promise<Record<string, unknown>>
  }

  async ended(id: string): Promise<Record<string, unknown>> {
    for (;;) {
      const item = await this.get(id)
      assert.ok(v.is(this.resource.schema, item), JSON.stringify(item))
      if (item["state"] !== "running") return item
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  close(): Promise<void> {
    return Effect.runPromise(Scope.close(this.scope, Exit.void))
  }
}

async function open(stores?: (disk: Disk) => ReadonlyArray<ReturnType<Disk["store"]>>): Promise<Rig> {
  const disk = new Disk()
  await disk.fill()
  return stores === undefined ? new Rig(disk) : new Rig(disk, [...stores(disk)])
}

const refused = (code: string) => (error: ResourceError) => error.code === code && !error.message.includes("\n")

test("create begins a backup and answers at once; get and list tell how it went", async () => {
  const rig = await open()
  const begun = (await rig.create({ path: BACKUP })) as Record<string, unknown>
  assert.deepEqual([begun["id"], begun["state"], begun["path"]], ["1", "running", BACKUP])
  await assert.rejects(rig.create({ path: "/srv/other" }), refused("backup-running"))
  const done = await rig.ended("1")
  assert.deepEqual([done["state"], done["files"], done["error"]], ["done", 7, ""])
  await rig.disk.restore()
  const list = rig.resource.list
  assert.ok(list !== undefined)
  assert.deepEqual(await Effect.runPromise(list({ limit: 10, cursor: "", filter: "" })), { items: [done] })
  await assert.rejects(rig.get("2"), refused("not-found"))
  assert.match(rig.lines.join(), /^done .*"files":7/)
  await rig.close()
})

test("what cannot be is refused at once, and is no backup of the list", async () => {
  const rig = await open()
  for (const path of ["backup", "./x", "../x", "", "a\0b", "/a\0b"]) {
    await assert.rejects(async () => rig.create({ path }), v.ValiError, JSON.stringify(path))
  }
  await assert.rejects(rig.create({ path: DATA }), refused("backup-target"))
  rig.disk.put("/srv/file", "")
  await assert.rejects(rig.create({ path: "/srv/file" }), refused("backup-target"))
  await assert.rejects(rig.get("1"), refused("not-found"))
  await rig.close()
})

test("a node that keeps nothing says so", async () => {
  const rig = await open(() => [])
  await assert.rejects(rig.create({ path: BACKUP }), refused("nothing-stored"))
  await rig.close()
})

test("one that fails says why; one that the end of the node stops is none", async () => {
  const rig = await open()
  rig.disk.files.faults.set("/srv/backup/format", { code: "disk-full", reason: "the disk is full" })
  await rig.create({ path: BACKUP })
  const failed = await rig.ended("1")
  assert.deepEqual([failed["state"], failed["error"]], ["failed", "/srv/backup/format: the disk is full"])
  await rig.create({ path: "/srv/again" })
  assert.equal((await rig.ended("2"))["state"], "done")
  await rig.close()

  const waiting = await open((disk) => [{ ...disk.store(0), hold: () => new Promise(() => {}) }])
  await waiting.create({ path: BACKUP })
  await new Promise((resolve) => setTimeout(resolve, 20))
  await waiting.close()
  assert.match((await waiting.get("1"))["error"] as string, /it was stopped before it was done/)
  await assert.rejects(waiting.disk.restore(), /was not finished/)
})
