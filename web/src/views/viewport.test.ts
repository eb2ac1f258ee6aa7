import { describe, expect, it } from "vitest";
import { fit, isWhole, panBy, rowOverColumn, toImage, toScreen, wanted, zoomAt } from "./viewport";

const size = { width: 400, height: 300 };
const full = [512, 512];

describe("viewport", () => {
  it("fits the whole image in the middle", () => {
    const v = fit(full, size, 1);
    expect(v.sx).toBeCloseTo(300 / 512);
    expect(toScreen(v, size, 256, 256)).toEqual([200, 150]);
    expect(isWhole(v, size, full)).toBe(true);
  });
  it("keeps what lies under the cursor while zooming", () => {
    const v = fit(full, size, 1);
    const before = toImage(v, size, 220, 100);
    const after = toImage(zoomAt(v, size, full, 3, 220, 100), size, 220, 100);
    expect(after[0]).toBeCloseTo(before[0]);
    expect(after[1]).toBeCloseTo(before[1]);
  });
  it("never zooms out beyond the whole image, and then centres it", () => {
    const v = panBy(zoomAt(fit(full, size, 1), size, full, 4, 10, 10), full, 500, 500);
    expect(zoomAt(v, size, full, 0.001, 0, 0)).toEqual(fit(full, size, 1));
  });
  it("cannot be panned away", () => {
    const v = panBy(fit(full, size, 1), full, -1e6, 1e6);
    expect([v.x, v.y]).toEqual([512, 0]);
  });
  it("asks for everything, then for the visible part in screen pixels", () => {
    const v = fit(full, size, 1);
    expect(wanted(v, size, full, 2)).toEqual({ width: 600, height: 600, region: null });
    const near = wanted(zoomAt(v, size, full, 4, 200, 150), size, full, 1);
    expect(near.region).toEqual([192, 320, 170, 342]);
    expect(near.height).toBe(300);
  });
  it("stretches an image of two rows and says so", () => {
    const { ratio, exact } = rowOverColumn([2, 600], null);
    expect(exact).toBe(false);
    expect((2 * ratio) / 600).toBeCloseTo(0.2);
    expect(rowOverColumn([600, 2], null).exact).toBe(false);
    expect(rowOverColumn([100, 100], [2, 1])).toEqual({ ratio: 2, exact: true });
  });
  it("asks for at least one pixel of an odd image", () => {
    const v = fit([1, 1], size, 1);
    expect(wanted(v, size, [1, 1], 1).region).toBeNull();
  });
});
