import type { ButtonHTMLAttributes, ReactElement, ReactNode } from "react";
import { Icon, type IconName } from "./icons";

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  tone?: "plain" | "main" | "danger" | "plain-text";
  icon?: IconName;
  children?: ReactNode;
}

export function Button({ tone = "plain", icon, children, className = "", ...rest }: ButtonProps): ReactElement {
  return (
    <button type="button" className={`button ${tone} ${className}`} {...rest}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

interface IconButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  icon: IconName;
  /** What it does, for the tooltip and for screen readers. */
  label: string;
  pressed?: boolean;
}

export function IconButton({ icon, label, pressed, className = "", ...rest }: IconButtonProps): ReactElement {
  return (
    <button type="button" className={`icon-button ${className}`} title={label} aria-label={label} aria-pressed={pressed} {...rest}>
      <Icon name={icon} />
    </button>
  );
}
