/**
 * Opens connections: TCP, CONNECT, CONNACK, and SUBSCRIBE, SUBACK where asked for; so many at a time.
 *
 * Every refusal ends the run with an error that names it: a measurement with half of its clients is none.
 */
import type { SocketHandler } from "bun"
import { connectFrame, disconnectFrame, type SessionKind, subscribeFrame } from "./frames.ts"
import type { Peer } from "./Peer.ts"

/** A broker that cannot take all clients within this time is not measured. */
const SET_UP_MS_MAX = 30_000
const KEEP_ALIVE_SECONDS = 600
/** A broker that has not closed the connection by then after a DISCONNECT will not. */
const LEAVE_MS_MAX = 2000
const FULL_HANDSHAKE = "TLSv1.3"

export interface Endpoint {
  readonly hostname: string
  readonly port: number
  /** The address that connections come from; the system's choice where none is named. */
  readonly localAddress?: string
  /** Whether TLS is spoken: a full handshake of TLS 1.3 each time. The certificate is not checked: it vouches for itself. */
  readonly isTls?: boolean
}

const NOTHING_WAITS = (): void => {}

/** One set of handlers for all sockets; the connection is the socket's data. */
const handlers: SocketHandler<Peer> = {
  open(socket) {
    socket.data.attach(socket)
  },
  handshake(socket, isSuccess) {
    socket.data.onHandshake(isSuccess ? socket.getTLSVersion() : "a handshake that failed", socket.isSessionReused())
  },
  data(socket, chunk) {
    socket.data.onData(chunk)
  },
  drain(socket) {
    socket.data.onDrain()
  },
  close(socket) {
    socket.data.onClose()
  },
  error(socket) {
    socket.data.fail()
  },
  connectError(socket) {
    socket.data.fail()
  }
}

/** Opens one connection and waits for its CONNACK. */
export async function connect(
  peer: Peer,
  endpoint: Endpoint,
  clientIdentifier: string,
  session: SessionKind = "clean"
): Promise<void> {
  const { isTls = false, ...place } = endpoint
  const tls = isTls ? { tls: { rejectUnauthorized: false } } : {}
  // The runtime takes a localAddress here, which its types do not name.
  await Bun.connect({ ...place, ...tls, socket: handlers, data: peer })
  if (isTls) await secured(peer)
  const frame = connectFrame(peer.level, clientIdentifier, KEEP_ALIVE_SECONDS, session)
  peer.write(frame, 0, frame.length)
  await changed(peer, "CONNACK", () => peer.connectCode >= 0)
  if (peer.connectCode !== 0) throw new Error(`CONNECT was refused with code ${peer.connectCode}`)
}

async function secured(peer: Peer): Promise<void> {
  await changed(peer, "handshake", () => peer.handshake !== "")
  if (peer.handshake !== FULL_HANDSHAKE) throw new Error(`${FULL_HANDSHAKE} was wanted, there was ${peer.handshake}`)
}

/** Says goodbye and waits until the broker has closed the connection: it knows then that the client is away. */
export async function leave(peer: Peer): Promise<void> {
  const words = disconnectFrame()
  peer.isClosing = true
  peer.write(words, 0, words.length)
  await new Promise<void>((resolve) => {
    const late = setTimeout(() => {
      // Some brokers leave the closing to the client.
      peer.close()
      resolve()
    }, LEAVE_MS_MAX)
    const look = (): void => {
      if (!peer.isGone) return
      clearTimeout(late)
      peer.onChange = NOTHING_WAITS
      resolve()
    }
    peer.onChange = look
    look()
  })
}

/** Subscribes and waits for the SUBACK. */
export async function subscribe(peer: Peer, filter: string, qos: 0 | 1 | 2): Promise<void> {
  const frame = subscribeFrame(peer.level, 1, filter, qos)
  peer.write(frame, 0, frame.length)
  await changed(peer, "SUBACK", () => peer.subscribeCode >= 0)
  if (peer.subscribeCode !== qos)
    throw new Error(`SUBSCRIBE ${filter} at QoS ${qos} was answered ${peer.subscribeCode}`)
}

/** Runs `task` for 0 to `count` - 1, at most `inProgress` at a time. */
export async function inParallel(
  count: number,
  inProgress: number,
  task: (index: number) => Promise<void>
): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) await task(next++)
  }
  await Promise.all(Array.from({ length: Math.min(count, inProgress) }, worker))
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Fails where `setUp` takes longer than a set-up may: one timer for all connections, none for each. */
export async function withinSetUpTime<Value>(setUp: Promise<Value>, msMax = SET_UP_MS_MAX): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    const explain = (): void => reject(new Error(`not every client was answered within ${msMax} ms`))
    timer = setTimeout(explain, msMax)
  })
  try {
    return await Promise.race([setUp, late])
  } finally {
    clearTimeout(timer)
  }
}

function changed(peer: Peer, awaited: string, isDone: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      if (!isDone() && !peer.isBroken) return
      peer.onChange = NOTHING_WAITS
      if (isDone()) resolve()
      else reject(new Error(`the connection ended before its ${awaited}`))
    }
    peer.onChange = look
    look()
  })
}
