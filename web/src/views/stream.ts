/** The images of one view, newest first and nothing else. */
import { viewPath } from "../api/client";
import { type Frame, decodeFrame } from "../api/message";
import { NewestSlot } from "../api/newest";
import { type Link, SteadySocket } from "../api/socket";
import type { Wanted } from "./viewport";

const ASK_PAUSE = 80;

export interface StreamState {
  link: Link;
  /** Why the last message could not be shown. */
  problem: string | null;
}

/** What an image on the screen is drawn from: frames of a run as they come, or one that lies still. */
export interface FrameSource {
  readonly frame: Frame | null;
  readonly drawnAt: number;
  readonly state: StreamState;
  onFrame: (draw: (frame: Frame) => void) => () => void;
  onState: (watch: () => void) => () => void;
  want: (ask: Wanted) => void;
}

/**
 * Receives, decodes at most one image per screen refresh, and acknowledges it once it is drawn. The service never has
 * more than one unacknowledged image on its way, so a slow screen slows nothing but itself.
 */
export class ViewStream implements FrameSource {
  frame: Frame | null = null;
  /** Local time in ms at which `frame` was drawn. */
  drawnAt = 0;
  state: StreamState = { link: "connecting", problem: null };
  private readonly slot = new NewestSlot<ArrayBuffer>();
  private readonly socket: SteadySocket;
  private readonly draws = new Set<(frame: Frame) => void>();
  private readonly watchers = new Set<() => void>();
  private ask: Wanted = { width: 512, height: 512, region: null, phase: true };
  private askTimer: ReturnType<typeof setTimeout> | undefined;
  private refresh = 0;

  constructor(run: string, view: string) {
    this.socket = new SteadySocket(viewPath(run, view), {
      onOpen: () => this.sendAsk(),
      onLink: (link) => this.setState({ ...this.state, link }),
      onMessage: (data) => this.receive(data),
    });
  }

  /** Called with each image, to draw it before it is acknowledged. */
  onFrame(draw: (frame: Frame) => void): () => void {
    this.draws.add(draw);
    return () => this.draws.delete(draw);
  }

  /** Called when `state` changes. */
  onState(watch: () => void): () => void {
    this.watchers.add(watch);
    return () => this.watchers.delete(watch);
  }

  /** Say which part is on the screen, and how large. The last word within 80 ms counts. */
  want(ask: Wanted): void {
    if (JSON.stringify(ask) === JSON.stringify(this.ask)) return;
    this.ask = ask;
    clearTimeout(this.askTimer);
    this.askTimer = setTimeout(() => this.sendAsk(), ASK_PAUSE);
  }

  close(): void {
    clearTimeout(this.askTimer);
    cancelAnimationFrame(this.refresh);
    this.socket.close();
  }

  private sendAsk(): void {
    this.socket.send({ token: null, ...this.ask });
  }

  private receive(data: string | ArrayBuffer): void {
    if (typeof data === "string") return this.setState({ ...this.state, problem: readRefusal(data) });
    this.slot.put(data);
    this.refresh ||= requestAnimationFrame(() => this.show());
  }

  private show(): void {
    this.refresh = 0;
    const message = this.slot.take();
    if (!message) return;
    try {
      const frame = decodeFrame(message);
      this.frame = frame;
      for (const draw of this.draws) draw(frame);
      this.drawnAt = performance.now();
      this.socket.send({ ack: frame.header.version });
      this.socket.well();
      if (this.state.problem) this.setState({ ...this.state, problem: null });
    } catch (error) {
      // without a version there is nothing to acknowledge: a new connection starts afresh
      this.setState({ ...this.state, problem: (error as Error).message });
      this.socket.restart();
    }
  }

  private setState(state: StreamState): void {
    this.state = state;
    for (const watch of this.watchers) watch();
  }
}

/** Text on a view's socket is a refusal; anything else in it is shown as it came. */
export function readRefusal(text: string): string | null {
  try {
    const value = JSON.parse(text) as { error?: { message?: string } | string };
    if (typeof value.error === "string") return value.error;
    return value.error?.message ?? null;
  } catch {
    return text.slice(0, 200);
  }
}
