import { Component, type ReactNode } from "react";
import { Button } from "./Button";

interface Props {
  /** What is inside, as the reader knows it: "the view xy". */
  what: string;
  children: ReactNode;
}

/** Keeps one broken part from taking the page with it. */
export class ErrorBoundary extends Component<Props, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <div className="broken" role="alert">
        <strong>{this.props.what} could not be shown.</strong>
        <p>{error.message}</p>
        <Button onClick={() => this.setState({ error: null })} icon="again">Try again</Button>
      </div>
    );
  }
}
