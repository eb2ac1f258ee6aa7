import type { ReactElement } from "react";

/** Why something was refused; of a job, every mistake that it has. */
export function Mistakes({ message, problems, testid }: { message: string; problems: string[]; testid?: string }): ReactElement {
  return (
    <div className="mistakes" role="alert" data-testid={testid}>
      <strong>{message}</strong>
      {problems.length === 1 && <p>{problems[0]}</p>}
      {problems.length > 1 && <ol>{problems.map((p, i) => <li key={i}>{p}</li>)}</ol>}
    </div>
  );
}
