import { type FormEvent, type ReactElement, useCallback, useState } from "react";
import { ApiError, api, sayError } from "./api/client";
import { usePolled } from "./api/hooks";
import { DeskPage } from "./desk/DeskPage";
import { HomePage, Brand } from "./pages/HomePage";
import { RunPage } from "./pages/RunPage";
import { useRoute } from "./pages/route";
import { Button, ErrorBoundary } from "./ui";

/** Pages, behind a question for the token where the service wants one. */
export function App(): ReactElement {
  const route = useRoute();
  const { error, again } = usePolled(api.runs, 30000);
  const locked = error instanceof ApiError && (error.status === 401 || error.status === 403);
  if (locked) return <TokenPage onOpen={again} />;
  return (
    <ErrorBoundary what="This page">
      {route.page === "home" && <HomePage />}
      {route.page === "offline" && <DeskPage />}
      {route.page === "run" && <RunPage key={route.id} id={route.id} />}
      {route.page === "unknown" && <div className="run-page"><header className="top"><Brand /></header><p className="empty">There is no page {route.path}.</p></div>}
    </ErrorBoundary>
  );
}

function TokenPage({ onOpen }: { onOpen: () => void }): ReactElement {
  const [token, setToken] = useState("");
  const [mistake, setMistake] = useState<string | null>(null);
  const open = useCallback(async (event: FormEvent) => {
    event.preventDefault();
    try {
      await api.session(token.trim());
      onOpen();
    } catch (error) {
      setMistake(sayError(error));
    }
  }, [token, onOpen]);
  return (
    <form className="token" onSubmit={(e) => void open(e)}>
      <Brand />
      <label htmlFor="token">This service asks for its token: the one that `firstlight serve` was started with.</label>
      <input id="token" className="input" type="password" autoFocus value={token} onChange={(e) => setToken(e.target.value)} data-testid="token" />
      {mistake && <p className="mistake" role="alert">{mistake}</p>}
      <Button tone="main" type="submit">Open</Button>
    </form>
  );
}
