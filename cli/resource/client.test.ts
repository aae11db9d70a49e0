import assert from "node:assert/strict"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { test } from "node:test"
import { CallFailed, Client, plainText, Unreachable } from "./client.ts"
import { describe } from "./description.ts"

/** A server on a port of its own, while `use` runs. */
async function serving(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  use: (url: string) => unknown
) {
  const server = createServer(answer)
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

const problem = (fields: object): string =>
  JSON.stringify({ type: "about:blank", status: 400, title: "Bad", ...fields })

const answers: ReadonlyArray<readonly [status: number, body: string, outcome: unknown]> = [
  [200, '{"a":1}', { a: 1 }],
  [201, "[]", []],
  [204, "", undefined],
  [200, "<html>", /is not Manifold: it sent no JSON$/],
  [302, "", /is not Manifold: it answered 302$/],
  [404, "Not Found", /is not Manifold: it answered 404$/],
  [502, '{"error":1}', /is not Manifold: it answered 502$/],
  [404, problem({ code: "gone", detail: "no topic a", advice: "List them." }), /^no topic a \(gone\)\. List them\.$/],
  [400, problem({}), /^Bad$/],
  [400, problem({ detail: "a\u001b[2J\nb" }), /^a\\x1b\[2J\\x0ab$/],
  [
    422,
    problem({
      detail: "d",
      code: "invalid",
      errors: [
        { pointer: "/a", detail: "x" },
        { pointer: "", detail: "y" }
      ]
    }),
    /^\/a: x; the input: y \(invalid\)$/
  ]
]
for (const [status, body, outcome] of answers) {
  test(`an answer of ${status} ${body.slice(0, 30)}`, () =>
    serving(
      (_, response) => response.writeHead(status, status === 302 ? { location: "/elsewhere" } : {}).end(body),
      async (url) => {
        const call = new Client(url).call("GET", "topics")
        if (!(outcome instanceof RegExp)) return assert.deepEqual(await call, outcome)
        await assert.rejects(call, (error: unknown) => {
          assert.ok(error instanceof CallFailed && !(error instanceof Unreachable))
          assert.match(error.message, outcome)
          return true
        })
      }
    ))
}

test("a request is sent as it is: method, path, JSON", async () => {
  const seen: Array<unknown> = []
  await serving(
    async (request, response) => {
      let body = ""
      for await (const piece of request) body += String(piece)
      seen.push([request.method, request.url, request.headers["content-type"], body])
      response.writeHead(204).end()
    },
    async (url) => {
      const client = new Client(url)
      await client.call("GET", "a?limit=1")
      await client.call("POST", "a/b%2Fc/kick", { reason: "\u00e9" })
    }
  )
  assert.deepEqual(seen, [
    ["GET", "/api/v1/a?limit=1", undefined, ""],
    ["POST", "/api/v1/a/b%2Fc/kick", "application/json", '{"reason":"\u00e9"}']
  ])
})

test("where nothing answers, the line says where and what to do", async () => {
  let url = ""
  await serving(
    () => {},
    (own) => {
      url = own
    }
  )
  await assert.rejects(new Client(url).call("GET", "a"), (error: unknown) => {
    assert.ok(error instanceof Unreachable)
    assert.match(
      error.message,
      /^no broker answers at http:\/\/127\.0\.0\.1:\d+ \([^)]+\); "manifold start" starts one, /
    )
    return true
  })
})

test("descriptions are read page by page; what is no description is said", async () => {
  const item = {
    name: "b",
    path: "b",
    description: "",
    singleton: true,
    list: false,
    get: true,
    item: {},
    verbs: [],
    more: 1
  }
  const page = (request: IncomingMessage): string =>
    request.url?.endsWith("cursor=") === true
      ? JSON.stringify({ items: [{ ...item, name: "a" }], cursor: "a&b" })
      : JSON.stringify({ items: [item] })
  const seen: Array<string | undefined> = []
  await serving(
    (request, response) => {
      seen.push(request.url)
      response.end(page(request))
    },
    async (url) => {
      const found = await describe(new Client(url))
      assert.deepEqual(
        found.map(({ name }) => name),
        ["a", "b"]
      )
    }
  )
  assert.deepEqual(seen, ["/api/v1/resources?limit=1000&cursor=", "/api/v1/resources?limit=1000&cursor=a%26b"])
  for (const body of ["{}", '{"items":[{}]}', '{"items":[{"name":1}]}', "[]"]) {
    await serving(
      (_, response) => response.end(body),
      (url) => assert.rejects(describe(new Client(url)), /does not tell its resources as this version reads them$/)
    )
  }
})

test("control characters are shown as escapes", () => {
  assert.equal(plainText("a\u0000\u001b\u007f\u009b \u00e9"), "a\\x00\\x1b\\x7f\\x9b \u00e9")
})
