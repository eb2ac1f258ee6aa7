import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { AGAIN, untilAnswered } from "./answered";
import { ApiError } from "./client";

const away = new ApiError(0, { field: null, message: "The service does not answer." });
const wrong = new ApiError(422, { field: "path", message: "There is no such file." });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("asks again while the service is away, and tells why meanwhile", async () => {
  const ask = vi.fn<() => Promise<string>>().mockRejectedValueOnce(away).mockRejectedValueOnce(away).mockResolvedValue("here");
  const [answers, mistakes] = [vi.fn(), vi.fn()];
  untilAnswered(ask, answers, mistakes);
  await vi.advanceTimersByTimeAsync(2 * AGAIN);
  expect(mistakes).toHaveBeenCalledTimes(2);
  expect(mistakes).toHaveBeenCalledWith({ message: "The service does not answer.", problems: [] });
  expect(answers.mock.calls).toEqual([["here"]]);
  await vi.advanceTimersByTimeAsync(10 * AGAIN);
  expect(ask).toHaveBeenCalledTimes(3);
});

it("does not repeat a question that was refused", async () => {
  const ask = vi.fn<() => Promise<string>>().mockRejectedValue(wrong);
  const mistakes = vi.fn();
  untilAnswered(ask, vi.fn(), mistakes);
  await vi.advanceTimersByTimeAsync(10 * AGAIN);
  expect(ask).toHaveBeenCalledTimes(1);
  expect(mistakes).toHaveBeenCalledTimes(1);
});

it("tells nothing once it was given up", async () => {
  const [answers, mistakes] = [vi.fn(), vi.fn()];
  const ask = vi.fn<() => Promise<string>>().mockRejectedValue(away);
  const giveUp = untilAnswered(ask, answers, mistakes);
  giveUp();
  await vi.advanceTimersByTimeAsync(10 * AGAIN);
  expect(ask).toHaveBeenCalledTimes(1);
  expect(answers).not.toHaveBeenCalled();
  expect(mistakes).not.toHaveBeenCalled();
});
