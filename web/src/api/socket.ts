/** A websocket that comes back by itself: waits 0.25 s, 0.5 s, 1 s … up to 8 s between tries. */
import { socketAddress } from "./client";

export type Link = "connecting" | "open" | "lost";

export interface Handlers {
  onOpen?: () => void;
  onMessage: (data: string | ArrayBuffer) => void;
  onLink?: (link: Link) => void;
}

export const waitBefore = (attempt: number): number => Math.min(8000, 250 * 2 ** Math.min(attempt, 10));

export class SteadySocket {
  private socket: WebSocket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private attempt = 0;
  private closed = false;
  private readonly path: string;
  private readonly handlers: Handlers;

  constructor(path: string, handlers: Handlers) {
    this.path = path;
    this.handlers = handlers;
    this.connect();
  }

  send(value: unknown): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(value));
  }

  /** Drop the connection and make a new one, after a message that made no sense. */
  restart(): void {
    this.socket?.close();
  }

  /** A message made sense: the next loss is a new one. A refusal is none, or we would ask four times a second for ever. */
  well(): void {
    this.attempt = 0;
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  private connect(): void {
    this.handlers.onLink?.("connecting");
    const socket = new WebSocket(socketAddress(this.path));
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => {
      if (this.closed) return socket.close();
      this.handlers.onLink?.("open");
      this.handlers.onOpen?.();
    };
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      if (this.closed) return;
      this.handlers.onMessage(event.data);
    };
    socket.onclose = () => this.again();
  }

  private again(): void {
    if (this.closed) return;
    this.handlers.onLink?.("lost");
    this.timer = setTimeout(() => this.connect(), waitBefore(this.attempt++));
  }
}
