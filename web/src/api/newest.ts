/** Newest wins: what is not taken in time is replaced, never queued. */
export class NewestSlot<T> {
  private item: T | undefined;
  private full = false;
  /** How many items were replaced before anyone took them. */
  skipped = 0;

  put(item: T): void {
    if (this.full) this.skipped++;
    this.item = item;
    this.full = true;
  }

  take(): T | undefined {
    const item = this.item;
    this.item = undefined;
    this.full = false;
    return item;
  }

  get waiting(): boolean {
    return this.full;
  }
}

/**
 * Send values one at a time: while one is on its way or `pause` ms have not passed, only the newest is kept.
 *
 * A dragged slider gives hundreds of values a second; the service sees a few of them, and always the last one.
 */
export class NewestSender<T> {
  private slot = new NewestSlot<T>();
  private busy = false;
  private readonly send: (value: T) => Promise<void>;
  private readonly pause: number;
  private readonly merge: (older: T, newer: T) => T;

  constructor(send: (value: T) => Promise<void>, pause = 60, merge: (older: T, newer: T) => T = (_, newer) => newer) {
    this.send = send;
    this.pause = pause;
    this.merge = merge;
  }

  push(value: T): void {
    const older = this.slot.take();
    this.slot.put(older === undefined ? value : this.merge(older, value));
    if (!this.busy) void this.drain();
  }

  private async drain(): Promise<void> {
    this.busy = true;
    try {
      for (let value = this.slot.take(); value !== undefined; value = this.slot.take()) {
        await Promise.all([this.send(value), new Promise((resolve) => setTimeout(resolve, this.pause))]);
      }
    } finally {
      this.busy = false;
    }
  }
}
