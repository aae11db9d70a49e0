/** A client that connects, subscribes and leaves, and expects no message in between. */
import { Peer } from "./Peer.ts"

export class Waiting extends Peer {
  protected override receive(): void {
    this.malformed++
  }
  protected override afterChunk(): void {}
}
