import { type Mistake, isAway, mistakeOf } from "./client";

/** After how many milliseconds a service that was away is asked again. */
export const AGAIN = 3000;

/**
 * Ask, and ask again while the service is away; what is wrong with the question itself would be wrong again.
 *
 * Made for effects: it returns what gives the question up, after which no answer is told any more.
 */
export function untilAnswered<T>(ask: () => Promise<T>, onAnswer: (answer: T) => void, onMistake: (mistake: Mistake) => void): () => void {
  let gone = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const once = async (): Promise<void> => {
    try {
      const answer = await ask();
      if (!gone) onAnswer(answer);
    } catch (error) {
      if (gone) return;
      onMistake(mistakeOf(error));
      if (isAway(error)) timer = setTimeout(() => void once(), AGAIN);
    }
  };
  void once();
  return () => {
    gone = true;
    clearTimeout(timer);
  };
}
