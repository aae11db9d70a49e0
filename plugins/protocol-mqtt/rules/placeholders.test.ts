import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { fillIn, unknownPlaceholder, withoutPlaceholders } from "./placeholders.ts"

const client = { tenant: 0, user: "anna", clientIdentifier: "c-1", peerAddress: "10.0.0.7" }
const [ID, USER, HOST] = ["clientid", "username", "host"].map((name) => `$\{${name}}`)

test("what a client is called goes in wherever it is asked for", () => {
  assert.equal(fillIn("plain/+/#", client), "plain/+/#")
  assert.equal(fillIn(`a/${ID}/b`, client), "a/c-1/b")
  assert.equal(fillIn(`${USER}-${ID}/${HOST}`, client), "anna-c-1/10.0.0.7")
  assert.equal(fillIn("a/$1/${", client), "a/$1/${")
  assert.equal(withoutPlaceholders(`a/${ID}/${HOST}`), "a/x/x")
})

test("a placeholder that means nothing is named", () => {
  assert.equal(unknownPlaceholder(`a/${ID}/${USER}/${HOST}/$`), undefined)
  for (const wrong of ["ClientId", "", "clientid ", "topic"]) {
    assert.equal(unknownPlaceholder(`a/${ID}/$\{${wrong}}/x`), `$\{${wrong}}`)
  }
})

test("what a client chose widens no filter: with a wildcard, a slash, or nothing, the rule does not hold", () => {
  for (const clientIdentifier of ["", "#", "+", "a+", "a/b", "/", "#/x", "a\0"]) {
    assert.equal(fillIn(`in/${ID}/x`, { ...client, clientIdentifier }), undefined)
    assert.equal(fillIn(`in/${USER}/x`, { ...client, clientIdentifier }), "in/anna/x")
  }
  for (const clientIdentifier of ["$share", "$SYS", "$"]) {
    assert.equal(fillIn(`${ID}/x`, { ...client, clientIdentifier }), undefined)
    assert.equal(fillIn(`$share/g/${ID}/x`, { ...client, clientIdentifier }), undefined)
    assert.equal(fillIn(`a${ID}/x`, { ...client, clientIdentifier }), `a${clientIdentifier}/x`)
  }
  // What looks like a reference of a replacement is text.
  for (const clientIdentifier of ["$&", "$1", "$$", `${USER}`]) {
    assert.equal(fillIn(`in/${ID}`, { ...client, clientIdentifier }), `in/${clientIdentifier}`)
  }
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (clientIdentifier) => {
      const filled = fillIn(`in/${ID}/x`, { ...client, clientIdentifier })
      if (filled !== undefined) assert.equal(filled.split("/").length, 3)
    })
  )
})
