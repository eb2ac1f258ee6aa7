import { describe, expect, it, vi } from "vitest";
import { addLines, mergeChanges } from "./hooks";
import { NewestSender, NewestSlot } from "./newest";
import { waitBefore } from "./socket";

describe("NewestSlot", () => {
  it("gives the newest and counts what it replaced", () => {
    const slot = new NewestSlot<number>();
    [1, 2, 3].forEach((n) => slot.put(n));
    expect(slot.waiting).toBe(true);
    expect(slot.take()).toBe(3);
    expect(slot.skipped).toBe(2);
    expect(slot.take()).toBeUndefined();
    expect(slot.waiting).toBe(false);
  });
});

describe("NewestSender", () => {
  it("sends the first at once, then only the last", async () => {
    vi.useFakeTimers();
    const sent: number[] = [];
    const sender = new NewestSender<number>(async (n) => { sent.push(n); }, 50);
    for (let n = 0; n < 10; n++) sender.push(n);
    expect(sent).toEqual([0]);
    await vi.advanceTimersByTimeAsync(60);
    expect(sent).toEqual([0, 9]);
    await vi.advanceTimersByTimeAsync(60);
    sender.push(42);
    expect(sent).toEqual([0, 9, 42]);
    vi.useRealTimers();
  });
  it("keeps changes of different parameters that wait together", async () => {
    const sent: object[] = [];
    let free = (): void => undefined;
    const sender = new NewestSender<Record<string, Record<string, number>>>((c) => { sent.push(c); return new Promise((ok) => { free = ok; }); }, 0, (a, b) => mergeChanges(a, b) as typeof b);
    sender.push({ slices: { z: 1 } });
    sender.push({ slices: { z: 2 } });
    sender.push({ slices: { x: 5 } });
    free();
    await new Promise((ok) => setTimeout(ok, 10));
    expect(sent).toEqual([{ slices: { z: 1 } }, { slices: { z: 2, x: 5 } }]);
  });
});

describe("reconnection", () => {
  it("waits longer each time, but never more than 8 s", () => {
    expect([0, 1, 2, 3].map(waitBefore)).toEqual([250, 500, 1000, 2000]);
    expect(waitBefore(1000)).toBe(8000);
  });
});

describe("log lines", () => {
  const line = (n: number) => ({ n, at: 0, level: "info", text: String(n) });
  it("come once and in order", () => {
    const old = [line(1), line(2)];
    expect(addLines(old, [line(1), line(2)])).toBe(old);
    expect(addLines(old, [line(2), line(3)]).map((l) => l.n)).toEqual([1, 2, 3]);
  });
});
