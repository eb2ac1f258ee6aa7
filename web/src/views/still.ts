/** One image that lies still until another is put in its place. */
import { type Frame, decodeFrame } from "../api/message";
import type { FrameSource, StreamState } from "./stream";

export class Still implements FrameSource {
  frame: Frame | null = null;
  drawnAt = 0;
  readonly state: StreamState = { link: "open", problem: null };
  private readonly draws = new Set<(frame: Frame) => void>();
  private version = 0;

  /** Show a binary answer of the service; its header comes back, with what it says beside that of a view. */
  put<Extra>(message: ArrayBuffer): Frame["header"] & Extra {
    const frame = decodeFrame(message);
    frame.header.version = ++this.version;
    this.frame = frame;
    this.drawnAt = performance.now();
    for (const draw of this.draws) draw(frame);
    return frame.header as Frame["header"] & Extra;
  }

  onFrame(draw: (frame: Frame) => void): () => void {
    this.draws.add(draw);
    return () => this.draws.delete(draw);
  }

  onState(): () => void {
    return () => undefined;
  }

  /** It was sent as large as it is needed. */
  want(): void {}
}
